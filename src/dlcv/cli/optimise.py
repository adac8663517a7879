"""``dlcv weights optimize``: measure what weights need to run in int8."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlcv.cli.main import CommandError
from dlcv.files import expanded

if TYPE_CHECKING:
    from dlcv.types import Frame

_SIZE = 320, 240
_WORLDS = 2  # of each scene
_FRAMES = 3  # of each world
_RATE_HZ = 10.0
_BUILT_IN = f'{3 * _WORLDS * _FRAMES} pictures of {3 * _WORLDS} generated worlds'


def add_action(actions: Any) -> argparse.ArgumentParser:
    """Declare the action and return its parser."""
    optimise: argparse.ArgumentParser = actions.add_parser(
        'optimize',
        help='measure the ranges that weights need to run in int8',
        description='Run a network on pictures, measure the ranges of its activations and write '
        'them to NAME.int8.safetensors. Beside the weights they are found by themselves. Weights '
        'need nothing for fp32, bf16 and fp16.',
    )
    optimise.add_argument(
        '-o', '--output', type=expanded, metavar='OUT.int8.safetensors',
        help='file to write (beside the weights)',
    )  # fmt: skip
    optimise.add_argument(
        '--calibrate', nargs='+', type=expanded, default=[], metavar='IMAGES',
        help='image files or folders to measure on, which follow each other in time for networks '
        f'that take two; like what the robot will see ({_BUILT_IN})',
    )  # fmt: skip
    return optimise


def optimise(args: argparse.Namespace) -> int:
    """Measure, and write the file."""
    from dlcv.engines.ranges import RangesHeader, beside, write_ranges
    from dlcv.estimation.load import LOADERS
    from dlcv.estimation.optimise import measure_ranges
    from dlcv.networks.weights import describe

    weights = describe(args.file, sha256=args.sha256)
    if weights.network not in LOADERS:
        raise CommandError(f'{weights.network} has no int8: there are {", ".join(LOADERS)}')
    output = args.output or beside(weights.path)
    if not output.parent.is_dir():
        raise CommandError(f'{output}: there is no folder {output.parent}')
    estimator = LOADERS[weights.network](weights.path, device='cpu')
    clips = [_pictures(args.calibrate)] if args.calibrate else _worlds()
    found = measure_ranges(estimator, clips)
    pictures = f'{found.inputs} inputs of the network from ' + (
        'pictures that were given' if args.calibrate else _BUILT_IN
    )
    header = RangesHeader(
        weights_sha256=weights.sha256,
        tolerance=float(f'{found.tolerance:.2g}'),
        deviation=float(f'{found.deviation:.2g}'),
        pictures=pictures,
    )
    write_ranges(output, found.ranges, header)
    sys.stdout.write(
        f'{output}: {len(found.ranges)} ranges, {output.stat().st_size:,} bytes; outputs in int8 '
        f'are off by {found.deviation:.2g} of their spread at most\n'
    )
    return 0


def _worlds() -> Iterator[list[Frame]]:
    """Yield clips of all kinds of generated worlds, seen by all kinds of cameras."""
    import numpy as np

    from dlcv.data.world import SCENES, WorldRecording
    from dlcv.data.world.recording import any_camera, any_sensor

    draw = np.random.default_rng(8)
    for scene in SCENES:
        for seed in range(_WORLDS):
            recording = WorldRecording(
                scene,
                seed=8000 + seed,
                way=seed,
                camera=any_camera(draw, _SIZE, (50, 90)),
                sensor=any_sensor(draw),
                frames=_FRAMES,
                rate_hz=_RATE_HZ,
                start_s=2.0 * seed,
            )
            yield [snapshot.frame for snapshot in recording]


def _pictures(paths: list[Path]) -> list[Frame]:
    """Read pictures as if they had been taken one after the other."""
    from dlcv.cli.infer.images import image_files, read_image
    from dlcv.types import Frame

    step = round(1e9 / _RATE_HZ)
    return [
        Frame(stamp_ns=i * step, image=read_image(path))
        for i, path in enumerate(image_files(paths))
    ]
