"""LIFT: a detector, an orientation and a descriptor in a row (Yi et al., ECCV 2016).

All three are convolutions on patches, and between them spatial transformers cut what the next one
looks at, so that one loss reaches all of them. On whole pictures the detector runs as a
convolution; see `dlcv.networks.layers.scale_space`.

A feature of scale ``sigma`` has a patch that reaches 6 sigma to each side; the patch that it is
searched in reaches twice as far.

Letters in this file: B patches or pictures, N points of a picture, H W size in pixels, C channels,
D descriptor length, S side of a patch, h w size of a score map. Angles are in rad, from x to y,
clockwise as seen in a picture whose y points down.

State-dict keys: ``<part>.mean`` and ``<part>.std``, of grey values in [0, 1], for the parts
``detector``, ``orientation`` and ``descriptor``; ``detector.conv``, ``orientation.conv1`` to
``conv3``, ``orientation.fc1`` and ``fc2``, ``descriptor.conv1`` to ``conv3``, each with
``.{weight,bias}``; and ``descriptor.kernel1`` and ``kernel2``, of the subtractive normalisations.
The public file of the descriptor, an HDF5 file, names these ``patch-mean``, ``patch-std``,
``l-{1,5,9}-{weights,bias}`` and ``l-{4,8}-filter``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dlcv.networks.layers.blocks import initialise, scaled
from dlcv.networks.layers.sampling import sample_at
from dlcv.networks.layers.shapes import expect

PATCH = 64
"""Side of the patch that is oriented and described."""
SEARCHED = 128
"""Side of the patch that a feature is searched in, at the same resolution."""
DETECTED = 48
"""Side of that patch as the detector sees it."""
REACH = 6.0
"""Scales from the middle of a described patch to its edges."""
FILTER = 25
"""Side of the detector's filters."""
SHARPNESS = 10.0
"""Factor of the scores in the softargmax."""

_SUMS, _MAXIMA = 4, 4  # of the generalised hinging hyperplanes
_MARGIN = 5  # of a score map: a patch about what it leaves lies in the searched one however turned
_FLOOR = 1e-12  # a root has no gradient at 0


@dataclass(frozen=True, kw_only=True, slots=True)
class LIFTConfig:
    """All that is needed to rebuild the network; saved beside its weights.

    Attributes:
        width: Multiplier of the channels of the descriptor, and so of its length of 128.
        orientation_width: Multiplier of the channels and units of the orientation, 97 % of whose
            9.7 million weights are one matrix.
        descriptor_only: Whether it is but the descriptor, as in the public file.
    """

    width: float = 1.0
    orientation_width: float = 1.0
    descriptor_only: bool = False

    def __post_init__(self) -> None:
        if not (self.width > 0 and self.orientation_width > 0):
            raise ValueError(
                'LIFT needs width > 0 and orientation_width > 0, got '
                f'{self.width} and {self.orientation_width}'
            )

    @property
    def descriptor_size(self) -> int:
        """Length D of a descriptor."""
        return scaled(128, self.width)


def small() -> LIFTConfig:
    """Return the configuration of weights that fit a repository: a quarter of the orientation."""
    return LIFTConfig(orientation_width=0.25)


class Found(NamedTuple):
    """What LIFT finds in searched patches.

    Attributes:
        scores: ``(B, 14, 14)``.
        xy: ``(B, 2)`` pixels of the patch, where the feature is.
        angles: ``(B,)``.
        descriptors: ``(B, D)``.
    """

    scores: Tensor
    xy: Tensor
    angles: Tensor
    descriptors: Tensor


class LIFT(nn.Module):
    """The three networks and what joins them."""

    def __init__(self, config: LIFTConfig) -> None:
        super().__init__()
        self.config = config
        if not config.descriptor_only:
            self.detector = Detector()
            self.orientation = Orientation(config.orientation_width)
        self.descriptor = Descriptor(config.width)

    def forward(self, patches: Tensor) -> Found | Tensor:
        """Find, orient and describe the feature of each patch, as in training.

        Args:
            patches: ``(B, 1, 128, 128)`` float32 grey in [0, 1]; of the descriptor alone,
                ``(B, 1, 64, 64)``.

        Returns:
            What is found; of the descriptor alone, descriptors ``(B, D)``.

        Raises:
            ShapeError: If the shape of the patches is another one.
        """
        if self.config.descriptor_only:
            described: Tensor = self.descriptor(patches)
            return described
        scores = self.search(patches)
        xy = softargmax(scores)
        angles = self.orient(patches, xy)
        return Found(scores, xy, angles, self.describe(patches, xy, angles))

    def search(self, patches: Tensor) -> Tensor:
        """Return the scores ``(B, 14, 14)`` of searched patches ``(B, 1, 128, 128)``.

        They are of the positions where a described patch lies in the searched one however it is
        turned.

        Raises:
            ShapeError: If the shape of the patches is another one.
        """
        expect(patches, f'B 1 {SEARCHED} {SEARCHED}', 'patches')
        seen = F.interpolate(patches, (DETECTED, DETECTED), mode='bilinear', antialias=True)
        scores: Tensor = self.detector(seen)
        return scores[:, _MARGIN:-_MARGIN, _MARGIN:-_MARGIN]

    def orient(self, patches: Tensor, xy: Tensor) -> Tensor:
        """Return angles ``(B,)`` of the features at ``(B, 2)`` of searched patches."""
        half = xy.new_full((len(xy), 1), PATCH / 2)
        angles: Tensor = self.orientation(crop(patches, xy[:, None], half, torch.zeros_like(half)))
        return angles

    def describe(self, patches: Tensor, xy: Tensor, angles: Tensor) -> Tensor:
        """Return descriptors ``(B, D)`` of the features at ``(B, 2)`` with angles ``(B,)``."""
        half = xy.new_full((len(xy), 1), PATCH / 2)
        described: Tensor = self.descriptor(crop(patches, xy[:, None], half, angles[:, None]))
        return described


class Part(nn.Module):
    """What takes grey values in [0, 1] and normalises them by constants of its own.

    Args:
        mean: Of the grey values it is trained on, 0..255.
        std: Their standard deviation.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: float, std: float) -> None:
        super().__init__()
        self.register_buffer('mean', torch.full((1,), mean / 255))
        self.register_buffer('std', torch.full((1,), std / 255))

    def normalised(self, images: Tensor) -> Tensor:
        """Return images less the mean, over the deviation."""
        return (images - self.mean) / self.std


class Detector(Part):
    """Scores of a piece-wise linear filter, as in TILDE (eq. 1)."""

    def __init__(self) -> None:
        super().__init__(116.4368, 88.0831)
        self.conv = nn.Conv2d(1, _SUMS * _MAXIMA, FILTER)
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return scores ``(B, H-24, W-24)`` of images ``(B, 1, H, W)``, of their inner pixels.

        Raises:
            ShapeError: If the images are not grey.
        """
        expect(images, 'B 1 H W', 'images')
        return ghh(self.conv(self.normalised(images)))[:, 0]


class Orientation(Part):
    """The angle of a patch (Yi et al., "Learning to assign orientations...", CVPR 2016)."""

    def __init__(self, width: float) -> None:
        super().__init__(116.4368, 88.0831)
        channels = [scaled(c, width) for c in (10, 20, 50)]
        units = scaled(100, width)
        self.conv1 = nn.Conv2d(1, channels[0], 5)
        self.conv2 = nn.Conv2d(channels[0], channels[1], 5)
        self.conv3 = nn.Conv2d(channels[1], channels[2], 3)
        self.fc1 = nn.Linear(channels[2] * 11 * 11, units * _SUMS * _MAXIMA)
        self.drop = nn.Dropout(0.3)
        self.fc2 = nn.Linear(units, 2 * _SUMS * _MAXIMA)
        initialise(self)

    def forward(self, patches: Tensor) -> Tensor:
        """Return angles ``(B,)`` in [-pi, pi] of patches ``(B, 1, 64, 64)``.

        Raises:
            ShapeError: If the shape of the patches is another one.
        """
        expect(patches, f'B 1 {PATCH} {PATCH}', 'patches')
        x = F.max_pool2d(self.conv1(self.normalised(patches)).relu(), 2)  # (B, 10, 30, 30)
        x = F.max_pool2d(self.conv2(x).relu(), 2)  # (B, 20, 13, 13)
        x = self.conv3(x).relu()  # (B, 50, 11, 11)
        x = self.drop(ghh(self.fc1(x.flatten(1))))
        sine, cosine = ghh(self.fc2(x)).unbind(1)
        return torch.atan2(sine, cosine)


class Descriptor(Part):
    """The descriptor of a patch, compared by Euclidean distance; its length is not 1."""

    kernel1: Tensor
    kernel2: Tensor

    def __init__(self, width: float) -> None:
        super().__init__(110.7539, 61.5369)
        channels = [scaled(c, width) for c in (32, 64, 128)]
        self.conv1 = nn.Conv2d(1, channels[0], 7)
        self.register_buffer('kernel1', _gaussian())
        self.conv2 = nn.Conv2d(channels[0], channels[1], 6)
        self.register_buffer('kernel2', _gaussian())
        self.conv3 = nn.Conv2d(channels[1], channels[2], 5)

    def forward(self, patches: Tensor) -> Tensor:
        """Return descriptors ``(B, D)`` of patches ``(B, 1, 64, 64)``, values in [0, 4].

        Raises:
            ShapeError: If the shape of the patches is another one.
        """
        expect(patches, f'B 1 {PATCH} {PATCH}', 'patches')
        x = l2_pool(self.conv1(self.normalised(patches)).tanh(), 2)  # (B, 32, 29, 29)
        x = subtract_mean(x, self.kernel1)
        x = l2_pool(self.conv2(x).tanh(), 3)  # (B, 64, 8, 8)
        x = subtract_mean(x, self.kernel2)
        return l2_pool(self.conv3(x).tanh(), 4).flatten(1)


def ghh(values: Tensor) -> Tensor:
    """Return generalised hinging hyperplanes: ``sum_j delta_j max_m z_jm``, delta +1, -1, +1, -1.

    Args:
        values: ``(B, 16 C, ...)``; four sums of four maxima for each of C.

    Returns:
        ``(B, C, ...)``.
    """
    count, channels, *size = values.shape
    units = channels // (_SUMS * _MAXIMA)
    most = values.reshape(count, units, _SUMS, _MAXIMA, *size).amax(dim=3)  # (B, C, 4, ...)
    first, second, third, fourth = most.unbind(2)
    return first - second + third - fourth


def l2_pool(values: Tensor, side: int) -> Tensor:
    """Return the lengths of the values in squares that do not overlap; a rest is dropped."""
    summed = F.avg_pool2d(values * values, side) * side**2
    return summed.clamp(min=_FLOOR).sqrt()


def subtract_mean(values: Tensor, kernel: Tensor) -> Tensor:
    """Return values ``(B, C, H, W)`` less their mean over all channels and a window.

    Args:
        values: What is normalised.
        kernel: Weights of the window, of odd sides and any sum; at the border the part of it that
            lies inside counts.
    """
    window = (kernel / kernel.sum())[None, None]
    padding = (kernel.shape[0] // 2, kernel.shape[1] // 2)
    mean = F.conv2d(values.mean(dim=1, keepdim=True), window, padding=padding)
    inside = F.conv2d(torch.ones_like(values[:1, :1]), window, padding=padding)
    return values - mean / inside


def softargmax(scores: Tensor) -> Tensor:
    """Return where the scores are highest: the mean position, weighted by their softmax (eq. 4).

    Args:
        scores: ``(B, h, w)`` of `LIFT.search`.

    Returns:
        ``(B, 2)`` pixels of the searched patch.
    """
    _, height, width = scores.shape
    share = (SHARPNESS * scores).flatten(1).softmax(dim=1).view_as(scores)
    # Pixel 0 of these scores is pixel _MARGIN of the map, whose pixel 0 is pixel 12 of the patch.
    pixels = torch.arange(max(height, width), dtype=scores.dtype, device=scores.device)
    pixels = (pixels + _MARGIN + FILTER // 2 + 0.5) * (SEARCHED / DETECTED) - 0.5
    x = (share.sum(dim=1) * pixels[:width]).sum(dim=1)
    y = (share.sum(dim=2) * pixels[:height]).sum(dim=1)
    return torch.stack((x, y), dim=1)


def crop(images: Tensor, xy: Tensor, half: Tensor, angles: Tensor, side: int = PATCH) -> Tensor:
    """Cut patches out of pictures: the spatial transformer (Jaderberg et al., NIPS 2015).

    Args:
        images: ``(B, 1, H, W)``; their outermost pixels go on outside.
        xy: ``(B, N, 2)`` pixels, the middles of the patches.
        half: ``(B, N)`` pixels from there to an edge.
        angles: ``(B, N)``; a patch's x axis points there.
        side: S.

    Returns:
        ``(B*N, 1, S, S)``, differentiable in all of them.

    Raises:
        ShapeError: If the shapes do not fit.
    """
    count, points = xy.shape[:2]
    expect(images, f'{count} 1 H W', 'images')
    expect(half, f'{count} {points}', 'half sides')
    expect(angles, f'{count} {points}', 'angles')
    steps = (torch.arange(side, dtype=xy.dtype, device=xy.device) + 0.5) * (2 / side) - 1
    v, u = torch.meshgrid(steps, steps, indexing='ij')  # (S, S)
    c, s = (half * angles.cos())[..., None, None], (half * angles.sin())[..., None, None]
    x = xy[..., 0, None, None] + c * u - s * v  # (B, N, S, S)
    y = xy[..., 1, None, None] + s * u + c * v
    at = torch.stack((x, y), dim=1).flatten(2, 3)  # (B, 2, N*S, S)
    return sample_at(images, at, outside='border').reshape(count * points, 1, side, side)


def _gaussian(side: int = 5) -> Tensor:
    """Return the window of the public file but for its factor: sigma is a quarter of the side."""
    bell = [math.exp(-8 * ((i - (side - 1) / 2) / side) ** 2) for i in range(side)]
    return torch.tensor([[a * b / sum(bell) ** 2 for a in bell] for b in bell])
