"""What an estimator costs over its bare network: preparing pictures, decoding, mapping back.

    python benchmarks/estimators.py [--threads N] [--repeats N] [--sizes ...] [--only NAME ...]

The bare network is the optimised one on a tensor of the size that the estimator gives it, in
inference mode. Both run in turn, so that whatever else the machine does hits both; medians are
compared. On a machine that others use, ``--cpu-time`` counts the processor time of one thread
instead. DSAC's estimator also solves for the pose; its row is without the sample consensus, which
``benchmarks/consensus.py`` measures.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dlcv.estimation.deepvo import OdometryEstimator, OdometrySettings
from dlcv.estimation.device import set_threads
from dlcv.estimation.dsac import RelocalizationEstimator
from dlcv.estimation.flownet import FlowEstimator, FlowSettings
from dlcv.estimation.memory import keep_freed_memory
from dlcv.estimation.monodepth import DepthEstimator
from dlcv.estimation.superpoint import FeatureEstimator
from dlcv.host import processor
from dlcv.networks.deepvo import DeepVOConfig
from dlcv.networks.dsac import DsacConfig
from dlcv.networks.flownet import FlowNetConfig
from dlcv.networks.monodepth import MonodepthConfig
from dlcv.networks.registry import build
from dlcv.networks.superpoint import SuperPointConfig
from dlcv.networks.weights import untrained
from dlcv.types import Camera, Frame

Clock = Callable[[], float]

WIDTH, HEIGHT = 640, 480
LIMIT = 1.15
PAPER: dict[str, Any] = {
    'superpoint': SuperPointConfig(),
    'flownet': FlowNetConfig(),
    'monodepth': MonodepthConfig(),
    'deepvo': DeepVOConfig(),
    'dsac': DsacConfig(),
}
CAMERA = Camera(width=WIDTH, height=HEIGHT, fx=525.0, fy=525.0, cx=319.5, cy=239.5)


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """An estimator's step and the bare network's, on the same picture."""

    estimator: Callable[[], object]
    network: Callable[[], object]


def main() -> None:
    """Print one row for each network and size."""
    args = _arguments()
    keep_freed_memory()
    threads = set_threads(1 if args.cpu_time else args.threads)
    clock = time.thread_time if args.cpu_time else time.perf_counter
    print(f'{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC, {platform.node()}, {processor()}')
    print(f'{threads} threads, PyTorch {torch.__version__}, load {os.getloadavg()[0]:.1f}')
    kind = 'processor' if args.cpu_time else 'wall'
    print(f'{WIDTH}x{HEIGHT}, {kind} time, medians of {args.repeats} interleaved runs\n')
    print(f'{"network":<12}{"size":<7}{"network ms":>11}{"estimator ms":>14}{"ratio":>7}')
    for size in args.sizes:
        for name in args.only or PAPER:
            bare, whole = _measure(name, size, args.repeats, clock)
            ratio = whole / bare
            verdict = '' if ratio <= LIMIT else f'  over {LIMIT}'
            print(f'{name:<12}{size:<7}{bare:>11.1f}{whole:>14.1f}{ratio:>7.2f}{verdict}')


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--repeats', type=int, default=7)
    parser.add_argument('--cpu-time', action='store_true', help='processor time of one thread')
    parser.add_argument(
        '--sizes', nargs='+', default=['small', 'paper'], choices=['small', 'paper']
    )
    parser.add_argument('--only', nargs='+', choices=list(PAPER))
    return parser.parse_args()


def _measure(name: str, size: str, repeats: int, clock: Clock) -> tuple[float, float]:
    """Return the medians in milliseconds of the bare network and of the estimator."""
    torch.manual_seed(0)
    network = build(PAPER[name]).eval() if size == 'paper' else untrained(name)
    pair = _PAIRS[name](network)
    bare, whole = [], []
    for _ in range(repeats + 1):
        bare.append(_milliseconds(pair.network, clock))
        whole.append(_milliseconds(pair.estimator, clock))
    return statistics.median(bare[1:]), statistics.median(whole[1:])  # the first warms up


def _milliseconds(step: Callable[[], object], clock: Clock) -> float:
    start = clock()
    step()
    return 1e3 * (clock() - start)


class _Camera:
    """Gives the next frame, 0.1 s after the last: two pictures in turn."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        blocks = rng.integers(0, 256, (2, HEIGHT // 8, WIDTH // 8, 3), np.uint8)
        self._images = blocks.repeat(8, axis=1).repeat(8, axis=2)
        self._count = 0

    def __call__(self) -> Frame:
        self._count += 1
        image = self._images[self._count % 2]
        return Frame(stamp_ns=self._count * 10**8, image=image, camera=CAMERA)


def _superpoint(network: nn.Module) -> Pair:
    estimator = FeatureEstimator(network, device='cpu')
    image, camera = torch.rand(1, 1, HEIGHT, WIDTH), _Camera()
    return Pair(
        estimator=lambda: estimator.push(camera()), network=lambda: _run(estimator.network, image)
    )


def _flownet(network: nn.Module) -> Pair:
    estimator = FlowEstimator(network, FlowSettings(output_stride=4), 'cpu')
    image, camera = torch.rand(1, 3, HEIGHT, WIDTH), _Camera()
    estimator.push(camera())
    return Pair(
        estimator=lambda: estimator.push(camera()),
        network=lambda: _run(estimator.network, image, image),
    )


def _monodepth(network: nn.Module) -> Pair:
    estimator = DepthEstimator(network, device='cpu')
    image, camera = torch.rand(1, 3, *network.config.input_size), _Camera()
    return Pair(
        estimator=lambda: estimator.push(camera()), network=lambda: _run(estimator.network, image)
    )


def _deepvo(network: nn.Module) -> Pair:
    settings = OdometrySettings(
        inference_mode='stateful', max_linear_speed=1e9, max_angular_speed=1e9
    )
    estimator = OdometryEstimator(network, settings, 'cpu')
    clip, camera = torch.rand(1, 2, 3, *network.config.input_size), _Camera()
    estimator.push(camera())
    return Pair(
        estimator=lambda: estimator.push(camera()), network=lambda: _run(estimator.network, clip)
    )


def _dsac(network: nn.Module) -> Pair:
    """The estimator up to the scene coordinates: its consensus is no part of the network's cost."""
    estimator = RelocalizationEstimator(network, device='cpu')
    height = network.config.input_height
    image, camera = torch.rand(1, 1, height, round(WIDTH * height / HEIGHT)), _Camera()
    return Pair(
        estimator=lambda: estimator.coordinates(camera()),
        network=lambda: _run(estimator.network, image),
    )


@torch.inference_mode()
def _run(network: nn.Module, *inputs: Tensor) -> object:
    return network(*inputs)


_PAIRS: dict[str, Callable[[Any], Pair]] = {
    'superpoint': _superpoint,
    'flownet': _flownet,
    'monodepth': _monodepth,
    'deepvo': _deepvo,
    'dsac': _dsac,
}


if __name__ == '__main__':
    main()
