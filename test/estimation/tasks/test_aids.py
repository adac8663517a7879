"""What is measured beside a picture becomes aids of it, in the camera's axes, or is told off."""

from __future__ import annotations

from dataclasses import replace
from threading import Timer
from time import monotonic
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dlcv.data.bags.vocabulary import COMPOSER
from dlcv.estimation.tasks.aids import OLD_NS, AidReader
from dlcv.estimation.tasks.beside import Beside
from dlcv.geometry.frames import BODY_FROM_OPTICAL, Mount, TransformBuffer, inverse
from dlcv.interface.nodes import VISUAL_ODOMETRY
from dlcv.interface.odometry_parameters import VisualOdometryParameters
from dlcv.types import Camera, Frame, Keypoints

CAMERA = Camera(width=8, height=6, fx=10.0, fy=10.0, cx=3.5, cy=2.5)
START, MS = 10**9, 10**6
LAST = START - 100 * MS


def _rigid(turn=(0, 0, 0), shift=(0, 0, 0)):
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_rotvec(turn).as_matrix()
    matrix[:3, 3] = shift
    return matrix


SEAT = _rigid((0, 0, 0.3), (0.4, -0.1, 0.8)) @ BODY_FROM_OPTICAL


@pytest.fixture
def rig():
    """A reader whose camera sits askew on the base, and what it says."""
    frames, said = TransformBuffer(), []
    frames.add('base_link', 'optical', SEAT)
    beside = Beside(VISUAL_ODOMETRY.inputs)
    beside.patient = False
    made = SimpleNamespace(frames=frames, said=said, beside=beside)
    made.parameters = VisualOdometryParameters(depth_source='camera')
    made.reader = AidReader(
        beside, frames, Mount(frames, said.append), lambda: made.parameters, said.append
    )

    def read(stamp=START, last=LAST, camera=CAMERA):
        image = np.zeros((6, 8), np.uint8)
        frame = Frame(stamp_ns=stamp, image=image, camera=camera, frame_id='optical')
        return made.reader.read(frame, last)

    made.read = read
    return made


def _header(stamp=START, frame='optical'):
    return COMPOSER.header(stamp, frame)


def _depth(stamp=START, frame='optical', shape=(6, 8)):
    return COMPOSER.image(_header(stamp, frame), np.full(shape, 2.0, np.float32))


def _put_wheels(rig, way, stamps, child='base_link'):
    """Put odometry of the wheels that was at ``way(seconds since START)``."""
    for stamp in stamps:
        message = COMPOSER.odometry(
            _header(stamp, 'wheel_odom'),
            child,
            way((stamp - START) / 1e9),
            np.eye(6),
            np.zeros(6),
            np.eye(6),
        )
        rig.beside.put('wheel/odometry', message)


def _put_imu(rig, rate, stamps, frame='imu'):
    for stamp in stamps:
        message = SimpleNamespace(
            header=_header(stamp, frame),
            angular_velocity=SimpleNamespace(**dict(zip('xyz', rate, strict=True))),
            angular_velocity_covariance=[0.0] * 9,
        )
        rig.beside.put('imu', message)


def _put_right(rig, camera=CAMERA, baseline=0.12, size=(6, 8)):
    info = COMPOSER.camera_info(_header(), camera)
    info.p[3] = -camera.fx * baseline
    rig.beside.put('right/camera_info', info)
    rig.beside.put('right/image', COMPOSER.image(_header(), np.zeros((*size, 3), np.uint8)))


def test_nothing_beside_is_no_aid(rig):
    aids = rig.read()
    assert [aids.keypoints, aids.right, aids.depth, aids.wheels, aids.turn, aids.mask] == [None] * 6
    assert (rig.reader.used, rig.said) == ([], [])


def test_keypoints_of_the_same_stamp_are_taken(rig):
    points = Keypoints(
        stamp_ns=START,
        xy=np.array([[1, 2], [7, 5]], np.float32),
        scores=np.ones(2, np.float32),
        descriptors=np.eye(2, 4, dtype=np.float32),
    )
    rig.beside.put('keypoints', COMPOSER.keypoint_cloud(_header(START + MS), points, 'int8'))
    assert rig.read().keypoints is None  # a millisecond away they are another picture's
    rig.beside.put('keypoints', COMPOSER.keypoint_cloud(_header(), points, 'int8'))
    np.testing.assert_array_equal(rig.read().keypoints.xy, points.xy)
    outside = replace(points, xy=points.xy + 3)
    rig.beside.put('keypoints', COMPOSER.keypoint_cloud(_header(LAST), outside, 'int8'))
    assert rig.read(LAST).keypoints is None
    assert rig.said[-1] == (
        'keypoints is not used: keypoints lie outside of the image of 8x6 pixels'
    )


def test_stereo_has_its_baseline(rig):
    _put_right(rig)
    aids = rig.read()
    assert aids.baseline == pytest.approx(0.12)
    assert (aids.right.width, aids.right.camera) == (8, CAMERA)
    assert rig.reader.used == ['right/image']


@pytest.mark.parametrize(('off', 'pair'), [(5 * MS, True), (6 * MS, False)])
def test_pictures_that_are_apart_in_time_are_no_stereo_pair(rig, off, pair):
    _put_right(rig)
    assert (rig.read(START + off).right is not None) is pair


def test_stereo_that_is_not_rectified_is_told_off(rig):
    _put_right(rig)
    assert rig.read(camera=replace(CAMERA, distortion=(0.1,))).right is None
    assert 'the left image is not rectified: take image_rect of both cameras' in rig.said[-1]


def test_stereo_of_two_sizes_is_told_off(rig):
    _put_right(rig, size=(6, 9))
    assert rig.read().right is None
    counts = rig.beside.values()
    assert counts['right/image unusable'] == '1'
    assert 'right/image used' not in counts


def test_depth_is_on_the_pixels_of_its_camera(rig):
    rig.beside.put('depth/image', _depth())
    aids = rig.read()
    assert aids.depth_source == 'camera'
    assert aids.depth.camera == CAMERA
    np.testing.assert_array_equal(aids.depth.depth, np.full((6, 8), 2.0))


def test_depth_of_another_size_needs_its_calibration(rig):
    rig.beside.put('depth/image', _depth(shape=(3, 4)))
    assert rig.read().depth is None
    assert rig.said[-1].endswith('it is of 4x3 pixels, the image of 8x6 pixels')
    half = CAMERA.scaled(4, 3)
    rig.beside.put('depth/camera_info', COMPOSER.camera_info(_header(), half))
    assert rig.read().depth.camera == half


@pytest.mark.parametrize(('apart', 'taken'), [(0.0, True), (0.004, True), (0.05, False)])
def test_depth_must_be_seen_from_the_camera(rig, apart, taken):
    rig.frames.add('optical', 'depth_optical', _rigid(shift=(apart, 0, 0)))
    rig.beside.put('depth/image', _depth(frame='depth_optical'))
    assert (rig.read().depth is not None) is taken
    assert taken or 'take the depth that is aligned' in rig.said[-1]


@pytest.mark.parametrize(('source', 'taken'), [('network', 'network'), ('stereo', 'camera')])
def test_depth_of_a_network_is_waited_for_now_and_then(rig, monkeypatch, source, taken):
    """It comes late for every picture; the one in between does not wait for it."""
    rig.parameters = VisualOdometryParameters(depth_source=source)
    asked = []

    def moment(name, at_ns, within_ns, every_ns, until, hoped):
        if name != 'depth/image':
            return None
        asked.append(until - monotonic())
        return _depth(at_ns) if asked[-1] > 0 else None

    monkeypatch.setattr(rig.beside, 'moment', moment)
    for stamp in (START, START + OLD_NS // 2, START + OLD_NS):
        assert rig.read(stamp).depth_source == taken
    assert [patience > 0.3 for patience in asked] == [True, False, True]


@pytest.mark.parametrize(
    ('given', 'hoped'),
    [
        ({'depth_source': 'camera'}, {'depth/image', 'right/image'}),
        ({'depth_source': 'camera', 'scale_source': 'depth'}, {'depth/image'}),
        ({'depth_source': 'stereo', 'scale_source': 'depth'}, {'depth/image'}),
        ({'depth_source': 'network'}, {'right/image'}),
    ],
)
def test_what_makes_the_unit_is_hoped_for_at_the_first_image_alone(rig, monkeypatch, given, hoped):
    rig.parameters = VisualOdometryParameters(**given)
    asked = []
    monkeypatch.setattr(
        rig.beside, 'moment', lambda name, *_, hoped: asked.append(name) if hoped else None
    )
    rig.read(last=None)
    assert set(asked) == hoped
    asked.clear()
    rig.read()
    assert asked == []


def test_a_mask_without_a_stamp_holds(rig):
    still = np.ones((6, 8), np.uint8)
    still[0] = 0
    rig.beside.put('mask', COMPOSER.image(_header(0), still))
    for k in range(50):
        np.testing.assert_array_equal(rig.read(START + k * 10**9).mask, still != 0)


def test_the_mask_of_a_network_is_waited_for(rig):
    rig.beside.patient = True
    rig.parameters = replace(rig.parameters, sync_patience=0.0, network_patience=5.0)
    still = np.full((6, 8), 255, np.uint8)
    for stamp in (LAST - 100 * MS, LAST):
        rig.beside.put('mask', COMPOSER.image(_header(stamp), still))
    late = Timer(0.05, lambda: rig.beside.put('mask', COMPOSER.image(_header(), still)))
    late.start()
    begin = monotonic()
    assert rig.read().mask.all()
    assert monotonic() - begin < 4
    late.join()


def test_both_masks_count(rig):
    own, told = np.ones((6, 8), np.bool_), np.ones((6, 8), np.uint8)
    own[0], told[:, 0] = False, 0
    rig.reader.mask = own
    np.testing.assert_array_equal(rig.read().mask, own)
    rig.beside.put('mask', COMPOSER.image(_header(), told))
    np.testing.assert_array_equal(rig.read().mask, own & (told != 0))


def test_a_mask_of_another_size_is_told_off(rig):
    rig.beside.put('mask', COMPOSER.image(_header(), np.ones((3, 4), np.uint8)))
    assert rig.read().mask is None
    assert rig.said == ['mask is not used: it is of 4x3 pixels, the image of 8x6']


def test_wheels_move_the_camera(rig):
    """A steady drive along a curve, told between the pictures, seen from the camera."""

    def way(seconds):
        return _rigid((0, 0, 0.8 * seconds), (2 * seconds, 0.3 * seconds, 0))

    _put_wheels(rig, way, range(LAST - 13 * MS, START + 21 * MS, 10 * MS))
    expected = inverse(way(-0.1) @ SEAT) @ way(0) @ SEAT
    np.testing.assert_allclose(rig.read().wheels, expected, atol=1e-5)
    assert rig.reader.used == ['wheel/odometry']


def test_wheels_of_another_body_are_placed_by_tf(rig):
    rig.frames.add('base_link', 'axle', _rigid((0, 0, 1.0), (0.3, 0, 0)))
    axle = rig.frames.lookup('axle', 'optical')

    def way(seconds):
        return _rigid((0, 0, 0.5 * seconds), (seconds, 0, 0))

    _put_wheels(rig, way, range(LAST, START + 1, 50 * MS), child='axle')
    expected = inverse(way(-0.1) @ axle) @ way(0) @ axle
    np.testing.assert_allclose(rig.read().wheels, expected, atol=1e-5)


def test_wheels_that_do_not_reach_the_picture_are_none(rig):
    _put_wheels(rig, lambda seconds: _rigid(shift=(seconds, 0, 0)), [LAST, START - MS])
    assert rig.read().wheels is None
    assert rig.beside.values()['wheel/odometry unsynchronised'] == '1'


def test_wheels_that_begin_anew_are_told_off(rig):
    _put_wheels(rig, lambda seconds: _rigid(shift=(0 if seconds else 90, 0, 0)), [LAST, START])
    assert rig.read().wheels is None
    assert 'they went 90.00 m in 0.100 s; max_linear_speed is 40.0 m/s' in rig.said[-1]


def test_a_gyroscope_turns_the_camera(rig):
    rig.frames.add('base_link', 'imu', _rigid((0.2, 0.1, -2), (0, 0, 0.1)))
    rate = np.array([0.4, -0.2, 1.5])
    _put_imu(rig, rate, range(LAST - 3 * MS, START + 6 * MS, 5 * MS))
    seat = rig.frames.lookup('imu', 'optical')[:3, :3]
    expected = seat.T @ Rotation.from_rotvec(0.1 * rate).as_matrix() @ seat
    np.testing.assert_allclose(rig.read().turn, expected, atol=1e-9)


def test_an_imu_that_sits_nobody_knows_where_is_told_off(rig):
    _put_imu(rig, (0, 0, 1), range(LAST, START + 1, 10 * MS), frame='elsewhere')
    assert rig.read().turn is None
    assert "no transform between 'elsewhere' and 'optical'" in rig.said[-1]


def test_standing_still_teaches_the_bias(rig):
    rig.frames.add('base_link', 'imu', np.eye(4))
    bias = np.array([0.01, -0.02, 0.03])
    for k in range(280):
        last = LAST + k * 100 * MS
        _put_imu(rig, bias, range(last, last + 101 * MS, 10 * MS))
        turn = rig.read(last + 100 * MS, last).turn
        rig.reader.gyroscope.stands()
    assert Rotation.from_matrix(turn).magnitude() < 0.01 * np.linalg.norm(bias * 0.1)


def test_a_camera_on_a_joint_is_where_it_is_at_each_moment(rig):
    """The head turns while the wheels stand: the camera moves all the same."""

    def head(seconds):
        return _rigid((0, 0, 2 * seconds), (0, 0, 1)) @ BODY_FROM_OPTICAL

    rig.frames.add('base_link', 'optical', head(-0.2), LAST - 100 * MS, static=False)
    for stamp in range(LAST - 50 * MS, START + 1, 50 * MS):
        rig.frames.add('base_link', 'optical', head((stamp - START) / 1e9), stamp, static=False)
    _put_wheels(rig, lambda seconds: np.eye(4), [LAST, START])
    np.testing.assert_allclose(rig.read().wheels, inverse(head(-0.1)) @ head(0), atol=1e-9)


@pytest.mark.parametrize(
    ('name', 'encoding', 'words'),
    [
        ('depth/image', 'rgb8', "encoding 'rgb8' is no depth"),
        ('mask', 'rgb8', "encoding 'rgb8' is no mask"),
    ],
)
def test_other_pictures_are_told_off(rig, name, encoding, words):
    rig.beside.put(name, COMPOSER.image(_header(), np.zeros((6, 8, 3), np.uint8)))
    rig.read()
    assert words in rig.said[-1]
    assert rig.said[-1].startswith(f'{name} is not used: ')


def test_wheels_with_a_broken_pose_are_told_off(rig):
    _put_wheels(rig, lambda seconds: np.eye(4), [LAST, START])
    rig.beside.latest('wheel/odometry').pose.pose.orientation.w = np.nan
    assert rig.read().wheels is None
    assert 'wheel/odometry is not used: no pose' in rig.said[-1]
