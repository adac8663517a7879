"""Stereo pairs with the truth of both views as a network is taught by them.

Letters in this file: H W size in pixels of a pair, h w that of a sample.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from dlcv.data.augment.photometric import PhotometricConfig, photometric
from dlcv.data.augment.speechless import speechless
from dlcv.data.synthetic.planes import PlaneScenes
from dlcv.training.depth_pairs import PairChanges
from dlcv.training.flow_samples import channels_first
from dlcv.training.pieces import random_piece
from dlcv.training.recipe import Sample, Samples, TrainError


@dataclass(frozen=True, kw_only=True, slots=True)
class StereoChanges(PairChanges):
    """How a pair with its disparity is changed.

    Attributes:
        crop: Width and height of a sample.
        zoom: Least and greatest factor of its size, uniform in its logarithm; where the pair would
            not fill the crop, the least that does.
        apart: The same in the right view alone: no two cameras are the same.
    """

    crop: tuple[int, int] = (384, 256)
    zoom: tuple[float, float] = (0.75, 1.33)
    apart: PhotometricConfig = field(default_factory=PhotometricConfig)

    def __post_init__(self) -> None:
        PairChanges.__post_init__(self)
        if min(self.crop) < 1 or not 0 < self.zoom[0] <= self.zoom[1]:
            raise TrainError(
                'changes of pairs need a crop and 0 < least <= greatest zoom, got '
                f'{list(self.crop)} and {list(self.zoom)}'
            )


class StereoArrays:
    """Pairs of planes as arrays: ``left``, ``right`` and ``disparity``, as `WorldDisparity`'s."""

    def __init__(self, scenes: PlaneScenes) -> None:
        self._scenes = scenes

    def __getitem__(self, index: int) -> Sample:
        """Draw the pair of that number."""
        pair = self._scenes[index]
        assert pair.right_disparity is not None
        both = np.stack([pair.disparity, pair.right_disparity])
        return {'left': pair.left, 'right': pair.right, 'disparity': both}


class WorldDisparity:
    """Pairs of `DepthPairs` with their disparity in place of phi over depth.

    A sample has ``left`` and ``right``, ``(H, W, 3)`` uint8, and ``disparity``, ``(2, H, W)``
    float32 pixels of the left and of the right view, NaN where unknown.
    """

    def __init__(self, pairs: Samples) -> None:
        self._pairs = pairs

    def __getitem__(self, index: int) -> Sample:
        """Return the pair of that number."""
        pair = self._pairs[index]
        inverse = np.asarray(pair['inverse'], np.float32)
        disparity = inverse * np.float32(pair['baseline']) * np.float32(inverse.shape[2])
        return {'left': pair['left'], 'right': pair['right'], 'disparity': disparity}


class StereoSamples:
    """Pairs as `StereoArrays` gives them, changed; each a function of seed and number.

    A sample has ``left`` and ``right``, ``(3, h, w)`` uint8, ``disparity``, ``(h, w)`` float32
    pixels of the left one, NaN where unknown, and ``speaks``, False where the pictures were
    replaced by some that say nothing.
    """

    def __init__(self, pairs: Samples, changes: StereoChanges, seed: int) -> None:
        self._pairs, self._changes, self._seed = pairs, changes, seed

    def __getitem__(self, index: int) -> Sample:
        """Return the sample of that number."""
        pair, changes = self._pairs[index], self._changes
        left, right = (np.asarray(pair[name], np.uint8) for name in ('left', 'right'))
        both = np.asarray(pair['disparity'], np.float32)
        rng = np.random.default_rng([self._seed, index, 1])
        if rng.random() < changes.mirror:
            left, right = right[:, ::-1], left[:, ::-1]
            both = both[::-1, :, ::-1]
        piece = random_piece(rng, both.shape[1:], changes.crop, changes.zoom)
        left, right = piece.image(left), piece.image(right)
        disparity = piece.values(both[0]) * np.float32(piece.growth)
        speaks = not rng.random() < changes.speechless
        if speaks:
            alike = photometric(np.hstack([left, right]), rng, changes.light)
            left, right = np.split(alike, 2, axis=1)
            right = photometric(np.ascontiguousarray(right), rng, changes.apart)
        else:
            left = right = speechless(rng, left)
        return {
            'left': channels_first(left),
            'right': channels_first(right),
            'disparity': np.ascontiguousarray(disparity),
            'speaks': np.asarray(speaks),
        }
