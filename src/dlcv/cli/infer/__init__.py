"""``dlcv infer``: run one network on image files; arrays go to an .npz, pictures to a .png.

PyTorch takes seconds to import, so nothing here imports it before the arguments are known to be
good.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from dlcv.cli.extras import need
from dlcv.cli.infer import (
    caption,
    deepvo,
    dsac,
    flownet,
    localization,
    monodepth,
    netvlad,
    segmentation,
    stereo,
    superpoint,
    visual_odometry,
)
from dlcv.cli.infer.images import frames, image_files, stamps_of
from dlcv.cli.infer.parts import Outcome, add_option, note, settings_of
from dlcv.cli.main import CommandError
from dlcv.data.datasets.pictures import PICTURES
from dlcv.estimation.memory import keep_freed_memory
from dlcv.files import expanded, whole_file
from dlcv.host import threads
from dlcv.interface.engines import ENGINES, PRECISIONS
from dlcv.types import ByteImage, Camera

SUMMARY = 'Run one network on image files, without ROS.'
EXAMPLES = """\
`dlcv infer NETWORK --help` tells the arrays and options of each. Examples:
  dlcv infer superpoint left.png right.png -o points.npz --view points.png
  dlcv infer flownet first.png second.png -o flow.npz --view flow.png
  dlcv infer monodepth street.png --camera camera.yaml -o depth.npz --view depth.png
  dlcv infer stereo left.png right.png --camera camera.yaml --baseline 0.12 -o depth.npz
  dlcv infer segmentation street.png -o labels.npz --view labels.png
  dlcv infer localization street.png -o boxes.npz --view boxes.png
  dlcv infer caption street.png --view caption.png
  dlcv infer visual_odometry drive.mcap -o path.tum --view path.png
  dlcv infer deepvo drive/ --camera camera.yaml --rate 10 -o poses.npz
  dlcv infer dsac photo.png --camera camera.yaml --weights kitchen.safetensors -o pose.npz
  dlcv infer netvlad photo.png --places kitchen_places.safetensors -o place.npz
"""

NETWORKS = {
    'superpoint': superpoint,
    'flownet': flownet,
    'monodepth': monodepth,
    'stereo': stereo,
    'segmentation': segmentation,
    'localization': localization,
    'caption': caption,
    'visual_odometry': visual_odometry,
    'deepvo': deepvo,
    'dsac': dsac,
    'netvlad': netvlad,
}
"""Name -> its module of this room, with TASK, ARRAYS, OPTIONS, add_arguments and infer."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare one sub-command for each network."""
    networks = parser.add_subparsers(dest='network', required=True, metavar='NETWORK')
    for name, network in NETWORKS.items():
        sub = networks.add_parser(
            name, help=network.TASK, description=f'Arrays in OUT.npz: {network.ARRAYS}'
        )
        sub.set_defaults(options=network.OPTIONS)
        _add_common(sub)
        for option in network.OPTIONS:
            add_option(sub, option)
        network.add_arguments(sub)


def run(args: argparse.Namespace) -> int:
    """Run the network and write what was asked for."""
    if args.network == 'visual_odometry':
        return _follow(args)
    paths = image_files(args.images)
    _check_outputs(args, paths)
    _check_settings(args)
    camera = _camera(args)
    least = 2 if args.network in ('flownet', 'stereo', 'deepvo') else 1
    if len(paths) < least:
        raise CommandError(f'{args.network} needs {least} images or more, got {len(paths)}')
    keep_freed_memory()
    stamps = stamps_of(paths, args.rate) if args.network == 'deepvo' else range(len(paths))
    pictures = list(frames(paths, stamps, camera, args))
    _use_threads(args)
    return _write(args, NETWORKS[args.network].infer(args, pictures))


def _follow(args: argparse.Namespace) -> int:
    """Run visual odometry, which reads recordings too."""
    _check_outputs(args, args.images)
    visual_odometry.check(args)
    camera = _camera(args)
    recording = visual_odometry.recorded(args, camera)
    if recording is None:
        paths = image_files(args.images)
        pictures = list(frames(paths, stamps_of(paths, args.rate), camera, args))
        recording = visual_odometry.Pictures(frames=pictures)
    keep_freed_memory()
    _use_threads(args)
    return _write(args, visual_odometry.follow(args, recording))


def _use_threads(args: argparse.Namespace) -> None:
    if args.threads:
        from dlcv.estimation.device import set_threads

        set_threads(args.threads)
    sys.stderr.write(f'threads: {threads()}\n')


def _write(args: argparse.Namespace, outcome: Outcome) -> int:
    if args.output.suffix == '.npz':
        arrays: dict[str, Any] = outcome.arrays
        with whole_file(args.output) as part, part.open('wb') as file:
            np.savez(file, **arrays)
    else:
        visual_odometry.write(args.output, outcome.arrays)
    sys.stdout.writelines(f'{line}\n' for line in outcome.lines)
    if args.view is not None:
        _write_pictures(args.view, outcome.pictures)
    return 0


def _check_outputs(args: argparse.Namespace, images: Sequence[Path]) -> None:
    """Refuse, before any work, what cannot be written or would replace what is read."""
    kinds = getattr(NETWORKS[args.network], 'OUTPUTS', ('.npz',))
    if args.output.suffix not in kinds:
        named = ' or '.join(kinds)
        raise CommandError(f'{args.output}: arrays go to a file named {named}, such as out.npz')
    if args.view is not None and args.view.suffix.lower() not in PICTURES:
        raise CommandError(
            f'{args.view}: {args.view.suffix!r} is no picture format; there are '
            f'{" ".join(PICTURES)}'
        )
    if args.view is not None and args.network in ('deepvo', 'visual_odometry'):
        need('matplotlib')
    read = {path.resolve() for path in (*images, expanded(args.weights), args.camera) if path}
    for output in filter(None, (args.output, args.view)):
        if not output.parent.is_dir():
            raise CommandError(f'{output}: there is no folder {output.parent}')
        if output.is_dir():
            raise CommandError(f'{output} is a folder, not a file to write')
        if output.resolve() in read:
            raise CommandError(f'{output} is read here, so it is not overwritten')


def _check_settings(args: argparse.Namespace) -> None:
    """Refuse what the parameters of the node of the same name refuse, in the same words."""
    from dlcv.interface.nodes import NODES

    parameters = NODES[args.network].parameters
    known = {field.name for field in fields(parameters)}
    given = {**vars(args), **settings_of(args), 'num_threads': args.threads}
    skipped = ('weights', 'rate', 'rectified')  # those of the nodes mean other things
    parameters(**{k: v for k, v in given.items() if k in known and k not in skipped})


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        'images', nargs='+', type=expanded, metavar='IMAGES', help='image files, or folders of them'
    )
    parser.add_argument(
        '-o', '--output', type=expanded, required=True, metavar='OUT.npz', help='file of the arrays'
    )
    parser.add_argument(
        '--view', type=expanded, metavar='OUT.png',
        help='also draw; of several pictures each gets a number, OUT_000.png',
    )  # fmt: skip
    parser.add_argument(
        '--weights',
        default='',
        metavar='FILE',
        help='our own or a public file, or the name of shipped weights (the shipped ones)',
    )
    parser.add_argument('--sha256', default='', metavar='HEX', help='digest that FILE must have')
    parser.add_argument(
        '--camera', type=expanded, metavar='CAMERA.yaml', help='calibration, as ROS writes it'
    )
    parser.add_argument(
        '--rectified',
        action='store_true',
        help='the images are rectified already: projection_matrix holds, and no distortion',
    )
    parser.add_argument(
        '--device', default='auto', metavar='DEVICE', help='auto, cpu, cuda or cuda:N (auto)'
    )
    parser.add_argument(
        '--engine', default='auto', choices=ENGINES,
        help='what runs the network; auto takes the fastest that is installed (auto)',
    )  # fmt: skip
    parser.add_argument(
        '--precision', default='auto', choices=PRECISIONS,
        help='arithmetic of the network; auto: int8 where it is faster and the weights have '
        'measured ranges, else fp32 (auto)',
    )  # fmt: skip
    parser.add_argument(
        '--threads', type=int, default=0, metavar='N', help="CPU threads (PyTorch's choice)"
    )


def _camera(args: argparse.Namespace) -> Camera | None:
    if args.rectified and args.camera is None:
        raise CommandError(
            '--rectified says which part of --camera holds, and there is no --camera'
        )
    if args.camera is not None:
        from dlcv.geometry.camera import read_camera

        return read_camera(args.camera, rectified=args.rectified)
    if args.network == 'dsac':
        raise CommandError('dsac needs --camera: a pose cannot be found without the calibration')
    if args.network == 'monodepth':
        if settings_of(args).get('scale_mode', 'metric') != 'metric':
            raise CommandError('a scale is of depth in metres, which needs --camera')
        note('no --camera: disparity only, no depth in metres')
    return None


def _write_pictures(path: Path, pictures: Sequence[ByteImage]) -> None:
    from dlcv.view.panel import write_picture

    for i, picture in enumerate(pictures):
        target = path if len(pictures) == 1 else path.with_stem(f'{path.stem}_{i:03d}')
        write_picture(target, picture)
