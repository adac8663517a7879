"""How good a trajectory is: absolute and relative pose error, KITTI's drift, drift of the scale.

Poses are ``world_from_body`` of one body, ``(N, 4, 4)``, metres; the estimate's world is another
than the truth's. All figures are of poses that belong together: `associate` finds them by time.

Definitions: ATE and RPE of Sturm et al. (IROS 2012) with alignment by Umeyama (PAMI 1991), as evo
computes them; t_rel and r_rel of KITTI's odometry benchmark (Geiger et al., CVPR 2012).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan
from typing import Literal

import numpy as np
import numpy.typing as npt

from dlcv.geometry.trajectory import NEAR_NS, nearest
from dlcv.metrics.quantity import Quantity
from dlcv.types import FloatArray, Trajectory

_STURM = 'Sturm et al., IROS 2012; Umeyama, PAMI 1991; as evo'
_KITTI = 'Geiger et al., CVPR 2012'
ATE = Quantity(
    name='ATE',
    unit='m',
    better='low',
    doc='root of the mean square error of the positions',
    source=_STURM,
)
RPE = Quantity(
    name='RPE',
    unit='m',
    better='low',
    doc='root of the mean square error of the motions between neighbouring frames',
    source=_STURM,
)
RPE_TURN = Quantity(
    name='RPE turn', unit='deg', better='low', doc='the same of their turns', source=_STURM
)
T_REL = Quantity(
    name='t_rel',
    unit='%',
    better='low',
    digits=2,
    doc='error of the position per length, segments of 100 to 800 m, no alignment',
    source=_KITTI,
)
R_REL = Quantity(
    name='r_rel',
    unit='deg/100 m',
    better='low',
    digits=2,
    doc='error of the rotation per length, the same segments',
    source=_KITTI,
)

Alignment = Literal['none', 'origin', 'scale', 'se3', 'sim3']
Unit = Literal['frames', 'metres']
Indices = npt.NDArray[np.intp]

ALIGNMENTS: dict[Alignment, str] = {
    'none': 'as it is',
    'origin': 'first poses brought together',
    'scale': 'first poses brought together, best scale',
    'se3': 'best rigid motion',
    'sim3': 'best rigid motion and scale',
}
STILL = 1e-3
"""Metres about its mean within which a true body stands still: what is left is noise."""
KITTI_LENGTHS = (100.0, 200.0, 300.0, 400.0, 500.0, 600.0, 700.0, 800.0)
KITTI_STEP = 10  # frames between two starts of a segment


class TrajectoryMetricError(ValueError):
    """Trajectories that cannot be compared; the message says why."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PosePairs:
    """Poses of an estimate and of the truth that belong together.

    Attributes:
        stamps_ns: ``(N,)`` int64, of the estimate.
        estimate: ``(N, 4, 4)``.
        truth: ``(N, 4, 4)``.
    """

    stamps_ns: npt.NDArray[np.int64]
    estimate: FloatArray
    truth: FloatArray

    def __post_init__(self) -> None:
        shape = (len(self.stamps_ns), 4, 4)
        if self.estimate.shape != shape or self.truth.shape != shape:
            raise TrajectoryMetricError(
                f'expected {shape[0]} poses (N, 4, 4) of each, got {self.estimate.shape} and '
                f'{self.truth.shape}'
            )

    def __len__(self) -> int:
        return len(self.stamps_ns)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Similarity:
    """``truth = scale * rotation @ estimate + translation``.

    Attributes:
        rotation: ``(3, 3)``.
        translation: ``(3,)`` metres.
        scale: 1 for rigid motions.
    """

    rotation: FloatArray
    translation: FloatArray
    scale: float = 1.0

    def __call__(self, poses: FloatArray) -> FloatArray:
        """Return ``(N, 4, 4)`` poses of the estimate in the truth's world."""
        moved = np.array(poses, np.float64)
        moved[:, :3, :3] = self.rotation @ moved[:, :3, :3]
        moved[:, :3, 3] = self.scale * moved[:, :3, 3] @ self.rotation.T + self.translation
        return moved


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PoseErrors:
    """Errors of many poses or motions.

    Attributes:
        metres: ``(N,)`` of the position.
        degrees: ``(N,)`` of the rotation.
        similarity: What the estimate was moved by.
    """

    metres: FloatArray
    degrees: FloatArray
    similarity: Similarity

    @property
    def rmse(self) -> float:
        """Root of the mean squared position error, m; NaN of nothing."""
        return _rms(self.metres)

    @property
    def rmse_degrees(self) -> float:
        """Root of the mean squared rotation error, degrees; NaN of nothing."""
        return _rms(self.degrees)


@dataclass(frozen=True, kw_only=True, slots=True)
class Segment:
    """How far off an estimate is at the end of one stretch of the way.

    Attributes:
        start: Index of its first pose.
        end: Index of its last pose.
        length: Metres asked for.
        metres: Error of the position at its end.
        degrees: Error of the rotation at its end.
    """

    start: int
    end: int
    length: float
    metres: float
    degrees: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Drift:
    """KITTI's relative errors.

    Attributes:
        segments: All stretches; none where the way is shorter than the shortest length.
        path: Length of the true way, m.
    """

    segments: tuple[Segment, ...]
    path: float

    @property
    def t_rel(self) -> float:
        """Mean error of the position in percent of the length; NaN without segments."""
        return 100 * _mean([s.metres / s.length for s in self.segments])

    @property
    def r_rel(self) -> float:
        """Mean error of the rotation in degrees per 100 m; NaN without segments."""
        return 100 * _mean([s.degrees / s.length for s in self.segments])

    def of_length(self, length: float) -> Drift:
        """Return the segments of one length alone."""
        return Drift(segments=tuple(s for s in self.segments if s.length == length), path=self.path)


def associate(
    estimate: Trajectory, truth: Trajectory, *, max_gap_ns: int = NEAR_NS, offset_ns: int = 0
) -> PosePairs:
    """Pair the poses whose times are nearest to each other.

    Each pose of the shorter trajectory gets the nearest of the longer one, as evo does it.

    Args:
        estimate: What is judged.
        truth: What is right.
        max_gap_ns: Largest difference of two times.
        offset_ns: Added to the truth's times.

    Raises:
        TrajectoryMetricError: If no two times are that near; names both spans.
    """
    there = truth.stamps_ns + offset_ns
    if len(there) >= len(estimate.stamps_ns):
        index, other = _all(estimate.stamps_ns), nearest(there, estimate.stamps_ns)
    else:
        index, other = nearest(estimate.stamps_ns, there), _all(there)
    near = np.abs(estimate.stamps_ns[index] - there[other]) <= max_gap_ns
    if not near.any():
        raise TrajectoryMetricError(
            f'no pose of the estimate ({_span(estimate.stamps_ns)}) is within '
            f'{max_gap_ns / 1e9:g} s of one of the truth ({_span(there)})'
        )
    index, other = index[near], other[near]
    return PosePairs(
        stamps_ns=estimate.stamps_ns[index],
        estimate=estimate.world_from_body[index],
        truth=truth.world_from_body[other],
    )


def align(pairs: PosePairs, alignment: Alignment) -> Similarity:
    """Return what brings the estimate onto the truth.

    ``se3`` and ``sim3`` minimise the squared distances of the positions (Umeyama 1991). Where the
    positions lie on a line, the turn about it is free and without effect on distances: one is
    chosen.

    Raises:
        TrajectoryMetricError: If there is no such alignment, or no poses.
    """
    if not len(pairs):
        raise TrajectoryMetricError('no poses to align')
    match alignment:
        case 'none':
            return Similarity(rotation=np.eye(3), translation=np.zeros(3))
        case 'origin' | 'scale':
            return _from_first(pairs, scaled=alignment == 'scale')
        case 'se3' | 'sim3':
            return _umeyama(
                pairs.estimate[:, :3, 3], pairs.truth[:, :3, 3], scaled=alignment == 'sim3'
            )
    raise TrajectoryMetricError(f'no alignment {alignment!r}; there are {", ".join(ALIGNMENTS)}')


def degenerate(pairs: PosePairs, alignment: Alignment) -> str:
    """Return why the poses do not decide an alignment, empty where they do.

    A few poses can be aligned with anything, and a scale by which nothing moves takes the whole
    estimate to one point: the errors that are left are none. Poses on a line are no such case:
    the turn about it is free, and without effect on distances.
    """
    if alignment not in ('se3', 'sim3', 'scale'):
        return ''
    least = 2 if alignment == 'scale' else 3
    if len(pairs) < least:
        return f'degenerate: {len(pairs)} poses, an alignment takes {least}'
    if alignment != 'se3' and _spread(pairs.truth) < STILL:
        return 'degenerate: the true body does not move, so there is no scale'
    return ''


def absolute_errors(pairs: PosePairs, alignment: Alignment) -> PoseErrors:
    """Return the errors of all poses after alignment: their ``rmse`` is the ATE (evo's APE)."""
    similarity = align(pairs, alignment)
    moved = similarity(pairs.estimate)
    return PoseErrors(
        metres=np.linalg.norm(moved[:, :3, 3] - pairs.truth[:, :3, 3], axis=1),
        degrees=rotation_degrees(_inverse(pairs.truth) @ moved),
        similarity=similarity,
    )


def relative_errors(
    pairs: PosePairs,
    *,
    delta: float = 1,
    unit: Unit = 'frames',
    alignment: Alignment = 'none',
    along: Literal['truth', 'estimate'] = 'truth',
) -> PoseErrors:
    """Return the errors of motions over a distance: their ``rmse`` is the RPE.

    Motions begin at every pose. Over metres, each ends where its way is nearest to ``delta``, and
    counts if it is within a tenth of it.

    Args:
        pairs: The poses.
        delta: Length of the motions.
        unit: Of ``delta``.
        alignment: Matters for its scale alone.
        along: Whose way is measured in metres; evo measures the estimate's unless told otherwise.

    Raises:
        TrajectoryMetricError: If ``delta`` is no positive number of this unit.
    """
    if not delta > 0 or (unit == 'frames' and delta != int(delta)):
        raise TrajectoryMetricError(f'relative errors need delta > 0 {unit}, got {delta}')
    similarity = align(pairs, alignment)
    moved = similarity(pairs.estimate)
    if unit == 'frames':
        index = _all(pairs.stamps_ns)
        start, end = index[: -int(delta)], index[int(delta) :]
    else:
        start, end = _metres_apart(pairs.truth if along == 'truth' else moved, delta)
    metres, degrees = _motion_errors(moved, pairs.truth, start, end)
    return PoseErrors(metres=metres, degrees=degrees, similarity=similarity)


def drift(
    pairs: PosePairs, lengths: Sequence[float] = KITTI_LENGTHS, *, step: int = KITTI_STEP
) -> Drift:
    """Return KITTI's relative errors: what a stretch of the way adds to the error.

    From every tenth pose, and for each length, to the first pose that lies farther along the true
    way than the length.

    Args:
        pairs: The poses; the worlds need not be aligned. A scale must be taken away before.
        lengths: Metres; see `fitting_lengths` for ways that are shorter than KITTI's.
        step: Poses between two starts.
    """
    way = _way(pairs.truth)
    stretches = [
        (start, end, length)
        for start in range(0, len(pairs), step)
        for length in lengths
        if (end := int(np.searchsorted(way, way[start] + length, side='right'))) < len(pairs)
    ]
    starts, ends = (np.array([s[i] for s in stretches], np.intp) for i in (0, 1))
    metres, degrees = _motion_errors(pairs.estimate, pairs.truth, starts, ends)
    segments = (
        Segment(start=start, end=end, length=length, metres=float(m), degrees=float(d))
        for (start, end, length), m, d in zip(stretches, metres, degrees, strict=True)
    )
    return Drift(segments=tuple(segments), path=float(way[-1]) if len(way) else 0.0)


def fitting_lengths(pairs: PosePairs) -> tuple[float, ...]:
    """Return KITTI's lengths that fit into the way, or eighths of it if not even 100 m do."""
    path = float(_way(pairs.truth)[-1]) if len(pairs) else 0.0
    fitting = tuple(length for length in KITTI_LENGTHS if length < path)
    return fitting or tuple(path * eighth / 8 for eighth in range(1, 8) if path)


def scale_drift(pairs: PosePairs, length: float = 100.0) -> float:
    """Return how the scale changes along the way, in percent per 100 m.

    It is the slope of the logarithm of (way of the estimate / true way), taken over consecutive
    stretches of ``length``; NaN where fewer than two fit.
    """
    way, estimated = _way(pairs.truth), _way(pairs.estimate)
    marks = np.arange(0, way[-1] if len(way) else 0, length)
    at = np.interp(marks, way, estimated) if len(marks) > 2 else np.zeros(0)
    ratios = np.diff(at) / length
    if len(ratios) < 2 or not (ratios > 0).all():
        return nan
    middles = (marks[:-1] + marks[1:]) / 2
    slope = np.polyfit(middles, np.log(ratios), 1)[0]
    return float(100 * np.expm1(100 * slope))


def motion_error(found: FloatArray, true: FloatArray) -> FloatArray:
    """Return how far one motion ``(4, 4)`` is off another, for its covariance to be judged by.

    Returns:
        ``(6,)`` x, y, z in metres and the turn in radians, in the axes of the older frame.
    """
    from scipy.spatial.transform import Rotation

    turn = Rotation.from_matrix(found[:3, :3] @ true[:3, :3].T).as_rotvec()
    return np.concatenate((found[:3, 3] - true[:3, 3], turn))


def rotation_degrees(motions: FloatArray) -> FloatArray:
    """Return ``(N,)`` degrees that motions ``(N, 4, 4)`` turn by, exact where these are small."""
    rotation = motions[:, :3, :3]
    skew = rotation - rotation.transpose(0, 2, 1)
    sine = np.linalg.norm([skew[:, 2, 1], skew[:, 0, 2], skew[:, 1, 0]], axis=0)
    cosine = np.trace(rotation, axis1=1, axis2=2) - 1
    return np.asarray(np.degrees(np.arctan2(sine, cosine)), np.float64)


def _motion_errors(
    estimate: FloatArray, truth: FloatArray, start: Indices, end: Indices
) -> tuple[FloatArray, FloatArray]:
    """Return metres and degrees ``(M,)`` by which motions between poses are off."""
    true = _inverse(truth[start]) @ truth[end]
    error = _inverse(true) @ (_inverse(estimate[start]) @ estimate[end])
    return np.linalg.norm(error[:, :3, 3], axis=1), rotation_degrees(error)


def _from_first(pairs: PosePairs, *, scaled: bool) -> Similarity:
    estimate, truth = pairs.estimate[0], pairs.truth[0]
    rotation = truth[:3, :3] @ estimate[:3, :3].T
    scale = 1.0
    if scaled:
        mine = (pairs.estimate[:, :3, 3] - estimate[:3, 3]) @ rotation.T
        squared = float(np.sum(mine**2))
        right = float(np.sum(mine * (pairs.truth[:, :3, 3] - truth[:3, 3])))
        scale = right / squared if squared else 1.0
    translation = truth[:3, 3] - scale * rotation @ estimate[:3, 3]
    return Similarity(rotation=rotation, translation=translation, scale=scale)


def _umeyama(estimate: FloatArray, truth: FloatArray, *, scaled: bool) -> Similarity:
    """Return the similarity of Umeyama's equations 39 to 42, for points ``(N, 3)``."""
    mean, true_mean = estimate.mean(axis=0), truth.mean(axis=0)
    centred, true_centred = estimate - mean, truth - true_mean
    left, strength, right = np.linalg.svd(true_centred.T @ centred / len(estimate))
    signs = np.ones(3)
    if np.linalg.det(left) * np.linalg.det(right) < 0:
        signs[2] = -1  # or it would mirror
    rotation = left @ np.diag(signs) @ right
    variance = float(np.mean(np.sum(centred**2, axis=1)))
    scale = float(strength @ signs) / variance if scaled and variance else 1.0
    return Similarity(
        rotation=rotation, translation=true_mean - scale * rotation @ mean, scale=scale
    )


def _spread(poses: FloatArray) -> float:
    """Return the root of the mean square distance of positions from their mean, metres."""
    positions = poses[:, :3, 3]
    return _rms(np.linalg.norm(positions - positions.mean(axis=0), axis=1))


def _metres_apart(poses: FloatArray, delta: float) -> tuple[Indices, Indices]:
    """Return starts and ends of the motions that are ``delta`` long, to a tenth."""
    way = _way(poses)
    starts, ends = [], []
    for start in range(len(way) - 1):
        off = np.abs(way[start + 1 :] - way[start] - delta)
        nearest = int(np.argmin(off))
        if off[nearest] <= 0.1 * delta:
            starts.append(start)
            ends.append(start + 1 + nearest)
    return np.array(starts, np.intp), np.array(ends, np.intp)


def _way(poses: FloatArray) -> FloatArray:
    """Return ``(N,)`` metres from the first pose along the way."""
    steps = np.linalg.norm(np.diff(poses[:, :3, 3], axis=0), axis=1)
    return np.concatenate((np.zeros(min(1, len(poses))), np.cumsum(steps)))


def _inverse(poses: FloatArray) -> FloatArray:
    """Return the inverses of rigid motions ``(N, 4, 4)``.

    By transposing, as evo does it: files print rotations with few digits, and 1e-7 of a matrix that
    is none to the last digit are 10 micrometres over 100 m.
    """
    inverted = np.tile(np.eye(4), (len(poses), 1, 1))
    inverted[:, :3, :3] = poses[:, :3, :3].transpose(0, 2, 1)
    inverted[:, :3, 3:] = -inverted[:, :3, :3] @ poses[:, :3, 3:]
    return inverted


def _all(stamps: npt.NDArray[np.int64]) -> Indices:
    return np.arange(len(stamps), dtype=np.intp)


def _span(stamps: npt.NDArray[np.int64]) -> str:
    return f'{stamps[0] / 1e9:.3f} to {stamps[-1] / 1e9:.3f} s' if len(stamps) else 'empty'


def _rms(values: FloatArray) -> float:
    return float(np.sqrt(np.mean(values**2))) if len(values) else nan


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else nan
