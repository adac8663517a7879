"""What lock-step over ROS costs over the estimators alone, and whether memory grows with the bag.

    python benchmarks/replay.py [--frames N] [--repeats N] [--size WxH]
    python benchmarks/replay.py --memory 10000

The first replays one generated walk through the five nodes in lock-step and then in this machine's
turn without ROS, and compares the seconds of the first with the sum of the times of inference of
the second, run by run; the median ratio is judged. The second replays so many small images in
process and prints the process's memory now and then.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
from datetime import datetime, timezone
from pathlib import Path
from time import sleep

ROOT = Path(__file__).parents[1]
LIMIT = 1.15
NODES = 'superpoint,flownet,monodepth,deepvo,dsac'
os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
os.environ.setdefault('ROS_DOMAIN_ID', '98')


def main() -> None:
    """Print one row for each run, or the memory of a long one."""
    args = _arguments()
    now = datetime.now(timezone.utc)
    print(f'{now:%Y-%m-%d %H:%M} UTC, {platform.node()}, {platform.machine()}')
    with tempfile.TemporaryDirectory() as folder:
        if args.memory:
            _memory(Path(folder), args.memory)
        else:
            _ratio(Path(folder), args)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--frames', type=int, default=60)
    parser.add_argument('--repeats', type=int, default=3)
    parser.add_argument('--size', default='416x192')
    parser.add_argument('--memory', type=int, default=0, metavar='FRAMES')
    return parser.parse_args()


def _ratio(folder: Path, args: argparse.Namespace) -> None:
    bag = _walk(folder / 'walk.mcap', args.frames, args.size)
    print(f'{args.frames} images of {args.size}, five nodes, load {os.getloadavg()[0]:.1f}\n')
    print(f'{"lock-step s":>12}{"estimators s":>14}{"ratio":>8}')
    ratios = []
    for _ in range(args.repeats):
        whole = _facts(_evaluated(bag, folder / 'ros', 'lock-step')).seconds
        bare = _inference(_evaluated(bag, folder / 'alone', 'in-process'))
        ratios.append(whole / bare)
        print(f'{whole:>12.1f}{bare:>14.1f}{ratios[-1]:>8.3f}')
    ratio = statistics.median(ratios)
    print(f'\nmedian ratio {ratio:.3f}{"" if ratio <= LIMIT else f", over {LIMIT}"}')


def _memory(folder: Path, frames: int) -> None:
    """Replay a long bag of small images, and look at the memory of the process as it goes on."""
    bag = _walk(folder / 'walk.mcap', frames, '96x64')
    command = _command(bag, folder / 'out', 'in-process', 'superpoint,flownet,deepvo')
    print(f'{frames} images of 96x64, three nodes in process\n{"images":>8}{"MB":>8}')
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            sleep(10)
            log = folder / 'out' / 'frames.jsonl'
            shown = sum(1 for _ in log.open()) // 3 if log.exists() else 0
            print(f'{shown:>8}{_resident(process.pid):>8.0f}', flush=True)
    used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f'exit code {process.returncode}, at most {used:.0f} MB, the evaluation included')


def _resident(pid: int) -> float:
    try:
        pages = int(Path(f'/proc/{pid}/statm').read_text().split()[1])
    except OSError:
        return float('nan')
    return pages * resource.getpagesize() / 2**20


def _walk(path: Path, frames: int, size: str) -> Path:
    command = (
        *('world', str(path), '--scene', 'room', '--seed', '0', '--size', size),
        *('--frames', str(frames), '--rate', '5', '--still', '--no-depth'),
    )
    subprocess.run([sys.executable, '-m', 'dlcv', *command], check=True, capture_output=True)
    return path


def _command(bag: Path, out: Path, mode: str, nodes: str) -> list[str]:
    room = ROOT / 'src' / 'dlcv' / 'demo' / 'room.safetensors'
    known = ('--map', str(room)) if 'dsac' in nodes else ()
    options = ('-o', str(out), '--mode', mode, '--nodes', nodes, *known)
    return [sys.executable, '-m', 'dlcv', 'evaluate', str(bag), *options]


def _evaluated(bag: Path, out: Path, mode: str) -> Path:
    subprocess.run(_command(bag, out, mode, NODES), check=True, capture_output=True)
    return out


def _facts(out: Path):
    from dlcv.evaluation.replay.job import Folder, RunFacts, read

    return read(Folder(out).facts, RunFacts)


def _inference(out: Path) -> float:
    """Return the seconds of inference of all nodes and images."""
    from dlcv.evaluation.replay.job import Folder
    from dlcv.evaluation.replay.log import read_log

    lines = read_log(Folder(out).log)
    return sum(line.outcome.inference_ms or 0.0 for line in lines) / 1e3


if __name__ == '__main__':
    main()
