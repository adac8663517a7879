"""Keypoints and matches against the true flow between two pictures."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dlcv.evaluation.model import Metric, Section
from dlcv.evaluation.parts import NO_TRUTH, Kind, Worst
from dlcv.types import FloatArray

DETONE = 'DeTone et al., CVPRW 2018'
WITHIN = 3.0  # px
MMA = (1, 3, 5)  # px


class Features:
    """Collects what keypoints and matches are worth.

    The truth is where a pixel of the last picture is in this one; where it is not known, or leads
    out of the picture, a point does not count.
    """

    def __init__(self) -> None:
        self._counts: list[float] = []
        self._matches: list[float] = []
        self._accuracy: dict[int, list[float]] = {pixels: [] for pixels in MMA}
        self._repeated: list[float] = []
        self._errors: list[float] = []
        self._scores: list[float] = []
        self._last: tuple[int, FloatArray] | None = None
        self.worst = Worst('share of wrong matches')

    def add_keypoints(self, stamp_ns: int, xy: FloatArray, truth: FloatArray | None) -> None:
        """Take the keypoints ``(N, 2)`` of a picture, and the true flow to it from the last."""
        self._counts.append(len(xy))
        last, self._last = self._last, (stamp_ns, xy)
        if last is None or truth is None or not len(xy):
            return
        there = carried(last[1], truth)
        seen = there[np.isfinite(there).all(axis=1)]
        if len(seen):
            gaps = _nearest(seen, xy)
            again = gaps <= WITHIN
            self._repeated.append(float(np.mean(again)))
            self._errors.append(float(np.mean(gaps[again])) if again.any() else np.nan)

    def add_matches(
        self, stamp_ns: int, before: FloatArray, after: FloatArray, truth: FloatArray | None
    ) -> None:
        """Take matches ``(M, 2)`` in the last picture and in this one."""
        self._matches.append(len(after))
        if truth is None or not len(after):
            return
        off = np.linalg.norm(carried(before, truth) - after, axis=1)
        known = off[np.isfinite(off)]
        if not len(known):
            return
        for pixels in MMA:
            self._accuracy[pixels].append(float(np.mean(known <= pixels)))
        if self._last is not None and len(self._last[1]):
            self._scores.append(float(np.sum(known <= WITHIN) / len(self._last[1])))
        self.worst.add(1 - float(np.mean(known <= WITHIN)), stamp_ns)

    def section(self) -> Section:
        """Return what was found."""
        metrics: list[Metric] = [
            Kind(name='keypoints', digits=0, doc='of a picture').of(self._counts, 'no pictures'),
            Kind(name='matches', digits=0, doc='to the last picture').of(
                self._matches, 'none sent'
            ),
            Kind(
                name='repeatability',
                better='high',
                doc=f'points of the last picture with one within {WITHIN:g} px of their place',
                source=DETONE,
            ).of(self._repeated),
            Kind(
                name='MLE', unit='px', better='low', doc='how far off those are', source=DETONE
            ).of(self._errors),
            *(
                Kind(
                    name=f'MMA@{pixels}',
                    better='high',
                    doc=f'share of the matches that are off by {pixels} px at most',
                    source='Dusmanu et al., CVPR 2019',
                ).of(self._accuracy[pixels])
                for pixels in MMA
            ),
            Kind(
                name='matching score',
                better='high',
                doc=f'matches right within {WITHIN:g} px, per keypoint of the picture',
                source=DETONE,
            ).of(self._scores),
            Kind(name='homography', doc='share of pictures whose homography is found').value(
                None, 'no truth: the scene of a bag is no plane'
            ),
        ]
        notes = () if self._repeated or self._scores else (f'{NO_TRUTH}: it needs true flow.',)
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
