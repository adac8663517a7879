"""Keypoints and matches against the true flow between two pictures."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from dlcv.evaluation.scoring.model import Metric, Section
from dlcv.evaluation.scoring.parts import NO_TRUTH, Kind, Worst
from dlcv.metrics.features import CORRECT_WITHIN, MATCHING_SCORE, MLE, REPEATABILITY, mma
from dlcv.types import FloatArray

MMA = (1, 3, 5)  # px


class Features:
    """Collects what keypoints and matches are worth.

    The truth is where a pixel of the image before is in this one; where it is not known, or leads
    out of the picture, a point does not count. Where the image before was left out there is no
    truth, as points are compared with those of the last picture that was looked at.

    Args:
        before: Time of an image -> of the image before it, from which the true flow leads.
    """

    def __init__(self, before: Mapping[int, int]) -> None:
        self._before = before
        self._counts: dict[int, int] = {}
        self._since: dict[int, int] = {}
        self._matches: list[float] = []
        self._right: dict[int, tuple[int, ...]] = {}  # all with truth, then within each of MMA
        self._repeated: list[float] = []
        self._errors: list[float] = []
        self._last: tuple[int, FloatArray] | None = None

    def add_keypoints(self, stamp_ns: int, xy: FloatArray, truth: FloatArray | None) -> None:
        """Take the keypoints ``(N, 2)`` of a picture, and the true flow to it from the last."""
        self._counts[stamp_ns] = len(xy)
        last, self._last = self._last, (stamp_ns, xy)
        if last is None:
            return
        self._since[stamp_ns] = last[0]
        if truth is None or self._skips(stamp_ns):
            return
        there = carried(last[1], truth)
        seen = there[np.isfinite(there).all(axis=1)]
        if len(seen):
            gaps = _nearest(seen, xy)
            again = gaps <= CORRECT_WITHIN
            self._repeated.append(float(np.mean(again)))
            self._errors.append(float(np.mean(gaps[again])) if again.any() else np.nan)

    def add_matches(
        self, stamp_ns: int, before: FloatArray, after: FloatArray, truth: FloatArray | None
    ) -> None:
        """Take matches ``(M, 2)`` in the last picture and in this one, in any order with points."""
        self._matches.append(len(after))
        if truth is None or not np.isfinite(truth).any():
            return
        off = np.linalg.norm(carried(before, truth) - after, axis=1)
        right = tuple(int(np.sum(off <= pixels)) for pixels in (np.inf, *MMA))
        if right[0] or not len(after):
            self._right[stamp_ns] = right

    @property
    def worst(self) -> Worst:
        """The pictures with the most wrong matches."""
        worst = Worst('share of wrong matches')
        for stamp, (known, *right) in self._known.items():
            if known:
                worst.add(1 - right[MMA.index(CORRECT_WITHIN)] / known, stamp)
        return worst

    @property
    def _known(self) -> dict[int, tuple[int, ...]]:
        """How many matches are right, by time, where the image before was not left out."""
        return {stamp: right for stamp, right in self._right.items() if not self._skips(stamp)}

    @property
    def _scores(self) -> list[float]:
        """Right matches per keypoint of each picture; without a match none is right."""
        place = 1 + MMA.index(CORRECT_WITHIN)
        counts = ((right[place], self._counts.get(s)) for s, right in self._known.items())
        return [right / count for right, count in counts if count]

    def _skips(self, stamp_ns: int) -> bool:
        return self._since.get(stamp_ns) not in (None, self._before.get(stamp_ns))

    def section(self) -> Section:
        """Return what was found."""
        known = [right for right in self._known.values() if right[0]]
        scores = self._scores
        metrics: list[Metric] = [
            Kind(name='keypoints', digits=0, doc='of a picture').of(
                list(self._counts.values()), 'no pictures'
            ),
            Kind(name='matches', digits=0, doc='to the last picture').of(
                self._matches, 'none sent'
            ),
            Kind.like(
                REPEATABILITY,
                doc=f'points of the last picture that are found within {CORRECT_WITHIN:g} px again',
            ).of(self._repeated),
            Kind.like(MLE, doc='how far off those are').of(
                self._errors, 'no point was found again' if self._errors else NO_TRUTH
            ),
            *(
                Kind.like(
                    mma(pixels), doc=f'share of the matches that are off by {pixels} px at most'
                ).of([right[place] / right[0] for right in known])
                for place, pixels in enumerate(MMA, start=1)
            ),
            Kind.like(
                MATCHING_SCORE,
                doc=f'matches right within {CORRECT_WITHIN:g} px, per keypoint of the picture',
            ).of(scores),
            Kind(name='homography', doc='share of pictures whose homography is found').value(
                None, 'no truth: the scene of a bag is no plane'
            ),
        ]
        notes = () if self._repeated or scores else (f'{NO_TRUTH}: it needs true flow.',)
        return Section(name='features', title='Features', metrics=tuple(metrics), notes=notes)


def carried(xy: FloatArray, flow: FloatArray) -> npt.NDArray[np.float64]:
    """Return where points ``(N, 2)`` are by a flow ``(H, W, 2)``; NaN where it is not known.

    The flow of the nearest pixel is taken: between two, at an edge, it would be nobody's.
    """
    height, width = flow.shape[:2]
    x, y = np.rint(xy).astype(int).T
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    there = np.full((len(xy), 2), np.nan)
    there[inside] = xy[inside] + flow[y[inside], x[inside]]
    out = (there < -0.5) | (there > np.array([width, height]) - 0.5)
    there[out.any(axis=1)] = np.nan
    return there


def _nearest(points: FloatArray, others: FloatArray) -> npt.NDArray[np.float64]:
    """Return how far each point is from the nearest of the others."""
    from scipy.spatial import KDTree

    return np.asarray(KDTree(others).query(points)[0], np.float64)
