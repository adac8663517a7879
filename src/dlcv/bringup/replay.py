"""What a replay starts: the nodes as on the robot, but for what a replay must change.

The changes are few and all named in `changes`: in lock-step an image waits for as long as it takes
and may be as old as it is, a relocalizer is asked about every image, and diagnostics come each
second.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from dlcv.bringup.plan import NodeStart, Plan, make_plan
from dlcv.data.bags import Bag
from dlcv.data.bags.sources import PACKED, is_storage
from dlcv.data.bags.vocabulary import CAMERA_INFO as CAMERA_INFO_TYPE
from dlcv.data.bags.vocabulary import COMPRESSED_IMAGE
from dlcv.data.bags.vocabulary import IMAGE as IMAGE_TYPE
from dlcv.evaluation.replay.job import Folder, ReplayJob, answering, write
from dlcv.evaluation.replay.shown import Shown
from dlcv.files import expanded
from dlcv.interface.arguments import ARGUMENTS as LAUNCH_ARGUMENTS
from dlcv.interface.arguments import BESIDE_ARGUMENTS, SWITCH, Argument, Form, LaunchError, checked
from dlcv.interface.nodes import (
    CAMERA_INFO,
    COMPRESSED,
    IMAGE,
    ODOMETRY_NODES,
    VISUAL_ODOMETRY,
)
from dlcv.interface.parameters import describe

Mode = Literal['lock-step', 'real-time', 'in-process']


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplayOptions:
    """How a bag is replayed.

    Attributes:
        bag: The bag.
        folder: Where the answers go; made when missing.
        mode: ``lock-step``, ``real-time`` or ``in-process``.
        images: Topic of the pictures; empty for the only camera.
        camera_info: Their calibration; empty for the one beside.
        kept: Topics of the bag that are kept beside the answers.
        most: Images that are shown at most; 0 for all.
        rate: Speed in real time.
        peak: Whether the highest rate is looked for.
        patience: Seconds to wait for an answer.
        keep_damaged: Show what is readable of a damaged bag.
    """

    bag: Path
    folder: Path
    mode: Mode = 'lock-step'
    images: str = ''
    camera_info: str = ''
    kept: tuple[str, ...] = ()
    most: int = 0
    rate: float = 1.0
    peak: bool = False
    patience: float = 30.0
    keep_damaged: bool = False

    def __post_init__(self) -> None:
        if self.most < 0:
            raise LaunchError(f'the most images must not be negative, got {self.most}; 0 is all')


def name_of(bag: Path) -> str:
    """Return what a replay of a bag is called: its name, without the suffix of a file."""
    name = bag.name.removesuffix(PACKED)
    name = Path(name).stem if is_storage(bag) else bag.name
    return name if name.strip('.') else bag.resolve().name


def _own(
    name: str, default: str, doc: str, choices: tuple[str, ...] = (), form: Form = ''
) -> Argument:
    return Argument(name=name, default=default, doc=doc, choices=choices, form=form)


_OF_NODES = (
    'namespace', 'params_file', 'nodes', 'map', 'composed', 'device', 'rectified', 'odom_topic',
    *BESIDE_ARGUMENTS, 'fastdds_profile', 'log_level',
)  # fmt: skip
ARGUMENTS: tuple[Argument, ...] = (
    _own('bag', '', 'The bag.'),
    _own('output', '', 'Folder of the answers and the report; empty is BAG_evaluation.'),
    _own('mode', 'lock-step', 'Whether each image waits for all answers to the last one.',
         ('lock-step', 'real-time')),
    _own('evaluate', 'true', 'Compare the answers with the truth and write a report.', SWITCH),
    _own('truth', '', 'Topic or file of the true poses; empty is the only topic, if any.'),
    _own('images', '', 'Topic of the pictures; empty is the only camera.', form='topic'),
    _own('camera_info', '', 'Topic of their calibration; empty is the one beside.', form='topic'),
    _own('max_frames', '0', 'Images at most; 0 is all.', form='count'),
    _own('rate', '1.0', 'Speed in real time.', form='positive'),
    _own('peak', 'false', 'Look for the highest rate of images, in real time.', SWITCH),
    _own('patience', '30.0', 'Seconds to wait for an answer.', form='positive'),
    *(argument for argument in LAUNCH_ARGUMENTS if argument.name in _OF_NODES),
)  # fmt: skip
"""Launch arguments of ``replay.launch.py``."""


def options_of(values: Mapping[str, str]) -> ReplayOptions:
    """Return the options that launch arguments mean.

    Raises:
        LaunchError: No bag is named, or a value is not of its argument's form.
    """
    values = checked(ARGUMENTS, values)
    if not values['bag']:
        raise LaunchError('bag: the bag that is replayed is needed')
    return ReplayOptions(
        bag=expanded(values['bag']),
        folder=_folder(values),
        mode='real-time' if values['mode'] == 'real-time' else 'lock-step',
        images=values['images'],
        camera_info=values['camera_info'],
        most=int(values['max_frames']),
        peak=values['peak'] == 'true',
        rate=float(values['rate']),
        patience=float(values['patience']),
    )


def evaluation_of(values: Mapping[str, str]) -> tuple[str, ...]:
    """Return the arguments of Python that evaluate what was answered."""
    truth = ('--truth', values['truth']) if values['truth'] else ()
    return ('-m', 'dlcv', 'evaluate', '--again', str(_folder(values)), *truth)


def _folder(values: Mapping[str, str]) -> Path:
    return expanded(values['output'] or f'{name_of(expanded(values["bag"]))}_evaluation')


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplayPlan:
    """A replay that can be started.

    Attributes:
        plan: The nodes, and as player what shows them the bag; without player in process.
        job: What is shown to whom, as it is written into the folder.
    """

    plan: Plan
    job: ReplayJob


def plan_replay(
    options: ReplayOptions, given: Mapping[str, str], present: Mapping[str, str], *, colour: bool
) -> ReplayPlan:
    """Plan a replay, and write its job into the folder.

    Args:
        options: What is replayed, and how.
        given: Launch arguments by name (nodes, params_file, map, device ...).
        present: The environment.
        colour: Whether the logs go to a terminal.

    Raises:
        BagError: The bag cannot be read, has no camera, or several and none is named.
        LaunchError: An argument asks for something that there is not.
        ParameterError: A node would refuse the parameter file.
    """
    with Bag(options.bag, keep_damaged=options.keep_damaged) as bag:
        images = options.images or bag.find_images()
        compressed = bag.topic(images, (IMAGE_TYPE, COMPRESSED_IMAGE)).msgtype == COMPRESSED_IMAGE
        bag.check_pictures(images)
        info = options.camera_info or bag.find_camera_info(images) or ''
        if info:
            bag.topic(info, (CAMERA_INFO_TYPE,))
        there = {topic.name for topic in bag.topics}
        right = given.get('right_image_topic') or bag.find_right(images) or ''
    if missing := [name for name in options.kept if name not in there]:
        raise LaunchError(f'{options.bag}: no topic {missing[0]}; there are {sorted(there)}')
    known = {a.name for a in LAUNCH_ARGUMENTS} - {'bag', 'evaluate'}  # its own of a replay
    arguments = {name: value for name, value in given.items() if name in known}
    arguments['right_image_topic'] = right
    plan = make_plan(arguments, present, colour=colour)
    nodes = tuple(_node(node, options.mode, images, info, compressed) for node in plan.nodes)
    shown = Shown(
        bag=options.bag.absolute(),
        image_topic=images,
        camera_info_topic=info,
        kept=options.kept,
        most=options.most,
        keep_damaged=options.keep_damaged,
    )
    job = _job(options, shown, nodes)
    files = Folder(job.folder)
    _make(files.path)
    write(job, files.job)
    over_ros = options.mode != 'in-process'
    player = ('-m', 'dlcv.ros.replay', str(files.job)) if over_ros else ()
    return ReplayPlan(plan=replace(plan, nodes=nodes, player=player), job=job)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise LaunchError(f'{folder} is a file; a folder for the answers is needed') from None


def changes(mode: Mode, node: str) -> dict[str, Any]:
    """Return the parameters that a replay sets, whatever the parameter file says."""
    # a replay takes diagnostics for a sign of life
    changed: dict[str, Any] = {'use_sim_time': True, 'diagnostic_period': 1.0}
    if mode != 'real-time':
        changed |= {'image_qos': 'default', 'max_input_age': 0.0}
    if node in {spec.name for spec in ODOMETRY_NODES}:
        changed['resume_within'] = 0.0  # another replay's last pose is none of this one's
    if node in ('visual_odometry', 'slam') and mode != 'real-time':
        changed |= {'lockstep': True, 'keypoints': 'own'}  # nobody's answer comes sooner or later
    if node == 'slam' and mode != 'real-time':
        changed['odometry_patience'] = 5.0
    if node == 'dsac':
        changed['mode'] = 'continuous'
        if mode != 'real-time':  # a limit in time would make answers depend on the machine
            changed |= {'rate': 1000.0, 'time_budget': 30.0}
    return changed


def _node(node: NodeStart, mode: Mode, images: str, info: str, compressed: bool) -> NodeStart:
    changed = changes(mode, node.spec.name)
    changed['image_transport'] = 'compressed' if compressed else 'raw'
    own = node.spec is VISUAL_ODOMETRY
    if mode != 'real-time' and own and getattr(node.settings, 'depth_source', '') == 'network':
        changed['depth_source'] = 'own'  # as for keypoints
    if mode != 'real-time' and getattr(node.settings, 'depth_source', '') == 'stereo':
        changed['scale_source'] = 'stereo'
    known = {p.name for p in describe(node.spec.parameters)}
    settings = replace(node.settings, **{k: v for k, v in changed.items() if k in known})
    camera = {IMAGE.name: images, COMPRESSED.name: images, CAMERA_INFO.name: info}
    others = [(old, new) for old, new in node.remappings if old not in camera]
    remapped = [(old, new) for old, new in camera.items() if new]
    return replace(
        node,
        parameters=node.parameters | changed,
        settings=settings,
        remappings=(*remapped, *others),
    )


def _job(options: ReplayOptions, shown: Shown, nodes: tuple[NodeStart, ...]) -> ReplayJob:
    bodies = [getattr(node.settings, 'base_frame', '') for node in nodes]
    return ReplayJob(
        shown=shown,
        nodes=tuple(map(answering, nodes)),
        folder=options.folder.absolute(),
        base_frame=next(filter(None, bodies), 'base_link'),
        mode=options.mode,
        rate=options.rate,
        peak=options.peak,
        patience=options.patience,
    )
