"""Convolution blocks that several networks share."""

from __future__ import annotations

from typing import NamedTuple

from torch import nn

LEAK = 0.1  # slope of every LeakyReLU in FlowNet and its descendants


class Stage(NamedTuple):
    """One convolution of an encoder, padded to keep ``size / stride``."""

    name: str
    channels: int
    kernel: int
    stride: int


# Contracting part of FlowNetS (Dosovitskiy et al., ICCV 2015, fig. 2); DeepVO stops before conv6_1.
CONTRACTING = (
    Stage('conv1', 64, 7, 2),
    Stage('conv2', 128, 5, 2),
    Stage('conv3', 256, 5, 2),
    Stage('conv3_1', 256, 3, 1),
    Stage('conv4', 512, 3, 2),
    Stage('conv4_1', 512, 3, 1),
    Stage('conv5', 512, 3, 2),
    Stage('conv5_1', 512, 3, 1),
    Stage('conv6', 1024, 3, 2),
    Stage('conv6_1', 1024, 3, 1),
)


def scaled(channels: int, width: float) -> int:
    """Return ``channels`` times ``width``, to a multiple of 4 and at least 4."""
    return max(4, 4 * round(channels * width / 4)) if width != 1 else channels


def conv_leaky(
    c_in: int,
    c_out: int,
    kernel: int,
    stride: int = 1,
    *,
    batch_norm: bool = False,
    dropout: float = 0.0,
) -> nn.Sequential:
    """Return convolution, batch-norm if asked, LeakyReLU(0.1), dropout if asked.

    The convolution is member 0 and the batch-norm member 1, as in the public FlowNet and DeepVO
    files; a convolution before a batch-norm has no bias.
    """
    conv = nn.Conv2d(c_in, c_out, kernel, stride, (kernel - 1) // 2, bias=not batch_norm)
    layers: list[nn.Module] = [conv]
    if batch_norm:
        layers.append(nn.BatchNorm2d(c_out))
    layers.append(nn.LeakyReLU(LEAK, inplace=True))
    if dropout:
        layers.append(nn.Dropout(dropout))
    return nn.Sequential(*layers)
