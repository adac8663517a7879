"""DSAC's sample consensus: P3P hypotheses, their scores, refinement, and all its gradients."""

from dlcv.consensus.correspondences import ConsensusError
from dlcv.consensus.refine import RefineSettings
from dlcv.consensus.score import Score, soft_inlier_score
from dlcv.consensus.solve import (
    ConsensusSettings,
    PoseEstimate,
    PoseExpectation,
    pose_expectation,
    solve_pose,
)

__all__ = [
    'ConsensusError',
    'ConsensusSettings',
    'PoseEstimate',
    'PoseExpectation',
    'RefineSettings',
    'Score',
    'pose_expectation',
    'soft_inlier_score',
    'solve_pose',
]
