"""How fast each engine is on this processor: measured once in a second or two, and remembered."""

from __future__ import annotations

import platform
from collections.abc import Callable
from time import perf_counter

import torch
from torch import Tensor, nn

from dlcv import host
from dlcv.engines import cache
from dlcv.engines.building import convert, load
from dlcv.engines.catalogue import Choice, installed, version
from dlcv.engines.quantised import measure

_SHAPE = (1, 64, 60, 80)  # a stage in the middle of SuperPoint at 320 x 240
_REPEATS = 5
_WORTH = 0.9  # of PyTorch's time: what gains less is not worth another library in the process
_KNOWN: dict[str, dict[str, float]] = {}


def speeds(precision: str) -> dict[str, float]:
    """Return the seconds that a few convolutions take in each engine, in PyTorch in fp32.

    Those of engines that gain next to nothing over PyTorch are infinite.
    """
    name = f'speed-{precision}-{key()}'
    if name not in _KNOWN:
        noted = cache.read_note(name)
        try:
            _KNOWN[name] = {str(e): float(s) for e, s in noted['seconds'].items()}
        except (AttributeError, TypeError, KeyError, ValueError):  # nothing noted, or not by us
            _KNOWN[name] = _measured(precision)
            cache.write_note(name, {'host': host.host(), 'seconds': _KNOWN[name]})
    plain = _KNOWN[name].get('torch', float('inf'))
    return {
        engine: value if engine == 'torch' or value < _WORTH * plain else float('inf')
        for engine, value in _KNOWN[name].items()
    }


def key() -> str:
    """Return a name for this processor, the libraries and the number of threads."""
    versions = [version(name) for name in installed()]
    return cache.digest(
        host.processor(),
        ' '.join(sorted(host.processor_flags())),
        platform.machine(),
        *versions,
        torch.get_num_threads(),
    )


def _measured(precision: str) -> dict[str, float]:
    draw = torch.Generator().manual_seed(0)
    layers = [nn.Conv2d(64, 64, 3, padding=1) for _ in range(4)]
    part = nn.Sequential(*(step for conv in layers for step in (conv, nn.ReLU())))
    part = part.eval().requires_grad_(False)
    x = torch.rand(_SHAPE, generator=draw)
    ranges = measure(part, [(x,)]) if precision == 'int8' else None
    found = {'torch': _seconds(part, x)}
    for name in ('openvino', 'onnxruntime'):
        if name not in installed():
            continue
        choice = Choice(engine=name, precision=precision, ranges=ranges)
        try:
            engine = load(convert(part, (x,), choice), choice)
        except Exception:  # noqa: BLE001, S112 - what cannot be measured is not chosen
            continue
        found[name] = _seconds(engine, x)
    return found


def _seconds(run: Callable[[Tensor], object], x: Tensor) -> float:
    """Return the best of a few runs: other work on the machine only ever adds to one."""
    taken = []
    with torch.inference_mode():
        for _ in range(_REPEATS):
            begun = perf_counter()
            run(x)
            taken.append(perf_counter() - begun)
    return min(taken)
