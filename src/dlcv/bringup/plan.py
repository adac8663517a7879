"""What the launch arguments start: nodes with parameters and remappings, player, recorder, report.

Made and checked before anything runs: a misspelt node, a parameter file that a node would refuse or
a bag without the camera's images ends here, with one line that says so.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlcv.files import expanded
from dlcv.interface import files, launch
from dlcv.interface.arguments import ARGUMENTS, LaunchError, checked
from dlcv.interface.nodes import DSAC, MASK, SLAM, NodeSpec
from dlcv.interface.parameters import CommonParameters, ParameterError
from dlcv.interface.share import share_file

IMAGE_TYPES = {
    'raw': 'sensor_msgs/msg/Image',
    'compressed': 'sensor_msgs/msg/CompressedImage',
}
LINGER = 2.0  # seconds for which the clock runs on after a bag, so that the last images are done
TF_STATIC = '/tf_static'


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeStart:
    """How one node is started.

    Attributes:
        spec: The node.
        namespace: Its namespace; empty for none.
        params_file: ROS parameter file.
        parameters: Parameters that go before those of the file.
        remappings: Names (from, to).
        log_level: debug, info, warn, error or fatal.
        settings: All parameters as they will be.
        passed_over: Keys of the file's sections for all nodes that no node here has.
    """

    spec: NodeSpec
    namespace: str
    params_file: Path
    parameters: dict[str, Any]
    remappings: tuple[tuple[str, str], ...]
    log_level: str
    settings: CommonParameters
    passed_over: tuple[str, ...] = ()

    @property
    def warning(self) -> str:
        """What is to be said of the keys that are passed over; empty if there are none."""
        known = self.settings.__dataclass_fields__
        return files.warning(self.passed_over, self.spec.name, known) if self.passed_over else ''

    @property
    def arguments(self) -> tuple[str, ...]:
        """The arguments of the executable that say all this."""
        return (
            '--ros-args',
            *in_namespace(self.namespace),
            *self.own,
            '--log-level',
            self.log_level,
        )

    @property
    def own(self) -> tuple[str, ...]:
        """The ROS arguments that are for this node alone where a process runs several."""
        parameters = [f'{k}:={files.scalar(v)}' for k, v in self.parameters.items()]
        return (
            *('--params-file', str(self.params_file)),
            *(part for text in parameters for part in ('-p', text)),
            *(part for old, new in self.remappings for part in ('-r', f'{old}:={new}')),
        )

    def resolve(self, name: str) -> str:
        """Return the full name of one of its topics, remapped."""
        return launch.full_name(
            dict(self.remappings).get(name, name), self.spec.name, self.namespace
        )

    @property
    def outputs(self) -> list[str]:
        """Full names of the topics that it publishes."""
        topics = [t for t in self.spec.outputs if not t.when or getattr(self.settings, t.when)]
        return [self.resolve(t.name) for t in topics]


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """All that is started.

    Attributes:
        nodes: The nodes.
        environment: Variables that are set for all processes.
        composed: Whether the nodes run in one process.
        player: Arguments of Python that play the bag; empty without one.
        recorder: Arguments of Python that record; empty without a recording.
        report: Arguments of Python that evaluate the recording; empty unless asked for.
        respawn_delay: Seconds after which a dead node is started again; None for never.
        namespace: Namespace of the nodes.
        points: Whether the depth is turned into a point cloud.
        rviz: Configuration for RViz; None for no RViz.
    """

    nodes: tuple[NodeStart, ...]
    environment: dict[str, str]
    composed: bool = False
    player: tuple[str, ...] = ()
    recorder: tuple[str, ...] = ()
    report: tuple[str, ...] = ()
    respawn_delay: float | None = None
    namespace: str = ''
    points: bool = False
    rviz: Path | None = None

    @property
    def warnings(self) -> list[str]:
        """What the nodes will warn of, each beginning with a node's name."""
        return [f'{node.spec.name}: {node.warning}' for node in self.nodes if node.warning]


COMPOSED = 'composed'
"""Name of the process of all nodes; ``COMPOSED_node`` is its executable."""


def in_namespace(namespace: str) -> tuple[str, ...]:
    """Return the ROS arguments that put nodes into a namespace; none for none."""
    full_name = launch.full_name('', '', namespace).rstrip('/')
    return ('-r', f'__ns:={full_name}') if full_name else ()


def members(nodes: Iterable[NodeStart]) -> tuple[str, ...]:
    """Return the arguments of the process of all nodes that say which, and what each is given."""
    return tuple(word for node in nodes for word in (node.spec.name, '--ros-args', *node.own, '--'))


PATHS = ('params_file', 'map', 'bag', 'record', 'evaluate', 'fastdds_profile')
"""Launch arguments that are files, or may be."""


def make_plan(given: Mapping[str, str], present: Mapping[str, str], *, colour: bool) -> Plan:
    """Turn launch arguments into a plan.

    Args:
        given: Launch arguments by name, as text; those left out have their defaults.
        present: The environment.
        colour: Whether the logs go to a terminal.

    Raises:
        LaunchError: An argument asks for something that there is not.
        ParameterError: A node would refuse the parameter file.
        BagError: The bag cannot be read, or lacks what the arguments need of it.
    """
    values = checked(ARGUMENTS, given)
    values |= {name: str(expanded(values[name])) for name in PATHS if values[name]}
    specs = launch.chosen(values)
    if not (SLAM in specs and DSAC not in specs and values['localize_only'] != 'true'):
        _check_file('map', values['map'])  # else one that is not there yet is begun
    nodes = tuple(_node(spec, values) for spec in specs)
    kept = _look_into_bag(nodes, values)
    profile = values['fastdds_profile'] or str(share_file('config/fastdds_shm.xml'))
    if values['fastdds_profile']:
        present = {k: v for k, v in present.items() if not k.endswith('_DEFAULT_PROFILES_FILE')}
    _check_file('fastdds_profile', profile)
    return Plan(
        nodes=nodes,
        environment=launch.environment(present, profile, colour=colour),
        composed=_on(values, 'composed'),
        player=_player(nodes, values),
        recorder=_recorder(nodes, values, kept),
        report=_report(nodes, values),
        respawn_delay=float(values['respawn_delay']) if _on(values, 'use_respawn') else None,
        namespace=values['namespace'],
        points=_on(values, 'points'),
        rviz=share_file('config/vo.rviz') if _on(values, 'rviz') else None,
    )


def _node(spec: NodeSpec, values: Mapping[str, str]) -> NodeStart:
    path = Path(values['params_file'] or share_file('config/vo.yaml'))
    parameters = launch.overrides(spec, values)
    full_name = launch.full_name('~/', spec.name, values['namespace'])[:-1]
    settings, passed_over = files.check(path, spec, full_name)
    changed = {k: v for k, v in parameters.items() if k not in files.OF_ROS}
    try:
        settings = type(settings)(**_values(settings) | changed)
    except ParameterError as err:
        raise LaunchError(f'{spec.name}: {err}') from None
    _check_weights(spec, settings.weights)
    return NodeStart(
        spec=spec,
        namespace=values['namespace'],
        params_file=path,
        parameters=parameters,
        remappings=tuple(launch.remappings(spec, values, settings)),
        log_level=values['log_level'],
        settings=settings,
        passed_over=passed_over,
    )


def _values(settings: CommonParameters) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in settings.__dataclass_fields__}


def _player(nodes: tuple[NodeStart, ...], values: Mapping[str, str]) -> tuple[str, ...]:
    if not values['bag']:
        return ()
    rate = float(values['bag_rate'])
    wait = ('--wait-for-recorder',) if values['record'] else ()
    return (
        *('-m', 'dlcv', 'play', values['bag'], '--clock', '--rate', f'{rate:g}'),
        *('--linger', f'{LINGER:g}', '--wait-subscribers', str(len(nodes)), *wait),
    )


def _recorder(
    nodes: tuple[NodeStart, ...], values: Mapping[str, str], kept: tuple[str, ...]
) -> tuple[str, ...]:
    if not values['record']:
        if _on(values, 'record_inputs'):
            raise LaunchError('record_inputs: needs record (the bag that they go into)')
        return ()
    _check_new(Path(values['record']))
    if _on(values, 'record_inputs'):
        for node in nodes:
            kept = (*kept, _image(node), node.resolve('camera_info'), TF_STATIC, *_beside(node))
    topics = dict.fromkeys([*(name for node in nodes for name in node.outputs), *kept])
    sim_time = ('--use-sim-time',) if values['bag'] or _on(values, 'use_sim_time') else ()
    return ('-m', 'dlcv.ros.record', values['record'], *sim_time, '--topics', *topics)


def _beside(node: NodeStart) -> Iterator[str]:
    """Give the topics beside the camera that somebody named: no other node's of ours."""
    named = {old for old, _ in node.remappings} - {'keypoints'}
    if getattr(node.settings, 'depth_source', 'camera') != 'camera':  # of a node of ours
        named -= {'depth/image', 'depth/camera_info'}
    if dict(node.remappings).get(MASK.name) == launch.MOVERS:
        named -= {MASK.name}
    return (node.resolve(t.name) for t in node.spec.inputs if t.beside and t.name in named)


def _report(nodes: tuple[NodeStart, ...], values: Mapping[str, str]) -> tuple[str, ...]:
    if not values['evaluate']:
        return ()
    if not (values['bag'] and values['record']):
        raise LaunchError('evaluate: needs bag (what is played) and record (what is evaluated)')
    recording = Path(values['record'])
    out = recording.with_name(f'{recording.stem}_evaluation')
    owner = launch.owner(values)
    moved = [node.resolve(node.spec.answer) for node in nodes if node.spec is owner]
    odometry = ('--odometry', *moved) if values['odom_topic'] and moved else ()
    return (
        *('-m', 'dlcv', 'evaluate', values['bag'], '--answers', str(recording), '-o', str(out)),
        *('--namespace', values['namespace'].strip('/'), '--images', _image(nodes[0])),
        *odometry,
        *('--truth', values['evaluate']),
    )


def _image(node: NodeStart) -> str:
    compressed = node.settings.image_transport == 'compressed'
    return node.resolve('image/compressed' if compressed else 'image')


def _look_into_bag(nodes: tuple[NodeStart, ...], values: Mapping[str, str]) -> tuple[str, ...]:
    """Check that the bag has what the nodes need; return its topics that a recording keeps."""
    if not values['bag']:
        return ()
    try:
        from dlcv.data.bags import Bag
        from dlcv.data.bags.reader import POSE_TYPES
        from dlcv.data.bags.vocabulary import TF
    except ImportError as err:
        raise LaunchError(f'bag: {err.name} is needed: pip install rosbags') from None
    with Bag(values['bag']) as bag:
        for node in nodes:
            name = _image(node)
            if name not in {topic.name for topic in bag.topics}:
                there = ', '.join(bag.image_topics()) or 'nowhere'
                raise LaunchError(
                    f'{values["bag"]}: no images on {name}, they are on {there}: set camera or '
                    'image_topic (and image_transport for compressed ones)'
                )
            bag.topic(name, [IMAGE_TYPES[node.settings.image_transport]])
            bag.check_pictures(name)
        truth, _, of = values['evaluate'].partition(':')  # as in /tf:map:base_link
        if truth and not Path(values['evaluate']).is_file():
            bag.topic(truth, [TF] if of else [*POSE_TYPES, TF])
        return tuple(topic.name for topic in bag.topics if topic.name in {TF_STATIC, truth})


def _check_weights(spec: NodeSpec, weights: str) -> None:
    if weights and weights not in spec.weights and not expanded(weights).is_file():
        raise LaunchError(
            f'{spec.name}: weights: no file {weights}; the names of shipped weights are '
            f'{", ".join(spec.weights)}'
        )


def _check_new(bag: Path) -> None:
    """Raise a LaunchError if a recorder could not make this bag."""
    if bag.exists():
        raise LaunchError(f'record: {bag} is there already')
    if bag.suffix in ('.db3', '.bag'):
        raise LaunchError(f'record: {bag}: bags are written as NAME.mcap, or as a folder NAME')
    above = next(folder for folder in bag.absolute().parents if folder.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise LaunchError(f'record: {bag} cannot be made in {above}')


def _check_file(name: str, path: str) -> None:
    if path and not Path(path).is_file():
        raise LaunchError(f'{name}: no file {path}')


def _on(values: Mapping[str, str], name: str) -> bool:
    return values[name] == 'true'
