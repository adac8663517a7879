"""Small things that more than one network is built of."""

from __future__ import annotations

from typing import NamedTuple

from torch import nn


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
    """Return a channel count times a width multiplier, at least 1."""
    return max(1, round(channels * width))


def initialise(module: nn.Module, slope: float = 0.0) -> None:
    """Draw He-normal weights and zero biases for every convolution under ``module``.

    Keeps the variance of activations through (leaky) ReLU layers (He et al., ICCV 2015).

    Args:
        module: The network to initialise in place.
        slope: Slope of the activation for negative input; 0 for ReLU.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(layer.weight, slope)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def initialise_xavier(module: nn.Module) -> None:
    """Draw Xavier-uniform weights and zero biases for every convolution under ``module``.

    As TensorFlow's convolutions began, for which older networks were made (Glorot, Bengio, 2010).
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


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
    layers.append(nn.LeakyReLU(0.1, inplace=True))
    if dropout:
        layers.append(nn.Dropout(dropout))
    return nn.Sequential(*layers)
