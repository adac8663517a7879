"""Pictures of generated worlds with the boxes of what they show, as a network is taught by them.

Letters in this file: H W size in pixels of a picture, h w that of a sample, M boxes at most.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dlcv.data.augment.photometric import photometric
from dlcv.data.world import WorldSamples
from dlcv.metrics.detection import countable
from dlcv.training.flow_samples import channels_first
from dlcv.training.label_samples import LabelChanges
from dlcv.training.pieces import Piece, random_piece
from dlcv.training.recipe import Sample, Samples
from dlcv.types import FloatArray

MOST = 48  # boxes of a picture; the largest are taken
NONE = 255  # kind of what is left of them


class BoxedPictures:
    """Pictures of worlds: ``image`` ``(H, W, 3)`` uint8, and of M things what `Objects` says.

    That is ``kind`` ``(M,)`` uint8, `NONE` where there are fewer things, ``box`` ``(M, 4)``,
    ``pixels`` and ``share`` ``(M,)`` float32.
    """

    def __init__(self, worlds: WorldSamples) -> None:
        self._worlds = worlds

    def __getitem__(self, index: int) -> Sample:
        """Render the picture of that number."""
        picture = self._worlds.boxed(index)
        seen = picture.objects
        chosen = np.argsort(-seen.pixels, kind='stable')[:MOST]
        spare = (0, MOST - len(chosen))
        return {
            'image': picture.image,
            'kind': np.pad(seen.kind[chosen], spare, constant_values=NONE),
            'box': np.pad(seen.box[chosen], (spare, (0, 0))),
            'pixels': np.pad(seen.pixels[chosen].astype(np.float32), spare),
            'share': np.pad(seen.share[chosen], spare),
        }


class BoxSamples:
    """Pictures as `BoxedPictures` gives them, changed; each a function of seed and number.

    A sample has ``image``, ``(3, h, w)`` uint8; ``box``, ``(M, 4)`` float32; ``kind``, ``(M,)``
    int64, -1 where there is none; and ``counts``, ``(M,)`` bool, whether it must be found.
    """

    def __init__(self, pictures: Samples, changes: LabelChanges, seed: int) -> None:
        self._pictures, self._changes, self._seed = pictures, changes, seed

    def __getitem__(self, index: int) -> Sample:
        """Return the sample of that number."""
        picture, changes = self._pictures[index], self._changes
        image, box = np.asarray(picture['image'], np.uint8), np.asarray(picture['box'], np.float32)
        rng = np.random.default_rng([self._seed, index, 1])
        if rng.random() < changes.mirror:
            image, box = image[:, ::-1], image.shape[1] - 1 - box[:, [2, 1, 0, 3]]
            box[:, 1::2] = np.asarray(picture['box'])[:, 1::2]
        piece = random_piece(rng, image.shape[:2], changes.crop, changes.zoom)
        box, left = boxes_of(piece, box)
        pixels, share = (np.asarray(picture[name], np.float32) for name in ('pixels', 'share'))
        area = piece.growth * changes.crop[1] / (piece.place[0].stop - piece.place[0].start)
        there = (picture['kind'] != NONE) & (left > 0)
        return {
            'image': channels_first(photometric(piece.image(image), rng, changes.light)),
            'box': box,
            'kind': np.where(there, np.asarray(picture['kind'], np.int64), -1),
            'counts': there & countable(box, pixels * left * area, share * left),
        }


def boxes_of(piece: Piece, box: FloatArray) -> tuple[FloatArray, npt.NDArray[np.float32]]:
    """Return boxes ``(M, 4)`` on the pixels of a piece, and what part ``(M,)`` of each is in it.

    What a box holds is taken to fill it evenly.
    """
    rows, columns = piece.place
    corner = np.array([columns.start, rows.start] * 2, np.float32) - 0.5
    size = np.array([columns.stop - columns.start, rows.stop - rows.start] * 2, np.float32)
    inside = np.clip(box - corner, 0, size)
    whole, part = ((b[:, 2:] - b[:, :2]).prod(1) for b in (box, inside))
    grown = inside * np.array(piece.size * 2, np.float32) / size - 0.5
    left = np.divide(part, whole, out=np.zeros_like(whole), where=whole > 0)
    return grown.astype(np.float32), left.astype(np.float32)
