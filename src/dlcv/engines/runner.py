"""The pure part of a network, run in the chosen engine for every shape that comes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import cast

from torch import Tensor, nn

from dlcv.engines.building import flat, ready
from dlcv.engines.catalogue import TORCH, Choice, Engine, Shapes
from dlcv.engines.graphed import Graphed
from dlcv.files import first_line

Outputs = Tensor | tuple[Tensor, ...]
Say = Callable[[str], None]


def whole(network: nn.Module, *inputs: Tensor) -> Outputs:
    """Return all that a network does."""
    return cast('Outputs', network(*inputs))


class Part(nn.Module):
    """What is wanted of a network, as a network of its own.

    Args:
        network: The network.
        compute: Takes it and its inputs, returns the outputs.
    """

    def __init__(self, network: nn.Module, compute: Callable[..., Outputs] = whole) -> None:
        super().__init__()
        self.network, self.compute = network, compute
        self.training = network.training  # exporters hand the mode of the whole on to its parts

    def forward(self, *inputs: Tensor) -> Outputs:
        """Compute."""
        return self.compute(self.network, *inputs)

    def extra_repr(self) -> str:
        """Return what else makes it what it is."""
        return f'{self.compute.__qualname__} of {getattr(self.network, "config", "")}'


class Runner:
    """Runs a part of a network; where its engine fails or deviates, PyTorch does it.

    Args:
        part: The part, in eval mode.
        choice: The engine.

    Attributes:
        choice: The engine; PyTorch after that failed.
        part: The part.
        say: Takes a warning.
        graphs: Whether PyTorch on a GPU runs it as a recorded graph; False after that failed.
    """

    def __init__(self, part: nn.Module, choice: Choice = TORCH) -> None:
        self.choice = choice
        self.say: Say = logging.getLogger(__name__).warning
        self.part = part
        self.graphs = True
        self._engines: dict[Shapes, Engine] = {}

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs for inputs of any shape; a new shape makes a new engine."""
        graphed = self.choice.engine == 'torch' and self.graphs and inputs[0].is_cuda
        if self.choice.engine == 'torch' and not graphed:
            return self._eager(*inputs)
        shapes = tuple(tuple(x.shape) for x in inputs)
        engine = self._engines.get(shapes)
        if engine is None:
            engine = self._recorded(inputs) if graphed else self._ready(shapes)
            self._engines[shapes] = engine
        return engine(*inputs)

    def _ready(self, shapes: Shapes) -> Engine:
        try:
            return ready(self.part, shapes, self.choice)
        except Exception as err:  # noqa: BLE001 - whatever a foreign library raises
            self.say(f'PyTorch instead of {self.choice}: {first_line(err)}')
            self.choice = TORCH  # what fails at one size is not trusted at another
            return self._eager

    def _recorded(self, inputs: tuple[Tensor, ...]) -> Engine:
        try:
            return Graphed(self.part, inputs, self.choice)
        except Exception as err:  # noqa: BLE001 - whatever cannot be recorded is run
            self.say(f'PyTorch without a CUDA graph: {first_line(err)}')
            self.graphs = False
            return self._eager

    def _eager(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        return flat(self.part(*inputs))
