"""SfMLearner: depth of one picture, and motion between pictures (Zhou et al., CVPR 2017).

Two networks that are trained together and know nothing of each other. Parameter names are those of
the public PyTorch files: ``conv1.0``, ``conv1.2``, ``upconv7.0``, ``iconv7.0``,
``predict_disp4.0``, ``pose_pred``, ``predict_mask4``. The second may also say what camera it looks
through (Gordon et al., "Depth from Videos in the Wild", ICCV 2019): ``intrinsics_pred``.

Dimension letters in this file: B images, S references (the pictures around the target), H W size
in pixels, h w size of a feature map.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dlcv.networks.layers.blocks import initialise_xavier, scaled
from dlcv.networks.layers.shapes import expect

_SCALES = 4
_DISPARITY_RANGE, _DISPARITY_LEAST = 10.0, 0.01

_DOWN = ((32, 7), (64, 5), (128, 3), (256, 3), (512, 3), (512, 3), (512, 3))  # channels, kernel
_UP = (512, 512, 256, 128, 64, 32, 16)  # upconv7 ... upconv1

_POSE = ((16, 7), (32, 5), (64, 3), (128, 3), (256, 3), (256, 3), (256, 3))
_MASK_FROM = 5  # conv5 is where the masks' decoder starts
_MASK_UP = (256, 128, 64, 32, 16)  # upconv5 ... upconv1


@dataclass(frozen=True, kw_only=True, slots=True)
class DispNetSConfig:
    """All that is needed to rebuild the depth network, and what belongs to its weights.

    Attributes:
        width: Factor on all channel numbers; 1 is the paper's.
        input_size: Height and width at which the weights were trained; others work too.
        baseline: Unit of its disparity d: depth is ``phi * baseline / d``, phi being the focal
            length over the picture's width. Video does not tell it.
    """

    width: float = 1.0
    input_size: tuple[int, int] = (128, 416)
    baseline: float = 1.0

    def __post_init__(self) -> None:
        if not (self.width > 0 and self.baseline > 0 and min(self.input_size) > 0):
            raise ValueError(
                'DispNetS needs width, baseline and input_size above 0, got '
                f'{self.width}, {self.baseline} and {self.input_size}'
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class PoseExpNetConfig:
    """All that is needed to rebuild the pose network.

    Attributes:
        references: Pictures S around the target.
        width: Factor on all channel numbers; 1 is the paper's.
        explainability: Whether it also tells, for every pixel of the target, how far a reference
            can be trusted to show the same.
        intrinsics: Whether it also tells focal lengths and centre of the camera.
        unit: What the last layer's answer is multiplied with, so that motions start small.
    """

    references: int = 2
    width: float = 1.0
    explainability: bool = False
    intrinsics: bool = False
    unit: float = 0.01

    def __post_init__(self) -> None:
        if self.references < 1 or not (self.width > 0 and self.unit > 0):
            raise ValueError(
                'PoseExpNet needs references >= 1, width and unit above 0, got '
                f'{self.references}, {self.width} and {self.unit}'
            )


class Motions(NamedTuple):
    """What PoseExpNet says of B targets and their S references.

    Attributes:
        motions: ``(B, S, 6)`` from the target's camera to each reference's as [tx ty tz, rx ry rz
            (rad)] with ``R = Rx(rx) Ry(ry) Rz(rz)``; the unit of length is that of the depth that
            it is trained with.
        masks: ``(B, S, h, w)`` in [0, 1], finest first (h = H, H/2, H/4, H/8, rounded up); or none.
        intrinsics: ``(B, 3, 3)`` calibration matrices K in pixels of all pictures of a target; or
            None.
    """

    motions: Tensor
    masks: tuple[Tensor, ...]
    intrinsics: Tensor | None


class DispNetS(nn.Module):
    """Disparity of a picture at four scales."""

    def __init__(self, config: DispNetSConfig) -> None:
        super().__init__()
        self.config = config
        down = [scaled(channels, config.width) for channels, _ in _DOWN]
        for i, (c_in, c_out) in enumerate(zip((3, *down), down, strict=False)):
            self.add_module(f'conv{i + 1}', _down(c_in, c_out, _DOWN[i][1]))
        up = [scaled(channels, config.width) for channels in _UP]
        skips = (0, *down[:-1])  # what joins at level 1 (the full size), 2, ... 7
        for level, c_in, c_out in zip(range(7, 0, -1), (down[-1], *up), up, strict=False):
            joined = c_out + skips[level - 1] + (level < _SCALES)  # with the coarser disparity
            self.add_module(f'upconv{level}', _up(c_in, c_out))
            self.add_module(f'iconv{level}', nn.Sequential(_conv(joined, c_out), _relu()))
            if level <= _SCALES:
                self.add_module(
                    f'predict_disp{level}', nn.Sequential(_conv(c_out, 1), nn.Sigmoid())
                )
        initialise_xavier(self)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Estimate disparities.

        Args:
            images: ``(B, 3, H, W)`` RGB in [0, 1].

        Returns:
            Four maps ``(B, 1, h, w)`` in [0.01, 10.01], finest first: h = H, H/2, H/4, H/8,
            rounded up.

        Raises:
            ShapeError: If the shape is another.
        """
        expect(images, 'B 3 H W', 'images')
        features = [(images - 0.5) / 0.5]
        for i in range(len(_DOWN)):
            features.append(self.get_submodule(f'conv{i + 1}')(features[-1]))
        x, found = features.pop(), list[Tensor]()
        for level in range(len(features), 0, -1):
            skip = features.pop()
            parts = [_cropped(self.get_submodule(f'upconv{level}')(x), skip)]
            parts += [skip] if level > 1 else []  # the picture itself is not joined
            parts += [_cropped(_double(coarser), skip) for coarser in found[-1:]]
            x = self.get_submodule(f'iconv{level}')(torch.cat(parts, dim=1))
            if level <= _SCALES:
                share = self.get_submodule(f'predict_disp{level}')(x)
                found.append(_DISPARITY_RANGE * share + _DISPARITY_LEAST)
        return tuple(reversed(found))


class PoseExpNet(nn.Module):
    """Motions from a target picture to its references, and masks of what they explain."""

    def __init__(self, config: PoseExpNetConfig) -> None:
        super().__init__()
        self.config = config
        down = [scaled(channels, config.width) for channels, _ in _POSE]
        inputs = (3 * (1 + config.references), *down)
        for i, (c_in, c_out) in enumerate(zip(inputs, down, strict=False)):
            conv = nn.Sequential(_conv(c_in, c_out, _POSE[i][1], 2), _relu())
            self.add_module(f'conv{i + 1}', conv)
        self.pose_pred = nn.Conv2d(down[-1], 6 * config.references, 1)
        if config.explainability:
            self._add_masks(down[_MASK_FROM - 1])
        if config.intrinsics:
            self.intrinsics_pred = nn.Conv2d(down[-1], 4, 1)  # focal lengths x y, centre x y
        initialise_xavier(self)

    def forward(self, target: Tensor, references: Tensor) -> Motions:
        """Estimate motions, and masks and intrinsics if the configuration has them.

        Args:
            target: ``(B, 3, H, W)`` RGB in [0, 1].
            references: ``(B, S, 3, H, W)``, in the order of time.

        Raises:
            ShapeError: If the shapes are others.
        """
        expect(target, 'B 3 H W', 'target')
        batch, _, height, width = target.shape
        count = self.config.references
        expect(references, f'{batch} {count} 3 {height} {width}', 'references')
        pictures = torch.cat((target, references.flatten(1, 2)), dim=1)  # (B, 3 + 3 S, H, W)
        features = [(pictures - 0.5) / 0.5]
        for i in range(len(_POSE)):
            features.append(self.get_submodule(f'conv{i + 1}')(features[-1]))
        motions = self.pose_pred(features[-1]).mean((2, 3))  # (B, 6 S)
        return Motions(
            self.config.unit * motions.unflatten(1, (count, 6)),
            self._masks(features[: _MASK_FROM + 1]) if self.config.explainability else (),
            self._camera(features[-1], height, width) if self.config.intrinsics else None,
        )

    def _camera(self, features: Tensor, height: int, width: int) -> Tensor:
        """Return calibration matrices ``(B, 3, 3)``: focal lengths above 0, the centre anywhere.

        At zero a camera sees 72 degrees of each axis, and its centre is that of the picture.
        """
        answer = self.intrinsics_pred(features).mean((2, 3))  # (B, 4)
        size = answer.new_tensor((width, height))
        focal = F.softplus(answer[:, :2]) * size
        centre = (answer[:, 2:] + 0.5) * size - 0.5  # pixel (0, 0) has its centre there
        camera = torch.diag_embed(F.pad(focal, (0, 1), value=1))
        return torch.cat((camera[:, :, :2], F.pad(centre, (0, 1), value=1)[:, :, None]), 2)

    def _add_masks(self, c_in: int) -> None:
        up = [scaled(channels, self.config.width) for channels in _MASK_UP]
        for level, a, b in zip(range(_MASK_FROM, 0, -1), (c_in, *up), up, strict=False):
            deconv = nn.ConvTranspose2d(a, b, 4, stride=2, padding=1)
            self.add_module(f'upconv{level}', nn.Sequential(deconv, _relu()))
            if level <= _SCALES:
                self.add_module(f'predict_mask{level}', _conv(b, self.config.references))

    def _masks(self, features: Sequence[Tensor]) -> tuple[Tensor, ...]:
        x, found = features[-1], list[Tensor]()
        for level in range(_MASK_FROM, 0, -1):
            x = _cropped(self.get_submodule(f'upconv{level}')(x), features[level - 1])
            if level <= _SCALES:
                found.append(self.get_submodule(f'predict_mask{level}')(x).sigmoid())
        return tuple(reversed(found))


def _down(c_in: int, c_out: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(
        _conv(c_in, c_out, kernel, 2), _relu(), _conv(c_out, c_out, kernel), _relu()
    )


def _up(c_in: int, c_out: int) -> nn.Sequential:
    deconv = nn.ConvTranspose2d(c_in, c_out, 3, stride=2, padding=1, output_padding=1)
    return nn.Sequential(deconv, _relu())


def _conv(c_in: int, c_out: int, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(c_in, c_out, kernel, stride, (kernel - 1) // 2)


def _relu() -> nn.ReLU:
    return nn.ReLU(inplace=True)


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode='bilinear', align_corners=False)


def _cropped(x: Tensor, like: Tensor) -> Tensor:
    """Cut the last row and column off where doubling made one too many."""
    return x[:, :, : like.shape[2], : like.shape[3]]
