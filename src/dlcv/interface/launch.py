"""How the nodes are started together: one table for the launch file and for ``dlcv up``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any, Literal

from dlcv.interface.nodes import (
    CAMERA_INFO,
    COMPRESSED,
    FILTERED_ODOMETRY,
    IMAGE,
    MONODEPTH,
    NODES,
    ODOMETRY_NODES,
    SUPERPOINT,
    VISUAL_ODOMETRY,
    NodeSpec,
)
from dlcv.interface.odometry_parameters import VisualOdometryParameters
from dlcv.interface.parameters import IMAGE_QOS, CommonParameters, Value, describe
from dlcv.interface.rectified import CHOICES

Form = Literal['', 'namespace', 'topic', 'frame', 'positive', 'duration', 'count']
_PART = r'[A-Za-z_]\w*'
_SHAPES = {
    'namespace': (
        re.compile(rf'/?({_PART}(/{_PART})*/?)?', re.ASCII),
        'ROS name, such as robot/front',
    ),
    'topic': (
        re.compile(rf'/?{_PART}(/{_PART})*', re.ASCII),
        'name of a topic, such as front/image_raw or /front/image_raw',
    ),
    'frame': (re.compile(r'/?[^\s/]+(/[^\s/]+)*'), 'name of a frame, such as base_link'),
}
"""What texts of a form look like, and in words."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Argument:
    """One launch argument.

    Attributes:
        name: ``NAME:=value`` of ``ros2 launch``, ``--name value`` of ``dlcv up``.
        default: Value when nothing is given, as text.
        doc: One sentence.
        choices: All allowed values; empty for any.
        form: What its text must be; empty for any text.
    """

    name: str
    default: str
    doc: str
    choices: tuple[str, ...] = ()
    form: Form = ''

    @property
    def boolean(self) -> bool:
        """Whether it is a switch."""
        return set(SWITCH) <= set(self.choices)

    def taken(self, text: str) -> str:
        """Return a value as it goes on: choices in small letters, ``True`` is ``true``."""
        return text.lower() if text.lower() in self.choices else text

    def check(self, text: str) -> None:
        """Raise a LaunchError unless a text is one that the argument may have."""
        if self.choices and text not in self.choices:
            among = ', '.join(filter(None, self.choices))
            raise LaunchError(f'{self.name}: {text!r} is none of {among}')
        if not text or not self.form:
            return
        if self.form in _SHAPES:
            shape, words = _SHAPES[self.form]
            if not shape.fullmatch(text):
                raise LaunchError(f'{self.name}: {text!r} is no {words}')
            return
        self._check_number(text)

    def _check_number(self, text: str) -> None:
        try:
            number = int(text) if self.form == 'count' else float(text)
        except ValueError:
            kind = 'whole number' if self.form == 'count' else 'number'
            raise LaunchError(f'{self.name}: {text!r} is no {kind}') from None
        if not number < inf:
            raise LaunchError(f'{self.name}: {number:g} is not finite')
        if self.form == 'positive' and number <= 0:
            raise LaunchError(f'{self.name}: {number:g} is not above 0')
        if number < 0:
            raise LaunchError(f'{self.name}: {number:g} is below 0')


class LaunchError(ValueError):
    """The launch arguments ask for something that there is not."""


SWITCH = ('true', 'false')
PROFILE_VARIABLES = ('FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE')
"""Where Fast DDS is told its profile: Jazzy reads the first one, later releases the second."""
DEFAULT_NODES = tuple(spec.name for spec in NODES.values() if spec.starts)


def _switch(name: str, default: str, doc: str) -> Argument:
    choices = SWITCH if default else (*SWITCH, '')
    return Argument(name=name, default=default, doc=doc, choices=choices)


ARGUMENTS: tuple[Argument, ...] = (
    Argument(
        name='camera',
        default='camera',
        doc='Namespace of image_raw and camera_info.',
        form='namespace',
    ),
    Argument(
        name='image_topic',
        default='',
        doc='Image topic; empty is CAMERA/image_raw.',
        form='topic',
    ),
    Argument(
        name='camera_info_topic',
        default='',
        doc='Calibration topic; empty is CAMERA/camera_info.',
        form='topic',
    ),
    Argument(
        name='right_image_topic',
        default='',
        doc='Rectified images of the right camera of a stereo pair, camera_info beside them; empty '
        'is right/image.',
        form='topic',
    ),
    Argument(
        name='depth_topic',
        default='',
        doc='Depth of a depth camera, camera_info beside it; empty is that of monodepth, or with '
        'depth_source camera depth/image.',
        form='topic',
    ),
    Argument(
        name='wheel_topic',
        default='',
        doc='Odometry of the base by its wheels; empty is wheel/odometry.',
        form='topic',
    ),
    Argument(name='imu_topic', default='', doc='IMU on the robot; empty is imu.', form='topic'),
    Argument(
        name='mask_topic',
        default='',
        doc='Masks of what is not to be looked at; empty is mask.',
        form='topic',
    ),
    Argument(
        name='camera_height',
        default='',
        doc='Height of the camera over the ground in metres; empty as in params_file.',
        form='positive',
    ),
    Argument(
        name='rectified',
        default='',
        doc='Whether the images are rectified already; empty as in params_file, else by the name '
        'of their topic.',
        choices=('', *CHOICES),
    ),
    Argument(name='namespace', default='', doc='Namespace of all nodes.', form='namespace'),
    Argument(name='params_file', default='', doc='Parameter file; empty is config/vo.yaml.'),
    _switch('use_sim_time', '', 'Take the time from /clock; bag sets it, else empty is false.'),
    Argument(
        name='nodes',
        default='',
        doc=f'Comma-separated subset of {", ".join(NODES)}; empty is all, dsac with a map only.',
    ),
    Argument(name='map', default='', doc='Map file (DSAC weights of the scene); starts dsac.'),
    Argument(name='device', default='', doc='auto, cpu, cuda or cuda:N; empty as in params_file.'),
    Argument(
        name='image_qos',
        default='',
        doc='QoS of the image subscriptions; empty as in params_file, else auto.',
        choices=(*IMAGE_QOS, ''),
    ),
    _switch('autostart', 'true', 'Configure and activate the nodes; false leaves it to a manager.'),
    _switch('use_respawn', 'false', 'Start a node again when its process dies.'),
    Argument(
        name='respawn_delay',
        default='2.0',
        doc='Seconds before it is started again.',
        form='duration',
    ),
    _switch(
        'publish_tf',
        '',
        'The odometry (visual_odometry, or deepvo without it) publishes odom_frame -> base_frame; '
        'empty as in params_file, else true.',
    ),
    Argument(
        name='odom_topic',
        default='',
        doc='Topic of the odometry, such as odom; empty is visual_odometry/odometry (or that of '
        'deepvo without it), with nav2 camera_odom.',
        form='topic',
    ),
    Argument(
        name='odom_frame',
        default='',
        doc='Fixed frame of the odometry; empty as in params_file, else odom.',
        form='frame',
    ),
    Argument(
        name='base_frame',
        default='',
        doc='Body frame of the robot; empty as in params_file, else base_link.',
        form='frame',
    ),
    Argument(
        name='map_frame',
        default='',
        doc='Fixed frame of the map; empty as in params_file, else map.',
        form='frame',
    ),
    Argument(name='bag', default='', doc='Bag to play with /clock; ends the launch at its end.'),
    Argument(
        name='bag_rate',
        default='1.0',
        doc='Speed at which the bag is played.',
        form='positive',
    ),
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
    _switch('nav2', 'false', 'Preset for an EKF: no TF from us, odometry on camera_odom.'),
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
BESIDE_ARGUMENTS = (
    'right_image_topic', 'depth_topic', 'wheel_topic', 'imu_topic', 'mask_topic', 'camera_height',
)  # fmt: skip
"""Those about what helps visual odometry."""
# launch arguments that are parameters of the nodes, where they have them
PARAMETER_ARGUMENTS = (
    'use_sim_time', 'rectified', 'device', 'image_qos', 'autostart', 'publish_tf', 'odom_frame',
    'base_frame', 'map_frame', 'camera_height',
)  # fmt: skip


def checked(arguments: Iterable[Argument], given: Mapping[str, str]) -> dict[str, str]:
    """Return the value of each argument, by name; those left out, or empty, have their defaults.

    Raises:
        LaunchError: A value is not of the form that its argument has.
    """
    values = {a.name: a.taken(given.get(a.name, '') or a.default) for a in arguments}
    for argument in arguments:
        argument.check(values[argument.name])
    return values


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
    nav2 = _true(values.get('nav2') or 'false')
    set_by: dict[str, Any] = {}
    for name in PARAMETER_ARGUMENTS:
        text = values.get(name, '')
        if text == '' or (name not in known and name != 'use_sim_time'):
            continue
        set_by[name] = _typed(text, True if name == 'use_sim_time' else known[name].default)
    if spec.name == 'dsac':
        # the argument is about the odometry: a localizer's own transform is asked for in YAML
        set_by.pop('publish_tf', None)
        if values.get('map'):
            set_by['weights'] = values['map']
    elif spec in ODOMETRY_NODES and (nav2 or spec in _odometry_nodes(values)[1:]):
        set_by['publish_tf'] = False  # one transform has one publisher
    if spec is VISUAL_ODOMETRY and values.get('depth_topic'):
        set_by['depth_source'] = 'camera'
    if values.get('bag'):
        set_by['use_sim_time'] = True
    return set_by


def owner(values: Mapping[str, str]) -> NodeSpec | None:
    """Return the node that the transform, and the odometry for others, is taken of, if any."""
    return next(iter(_odometry_nodes(values)), None)


def _odometry_nodes(values: Mapping[str, str]) -> list[NodeSpec]:
    started = selected(values.get('nodes', ''), values.get('map', ''))
    return [spec for spec in ODOMETRY_NODES if spec in started]


def remappings(
    spec: NodeSpec, values: Mapping[str, str], settings: CommonParameters | None = None
) -> list[tuple[str, str]]:
    """Return the (from, to) names with which a node listens to the camera of the arguments.

    Names without a leading slash lie in the node's namespace.

    Args:
        spec: The node.
        values: Launch arguments by name, as text.
        settings: Its parameters; its defaults when left out.
    """
    camera = (values.get('camera') or 'camera').rstrip('/')
    image = values.get('image_topic') or f'{camera}/image_raw'
    info = values.get('camera_info_topic') or f'{camera}/camera_info'
    pairs = [
        (IMAGE.name, image),
        (COMPRESSED.name, f'{image}/compressed'),
        (CAMERA_INFO.name, info),
    ]
    if isinstance(settings := settings or spec.parameters(), VisualOdometryParameters):
        pairs += _beside(values, settings)
    if spec is owner(values) and (odometry := _odometry(values)):
        pairs.append((spec.answer, odometry))
    return pairs


def _beside(
    values: Mapping[str, str], settings: VisualOdometryParameters
) -> Iterator[tuple[str, str]]:
    """Give the names of what visual odometry listens to beside the camera."""
    yield 'keypoints', SUPERPOINT.answer.replace('~', SUPERPOINT.name)
    depth = '' if settings.depth_source == 'camera' else MONODEPTH.answer
    for place, topic in (
        ('right', values.get('right_image_topic')),
        ('depth', values.get('depth_topic') or depth),
    ):
        if topic:
            yield f'{place}/image', topic
            yield f'{place}/camera_info', '/'.join((*topic.split('/')[:-1], 'camera_info'))
    for name, topic in (
        ('wheel/odometry', values.get('wheel_topic')),
        ('imu', values.get('imu_topic')),
        ('mask', values.get('mask_topic')),
    ):
        if topic:
            yield name, topic


def _odometry(values: Mapping[str, str]) -> str:
    """Return where the owner's odometry goes instead of its own topic; empty for nowhere else."""
    filtered = FILTERED_ODOMETRY if _true(values.get('nav2') or 'false') else ''
    return values.get('odom_topic') or filtered


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
        **dict.fromkeys(PROFILE_VARIABLES, profile),
        'MALLOC_MMAP_MAX_': '0',
        'MALLOC_ARENA_MAX': '1',
        'MALLOC_TRIM_THRESHOLD_': str(512 << 20),
        'MALLOC_TOP_PAD_': str(64 << 20),
        'RCUTILS_COLORIZED_OUTPUT': '1' if colour else '0',
    }
    if any(name in present for name in PROFILE_VARIABLES):
        wanted = {name: value for name, value in wanted.items() if name not in PROFILE_VARIABLES}
    return {name: value for name, value in wanted.items() if name not in present}


def _typed(text: str, default: Value) -> bool | float | str:
    if isinstance(default, bool):
        return _true(text)
    return float(text) if isinstance(default, float) else text


def _true(text: str) -> bool:
    if text.lower() not in SWITCH:
        raise LaunchError(f'{text!r} is neither true nor false')
    return text.lower() == 'true'
