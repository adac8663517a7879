"""What a recording was worth as a survey of its place: numbers, words, and a picture from above."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dlcv.config import to_dict
from dlcv.estimation.slam.files import save_place
from dlcv.estimation.slam.graph import solve
from dlcv.estimation.slam.place import PlaceMap
from dlcv.files import write_whole
from dlcv.training.maps.survey import Survey
from dlcv.view.panel import write_picture
from dlcv.view.survey import survey_picture
from dlcv.view.trajectory import path_length

_APART = 15  # keyframes between which a landmark was not simply followed
_TWICE = 15  # landmarks of another visit that make a keyframe seen twice
_THIN = 25  # landmarks that neighbours should share
_SAMPLE = 40  # keyframes whose deviations are computed


@dataclass(frozen=True, kw_only=True, slots=True)
class Closed:
    """A loop: when the place was seen first, and again, in seconds since the beginning."""

    first: float
    again: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Stretch:
    """A part of the recording, in seconds since its beginning."""

    begin: float
    end: float


@dataclass(frozen=True, kw_only=True)
class SurveyReport:
    """What was made, as it stands in the JSON beside the map.

    Attributes:
        map: Name of the file.
        frame: Of its coordinates.
        source: What it was made of.
        metre: What the metre comes from.
        pictures: How many there were.
        lost: Why odometry was lost -> in how many pictures.
        seconds: How long the recording is.
        metres: Length of the way.
        keyframes: How many the map has.
        landmarks: How many it has.
        shared: How many of them three keyframes or more see.
        loops: Where the way met itself.
        distrusted: Loops that the rest of the map contradicts.
        refused: Why candidates for loops were none -> how many.
        twice: Share of the keyframes that were seen on another visit too.
        corrected: Metres by which loops moved a picture, at most.
        deviation: Of the least certain keyframe's position against the first, metres.
        thin: Where neighbours share few landmarks.
    """

    map: str
    frame: str
    source: str
    metre: str
    pictures: int
    lost: dict[str, int]
    seconds: float
    metres: float
    keyframes: int
    landmarks: int
    shared: int
    loops: tuple[Closed, ...]
    distrusted: int
    refused: dict[str, int]
    twice: float
    corrected: float
    deviation: float
    thin: tuple[Stretch, ...]


def write_survey(path: Path, found: Survey) -> SurveyReport:
    """Write a map and beside it, of the same name, its JSON and its picture."""
    place = found.place
    twice, thin = seen_twice(place), thin_at(place)
    report = _report(path, found, twice, thin)
    save_place(place, path)
    text = json.dumps(to_dict(report), indent=1, ensure_ascii=False, allow_nan=False)
    write_whole(path.with_suffix('.json'), text + '\n')
    marks = place.landmarks
    picture = survey_picture(
        marks.points[marks.sightings > 1],
        place.poses,
        [(edge.older, edge.newer) for edge in place.loops],
        twice,
        thin,
        title=path.stem,
    )
    write_picture(path.with_suffix('.png'), picture)
    return report


def seen_twice(place: PlaceMap) -> npt.NDArray[np.bool_]:
    """Return ``(K,)`` which keyframes see landmarks that another visit saw as well."""
    first = np.full(place.named, len(place), np.int64)
    last = np.full(place.named, -1, np.int64)
    for k, one in enumerate(place.keyframes):
        names = one.landmark[one.landmark >= 0]
        first[names], last[names] = np.minimum(first[names], k), np.maximum(last[names], k)
    found = []
    for k, one in enumerate(place.keyframes):
        names = one.landmark[one.landmark >= 0]
        elsewhere = (k - first[names] > _APART) | (last[names] - k > _APART)
        found.append(np.count_nonzero(elsewhere) >= _TWICE)
    return np.array(found, np.bool_)


def thin_at(place: PlaceMap) -> npt.NDArray[np.bool_]:
    """Return ``(K,)`` which keyframes share few landmarks with the one before."""
    thin = np.zeros(len(place), np.bool_)
    for k in range(1, len(place)):
        before, after = (place.keyframes[i] for i in (k - 1, k))
        if before.session == after.session:
            names = after.landmark[after.landmark >= 0]
            thin[k] = np.count_nonzero(np.isin(names, before.landmark)) < _THIN
    return thin


def worst_deviation(place: PlaceMap) -> float:
    """Return the standard deviation in metres of the least certain keyframe against the first."""
    solved = solve(place.poses, place.graph(), log_scale=place.log_scale, scaled=place.scaled)
    size = 7 if place.scaled else 6
    few = np.unique(np.linspace(0, len(place) - 1, min(_SAMPLE, len(place))).astype(np.int64))
    joint = solved.covariance(few)
    blocks = [joint[size * k : size * k + 3, size * k : size * k + 3] for k in range(len(few))]
    return float(np.sqrt(max(np.linalg.eigvalsh(block)[-1] for block in blocks)))


def _report(
    path: Path, found: Survey, twice: npt.NDArray[np.bool_], thin: npt.NDArray[np.bool_]
) -> SurveyReport:
    place = found.place
    stamps = np.array([one.stamp_ns for one in place.keyframes])
    seconds = (stamps - stamps[0]) / 1e9
    way = found.path.world_from_body
    odometry = way[0] @ np.linalg.inv(found.odometry[0]) @ found.odometry
    moved = np.linalg.norm(odometry[:, :3, 3] - way[:, :3, 3], axis=1)
    return SurveyReport(
        map=path.name,
        frame=place.frame,
        source=place.source,
        metre=found.metre,
        pictures=found.pictures,
        lost=found.lost,
        seconds=round(float(seconds[-1]), 3),
        metres=round(path_length(way), 3),
        keyframes=len(place),
        landmarks=len(place.landmarks),
        shared=int(np.count_nonzero(place.landmarks.sightings > 2)),
        loops=tuple(
            Closed(first=round(float(seconds[e.older]), 2), again=round(float(seconds[e.newer]), 2))
            for e in place.loops
        ),
        distrusted=len(place.trusted) - sum(place.trusted),
        refused=found.refused,
        twice=round(float(twice.mean()), 4),
        corrected=round(float(moved.max()), 4),
        deviation=round(worst_deviation(place), 4),
        thin=tuple(_stretches(thin, seconds)),
    )


def _stretches(thin: npt.NDArray[np.bool_], seconds: npt.NDArray[np.float64]) -> Iterable[Stretch]:
    """Return the stretches of keyframes in a row that are thin, each from the one before it on."""
    steps = np.diff(np.concatenate(([0], thin.astype(np.int8), [0])))
    for begin, end in zip(np.flatnonzero(steps == 1), np.flatnonzero(steps == -1), strict=True):
        yield Stretch(
            begin=round(float(seconds[max(begin - 1, 0)]), 2), end=round(float(seconds[end - 1]), 2)
        )


def survey_summary(report: SurveyReport, path: Path) -> str:
    """Return lines for people: what was made, and whether the recording was good enough."""
    unit = 'units that nothing measured' if report.metre == 'none' else 'm'
    made = (
        f'{report.keyframes} keyframes and {report.landmarks} landmarks, {report.shared} of them '
        f'seen by three keyframes or more, of {report.pictures} pictures over '
        f'{report.seconds:.1f} s and {report.metres:.1f} {unit}; the metre comes from: '
        f'{report.metre}'
    )
    lines = [made]
    if lost := sum(report.lost.values()):
        reason = max(report.lost, key=lambda one: report.lost[one])
        lines.append(f'lost in {lost} of {report.pictures} pictures, mostly: {reason}')
    lines.append(_loops(report))
    if report.thin:
        parts = ', '.join(f'{one.begin:.1f} to {one.end:.1f} s' for one in report.thin[:5])
        more = f' and {len(report.thin) - 5} more' if len(report.thin) > 5 else ''
        lines.append(
            f'thin: neighbours share fewer than {_THIN} landmarks at {parts}{more}; go there '
            'again, slower and where more is to be seen'
        )
    lines.append(
        f'the least certain keyframe is known to {100 * report.deviation:.1f} cm (1 sigma) against '
        'the first'
    )
    beside = ' and '.join(path.with_suffix(end).name for end in ('.json', '.png'))
    lines.append(f'wrote {path}, {beside}')
    return ''.join(f'{line}\n' for line in lines)


def _loops(report: SurveyReport) -> str:
    if not report.loops:
        tried = sum(report.refused.values())
        reason = max(report.refused, key=lambda one: report.refused[one], default='')
        why = f' ({tried} candidates, mostly: {reason})' if tried else ''
        return (
            f'no place was recognised again{why}: drift stays in the map; end a walk where it '
            'began, and look the same way there'
        )
    times = ', '.join(f'{one.again:.1f} s at {one.first:.1f} s' for one in report.loops[:4])
    more = f' and {len(report.loops) - 4} more' if len(report.loops) > 4 else ''
    wrong = f'; {report.distrusted} more were found wrong' if report.distrusted else ''
    return (
        f'{len(report.loops)} loops: {times}{more}{wrong}. {report.twice:.0%} of the keyframes '
        f'were seen twice; loops moved pictures by {100 * report.corrected:.1f} cm at most'
    )
