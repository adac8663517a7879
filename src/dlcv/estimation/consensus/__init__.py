"""DSAC's sample consensus: P3P hypotheses, their scores, refinement, and all its gradients."""

from dlcv.estimation.consensus.correspondences import ConsensusError
from dlcv.estimation.consensus.refine import RefineSettings
from dlcv.estimation.consensus.score import Score, soft_inlier_score
from dlcv.estimation.consensus.solve import (
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
