"""The launch arguments: one table for the launch files, ``dlcv up`` and ``dlcv evaluate``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import inf
from typing import Literal

from dlcv.interface.nodes import NODES
from dlcv.interface.parameters import IMAGE_QOS
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
        'is right/image. The stereo node takes raw ones too, if the left ones are raw.',
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
        doc=f'Comma-separated subset of {", ".join(NODES)}; empty is all but those that need more: '
        'dsac (a map), netvlad (places), stereo (two cameras), and those to be asked for: '
        'segmentation, localization, caption, slam.',
    ),
    _switch(
        'stereo',
        'false',
        'Start the stereo node in place of monodepth; visual_odometry takes its depth for the '
        'metre. Needs the right camera (right_image_topic).',
    ),
    _switch(
        'segmentation',
        'false',
        'Start the segmentation node; visual_odometry and slam do not look at what can move, by '
        'its ~/movers, unless mask_topic names another mask.',
    ),
    Argument(
        name='map',
        default='',
        doc='Map file: the scene of dsac, which it starts; of slam where that is among nodes: it '
        'is gone on with, or begun, and written at the end.',
    ),
    _switch(
        'localize_only',
        '',
        'slam finds the robot in the map and changes nothing of it; empty as in params_file.',
    ),
    Argument(
        name='places',
        default='',
        doc='File of known places for netvlad, of dlcv places; empty as in params_file.',
    ),
    Argument(name='device', default='', doc='auto, cpu, cuda or cuda:N; empty as in params_file.'),
    Argument(
        name='image_qos',
        default='',
        doc='QoS of the image subscriptions; empty as in params_file, else auto.',
        choices=(*IMAGE_QOS, ''),
    ),
    _switch(
        'composed',
        'false',
        'Run all nodes in one process: less memory and time, and one crash is the crash of all.',
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
        'Record the images, their calibration and what is named beside them too: what maps are '
        'made of, and replays.',
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


def preset(**defaults: str) -> tuple[Argument, ...]:
    """Return the launch arguments with other defaults, by their names."""
    return tuple(
        replace(one, default=defaults[one.name]) if one.name in defaults else one
        for one in ARGUMENTS
    )


def checked(arguments: Iterable[Argument], given: Mapping[str, str]) -> dict[str, str]:
    """Return the value of each argument, by name; those left out, or empty, have their defaults.

    Raises:
        LaunchError: A value is not of the form that its argument has.
    """
    values = {a.name: a.taken(given.get(a.name, '') or a.default) for a in arguments}
    for argument in arguments:
        argument.check(values[argument.name])
    return values
