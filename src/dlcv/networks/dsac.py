"""Scene coordinates: where in the map does each image cell look (DSAC, DSAC*, ACE).

Four coordinate networks, all from an image to ``(B, 3, h, w)`` map points in metres:

* ``full``, ``tiny``: DSAC* (Brachmann and Rother, PAMI 2021), grey image, one cell for 8 pixels.
* ``ace``: the same encoder, scene-agnostic, and a small 1x1 head of one scene (Brachmann et al.,
  CVPR 2023). Encoder and head files have no key in common: this network takes their union.
* ``patch``: DSAC (Brachmann et al., CVPR 2017), a network of 42x42 RGB patches.

and ``ScoreNet``, which grades a pose hypothesis by its image of reprojection errors (CVPR 2017).
Parameter names of the first three are those of the public files.

Dimension letters in this file: B images, C channels, H W image size in pixels, h w size of the
cell grid, D features, N patches or hypotheses.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dlcv.networks.layers.blocks import initialise, scaled
from dlcv.networks.layers.shapes import ShapeError, expect
from dlcv.networks.place import Place

Variant = Literal['full', 'tiny', 'ace', 'patch']

ENCODER = ('conv', 'res1_', 'res2_')
"""What the names of ACE's scene-agnostic layers begin with; all others are the head's."""

PATCH = 42  # pixels of a 2017 patch, both ways
_PATCH_STRIDE = 16  # pixels between patches that the network makes by its own strides
_PATCHES = 256  # that are held in memory at a time
_NORMALISATION = ((0.4, 0.25), (127 / 255, 1 / 255))  # (offset, scale): DSAC* and ACE, patches
_RES1 = ('res1_conv1', 'res1_conv2', 'res1_conv3')
_RES2 = ('res2_conv1', 'res2_conv2', 'res2_conv3')
_RES3 = ('res3_conv1', 'res3_conv2', 'res3_conv3')
_ACE_SCALES = {  # of the divisor's inverse; kept in ACE's files
    'max_scale': 4.0,
    'min_scale': 0.01,
    'max_inv_scale': 1 / 4.0,
    'min_inv_scale': 1 / 0.01,
    'h_beta': log(2) / (1 - 1 / 4.0),  # makes the divisor of 0 one
}
_PATCH_CONVS = (  # channels, stride, padding
    (64, 1, 0),
    (64, 2, 1),
    (128, 1, 1),
    (128, 2, 1),
    (256, 1, 1),
    (256, 1, 1),
    (256, 2, 1),
    (512, 1, 1),
    (512, 1, 1),
    (512, 2, 0),
)
_SCORE_CONVS = (  # channels, stride, padding
    (32, 1, 1),
    (32, 2, 1),
    (64, 1, 1),
    (64, 2, 1),
    (128, 1, 1),
    (128, 2, 1),
    (256, 1, 1),
    (256, 2, 0),
    (512, 1, 1),
    (512, 2, 1),
)
_SCORE_SIZE = 40  # cells of the error image, both ways


@dataclass(frozen=True, kw_only=True, slots=True)
class DsacConfig:
    """All that is needed to rebuild a coordinate network.

    Attributes:
        variant: Which network.
        width: Factor on all inner channel numbers; 1 is the papers'.
        head_blocks: Extra residual blocks of ACE's head.
        homogeneous: Whether ACE's head predicts a fourth, homogeneous number.
        evaluation: How the patch network sees an image. ``'patches'`` cuts patches and is exactly
            what the public network computes; ``'shared'`` runs the layers over the whole image,
            many times faster, where a patch sees its neighbours instead of its own zero padding:
            the same for an image of one patch, different numbers otherwise, so use it with
            weights trained that way.
        stride: Pixels between patches when they are cut; 16 when they are shared.
        normalisation: Offset and scale of the input, ``(x - offset) / scale``; None for the
            variant's own.
        metres_per_unit: Size of the network's output unit; None for the variant's own (the 2017
            networks give millimetres).
        input_height: Height in pixels to which images are resized, as they were in training.
        place: What the weights are a map of; None where nobody said.
    """

    variant: Variant = 'full'
    width: float = 1.0
    head_blocks: int = 1
    homogeneous: bool = True
    evaluation: Literal['patches', 'shared'] = 'shared'
    stride: int = _PATCH_STRIDE
    normalisation: tuple[float, float] | None = None
    metres_per_unit: float | None = None
    input_height: int = 480
    place: Place | None = None

    def __post_init__(self) -> None:
        if self.variant not in ('full', 'tiny', 'ace', 'patch'):
            raise ValueError(f'variant must be full, tiny, ace or patch, got {self.variant!r}')
        if self.input_height < 1:
            raise ValueError(f'input_height must be at least 1, got {self.input_height}')
        if not self.width > 0 or self.head_blocks < 0 or self.stride < 1:
            raise ValueError(
                f'width and stride must be positive and head_blocks not negative, got '
                f'{self.width}, {self.stride} and {self.head_blocks}'
            )
        if self.normalisation is not None and not self.normalisation[1]:
            raise ValueError(f'the scale of normalisation must not be zero: {self.normalisation}')
        if self.evaluation == 'shared' and self.stride != _PATCH_STRIDE:
            raise ValueError(f'shared patches lie {_PATCH_STRIDE} pixels apart, not {self.stride}')

    @property
    def channels(self) -> int:
        """Channels of the input: 3 for RGB, 1 for grey."""
        return 3 if self.variant == 'patch' else 1

    @property
    def cell(self) -> int:
        """Pixels between two cells."""
        return self.stride if self.variant == 'patch' else 8

    @property
    def first_cell(self) -> int:
        """Pixel, in x and in y, that the first cell stands for."""
        return PATCH // 2 if self.variant == 'patch' else 4


def small() -> DsacConfig:
    """Return the configuration that is small enough to ship and fast enough for two cores."""
    return DsacConfig(variant='tiny', input_height=192)


def coordinate_network(config: DsacConfig) -> SceneCoordinateNet | PatchCoordinateNet:
    """Return a freshly initialised network for ``config``."""
    return PatchCoordinateNet(config) if config.variant == 'patch' else SceneCoordinateNet(config)


def cell_centres(config: DsacConfig, height: int, width: int) -> Tensor:
    """Return the pixel that each cell of a ``height`` x ``width`` grid stands for.

    Cell (row i, column j) of DSAC* and ACE stands for pixel (x, y) = (8j + 4, 8i + 4), as it was
    trained; a 42-pixel patch for its pixel (21, 21).

    Returns:
        ``(h, w, 2)`` float32 x and y.
    """
    y = torch.arange(height) * config.cell + config.first_cell
    x = torch.arange(width) * config.cell + config.first_cell
    return torch.stack(torch.meshgrid(x, y, indexing='xy'), dim=-1).float()


class SceneCoordinateNet(nn.Module):
    """DSAC* full and tiny, and ACE: a fully convolutional network of stride 8.

    The buffer ``mean`` is the centre of the scene in metres, which is added to the output.
    """

    channels_last = True  # the faster memory format for inference on a CPU
    mean: Tensor
    h_beta: Tensor
    max_inv_scale: Tensor
    min_inv_scale: Tensor

    def __init__(self, config: DsacConfig) -> None:
        super().__init__()
        if config.variant == 'patch':
            raise ValueError("variant 'patch' is PatchCoordinateNet's; this has full, tiny and ace")
        self.config = config
        tiny = config.variant == 'tiny'
        base = (32, 64, 128, 128, 128) if tiny else (32, 64, 128, 256, 512)
        c1, c2, c3, c4, c5 = (scaled(channels, config.width) for channels in base)
        self.conv1 = _conv3(1, c1)
        self.conv2 = _conv3(c1, c2, stride=2)
        self.conv3 = _conv3(c2, c3, stride=2)
        self.conv4 = _conv3(c3, c4, stride=2)
        self.res1_conv1 = _conv3(c4, c4)
        self.res1_conv2 = nn.Conv2d(c4, c4, 1)
        self.res1_conv3 = _conv3(c4, c4)
        self.res2_conv1 = _conv3(c4, c5)
        self.res2_conv2 = nn.Conv2d(c5, c5, 1)
        self.res2_conv3 = _conv3(c5, c5)
        self.res2_skip = nn.Identity() if tiny else nn.Conv2d(c4, c5, 1)
        self._add_head(c5)
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """Predict the map point behind each cell.

        Args:
            images: ``(B, 1, H, W)`` grey in [0, 1].

        Returns:
            ``(B, 3, h, w)`` metres, with h = ceil(H/8), w = ceil(W/8); see ``cell_centres``.

        Raises:
            ShapeError: If the images have another shape.
        """
        return self.head(self.features(images))

    def features(self, images: Tensor) -> Tensor:
        """Encode ``(B, 1, H, W)`` in [0, 1] as ``(B, D, h, w)``, what ACE trains its heads on."""
        expect(images, 'B 1 H W', 'images')
        x = _normalise(images, self.config)
        for name in ('conv1', 'conv2', 'conv3', 'conv4'):
            x = F.relu(self.get_submodule(name)(x))
        x = x + self._chain(x, _RES1)  # (B, c4, h, w)
        return torch.add(self.res2_skip(x), self._chain(x, _RES2))  # (B, D, h, w)

    def head(self, features: Tensor) -> Tensor:
        """Turn features ``(B, D, h, w)`` into map points ``(B, 3, h, w)`` in metres."""
        return self.points(self.trunk(features))

    def head_parameters(self) -> list[nn.Parameter]:
        """Return what belongs to the place alone: all but the encoder's parameters."""
        return [p for name, p in self.named_parameters() if not name.startswith(ENCODER)]

    def trunk(self, features: Tensor) -> Tensor:
        """Return the head's inner features, ``(B, D, h, w)``, which 16 bits are enough for."""
        x = features
        for names in self._head_blocks:
            x = x + self._chain(x, names)
        return self._chain(x, ('fc1', 'fc2'))

    def points(self, inner: Tensor) -> Tensor:
        """Turn inner features ``(B, D, h, w)`` into map points ``(B, 3, h, w)`` in metres."""
        x = self.fc3(inner)
        if self.fc3.out_channels == 4:
            x = x[:, :3] / self._homogeneous(x[:, 3:])
        return _metres(x, self.config) + self.mean.reshape(3, 1, 1)

    def cell_centres(self, height: int, width: int) -> Tensor:
        """Return the pixel of each cell of a ``height`` x ``width`` grid, ``(h, w, 2)`` x, y."""
        return cell_centres(self.config, height, width)

    def _chain(self, x: Tensor, names: tuple[str, ...]) -> Tensor:
        for name in names:
            x = F.relu(self.get_submodule(name)(x))
        return x  # a block's sum comes after its last ReLU, and none follows it

    def _homogeneous(self, raw: Tensor) -> Tensor:
        """Map any number to a divisor in [1/max_scale, 1/min_scale], and 0 to one."""
        positive = F.softplus(raw * self.h_beta) / self.h_beta
        return torch.minimum(positive + self.max_inv_scale, self.min_inv_scale)

    def _add_head(self, c: int) -> None:
        ace = self.config.variant == 'ace'
        extra = [tuple(f'{b}c{i}' for i in range(3)) for b in range(self.config.head_blocks * ace)]
        self._head_blocks = [_RES3, *extra]
        for name in (*(name for names in self._head_blocks for name in names), 'fc1', 'fc2'):
            self.add_module(name, nn.Conv2d(c, c, 1))
        homogeneous = ace and self.config.homogeneous
        self.fc3 = nn.Conv2d(c, 4 if homogeneous else 3, 1)
        self.register_buffer('mean', torch.zeros((1, 3, 1, 1) if ace else (3,)))
        for name, value in _ACE_SCALES.items() if homogeneous else ():
            self.register_buffer(name, torch.tensor([value]))


class PatchCoordinateNet(nn.Module):
    """DSAC 2017: ten convolutions and three linear layers on 42x42 RGB patches.

    The linear layers are kept as convolutions, so that one network serves a patch and an image.
    """

    channels_last = True

    def __init__(self, config: DsacConfig) -> None:
        super().__init__()
        if config.variant != 'patch':
            raise ValueError(f"PatchCoordinateNet is variant 'patch', got {config.variant!r}")
        self.config = config
        wide = scaled(4096, config.width)
        self.convs, channels = _convs(3, _PATCH_CONVS, config.width)
        self.fc1 = nn.Conv2d(channels, wide, 2)
        self.fc2 = nn.Conv2d(wide, wide, 1)
        self.fc3 = nn.Conv2d(wide, 3, 1)
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """Predict the map point behind each cell.

        Args:
            images: ``(B, 3, H, W)`` RGB in [0, 1], of one patch at least.

        Returns:
            ``(B, 3, h, w)`` metres, with h = (H - 42) // stride + 1 and w alike: only whole
            patches count, from the top left; see ``cell_centres``.

        Raises:
            ShapeError: If the images have another shape or are smaller than a patch.
        """
        expect(images, 'B 3 H W', 'images')
        height, width = (_whole(size, self.config.stride) for size in images.shape[2:])
        if min(height, width) < PATCH:
            raise ShapeError(
                f'images: expected at least {PATCH} x {PATCH} pixels, got {tuple(images.shape)}'
            )
        images = images[:, :, :height, :width]
        if self.config.evaluation == 'shared':
            return self._points(images)
        return self._cut(images)

    def at(self, images: Tensor, xy: Tensor) -> Tensor:
        """Predict the map points of chosen pixels, each from the patch around it.

        This is the 2017 evaluation: 40 x 40 pixels, one drawn at random from each cell of a grid.

        Args:
            images: ``(B, 3, H, W)`` RGB in [0, 1].
            xy: ``(B, N, 2)`` integer pixels, 21 or more from the left and the top border and more
                than 20 from the right and the bottom one.

        Returns:
            ``(B, N, 3)`` metres.

        Raises:
            ShapeError: If the shapes do not fit or a patch does not lie inside its image.
        """
        expect(images, 'B 3 H W', 'images')
        expect(xy, f'{images.shape[0]} N 2', 'xy')
        corner = xy - PATCH // 2
        limit = corner.new_tensor((images.shape[3], images.shape[2])) - PATCH
        if bool(((corner < 0) | (corner > limit)).any()):
            raise ShapeError(
                f'xy: the {PATCH}-pixel patch of every pixel must lie inside the image of '
                f'{images.shape[3]} x {images.shape[2]}; x, y range from '
                f'{xy.amin((0, 1)).tolist()} to {xy.amax((0, 1)).tolist()}'
            )
        patches = torch.stack(
            [
                image[:, y : y + PATCH, x : x + PATCH]
                for image, corners in zip(images, corner.tolist(), strict=True)
                for x, y in corners
            ]
        )  # (B*N, 3, 42, 42)
        return self._batches(patches).view(*xy.shape[:2], 3)

    def cell_centres(self, height: int, width: int) -> Tensor:
        """Return the pixel of each cell of a ``height`` x ``width`` grid, ``(h, w, 2)`` x, y."""
        return cell_centres(self.config, height, width)

    def _cut(self, images: Tensor) -> Tensor:
        stride = self.config.stride
        windows = images.unfold(2, PATCH, stride).unfold(3, PATCH, stride)  # (B, 3, h, w, 42, 42)
        batch, _, h, w = windows.shape[:4]
        patches = windows.permute(0, 2, 3, 1, 4, 5).reshape(-1, 3, PATCH, PATCH)
        return self._batches(patches).view(batch, h, w, 3).permute(0, 3, 1, 2)  # (B, 3, h, w)

    def _batches(self, patches: Tensor) -> Tensor:
        """Return ``(N, 3)`` metres of patches ``(N, 3, 42, 42)``, some at a time to save memory."""
        return torch.cat([self._points(some).flatten(1) for some in torch.split(patches, _PATCHES)])

    def _points(self, images: Tensor) -> Tensor:
        x = _normalise(images, self.config)
        for conv in self.convs:
            x = F.relu(conv(x))
        x = F.relu(self.fc1(x))
        x = F.relu(self.fc2(x))
        return _metres(self.fc3(x), self.config)


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreConfig:
    """All that is needed to rebuild the score network.

    Attributes:
        width: Factor on all inner channel numbers; 1 is the paper's.
        clamp: Largest reprojection error in pixels that it tells apart.
        offset: Subtracted from the clamped errors.
    """

    width: float = 1.0
    clamp: float = 100.0
    offset: float = 45.0

    def __post_init__(self) -> None:
        if not self.width > 0 or not self.clamp > 0:
            raise ValueError(f'width and clamp must be positive, got {self.width}, {self.clamp}')


class ScoreNet(nn.Module):
    """DSAC 2017: grade a pose hypothesis by its picture of reprojection errors."""

    def __init__(self, config: ScoreConfig) -> None:
        super().__init__()
        self.config = config
        wide = scaled(1024, config.width)
        self.convs, channels = _convs(1, _SCORE_CONVS, config.width)
        self.fc1 = nn.Linear(channels, wide)
        self.fc2 = nn.Linear(wide, wide)
        self.fc3 = nn.Linear(wide, 1)
        initialise(self)

    def forward(self, errors: Tensor) -> Tensor:
        """Grade hypotheses.

        Args:
            errors: ``(N, 40, 40)`` reprojection errors in pixels, one image for each hypothesis;
                those of another grid are brought to 40 x 40 as means over areas.

        Returns:
            ``(N,)`` scores, higher is better; their softmax is the choice.

        Raises:
            ShapeError: If the errors have another shape.
        """
        expect(errors, 'N h w', 'errors')
        x = errors[:, None].clamp(max=self.config.clamp) - self.config.offset  # (N, 1, h, w)
        x = F.adaptive_avg_pool2d(x, _SCORE_SIZE)
        for conv in self.convs:
            x = F.relu(conv(x))
        x = F.relu(self.fc1(x.flatten(1)))  # 40 -> 20 -> 10 -> 5 -> 2 -> 1 cells
        x = F.relu(self.fc2(x))
        scores: Tensor = self.fc3(x)[:, 0]
        return scores


def _normalise(images: Tensor, config: DsacConfig) -> Tensor:
    offset, scale = config.normalisation or _NORMALISATION[config.variant == 'patch']
    return (images - offset) / scale


def _metres(points: Tensor, config: DsacConfig) -> Tensor:
    own = 1e-3 if config.variant == 'patch' else 1.0
    unit = own if config.metres_per_unit is None else config.metres_per_unit
    return points if unit == 1 else points * unit


def _whole(size: int, stride: int) -> int:
    """Return the part of an image's side that whole patches cover."""
    return size - (size - PATCH) % stride


def _conv3(c_in: int, c_out: int, *, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(c_in, c_out, 3, stride, 1)


def _convs(
    channels: int, table: tuple[tuple[int, int, int], ...], width: float
) -> tuple[nn.ModuleList, int]:
    """Return 3x3 convolutions (channels, stride, padding) and the last one's channels."""
    layers = nn.ModuleList()
    for base, stride, padding in table:
        c_out = scaled(base, width)
        layers.append(nn.Conv2d(channels, c_out, 3, stride, padding))
        channels = c_out
    return layers, channels
