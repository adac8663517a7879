"""Pictures of generated worlds with the class of each pixel, as a network is taught by them.

Letters in this file: H W size in pixels of a picture, h w that of a sample.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from dlcv.data.augment.photometric import PhotometricConfig, photometric
from dlcv.data.world import WorldSamples
from dlcv.training.flow_samples import channels_first
from dlcv.training.pieces import random_piece
from dlcv.training.recipe import Sample, Samples, TrainError


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelChanges:
    """How a picture with its labels is changed.

    Attributes:
        mirror: Probability that left and right are exchanged.
        crop: Width and height of a sample.
        zoom: Least and greatest factor of its size, uniform in its logarithm; where the picture
            would not fill the crop, the least that does.
        light: How far light and recording change.
    """

    mirror: float = 0.5
    crop: tuple[int, int] = (256, 192)
    zoom: tuple[float, float] = (0.7, 1.6)
    light: PhotometricConfig = field(default_factory=PhotometricConfig)

    def __post_init__(self) -> None:
        if not 0 <= self.mirror <= 1 or min(self.crop) < 1 or not 0 < self.zoom[0] <= self.zoom[1]:
            raise TrainError(
                'changes of labelled pictures need mirror in [0, 1], a crop and 0 < least <= '
                f'greatest zoom, got {self.mirror}, {list(self.crop)} and {list(self.zoom)}'
            )


class LabelledPictures:
    """Pictures of worlds: ``image``, ``(H, W, 3)`` uint8, and ``labels``, ``(H, W)`` uint8."""

    def __init__(self, worlds: WorldSamples) -> None:
        self._worlds = worlds

    def __getitem__(self, index: int) -> Sample:
        """Render the picture of that number."""
        picture = self._worlds.labelled(index)
        return {'image': picture.image, 'labels': picture.labels}


class LabelSamples:
    """Pictures as `LabelledPictures` gives them, changed; each a function of seed and number.

    A sample has ``image``, ``(3, h, w)`` uint8, and ``labels``, ``(h, w)`` uint8.
    """

    def __init__(self, pictures: Samples, changes: LabelChanges, seed: int) -> None:
        self._pictures, self._changes, self._seed = pictures, changes, seed

    def __getitem__(self, index: int) -> Sample:
        """Return the sample of that number."""
        picture, changes = self._pictures[index], self._changes
        image = np.asarray(picture['image'], np.uint8)
        labels = np.asarray(picture['labels'], np.uint8)
        rng = np.random.default_rng([self._seed, index, 1])
        if rng.random() < changes.mirror:
            image, labels = image[:, ::-1], labels[:, ::-1]
        piece = random_piece(rng, labels.shape, changes.crop, changes.zoom)
        image = photometric(piece.image(image), rng, changes.light)
        return {'image': channels_first(image), 'labels': piece.values(labels)}
