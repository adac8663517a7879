"""FCOS that is shown the boxes of what stands in generated worlds.

Letters in this file: B pictures, H W their size in pixels, M boxes at most.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from torch import Tensor, nn

from dlcv.data.augment.photometric import OFF
from dlcv.data.world import SampleConfig, WorldSamples
from dlcv.estimation.localization import LocalizationSettings, chosen
from dlcv.metrics.detection import DetectionTally, wanted
from dlcv.networks.fcos import FCOS, FCOSConfig, found, points
from dlcv.networks.losses.fcos import fcos_loss, targets
from dlcv.things import KINDS
from dlcv.training.asking import asked_part
from dlcv.training.box_samples import BoxedPictures, BoxSamples
from dlcv.training.label_samples import LabelChanges
from dlcv.training.recipe import Batch, Samples, TrainError
from dlcv.training.shards import renewed_of_worlds
from dlcv.training.start import filled, light_encoder, located
from dlcv.types import BoxedPicture, ByteImage, FloatArray
from dlcv.view.boxes import draw_boxes

_HELD_OUT = 20191027  # seed of the validation's worlds; no run has it
_PER_WORLD = 4  # pictures of each of them
_SCORED = LocalizationSettings(detection_threshold=0.05)
_SHOWN = LocalizationSettings()


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalizationRecipe:
    """Boxes with their truth; build it from ``config/train/localization.yaml``.

    Attributes:
        fcos: The network; its scores mean the kinds of `dlcv.things` in their order.
        worlds: What the worlds show: single frames with objects; ``per_world`` is how many are
            rendered of each.
        window: Worlds that samples are mixed from at a time; see `RenewedSamples`.
        uses: How often a picture is taken on average before its world is given up.
        shards_folder: Where the pictures of the window are kept; empty for pictures that never
            repeat, each rendered when it is needed.
        changes: How the pictures are changed.
        photos: Folders of photos for the walls; without, they are painted.
        encoder: Name or file of weights of ``fcn`` whose encoder it begins with; empty for none.
        start: Weights or ``checkpoint.pt`` to go on from.
        validation_pictures: How many pictures of held-out worlds it is validated on.
    """

    fcos: FCOSConfig
    worlds: SampleConfig = field(
        default_factory=lambda: SampleConfig(frames=1, objects=True, flyers=1, people=3)
    )
    window: int = 40
    uses: int = 16
    shards_folder: str = ''
    changes: LabelChanges = field(default_factory=LabelChanges)
    photos: tuple[Path, ...] = ()
    encoder: str = ''
    start: Path | None = None
    validation_pictures: int = 48

    def __post_init__(self) -> None:
        if self.worlds.frames != 1 or not self.worlds.objects:
            raise TrainError(
                'localization needs worlds of frames 1 and objects, got frames '
                f'{self.worlds.frames} and objects {self.worlds.objects}'
            )
        kinds = tuple(range(len(KINDS)))
        if self.fcos.meaning != kinds:
            raise TrainError(
                f'localization needs fcos.meaning {list(kinds)}, got {list(self.fcos.meaning)}'
            )
        if any(side % FCOS.multiple for side in (*self.worlds.size, *self.changes.crop)):
            raise TrainError(
                f'localization needs sizes of multiples of {FCOS.multiple}, got worlds of '
                f'{list(self.worlds.size)} and a crop of {list(self.changes.crop)}'
            )
        if self.validation_pictures < 1:
            raise TrainError(
                f'localization needs validation_pictures >= 1, got {self.validation_pictures}'
            )

    @property
    def name(self) -> str:
        """Name of the weights."""
        return 'fcos'

    def network(self) -> FCOS:
        """Return the network to train.

        Raises:
            TrainError: If ``start`` or ``encoder`` does not fit.
        """
        network = FCOS(self.fcos)
        if self.start is not None:
            return filled(network, self.start, self.name)
        return with_encoder(network, self.encoder) if self.encoder else network

    def samples(self, seed: int) -> Samples:
        """Return changed pictures with their boxes; see `BoxSamples`."""
        pictures = renewed_of_worlds(
            BoxedPictures,
            self.worlds,
            self.photos,
            seed,
            window=self.window,
            uses=self.uses,
            folder=self.shards_folder,
        )
        return BoxSamples(pictures, self.changes, seed)

    def loss(self, network: nn.Module, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return the loss of FCOS and its parts."""
        del step
        images = batch['image']
        kinds, edges, middles = (x.float() for x in network(images.float() / 255))
        places = points(*images.shape[2:]).to(images.device)
        truth = targets(places, batch['box'], batch['kind'], batch['counts'])
        return fcos_loss(kinds, edges, middles, truth)

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Return average precision in held-out worlds in per cent, and that of each kind at 0.5."""
        tally = DetectionTally()
        for picture in _held_out(self.worlds, self.validation_pictures):
            seen = picture.objects
            kind, box, score = _told(network, picture.image, _SCORED)
            tally.add((box, kind, score), (seen.box, seen.kind, wanted(seen)))
        scores = tally.scores()
        halves = zip(KINDS, scores.precision[:, 0], strict=True)
        return {
            'map_half': 100 * scores.map_half,
            'map': 100 * scores.map_all,
            'recall_half': 100 * scores.recall_half,
            **{kind.name: 100 * float(precision) for kind, precision in halves},
        }

    def pictures(self, network: nn.Module, batch: Batch) -> dict[str, ByteImage]:
        """Return pictures of the batch, four at most, with their true and their found boxes."""
        rows = []
        for i, image in enumerate(batch['image'][:4]):
            shown = np.ascontiguousarray(image.cpu().numpy().transpose(1, 2, 0))
            counts = batch['counts'][i].cpu().numpy()
            kind, box = (batch[name][i].cpu().numpy()[counts] for name in ('kind', 'box'))
            truth = draw_boxes(shown, kind.astype(np.uint8), box)
            rows.append(np.hstack([truth, draw_boxes(shown, *_told(network, shown, _SHOWN))]))
        return {'boxes': np.vstack(rows)}

    def smoke(self) -> LocalizationRecipe:
        """Return a version with a tiny network and few pictures of painted rooms."""
        return replace(
            self,
            fcos=replace(self.fcos, width=1 / 4, channels=16),
            worlds=replace(self.worlds, size=(96, 64), scenes=('room',), per_world=4),
            changes=replace(self.changes, crop=(96, 64), light=OFF),
            shards_folder='',
            photos=(),
            encoder='',
            start=None,
            validation_pictures=1,
        )

    def export(self, network: nn.Module) -> nn.Module:
        """Return the network as it is."""
        return network.eval()


def with_encoder(network: FCOS, weights: str) -> FCOS:
    """Fill the encoder of a network with that of a light FCN.

    Args:
        network: What is filled, in place.
        weights: Name or file of weights of ``fcn``.

    Raises:
        TrainError: If there are none, or they are of another width.
    """
    path = located(Path(weights))
    encoder = light_encoder(network, path)
    if encoder is None:
        raise TrainError(f'{path} has no light encoder of the width {network.config.width}')
    network.load_state_dict(encoder, strict=False)
    return network


def _told(
    network: nn.Module, image: ByteImage, settings: LocalizationSettings
) -> tuple[ByteImage, FloatArray, FloatArray]:
    """Return kinds, boxes and scores of a picture ``(H, W, 3)`` of a size that it takes."""
    scores, boxes = asked_part(network, found, image)
    meaning = tuple(range(len(KINDS)))
    return chosen(scores[0].cpu().numpy(), boxes[0].cpu().numpy(), meaning, settings)


@lru_cache(maxsize=1)
def _held_out(worlds: SampleConfig, count: int) -> list[BoxedPicture]:
    """Return pictures of worlds that no run sees."""
    samples = WorldSamples(replace(worlds, per_world=_PER_WORLD), _HELD_OUT)
    return [samples.boxed(index) for index in range(count)]
