"""FlowNetS and FlowNetC: dense optical flow from two images (Fischer et al., ICCV 2015).

Dimension letters in this file: B pairs, H W image size in pixels, C channels. Flow "in network
units" is pixels of the full-size image divided by ``div_flow``, at every resolution.

State-dict keys are those of the PyTorch port: ``conv1.0``, ``conv3_1.0``, ``conv_redir.0``,
``deconv5.0``, ``predict_flow6``, ``upsampled_flow6_to_5``, ... with ``.weight`` and, where there
is one, ``.bias``; with batch-norm, ``convN.1`` holds it and ``convN.0`` has no bias. The FlowNet2
re-implementation has the same keys and more biases. The families as configurations:

* port: the defaults (``batch_norm=True`` for its "bn" checkpoints). Files converted from the
  original release want ``channel_order='bgr'``.
* FlowNet2: ``mean='pair', deconv_bias=True, predict_bias=True``, and ``upsample_bias=True`` for
  FlowNetC only.
* UnFlow: ``mean=(0.411451, 0.432060, 0.450141)``; a stacked FlowNetS has ``in_channels=14``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dlcv.networks.layers.blocks import CONTRACTING, conv_leaky, initialise, scaled
from dlcv.networks.layers.correlation import correlation
from dlcv.networks.layers.shapes import expect, expect_same

Pyramid = tuple[Tensor, ...]  # flow2 (B, 2, H/4, W/4) ... flow6 (B, 2, H/64, W/64), network units

_SLOPE = 0.1  # of every LeakyReLU
_REDIRECTED = 32  # channels that bypass the correlation
_DECODER = {  # level: the skip joined there, and the channels of its transposed convolution
    5: ('conv5_1', 512),
    4: ('conv4_1', 256),
    3: ('conv3_1', 128),
    2: ('conv2', 64),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class FlowNetConfig:
    """All that is needed to rebuild the network; saved beside its weights.

    Attributes:
        variant: ``s``: one stack of both images. ``c``: two streams that meet in a correlation.
        batch_norm: Whether encoder convolutions are followed by batch-norm (and have no bias).
        deconv_bias: Whether the transposed convolutions of the features have a bias.
        predict_bias: Whether the flow predictions have a bias.
        upsample_bias: Whether the transposed convolutions of the flow have a bias.
        width: Multiplier of all channel counts.
        in_channels: Channels of the stack; 6 but for refining networks (variant ``s`` only).
        max_displacement: Reach of the correlation in pixels of its 1/8 resolution.
        displacement_stride: Its step in the same pixels.
        channel_order: What the network was trained on; images are always given as RGB.
        mean: Subtracted from the images, in the order of ``channel_order``; ``pair`` stands for
            the mean over both images of the pair.
        div_flow: Pixels of flow for one network unit.
    """

    variant: Literal['s', 'c'] = 's'
    batch_norm: bool = False
    deconv_bias: bool = False
    predict_bias: bool = False
    upsample_bias: bool = False
    width: float = 1.0
    in_channels: int = 6
    max_displacement: int = 20
    displacement_stride: int = 2
    channel_order: Literal['rgb', 'bgr'] = 'rgb'
    mean: tuple[float, float, float] | Literal['pair'] = (0.411, 0.432, 0.450)
    div_flow: float = 20.0

    def __post_init__(self) -> None:
        if not self.width > 0 or not self.div_flow > 0:
            raise ValueError(
                f'FlowNet needs width and div_flow > 0, got {self.width} and {self.div_flow}'
            )
        if self.in_channels < 1 or (self.variant == 'c' and self.in_channels != 6):
            raise ValueError(
                f'FlowNet{self.variant.upper()} cannot take {self.in_channels} channels; '
                'variant c takes 6, variant s 1 or more'
            )
        if self.max_displacement < 0 or self.displacement_stride < 1:
            raise ValueError(
                'FlowNet needs max_displacement >= 0 and displacement_stride >= 1, '
                f'got {self.max_displacement} and {self.displacement_stride}'
            )


class FlowNet(nn.Module):
    """An encoder down to 1/64, and a decoder that refines the flow up to 1/4."""

    multiple = 1  # any size will do: maps are cropped where they meet
    channels_last = True  # measured 1.0 (AVX2) to 1.2 (AVX-512) times as fast

    def __init__(self, config: FlowNetConfig) -> None:
        super().__init__()
        self.config = config
        channels = self._add_encoder()
        self._add_decoder(channels)
        initialise(self, _SLOPE)

    def forward(self, first: Tensor, second: Tensor) -> Tensor | Pyramid:
        """Estimate the flow from the first images to the second.

        Args:
            first: ``(B, 3, H, W)`` float32 RGB in [0, 1].
            second: The same of the second images.

        Returns:
            In eval mode ``(B, 2, H, W)``: (u right, v down) in pixels. In training mode the
            pyramid (flow2, ..., flow6) at 1/4 ... 1/64, in network units.

        Raises:
            ShapeError: If the images have other shapes.
        """
        return (
            self.pyramid(self.stack(first, second)) if self.training else self.flow(first, second)
        )

    def flow(self, first: Tensor, second: Tensor) -> Tensor:
        """Return the flow ``(B, 2, H, W)`` in pixels, in either mode; arguments as ``forward``."""
        finest = finest_flow(self, first, second)
        full = F.interpolate(
            finest * self.config.div_flow, scale_factor=4, mode='bilinear', align_corners=False
        )
        return full[:, :, : first.shape[2], : first.shape[3]]  # (B, 2, H, W)

    def stack(self, first: Tensor, second: Tensor) -> Tensor:
        """Normalise two images and stack them: ``(B, 6, H, W)``; arguments as ``forward``."""
        expect(first, 'B 3 H W', 'first images')
        expect_same(first, second, 'first and second images')
        if self.config.channel_order == 'bgr':
            first, second = first.flip(1), second.flip(1)
        if self.config.mean == 'pair':
            mean = (first.mean((2, 3), keepdim=True) + second.mean((2, 3), keepdim=True)) / 2
        else:
            mean = first.new_tensor(self.config.mean)[:, None, None]
        return torch.cat((first - mean, second - mean), dim=1)

    def pyramid(self, stacked: Tensor) -> Pyramid:
        """Run the network proper.

        Args:
            stacked: ``(B, 6, H, W)`` normalised images, or what ``in_channels`` says.

        Returns:
            ``(flow2, ..., flow6)``, each ``(B, 2, h, w)`` in network units, h and w being H and W
            divided by 4 ... 64 and rounded up.

        Raises:
            ShapeError: If the stack has another number of channels.
        """
        expect(stacked, f'B {self.config.in_channels} H W', 'stacked images')
        *skips, coarse = self._encode(stacked)
        flow = self.get_submodule('predict_flow6')(coarse)  # (B, 2, H/64, W/64)
        flows = [flow]
        for level, skip in zip(_DECODER, reversed(skips), strict=True):
            wider = self.get_submodule(f'deconv{level}')(coarse)
            flow = self.get_submodule(f'upsampled_flow{level + 1}_to_{level}')(flow)
            coarse = torch.cat((skip, _crop(wider, skip), _crop(flow, skip)), dim=1)
            flow = self.get_submodule(f'predict_flow{level}')(coarse)
            flows.append(flow)
        return tuple(reversed(flows))

    def _encode(self, stacked: Tensor) -> tuple[Tensor, ...]:
        """Return the features at 1/4, 1/8, 1/16, 1/32 and 1/64."""
        if self.config.variant == 's':
            at4 = self._through(stacked, 'conv1', 'conv2')  # (B, 128, H/4, W/4)
            met = self._through(at4, 'conv3')  # (B, 256, H/8, W/8)
        else:
            at4, met = self._meet(stacked)
        at8 = self._through(met, 'conv3_1')  # (B, 256, H/8, W/8)
        at16 = self._through(at8, 'conv4', 'conv4_1')  # (B, 512, H/16, W/16)
        at32 = self._through(at16, 'conv5', 'conv5_1')  # (B, 512, H/32, W/32)
        at64 = self._through(at32, 'conv6', 'conv6_1')  # (B, 1024, H/64, W/64)
        return at4, at8, at16, at32, at64

    def _meet(self, stacked: Tensor) -> tuple[Tensor, Tensor]:
        """Return the first image's features at 1/4, and both streams joined at 1/8."""
        both = torch.cat(stacked.chunk(2, dim=1))  # (2B, 3, H, W): the streams share weights
        at4 = self._through(both, 'conv1', 'conv2')  # (2B, 128, H/4, W/4)
        first, second = self._through(at4, 'conv3').chunk(2)  # (B, 256, H/8, W/8)
        matches = correlation(
            first,
            second,
            max_displacement=self.config.max_displacement,
            stride=self.config.displacement_stride,
        )  # (B, 441, H/8, W/8)
        redirected = self._through(first, 'conv_redir')  # (B, 32, H/8, W/8)
        joined = torch.cat((redirected, F.leaky_relu(matches, _SLOPE)), dim=1)
        return at4.chunk(2)[0], joined

    def _through(self, x: Tensor, *names: str) -> Tensor:
        for name in names:
            x = self.get_submodule(name)(x)
        return x

    def _add_encoder(self) -> dict[str, int]:
        """Add the contracting part; return the channels of each of its layers."""
        config = self.config
        norm = config.batch_norm
        channels = config.in_channels if config.variant == 's' else 3
        widths = {}
        for stage in CONTRACTING:
            if stage.name == 'conv3_1' and config.variant == 'c':
                redirected = scaled(_REDIRECTED, config.width)
                self.conv_redir = conv_leaky(channels, redirected, 1, batch_norm=norm)
                reach = config.max_displacement // config.displacement_stride
                channels = redirected + (2 * reach + 1) ** 2
            wide = scaled(stage.channels, config.width)
            layer = conv_leaky(channels, wide, stage.kernel, stage.stride, batch_norm=norm)
            self.add_module(stage.name, layer)
            widths[stage.name] = channels = wide
        return widths

    def _add_decoder(self, widths: dict[str, int]) -> None:
        config = self.config
        channels = widths['conv6_1']
        self.predict_flow6 = nn.Conv2d(channels, 2, 3, padding=1, bias=config.predict_bias)
        for level, (skip, full_width) in _DECODER.items():
            wide = scaled(full_width, config.width)
            deconv = nn.ConvTranspose2d(channels, wide, 4, 2, 1, bias=config.deconv_bias)
            up = nn.ConvTranspose2d(2, 2, 4, 2, 1, bias=config.upsample_bias)
            channels = widths[skip] + wide + 2
            predict = nn.Conv2d(channels, 2, 3, padding=1, bias=config.predict_bias)
            activation = nn.LeakyReLU(_SLOPE, inplace=True)
            self.add_module(f'deconv{level}', nn.Sequential(deconv, activation))
            self.add_module(f'upsampled_flow{level + 1}_to_{level}', up)
            self.add_module(f'predict_flow{level}', predict)


def finest_flow(network: FlowNet, first: Tensor, second: Tensor) -> Tensor:
    """Return flow2 ``(B, 2, ceil(H/4), ceil(W/4))`` in network units; see `FlowNet.flow`."""
    return network.pyramid(network.stack(first, second))[0]


def _crop(x: Tensor, like: Tensor) -> Tensor:
    """Cut a map to the size of another at the top left; it is at most one row or column larger."""
    return x[:, :, : like.shape[2], : like.shape[3]]
