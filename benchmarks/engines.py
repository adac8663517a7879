"""Time the pure part of each shipped network in every engine that is installed.

Usage: python benchmarks/engines.py [NAME ...]

Processor time of one thread, the best of rounds that take turns, so that other work on the machine
troubles all alike. Also how far the outputs are off, as a share of their spread, for a made-up
picture; int8 without shipped ranges is rounded to those of that picture alone.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from time import process_time
from typing import Any

import torch

from dlcv.engines import Choice, Part, installed
from dlcv.engines.building import convert, deviation, examples, flat, load
from dlcv.engines.quantised import measure
from dlcv.engines.ranges import read_ranges
from dlcv.estimation.load import LOADERS
from dlcv.host import host

ROUNDS = 3
SHAPES = {
    'superpoint': ((1, 1, 480, 640),),
    'monodepth': ((2, 3, 128, 256),),  # the picture and its mirror image
    'deepvo': ((1, 2, 3, 128, 256),),
    'flownet_s': ((1, 3, 480, 640),) * 2,
    'flownet_c': ((1, 3, 480, 640),) * 2,
}
PAIRS = (
    ('openvino', 'fp32'), ('openvino', 'bf16'), ('openvino', 'int8'),
    ('onnxruntime', 'fp32'), ('onnxruntime', 'int8'),
)  # fmt: skip


def main(names: list[str]) -> None:
    """Print one line for each network and engine."""
    torch.set_num_threads(1)
    print(f'{host()}; ms of the processor, one thread; off by')
    for name in names or SHAPES:
        _network(name)


def _network(name: str) -> None:
    estimator = LOADERS[name.partition('_')[0]](name, device='cpu')
    part, origin = estimator.runner.part, estimator.origin
    inputs = examples(part, SHAPES[name])
    known = read_ranges(origin.path, origin.sha256) if origin.path else None
    with torch.no_grad():
        ranges = known.values if known else measure(part, [inputs])
        exact = flat(part(*inputs))
        runs = {'torch fp32': _eager(part, inputs)}
        for engine, precision in PAIRS:
            if engine in installed():
                int8 = ranges if precision == 'int8' else None
                choice = Choice(engine=engine, precision=precision, ranges=int8)
                runs[str(choice)] = load(convert(part, inputs, choice), choice)
        taken: dict[str, list[float]] = {run: [] for run in runs}
        for _ in range(ROUNDS):
            for run, call in runs.items():
                begun = process_time()
                call(*inputs)
                taken[run].append(process_time() - begun)
        for run, call in runs.items():
            off = max(deviation(a, b) for a, b in zip(flat(call(*inputs)), exact, strict=True))
            print(f'{name:12} {run:18} {1e3 * min(taken[run]):7.1f} {off:8.2g}', flush=True)


def _eager(part: Part, inputs: tuple[torch.Tensor, ...]) -> Callable[..., Any]:
    """Return PyTorch as estimators run it, in the memory format of the network."""
    last = getattr(part.network, 'channels_last', False)
    form = torch.channels_last if last else torch.contiguous_format
    own = [x.contiguous(memory_format=form) if x.ndim == 4 else x for x in inputs]
    return lambda *_: part(*own)


if __name__ == '__main__':
    main(sys.argv[1:])
