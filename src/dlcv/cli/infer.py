"""``dlcv infer``: run one network on image files; arrays go to an .npz, pictures to a .png.

PyTorch takes seconds to import, so nothing here imports it before the arguments are known to be
good.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dlcv.cli.extras import need
from dlcv.cli.main import CommandError
from dlcv.estimation.memory import keep_freed_memory
from dlcv.files import whole_file
from dlcv.types import ByteImage, Camera, FloatArray, Frame

if TYPE_CHECKING:
    from dlcv.estimation.base import Estimator

SUMMARY = 'Run one network on image files, without ROS.'
EXAMPLES = """\
`dlcv infer NETWORK --help` tells the arrays and options of each. Examples:
  dlcv infer superpoint left.png right.png -o points.npz --view points.png
  dlcv infer flownet first.png second.png -o flow.npz --view flow.png
  dlcv infer monodepth street.png --camera camera.yaml -o depth.npz --view depth.png
  dlcv infer deepvo drive/ --camera camera.yaml --rate 10 -o poses.npz
  dlcv infer dsac photo.png --camera camera.yaml --weights kitchen.safetensors -o pose.npz
"""
_SUFFIXES = ('.png', '.jpg', '.jpeg', '.bmp', '.ppm', '.pgm', '.tif', '.tiff', '.webp')

_MODE_OF = {'scale': 'fixed', 'camera_height': 'camera_height'}  # the scale mode each is for

Arrays = dict[str, np.ndarray[Any, Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Option:
    """A setting of an estimator as a command-line option; ``name`` is the setting's."""

    name: str
    kind: Callable[[str], Any] | None
    doc: str
    choices: tuple[Any, ...] = ()


@dataclass(kw_only=True, slots=True)
class _Outcome:
    """What one run gives.

    Attributes:
        arrays: For the .npz.
        pictures: For --view, in the order of the images.
        lines: What is said on standard output.
    """

    arrays: Arrays = field(default_factory=dict)
    pictures: list[ByteImage] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)


def _option(name: str, kind: Callable[[str], Any] | None, doc: str, *choices: Any) -> _Option:
    return _Option(name=name, kind=kind, doc=doc, choices=choices)


_OPTIONS: dict[str, tuple[_Option, ...]] = {
    'superpoint': (
        _option('max_keypoints', int, 'most keypoints of an image (1024)'),
        _option('detection_threshold', float, 'smallest score (0.005)'),
        _option('nms_radius', int, 'distance within which only the strongest stays, px (4)'),
        _option('remove_borders', int, 'margin without keypoints, px (4)'),
        _option('resize_long_side', int, 'larger images are shrunk to this, px; 0 never (640)'),
        _option('match_ratio', float, 'largest ratio of best to second-best distance (0.9)'),
        _option('pipeline', str, 'how keypoints are picked (dense)', 'dense', 'demo'),
    ),
    'flownet': (
        _option('output_stride', int, 'pixels between two samples of the flow (1)', 1, 2, 4),
        _option(
            'consistency_threshold', float,
            'forward-backward difference at which confidence is one half, px (1)',
        ),
        _option(
            'refinement', str, 'what follows the network (none)', 'none', 'variational'
        ),
    ),
    'monodepth': (
        _option('min_depth', float, 'nearer is -inf, m (0.1)'),
        _option('max_depth', float, 'farther is +inf, m (80)'),
        _option(
            'scale_mode', str, 'where the scale comes from (metric)',
            'metric', 'fixed', 'camera_height',
        ),
        _option('scale', float, 'factor on the depth; means --scale-mode fixed (1)'),
        _option(
            'camera_height', float,
            'metres over the ground; means --scale-mode camera_height (1.5)',
        ),
        _option('pp', None, 'blend with the disparity of the mirrored image'),
    ),
    'deepvo': (
        _option('scale', float, 'factor on all translations (1)'),
        _option(
            'inference_mode', str, "keep the memory or run windows (the weights' own)",
            'stateful', 'windowed',
        ),
        _option('sequence_length', int, 'frame pairs of a window (5)'),
        _option('max_linear_speed', float, 'a faster motion is not believed, m/s (40)'),
        _option('max_angular_speed', float, 'a faster turn is not believed, rad/s (3.5)'),
    ),
    'dsac': (
        _option('hypotheses', int, 'poses sampled from minimal sets (64)'),
        _option('inlier_threshold', float, 'reprojection error of an inlier, px (10)'),
        _option('min_inliers', int, 'a pose with fewer is rejected (100)'),
        _option('min_inlier_ratio', float, 'a pose with a smaller share is rejected (0.1)'),
        _option('max_tries', int, 'most minimal sets drawn for an image (10000)'),
        _option('time_budget', float, 'seconds after which no more are drawn (1)'),
        _option('seed', int, 'of the sampling (0)'),
    ),
}  # fmt: skip
_TASKS = {
    'superpoint': 'keypoints and descriptors, and matches between images',
    'flownet': 'optical flow between two images or more',
    'monodepth': 'disparity, and with a camera depth in metres',
    'deepvo': 'the path of the camera through a sequence of images',
    'dsac': 'the pose of the camera in a known scene, which the weights are the map of',
}
_ARRAYS = {
    'superpoint': (
        'keypoints (N,2) x y in pixels, scores (N,), descriptors (N,256); with --camera also rays '
        '(N,3), z = 1. Of several images each has its own, keypoints_0, keypoints_1, ..., and '
        'matches_1 (M,4) holds x y in image 0 and x y in image 1.'
    ),
    'flownet': (
        'flow (H,W,2): u right, v down, in pixels, from the first image to the second; of T > 2 '
        'images (T-1,H,W,2), each from the one before. With --confidence also confidence.'
    ),
    'monodepth': (
        'disparity (H,W), a fraction of the image width, and with --camera depth (H,W) in metres '
        '(NaN unknown, -inf nearer, +inf farther than the limits), both of the rectified image. '
        'With --confidence also confidence. Of several images they are stacked, (T,H,W).'
    ),
    'deepvo': (
        'poses (T,4,4), first camera from each camera, and motions (T-1,4,4), older camera from '
        'newer, in metres, optical axes (x right, y down, z forward). A motion that is not to be '
        'believed is NaN, and the pose stays.'
    ),
    'dsac': (
        'scene_coordinates (h,w,3) in metres, pose (4,4) camera to world (NaN for none), accepted, '
        'inliers, covariance (6,6). Of several images they are stacked.'
    ),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare one sub-command for each network."""
    networks = parser.add_subparsers(dest='network', required=True, metavar='NETWORK')
    for name, options in _OPTIONS.items():
        sub = networks.add_parser(
            name,
            help=_TASKS[name],
            description=f'Arrays in OUT.npz: {_ARRAYS[name]}',
        )
        _add_common(sub)
        for option in options:
            _add_option(sub, option)
        if name in ('flownet', 'monodepth'):
            sub.add_argument(
                '--confidence', action='store_true', help='estimate it too, at twice the work'
            )
        if name == 'flownet':
            sub.add_argument(
                '--max-displacement', type=float, default=0.0, metavar='PX',
                help='displacement of full colour in the picture; 0 takes the longest (0)',
            )  # fmt: skip
        if name == 'deepvo':
            sub.add_argument(
                '--rate', type=_positive, default=10.0, metavar='HZ',
                help='images in a second, for the speed limits (10)',
            )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Run the network and write what was asked for."""
    paths = _image_files(args.images)
    _check_outputs(args, paths)
    _check_settings(args)
    camera = _camera(args)
    least = 2 if args.network in ('flownet', 'deepvo') else 1
    if len(paths) < least:
        raise CommandError(f'{args.network} needs {least} images or more, got {len(paths)}')
    keep_freed_memory()
    frames = list(_frames(paths, camera, args))
    if args.threads:
        from dlcv.estimation.device import set_threads

        set_threads(args.threads)
    outcome = _RUNNERS[args.network](args, frames)
    with whole_file(args.output) as part, part.open('wb') as file:
        np.savez(file, **outcome.arrays)  # type: ignore[arg-type]  # NumPy's own stub trips
    sys.stdout.writelines(f'{line}\n' for line in outcome.lines)
    if args.view is not None:
        _write_pictures(args.view, outcome.pictures)
    return 0


def _check_outputs(args: argparse.Namespace, images: Sequence[Path]) -> None:
    """Refuse, before any work, what cannot be written or would replace what is read."""
    if args.output.suffix != '.npz':
        raise CommandError(f'{args.output}: arrays go to a file named .npz, such as out.npz')
    if args.view is not None and args.view.suffix.lower() not in _SUFFIXES:
        raise CommandError(
            f'{args.view}: {args.view.suffix!r} is no picture format; there are '
            f'{" ".join(_SUFFIXES)}'
        )
    if args.view is not None and args.network == 'deepvo':
        need('matplotlib')
    read = {path.resolve() for path in (*images, Path(args.weights), args.camera) if path}
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
    given = {**vars(args), **_settings(args), 'num_threads': args.threads}
    skipped = ('weights', 'rate', 'rectified')  # those of the nodes mean other things
    parameters(**{k: v for k, v in given.items() if k in known and k not in skipped})


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        'images', nargs='+', type=Path, metavar='IMAGES', help='image files, or folders of them'
    )
    parser.add_argument(
        '-o', '--output', type=Path, required=True, metavar='OUT.npz', help='file of the arrays'
    )
    parser.add_argument(
        '--view', type=Path, metavar='OUT.png',
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
        '--camera', type=Path, metavar='CAMERA.yaml', help='calibration, as ROS writes it'
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
        '--precision', default='fp32', choices=('fp32', 'fp16', 'bf16'),
        help='arithmetic of the network; 16 bits are for GPUs (fp32)',
    )  # fmt: skip
    parser.add_argument(
        '--threads', type=int, default=0, metavar='N', help="CPU threads (PyTorch's choice)"
    )


def _add_option(parser: argparse.ArgumentParser, option: _Option) -> None:
    flag = f'--{option.name.replace("_", "-")}'
    if option.kind is None:
        parser.add_argument(flag, action='store_true', default=argparse.SUPPRESS, help=option.doc)
        return
    parser.add_argument(
        flag,
        type=option.kind,
        default=argparse.SUPPRESS,  # the estimator's own default counts
        choices=option.choices or None,
        metavar=None if option.choices else 'N' if option.kind is int else 'X',
        help=option.doc,
    )


def _positive(text: str) -> float:
    value = _finite(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f'{text} is not positive')
    return value


def _finite(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f'{text!r} is no number') from None
    if not isfinite(value):
        raise argparse.ArgumentTypeError(f'{text} is not finite')
    return value


def _image_files(given: Sequence[Path]) -> list[Path]:
    files: list[Path] = []
    for path in given:
        if not path.is_dir():
            files.append(path)
            continue
        inside = sorted(p for p in path.iterdir() if p.suffix.lower() in _SUFFIXES)
        if not inside:
            raise CommandError(
                f'{path}: no images in this folder; looked for {" ".join(_SUFFIXES)}'
            )
        files += inside
    return files


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
        if _settings(args).get('scale_mode', 'metric') != 'metric':
            raise CommandError('a scale is of depth in metres, which needs --camera')
        _note('no --camera: disparity only, no depth in metres')
    return None


def _frames(
    paths: Sequence[Path], camera: Camera | None, args: argparse.Namespace
) -> Iterator[Frame]:
    period = 1e9 / getattr(args, 'rate', 10.0)
    first: Frame | None = None
    for i, path in enumerate(paths):
        image = _read_image(path)
        size = image.shape[1], image.shape[0]
        if camera is not None and size != (camera.width, camera.height):
            raise CommandError(
                f'{path} is {size[0]}x{size[1]}, '
                f'{args.camera} is for {camera.width}x{camera.height}'
            )
        if first is not None and args.network != 'superpoint' and image.shape != first.image.shape:
            raise CommandError(
                f'{path} is {size[0]}x{size[1]}, {paths[0]} is {first.width}x{first.height}; '
                f'{args.network} takes images of one size'
            )
        frame = Frame(stamp_ns=round(i * period), image=image, camera=camera)
        first = first or frame
        yield frame


def _read_image(path: Path) -> ByteImage:
    import cv2

    if not path.is_file():
        raise CommandError(f'{path}: no such file')
    # Pixels as they are in the file: the calibration knows nothing of EXIF's orientation.
    how = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    data = np.frombuffer(path.read_bytes(), np.uint8)
    bgr = cv2.imdecode(data, how) if data.size else None
    if bgr is None:
        raise CommandError(f'{path}: is no image that OpenCV can read')
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)


def _loading(args: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments that all loaders share."""
    return {
        'weights': args.weights,
        'device': args.device,
        'precision': args.precision,
        'sha256': args.sha256,
        'allow_untrained': True,
    }


def _settings(args: argparse.Namespace) -> dict[str, Any]:
    names = [option.name for option in _OPTIONS[args.network]]
    settings = {name: getattr(args, name) for name in names if hasattr(args, name)}
    if args.network == 'monodepth' and 'scale_mode' not in settings:
        for key, mode in _MODE_OF.items():
            if key in settings:
                settings['scale_mode'] = mode
    return settings


def _warn_untrained(args: argparse.Namespace, estimator: Estimator[Any]) -> None:
    if not estimator.origin.trained:
        _note(
            f'WARNING: UNTRAINED NETWORK. There are no trained {args.network} weights here; the '
            'results mean nothing. Give --weights FILE.'
        )


def _note(text: str) -> None:
    sys.stderr.write(f'dlcv infer: {text}\n')


def _superpoint(args: argparse.Namespace, frames: Sequence[Frame]) -> _Outcome:
    from dlcv.estimation.load import load_features
    from dlcv.estimation.superpoint import FeatureSettings
    from dlcv.view.features import draw_keypoints, draw_tracks

    estimator = load_features(settings=FeatureSettings(**_settings(args)), **_loading(args))
    _warn_untrained(args, estimator)
    outcome = _Outcome()
    last = None
    for i, frame in enumerate(frames):
        tail = f'_{i}' if len(frames) > 1 else ''
        found = estimator.push(frame)
        outcome.arrays |= {
            f'keypoints{tail}': found.xy,
            f'scores{tail}': found.scores,
            f'descriptors{tail}': found.descriptors,
        }
        if found.rays is not None:
            outcome.arrays[f'rays{tail}'] = found.rays
        said = f'image {i}: {len(found.xy)} keypoints'
        picture = draw_keypoints(frame.image, found.xy, found.scores)
        if last is not None:
            matches = estimator.match(last, found)
            pairs = np.concatenate((matches.previous_xy, matches.xy), axis=1)
            outcome.arrays[f'matches{tail}'] = pairs
            said += f', {len(pairs)} matches with image {i - 1}'
            picture = draw_tracks(picture, matches.previous_xy, matches.xy)
        last = found
        outcome.lines.append(said)
        outcome.pictures.append(picture)
    return outcome


def _flownet(args: argparse.Namespace, frames: Sequence[Frame]) -> _Outcome:
    from dlcv.estimation.flownet import FlowSettings
    from dlcv.estimation.load import load_flow
    from dlcv.view.flow import colour_wheel, flow_colours

    estimator = load_flow(settings=FlowSettings(**_settings(args)), **_loading(args))
    _warn_untrained(args, estimator)
    outcome = _Outcome()
    flows, confidences = [], []
    for i, frame in enumerate(frames):
        field = estimator.push(frame, confidence=args.confidence)
        if field is None:
            continue
        flows.append(field.flow)
        if field.confidence is not None:
            confidences.append(field.confidence)
        length = np.linalg.norm(field.flow, axis=-1)
        outcome.lines.append(
            f'image {i - 1} to {i}: flow of {np.nanmedian(length):.1f} px in the median, '
            f'{np.nanmax(length):.1f} px at most'
        )
        drawn = _enlarged(flow_colours(field.flow, args.max_displacement), frame)
        legend = colour_wheel(max(16, min(drawn.shape[:2]) // 5))
        if min(drawn.shape[:2]) >= len(legend):
            corner = drawn[-legend.shape[0] :, -legend.shape[1] :]
            corner[legend.any(axis=-1)] = legend[legend.any(axis=-1)]
        outcome.pictures.append(_beside(frame.image, drawn))
    outcome.arrays['flow'] = _stack(flows)
    if confidences:
        outcome.arrays['confidence'] = _stack(confidences)
    return outcome


def _monodepth(args: argparse.Namespace, frames: Sequence[Frame]) -> _Outcome:
    from dlcv.estimation.load import load_depth
    from dlcv.estimation.monodepth import DepthSettings
    from dlcv.view.depth import depth_colours, disparity_colours

    estimator = load_depth(settings=DepthSettings(**_settings(args)), **_loading(args))
    _warn_untrained(args, estimator)
    outcome = _Outcome()
    maps = [estimator.push(frame, confidence=args.confidence) for frame in frames]
    outcome.arrays['disparity'] = _stack([m.disparity for m in maps])
    depths = [m.depth for m in maps if m.depth is not None]
    if depths:
        outcome.arrays['depth'] = _stack(depths)
    confidences = [m.confidence for m in maps if m.confidence is not None]
    if confidences:
        outcome.arrays['confidence'] = _stack(confidences)
    for i, (frame, found) in enumerate(zip(frames, maps, strict=True)):
        if found.depth is None:
            said = f'disparity {np.nanmedian(found.disparity):.4f} of the width in the median'
            drawn = disparity_colours(found.disparity)
        else:
            finite = found.depth[np.isfinite(found.depth)]
            middle = f'{np.median(finite):.2f} m' if finite.size else 'unknown'
            said, drawn = f'depth {middle} in the median', depth_colours(found.depth)
        outcome.lines.append(f'image {i}: {said}')
        outcome.pictures.append(_beside(frame.image, drawn))
    return outcome


def _deepvo(args: argparse.Namespace, frames: Sequence[Frame]) -> _Outcome:
    from dlcv.estimation.deepvo import OdometrySettings
    from dlcv.estimation.load import load_odometry
    from dlcv.types import Motion
    from dlcv.view.trajectory import path_length, trajectory_plot

    limit = 1.5 / args.rate  # images are taken to be neighbours, whatever the rate
    settings = OdometrySettings(**_settings(args), max_frame_interval=limit)
    estimator = load_odometry(settings=settings, **_loading(args))
    _warn_untrained(args, estimator)
    motions, poses = [], []
    for i, frame in enumerate(frames):
        found = estimator.push(frame)
        poses.append(estimator.odom_from_camera)
        if isinstance(found, Motion):
            motions.append(found.previous_from_current)
        elif found is not None:
            motions.append(np.full((4, 4), np.nan))
            _note(f'image {i}: lost: {found.reason}')
    path = np.stack(poses)
    lost = sum(bool(np.isnan(motion).any()) for motion in motions)
    return _Outcome(
        arrays={'poses': path, 'motions': np.stack(motions)},
        pictures=[trajectory_plot({'DeepVO': path})] if args.view else [],
        lines=[f'{len(poses)} poses over {path_length(path):.2f} m, lost {lost} times'],
    )


def _dsac(args: argparse.Namespace, frames: Sequence[Frame]) -> _Outcome:
    from dlcv.estimation.dsac import RelocalizationSettings
    from dlcv.estimation.load import load_relocalization

    settings = RelocalizationSettings(**_settings(args))
    estimator = load_relocalization(settings=settings, **_loading(args))
    _warn_untrained(args, estimator)
    outcome = _Outcome()
    found = [estimator.push(frame) for frame in frames]
    outcome.arrays = {
        'scene_coordinates': _stack([f.scene_coordinates for f in found]),
        'pose': _stack([_or_nan(f.map_from_camera, 4) for f in found]),
        'covariance': _stack([_or_nan(f.covariance, 6) for f in found]),
        'accepted': _stack([np.array(f.accepted) for f in found]),
        'inliers': _stack([np.array(f.inliers) for f in found]),
    }
    for i, (frame, answer) in enumerate(zip(frames, found, strict=True)):
        verdict = 'accepted' if answer.accepted else 'rejected'
        outcome.lines.append(f'image {i}: {verdict}: {answer.reason}')
        drawn = _enlarged(_coordinate_colours(answer.scene_coordinates), frame)
        outcome.pictures.append(_beside(frame.image, drawn))
    return outcome


_RUNNERS: dict[str, Callable[[argparse.Namespace, Sequence[Frame]], _Outcome]] = {
    'superpoint': _superpoint,
    'flownet': _flownet,
    'monodepth': _monodepth,
    'deepvo': _deepvo,
    'dsac': _dsac,
}


def _stack(items: Sequence[np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    """Return the only item as it is, several stacked along a new first axis."""
    return items[0] if len(items) == 1 else np.stack(items)


def _or_nan(matrix: FloatArray | None, size: int) -> FloatArray:
    return np.full((size, size), np.nan) if matrix is None else matrix


def _enlarged(picture: ByteImage, frame: Frame) -> ByteImage:
    import cv2

    size = (frame.width, frame.height)
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_NEAREST), np.uint8)


def _beside(image: ByteImage, picture: ByteImage) -> ByteImage:
    """Return both, one above the other when they are wide."""
    from dlcv.view.panel import side_by_side, stacked

    return (stacked if image.shape[1] > 1.8 * image.shape[0] else side_by_side)(image, picture)


def _coordinate_colours(coordinates: FloatArray) -> ByteImage:
    """Return scene coordinates as colours: x red, y green, z blue, each over its own range."""
    flat = coordinates[np.isfinite(coordinates).all(axis=-1)]
    low, high = np.percentile(flat, (2, 98), axis=0) if len(flat) else (np.zeros(3), np.ones(3))
    level = (coordinates - low) / np.maximum(high - low, 1e-9)
    return np.asarray(np.nan_to_num(np.clip(level, 0, 1)) * 255, np.uint8)


def _write_pictures(path: Path, pictures: Sequence[ByteImage]) -> None:
    from dlcv.view.panel import write_picture

    for i, picture in enumerate(pictures):
        target = path if len(pictures) == 1 else path.with_stem(f'{path.stem}_{i:03d}')
        write_picture(target, picture)
