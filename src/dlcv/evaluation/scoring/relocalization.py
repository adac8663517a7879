"""Poses in a map against the truth: shares within bounds, medians, false accepts."""

from __future__ import annotations

import numpy as np

from dlcv.evaluation.scoring.model import Metric, Plot, Section, Series
from dlcv.evaluation.scoring.parts import MAX_GAP_NS, NO_TRUTH, Kind, Worst
from dlcv.geometry.trajectory import NEAR_NS, pose_at
from dlcv.metrics.relocalization import (
    ANSWERED,
    BOUNDS,
    FALSE_ACCEPTS,
    MEDIAN,
    MEDIAN_TURN,
    relocalizations,
    within,
)
from dlcv.types import FloatArray, Trajectory


def relocalization_section(
    found: dict[int, FloatArray],
    stamps: list[int],
    truth: Trajectory | None,
    *,
    elsewhere: bool = False,
    why: str = NO_TRUTH,
    max_gap_ns: int = MAX_GAP_NS,
    near_ns: int = NEAR_NS,
) -> tuple[Section, Worst]:
    """Return what poses in a map are worth, and the worst of them.

    Args:
        found: Accepted poses ``map_from_base`` by time.
        stamps: Times of all images that were looked at.
        truth: ``map_from_base`` over time; None without.
        elsewhere: Whether the pictures are of another place than the map, so that each pose is a
            false one.
        why: Why there is no truth.
        max_gap_ns: Time between two true poses beyond which none is taken between them.
        near_ns: Difference of two times that belong together.
    """
    answered = [100.0 * (stamp in found) for stamp in stamps]
    accepted = Kind.like(ANSWERED, 'share', doc='images with an accepted pose')
    false = Kind.like(FALSE_ACCEPTS, 'share', doc='images of another place with a pose')
    metrics = [accepted.of(answered, 'no images')]
    metrics.append(
        false.of(answered, 'no images') if elsewhere else false.value(None, 'not asked for')
    )
    worst = Worst('distance', 'm')
    if elsewhere:
        truth, why = None, 'another place'
    elif truth is not None:
        why = f'{NO_TRUTH} at the times of the images'
    poses = {s: pose_at(truth, s, max_gap_ns, near_ns) for s in stamps} if truth is not None else {}
    true = {stamp: pose for stamp, pose in poses.items() if pose is not None}
    metrics += _errors(found, true, why, worst)
    section = Section(
        name='relocalization',
        title='Relocalization',
        metrics=tuple(metrics),
        plots=(_from_above(found, truth),) if found and not elsewhere else (),
        notes=(f'{len(true)} of {len(stamps)} images have a true pose.',) if true else (),
    )
    return section, worst


def _errors(
    found: dict[int, FloatArray], true: dict[int, FloatArray], why: str, worst: Worst
) -> list[Metric]:
    errors = relocalizations([found.get(s) for s in true], list(true.values()))
    for stamp, metres in zip(true, errors.metres, strict=True):
        worst.add(float(metres), stamp)
    shares = [
        Kind.like(
            within(*bound),
            'share',
            doc='images whose pose is off by less, of all that have a true one',
        ).of(100.0 * errors.inside(*bound), why)
        for bound in BOUNDS
    ]
    median, turn = Kind.like(MEDIAN, 'median'), Kind.like(MEDIAN_TURN, 'median')
    metres, degrees = errors.medians
    lost = 'most images have no pose' if true else why
    return [*shares, median.value(metres, lost), turn.value(degrees, lost)]


def _from_above(found: dict[int, FloatArray], truth: Trajectory | None) -> Plot:
    at = np.array([pose[:2, 3] for pose in found.values()])
    series = [Series(name='accepted poses', x=at[:, 0], y=at[:, 1], style='points')]
    if truth is not None:
        way = truth.world_from_body[:, :2, 3]
        series.insert(0, Series(name='truth', x=way[:, 0], y=way[:, 1], style='truth'))
    return Plot(title='Poses in the map', x='x (m)', y='y (m)', equal=True, series=tuple(series))
