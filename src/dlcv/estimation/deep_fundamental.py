"""Matches of two pictures to how much each is to be believed, and their fundamental matrix.

Letters in this file: N matches, S values of side information.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import torch

from dlcv.estimation.base import Estimator
from dlcv.geometry.epipolar import epipolar_errors
from dlcv.networks.deep_fundamental import LEAST, DeepFundamental
from dlcv.types import FloatArray

_PERCENTILES = (25, 50, 75)  # of the weights, above which matches are looked at once more
_LEAST_REFIT = 9
_WITHIN = 1.0  # pixels


@dataclass(frozen=True, kw_only=True, slots=True)
class MatchWeigherSettings:
    """How matches are weighed.

    Attributes:
        refit: Look for a better matrix among the matches of great weight; see `refit`.
    """

    refit: bool = False


class Weighed(NamedTuple):
    """What is known of matches.

    Attributes:
        weights: ``(N,)`` float32, not negative, which sum to one; a match of ``1 / N`` is believed
            as much as the mean one.
        fundamental: ``(3, 3)`` in pixels, norm 1, ``x1^T F x2 = 0`` with x1 the previous picture's;
            zeros where there are too few matches to decide it.
    """

    weights: FloatArray
    fundamental: FloatArray


class MatchWeigher(Estimator[DeepFundamental]):
    """The deep fundamental matrix on the matches of one pair of pictures at a time.

    Args:
        network: The network.
        settings: May be replaced between two pairs.
        device: See `Estimator`.
        precision: See `Estimator`.
    """

    def __init__(
        self,
        network: DeepFundamental,
        settings: MatchWeigherSettings | None = None,
        device: str = 'auto',
        precision: str = 'fp32',
    ) -> None:
        super().__init__(network, device, precision)
        self.settings = settings or MatchWeigherSettings()

    def weigh(
        self,
        previous_xy: npt.ArrayLike,
        xy: npt.ArrayLike,
        scores: npt.ArrayLike,
        side: npt.ArrayLike | None = None,
    ) -> Weighed:
        """Weigh matches.

        Args:
            previous_xy: ``(N, 2)`` pixels in the previous picture.
            xy: ``(N, 2)`` pixels of the same points in this one.
            scores: ``(N,)`` cosines of the descriptors of both.
            side: ``(N, S - 1)`` what else the network was taught to look at, such as differences of
                the points' scales and angles; zeros without.

        Returns:
            Weights and matrix. A match with a number that is not finite has no weight, and fewer
            than eight others share it evenly: they cannot contradict each other.

        Raises:
            ValueError: If the arrays are of different lengths.
        """
        first, second = (np.asarray(x, np.float32).reshape(-1, 2) for x in (previous_xy, xy))
        cosine = np.asarray(scores, np.float32).reshape(-1)
        if not len(first) == len(second) == len(cosine):
            raise ValueError(
                'matches need as many points in both pictures as scores, got '
                f'{len(first)}, {len(second)} and {len(cosine)}'
            )
        values = self._side(cosine, side)  # (N, S)
        known = np.isfinite(np.concatenate((first, second, values), 1)).all(1)
        weights = np.zeros(len(first), np.float32)
        if known.sum() < LEAST:
            weights[known] = 1 / max(1, int(known.sum()))
            return Weighed(weights, np.zeros((3, 3)))
        matches = np.concatenate((first, second), 1)[known]
        with self._inference():
            found = self.network(self._batch(matches), self._batch(normal(values[known])))
            fundamental = found.in_pixels()[0].cpu().numpy()
            weights[known] = found.weights[-1, 0].float().cpu().numpy()
        fundamental = fundamental / np.linalg.norm(fundamental)
        if self.settings.refit:
            fundamental = refit(first[known], second[known], weights[known], fundamental)
        return Weighed(weights, fundamental)

    def _batch(self, array: FloatArray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array, np.float32))[None].to(self.device)

    def _side(self, cosine: FloatArray, side: npt.ArrayLike | None) -> FloatArray:
        """Return side information ``(N, S)``: the descriptors' distance, then what was given."""
        count, channels = len(cosine), self.network.config.side_channels
        others = np.zeros((count, max(0, channels - 1)), np.float32)
        if side is not None:
            others = np.asarray(side, np.float32).reshape(count, -1)
        found = np.concatenate((descriptor_distance(cosine)[:, None], others), 1)
        if channels and found.shape[1] != channels:
            raise ValueError(
                f'the network looks at {channels} values of a match: its score and '
                f'{channels - 1} others, got {others.shape[1]}'
            )
        return found[:, :channels]


def descriptor_distance(cosine: FloatArray) -> FloatArray:
    """Return the distance of unit vectors with a cosine, ``(N,)`` both."""
    return np.asarray(np.sqrt(np.maximum(0, 2 - 2 * cosine)), np.float32)


def normal(side: FloatArray) -> FloatArray:
    """Return side information ``(N, S)`` as the network takes it: each value over its largest."""
    largest = side.max(0, keepdims=True, initial=0.0)
    return np.asarray(side / np.where(largest > 0, largest, 1), np.float32)


def refit(
    first_xy: FloatArray, second_xy: FloatArray, weights: FloatArray, fundamental: FloatArray
) -> FloatArray:
    """Return the matrix that most matches agree with, among this and those of the best matches.

    The published post-processing: least median of squares on the matches above the 25th, 50th and
    75th percentile of the weights, and of all these matrices the one with most matches within one
    pixel (symmetric epipolar distance).

    Args:
        first_xy: ``(N, 2)`` pixels of the first picture.
        second_xy: ``(N, 2)`` of the second.
        weights: ``(N,)``.
        fundamental: ``(3, 3)`` to begin with; it stays if none is better.

    Returns:
        ``(3, 3)`` with norm 1.
    """
    best = fundamental
    most = int((epipolar_errors(first_xy, second_xy, best) <= _WITHIN).sum())
    for level in np.percentile(weights, _PERCENTILES):
        good = weights > level
        if good.sum() < _LEAST_REFIT:
            continue
        cv2.setRNGSeed(0)  # the same matches give the same matrix
        try:  # OpenCV's matrix has the other order of pictures
            found, _ = cv2.findFundamentalMat(second_xy[good], first_xy[good], cv2.FM_LMEDS)
        except cv2.error:  # what it says to matches that decide nothing
            continue
        if found is None or found.shape != (3, 3) or not np.isfinite(found).all():
            continue
        agreeing = int((epipolar_errors(first_xy, second_xy, found) <= _WITHIN).sum())
        if agreeing > most:
            best, most = found / np.linalg.norm(found), agreeing
    return np.asarray(best, np.float64)
