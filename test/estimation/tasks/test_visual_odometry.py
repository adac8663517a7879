"""Visual odometry as a task: one odom frame with its estimator, found, lost, interrupted."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from threading import Timer
from time import monotonic
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dlcv.data.bags.vocabulary import COMPOSER
from dlcv.estimation.body import standing
from dlcv.estimation.tasks.odometry import MOUNT_PATIENCE
from dlcv.estimation.tasks.visual_odometry import INFO, LANDMARKS, TRACKS, VisualOdometryTask
from dlcv.geometry.frames import BODY_FROM_OPTICAL, TransformBuffer
from dlcv.interface.messages import points_of
from dlcv.interface.nodes import VISUAL_ODOMETRY
from dlcv.interface.odometry_parameters import VisualOdometryParameters
from dlcv.interface.parameters import ParameterError
from dlcv.types import Camera, DepthMap, Frame

CAMERA = Camera(width=64, height=48, fx=50.0, fy=50.0, cx=31.5, cy=23.5)
STEP = 10**8
START = 10**9
SEAT = np.eye(4)
SEAT[:3, 3] = 0.5, 0, 1.2
SEAT = SEAT @ BODY_FROM_OPTICAL


@dataclass
class _Host:
    parameters: VisualOdometryParameters = field(default_factory=VisualOdometryParameters)
    sent: list = field(default_factory=list)
    verdict: object = None
    said: list = field(default_factory=list)

    def wanted(self, name):
        return True

    def send(self, name, message):
        self.sent.append((name, message))

    def judge(self, condition):
        self.verdict = condition

    def warn(self, text):
        self.said.append(text)

    complain = warn


@pytest.fixture
def task_of(drive):
    def make(*lost, state='tracking', **parameters):
        host = _Host(VisualOdometryParameters(**parameters))
        task = VisualOdometryTask(host, COMPOSER)
        task.estimator = drive(*lost, state=state)
        task.frames.add('base_link', 'optical', SEAT)
        task.beside.patient = False
        task.configure()
        task.reset()
        return task

    return make


def _frame(index):
    image = np.zeros((48, 64, 3), np.uint8)
    return Frame(stamp_ns=START + index * STEP, image=image, camera=CAMERA, frame_id='optical')


def _run(task, indices):
    return [_answer(task, _frame(index)) for index in indices]


def _answer(task, frame):
    task.gather(frame)
    result = task.infer(frame)
    task.tell(frame)
    return result


def _last(task, name):
    return [message for sent, message in task.host.sent if sent == name][-1]


def _told(task):
    return {pair.key: pair.value for pair in _last(task, INFO).values}


def test_the_body_goes_where_the_camera_goes(task_of):
    states = _run(task_of(), range(4))
    assert [s.odom_from_base[0, 3] for s in states] == pytest.approx([0, 0.5, 1, 1.5])
    np.testing.assert_allclose(states[-1].twist, [5, 0, 0, 0, 0, 0], atol=1e-9)


def test_the_estimator_shares_the_odom_frame(task_of):
    task = task_of()
    state = _run(task, range(3))[-1]
    np.testing.assert_allclose(task.estimator.odom_from_camera, state.odom_from_base @ SEAT)


def test_covariance_is_the_estimators_at_the_body(task_of, drive):
    """A turn of the camera by dr moves a base that sits l away by dr x l."""
    task = task_of()
    state = _run(task, range(3))[-1]
    camera = task.estimator.pose_covariance
    assert np.diag(camera)[3:] == pytest.approx(2 * np.diag(drive.spread)[3:], rel=1e-3)
    x, _, z = -SEAT[:3, 3]
    np.testing.assert_allclose(state.covariance[3:, 3:], camera[3:, 3:], atol=1e-9)
    assert state.covariance[1, 1] == pytest.approx(
        camera[1, 1] + camera[5, 5] * x**2 + camera[3, 3] * z**2, abs=1e-8
    )


def test_a_covariance_that_stays_does_not_add_up(task_of):
    """The estimator knows that an error of the scale is one: its word counts, not the sum."""
    task = task_of()
    _run(task, range(2))
    task.estimator.spread = np.zeros((6, 6))
    before, after = (s.covariance for s in _run(task, range(2, 4)))
    np.testing.assert_allclose(after, before, atol=1e-9)


def test_lost_is_said_at_once_and_nothing_is_published(task_of):
    task = task_of(2, 3)
    assert [s is not None for s in _run(task, range(5))] == [True, True, False, False, True]
    states = [m.message for name, m in task.host.sent if name == INFO]
    assert states == ['starting', 'tracking', 'lost: fog', 'lost: fog', 'tracking']
    levels = [int(m.level) for name, m in task.host.sent if name == INFO]
    assert levels == [0, 0, 2, 2, 0]
    assert task.host.verdict is None


def test_while_lost_the_diagnostics_say_why(task_of):
    task = task_of(1)
    _run(task, range(2))
    assert (task.host.verdict.level, task.host.verdict.text) == (2, 'lost: fog')


def test_inflate_holds_the_pose_without_trust(task_of):
    task = task_of(3, 4, lost_policy='inflate')
    states = _run(task, range(6))
    x = [s.odom_from_base[0, 3] for s in states]
    assert x == pytest.approx([0, 0.5, 1, 1, 1, 1.5])
    for lost in states[3:5]:
        assert (np.diag(lost.covariance) >= 1).all()  # the estimator's word
        assert np.linalg.eigvalsh(lost.covariance)[0] > 0
        assert lost.twist_covariance[0, 0] == pytest.approx(40.0**2)


def test_info_tells_what_is_known(task_of):
    task = task_of()
    _run(task, range(2))
    assert _told(task) == {
        'stamp': '1.100000000', 'state': 'tracking', 'matches': '120', 'inliers': '90',
        'scale_source': 'wheels', 'scale': '1.25', 'scale_stddev': '0.02', 'reason': '', 'used': '',
    }  # fmt: skip


def test_landmarks_are_in_the_odom_frame(task_of):
    task = task_of()
    _run(task, range(3))
    cloud = _last(task, LANDMARKS)
    assert cloud.header.frame_id == 'odom'
    (point,) = points_of(cloud)
    assert [point[n] for n in ('x', 'y', 'z', 'stddev')] == pytest.approx([1, 2, 3, 0.1])


def test_tracks_are_drawn(task_of):
    task = task_of()
    _run(task, range(2))
    picture = _last(task, TRACKS)
    assert (picture.encoding, picture.width, picture.height) == ('rgb8', 64, 48)
    assert np.asarray(picture.data).any()


def test_a_reset_leads_to_the_origin(task_of):
    task = task_of()
    _run(task, range(3))
    task.estimator.reset()
    task.reset()
    states = _run(task, range(3, 5))
    assert [s.odom_from_base[0, 3] for s in states] == pytest.approx([0, 0.5])
    np.testing.assert_allclose(task.estimator.odom_from_camera, states[-1].odom_from_base @ SEAT)


def test_an_interruption_goes_on_where_it_was_and_costs_trust(task_of):
    task = task_of()
    before = _run(task, range(3))[-1]
    task.estimator.reset()
    task.interrupt()
    first, after = _run(task, range(5, 7))
    assert first is None
    assert after.odom_from_base[0, 3] == pytest.approx(1.5)
    grown = np.sqrt(after.covariance[0, 0]) - np.sqrt(before.covariance[0, 0])
    assert grown == pytest.approx(5 * 0.3, rel=0.05)  # 5 m/s, 0.3 s
    np.testing.assert_allclose(task.estimator.odom_from_camera, after.odom_from_base @ SEAT)


def test_a_given_pose_is_the_estimators_too(task_of):
    task = task_of()
    _run(task, range(2))
    given = np.eye(4)
    given[:3, :3] = Rotation.from_euler('z', np.pi / 2).as_matrix()
    given[:3, 3] = 10, 20, 0
    task.continue_from(given, np.eye(6) * 0.25)
    state = _run(task, range(2, 3))[-1]
    assert state.odom_from_base[:3, 3] == pytest.approx([10, 20.5, 0])
    np.testing.assert_allclose(task.estimator.odom_from_camera, state.odom_from_base @ SEAT)
    np.testing.assert_allclose(np.diag(state.covariance)[:3], 0.25, rtol=0.01)


def test_an_earlier_pose_is_gone_on_from(task_of):
    task = task_of()
    pose = np.eye(4)
    pose[0, 3] = 7
    task.go_on(lambda stamp: standing(stamp - STEP, pose))
    states = _run(task, range(2))
    assert [s.odom_from_base[0, 3] for s in states] == pytest.approx([7, 7.5])
    np.testing.assert_allclose(task.estimator.odom_from_camera, states[-1].odom_from_base @ SEAT)


def test_two_d_mode_keeps_the_body_on_the_ground(task_of):
    task = task_of(two_d_mode=True)
    task.frames.add('base_link', 'optical', SEAT @ np.diag((1.0, -1, -1, 1)))  # looks back
    state = _run(task, range(3))[-1]
    assert state.odom_from_base[:3, 3] == pytest.approx([-1, 0, 0])
    assert np.diag(state.covariance)[[2, 3, 4]] == pytest.approx([1e-9] * 3)


def test_a_camera_on_a_joint_does_not_move_the_body(task_of):
    """A camera that is turned on a body that stands moves by the joint alone."""

    task = task_of()

    def seat(index):
        turned = np.eye(4)
        turned[:3, :3] = Rotation.from_euler('z', 0.2 * index).as_matrix()
        return turned @ SEAT

    for index in range(4):
        stamp = START + index * STEP
        task.frames.add('base_link', 'optical', seat(index), stamp, static=False)
    push = task.estimator.push

    def looks(frame, aids):
        answer = push(frame, aids)
        index = (frame.stamp_ns - START) // STEP
        if answer is None:
            return None
        turn = np.linalg.solve(seat(index - 1), seat(index))
        task.estimator.odom_from_camera = task.estimator.odom_from_camera @ turn
        return replace(answer, previous_from_current=turn)

    task.estimator.push = looks
    for state in _run(task, range(4)):
        np.testing.assert_allclose(state.odom_from_base, np.eye(4), atol=1e-9)


def test_in_mode_topic_images_without_keypoints_are_passed_by(task_of):
    task = task_of(keypoints='topic')
    assert _run(task, range(3)) == [None] * 3
    assert task.estimator.frames == []
    assert task.host.sent == []
    assert task.values()['passed_by'] == '3'


def test_the_newest_image_whose_keypoints_have_come_is_next(task_of):
    task = task_of(network_patience=0.5)
    task.beside.patient = True
    stamps = [START + index * STEP for index in range(4)]
    assert task.chooses
    assert task.choose(stamps, 0.0) == 3  # nobody has sent any so far
    second = SimpleNamespace(sec=stamps[1] // 10**9, nanosec=stamps[1] % 10**9)
    task.beside.put('keypoints', SimpleNamespace(header=SimpleNamespace(stamp=second)))
    assert task.choose(stamps, 0.0) == 1
    assert task.choose(stamps[2:], 0.0) is None  # they may be on their way
    assert task.choose(stamps[2:], 0.6) == 1  # not any more
    later = [START + 10**10, START + 10**10 + STEP]
    assert task.choose(later, 0.0) == 1  # whoever sent them is silent
    assert not task_of(keypoints='own').chooses


def test_own_depth_is_estimated_now_and_then(task_of):
    class Network:
        def push(self, frame):
            made = np.ones((6, 8), np.float32)
            return DepthMap(stamp_ns=frame.stamp_ns, disparity=made, depth=made, camera=CAMERA)

    task = task_of(depth_source='own')
    task._network = Network()
    _run(task, range(11))
    depths = [aids.depth for aids in task.estimator.aids]
    assert [k for k, depth in enumerate(depths) if depth is not None] == [0, 5, 10]
    assert task.estimator.aids[0].depth_source == 'network'


def test_a_change_of_what_the_metre_comes_from_is_said_now_and_then(task_of):
    task = task_of()
    sources = iter(['wheels'] * 3 + ['stereo', 'wheels'] * 60)
    tracked = task.estimator._tracked
    task.estimator._tracked = lambda *args, **more: replace(
        tracked(*args, **more), scale_source=next(sources)
    )
    _run(task, range(102))  # 10 s
    said = [text for text in task.host.said if text.startswith('the metre')]
    assert said == [
        'the metre comes from: wheels (before: none)',
        'the metre comes from: stereo (before: wheels)',
    ]


def test_diagnostics_tell_of_scale_and_tracking(task_of):
    task = task_of()
    _run(task, range(2))
    values = task.values()
    assert (values['tracking'], values['scale_source'], values['scale']) == (
        'tracking', 'wheels', '1.25',
    )  # fmt: skip


@pytest.mark.parametrize(
    ('parameters', 'heard'),
    [
        ({}, {'keypoints', 'right', 'depth', 'wheel', 'imu', 'mask'}),
        ({'keypoints': 'own'}, {'right', 'depth', 'wheel', 'imu', 'mask'}),
        ({'scale_source': 'none'}, {'keypoints', 'imu', 'mask'}),
        ({'scale_source': 'wheels'}, {'keypoints', 'wheel', 'imu', 'mask'}),
        ({'scale_source': 'stereo'}, {'keypoints', 'right', 'imu', 'mask'}),
        ({'scale_source': 'network'}, {'keypoints', 'depth', 'imu', 'mask'}),
        ({'depth_source': 'own'}, {'keypoints', 'right', 'wheel', 'imu', 'mask'}),
        ({'camera_height': 1.5}, {'keypoints', 'right', 'wheel', 'imu', 'mask'}),
    ],
)
def test_what_is_of_no_use_is_not_listened_to(task_of, parameters, heard):
    task = task_of(**parameters)
    topics = filter(task.listens, task.beside.topics.values())
    assert {topic.name.partition('/')[0] for topic in topics} == heard
    assert task.beside.topics.keys() == {t.name for t in VISUAL_ODOMETRY.inputs if t.beside}


def test_a_mask_is_read_from_its_file(task_of, tmp_path):
    path = tmp_path / 'mask.png'
    pixels = np.full((48, 64), 255, np.uint8)
    pixels[40:] = 0
    cv2.imwrite(str(path), pixels)
    task = task_of(mask=str(path))
    _run(task, range(1))
    np.testing.assert_array_equal(task.estimator.aids[0].mask, pixels != 0)


@pytest.mark.parametrize('content', [None, b'no picture'])
def test_a_mask_that_is_none_is_refused(task_of, tmp_path, content):
    path = tmp_path / 'mask.png'
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=r'mask: .*mask.png: (no such file|is no image)'):
        task_of(mask=str(path))


@pytest.mark.parametrize(
    ('values', 'words'),
    [
        ({'scale_source': 'camera_height'}, 'camera_height: scale_source camera_height needs it'),
        ({'scale_source': 'depth'}, "depth_source: scale_source depth needs 'camera'"),
        ({'scale_source': 'network', 'depth_source': 'camera'}, "needs 'network' or 'own'"),
    ],
)
def test_a_source_of_scale_needs_what_it_is_made_of(values, words):
    with pytest.raises(ParameterError, match=words):
        VisualOdometryParameters(**values)


def test_a_camera_that_is_found_to_sit_elsewhere_has_not_moved(task_of):
    """The transform comes late, as after the start of a robot: the body does not jump."""
    task = task_of()
    task.frames = task.mount._buffer = TransformBuffer()
    before = _run(task, range(2))[-1].odom_from_base
    task.frames.add('base_link', 'optical', SEAT @ np.diag((1.0, -1, -1, 1)))  # it looks back
    after = _run(task, range(2, 4))[-1].odom_from_base
    assert before[0, 3] == pytest.approx(0.5)
    assert after[:3, 3] == pytest.approx([-0.5, 0, 0])
    seat = SEAT @ np.diag((1.0, -1, -1, 1))
    np.testing.assert_allclose(task.estimator.odom_from_camera, after @ seat, atol=1e-9)


@pytest.mark.parametrize('late', [0.05, None])
def test_the_joint_of_a_camera_is_waited_for(task_of, late):
    task = task_of()
    task.beside.patient = True
    for index in range(2):
        stamp = START + index * STEP
        task.frames.add('base_link', 'optical', SEAT, stamp, static=False)
    _run(task, range(2))
    begin = monotonic()
    moved = SEAT.copy()
    moved[2, 3] += 1
    arguments = ('base_link', 'optical', moved, START + 2 * STEP)
    if late:
        Timer(late, partial(task.frames.add, *arguments, static=False)).start()
    task.gather(_frame(2))
    assert monotonic() - begin >= (late or MOUNT_PATIENCE)
    assert task.base_from_camera(_frame(2))[2, 3] == pytest.approx(SEAT[2, 3] + bool(late))
