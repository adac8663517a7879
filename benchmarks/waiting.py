"""What waiting threads cost beside a busy process: one small network, several ways to wait.

    python benchmarks/waiting.py [ROUNDS]

The ways take turns, so that a machine that changes its speed changes it for all.
"""

from __future__ import annotations

import os
import subprocess
import sys
from statistics import median

WAYS = {
    'all threads, spinning': {},
    'all threads, OMP_WAIT_POLICY=PASSIVE': {'OMP_WAIT_POLICY': 'PASSIVE'},
    'all threads, GOMP_SPINCOUNT=0': {'GOMP_SPINCOUNT': '0'},
    'all threads, KMP_BLOCKTIME=0': {'KMP_BLOCKTIME': '0'},
    'one thread': {'OMP_NUM_THREADS': '1'},
}
SECONDS = 2.0  # for which one process computes
PASSES = f"""
import time
import torch

net = torch.nn.Sequential(*[torch.nn.Conv2d(16, 16, 3, padding=1) for _ in range(40)]).eval()
picture = torch.randn(1, 16, 60, 80)
with torch.inference_mode():
    net(picture)
    begin, cpu, count = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - begin < {SECONDS}:
        net(picture)
        count += 1
    print(time.perf_counter() - begin, time.process_time() - cpu, count)
"""


def milliseconds(variables: dict[str, str]) -> tuple[float, float]:
    """Return the time of one pass through the network, and of the processor for it."""
    plain = {k: v for k, v in os.environ.items() if not k.startswith(('OMP_', 'GOMP_', 'KMP_'))}
    done = subprocess.run(
        [sys.executable, '-c', PASSES],
        env={**plain, **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    wall, cpu, count = map(float, done.stdout.split())
    return 1e3 * wall / count, 1e3 * cpu / count


def main() -> None:
    """Measure, and print the medians."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    busy = subprocess.Popen([sys.executable, '-c', 'while True: pass'])
    found: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
    try:
        for _ in range(rounds):
            for way, variables in WAYS.items():
                found[way].append(milliseconds(variables))
    finally:
        busy.kill()
    for way, times in found.items():
        walls, cpus = zip(*times, strict=True)
        print(f'{way:38} {median(walls):8.1f} ms, {median(cpus):8.1f} ms of the processor')


if __name__ == '__main__':
    main()
