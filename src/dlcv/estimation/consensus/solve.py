"""The whole sample consensus: scene coordinates and pixels in, camera pose out.

DSAC (Brachmann et al., CVPR 2017) and DSAC* (Brachmann and Rother, TPAMI 2021): hypotheses from
minimal sets, a score for each, the best one refined. ``solve_pose`` is for use and takes the best
hypothesis; ``pose_expectation`` is for training and keeps what the expected loss needs.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from dlcv.estimation.consensus.correspondences import Correspondences, correspondences
from dlcv.estimation.consensus.minimal import MinimalPoses, StoppedBy, no_poses, sample_poses
from dlcv.estimation.consensus.refine import RefineSettings, attach, pose_covariance, refine
from dlcv.estimation.consensus.score import Score, reprojection_errors, soft_inlier_count
from dlcv.geometry.rotation import invert
from dlcv.networks.layers.threads import one_thread
from dlcv.types import Camera

_PART = 400  # correspondences that all hypotheses are scored on
_FINALISTS = 12  # hypotheses that are then scored on all
_COARSE = 1000  # inliers that a pose is fitted to before the last fits


@dataclass(frozen=True, kw_only=True, slots=True)
class ConsensusSettings:
    """What decides a sample consensus.

    Attributes:
        hypotheses: Pose hypotheses wanted.
        threshold: Inlier threshold tau in pixels.
        max_error: Reprojection errors are clamped to this many pixels before they are scored.
        alpha: Scale of the soft inlier count.
        fourths: Fourth cells that a triple may try before another triple is drawn.
        max_tries: Most minimal sets to draw.
        time_budget: Seconds after which no more minimal sets are drawn; inf for no limit.
        refinement: How hypotheses are refined.
    """

    hypotheses: int = 256
    threshold: float = 10.0
    max_error: float = 100.0
    alpha: float = 100.0
    fourths: int = 8
    max_tries: int = 10_000
    time_budget: float = 1.0
    refinement: RefineSettings = field(default_factory=RefineSettings)

    def __post_init__(self) -> None:
        if min(self.hypotheses, self.fourths, self.max_tries) < 1:
            raise ValueError(
                'hypotheses, fourths and max_tries must be at least 1, got '
                f'{self.hypotheses}, {self.fourths}, {self.max_tries}'
            )
        if not (self.threshold > 0 and self.max_error > 0 and self.time_budget > 0):
            raise ValueError(
                'threshold, max_error and time_budget must be positive, got '
                f'{self.threshold}, {self.max_error}, {self.time_budget}'
            )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PoseEstimate:
    """What the sample consensus found.

    Attributes:
        world_from_camera: ``(4, 4)`` float64 refined pose in metres; None if there is none.
        reason: Why there is no pose, in words for a person; empty if there is one.
        score: Score of the best hypothesis; -inf if there is none.
        inlier_mask: ``(N,)`` bool, what reprojects within the threshold under the refined pose.
        inliers: Their number.
        hypotheses: ``(K, 4, 4)`` float64 world_from_camera before refinement, best first.
        scores: ``(K,)`` their scores, descending; of many hypotheses, exact for the first
            `_FINALISTS` and estimated on a part of the correspondences for the others.
        covariance: ``(6, 6)`` float64 of the pose as (x, y, z, rx, ry, rz) in world axes, metres
            and radians; None if there is no pose.
        tries: Minimal sets drawn.
        elapsed: Seconds taken.
        stopped_by: Why no more minimal sets were drawn: 'enough' hypotheses, 'tries' or 'time'
            used up, or 'input' too poor to start.
    """

    world_from_camera: Tensor | None
    reason: str = ''
    score: float
    inlier_mask: Tensor
    inliers: int
    hypotheses: Tensor
    scores: Tensor
    covariance: Tensor | None
    tries: int
    elapsed: float
    stopped_by: StoppedBy


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PoseExpectation:
    """Refined hypotheses and their scores, both with gradients; see ``losses.dsac``.

    Attributes:
        world_from_camera: ``(K, 4, 4)`` refined poses; differentiable in the coordinates.
        scores: ``(K,)`` scores of the hypotheses before refinement; differentiable in the
            coordinates, directly and through the minimal sets, and in the score's own weights.
        tries: Minimal sets drawn.
    """

    world_from_camera: Tensor
    scores: Tensor
    tries: int


# The consensus is some thousand small steps. A second thread gains little on an idle machine; on
# one with other processes every step may wait for a thread that is not running, which was measured
# to be 20 times slower at a load of 7 on two cores.
@one_thread()
@torch.no_grad()
def solve_pose(
    coordinates: Tensor,
    pixels: Tensor,
    camera: Camera,
    settings: ConsensusSettings | None = None,
    *,
    score: Score | None = None,
    generator: torch.Generator | None = None,
) -> PoseEstimate:
    """Find the camera's pose that most scene coordinates agree on.

    Args:
        coordinates: ``(N, 3)`` scene coordinates in metres; NaN or inf marks unusable ones.
        pixels: ``(N, 2)`` the pixel of each.
        camera: The rectified camera.
        settings: Numbers of everything; None for the defaults.
        score: Learned score of errors ``(K, N)`` in pixels; None for the soft inlier count.
        generator: Source of randomness; None starts one of seed 0, so that calls repeat.

    Returns:
        The pose, or the reason why there is none.

    Raises:
        ConsensusError: If the tensors are not correspondences at all.
    """
    start = time.monotonic()
    settings = settings or ConsensusSettings()
    generator = generator or torch.Generator().manual_seed(0)
    matches, origin = _centred(coordinates, pixels, camera)
    usable = int(matches.usable.sum())
    if usable < 4:
        reason = f'{usable} of {len(coordinates)} scene coordinates are usable; a pose needs four'
        return _no_pose(matches, no_poses(matches), reason, start)
    minimal = _sample(matches, settings, generator, start)
    if not len(minimal.cells):
        reason = (
            f'no four of {usable} scene coordinates agree on a pose within '
            f'{settings.threshold:g} px; stopped after {minimal.tries} tries'
        )
        return _no_pose(matches, minimal, reason, start)
    scores, order = _ranked(minimal.camera_from_world, matches, settings, score, generator)
    hypotheses = minimal.camera_from_world[order]
    pose, used = _refine(hypotheses[:1], matches, _coarsely(settings), generator)
    errors = reprojection_errors(pose, matches, settings.max_error)[0]
    inlier_mask = errors < settings.threshold
    fitted = used[0] if used.any() else _mask(minimal.cells[order[0]], len(errors))
    return PoseEstimate(
        world_from_camera=_world_from_camera(pose[0], origin),
        score=float(scores[0]),
        inlier_mask=inlier_mask,
        inliers=int(inlier_mask.sum()),
        hypotheses=_world_from_camera(hypotheses, origin),
        scores=scores,
        covariance=pose_covariance(pose[0], matches, fitted),
        tries=minimal.tries,
        elapsed=time.monotonic() - start,
        stopped_by=minimal.stopped_by,
    )


def pose_expectation(
    coordinates: Tensor,
    pixels: Tensor,
    camera: Camera,
    settings: ConsensusSettings | None = None,
    *,
    score: Score | None = None,
    generator: torch.Generator | None = None,
    least_probability: float = 1e-3,
) -> PoseExpectation | None:
    """Draw, score and refine hypotheses so that the expected loss can be differentiated.

    Hypotheses of less than ``least_probability`` are left as drawn, without a gradient of their
    pose, as in DSAC*: they cost as much to refine and change nothing.

    Args:
        coordinates: ``(N, 3)`` scene coordinates in metres, with their graph.
        pixels: ``(N, 2)`` the pixel of each.
        camera: The rectified camera.
        settings: Numbers of everything; None for the defaults.
        score: Learned score of errors ``(K, N)`` in pixels; None for the soft inlier count.
        generator: Source of randomness; None starts one of seed 0.
        least_probability: See above.

    Returns:
        Poses and scores, float64, or None where no hypothesis was found.

    Raises:
        ConsensusError: If the tensors are not correspondences at all.
    """
    start = time.monotonic()
    settings = settings or ConsensusSettings()
    generator = generator or torch.Generator().manual_seed(0)
    matches, origin = _centred(coordinates, pixels, camera)
    if int(matches.usable.sum()) < 4:
        return None
    with torch.no_grad():
        minimal = _sample(matches, settings, generator, start)
    if not len(minimal.cells):
        return None
    triples = matches.points[minimal.cells[:, :3]]  # (K, 3, 3), with the graph
    ones = torch.ones_like(triples[..., 0])
    poses = attach(minimal.camera_from_world, triples, ones, matches.focal)
    scores = _scores(poses, matches, settings, score)
    likely = (scores.softmax(0) >= least_probability).nonzero()[:, 0]
    with torch.no_grad():
        refined, used = _refine(poses[likely], matches, settings, generator)
    attached = attach(refined, matches.points, used.to(refined.dtype), matches.focal)
    attached = torch.where(used.any(1)[:, None, None], attached, poses[likely])
    poses = minimal.camera_from_world.index_copy(0, likely, attached)
    return PoseExpectation(
        world_from_camera=_world_from_camera(poses, origin), scores=scores, tries=minimal.tries
    )


def _centred(coordinates: Tensor, pixels: Tensor, camera: Camera) -> tuple[Correspondences, Tensor]:
    """Check the input and move the world's origin into the scene: maps may lie far from theirs."""
    matches = correspondences(coordinates, pixels, camera).to(torch.float64)
    some = matches.points.detach()[matches.usable]
    origin = some.median(0).values if len(some) else matches.points.new_zeros(3)
    return matches.moved(origin), origin


def _world_from_camera(camera_from_centred: Tensor, origin: Tensor) -> Tensor:
    """Invert poses ``(..., 4, 4)`` and move the world's origin back."""
    shift = torch.zeros_like(camera_from_centred)
    shift[..., :3, 3] = origin
    return invert(camera_from_centred) + shift


def _mask(cells: Tensor, size: int) -> Tensor:
    """Return ``(size,)`` bool, True at the cells."""
    mask = torch.zeros(size, dtype=torch.bool, device=cells.device)
    mask[cells] = True
    return mask


def _sample(
    matches: Correspondences, settings: ConsensusSettings, generator: torch.Generator, start: float
) -> MinimalPoses:
    return sample_poses(
        matches,
        count=settings.hypotheses,
        threshold=settings.threshold,
        fourths=settings.fourths,
        max_tries=settings.max_tries,
        deadline=start + settings.time_budget,
        generator=generator,
    )


def _scores(
    camera_from_world: Tensor,
    matches: Correspondences,
    settings: ConsensusSettings,
    score: Score | None,
) -> Tensor:
    """Return float64 scores ``(K,)``, computed in the precision of ``matches``.

    Single precision is plenty for pixels of centred points, and is what a learned score takes.
    """
    poses = camera_from_world.to(matches.points.dtype)
    errors = reprojection_errors(poses, matches, settings.max_error)
    if score is not None:
        return score(errors.float()).double()
    return soft_inlier_count(errors, threshold=settings.threshold, alpha=settings.alpha).double()


def _ranked(
    camera_from_world: Tensor,
    matches: Correspondences,
    settings: ConsensusSettings,
    score: Score | None,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Return scores, best first, and the hypothesis that each belongs to.

    Preemptive scoring (Nister, "Preemptive RANSAC for live structure and motion estimation", ICCV
    2003) in two rounds: of many hypotheses, all are scored on a random part of the
    correspondences, and those that are best there on all. A learned score looks at all at once.
    """
    single = matches.to(torch.float32)
    usable = single.usable.nonzero()[:, 0]
    if score is not None or len(camera_from_world) <= _FINALISTS or len(usable) <= 2 * _PART:
        scores = _scores(camera_from_world, single, settings, score)
        ordered, order = scores.sort(descending=True)
        return ordered, order
    drawn = torch.randperm(len(usable), generator=generator, device=generator.device)[:_PART]
    share = len(usable) / len(matches.usable)  # what is not usable counts as wrong
    part = single.chosen(usable[drawn.to(usable.device)])
    guess, order = (share * _scores(camera_from_world, part, settings, None)).sort(descending=True)
    best = order[:_FINALISTS]
    final, of = _scores(camera_from_world[best], single, settings, None).sort(descending=True)
    rest = guess[_FINALISTS:].minimum(final[-1])
    return torch.cat((final, rest)), torch.cat((best[of], order[_FINALISTS:]))


def _coarsely(settings: ConsensusSettings) -> ConsensusSettings:
    """Return settings that fit to some inliers until the polish, which fits to all."""
    refinement = settings.refinement
    if not refinement.polish or refinement.max_inliers is not None:
        return settings
    return replace(settings, refinement=replace(refinement, max_inliers=_COARSE))


def _refine(
    camera_from_world: Tensor,
    matches: Correspondences,
    settings: ConsensusSettings,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    return refine(
        camera_from_world,
        matches,
        settings.refinement,
        threshold=settings.threshold,
        generator=generator,
    )


def _no_pose(
    matches: Correspondences, minimal: MinimalPoses, reason: str, start: float
) -> PoseEstimate:
    return PoseEstimate(
        world_from_camera=None,
        reason=reason,
        score=-torch.inf,
        inlier_mask=torch.zeros_like(matches.usable),
        inliers=0,
        hypotheses=minimal.camera_from_world,
        scores=minimal.camera_from_world.new_empty(0),
        covariance=None,
        tries=minimal.tries,
        elapsed=time.monotonic() - start,
        stopped_by=minimal.stopped_by,
    )
