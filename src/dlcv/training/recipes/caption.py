"""Show and Tell, taught by sentences that are true of generated worlds (Vinyals et al., CVPR 2015).

As in the paper the encoder begins with what it learned of another task, here segmentation, and
does not learn until the rest has found its way.

Letters in this file: B pictures, T words of a sentence.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from dlcv.data.augment.photometric import OFF
from dlcv.data.captions import GRAMMAR_WORDS, Teller, View
from dlcv.data.captions.worlds import views_of
from dlcv.data.world import SampleConfig, WorldSamples
from dlcv.metrics.captions import QUANTITIES, figures
from dlcv.networks.caption import CaptionConfig, ShowAndTell, beam_search
from dlcv.networks.losses.caption import caption_loss
from dlcv.training.asking import asked
from dlcv.training.caption_samples import CaptionChanges, CaptionSamples, Features, ToldPictures
from dlcv.training.recipe import Batch, Samples, TrainError
from dlcv.training.shards import renewed_of_worlds
from dlcv.training.start import filled, light_encoder, located
from dlcv.types import ByteImage, FloatArray
from dlcv.view.panel import caption as captioned

_HELD_OUT = 20150607  # seed of the validation's worlds; no run has it
_PER_WORLD = 2  # pictures of each of them
_REFERENCES = 5  # sentences of each picture


@dataclass(frozen=True, kw_only=True, slots=True)
class CaptionRecipe:
    """Pictures with sentences; build it from ``config/train/caption.yaml``.

    Attributes:
        caption: The network; its words are those of `dlcv.data.captions` and are not set.
        worlds: What the worlds show: single frames with their objects, of the network's size;
            ``per_world`` is how many are rendered of each.
        window: Worlds that samples are mixed from at a time; see `RenewedSamples`.
        uses: How often a picture is taken on average, changed and told otherwise each time.
        shards_folder: Where the pictures of the window are kept; empty for pictures that never
            repeat.
        changes: How the pictures are changed.
        teller: Who tells of them.
        longest: Words T of a sentence, marks included; what is longer is cut off.
        encoder: Weights of FCN that the encoder begins with, a file or a name; empty for none.
        frozen: Steps during which the encoder stays as it is.
        ways: Where the encoder never learns, in how many ways each picture is changed: what it
            finds in each is remembered. 0 for an encoder that learns.
        beams: Of the validation's search.
        photos: Folders of photos for the walls; without, they are painted.
        start: Weights or ``checkpoint.pt`` of such a network to go on from.
        validation_pictures: How many pictures of held-out worlds it is validated on.
    """

    caption: CaptionConfig = field(default_factory=CaptionConfig)
    worlds: SampleConfig = field(
        default_factory=lambda: SampleConfig(
            size=(256, 192), frames=1, objects=True, flyers=1, people=3
        )
    )
    window: int = 60
    uses: int = 20
    shards_folder: str = ''
    changes: CaptionChanges = field(default_factory=CaptionChanges)
    teller: Teller = field(default_factory=Teller)
    longest: int = 56
    encoder: str = 'fcn'
    frozen: int = 0
    ways: int = 0
    beams: int = 3
    photos: tuple[Path, ...] = ()
    start: Path | None = None
    validation_pictures: int = 48

    def __post_init__(self) -> None:
        if self.worlds.frames != 1 or not self.worlds.objects:
            raise TrainError(
                'captions need worlds of frames 1 and objects, got frames '
                f'{self.worlds.frames} and objects {self.worlds.objects}'
            )
        if self.worlds.size != self.caption.size:
            raise TrainError(
                f"captions need worlds of the network's size, {list(self.caption.size)}, got "
                f'{list(self.worlds.size)}'
            )
        counts = (self.beams, self.validation_pictures)
        if min(counts) < 1 or self.longest < 3 or min(self.frozen, self.ways) < 0:
            raise TrainError(
                'captions need beams and validation_pictures >= 1, longest >= 3, frozen and ways '
                f'>= 0, got {counts}, {self.longest}, {self.frozen} and {self.ways}'
            )
        if self.ways and not self.encoder and self.start is None:
            raise TrainError(f'an encoder that never learns (ways {self.ways}) needs weights')

    @property
    def name(self) -> str:
        """Name of the weights."""
        return 'caption'

    def network(self) -> ShowAndTell:
        """Return the network to train.

        Raises:
            TrainError: If ``start`` or ``encoder`` does not fit.
        """
        network = ShowAndTell(replace(self.caption, words=GRAMMAR_WORDS))
        if self.start is not None:
            return filled(network, self.start, self.name)
        if self.encoder:
            _take_encoder(network, Path(self.encoder))
        return network

    def samples(self, seed: int) -> Samples:
        """Return changed pictures with sentences; see `CaptionSamples`."""
        pictures = renewed_of_worlds(
            ToldPictures,
            self.worlds,
            self.photos,
            seed,
            window=self.window,
            uses=self.uses,
            folder=self.shards_folder,
        )
        vocabulary = replace(self.caption, words=GRAMMAR_WORDS).vocabulary
        return CaptionSamples(
            pictures,
            self.changes,
            self.teller,
            vocabulary=vocabulary,
            longest=self.longest,
            seed=seed,
            features=self._features() if self.ways else None,
            ways=self.ways,
        )

    def _features(self) -> Features:
        """Return what asks the encoder that the network begins with."""
        network = self.network().eval()

        @torch.no_grad()
        def found(image: ByteImage) -> FloatArray:
            images = torch.from_numpy(image)[None].float() / 255
            return np.asarray(network.features(images)[0].numpy(), np.float32)

        return found

    def loss(self, network: nn.Module, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return the paper's loss, and the share of words that are the likeliest."""
        inner = getattr(network, 'module', network)  # of Lightning Fabric
        assert isinstance(inner, ShowAndTell)
        learns = step >= self.frozen and not self.ways
        for part in (inner.stem, inner.stages):
            part.requires_grad_(learns).train(learns)
        words = batch['words']
        words = words[:, : int((words >= 0).sum(1).max())]
        images = batch['image'].float() / 255 if 'image' in batch else None
        features = batch['features'].float() if 'features' in batch else None
        scores = network(images, words[:, :-1].clamp(min=0), features).float()
        loss = caption_loss(scores, words[:, 1:])
        with torch.no_grad():
            said = words[:, 1:] >= 0
            right = (scores.argmax(2) == words[:, 1:])[said].float().mean()
        return {'loss': loss, 'right': right}

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Return the figures of `dlcv.metrics.captions` in held-out worlds."""
        held_out = _held_out(self.worlds, self.teller, self.validation_pictures)
        texts = [_told(network, image, self.beams) for image, _, _ in held_out]
        found = figures(
            texts, [references for _, _, references in held_out], [view for _, view, _ in held_out]
        )
        return {one.name: value for one, value in zip(QUANTITIES, found, strict=True)}

    def pictures(self, network: nn.Module, batch: Batch) -> dict[str, ByteImage]:
        """Return pictures of the batch, four at most, with what is said of them."""
        if 'image' not in batch:  # features are not to be looked at
            return {}
        rows = []
        for image in batch['image'][:4]:
            shown = np.ascontiguousarray(image.cpu().numpy().transpose(1, 2, 0))
            text = _told(network, shown, self.beams)
            rows.append(captioned(shown.repeat(4, 0).repeat(4, 1), text))
        return {'captions': np.vstack(rows)}

    def smoke(self) -> CaptionRecipe:
        """Return a version with a tiny network and few pictures of painted rooms."""
        return replace(
            self,
            caption=replace(
                self.caption,
                size=(96, 64), width=1 / 8, reduced=8, grid=(3, 2), embedding=32, memory=32,
                dropout=0.0,
            ),
            worlds=replace(self.worlds, size=(96, 64), scenes=('room',), per_world=4),
            changes=CaptionChanges(light=OFF),
            encoder='',
            frozen=0,
            ways=0,
            shards_folder='',
            photos=(),
            start=None,
            validation_pictures=1,
        )  # fmt: skip

    def export(self, network: nn.Module) -> nn.Module:
        """Return the network as it is."""
        return network.eval()


def _take_encoder(network: ShowAndTell, path: Path) -> None:
    """Fill the encoder with that of a network of FCN.

    Raises:
        TrainError: If there is no such file, or its encoder is another one.
    """
    encoder = light_encoder(network, located(path))
    if encoder is None:
        raise TrainError(
            f'{path} has another encoder than the light one of width {network.config.width}'
        )
    network.load_state_dict(encoder, strict=False)


def _told(network: nn.Module, image: ByteImage, beams: int) -> str:
    """Return what a network says of a picture ``(H, W, 3)`` of its own size."""
    assert isinstance(network, ShowAndTell)
    codes = asked(network, image)
    with torch.no_grad():
        ((best, *_),) = beam_search(network, codes, beams=beams)
    vocabulary = network.config.vocabulary
    return ' '.join(vocabulary[word] for word in best.words)


@lru_cache(maxsize=1)
def _held_out(
    worlds: SampleConfig, teller: Teller, count: int
) -> list[tuple[ByteImage, View, list[str]]]:
    """Return pictures of worlds that no run sees, what is true of them, and sentences."""
    samples = WorldSamples(replace(worlds, per_world=_PER_WORLD), _HELD_OUT)
    found = []
    for index in range(count):
        ((snapshot, view),) = views_of(samples.recording(index))
        rng = np.random.default_rng([_HELD_OUT, index])
        references = [teller(view, rng) for _ in range(_REFERENCES)]
        found.append((snapshot.frame.image, view, references))
    return found
