"""From a network to an engine of one shape, by way of the cache, and the check that both agree."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dlcv import host, networks
from dlcv.engines import cache
from dlcv.engines.catalogue import Choice, Engine, EngineError, Shapes, builder, version
from dlcv.engines.quantised import Quantised

_KEPT = 4096  # values of each output that are kept to compare with
_COARSE = 8  # pixels between the random values of the made-up picture


def ready(part: nn.Module, shapes: Shapes, choice: Choice) -> Engine:
    """Return a network in its engine, out of the cache where it has been before.

    Args:
        part: The network in eval mode, on the CPU or the GPU that it is to run on.
        shapes: Of its inputs, which hold pictures in [0, 1].
        choice: The engine.

    Raises:
        EngineError: Its outputs for a made-up picture are not those of PyTorch.
    """
    key = _key(part, shapes, choice)
    kept = cache.read_engine(key)
    with _quiet():
        inputs = examples(part, shapes)
        if kept is None:
            content = convert(part, inputs, choice)
            expected = [sample(x) for x in flat(part(*inputs))]
        else:
            content, beside = kept
            expected = [beside[f'output.{i}'] for i in range(len(beside))]
        engine = load(content, choice)
    check_alike(engine(*inputs), expected, choice)
    if kept is None:
        cache.write_engine(key, content, {f'output.{i}': x for i, x in enumerate(expected)})
    return engine


def convert(part: nn.Module, inputs: tuple[Tensor, ...], choice: Choice) -> bytes:
    """Return a network as its engine keeps it."""
    if choice.precision == 'int8':
        assert choice.ranges is not None
        part = Quantised(part, choice.ranges).eval()
    with _quiet():
        return builder(choice.engine).build(part, inputs, choice.precision)


def load(content: bytes, choice: Choice) -> Engine:
    """Make an engine of what `convert` returned."""
    return builder(choice.engine).load(content, choice.precision)


def deviation(found: Tensor, expected: Tensor) -> float:
    """Return the root mean square of the difference over the standard deviation of ``expected``."""
    apart = (found.double() - expected.double()).square().mean().sqrt()
    return float(apart / expected.double().std().clamp(min=1e-9))


def examples(part: nn.Module, shapes: Shapes) -> tuple[Tensor, ...]:
    """Return soft, colourful noise in [0, 1] of these shapes, the same each time."""
    draw = torch.Generator().manual_seed(0)
    device = next((p.device for p in part.parameters()), torch.device('cpu'))
    return tuple(_example(shape, draw).to(device) for shape in shapes)


def _example(shape: tuple[int, ...], draw: torch.Generator) -> Tensor:
    *_, height, width = shape
    pictures = math.prod(shape) // (height * width)
    size = (1, pictures, height // _COARSE + 2, width // _COARSE + 2)
    coarse = torch.rand(size, generator=draw)
    return F.interpolate(coarse, (height, width), mode='bilinear').reshape(shape)


def sample(output: Tensor) -> Tensor:
    """Return some of the values of an output, all over it."""
    values = output.detach().float().cpu().flatten()
    return values[:: max(1, len(values) // _KEPT) | 1].contiguous()


def flat(found: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Return the outputs of a network as a tuple."""
    return (found,) if isinstance(found, Tensor) else tuple(found)


def check_alike(found: Iterable[Tensor], expected: Iterable[Tensor], choice: Choice) -> None:
    """Return if an engine computes what PyTorch does.

    Args:
        found: Its outputs.
        expected: Those of PyTorch, or a `sample` of each.
        choice: The engine; says how far they may be off.

    Raises:
        EngineError: They are not alike.
    """
    samples, wanted = ([sample(x) for x in outputs] for outputs in (found, expected))
    if len(samples) != len(wanted):
        raise EngineError(f'{choice} gives {len(samples)} outputs, PyTorch {len(wanted)}')
    apart = max(deviation(a, b) for a, b in zip(samples, wanted, strict=True))
    if not apart <= choice.tolerance:
        raise EngineError(
            f'the outputs of {choice} are off by {apart:.2g} of their spread, more than '
            f'{choice.tolerance:.2g}'
        )


def _key(part: nn.Module, shapes: Shapes, choice: Choice) -> str:
    """Return a name for everything that an engine depends on."""
    state = (x for pair in part.state_dict().items() for x in (pair[0], _bytes(pair[1])))
    ranges = b'' if choice.ranges is None else _bytes(choice.ranges)
    return cache.digest(
        choice,
        version(choice.engine),
        torch.__version__,
        _code(),
        host.processor(),
        sorted(host.processor_flags()),
        torch.get_num_threads(),
        shapes,
        repr(part),
        ranges,
        *state,
    )


def _bytes(tensor: Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().numpy().tobytes()


@lru_cache(maxsize=1)
def _code() -> str:
    """Return a digest of the code of networks and of this room: what is changed is built anew."""
    rooms = (*networks.__path__, str(Path(__file__).parent))
    files = sorted(file for room in rooms for file in Path(room).rglob('*.py'))
    return cache.digest(*(file.read_bytes() for file in files))


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave inference mode, whose tensors cannot be traced, and tracing's warnings."""
    with torch.inference_mode(mode=False), torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter('ignore')
        yield
