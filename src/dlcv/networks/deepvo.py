"""DeepVO: recurrent visual odometry from neighbouring frames (Wang et al., ICRA 2017).

The encoder is FlowNetS's contracting part up to conv6 on two stacked frames; two LSTM layers
remember the drive; a linear layer gives the motion. Parameter names are those of the public
PyTorch files: ``convN.0``, ``convN.1``, ``rnn.*``, ``linear.*``.

Dimension letters in this file: B clips, T frame pairs, H W image size in pixels, h w size after
the encoder, D encoder channels, F = D*h*w features, M memory width, L layers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from dlcv.networks.layers.blocks import CONTRACTING, conv_leaky, scaled
from dlcv.networks.layers.recurrent import Memory, run_lstm
from dlcv.networks.layers.shapes import ShapeError, expect
from dlcv.types import FloatArray

_STAGES = CONTRACTING[:-1]  # conv1 ... conv6
_STRIDE = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class Spread:
    """How far off the motions of trained weights are, measured on drives that they never saw.

    Standard deviations along and about the camera's x, y and z. The variance of a motion of length
    t and angle a over dt seconds is ``(per_meter t)^2 + (rest[:3] dt)^2`` of the translation and
    ``(per_radian a)^2 + (rest[3:] dt)^2`` of the turn.

    Attributes:
        per_meter: Metres for each metre moved.
        per_radian: Radians for each radian turned.
        rest: What even rest has: m/s, then rad/s.
    """

    per_meter: tuple[float, float, float]
    per_radian: tuple[float, float, float]
    rest: tuple[float, float, float, float, float, float]

    def __post_init__(self) -> None:
        if min(*self.per_meter, *self.per_radian) < 0 or not min(self.rest) > 0:
            raise ValueError(f'a spread needs shares >= 0 and rest > 0, got {self}')

    @classmethod
    def of(cls, shares: FloatArray, rests: FloatArray) -> Spread:
        """Return the spread of six shares of the motion and of six rests."""
        a, b, c, d, e, f = np.asarray(shares, float).tolist()
        x, y, z, rx, ry, rz = np.asarray(rests, float).tolist()
        return cls(per_meter=(a, b, c), per_radian=(d, e, f), rest=(x, y, z, rx, ry, rz))

    def variances(self, extents: FloatArray, seconds: FloatArray) -> FloatArray:
        """Return the variances ``(N, 6)`` of motions, x y z (m^2) and rx ry rz (rad^2).

        Args:
            extents: ``(N, 2)`` lengths (m) and angles (rad).
            seconds: ``(N,)`` that they took.
        """
        shares = np.repeat(extents, 3, axis=1) * (*self.per_meter, *self.per_radian)
        return np.asarray(shares**2 + (seconds[:, None] * self.rest) ** 2)


@dataclass(frozen=True, kw_only=True, slots=True)
class DeepVOConfig:
    """All that is needed to rebuild the network, and what belongs to its weights.

    Attributes:
        input_size: Height and width of the frames; decides the number of features. The public
            checkpoint wants (608, 184): its data loader transposed the aspect.
        width: Factor on the encoder's channel numbers; 1 is the paper's.
        memory: Width of the LSTM.
        layers: Layers of the LSTM.
        batch_norm: Whether a batch-norm follows each convolution.
        dropout: Dropout after each convolution but the last.
        memory_dropout: Dropout after the last convolution and after the LSTM.
        offset: Subtracted from the image in [0, 1] first.
        mean: Of the shifted image, per channel R, G, B.
        std: Of the shifted image, per channel.
        sequence: How the network was trained to see a drive: ``'windowed'`` starts each window of
            ``window`` frames with an empty memory, ``'stateful'`` carries it on.
        window: Frames of a window.
        labels: ``'window'`` when translations are expressed in the first frame of the window and
            angles are differences of Euler angles, as in the public code; ``'pair'`` when each
            motion stands in its own older frame.
        focal: Focal lengths of the training camera as fractions of the image's width and height,
            its principal point being the centre; None where they are not known.
        spread: How far off its motions are; None where nobody has measured it.
    """

    input_size: tuple[int, int] = (184, 608)
    width: float = 1.0
    memory: int = 1000
    layers: int = 2
    batch_norm: bool = True
    dropout: float = 0.2
    memory_dropout: float = 0.5
    offset: float = 0.5
    mean: tuple[float, float, float] = (
        0.19007764876619865,
        0.15170388157131237,
        0.10659445665650864,
    )
    std: tuple[float, float, float] = (0.2610784009469139, 0.25729316928935814, 0.25163823815039915)
    sequence: Literal['windowed', 'stateful'] = 'windowed'
    window: int = 6
    labels: Literal['window', 'pair'] = 'window'
    focal: tuple[float, float] | None = None
    spread: Spread | None = None

    def __post_init__(self) -> None:
        counts = {'memory': self.memory, 'layers': self.layers, 'height': self.input_size[0]}
        for name, value in (counts | {'width': self.input_size[1]}).items():
            if value < 1:
                raise ValueError(f'{name} must be at least 1, got {value}')
        if not self.width > 0 or min(self.std) <= 0:
            raise ValueError(f'width and std must be positive, got {self.width} and {self.std}')
        if self.focal is not None and not min(self.focal) > 0:
            raise ValueError(f'focal must be positive, got {self.focal}')
        if self.window < 2:
            raise ValueError(f'a window needs two frames or more, got {self.window}')
        for name in ('dropout', 'memory_dropout'):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f'{name} must be in [0, 1), got {getattr(self, name)}')

    @property
    def features(self) -> int:
        """Inputs F of the LSTM."""
        return scaled(_STAGES[-1].channels, self.width) * cells(*self.input_size)


def small() -> DeepVOConfig:
    """Return the configuration of the shipped weights: small, and fast enough for two cores.

    Pictures go in as into the shipped FlowNetS, whose encoder it begins with. Motions stand in
    their own older frame, so that the memory can run on for as long as the drive does. The camera
    is 80 degrees wide.
    """
    return DeepVOConfig(
        input_size=(128, 256),
        focal=(0.6, 1.2),
        width=0.5,
        memory=256,
        batch_norm=False,
        dropout=0.0,
        memory_dropout=0.1,
        offset=0.0,
        mean=(0.411451, 0.432060, 0.450141),
        std=(1.0, 1.0, 1.0),
        sequence='stateful',
        labels='pair',
    )


def cells(height: int, width: int) -> int:
    """Return how many cells the encoder makes of an image."""
    return -(-height // _STRIDE) * -(-width // _STRIDE)


def codes(network: DeepVO, clips: Tensor) -> Tensor:
    """Return what the memory takes in; see `DeepVO.codes`."""
    return network.codes(clips)


class DeepVO(nn.Module):
    """Regress the camera motion between each frame and the one before it."""

    def __init__(self, config: DeepVOConfig) -> None:
        super().__init__()
        self.config = config
        channels = 6
        for stage in _STAGES:
            out = scaled(stage.channels, config.width)
            dropout = config.memory_dropout if stage is _STAGES[-1] else config.dropout
            block = conv_leaky(
                channels,
                out,
                stage.kernel,
                stage.stride,
                batch_norm=config.batch_norm,
                dropout=dropout,
            )
            self.add_module(stage.name, block)
            channels = out
        self.rnn = nn.LSTM(config.features, config.memory, config.layers, batch_first=True)
        self.forget = nn.Dropout(config.memory_dropout)
        self.linear = nn.Linear(config.memory, 6)
        self._initialise()

    def forward(self, clips: Tensor, memory: Memory | None = None) -> tuple[Tensor, Memory]:
        """Estimate the motion along each clip.

        Args:
            clips: ``(B, T+1, 3, H, W)`` RGB in [0, 1], oldest frame first.
            memory: What the previous call returned, or None at the start of a drive.

        Returns:
            ``(B, T, 6)`` motions of the newer camera in the older as [a0 a1 a2 (rad), x y z (m)]
            with ``R = Ry(a0) Rx(a1) Rz(a2)``, and the memory to hand to the next call, which must
            start with this clip's last frame.

        Raises:
            ShapeError: If the clips have another shape, hold fewer than two frames, or their size
                gives another number of cells than the weights have; or if the memory fits not.
        """
        return self.recall(self.codes(clips), memory)

    def codes(self, clips: Tensor) -> Tensor:
        """Return what the memory takes in, ``(B, T, F)``, of clips ``(B, T+1, 3, H, W)``.

        Each depends on its own pair alone: whoever looks at overlapping windows can keep them.

        Raises:
            ShapeError: As ``forward``.
        """
        self._check(clips)
        frames = self._normalise(clips)
        pairs = torch.cat((frames[:, :-1], frames[:, 1:]), dim=2)  # (B, T, 6, H, W)
        return self.encode(pairs.flatten(0, 1)).flatten(1).view(*pairs.shape[:2], -1)

    def recall(self, codes: Tensor, memory: Memory | None = None) -> tuple[Tensor, Memory]:
        """Return what ``forward`` does, given the codes ``(B, T, F)`` of its clips.

        Raises:
            ShapeError: If the codes or the memory have another shape.
        """
        config = self.config
        expect(codes, f'B T {config.features}', 'codes')
        for state in memory or ():
            expect(state, f'{config.layers} {codes.shape[0]} {config.memory}', 'memory')
        recalled, memory = run_lstm(self.rnn, codes, memory)  # (B, T, M)
        return self.linear(self.forget(recalled)), memory

    def encode(self, pairs: Tensor) -> Tensor:
        """Turn normalised pairs ``(N, 6, H, W)`` into features ``(N, D, h, w)``."""
        for stage in _STAGES:
            pairs = self.get_submodule(stage.name)(pairs)
        return pairs

    def _normalise(self, clips: Tensor) -> Tensor:
        mean = clips.new_tensor(self.config.mean)[:, None, None]
        std = clips.new_tensor(self.config.std)[:, None, None]
        return (clips - self.config.offset - mean) / std

    def _check(self, clips: Tensor) -> None:
        expect(clips, 'B T+1 3 H W', 'clips')
        frames, _, height, width = clips.shape[1:]
        if frames < 2:
            raise ShapeError(f'a clip needs two frames or more, got {frames}')
        wanted = cells(*self.config.input_size)
        if cells(height, width) != wanted:
            raise ShapeError(
                f'these weights are for frames of {self.config.input_size} (height, width) or '
                f'others of {wanted} cells of {_STRIDE} pixels, got {(height, width)} '
                f'with {cells(height, width)}'
            )

    def _initialise(self) -> None:
        """He-normal matrices, and forget gates that start open."""
        for name, parameter in self.named_parameters():
            if parameter.ndim > 1:
                nn.init.kaiming_normal_(parameter)
            elif name.startswith('rnn.') or name == 'linear.bias':
                nn.init.zeros_(parameter)
        size = self.config.memory
        for layer in range(self.config.layers):
            with torch.no_grad():
                self.rnn.get_parameter(f'bias_hh_l{layer}')[size : 2 * size] = 1
