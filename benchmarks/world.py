"""Frames per second of the generated world with all truths, on this machine.

python benchmarks/world.py [--frames 60] [--size 320x240] [--threads 2] [--device cpu]
"""

from __future__ import annotations

import argparse
import platform
import sys
import time

import torch

from dlcv.world import BASELINES, SCENES, WorldRecording, ideal_camera


def measure(scene: str, baseline: float, args: argparse.Namespace) -> tuple[float, float, float]:
    """Return seconds until the first frame, then frames per second and per CPU second."""
    width, height = (int(side) for side in args.size.split('x'))
    recording = WorldRecording(
        scene,
        camera=ideal_camera(width, height),
        frames=args.frames + 1,
        baseline=baseline,
        device=args.device,
        workers=args.threads,
    )
    start = time.perf_counter()
    snapshots = iter(recording)
    next(snapshots)
    first, busy = time.perf_counter(), time.process_time()
    count = sum(1 for _ in snapshots)
    took, busy = time.perf_counter() - first, time.process_time() - busy
    return first - start, count / took, count / busy


def main() -> None:
    """Print one line per scene, without and with the right view."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--frames', type=int, default=60)
    parser.add_argument('--size', default='320x240')
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--device', default='cpu')
    args = parser.parse_args()
    torch.set_num_threads(1)  # a picture takes one thread; there are several pictures at a time
    out = sys.stdout
    out.write(f'{time.strftime("%Y-%m-%d")}  {platform.processor() or platform.machine()}  ')
    out.write(f'torch {torch.__version__}  {args.threads} threads  {args.device}  {args.size}\n')
    out.write('image, depth, pose, patch, flow, occlusion; stereo: and the right view\n')
    for scene in SCENES:
        for label, baseline in (('mono', 0.0), ('stereo', BASELINES[scene])):
            setup, rate, per_cpu = measure(scene, baseline, args)
            out.write(f'{scene:<8}{label:<8}{rate:6.1f} frames/s {per_cpu:6.1f} per CPU second')
            out.write(f'  (first frame: {setup:.1f} s)\n')


if __name__ == '__main__':
    main()
