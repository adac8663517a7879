"""What a replay starts: the nodes as on the robot, but for what a replay must change.

The changes are few and all named in `changes`: in lock-step an image waits for as long as it takes
and may be as old as it is, and a relocalizer is asked about every image.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from dlcv.bags import Bag
from dlcv.bags.vocabulary import COMPRESSED_IMAGE
from dlcv.bringup.plan import NodeStart, Plan, make_plan
from dlcv.contract.launch import LaunchError
from dlcv.contract.nodes import CAMERA_INFO, COMPRESSED, IMAGE
from dlcv.contract.parameters import describe
from dlcv.replay.job import Folder, ReplayJob, answering, write
from dlcv.replay.shown import Shown

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
        compressed = bag.topic(images).msgtype == COMPRESSED_IMAGE
        info = options.camera_info or bag.find_camera_info(images) or ''
        there = {topic.name for topic in bag.topics}
    if missing := [name for name in options.kept if name not in there]:
        raise LaunchError(f'{options.bag}: no topic {missing[0]}; there are {sorted(there)}')
    plan = make_plan(given, present, colour=colour)
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
    files.path.mkdir(parents=True, exist_ok=True)
    write(job, files.job)
    over_ros = options.mode != 'in-process'
    player = ('-m', 'dlcv.ros.replay', str(files.job)) if over_ros else ()
    return ReplayPlan(plan=replace(plan, nodes=nodes, player=player), job=job)


def changes(mode: Mode, node: str) -> dict[str, Any]:
    """Return the parameters that a replay sets, whatever the parameter file says."""
    changed: dict[str, Any] = {'use_sim_time': True}
    if mode != 'real-time':
        changed |= {'image_qos': 'default', 'max_input_age': 0.0}
    if node == 'dsac':
        changed['mode'] = 'continuous'
        if mode != 'real-time':  # a limit in time would make answers depend on the machine
            changed |= {'rate': 1000.0, 'time_budget': 30.0}
    return changed


def _node(node: NodeStart, mode: Mode, images: str, info: str, compressed: bool) -> NodeStart:
    changed = changes(mode, node.spec.name)
    changed['image_transport'] = 'compressed' if compressed else 'raw'
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
