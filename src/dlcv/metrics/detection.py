"""How good boxes around things are: average precision, as COCO's evaluation has it.

The boxes of a kind are taken from all pictures, the best score first. Each is right if it overlaps
a thing of that kind in its picture enough, by intersection over union, and none before it did so
with that thing. Precision as a function of recall is made falling, read at 101 recalls and
averaged; the mean over kinds, and of mAP over overlaps of 0.5, 0.55 ... 0.95 too, is the figure.

Things that nobody can be asked to find (see `countable`) are ignored: a box that fits none but
them is neither right nor wrong, as COCO does with things that are out of the range of sizes.

Letters in this file: N boxes and M things of a picture, T overlaps, C kinds.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from dlcv.geometry.boxes import overlaps
from dlcv.metrics.quantity import Quantity
from dlcv.things import KINDS
from dlcv.types import ByteImage, FloatArray, Objects

OVERLAPS = np.linspace(0.5, 0.95, 10)
"""``(T,)`` intersection over union from which on a box fits a thing."""
MOST = 100  # boxes of a kind in a picture that are looked at
LEAST_SIDE, LEAST_PIXELS, LEAST_SHARE = 6.0, 40.0, 0.25

_SOURCE = 'Lin et al., ECCV 2014; COCO detection evaluation'
_RECALLS = np.linspace(0, 1, 101)
_RIGHT, _WRONG, _IGNORED = 1, 0, -1
QUANTITIES = (
    Quantity(
        name='mAP@.5',
        unit='%',
        better='high',
        digits=1,
        doc='average precision of boxes that overlap by half, mean of the kinds that there are',
        source='Everingham et al., IJCV 2010, with 101 recalls',
    ),
    Quantity(
        name='mAP',
        unit='%',
        better='high',
        digits=1,
        doc='the same, mean over overlaps of 0.5, 0.55 ... 0.95',
        source=_SOURCE,
    ),
    Quantity(
        name='recall@.5',
        unit='%',
        better='high',
        digits=1,
        doc='things that any box overlaps by half, mean of the kinds that there are',
        source=_SOURCE,
    ),
)
"""In the order of the fields of `DetectionScores`, the shares as per cent."""


class DetectionMetricError(ValueError):
    """Arrays that do not fit each other; the message names their shapes."""


def countable(
    box: FloatArray, pixels: npt.NDArray[np.number], share: FloatArray
) -> npt.NDArray[np.bool_]:
    """Return which things somebody can be asked to find, ``(M,)``.

    Args:
        box: ``(M, 4)`` around what is seen of them, pixels; neither side may be below 6.
        pixels: ``(M,)`` that show them; 40 at least.
        share: ``(M,)`` how much of them is seen; a quarter at least.
    """
    sides = box[:, 2:] - box[:, :2]
    large = (sides.min(1, initial=np.inf) >= LEAST_SIDE) & (pixels >= LEAST_PIXELS)
    return np.asarray(large & (share >= LEAST_SHARE), np.bool_)


def wanted(seen: Objects) -> npt.NDArray[np.bool_]:
    """Return which things of a picture somebody can be asked to find; see `countable`."""
    return countable(seen.box, seen.pixels, seen.share)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DetectionScores:
    """Shares in [0, 1]; NaN where nothing can be said.

    Attributes:
        map_half: Mean of ``precision`` at an overlap of 0.5 over the kinds that the truth has.
        map_all: Mean of ``precision`` over them and all overlaps.
        recall_half: Mean over them of the share of things that a box overlaps by 0.5.
        precision: ``(C, T)`` average precision; NaN where the truth has nothing of the kind.
        things: ``(C,)`` how many there are that count.
    """

    map_half: float
    map_all: float
    recall_half: float
    precision: FloatArray
    things: npt.NDArray[np.int64]


@dataclass(slots=True)
class DetectionTally:
    """Collects pictures and says how good their boxes are."""

    classes: int = len(KINDS)
    _things: npt.NDArray[np.int64] = field(init=False)
    _scores: list[list[FloatArray]] = field(init=False)
    _verdicts: list[list[npt.NDArray[np.int8]]] = field(init=False)

    def __post_init__(self) -> None:
        self._things = np.zeros(self.classes, np.int64)
        self._scores = [[] for _ in range(self.classes)]
        self._verdicts = [[] for _ in range(self.classes)]

    def add(
        self,
        found: tuple[FloatArray, ByteImage, FloatArray],
        truth: tuple[FloatArray, ByteImage, npt.NDArray[np.bool_]],
    ) -> None:
        """Add a picture.

        Args:
            found: Boxes ``(N, 4)``, their kinds ``(N,)`` and their scores ``(N,)``.
            truth: Boxes ``(M, 4)``, their kinds ``(M,)``, and which count ``(M,)``.

        Raises:
            DetectionMetricError: If the shapes do not fit.
        """
        for boxes, kinds, more in (found, truth):
            if boxes.shape != (len(kinds), 4) or kinds.shape != more.shape or kinds.ndim != 1:
                raise DetectionMetricError(
                    'a picture needs boxes (N, 4), kinds (N,) and scores or marks (N,), got '
                    f'{boxes.shape}, {kinds.shape} and {more.shape}'
                )
        for kind in np.union1d(found[1], truth[1]).astype(int).tolist():
            if kind >= self.classes:
                raise DetectionMetricError(f'kinds must be below {self.classes}, got {kind}')
            boxes, _, scores = (part[found[1] == kind] for part in found)
            things, _, counts = (part[truth[1] == kind] for part in truth)
            best = np.argsort(-scores, kind='stable')[:MOST]
            self._things[kind] += int(counts.sum())
            self._scores[kind].append(scores[best])
            self._verdicts[kind].append(verdicts(boxes[best], things, counts.astype(np.bool_)))

    def scores(self) -> DetectionScores:
        """Return the figures of all pictures so far."""
        precision = np.full((self.classes, len(OVERLAPS)), np.nan)
        recall = np.full(self.classes, np.nan)
        for kind in np.flatnonzero(self._things).tolist():
            order = np.argsort(-np.concatenate(self._scores[kind]), kind='stable')
            verdict = np.concatenate(self._verdicts[kind], 1)[:, order]
            count = int(self._things[kind])
            precision[kind] = [average_precision(row[row != _IGNORED], count) for row in verdict]
            recall[kind] = (verdict[0] == _RIGHT).sum() / count
        seen = self._things > 0
        return DetectionScores(
            map_half=float(precision[seen, 0].mean()) if seen.any() else np.nan,
            map_all=float(precision[seen].mean()) if seen.any() else np.nan,
            recall_half=float(recall[seen].mean()) if seen.any() else np.nan,
            precision=precision,
            things=self._things.copy(),
        )


def verdicts(
    boxes: FloatArray, things: FloatArray, counts: npt.NDArray[np.bool_]
) -> npt.NDArray[np.int8]:
    """Return of each box at each overlap whether it is right: 1, wrong: 0 or ignored: -1.

    Args:
        boxes: ``(N, 4)`` of one kind in one picture, the best first.
        things: ``(M, 4)`` of that kind there.
        counts: ``(M,)`` which count.

    Returns:
        ``(T, N)``.
    """
    verdict = np.full((len(OVERLAPS), len(boxes)), _WRONG, np.int8)
    if not len(things):
        return verdict
    fit, every = overlaps(boxes, things), np.arange(len(OVERLAPS))
    free = np.ones((len(OVERLAPS), len(things)), np.bool_)
    for i, overlap in enumerate(fit):
        fits = free & (overlap >= OVERLAPS[:, None] - 1e-10)
        # The best of those that count; of the others only where none of these fits.
        rank = np.where(fits, overlap + 2.0 * counts, -1.0)
        best = rank.argmax(1)
        matched = fits[every, best]
        verdict[matched, i] = np.where(counts[best], _RIGHT, _IGNORED)[matched]
        free[every[matched], best[matched]] = False
    return verdict


def average_precision(right: npt.NDArray[np.int8], things: int) -> float:
    """Return the mean of precision at 101 recalls.

    Args:
        right: ``(N,)`` 1 for right boxes, 0 for wrong ones, the best score first.
        things: How many there are to be found.
    """
    if not len(right):
        return 0.0
    hits = np.cumsum(right, dtype=np.int64)
    recall, precision = hits / things, hits / np.arange(1, len(right) + 1)
    falling = np.maximum.accumulate(precision[::-1])[::-1]
    place = np.searchsorted(recall, _RECALLS, side='left')
    return float(np.append(falling, 0.0)[place].mean())
