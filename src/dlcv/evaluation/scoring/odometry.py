"""Odometry against the truth: absolute, relative and KITTI's errors, scale, stated covariance."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from dlcv.estimation.body import twist_of
from dlcv.evaluation.scoring.model import Metric, Plot, Section, Series
from dlcv.evaluation.scoring.parts import MAX_GAP_NS, NO_TRUTH, Kind
from dlcv.evaluation.scoring.paths import from_above
from dlcv.geometry.trajectory import NEAR_NS, pose_at
from dlcv.metrics.consistency import ConsistencyError, nees
from dlcv.metrics.trajectory import (
    ALIGNMENTS,
    ATE,
    KITTI_LENGTHS,
    R_REL,
    RPE,
    RPE_TURN,
    T_REL,
    Alignment,
    PosePairs,
    absolute_errors,
    align,
    degenerate,
    drift,
    fitting_lengths,
    motion_error,
    relative_errors,
    scale_drift,
)
from dlcv.types import FloatArray, Trajectory
from dlcv.view.trajectory import path_length

BAR_SHALOM = 'Bar-Shalom et al. 2001, 5.4'
SHOWN: tuple[tuple[Alignment, str], ...] = (
    ('origin', 'first pose'),
    ('se3', 'SE3'),
    ('sim3', 'Sim3'),
    ('none', 'none'),
)
SCALED: tuple[tuple[Alignment, str], ...] = (('none', 'none'), ('sim3', 'Sim3'))
DRAWN: tuple[tuple[Alignment, str], ...] = (
    ('origin', 'from the first pose'),
    ('sim3', 'aligned, Sim3'),
)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Covered:
    """Odometry with what it says of its own errors.

    Attributes:
        path: ``odom_from_base`` over time.
        covariances: ``(N, 6, 6)`` of x y z (m), rx ry rz (rad), in odom axes.
        twists: ``(N, 6)`` m/s and rad/s in the axes of the body.
        twist_covariances: ``(N, 6, 6)`` of them.
        beginnings: How often the odometry began, as it does when time jumps back; this is the
            longest of these ways.
    """

    path: Trajectory
    covariances: FloatArray
    twists: FloatArray
    twist_covariances: FloatArray
    beginnings: int = 1


def odometry_section(
    found: Covered | None,
    truth: Trajectory | None,
    why: str = NO_TRUTH,
    max_gap_ns: int = MAX_GAP_NS,
    near_ns: int = NEAR_NS,
) -> Section:
    """Return what odometry is worth.

    Args:
        found: What was published; None where that was no way.
        truth: ``world_from_base`` over time; None without.
        why: Why there is no truth.
        max_gap_ns: Time between two true poses beyond which none is taken between them.
        near_ns: Difference of two times that belong together.
    """
    if found is None:
        return _without_truth(None, 'fewer than two poses were published')
    if truth is None:
        return _without_truth(found, why)
    pairs = paired(found.path, truth, max_gap_ns, near_ns)
    if len(pairs) < 2:
        return _without_truth(found, f'{NO_TRUTH} at the times of the poses')
    return Section(
        name='odometry',
        title='Odometry',
        metrics=(*_metrics(pairs, why), *_consistency(_Steps.of(found, pairs), why)),
        plots=(_paths(pairs), _over_time(pairs)),
        notes=_notes(pairs, found),
    )


def _without_truth(found: Covered | None, why: str) -> Section:
    paths = [('odometry', found.path.world_from_body, False)] if found else []
    return Section(
        name='odometry',
        title='Odometry',
        metrics=(*_metrics(None, why), *_consistency(None, why)),
        plots=(from_above(paths),) if paths else (),
    )


def paired(
    path: Trajectory,
    truth: Trajectory,
    max_gap_ns: int = MAX_GAP_NS,
    near_ns: int = NEAR_NS,
) -> PosePairs:
    """Return poses with the true ones of their times, which may lie between two known ones."""
    true = [pose_at(truth, int(stamp), max_gap_ns, near_ns) for stamp in path.stamps_ns]
    known = np.array([pose is not None for pose in true], np.bool_)
    return PosePairs(
        stamps_ns=path.stamps_ns[known],
        estimate=path.world_from_body[known],
        truth=np.array([pose for pose in true if pose is not None]).reshape(-1, 4, 4),
    )


def _metrics(pairs: PosePairs | None, why: str) -> list[Metric]:
    made = []
    for alignment, word in SHOWN:
        kind = Kind.like(
            ATE, 'rms', name=f'{ATE.name} ({word})', doc=f'{ATE.doc}; {ALIGNMENTS[alignment]}'
        )
        free = degenerate(pairs, alignment) if pairs else why
        errors = absolute_errors(pairs, alignment) if pairs and not free else None
        made.append(kind.of(errors.metres if errors else (), free))
    made += _relative(pairs, why)
    made += _kitti(pairs, why)
    free = degenerate(pairs, 'sim3') if pairs else why
    if pairs and not np.ptp(pairs.estimate[:, :3, 3], axis=0).any():
        free = free or 'the estimate does not move'
    scale = align(pairs, 'sim3').scale if pairs and not free else None
    made.append(
        Kind(
            name='scale',
            doc='factor on the estimate that fits best (Sim3); 1 where the unit is right',
            source='Umeyama, PAMI 1991',
        ).value(scale, free)
    )
    made.append(
        Kind(
            name='scale drift',
            unit='%/100 m',
            digits=1,
            doc='how the scale changes along the way',
        ).value(scale_drift(pairs) if pairs else None, _no_scale_drift(pairs, why))
    )
    return made


def _no_scale_drift(pairs: PosePairs | None, why: str) -> str:
    if pairs is None:
        return why
    return 'it takes more than 200 m of way, and an estimate that does not stand still'


def _relative(pairs: PosePairs | None, why: str) -> list[Metric]:
    made = []
    for alignment, word in SCALED:
        free = degenerate(pairs, alignment) if pairs else why
        errors = relative_errors(pairs, alignment=alignment) if pairs and not free else None
        kind = Kind.like(
            RPE, 'rms', name=f'{RPE.name} ({word})', doc=f'{RPE.doc}; {ALIGNMENTS[alignment]}'
        )
        made.append(kind.of(errors.metres if errors else (), free))
        if alignment == 'none':
            made.append(Kind.like(RPE_TURN, 'rms').of(errors.degrees if errors else (), why))
    return made


def _kitti(pairs: PosePairs | None, why: str) -> list[Metric]:
    found = drift(pairs) if pairs else None
    if found is not None and not found.segments:
        why = f'the way is {found.path:.1f} m; the shortest segment is {KITTI_LENGTHS[0]:.0f} m'
    segments = found.segments if found else ()
    t_rel, r_rel = Kind.like(T_REL), Kind.like(R_REL)
    made = [
        t_rel.of([100 * s.metres / s.length for s in segments], why),
        r_rel.of([100 * s.degrees / s.length for s in segments], why),
    ]
    if pairs and not segments:
        lengths = fitting_lengths(pairs)
        short = drift(pairs, lengths).segments
        words = f'segments of {lengths[0]:.1f} to {lengths[-1]:.1f} m' if lengths else 'no segments'
        made += [
            replace(t_rel, name='t_rel (eighths)', doc=f'as t_rel, but {words}, eighths of the way')
            .of([100 * s.metres / s.length for s in short], 'no motion'),
            replace(r_rel, name='r_rel (eighths)', doc=f'as r_rel, but {words}')
            .of([100 * s.degrees / s.length for s in short], 'no motion'),
        ]  # fmt: skip
    return made


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Steps:
    """Errors, squared and normalised by the covariances that were stated for them.

    NaN where nothing was stated.

    Attributes:
        pose: Of all poses but the first, which has no error: there the two worlds meet.
        twist: Of the velocities; the true one is the constant velocity since the pose before.
    """

    pose: FloatArray
    twist: FloatArray

    @classmethod
    def of(cls, found: Covered, pairs: PosePairs) -> _Steps:
        """Compare poses and velocities with the truth."""
        at = np.searchsorted(found.path.stamps_ns, pairs.stamps_ns)
        odom_from_world = pairs.estimate[0] @ np.linalg.inv(pairs.truth[0])
        true = odom_from_world @ pairs.truth  # covariances of poses are in the axes of odom
        poses, twists = [], []
        for i in range(1, len(pairs)):
            error = motion_error(pairs.estimate[i], true[i])
            poses.append(_nees(error, found.covariances[at[i]]))
            if at[i] == at[i - 1] + 1:  # or the velocity is not that since the pose before
                seconds = (pairs.stamps_ns[i] - pairs.stamps_ns[i - 1]) / 1e9
                velocity = twist_of(np.linalg.inv(true[i - 1]) @ true[i], seconds)
                error = found.twists[at[i]] - velocity
                twists.append(_nees(error, found.twist_covariances[at[i]]))
        return cls(pose=np.array(poses), twist=np.array(twists))


def _nees(error: FloatArray, covariance: FloatArray) -> float:
    try:
        return float(nees(error[None], covariance[None])[0])
    except ConsistencyError:
        return float('nan')  # nothing was stated


def _consistency(steps: _Steps | None, why: str) -> list[Metric]:
    from scipy.stats import chi2

    bound = float(chi2.ppf(0.95, 6))
    if steps is not None:
        why = 'no covariance was stated'
    kind = Kind(
        name='poses in 95 %',
        unit='%',
        digits=1,
        doc='poses within the ellipsoid that should hold 95 % of them, as seen from the first',
        source=BAR_SHALOM,
        statistic='share',
    )
    step = replace(
        kind, name='motions in 95 %', doc='the same of the velocities from pose to pose (twist)'
    )
    mean = replace(
        kind,
        name='NEES',
        unit='',
        doc='mean normalised squared error of these velocities; 6 where the covariance is true',
        statistic='mean',
    )
    return [
        kind.of(_inside(steps.pose, bound) if steps else (), why),
        step.of(_inside(steps.twist, bound) if steps else (), why),
        mean.of(steps.twist if steps else (), why),
    ]


def _inside(values: FloatArray, bound: float) -> FloatArray:
    return np.where(np.isfinite(values), 100.0 * (values <= bound), np.nan)


def _notes(pairs: PosePairs, found: Covered) -> tuple[str, ...]:
    way = path_length(pairs.truth)
    poses = len(found.path.stamps_ns)
    anew = (
        f'Time jumped back: the odometry began {found.beginnings} times. This is the longest of '
        f'these ways, {poses} poses.'
    )
    return (
        *([anew] if found.beginnings > 1 else ()),
        f'{len(pairs)} of {poses} poses have a true one; the true way is {way:.1f} m long.',
        'ATE and RPE say how the estimate was aligned; a robot has the numbers without alignment.',
    )


def _drawn(pairs: PosePairs) -> list[tuple[Alignment, str]]:
    """Return the alignments that are drawn, without those that the poses do not decide."""
    return [(one, word) for one, word in DRAWN if not degenerate(pairs, one)]


def _paths(pairs: PosePairs) -> Plot:
    found = [(word, align(pairs, one)(pairs.estimate), False) for one, word in _drawn(pairs)]
    return from_above([('truth', pairs.truth, True), *found])


def _over_time(pairs: PosePairs) -> Plot:
    seconds = (pairs.stamps_ns - pairs.stamps_ns[0]) / 1e9
    return Plot(
        title='Error of the position',
        x='time (s)',
        y='error (m)',
        series=tuple(
            Series(name=word, x=seconds, y=absolute_errors(pairs, alignment).metres)
            for alignment, word in _drawn(pairs)
        ),
    )
