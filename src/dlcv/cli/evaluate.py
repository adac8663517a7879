"""``dlcv evaluate``: a bag in, what the nodes are worth on it out."""

from __future__ import annotations

import argparse
import functools
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from dlcv.cli.extras import need
from dlcv.cli.main import CommandError
from dlcv.cli.recordings import add_reach
from dlcv.files import expanded
from dlcv.interface.arguments import ARGUMENTS, BESIDE_ARGUMENTS
from dlcv.interface.rectified import CHOICES
from dlcv.progress import bars

if TYPE_CHECKING:
    from dlcv.bringup.evaluate import EvaluationRequest
    from dlcv.evaluation.pipeline.written import Written
    from dlcv.evaluation.scoring.evaluate import TruthChoice

SUMMARY = 'Replay a bag through the nodes, compare their answers with the truth, write a report.'
EXAMPLES = """\
What stands in brackets is what holds when an option is left out.

examples:
  dlcv evaluate drive.mcap                                  lock-step, truth found by its type
  dlcv evaluate drive.mcap --truth poses.txt --mode in-process         without ROS
  dlcv evaluate drive.mcap --mode real-time --rate 2        drops, ages, CPU, the highest rate
  dlcv evaluate kitchen.mcap --nodes dsac --map kitchen.safetensors
  dlcv evaluate --again drive_evaluation --truth poses.txt  other truth, the same answers
  dlcv evaluate drive.mcap --answers outputs.mcap           what `dlcv up` has recorded
  dlcv evaluate robot.mcap --answers robot.mcap --truth mocap.txt      all in one bag
  dlcv evaluate --compare main.json mine.json --thresholds limits.yaml
  dlcv evaluate --matrix matrix.yaml -o nightly --jobs 4

Exit code: 0 when all went well, 1 when a node died, a replay broke off or a threshold is broken
(what is finished is kept), 2 when nothing could be done.
"""
MODES = ('lock-step', 'real-time', 'in-process')
OF_REPLAY = {
    'mode': 'lock-step', 'nodes': '', 'params': '', 'map': '', 'device': '', 'camera_info': '',
    'rectified': '', **dict.fromkeys(BESIDE_ARGUMENTS, ''),
    'max_frames': 0, 'rate': 1.0, 'no_peak': False, 'patience': 30.0,
}  # fmt: skip
"""Options that mean nothing without a replay -> what holds when they are left out."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument('bags', nargs='*', type=expanded, metavar='BAG', help='what is replayed')
    parser.add_argument(
        '-o', '--output', type=expanded, metavar='DIR',
        help='folder of the report and the answers (NAME_evaluation; of several bags DIR/NAME)',
    )  # fmt: skip
    _add_replay(parser.add_argument_group('how it is replayed'))
    _add_truth(parser.add_argument_group('what is right'))
    _add_others(parser.add_argument_group('instead of a replay'))


def _add_replay(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add('--mode', choices=MODES, default=OF_REPLAY['mode'],
        help='lock-step: the next image waits for all answers to the last; real-time: as recorded; '
        'in-process: the same as lock-step, without ROS (default: lock-step)')  # fmt: skip
    add(
        '--nodes',
        default=OF_REPLAY['nodes'],
        metavar='A,B',
        help='which nodes (all; dsac with a map only)',
    )
    add('--params', '--graph', default=OF_REPLAY['params'], metavar='FILE',
        help='parameters of the nodes (config/vo.yaml)')  # fmt: skip
    add(
        '--map',
        default=OF_REPLAY['map'],
        metavar='FILE',
        help='map for dsac, as `dlcv map` makes it',
    )
    add(
        '--device',
        default=OF_REPLAY['device'],
        help='auto, cpu, cuda or cuda:N (as in the parameters)',
    )
    add('--images', default='', metavar='TOPIC', help='pictures (the only camera)')
    add(
        '--camera-info',
        default=OF_REPLAY['camera_info'],
        metavar='TOPIC',
        help='their calibration (the one beside)',
    )
    add('--rectified', choices=CHOICES, default=OF_REPLAY['rectified'],
        help='whether the pictures are rectified already, so that P of their calibration holds and '
        'no distortion (as in the parameters: by the name of their topic)')  # fmt: skip
    for argument in ARGUMENTS:
        if argument.name in BESIDE_ARGUMENTS:
            add(f'--{argument.name.replace("_", "-")}', default=OF_REPLAY[argument.name],
                metavar='TOPIC' if argument.form == 'topic' else 'M',
                help=f'for visual_odometry: {argument.doc}')  # fmt: skip
    add(
        '--max-frames',
        type=int,
        default=OF_REPLAY['max_frames'],
        metavar='N',
        help='show the first N images only (all)',
    )
    add(
        '--rate',
        type=float,
        default=OF_REPLAY['rate'],
        metavar='R',
        help='speed in real time; 2 is twice as fast as recorded (1)',
    )
    add('--no-peak', action='store_true', help='do not look for the highest rate, in real time')
    add(
        '--patience',
        type=float,
        default=OF_REPLAY['patience'],
        metavar='S',
        help='seconds to wait for an answer (30)',
    )
    add('--damaged', action='store_true', help='of a damaged bag, replay what can be read')


def _add_truth(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add('--truth', default='', metavar='TOPIC|FILE',
        help='poses: a topic, /tf:PARENT:CHILD, or a file of TUM, KITTI or EuRoC (the only topic '
        "of poses; 'none' for none)")  # fmt: skip
    add('--truth-frame', default='', metavar='FRAME',
        help="frame that the poses place, 'camera' for the camera (as the bag says)")  # fmt: skip
    add('--extrinsics', default='', metavar='POSE|FILE',
        help="body_from_camera: 'x y z qx qy qz qw', or a file (/tf_static)")  # fmt: skip
    add('--time-offset', type=float, default=0.0, metavar='S',
        help='seconds to add to the times of the poses')  # fmt: skip
    add_reach(group)
    add('--true-depth', default='', metavar='TOPIC',
        help='images of true depth (/ground_truth/depth if there)')  # fmt: skip
    add('--true-flow', default='', metavar='TOPIC',
        help='images of true flow (/ground_truth/flow if there)')  # fmt: skip
    add(
        '--depth-cap',
        type=float,
        default=80.0,
        metavar='M',
        help='true depth beyond does not count (80)',
    )
    add('--depth-crop', choices=('none', 'garg', 'eigen'), default='none',
        help='part of the picture where depth counts, as for KITTI (none)')  # fmt: skip
    add('--elsewhere', action='store_true',
        help='the bag is of another place than the map: each pose is a false one')  # fmt: skip


def _add_others(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        '--again',
        type=expanded,
        metavar='DIR',
        help='evaluate the answers in this folder anew, with other truth',
    )
    add('--answers', type=expanded, metavar='BAG2',
        help='evaluate what nodes that ran by themselves sent to the images of BAG, as '
        '`dlcv up --record` or rosbag2 recorded it')  # fmt: skip
    add('--namespace', metavar='NAME', help='of the nodes of --answers (the only one)')
    add('--odometry', default='', metavar='TOPIC',
        help='of --answers, if renamed (visual_odometry/odometry, or camera_odom)')  # fmt: skip
    add(
        '--compare',
        nargs='+',
        type=expanded,
        metavar='JSON',
        help='compare with the first of these',
    )
    add('--thresholds', type=expanded, metavar='YAML', help='limits for --compare')
    add('--matrix', type=expanded, metavar='YAML', help='bags times configurations')
    add('--jobs', type=int, default=0, metavar='N', help='cells at a time (half of the cores)')
    add('--ray', default='', metavar='ADDRESS', help='run the cells on a Ray cluster')
    add('--retries', type=int, default=2, metavar='N', help='of a failed cell (2)')


def run(args: argparse.Namespace) -> int:
    """Do what is asked for."""
    ways = [bool(args.bags), bool(args.again), bool(args.compare), bool(args.matrix)]
    if sum(ways) != 1:
        raise CommandError('name bags, or one of --again, --compare and --matrix')
    if args.compare:
        return _compare(args)
    need('rosbags', 'jinja2', 'matplotlib')
    if args.matrix:
        return _matrix(args)
    if args.again:
        return _again(args)
    if args.answers:
        return _recorded(args)
    if args.mode != 'in-process':
        need('rclpy')
    requests = [_request(args, bag) for bag in args.bags]
    _check_folders([request.replay.folder for request in requests])
    if len(requests) == 1:
        return _try(requests[0])
    codes = [_go_on(request) for request in requests]
    return max(codes) if min(codes) == max(codes) else 1


def _check_folders(folders: list[Path]) -> None:
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise CommandError(
            'bags of the same name would have one folder; evaluate them one by one, with -o'
        )


def _go_on(request: EvaluationRequest) -> int:
    """Try one of several bags; what goes wrong with it does not keep the others from theirs."""
    try:
        return _try(request)
    except (ValueError, OSError) as err:
        sys.stderr.write(f'dlcv evaluate: {err}\n')
        return 2


def _try(request: EvaluationRequest) -> int:
    from dlcv.bringup import Console
    from dlcv.bringup.evaluate import replay_and_evaluate
    from dlcv.evaluation.pipeline.written import UnevaluatedError

    console = Console(sys.stderr, [*request.arguments['nodes'].split(','), 'replay'])
    with bars(lines=True) as progress:
        try:
            written = replay_and_evaluate(request, console, progress)
        except UnevaluatedError as err:
            sys.stderr.write(f'dlcv evaluate: {err}\n')
            return 1
    return _tell(written)


def _check_no_replay(args: argparse.Namespace, way: str) -> None:
    given = [name for name, default in OF_REPLAY.items() if getattr(args, name) != default]
    if given:
        options = ', '.join(f'--{name.replace("_", "-")}' for name in given)
        raise CommandError(f'{way}: there is no replay, so {options} means nothing; leave it out')


def _again(args: argparse.Namespace) -> int:
    from dlcv.bringup.replay import name_of
    from dlcv.evaluation.pipeline.answers import evaluate_again
    from dlcv.evaluation.replay.job import Folder, ReplayJob, read

    _check_no_replay(args, '--again')
    shown = read(Folder(args.again).job, ReplayJob).shown
    truth = _truth(args, shown.bag, damaged=shown.keep_damaged)
    with bars(lines=True) as progress:
        return _tell(evaluate_again(args.again, truth, name_of(shown.bag), progress, args.output))


def _recorded(args: argparse.Namespace) -> int:
    from dlcv.bringup.replay import name_of
    from dlcv.evaluation.pipeline.recorded import Recording, evaluate_recording

    _check_no_replay(args, '--answers')
    if len(args.bags) > 1:
        raise CommandError(f'--answers are those to one bag, not to {len(args.bags)}')
    named = name_of(args.answers)
    recording = Recording(
        shown=args.bags[0],
        answers=args.answers,
        folder=args.output or Path(f'{named}_evaluation'),
        images=args.images,
        namespace=args.namespace,
        odometry=args.odometry,
        truth=_truth(args, args.bags[0], damaged=args.damaged),
        title=named,
    )
    with bars(lines=True) as progress:
        return _tell(evaluate_recording(recording, progress))


def _tell(written: Written) -> int:
    from dlcv.evaluation.report.evaluation_text import text_table

    out = sys.stdout.write
    out(f'\n{text_table(written.evaluation)}\n')
    out(f'report: {written.page}\n')
    return 1 if written.failed else 0


def _request(args: argparse.Namespace, bag: Path) -> EvaluationRequest:
    from dlcv.bringup.evaluate import EvaluationRequest
    from dlcv.bringup.replay import ReplayOptions, name_of

    named = name_of(bag)
    folder = args.output or Path(f'{named}_evaluation')
    replay = ReplayOptions(
        bag=bag,
        folder=folder / named if args.output and len(args.bags) > 1 else folder,
        mode=args.mode,
        images=args.images,
        camera_info=args.camera_info,
        most=args.max_frames,
        rate=args.rate,
        peak=args.mode == 'real-time' and not args.no_peak,
        patience=args.patience,
        keep_damaged=args.damaged,
    )
    arguments = {
        'nodes': args.nodes, 'params_file': args.params, 'map': args.map, 'device': args.device,
        'rectified': args.rectified, **{name: getattr(args, name) for name in BESIDE_ARGUMENTS},
    }  # fmt: skip
    truth = _truth(args, bag, damaged=args.damaged)
    return EvaluationRequest(replay=replay, truth=truth, arguments=arguments, title=named)


def _truth(args: argparse.Namespace, bag: Path, *, damaged: bool) -> TruthChoice:
    from dlcv.data.bags import Bag, BagLayout, DamagedBagError
    from dlcv.data.recordings.truth import TruthOptions
    from dlcv.evaluation.pipeline.checks import dense_truth
    from dlcv.evaluation.scoring.evaluate import TruthChoice
    from dlcv.metrics.depth import DepthCaps

    layout = BagLayout()
    try:
        with Bag(bag, keep_damaged=damaged) as opened:
            depth = dense_truth(opened, args.true_depth, layout.depth, 'depth')
            flow = dense_truth(opened, args.true_flow, layout.flow, 'flow')
    except DamagedBagError as err:
        raise CommandError(f'{err}; --damaged evaluates these') from err
    poses = TruthOptions(
        source=args.truth,
        frame=args.truth_frame,
        extrinsics=args.extrinsics or None,
        time_offset=args.time_offset,
        max_gap=args.truth_gap,
        tolerance=args.truth_tolerance,
    )
    return TruthChoice(
        poses=None if args.truth == 'none' else poses,
        depth=depth,
        flow=flow,
        caps=DepthCaps(farthest=args.depth_cap, crop=args.depth_crop),
        elsewhere=args.elsewhere,
    )


def _compare(args: argparse.Namespace) -> int:
    from rich.console import Console

    from dlcv.evaluation.comparison.files import run_compare

    wide = None if sys.stdout.isatty() else 180  # a log need not be narrow
    return run_compare(args.compare, args.thresholds, args.output, Console(width=wide))


def _matrix(args: argparse.Namespace) -> int:
    from dlcv.evaluation import matrix

    if args.output is None:
        raise CommandError('--matrix: needs -o DIR, where finished cells are kept')
    plan = matrix.load(args.matrix)
    if args.ray:
        need('ray')
    runner = matrix.RayPool(args.ray, plan.ray) if args.ray else matrix.LocalPool(args.jobs or None)
    say = functools.partial(print, flush=True)
    return matrix.run(plan, args.output, runner, retries=args.retries, say=say).exit_code
