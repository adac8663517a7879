"""Time of weighing matches, by the network that is shipped and by the paper's, beside MAGSAC++.

    python benchmarks/weighing.py [--runs 30]

One thread; milliseconds of its processor time, which a busy machine lengthens less than those of
the clock. Every method gets the same matches, by turns. Weights are random: they change no time.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable
from datetime import datetime, timezone

import cv2
import numpy as np
import torch

from dlcv.estimation.deep_fundamental import MatchWeigher
from dlcv.metrics.baselines.fundamental import consensus
from dlcv.networks.deep_fundamental import DeepFundamental, DeepFundamentalConfig, small

COUNTS = (300, 1000)
WRONG = 0.3

Method = Callable[[np.ndarray, np.ndarray, np.ndarray], object]


def matches(count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return pixels of both pictures and cosines; a share of the matches is wrong."""
    rng = np.random.default_rng(seed)
    points = rng.uniform((-3, -2, 4), (3, 2, 12), (count, 3))
    there = points + np.array((0.3, 0.05, 0.2))
    first, second = (300 * p[:, :2] / p[:, 2:] + (320, 240) for p in (points, there))
    wrong = rng.random(count) < WRONG
    second[wrong] = rng.uniform((0, 0), (640, 480), (int(wrong.sum()), 2))
    second += rng.normal(0, 0.5, second.shape)
    cosine = rng.uniform(0.5, 1, count)
    return first.astype(np.float32), second.astype(np.float32), cosine.astype(np.float32)


def network(config: DeepFundamentalConfig) -> Method:
    """Return an untrained network as a method."""
    return MatchWeigher(DeepFundamental(config), device='cpu').weigh


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--runs', type=int, default=30, help='pairs of each size')
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    magsac = consensus('MAGSAC++')
    methods: dict[str, Method] = {
        'as shipped': network(small()),
        'of the paper': network(DeepFundamentalConfig(side_channels=1)),
        'MAGSAC++': lambda first, second, _cosine: magsac(first, second),
    }
    print(
        f'{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC, {platform.node()}, '
        f'{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, torch {torch.__version__}, '
        f'OpenCV {cv2.__version__}; {WRONG:.0%} of the matches are wrong\n\n'
        'matches  method          median ms  95 % ms    ratio'
    )
    for count in COUNTS:
        times: dict[str, list[float]] = {name: [] for name in methods}
        for seed in range(-3, args.runs):  # the first ones warm up
            pair = matches(count, abs(seed))
            for name, method in methods.items():
                start = time.thread_time()
                method(*pair)
                if seed >= 0:
                    times[name].append(1e3 * (time.thread_time() - start))
        base = statistics.median(times['as shipped'])
        for name, taken in times.items():
            middle = statistics.median(taken)
            late = statistics.quantiles(taken, n=20)[-1]
            print(f'{count:7d}  {name:14s} {middle:10.2f} {late:8.2f} {middle / base:8.2f}')


if __name__ == '__main__':
    main()
