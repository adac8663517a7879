"""What the launch arguments mean for each node: parameters, names, environment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dlcv.interface.arguments import SWITCH, LaunchError
from dlcv.interface.nodes import (
    CAMERA_INFO,
    COMPRESSED,
    DEPTH_NODES,
    FILTERED_ODOMETRY,
    IMAGE,
    MONODEPTH,
    NODES,
    ODOMETRY_NODES,
    SEGMENTATION,
    SLAM,
    STEREO,
    SUPERPOINT,
    VISUAL_ODOMETRY,
    NodeSpec,
)
from dlcv.interface.odometry_parameters import VisualOdometryParameters
from dlcv.interface.parameters import CommonParameters, StereoParameters, Value, describe
from dlcv.interface.slam_parameters import SlamParameters

PROFILE_VARIABLES = ('FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE')
"""Where Fast DDS is told its profile: Jazzy reads the first one, later releases the second."""
DEFAULT_NODES = tuple(spec.name for spec in NODES.values() if spec.starts)
SLAM_NODES = 'superpoint,visual_odometry,slam'
"""What slam.launch.py and localize.launch.py start: keypoints are computed once for both."""
# launch arguments that are parameters of the nodes, where they have them
PARAMETER_ARGUMENTS = (
    'use_sim_time', 'rectified', 'device', 'image_qos', 'autostart', 'publish_tf', 'odom_frame',
    'base_frame', 'map_frame', 'camera_height', 'places', 'localize_only',
)  # fmt: skip
MOVERS = f'{SEGMENTATION.name}/movers'
"""Where segmentation says what can move: the mask of those that are not to look at it."""
MAP_PARAMETERS = {'dsac': 'weights', 'slam': 'map_file'}
"""Parameter of each node that has a map, which the argument ``map`` names."""


def selected(
    nodes: str, map_file: str, *, stereo: bool = False, segmentation: bool = False
) -> list[NodeSpec]:
    """Return the nodes that ``nodes``, ``map``, ``stereo`` and ``segmentation`` start.

    Raises:
        LaunchError: If a name is none of the nodes, or two of them publish the same depth.
    """
    names = [name.strip() for name in nodes.split(',') if name.strip()]
    for name in names:
        if name not in NODES:
            raise LaunchError(f'no node {name!r}; there are {", ".join(NODES)}')
    if not names:
        names = [*DEFAULT_NODES, *(['dsac'] if map_file else [])]
        if stereo:
            names.remove(MONODEPTH.name)
    if stereo:
        names.append(STEREO.name)
    if segmentation:
        names.append(SEGMENTATION.name)
    if {spec.name for spec in DEPTH_NODES} <= set(names):
        raise LaunchError(
            f'nodes: monodepth and stereo both publish {STEREO.answer}; name one of them'
        )
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
    if (map_parameter := MAP_PARAMETERS.get(spec.name)) is not None:
        # the argument is about the odometry: a localizer's own transform is asked for in YAML
        set_by.pop('publish_tf', None)
        if values.get('map'):
            set_by[map_parameter] = values['map']
            if spec is SLAM:  # whoever names a file wants it written
                set_by['save_on_exit'] = not set_by.get('localize_only', False)
    elif spec in ODOMETRY_NODES and (nav2 or spec in _odometry_nodes(values)[1:]):
        set_by['publish_tf'] = False  # one transform has one publisher
    if spec in (VISUAL_ODOMETRY, SLAM) and values.get('depth_topic'):
        set_by['depth_source'] = 'camera'
    elif spec in (VISUAL_ODOMETRY, SLAM) and _stereo(values):
        # not auto: that would match points of the right images, and the dense depth be for nothing
        set_by |= {'depth_source': 'stereo', 'scale_source': 'depth'}
    if values.get('bag'):
        set_by['use_sim_time'] = True
    return set_by


def owner(values: Mapping[str, str]) -> NodeSpec | None:
    """Return the node that the transform, and the odometry for others, is taken of, if any."""
    return next(iter(_odometry_nodes(values)), None)


def _odometry_nodes(values: Mapping[str, str]) -> list[NodeSpec]:
    started = chosen(values)
    return [spec for spec in ODOMETRY_NODES if spec in started]


def chosen(values: Mapping[str, str]) -> list[NodeSpec]:
    """Return the nodes that launch arguments start; raises as `selected`."""
    return selected(
        values.get('nodes', ''),
        values.get('map', ''),
        stereo=_stereo(values),
        segmentation=_segmentation(values),
    )


def _stereo(values: Mapping[str, str]) -> bool:
    return _true(values.get('stereo') or 'false')


def _segmentation(values: Mapping[str, str]) -> bool:
    return _true(values.get('segmentation') or 'false')


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
    settings = settings or spec.parameters()
    if isinstance(settings, VisualOdometryParameters | SlamParameters):
        inputs = {topic.name for topic in spec.inputs}
        pairs += [pair for pair in _beside(values, settings) if pair[0] in inputs]
    elif isinstance(settings, StereoParameters):
        pairs += _camera_beside('right', values.get('right_image_topic', ''))
    if spec is SLAM and (odometry := _odometry_of(values)):
        pairs.append(('odometry', odometry))
    if spec is owner(values) and (odometry := _odometry(values)):
        pairs.append((spec.answer, odometry))
    return pairs


def _beside(
    values: Mapping[str, str], settings: VisualOdometryParameters | SlamParameters
) -> Iterator[tuple[str, str]]:
    """Give the names of what visual odometry and slam listen to beside the camera."""
    yield 'keypoints', SUPERPOINT.answer.replace('~', SUPERPOINT.name)
    depth = '' if settings.depth_source == 'camera' else MONODEPTH.answer
    for place, topic in (
        ('right', values.get('right_image_topic')),
        ('depth', values.get('depth_topic') or depth),
    ):
        yield from _camera_beside(place, topic or '')
    masked = MOVERS if _segmentation(values) else ''
    for name, topic in (
        ('wheel/odometry', values.get('wheel_topic')),
        ('imu', values.get('imu_topic')),
        ('mask', values.get('mask_topic') or masked),
    ):
        if topic:
            yield name, topic


def _camera_beside(place: str, topic: str) -> Iterator[tuple[str, str]]:
    """Give the names of another camera's images and calibration; none for no topic."""
    if topic:
        yield f'{place}/image', topic
        yield f'{place}/camera_info', '/'.join((*topic.split('/')[:-1], 'camera_info'))


def _odometry(values: Mapping[str, str]) -> str:
    """Return where the owner's odometry goes instead of its own topic; empty for nowhere else."""
    filtered = FILTERED_ODOMETRY if _true(values.get('nav2') or 'false') else ''
    return values.get('odom_topic') or filtered


def _odometry_of(values: Mapping[str, str]) -> str:
    """Return where odometry is that others may go by; empty where nobody says."""
    node = owner(values)
    own = '' if node is None else node.answer.replace('~', node.name)
    return _odometry(values) or own


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
