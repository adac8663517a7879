"""Frames per second of the generated world with all truths, on this machine.

python benchmarks/world.py [--frames 40] [--size 320x240] [--threads 2] [--device cpu] [--batch 0]

Two numbers per line: frames by the clock, and frames per second of CPU time, which others that use
the processor disturb less. With --batch N, N views and the flow between neighbours are rendered in
one call, which is how a GPU is kept busy; pictures and truths stay on the device.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time

import numpy as np
import torch

from dlcv.data.world import BASELINES, SCENES, Extras, WorldRecording, ideal_camera
from dlcv.data.world.recording import renderer_of


def measure(scene: str, baseline: float, args: argparse.Namespace) -> tuple[float, float, float]:
    """Return seconds until the first frame, then frames per second and per CPU second."""
    recording = WorldRecording(
        scene,
        camera=ideal_camera(*args.size),
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


def measure_batches(scene: str, args: argparse.Namespace) -> tuple[float, float, float]:
    """The same for batches of views of one camera, half a second of its way at a time."""
    camera = ideal_camera(*args.size)
    recording = WorldRecording(scene, camera=camera, frames=args.batch + 1, rate_hz=10)
    start = time.perf_counter()
    renderer = renderer_of(scene, 0, Extras(), args.device, 0)
    poses, moved = recording.world_from_camera, recording.world_from_rest
    renderer.render(camera, poses[:2], moved[:2])
    _finish(args.device)
    first, busy, rounds = time.perf_counter(), time.process_time(), 0
    while rounds * args.batch < args.frames:
        view = renderer.render(camera, poses, moved)
        renderer.flow(view[:-1], view[1:])
        renderer.flow(view[1:], view[:-1])
        renderer.moving(view.patch)
        rounds += 1
    _finish(args.device)
    took, busy = time.perf_counter() - first, time.process_time() - busy
    count = rounds * args.batch
    return first - start, count / took, count / busy


def _finish(device: str) -> None:
    if device.startswith('cuda'):
        torch.cuda.synchronize()


def _size(text: str) -> tuple[int, int]:
    width, height = text.split('x')
    return int(width), int(height)


def main() -> None:
    """Print one line per scene, without and with the right view."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--frames', type=int, default=40)
    parser.add_argument('--size', type=_size, default=(320, 240))
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--batch', type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)  # a picture takes one thread; there are several pictures at a time
    out, size = sys.stdout, np.array(args.size)
    out.write(f'{time.strftime("%Y-%m-%d")}  {platform.processor() or platform.machine()}  ')
    out.write(f'torch {torch.__version__}  {args.threads} threads  {args.device}  {size}\n')
    out.write('image, depth, pose, patch, moving, flow and occlusion both ways; ')
    out.write('stereo: and the right view, its depth and occlusion\n')
    for scene in SCENES:
        kinds = (('mono', 0.0), ('stereo', BASELINES[scene]))
        for label, baseline in (('batches', 0.0),) if args.batch else kinds:
            if args.batch:
                setup, rate, per_cpu = measure_batches(scene, args)
            else:
                setup, rate, per_cpu = measure(scene, baseline, args)
            out.write(f'{scene:<9}{label:<8}{rate:7.1f} frames/s {per_cpu:7.1f} per CPU second')
            out.write(f'  (first frame: {setup:.1f} s)\n')


if __name__ == '__main__':
    main()
