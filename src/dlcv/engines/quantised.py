"""Networks in 8 bits: measured ranges of activations, and a network that is rounded to them.

Weights are symmetric, one scale for each output channel, and follow from the weights themselves;
activations are affine, one range for each tensor (Jacob et al., "Quantization and Training of
Neural Networks for Efficient Integer-Arithmetic-Only Inference", CVPR 2018, sections 2.1 and 3).
A network whose weights and activations are rounded so by PyTorch's own operators converts to any
engine, which recognises the pattern and computes in integers. Thus all that has to be kept is the
ranges: two numbers for each place where a tensor is rounded.

The places are counted in the order in which the network runs: the input of every convolution, and
of every max-pool, before which rounding is cheaper and means the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

_CONVOLUTIONS: dict[Any, int] = {torch.conv2d: 0, torch.conv_transpose2d: 1}
"""Function -> which axis of its weights is that of the output channels."""
_POOLS = (torch.max_pool2d, F.max_pool2d)
_LEVELS = 255
_ROUNDED = '_dlcv_rounded'


class _Places(TorchFunctionMode):
    """Calls ``see`` with the number and the tensor of each place, and takes its answer."""

    def __init__(self, see: Callable[[int, Tensor], Tensor], *, weights: bool) -> None:
        super().__init__()
        self._see, self._weights = see, weights
        self.count = 0

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in _CONVOLUTIONS:
            x, weight, *rest = args
            if self._weights:
                weight = _rounded_weight(weight, _CONVOLUTIONS[func])
            return func(self._place(x), weight, *rest, **kwargs)
        if func in _POOLS:
            x, *rest = args
            out = func(self._place(x), *rest, **kwargs)
            setattr(out, _ROUNDED, self._weights)  # the largest of rounded values is one
            return out
        return func(*args, **kwargs)

    def _place(self, x: Tensor) -> Tensor:
        number, self.count = self.count, self.count + 1
        return x if getattr(x, _ROUNDED, False) else self._see(number, x)


def measure(part: nn.Module, inputs: Iterable[tuple[Tensor, ...]]) -> Tensor:
    """Return the ranges of the activations of a network, ``(P, 2)`` low and high.

    A range reaches from the mean over all inputs of the smallest value to that of the largest: one
    odd picture shall not make all others coarse. Only pictures themselves, the first place, keep
    all that was ever seen: their white is no outlier. Zero is always inside, so that it stays zero.

    Args:
        part: The network.
        inputs: What it is run on.
    """
    found: list[Tensor] = []
    for one in inputs:
        ends: dict[int, Tensor] = {}

        def see(number: int, x: Tensor, ends: dict[int, Tensor] = ends) -> Tensor:
            ends[number] = torch.stack((x.min(), x.max()))  # aminmax is slow on channels-last
            return x

        with torch.no_grad(), _Places(see, weights=False):
            part(*one)
        found.append(torch.stack([ends[number] for number in range(len(ends))]))
    ends_of_all = torch.stack(found)  # (N, P, 2)
    low, high = ends_of_all.mean(0).unbind(1)
    low[0], high[0] = ends_of_all[:, 0, 0].min(), ends_of_all[:, 0, 1].max()
    return torch.stack((low.clamp(max=0), high.clamp(min=0)), 1)


class Quantised(nn.Module):
    """A network whose weights and activations are rounded to 8 bits.

    Args:
        part: The network.
        ranges: ``(P, 2)`` of its activations, from `measure`.

    Raises:
        ValueError: In the forward pass, if the network has another number of places.
    """

    def __init__(self, part: nn.Module, ranges: Tensor) -> None:
        super().__init__()
        self.part = part
        self._ends: list[tuple[float, float]] = [(a, b) for a, b in ranges.tolist()]

    def forward(self, *inputs: Tensor) -> Any:
        """Return what the network does, nearly."""
        with _Places(self._round, weights=True) as places:
            found = self.part(*inputs)
        if places.count != len(self._ends):
            raise ValueError(
                f'ranges of {len(self._ends)} tensors do not fit a network that rounds '
                f'{places.count}'
            )
        return found

    def _round(self, number: int, x: Tensor) -> Tensor:
        low, high = self._ends[min(number, len(self._ends) - 1)]
        scale = max(high - low, 1e-6) / _LEVELS
        zero = min(max(round(-low / scale), 0), _LEVELS)
        return torch.fake_quantize_per_tensor_affine(x, scale, zero, 0, _LEVELS)


def _rounded_weight(weight: Tensor, axis: int) -> Tensor:
    others = tuple(dim for dim in range(weight.ndim) if dim != axis)
    # in NumPy, which tracing does not see: engines want scales that are constants
    largest = np.abs(weight.detach().cpu().numpy()).max(others)
    scale = torch.from_numpy(np.maximum(largest, 1e-12) / 127).to(weight.device)
    zero = torch.zeros_like(scale, dtype=torch.int32)
    return torch.fake_quantize_per_channel_affine(weight, scale, zero, axis, -128, 127)
