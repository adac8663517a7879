"""ACE's scene-agnostic encoder, taught by SuperPoint what to make of any place.

ACE (Brachmann et al., CVPR 2023) trains its encoder on a hundred scenes at once, each with a head
of its own. What a head needs are numbers that tell places apart and that stay when the camera
moves. SuperPoint's descriptors were trained to be just that, so the encoder learns to give the
same ones (Hinton et al. 2015, "Distilling the Knowledge in a Neural Network"), at a fraction of
the work, whatever the light.

Letters in this file: B pictures, H W size in pixels, h w size in cells of 8, D features.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dlcv.data.augment.photometric import PhotometricConfig, photometric
from dlcv.data.synthetic.photos import PhotoPool
from dlcv.data.world import SampleConfig, WorldSamples
from dlcv.networks.dsac import ENCODER, DsacConfig, SceneCoordinateNet
from dlcv.networks.layers.folding import optimise
from dlcv.networks.superpoint import SuperPoint
from dlcv.networks.weights import chosen, load_network, untrained
from dlcv.training.recipe import Batch, Sample, Samples, TrainError
from dlcv.training.start import filled
from dlcv.types import ByteImage

_HELD_OUT = 20230620  # seed of the validation's pictures; no run has it


@dataclass(frozen=True, kw_only=True, slots=True)
class AceEncoderRecipe:
    """An encoder for `dlcv map`; build it from ``config/train/ace_encoder.yaml``.

    Attributes:
        dsac: The network, of variant ``ace``; its head stays as it is drawn.
        size: Height and width of the pictures, multiples of 8.
        worlds: Pictures of generated worlds, in that size, beside those cut from photos.
        worlds_every: How often a picture is one of them: 2 stands for every second, 0 for none.
        light: What changes between what the teacher sees and what the encoder sees.
        teacher: Weights of SuperPoint: a file; None for the shipped ones.
        photos: Folders of photos; without, pictures are painted.
        start: Weights or ``checkpoint.pt`` to go on from.
        validation_pictures: How many pictures it is validated on.
    """

    dsac: DsacConfig
    size: tuple[int, int] = (192, 256)
    worlds: SampleConfig = field(default_factory=lambda: SampleConfig(frames=1, size=(256, 192)))
    worlds_every: int = 0
    light: PhotometricConfig = field(default_factory=PhotometricConfig)
    teacher: Path | None = None
    photos: tuple[Path, ...] = ()
    start: Path | None = None
    validation_pictures: int = 32

    def __post_init__(self) -> None:
        if self.dsac.variant != 'ace':
            raise TrainError(f"an encoder is of variant 'ace', got {self.dsac.variant!r}")
        height, width = self.size
        if height % 8 or width % 8 or min(height, width) < 8:
            raise TrainError(f'size must be multiples of 8, got {list(self.size)}')
        if self.worlds_every and self.worlds.size != (width, height):
            raise TrainError(
                f'worlds must have the size {[width, height]}, got {list(self.worlds.size)}'
            )

    @property
    def name(self) -> str:
        """Name of the weights."""
        return 'ace_encoder'

    def network(self) -> Encoder:
        """Return the network to train.

        Raises:
            TrainError: If ``start`` does not fit, or the teacher has other features.
        """
        encoder = Encoder(SceneCoordinateNet(self.dsac))
        features, wanted = encoder.size, _teacher(self.teacher).config.descriptor_size
        if features != wanted:
            raise TrainError(
                f'the encoder has {features} features, the descriptors of its teacher {wanted}: '
                'set dsac.width'
            )
        if self.start is not None and self.start.suffix == '.pt':
            return filled(encoder, self.start, self.name)
        if self.start is not None:
            filled(encoder.inner, self.start, 'dsac')
        return encoder

    def samples(self, seed: int) -> Samples:
        """Return pictures; see `SeenPictures`."""
        return SeenPictures(self, seed)

    def loss(self, network: nn.Module, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return one minus the mean cosine between features and descriptors."""
        del step
        teacher = _teacher(self.teacher).to(batch['clean'].device)
        with torch.no_grad():
            wanted = teacher(batch['clean'].float() / 255)[1].float()  # (B, D, h, w), length 1
        features = network(batch['seen'].float() / 255).float()
        loss = (1 - (F.normalize(features, dim=1) * wanted).sum(1)).mean()
        # A head needs features of a known size, too: descriptors of length sqrt(D).
        length = features.norm(dim=1) / features.shape[1] ** 0.5
        return {
            'loss': loss + 0.1 * (length - 1).square().mean(),
            'cosine': 1 - loss.detach(),
            'length': length.mean().detach(),
        }

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Return the mean cosine on pictures that no run sees, in their own light and another."""
        device = next(network.parameters()).device
        teacher = _teacher(self.teacher).to(device)
        sums = {'cosine': 0.0, 'cosine_other_light': 0.0}
        samples = self.samples(_HELD_OUT)
        for index in range(self.validation_pictures):
            sample = samples[index]
            clean, seen = (
                torch.from_numpy(np.asarray(sample[name]))[None].to(device).float() / 255
                for name in ('clean', 'seen')
            )
            wanted = teacher(clean)[1]
            for name, image in (('cosine', clean), ('cosine_other_light', seen)):
                found = F.normalize(network(image), dim=1)
                sums[name] += float((found * wanted).sum(1).mean())
        return {name: total / self.validation_pictures for name, total in sums.items()}

    def pictures(self, network: nn.Module, batch: Batch) -> dict[str, ByteImage]:
        """Return what teacher and encoder saw of the first four of the batch."""
        del network
        rows = [
            np.hstack([clean[0].cpu().numpy(), seen[0].cpu().numpy()])
            for clean, seen in zip(batch['clean'][:4], batch['seen'][:4], strict=True)
        ]
        grey = np.vstack(rows)
        return {'seen': np.repeat(grey[..., None], 3, axis=2)}

    def smoke(self) -> AceEncoderRecipe:
        """Return a version with a narrow teacher-sized network and tiny painted pictures."""
        return replace(
            self, size=(32, 32), worlds_every=0, photos=(), start=None, validation_pictures=2
        )

    def export(self, network: nn.Module) -> nn.Module:
        """Return the whole network; its head is untrained, and each map brings its own."""
        assert isinstance(network, Encoder)
        return network.inner.eval()


class Encoder(nn.Module):
    """What of a coordinate network belongs to no scene: pictures to features."""

    channels_last = True

    def __init__(self, inner: SceneCoordinateNet) -> None:
        super().__init__()
        self.inner = inner
        for name, parameter in inner.named_parameters():
            parameter.requires_grad_(name.startswith(ENCODER))

    @property
    def size(self) -> int:
        """Number D of features."""
        return self.inner.res2_conv3.out_channels

    def forward(self, images: Tensor) -> Tensor:
        """Turn ``(B, 1, H, W)`` grey in [0, 1] into ``(B, D, h, w)``."""
        return self.inner.features(images)


class SeenPictures:
    """Grey pictures twice, ``clean`` and ``seen`` in another light, both ``(1, H, W)`` uint8."""

    def __init__(self, recipe: AceEncoderRecipe, seed: int) -> None:
        self._recipe, self._seed = recipe, seed
        self._photos = PhotoPool(recipe.photos)
        photos = self._photos if recipe.photos else None
        self._worlds = WorldSamples(recipe.worlds, seed, photos=photos)

    def __getitem__(self, index: int) -> Sample:
        """Return the picture of that number."""
        rng = np.random.default_rng([self._seed, index, 1])
        every = self._recipe.worlds_every
        if every and index % every == 0:
            image = self._worlds[index // every][0].frame.image
        else:
            image = self._photos.crop(rng, *self._recipe.size)
        grey = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
        return {'clean': grey[None], 'seen': photometric(grey, rng, self._recipe.light)[None]}


@lru_cache(maxsize=1)
def _teacher(path: Path | None) -> SuperPoint:
    file = path or chosen('superpoint', '')
    network = untrained('superpoint') if file is None else load_network('superpoint', file)
    assert isinstance(network, SuperPoint)
    return optimise(network).requires_grad_(False)
