"""Stereo pairs of generated worlds with the truth of both views, for depth and for disparity.

Letters in this file: H W picture size in pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import numpy as np

from dlcv.data.augment.photometric import PhotometricConfig, photometric
from dlcv.data.augment.speechless import speechless
from dlcv.data.world import SampleConfig, WorldSamples
from dlcv.training.flow_samples import channels_first
from dlcv.training.recipe import Sample, Samples, TrainError
from dlcv.training.shards import renewed_of_worlds
from dlcv.types import FloatArray

_FARTHEST = 200.0  # metres; the sky is learned to be there


@dataclass(frozen=True, kw_only=True, slots=True)
class PairChanges:
    """How a pair with its depth is changed.

    Attributes:
        mirror: Probability that left and right are exchanged, in each picture and between the two.
        light: How far light and recording change, in both views alike but for the noise.
        speechless: Probability that the pictures say nothing: black, white, one colour, noise or
            covered. The network is then taught to be unsure, and nothing else.
    """

    mirror: float = 0.5
    light: PhotometricConfig = field(default_factory=PhotometricConfig)
    speechless: float = 0.03

    def __post_init__(self) -> None:
        if not (0 <= self.mirror <= 1 and 0 <= self.speechless < 1):
            raise TrainError(
                'changes of pairs need mirror in [0, 1] and speechless in [0, 1), got '
                f'{self.mirror} and {self.speechless}'
            )


def depth_samples(
    config: SampleConfig,
    photos: Sequence[Path],
    seed: int,
    changes: PairChanges,
    *,
    window: int,
    uses: int,
    folder: str,
) -> Samples:
    """Return pairs of worlds with the truth of both views; see `DepthSamples`.

    Args:
        config: What the worlds show: single frames, with the right view.
        photos: Folders of photos for their walls; without, they are painted.
        seed: Of the worlds, of the draws and of the changes.
        changes: How the pairs are changed.
        window: Worlds that are at hand at a time.
        uses: How often a pair is taken on average.
        folder: Where the files are; empty for pairs that never repeat.
    """
    pairs = renewed_of_worlds(
        DepthPairs, config, photos, seed, window=window, uses=uses, folder=folder
    )
    return DepthSamples(pairs, changes, seed)


class DepthPairs:
    """Stereo pairs of worlds with the truth of both views.

    A sample has ``left`` and ``right``, ``(H, W, 3)`` uint8, ``inverse``, ``(2, H, W)`` float16:
    phi over depth, 1/m, which times a baseline is the disparity as a fraction of the width; NaN
    where unknown; and ``baseline`` in metres.
    """

    def __init__(self, worlds: WorldSamples) -> None:
        self._worlds = worlds

    def __getitem__(self, index: int) -> Sample:
        """Render the pair of that number."""
        recording = self._worlds.recording(index)
        (view,) = recording
        assert view.right is not None
        assert view.frame.camera is not None
        phi = view.frame.camera.fx / view.frame.width
        depths = np.stack([cast('FloatArray', view.depth), cast('FloatArray', view.right_depth)])
        inverse = np.float32(phi) / depths.clip(1e-3, _FARTHEST)
        return {
            'left': view.frame.image,
            'right': view.right.image,
            'inverse': inverse.astype(np.float16),
            'baseline': np.asarray(recording.baseline, np.float32),
        }


class DepthSamples:
    """Pairs as `DepthPairs` gives them, changed; each a function of seed and number.

    Their ``left`` and ``right`` are ``(3, H, W)`` uint8; ``speaks`` is False where the pictures
    were replaced by some that say nothing.
    """

    def __init__(self, pairs: Samples, changes: PairChanges, seed: int) -> None:
        self._pairs, self._changes, self._seed = pairs, changes, seed

    def __getitem__(self, index: int) -> Sample:
        """Return the pair of that number."""
        pair = self._pairs[index]
        left, right = (np.asarray(pair[name], np.uint8) for name in ('left', 'right'))
        inverse = np.asarray(pair['inverse'], np.float16)
        rng = np.random.default_rng([self._seed, index, 1])
        if rng.random() < self._changes.mirror:
            left, right = right[:, ::-1], left[:, ::-1]
            inverse = inverse[::-1, :, ::-1]
        speaks = not rng.random() < self._changes.speechless
        if speaks:
            both = photometric(np.hstack([left, right]), rng, self._changes.light)
            left, right = np.split(both, 2, axis=1)
        else:
            left = right = speechless(rng, left)
        return {
            'left': channels_first(left),
            'right': channels_first(right),
            'inverse': np.ascontiguousarray(inverse),
            'baseline': pair['baseline'],
            'speaks': np.asarray(speaks),
        }
