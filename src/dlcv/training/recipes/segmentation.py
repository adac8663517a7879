"""FCN that is shown the classes of generated worlds.

Letters in this file: B pictures, H W their size in pixels, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from dlcv.classes import CLASSES, colours
from dlcv.data.augment.photometric import OFF
from dlcv.data.world import SampleConfig, WorldSamples
from dlcv.metrics.segmentation import confusion, no_counts, scores
from dlcv.networks.fcn import FCN8s, FCNConfig, LightFCN, fcn
from dlcv.networks.losses.segmentation import segmentation_loss
from dlcv.training.asking import asked
from dlcv.training.label_samples import LabelChanges, LabelledPictures, LabelSamples
from dlcv.training.recipe import Batch, Samples, TrainError
from dlcv.training.shards import renewed_of_worlds
from dlcv.training.start import filled
from dlcv.types import ByteImage, LabelledPicture

_HELD_OUT = 20150608  # seed of the validation's worlds; no run has it
_PER_WORLD = 2  # pictures of each of them


@dataclass(frozen=True, kw_only=True, slots=True)
class SegmentationRecipe:
    """Labels with their truth; build it from ``config/train/segmentation.yaml``.

    Attributes:
        fcn: The network; its scores mean the classes of `dlcv.classes` in their order.
        worlds: What the worlds show: single frames with labels; ``per_world`` is how many are
            rendered of each.
        window: Worlds that samples are mixed from at a time; see `RenewedSamples`.
        uses: How often a picture is taken on average before its world is given up.
        shards_folder: Where the pictures of the window are kept; empty for pictures that never
            repeat, each rendered when it is needed.
        changes: How the pictures are changed.
        weights: Of the classes in the loss; empty for 1 each.
        photos: Folders of photos for the walls; without, they are painted.
        start: Weights or ``checkpoint.pt`` to go on from.
        validation_pictures: How many pictures of held-out worlds it is validated on.
    """

    fcn: FCNConfig
    worlds: SampleConfig = field(
        default_factory=lambda: SampleConfig(frames=1, labels=True, flyers=0, people=3)
    )
    window: int = 48
    uses: int = 8
    shards_folder: str = ''
    changes: LabelChanges = field(default_factory=LabelChanges)
    weights: tuple[float, ...] = ()
    photos: tuple[Path, ...] = ()
    start: Path | None = None
    validation_pictures: int = 48

    def __post_init__(self) -> None:
        if self.worlds.frames != 1 or not self.worlds.labels:
            raise TrainError(
                'segmentation needs worlds of frames 1 and labels, got frames '
                f'{self.worlds.frames} and labels {self.worlds.labels}'
            )
        classes = tuple(range(len(CLASSES)))
        if self.fcn.meaning != classes:
            raise TrainError(
                f'segmentation needs fcn.meaning {list(classes)}, got {list(self.fcn.meaning)}'
            )
        if len(self.weights) not in (0, len(classes)) or min(self.weights, default=1) < 0:
            raise TrainError(
                f'segmentation needs no weights or {len(classes)} of 0 or more, got '
                f'{list(self.weights)}'
            )
        multiple = _multiple(self.fcn)
        if any(side % multiple for side in (*self.worlds.size, *self.changes.crop)):
            raise TrainError(
                f'segmentation needs sizes of multiples of {multiple}, got worlds of '
                f'{list(self.worlds.size)} and a crop of {list(self.changes.crop)}'
            )
        if self.validation_pictures < 1:
            raise TrainError(
                f'segmentation needs validation_pictures >= 1, got {self.validation_pictures}'
            )

    @property
    def name(self) -> str:
        """Name of the weights."""
        return 'fcn'

    def network(self) -> FCN8s | LightFCN:
        """Return the network to train.

        Raises:
            TrainError: If ``start`` does not fit.
        """
        network = fcn(self.fcn)
        return network if self.start is None else filled(network, self.start, self.name)

    def samples(self, seed: int) -> Samples:
        """Return changed pictures with their labels; see `LabelSamples`."""
        pictures = renewed_of_worlds(
            LabelledPictures,
            self.worlds,
            self.photos,
            seed,
            window=self.window,
            uses=self.uses,
            folder=self.shards_folder,
        )
        return LabelSamples(pictures, self.changes, seed)

    def loss(self, network: nn.Module, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return the weighted cross entropy, and the share of pixels that are right."""
        del step
        found = network(batch['image'].float() / 255).float()
        weights = found.new_tensor(self.weights) if self.weights else None
        loss = segmentation_loss(found, batch['labels'], weights)
        with torch.no_grad():
            right = (found.argmax(1) == batch['labels']).float().mean()
        return {'loss': loss, 'right': right}

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Return mean IoU and accuracy in held-out worlds, in per cent, and IoU of each class."""
        total = no_counts()
        for picture in _held_out(self.worlds, self.validation_pictures):
            total += confusion(_labels(network, picture.image), picture.labels)
        found = scores(total)
        names = (one.name for one in CLASSES)
        return {
            'mean_iou': 100 * found.mean_iou,
            'accuracy': 100 * found.accuracy,
            **{name: 100 * float(iou) for name, iou in zip(names, found.iou, strict=True)},
        }

    def pictures(self, network: nn.Module, batch: Batch) -> dict[str, ByteImage]:
        """Return pictures of the batch, four at most, with their true and their found labels."""
        table, rows = colours(), []
        for image, truth in zip(batch['image'][:4], batch['labels'][:4], strict=True):
            shown = np.ascontiguousarray(image.cpu().numpy().transpose(1, 2, 0))
            labels = table[truth.cpu().numpy()], table[_labels(network, shown)]
            rows.append(np.hstack([shown, *labels]))
        return {'labels': np.vstack(rows)}

    def smoke(self) -> SegmentationRecipe:
        """Return a version with a tiny network and few pictures of painted rooms."""
        return replace(
            self,
            fcn=replace(self.fcn, encoder='light', width=1 / 4, fused=16),
            worlds=replace(self.worlds, size=(96, 64), scenes=('room',), per_world=4),
            changes=replace(self.changes, crop=(96, 64), light=OFF),
            shards_folder='',
            photos=(),
            start=None,
            validation_pictures=1,
        )

    def export(self, network: nn.Module) -> nn.Module:
        """Return the network as it is."""
        return network.eval()


def _labels(network: nn.Module, image: ByteImage) -> ByteImage:
    """Return the labels ``(H, W)`` of a picture ``(H, W, 3)`` of a size that the network takes."""
    found = asked(network, image).argmax(1)[0]
    return np.asarray(found.cpu().numpy(), np.uint8)


@lru_cache(maxsize=1)
def _held_out(worlds: SampleConfig, count: int) -> list[LabelledPicture]:
    """Return pictures of worlds that no run sees."""
    samples = WorldSamples(replace(worlds, per_world=_PER_WORLD), _HELD_OUT)
    return [samples.labelled(index) for index in range(count)]


def _multiple(config: FCNConfig) -> int:
    return FCN8s.multiple if config.encoder == 'vgg16' else LightFCN.multiple
