"""Boxes along the axes of a picture.

Letters in this file: N M boxes, each (left, top, right, bottom) in pixels.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dlcv.types import FloatArray


def areas(boxes: FloatArray) -> FloatArray:
    """Return the areas ``(N,)`` of boxes ``(N, 4)``; 0 for what is turned inside out."""
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0)
    return np.asarray(sides[:, 0] * sides[:, 1])


def common_areas(first: FloatArray, second: FloatArray) -> FloatArray:
    """Return the areas ``(N, M)`` that boxes ``(N, 4)`` have in common with boxes ``(M, 4)``."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    sides = np.maximum(high - low, 0)
    return np.asarray(sides[..., 0] * sides[..., 1])


def overlaps(first: FloatArray, second: FloatArray) -> FloatArray:
    """Return intersection over union ``(N, M)``; 0 for two boxes without area."""
    common = common_areas(first, second)
    union = areas(first)[:, None] + areas(second)[None] - common
    return np.asarray(np.divide(common, union, out=np.zeros_like(common), where=union > 0))


def strongest(
    boxes: FloatArray, scores: FloatArray, kinds: npt.NDArray[np.integer], most: float
) -> npt.NDArray[np.intp]:
    """Return which boxes are left by non-maximum suppression, the best first.

    The best box of a kind stays, those of its kind that it overlaps by more than ``most`` go, and
    so on with the next of those that are left. All are judged at once, again and again, by what
    was left the last time; from round to round this settles from the best box downwards, so it
    ends after as many rounds as the longest chain of boxes has links.

    Args:
        boxes: ``(N, 4)``.
        scores: ``(N,)``.
        kinds: ``(N,)``; boxes of different kinds leave each other alone.
        most: Intersection over union that two boxes of one kind may have.
    """
    order = np.argsort(-scores, kind='stable')
    ranked, kind = boxes[order], kinds[order]
    rivals = (overlaps(ranked, ranked) > most) & (kind[:, None] == kind[None])
    better = np.triu(rivals, 1)  # [i, j]: i would put j out
    left: npt.NDArray[np.bool_] = np.ones(len(order), np.bool_)
    while True:
        now = np.asarray(~(better & left[:, None]).any(0), np.bool_)
        if (now == left).all():
            return order[left]
        left = now
