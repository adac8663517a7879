"""How the nodes are started together: one table for the launch file and for ``dlcv up``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dlcv.interface.nodes import (
    CAMERA_INFO,
    COMPRESSED,
    FILTERED_ODOMETRY,
    IMAGE,
    NODES,
    NodeSpec,
)
from dlcv.interface.parameters import describe
from dlcv.interface.rectified import CHOICES


@dataclass(frozen=True, kw_only=True, slots=True)
class Argument:
    """One launch argument.

    Attributes:
        name: ``NAME:=value`` of ``ros2 launch``, ``--name value`` of ``dlcv up``.
        default: Value when nothing is given, as text.
        doc: One sentence.
        choices: All allowed values; empty for any.
    """

    name: str
    default: str
    doc: str
    choices: tuple[str, ...] = ()

    @property
    def boolean(self) -> bool:
        """Whether it is a switch."""
        return set(SWITCH) <= set(self.choices)


class LaunchError(ValueError):
    """The launch arguments ask for something that there is not."""


SWITCH = ('true', 'false')
DEFAULT_NODES = tuple(spec.name for spec in NODES.values() if spec.starts)


def _switch(name: str, default: str, doc: str) -> Argument:
    choices = SWITCH if default else (*SWITCH, '')
    return Argument(name=name, default=default, doc=doc, choices=choices)


ARGUMENTS: tuple[Argument, ...] = (
    Argument(name='camera', default='camera', doc='Namespace of image_raw and camera_info.'),
    Argument(name='image_topic', default='', doc='Image topic; empty is CAMERA/image_raw.'),
    Argument(
        name='camera_info_topic', default='', doc='Calibration topic; empty is CAMERA/camera_info.'
    ),
    Argument(
        name='rectified',
        default='',
        doc='Whether the images are rectified already; empty as in params_file, else by the name '
        'of their topic.',
        choices=('', *CHOICES),
    ),
    Argument(name='namespace', default='', doc='Namespace of all nodes.'),
    Argument(name='params_file', default='', doc='Parameter file; empty is config/vo.yaml.'),
    _switch('use_sim_time', '', 'Take the time from /clock; bag sets it, else empty is false.'),
    Argument(
        name='nodes',
        default='',
        doc=f'Comma-separated subset of {", ".join(NODES)}; empty is all, dsac with a map only.',
    ),
    Argument(name='map', default='', doc='Map file (DSAC weights of the scene); starts dsac.'),
    Argument(name='device', default='', doc='auto, cpu, cuda or cuda:N; empty as in params_file.'),
    _switch('autostart', 'true', 'Configure and activate the nodes; false leaves it to a manager.'),
    _switch('use_respawn', 'false', 'Start a node again when its process dies.'),
    Argument(name='respawn_delay', default='2.0', doc='Seconds before it is started again.'),
    _switch(
        'publish_tf',
        '',
        'deepvo publishes odom_frame -> base_frame; empty as in params_file, else true.',
    ),
    Argument(
        name='odom_frame',
        default='',
        doc='Fixed frame of the odometry; empty as in params_file, else odom.',
    ),
    Argument(
        name='base_frame',
        default='',
        doc='Body frame of the robot; empty as in params_file, else base_link.',
    ),
    Argument(
        name='map_frame',
        default='',
        doc='Fixed frame of the map; empty as in params_file, else map.',
    ),
    Argument(name='bag', default='', doc='Bag to play with /clock; ends the launch at its end.'),
    Argument(name='bag_rate', default='1.0', doc='Speed at which the bag is played.'),
    Argument(name='record', default='', doc='Bag to record all outputs into.'),
    _switch(
        'record_inputs',
        'false',
        'Record the images and their calibration too: what maps are made of, and replays.',
    ),
    Argument(
        name='evaluate',
        default='',
        doc='Topic or file of the true poses: a report is written beside the recording.',
    ),
    _switch('points', 'false', 'Point cloud of the depth, by depth_image_proc.'),
    _switch('nav2', 'false', 'Preset for an EKF: no TF from deepvo, odometry on camera_odom.'),
    _switch('rviz', 'false', 'Open RViz with config/vo.rviz.'),
    Argument(
        name='fastdds_profile',
        default='',
        doc='Fast DDS profile; empty is config/fastdds_shm.xml unless one is set already.',
    ),
    Argument(
        name='log_level',
        default='info',
        doc='Verbosity of the nodes.',
        choices=('debug', 'info', 'warn', 'error', 'fatal'),
    ),
)
# launch arguments that are parameters of the nodes, where they have them
PARAMETER_ARGUMENTS = (
    'use_sim_time', 'rectified', 'device', 'autostart', 'publish_tf', 'odom_frame', 'base_frame',
    'map_frame',
)  # fmt: skip


def selected(nodes: str, map_file: str) -> list[NodeSpec]:
    """Return the nodes that the arguments ``nodes`` and ``map`` start.

    Raises:
        LaunchError: If a name is none of the nodes.
    """
    names = [name.strip() for name in nodes.split(',') if name.strip()]
    for name in names:
        if name not in NODES:
            raise LaunchError(f'no node {name!r}; there are {", ".join(NODES)}')
    if not names:
        names = [*DEFAULT_NODES, *(['dsac'] if map_file else [])]
    return [NODES[name] for name in dict.fromkeys(names)]


def overrides(spec: NodeSpec, values: Mapping[str, str]) -> dict[str, Any]:
    """Return the parameters of a node that the launch arguments set.

    Args:
        spec: The node.
        values: Launch arguments by name, as text; an empty one sets nothing.
    """
    known = {p.name: p for p in describe(spec.parameters)}
    set_by: dict[str, Any] = {}
    for name in PARAMETER_ARGUMENTS:
        text = values.get(name, '')
        if text == '' or (name not in known and name != 'use_sim_time'):
            continue
        boolean = name == 'use_sim_time' or isinstance(known[name].default, bool)
        set_by[name] = _true(text) if boolean else text
    if spec.name == 'dsac':
        # the argument is about the odometry: a localizer's own transform is asked for in YAML
        set_by.pop('publish_tf', None)
        if values.get('map'):
            set_by['weights'] = values['map']
    elif spec.name == 'deepvo' and _true(values.get('nav2', 'false')):
        set_by['publish_tf'] = False
    if values.get('bag'):
        set_by['use_sim_time'] = True
    return set_by


def remappings(spec: NodeSpec, values: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the (from, to) names with which a node listens to the camera of the arguments."""
    camera = values.get('camera') or 'camera'
    image = values.get('image_topic') or f'{camera}/image_raw'
    info = values.get('camera_info_topic') or f'{camera}/camera_info'
    pairs = [
        (IMAGE.name, image),
        (COMPRESSED.name, f'{image}/compressed'),
        (CAMERA_INFO.name, info),
    ]
    if spec.name == 'deepvo' and _true(values.get('nav2', 'false')):
        pairs.append(('~/odometry', FILTERED_ODOMETRY))
    return pairs


def full_name(name: str, node: str, namespace: str) -> str:
    """Return a topic name as the graph knows it, before remapping.

    Args:
        name: Relative (``image``), private (``~/flow``) or global (``/tf``) name.
        node: Name of the node that uses it.
        namespace: Its namespace, with or without the leading slash.
    """
    if name.startswith('/'):
        return name
    within = [part for part in namespace.split('/') if part]
    if name.startswith('~/'):
        within.append(node)
        name = name[2:]
    return '/' + '/'.join([*within, name])


_OUTPUTS = (
    *(
        full_name(topic.name, spec.name, '')
        for spec in NODES.values()
        for topic in spec.outputs
        if not topic.name.startswith('/')
    ),
    f'/{FILTERED_ODOMETRY}',
)


def is_output(topic: str) -> bool:
    """Return whether a full name is one that our nodes publish on, in whatever namespace.

    A recording of a robot that runs them has these topics too: they are neither its camera nor the
    truth.
    """
    return topic.endswith(_OUTPUTS)


def environment(present: Mapping[str, str], profile: str, *, colour: bool) -> dict[str, str]:
    """Return the variables that move large images fast, without touching what is set already.

    Without the profile most images over half a megabyte are lost between two processes; without
    the allocator settings each of them is mapped and page-faulted anew.

    Args:
        present: The environment as it is.
        profile: Path of the Fast DDS profile.
        colour: Whether the logs go to a terminal.
    """
    wanted = {
        'FASTRTPS_DEFAULT_PROFILES_FILE': profile,  # Jazzy reads this one,
        'FASTDDS_DEFAULT_PROFILES_FILE': profile,  # later releases that one
        'MALLOC_MMAP_MAX_': '0',
        'MALLOC_ARENA_MAX': '1',
        'MALLOC_TRIM_THRESHOLD_': str(512 << 20),
        'MALLOC_TOP_PAD_': str(64 << 20),
        'RCUTILS_COLORIZED_OUTPUT': '1' if colour else '0',
    }
    if any(
        name in present
        for name in ('FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE')
    ):
        del wanted['FASTRTPS_DEFAULT_PROFILES_FILE'], wanted['FASTDDS_DEFAULT_PROFILES_FILE']
    return {name: value for name, value in wanted.items() if name not in present}


def _true(text: str) -> bool:
    if text.lower() not in SWITCH:
        raise LaunchError(f'{text!r} is neither true nor false')
    return text.lower() == 'true'
