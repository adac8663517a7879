"""Pairs of pictures of generated worlds, with places whose correspondence depth and poses tell.

A homography is true of planes alone. Here things hide each other, and each moves on its own way.

Letters in this file: H W size of a picture in pixels, N places of a pair.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from dlcv.data.augment.homographies import valid_mask, warp_image, warp_points
from dlcv.data.augment.photometric import photometric
from dlcv.training.flow_samples import Pairs
from dlcv.training.pairs import BORDER, PairConfig, inside, similarity, widely
from dlcv.training.recipe import Sample, Samples
from dlcv.types import FloatArray

_CORNERS = 4.0  # least distance of two corners in pixels


class GreyPairs:
    """Pairs of worlds as arrays that can be kept in files.

    A sample has ``first`` and ``second``, ``(H, W)`` uint8, ``flow``, ``(H, W, 2)`` float16 in
    pixels, and ``hidden``, ``(H, W)`` bool: what of the first picture the second does not show.
    """

    def __init__(self, pairs: Pairs) -> None:
        self._pairs = pairs

    def __getitem__(self, index: int) -> Sample:
        """Return the pair of that number, whose occlusion must be known."""
        pair = self._pairs[index]
        assert pair.occluded is not None
        return {
            'first': cv2.cvtColor(pair.first, cv2.COLOR_RGB2GRAY),
            'second': cv2.cvtColor(pair.second, cv2.COLOR_RGB2GRAY),
            'flow': pair.flow.astype(np.float16),
            'hidden': np.asarray(pair.occluded, np.bool_),
        }


class WorldPlaces:
    """Samples like those of `SuperPointPairs` for descriptors alone.

    No interest points are known, so no pixel is valid for the detector. Places are corners and,
    as a rest, any pixels; what moves them is the flow, and in wide pairs a turn and a change of
    size of the second picture besides.

    Args:
        pairs: Of `GreyPairs`, in the size of ``config``.
        config: Light, places, and how many pairs are wide; zoom and homographies are not used.
        seed: Decides all there is to decide.
    """

    def __init__(self, pairs: Samples, config: PairConfig, seed: int) -> None:
        self._pairs, self._config, self._seed = pairs, config, seed

    def __getitem__(self, index: int) -> Sample:
        """Return a pair; see `SuperPointPairs`."""
        config, pair = self._config, self._pairs[index]
        first, second = (np.asarray(pair[name], np.uint8) for name in ('first', 'second'))
        rng = np.random.default_rng([self._seed, index, 3])
        moved = similarity(config.size, *widely(rng, config))
        seen_from_second = valid_mask(moved, config.size)
        xy = _candidates(rng, first, config)
        x, y = xy.T
        shown = ~np.asarray(pair['hidden'], np.bool_)[y, x]
        there = warp_points(xy + np.asarray(pair['flow'], np.float64)[y, x], moved)
        there += rng.uniform(-config.jitter, config.jitter, there.shape)
        shown &= inside(xy.astype(np.float64), config.size, BORDER)
        shown &= inside(there, config.size, BORDER)  # NaN is not inside
        xy, there = xy[shown][: config.points], there[shown][: config.points]
        column, row = np.rint(there).astype(np.intp).T
        missing = config.points - len(xy)
        nothing = np.zeros(config.size, np.bool_)
        return {
            'first': photometric(first, rng, config.photometric)[None],
            'second': photometric(warp_image(second, moved, config.size), rng, config.photometric)[
                None
            ],
            'first_valid': nothing,
            'second_valid': nothing,
            'first_present': nothing,
            'second_present': nothing,
            'second_from_first': np.eye(3, dtype=np.float32),
            'first_xy': np.pad(xy, ((0, missing), (0, 0))).astype(np.float32),
            'second_xy': np.pad(there, ((0, missing), (0, 0))).astype(np.float32),
            'seen': np.pad(seen_from_second[row, column], (0, missing)),
        }


def _candidates(
    rng: np.random.Generator, image: npt.NDArray[np.uint8], config: PairConfig
) -> npt.NDArray[np.intp]:
    """Return places (x, y), whole pixels, where flow is known exactly: corners come first."""
    wanted = round(config.at_labels * config.points)
    corners: FloatArray = np.zeros((0, 2))
    if wanted:
        found = cv2.goodFeaturesToTrack(image, 2 * wanted, 0.005, _CORNERS)
        corners = corners if found is None else np.asarray(found[:, 0], np.float64)
    chosen = rng.permutation(corners)[:wanted]
    height, width = image.shape
    anywhere = rng.integers(0, (width, height), (4 * config.points, 2))
    return np.asarray(np.concatenate([np.rint(chosen), anywhere]), np.intp)
