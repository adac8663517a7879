"""Where and how precisely a network runs, and how pictures get there."""

from __future__ import annotations

import logging
import os
from typing import Literal, cast

import cv2
import numpy as np
import torch
from torch import Tensor

from dlcv.types import ByteImage

Precision = Literal['fp32', 'fp16', 'bf16']
_DTYPES: dict[str, torch.dtype] = {
    'fp32': torch.float32,
    'fp16': torch.float16,
    'bf16': torch.bfloat16,
}
_LOG = logging.getLogger(__name__)


class DeviceError(ValueError):
    """The device or the precision is not to be had; the message says what is."""


def pick_device(name: str = 'auto') -> torch.device:
    """Return the device called ``auto`` (CUDA where there is one), ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        DeviceError: If the name is another or there is no such GPU.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == 'auto':
        return torch.device('cuda:0' if count else 'cpu')
    if name == 'cpu':
        return torch.device('cpu')
    kind, _, index = name.partition(':')
    if kind != 'cuda' or (':' in name and not index.isdigit()):
        raise DeviceError(f'device {name!r} is none of auto, cpu, cuda, cuda:N')
    if int(index or 0) >= count:
        raise DeviceError(f'device {name!r} is not there: PyTorch sees {count} CUDA devices')
    return torch.device('cuda', int(index or 0))


def pick_precision(precision: str, device: torch.device, *, fallback: bool = False) -> Precision:
    """Return ``precision`` if ``device`` is good at it.

    Convolutions in 16 bits are 10 to 50 times slower than in 32 on CPUs without instructions for
    them, so that a CPU refuses them.

    Args:
        precision: ``fp32``, ``fp16`` or ``bf16``.
        device: Where the network runs.
        fallback: Return ``fp32`` with a logged warning where a CPU would refuse: for a device
            that was found automatically.

    Raises:
        DeviceError: If the precision is unknown or the device refuses it.
    """
    if precision not in _DTYPES:
        raise DeviceError(f'precision {precision!r} is none of {", ".join(_DTYPES)}')
    if device.type == 'cuda' or precision == 'fp32':
        return cast('Precision', precision)
    if not fallback:
        raise DeviceError(
            f'precision {precision!r} needs a CUDA device; on the CPU it is 10 to 50 times '
            "slower than 'fp32'"
        )
    _LOG.warning('no CUDA device found: precision fp32 on the CPU instead of %s', precision)
    return 'fp32'


def dtype_of(precision: Precision) -> torch.dtype:
    """Return the number format that a precision stands for."""
    return _DTYPES[precision]


def set_threads(count: int) -> int:
    """Let PyTorch and OpenCV use ``count`` CPU threads in this process; 0 takes half of the cores.

    Returns:
        The number that is used from now on.
    """
    threads = count or max(1, (os.cpu_count() or 1) // 2)
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
    return threads


def gpu_memory_mb(device: torch.device) -> float:
    """Return the memory in MB (10^6 bytes) that PyTorch has reserved on a GPU; 0 on the CPU."""
    return torch.cuda.memory_reserved(device) / 1e6 if device.type == 'cuda' else 0.0


class Staging:
    """Memory of a GPU's own reach, from which pictures go there while the processor goes on.

    From other memory the processor copies them itself, piece by piece. Each caller has its own: a
    picture stands in it until it has arrived.

    Args:
        device: The GPU.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._held = torch.empty(0, dtype=torch.uint8)
        self._arrived: torch.cuda.Event | None = None

    def upload(self, pixels: Tensor) -> Tensor:
        """Return a tensor of uint8 on the GPU, or what will be there when its stream gets to it."""
        if self._arrived is not None:
            self._arrived.synchronize()
        if self._held.shape != pixels.shape:
            self._held = torch.empty_like(pixels, pin_memory=True)
        self._held.copy_(pixels)
        there = self._held.to(self._device, non_blocking=True)
        self._arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
        self._arrived.record()
        return there


def own_stream() -> None:
    """Let what this thread computes on a GPU not wait for what others compute there."""
    if torch.cuda.is_available():
        torch.cuda.set_stream(torch.cuda.Stream())  # type: ignore[no-untyped-call]


def to_tensor(
    image: ByteImage,
    device: torch.device,
    *,
    channels_last: bool = False,
    staging: Staging | None = None,
) -> Tensor:
    """Return a picture as a network takes it.

    Args:
        image: ``(H, W)`` grey or ``(H, W, 3)`` RGB, uint8.
        device: Where it is wanted.
        channels_last: Memory format of the result; that of the picture itself. Convolutions hand
            the format on, and a network that is not made for it loses up to half of its speed.
        staging: Takes it to a GPU.

    Returns:
        ``(1, 1 or 3, H, W)`` float32 in [0, 1].
    """
    if not image.flags.writeable or not image.flags.c_contiguous:  # PyTorch takes neither
        image = np.array(image, order='C')
    hwc = torch.from_numpy(image.reshape(*image.shape[:2], -1))
    hwc = hwc.to(device) if staging is None else staging.upload(hwc)
    form = torch.channels_last if channels_last else torch.contiguous_format
    return hwc.permute(2, 0, 1)[None].to(torch.float32, memory_format=form).div_(255)
