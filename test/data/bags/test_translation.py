"""Messages are read by what their bytes are, not by the definition that lies beside them."""

from __future__ import annotations

import numpy as np
import pytest
from rosbags.convert.converter import migrate_message
from rosbags.typesys import Stores, get_typestore

from dlcv.data.bags import BagError
from dlcv.data.bags.storage import StoredTopic
from dlcv.data.bags.translation import Translation, msgtype_of
from dlcv.data.bags.vocabulary import CAMERA_INFO, COMPOSER, COMPRESSED_IMAGE, IMAGE, ODOMETRY, TF
from dlcv.data.bags.vocabulary import typestore as jazzy
from dlcv.types import Camera

IMU = 'sensor_msgs/msg/Imu'
CAMERA = Camera(width=8, height=6, fx=5.0, fy=5.5, cx=3.5, cy=2.5, distortion=(0.1,) * 5)
NOETIC = get_typestore(Stores.ROS1_NOETIC)
NOETIC.register({TF: jazzy().fielddefs[TF]})


def header():
    return COMPOSER.header(3_000_000_004, 'cam')


def message(msgtype):
    make = COMPOSER.make
    vector, none = make('geometry_msgs/msg/Vector3', x=1.0, y=2.0, z=3.0), np.zeros(9)
    turn = make('geometry_msgs/msg/Quaternion', x=0.0, y=0.0, z=0.0, w=1.0)
    return {
        CAMERA_INFO: lambda: COMPOSER.camera_info(header(), CAMERA, (6, 8)),
        IMAGE: lambda: COMPOSER.image(header(), np.arange(48, dtype=np.uint8).reshape(6, 8)),
        COMPRESSED_IMAGE: lambda: COMPOSER.compressed_image(
            header(), np.zeros((6, 8), np.uint8), 'png', 90
        ),
        TF: lambda: COMPOSER.tf(COMPOSER.transform(header(), 'b', np.eye(4))),
        ODOMETRY: lambda: COMPOSER.odometry(
            header(), 'base', np.eye(4), np.eye(6), np.arange(6.0), np.eye(6)
        ),
        IMU: lambda: make(
            IMU,
            header=header(),
            orientation=turn,
            orientation_covariance=none,
            angular_velocity=vector,
            angular_velocity_covariance=none,
            linear_acceleration=vector,
            linear_acceleration_covariance=none,
        ),
    }[msgtype]()


def as_ros_2(msgtype):
    return bytes(jazzy().serialize_cdr(message(msgtype), msgtype))


def old_definition(msgtype):
    """The text of ROS 1, with seq in the header and capitals in CameraInfo."""
    text, _ = NOETIC.generate_msgdef(msgtype)
    assert msgtype != CAMERA_INFO or 'float64[9] K' in text
    return text


ALL = [CAMERA_INFO, IMAGE, COMPRESSED_IMAGE, TF, ODOMETRY, IMU]


@pytest.mark.parametrize('msgtype', ALL)
@pytest.mark.parametrize('encoding', ['ros2msg', 'ros1msg', '', 'made up'])
@pytest.mark.parametrize('what', ['old', 'old without seq', 'none', 'nonsense'])
def test_bytes_of_ros_2_are_read_so_whatever_the_definition(msgtype, encoding, what):
    old = old_definition(msgtype)
    assert 'uint32 seq' in old
    text = {'old': old, 'old without seq': old.replace('uint32 seq\n', ''), 'none': ''}
    topic = StoredTopic(
        name='/x', msgtype=msgtype, definition=text.get(what, 'nonsense ['), encoding=encoding
    )
    translation, data = Translation([topic]), as_ros_2(msgtype)
    cdr = translation.cdr(topic, data)
    assert bytes(cdr) == data
    np.testing.assert_equal(
        repr(translation.deserialize(msgtype, cdr)), repr(jazzy().deserialize_cdr(data, msgtype))
    )


def of_ros_1(msgtype):
    return migrate_message(jazzy(), NOETIC, msgtype, msgtype, {}, message(msgtype))


@pytest.mark.parametrize('msgtype', ALL)
def test_cdr_of_the_old_definition_becomes_that_of_ros_2(msgtype):
    """As a script makes it that takes the definitions of a ROS 1 bag for all it writes."""
    data = bytes(NOETIC.serialize_cdr(of_ros_1(msgtype), msgtype))
    assert data != as_ros_2(msgtype)
    topic = StoredTopic(
        name='/x', msgtype=msgtype, definition=old_definition(msgtype), encoding='ros2msg'
    )
    assert bytes(Translation([topic]).cdr(topic, data)) == as_ros_2(msgtype)


@pytest.mark.parametrize('msgtype', ALL)
@pytest.mark.parametrize('definition', [True, False])
def test_messages_of_ros_1_become_those_of_ros_2(msgtype, definition):
    topic = StoredTopic(
        name='/x',
        msgtype=msgtype.replace('/msg/', '/'),
        definition=old_definition(msgtype) if definition else '',
        encoding='ros1msg',
        serialization='ros1',
    )
    data = bytes(NOETIC.serialize_ros1(of_ros_1(msgtype), msgtype))
    assert bytes(Translation([topic]).cdr(topic, data)) == as_ros_2(msgtype)


IDL = """\
================================================================================
IDL: my_msgs/msg/Wheel
module my_msgs { module msg { struct Wheel { double speed; long ticks; }; }; };
"""


@pytest.mark.parametrize(
    ('encoding', 'text'),
    [
        ('ros2msg', 'float64 speed\nint32 ticks'),
        ('ros1msg', 'float64 speed\nint32 ticks'),
        ('ros2idl', IDL),
        ('omgidl', IDL.split('\n', 2)[2]),
    ],
)
@pytest.mark.parametrize(
    'name', ['my_msgs/msg/Wheel', 'my_msgs/Wheel', 'my_msgs::msg::dds_::Wheel_']
)
def test_types_of_others_are_what_the_file_says(encoding, text, name):
    topic = StoredTopic(name='/x', msgtype=name, definition=text, encoding=encoding)
    data = b'\x00\x01\x00\x00' + np.float64(2.5).tobytes() + np.int32(-3).tobytes()
    translation = Translation([topic])
    found = translation.deserialize(msgtype_of(name), translation.cdr(topic, data))
    assert (found.speed, found.ticks) == (2.5, -3)


def test_a_type_that_nobody_defines_can_be_passed_on_but_not_read():
    topic = StoredTopic(name='/x', msgtype='my_msgs/msg/Secret')
    translation = Translation([topic])
    assert translation.cdr(topic, b'\x00\x01\x00\x00abc') == b'\x00\x01\x00\x00abc'
    with pytest.raises(BagError, match='no definition of my_msgs/msg/Secret'):
        translation.deserialize('my_msgs/msg/Secret', b'\x00\x01\x00\x00abc')


@pytest.mark.parametrize(
    ('name', 'wanted'),
    [
        ('sensor_msgs/Image', IMAGE),
        (IMAGE, IMAGE),
        ('sensor_msgs::msg::dds_::Image_', IMAGE),
        ('tf/tfMessage', TF),
        ('tf/msg/tfMessage', TF),
        ('my_msgs/srv/Ask', 'my_msgs/srv/Ask'),
        ('', ''),
    ],
)
def test_names_of_types(name, wanted):
    assert msgtype_of(name) == wanted
