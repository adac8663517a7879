"""What all estimators share: a network on its device, and how it is run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from dlcv.engines import Choice, Part, Runner, whole
from dlcv.estimation import rehearsal
from dlcv.estimation.device import Staging, dtype_of, pick_device, pick_precision, to_tensor
from dlcv.estimation.pictures import check_image
from dlcv.networks.layers.folding import optimise
from dlcv.types import ByteImage, Camera, FloatArray, Frame

N = TypeVar('N', bound=nn.Module)


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """Where the weights of an estimator come from.

    Attributes:
        path: Their file; None for none.
        sha256: Digest of the file; empty for none.
        trained: Whether the results mean anything.
    """

    path: Path | None = None
    sha256: str = ''
    trained: bool = False


class Estimator(Generic[N]):
    """A network made ready for inference on a device.

    An estimator belongs to one thread at a time. Its network is a copy of the one handed in:
    batch-norms folded, memory format chosen, no gradients. What of it is pure, tensors in and
    tensors out, runs through ``runner``, in PyTorch until `use` says otherwise.

    Args:
        network: The network.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        precision: ``fp32``, ``fp16`` or ``bf16``; the last two on GPUs only.

    Attributes:
        network: The network that runs, on ``device``.
        device: Where it runs.
        precision: How precisely.
        origin: Where its weights come from; set by `dlcv.estimation.load`.
        pairs: Whether it answers from the second picture on.
        runner: Runs ``part`` of the network.
        part: What of it is wanted: takes the network and tensors, returns tensors.

    Raises:
        DeviceError: If the device or the precision is not to be had.
    """

    part: ClassVar[Callable[..., Tensor | tuple[Tensor, ...]]] = staticmethod(whole)

    pairs: ClassVar[bool] = False

    proven: ClassVar[frozenset[str]] = frozenset()
    """Arithmetic coarser than fp32 that costs the task less than a hundredth with the shipped
    weights (docs/speed.md); what precision ``auto`` may take."""

    def __init__(self, network: N, device: str = 'auto', precision: str = 'fp32') -> None:
        self.device = pick_device(device)
        self.precision = pick_precision(precision, self.device, fallback=device == 'auto')
        self.network: N = optimise(network).to(self.device)
        self.origin = Origin()
        self._staging = Staging(self.device) if self.device.type == 'cuda' else None
        self.runner = Runner(Part(self.network, self.part))

    def use(self, choice: Choice) -> None:
        """Run the pure part of the network in this engine from now on."""
        self.runner = Runner(Part(self.network, self.part), choice)

    def push(self, frame: Frame) -> object:
        """Take the next frame and return what is estimated from it."""
        raise NotImplementedError

    def reset(self) -> None:
        """Forget all frames so far; nothing to forget unless a subclass says so."""

    def warm_up(self, width: int, height: int, camera: Camera | None = None) -> None:
        """Run on made-up pictures of the size to come: the first real one is as fast as any.

        Args:
            width: Of the images, in pixels.
            height: Of the images, in pixels.
            camera: Their camera; default is an ideal one of 53 degrees.
        """
        count = 2 if self.pairs or self.device.type == 'cuda' else 1
        for frame in rehearsal.pictures(count, width, height, camera):
            self.push(frame)
        self.reset()

    def _tensor(self, image: ByteImage) -> Tensor:
        """Return a picture as ``(1, C, H, W)`` float32 in [0, 1] on the device."""
        check_image(image)
        channels_last = self.runner.choice.engine == 'torch' and bool(
            getattr(self.network, 'channels_last', False)
        )
        return to_tensor(image, self.device, channels_last=channels_last, staging=self._staging)

    @contextmanager
    def _inference(self) -> Iterator[None]:
        """Run what is inside without gradients, in the estimator's precision."""
        if self.precision == 'fp32':  # entering autocast costs time even where it does nothing
            with torch.inference_mode():
                yield
            return
        with (
            torch.inference_mode(),
            torch.autocast(self.device.type, dtype=dtype_of(self.precision)),
        ):
            yield


def to_array(tensor: Tensor) -> FloatArray:
    """Return a tensor of any device and precision as a float32 array."""
    return np.asarray(tensor.float().cpu().numpy(), np.float32)
