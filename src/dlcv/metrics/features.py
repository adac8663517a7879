"""How good interest points and descriptors are, on two pictures whose homography is known.

Letters in this file: N M points of the first and of the second picture, K matches.

Definitions are those of DeTone et al., "SuperPoint" (CVPRW 2018), appendix A, where no other source
is named. A point counts only if the other picture shows its place. Where the paper is symmetric, so
is this: a point of the first picture is carried to the second and compared there, and the other way
round. Numbers are NaN where nothing was there to be measured, and `mean_known` leaves these out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf, nan
from typing import Any

import numpy as np
import numpy.typing as npt

from dlcv.metrics.quantity import Quantity
from dlcv.types import FloatArray

Indices = npt.NDArray[np.integer[Any]]
Flags = npt.NDArray[np.bool_]

CORRECT_WITHIN = 3.0
"""Pixels; the paper's epsilon of detector and descriptor metrics."""


_DETONE = 'DeTone et al., CVPRW 2018'
REPEATABILITY = Quantity(
    name='repeatability',
    better='high',
    doc=f'repeatability at {CORRECT_WITHIN:g} px',
    source=_DETONE,
)
MLE = Quantity(name='MLE', unit='px', better='low', doc='mean localization error', source=_DETONE)
MATCHING_SCORE = Quantity(
    name='matching score',
    better='high',
    doc=f'matching score at {CORRECT_WITHIN:g} px',
    source=_DETONE,
)


def mma(pixels: int) -> Quantity:
    """Return the mean matching accuracy within a bound."""
    return Quantity(
        name=f'MMA@{pixels}',
        better='high',
        doc=f'mean matching accuracy at {pixels} px',
        source='Dusmanu et al., CVPR 2019',
    )


class FeatureMetricError(ValueError):
    """Arrays that do not fit each other; the message names their shapes."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TrueMotion:
    """Where the points of one picture are in the other.

    Attributes:
        second_from_first: ``(3, 3)``; maps pixels (x, y, 1) of the first picture to the second.
        first_size: (height, width) of the first picture in pixels.
        second_size: The same of the second.
    """

    second_from_first: FloatArray
    first_size: tuple[int, int]
    second_size: tuple[int, int]

    def reversed(self) -> TrueMotion:
        """Return the motion from the second picture to the first."""
        return TrueMotion(
            second_from_first=np.linalg.inv(np.asarray(self.second_from_first, np.float64)),
            first_size=self.second_size,
            second_size=self.first_size,
        )

    def carry(self, xy: FloatArray) -> FloatArray:
        """Return ``(N, 2)`` pixels of the second picture for those of the first.

        What lies behind the camera becomes NaN.
        """
        return apply_homography(self.second_from_first, xy)

    def visible(self, xy: FloatArray) -> Flags:
        """Tell ``(N,)`` which points of the first picture the second one shows."""
        x, y = self.carry(xy).T
        height, width = self.second_size
        inside = (x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)
        return np.asarray(inside, bool)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Nearest:
    """For each point of one picture, the nearest descriptor of the other.

    Attributes:
        index: ``(N,)`` of the neighbour.
        distance: ``(N,)`` to it, in any unit in which less is more alike.
    """

    index: Indices
    distance: FloatArray


def repeatability(
    first_xy: FloatArray, second_xy: FloatArray, truth: TrueMotion, within: float = CORRECT_WITHIN
) -> float:
    """Return the share of points that are found again in the other picture, in [0, 1].

    A point is found again if the other picture has one within ``within`` pixels of its place:
    (repeated points of the first + of the second) / (N + M), over visible points.

    Args:
        first_xy: ``(N, 2)`` pixels.
        second_xy: ``(M, 2)`` pixels.
        truth: Where points move.
        within: Pixels of the picture in which the two are compared.
    """
    gaps = np.concatenate(_both_gaps(first_xy, second_xy, truth))
    return float(np.mean(gaps <= within)) if len(gaps) else nan


def localization_error(
    first_xy: FloatArray, second_xy: FloatArray, truth: TrueMotion, within: float = CORRECT_WITHIN
) -> float:
    """Return the mean distance of repeated points to where they should be, in pixels (MLE).

    Over the points that `repeatability` calls repeated; arguments as there. NaN if none is.
    """
    gaps = np.concatenate(_both_gaps(first_xy, second_xy, truth))
    repeated = gaps[gaps <= within]
    return float(np.mean(repeated)) if len(repeated) else nan


def matching_score(
    first_xy: FloatArray,
    second_xy: FloatArray,
    forth: Nearest,
    back: Nearest,
    truth: TrueMotion,
    within: float = CORRECT_WITHIN,
) -> float:
    """Return the share of points that detector and descriptor together bring home, in [0, 1].

    Correct nearest neighbours / visible points, the mean of both directions (the paper's M.Score).

    Args:
        first_xy: ``(N, 2)`` pixels.
        second_xy: ``(M, 2)`` pixels.
        forth: Neighbours in the second picture of the points of the first, N.
        back: Neighbours in the first picture of the points of the second, M.
        truth: Where points move.
        within: Pixels within which a neighbour is correct.
    """
    found = _correct_both_ways(first_xy, second_xy, forth, back, truth, within)
    return mean_known(float(np.mean(c)) if len(c) else nan for c, _ in found)


def nn_map(
    first_xy: FloatArray,
    second_xy: FloatArray,
    forth: Nearest,
    back: Nearest,
    truth: TrueMotion,
    within: float = CORRECT_WITHIN,
) -> float:
    """Return how well the descriptor's distance tells right from wrong neighbours, in [0, 1].

    The area under precision over recall as the accepted distance grows (`average_precision`), the
    mean of both directions (the paper's NN mAP). Every visible point takes its nearest neighbour,
    as in Mikolajczyk and Schmid, PAMI 2005; full recall is all neighbours that are correct.
    Arguments as of `matching_score`.
    """
    found = _correct_both_ways(first_xy, second_xy, forth, back, truth, within)
    return mean_known(average_precision(c, d) for c, d in found)


def average_precision(correct: Flags, distance: FloatArray) -> float:
    """Return the area under the steps of precision over recall, in [0, 1].

    The sum over all accepted distances of precision times the recall gained there; equal
    distances are accepted together (Manning et al., Introduction to Information Retrieval, 8.4).

    Args:
        correct: ``(K,)`` whether each is right.
        distance: ``(K,)``; the smallest are accepted first.

    Returns:
        0 if none is right, NaN of none at all.
    """
    _expect_same_length('correct', correct, 'distance', distance)
    if not len(correct):
        return nan
    order = np.argsort(distance, kind='stable')
    right = np.cumsum(np.asarray(correct, bool)[order])
    if not right[-1]:
        return 0.0
    last_of_equals = np.append(np.diff(np.asarray(distance)[order]) != 0, True)
    accepted = np.nonzero(last_of_equals)[0] + 1
    right = right[last_of_equals]
    return float(np.sum(right / accepted * np.diff(right, prepend=0)) / right[-1])


def matching_accuracy(
    first_xy: FloatArray,
    second_xy: FloatArray,
    matches: Indices,
    truth: TrueMotion,
    within: float = CORRECT_WITHIN,
) -> float:
    """Return the share of matches that are right to ``within`` pixels, in [0, 1] (MMA).

    Over all matches, those whose place the second picture does not show included; none at all
    is an accuracy of 0. As Dusmanu et al., "D2-Net" (CVPR 2019), sec. 5.1; the mean over pairs is
    the mean matching accuracy.

    Args:
        first_xy: ``(N, 2)`` pixels.
        second_xy: ``(M, 2)`` pixels.
        matches: ``(K, 2)`` indices into both.
        truth: Where points move.
        within: Pixels of the second picture.
    """
    if not len(matches):
        return 0.0
    gaps = _distances(truth.carry(first_xy[matches[:, 0]]), second_xy[matches[:, 1]])
    return float(np.mean(gaps <= within))


def corner_error(estimated: FloatArray | None, truth: TrueMotion) -> float:
    """Return how far an estimated homography is off, in pixels.

    The mean distance of the four corner pixels of the first picture, carried to the second by the
    estimate and by the truth. Infinite if there is no estimate or it sends a corner behind the
    camera.

    Args:
        estimated: ``(3, 3)`` second from first; None if none was found.
        truth: Where points move.
    """
    if estimated is None:
        return inf
    height, width = truth.first_size
    corners = np.array([[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]])
    error = float(np.mean(_distances(apply_homography(estimated, corners), truth.carry(corners))))
    return inf if np.isnan(error) else error


def homography_correct(errors: Iterable[float], within: float) -> float:
    """Return the share of homographies whose corner error is at most ``within`` pixels.

    Args:
        errors: One `corner_error` for each pair.
        within: Pixels; the paper takes 1, 3 and 5.
    """
    values = np.array(list(errors), np.float64)
    return float(np.mean(values <= within)) if len(values) else nan


def mean_known(values: Iterable[float]) -> float:
    """Return the mean of the values that are not NaN; NaN if none is known."""
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else nan


def apply_homography(matrix: FloatArray, xy: FloatArray) -> FloatArray:
    """Return ``(N, 2)`` pixels mapped by ``(3, 3)``; NaN for those behind the camera.

    The sign of the matrix has no meaning: that of its determinant is made positive, as it is of
    two pictures of one side of a plane (Hartley and Zisserman, 2nd ed., 21.2).
    """
    matrix = np.asarray(matrix, np.float64)
    matrix = matrix * np.sign(np.linalg.det(matrix))
    mapped = _points(xy) @ matrix[:, :2].T + matrix[:, 2]  # (N, 3)
    depth = np.where(mapped[:, 2:] > 0, mapped[:, 2:], nan)
    return np.asarray(mapped[:, :2] / depth)


def _both_gaps(
    first_xy: FloatArray, second_xy: FloatArray, truth: TrueMotion
) -> tuple[FloatArray, FloatArray]:
    """Return for the visible points of each picture how far the other's nearest point is."""
    back = truth.reversed()
    first_xy, second_xy = _points(first_xy), _points(second_xy)
    first_seen = first_xy[truth.visible(first_xy)]
    second_seen = second_xy[back.visible(second_xy)]
    return _gaps(truth.carry(first_seen), second_seen), _gaps(back.carry(second_seen), first_seen)


def _correct_both_ways(
    first_xy: FloatArray,
    second_xy: FloatArray,
    forth: Nearest,
    back: Nearest,
    truth: TrueMotion,
    within: float,
) -> list[tuple[Flags, FloatArray]]:
    """Return for both directions which visible points have a correct neighbour, and how near."""
    return [
        _correct(first_xy, second_xy, forth, truth, within),
        _correct(second_xy, first_xy, back, truth.reversed(), within),
    ]


def _correct(
    xy: FloatArray, other_xy: FloatArray, nearest: Nearest, truth: TrueMotion, within: float
) -> tuple[Flags, FloatArray]:
    xy, other_xy = _points(xy), _points(other_xy)
    _expect_same_length('points', xy, 'their neighbours', nearest.index)
    _expect_same_length('neighbours', nearest.index, 'distances', nearest.distance)
    seen = truth.visible(xy)
    if not len(other_xy):
        return np.zeros(int(seen.sum()), bool), np.full(int(seen.sum()), inf)
    gaps = _distances(truth.carry(xy[seen]), other_xy[nearest.index[seen]])
    return gaps <= within, nearest.distance[seen]


def _gaps(xy: FloatArray, others: FloatArray) -> FloatArray:
    """Return ``(N,)`` how far the nearest of ``others`` is from each point; inf if none is."""
    if not len(others):
        return np.full(len(xy), inf)
    return np.asarray(_distances(xy[:, None], others[None]).min(axis=1, initial=inf))  # (N, M)


def _distances(a: FloatArray, b: FloatArray) -> FloatArray:
    return np.asarray(np.linalg.norm(a - b, axis=-1))


def _points(xy: FloatArray) -> FloatArray:
    return np.asarray(xy, np.float64).reshape(-1, 2)


def _expect_same_length(
    name: str, values: npt.NDArray[Any], other_name: str, others: npt.NDArray[Any]
) -> None:
    if len(values) != len(others):
        raise FeatureMetricError(f'{len(values)} {name}, but {len(others)} {other_name}')
