"""PyTorch on a GPU without its hundred launches: a network of one shape, recorded as a CUDA graph.

A network of this package takes a GPU about a millisecond and the processor, which starts one kernel
after the other, several. A recorded graph is started as a whole.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from dlcv.engines.building import check_alike, flat
from dlcv.engines.catalogue import Choice

Compute = Callable[[], tuple[Tensor, ...]]
Record = Callable[[Compute, torch.device], tuple[tuple[Tensor, ...], Callable[[], None]]]

_WARM_UP = 3  # runs in which libraries choose their kernels and take their memory


def record(compute: Compute, device: torch.device) -> tuple[tuple[Tensor, ...], Callable[[], None]]:
    """Record what is computed from tensors that stay where they are.

    Returns:
        Its outputs, which stay where they are too, and what computes them anew.
    """
    current = torch.cuda.current_stream(device)
    aside = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    aside.wait_stream(current)
    cached = torch.is_autocast_cache_enabled()
    torch.set_autocast_cache_enabled(False)  # a rounded weight would be freed under the graph
    torch.clear_autocast_cache()
    try:
        with torch.cuda.stream(aside):
            for _ in range(_WARM_UP):
                compute()
        current.wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        # another node of the process may take memory meanwhile, in its own thread
        with torch.cuda.graph(graph, capture_error_mode='thread_local'):
            outputs = compute()
    finally:
        torch.set_autocast_cache_enabled(cached)
    return outputs, graph.replay


class Graphed:
    """A part of a network for inputs of one shape, on a GPU.

    Args:
        part: The part, in eval mode.
        inputs: Of the shapes to come.
        choice: Says how far the graph may be off.
        record: Makes the graph.

    Raises:
        EngineError: The graph computes something else than the part.
    """

    def __init__(
        self,
        part: nn.Module,
        inputs: tuple[Tensor, ...],
        choice: Choice,
        record: Record = record,
    ) -> None:
        expected = flat(part(*inputs))
        self._inputs = tuple(x.clone() for x in inputs)  # in their memory format
        self._outputs, self._replay = record(
            lambda: flat(part(*self._inputs)), self._inputs[0].device
        )
        check_alike(self(*inputs), expected, choice)

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs, which are the caller's own."""
        for held, given in zip(self._inputs, inputs, strict=True):
            held.copy_(given, non_blocking=True)
        self._replay()
        return tuple(x.clone() for x in self._outputs)
