"""Which engines there are and which are installed."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module, metadata
from importlib.util import find_spec
from typing import Protocol, cast

from torch import Tensor, nn

from dlcv.interface.engines import ENGINES, NEEDS

Shapes = tuple[tuple[int, ...], ...]
"""Shape of each input."""


class EngineError(ValueError):
    """An engine cannot be had or does not do what it should; the message says what there is."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Ranges:
    """What was measured of weights, so that they can run in int8.

    Attributes:
        values: ``(P, 2)`` low and high of each activation.
        tolerance: How far outputs may be off.
    """

    values: Tensor
    tolerance: float


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Choice:
    """An engine and its arithmetic.

    Attributes:
        engine: Its name.
        precision: ``fp32``, ``fp16``, ``bf16`` or ``int8``.
        ranges: ``(P, 2)`` of the activations, for int8.
        tolerance: How far its outputs may be from PyTorch's in fp32; see
            `dlcv.engines.building.deviation`.
    """

    engine: str
    precision: str
    ranges: Tensor | None = None
    tolerance: float = 1e-3

    @property
    def torch_precision(self) -> str:
        """What PyTorch computes in, where it does."""
        return self.precision if self.engine == 'torch' else 'fp32'

    def __str__(self) -> str:
        return f'{self.engine} {self.precision}'


TORCH = Choice(engine='torch', precision='fp32')


class Engine(Protocol):
    """A network of one shape that is ready to run."""

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs, which are the caller's own, on the device of the inputs."""


class Builder(Protocol):
    """What a module of this room offers for its engine."""

    def build(self, part: nn.Module, inputs: tuple[Tensor, ...], precision: str) -> bytes:
        """Convert a network for inputs of these shapes; the bytes are kept in the cache."""

    def load(self, content: bytes, precision: str) -> Engine:
        """Make an engine of what `build` returned."""


def installed() -> tuple[str, ...]:
    """Return the names of the engines that are installed, ``torch`` first."""
    return tuple(name for name in ENGINES[1:] if not _missing(name))


def require(name: str) -> None:
    """Return if an engine is installed.

    Raises:
        EngineError: There is none of this name, or it is not installed.
    """
    if name not in ENGINES:
        raise EngineError(f'engine {name!r} is none of {", ".join(ENGINES)}')
    if name == 'auto' or not (missing := _missing(name)):
        return
    raise EngineError(
        f'engine {name!r} is not installed: {" and ".join(missing)} missing, which '
        f"pip install 'dlcv_bringup[{name}]' brings; installed are {', '.join(installed())}"
    )


def builder(name: str) -> Builder:
    """Return what makes engines of this name; its library is imported now."""
    return cast('Builder', import_module(f'dlcv.engines.{name}'))


def version(name: str) -> str:
    """Return the versions of the libraries that an engine stands on."""
    return ' '.join(f'{library} {metadata.version(library)}' for library in NEEDS[name])


def _missing(name: str) -> tuple[str, ...]:
    return tuple(library for library in NEEDS[name] if find_spec(library) is None)
