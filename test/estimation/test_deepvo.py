"""OdometryEstimator: conventions, memory, being lost, uncertainty, the training camera."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch import nn

from dlcv.estimation.deepvo import (
    OdometryEstimator,
    OdometrySettings,
    last_of_window,
)
from dlcv.geometry.euler import euler_to_matrix
from dlcv.geometry.trajectory import extent
from dlcv.networks.deepvo import DeepVO, DeepVOConfig
from dlcv.networks.losses.deepvo import motions, pair_labels, window_labels
from dlcv.types import Camera, Lost, Motion

CONFIG = DeepVOConfig(input_size=(64, 96), sequence='stateful', labels='pair')
STEP = np.array([0.02, -0.01, 0.03, 0.1, -0.05, 0.5])  # angles first


class Script(nn.Module):
    """Answers with the vectors of a script, one for each new pair of frames."""

    def __init__(self, vectors, config=CONFIG):
        super().__init__()
        self.config = config
        self.vectors = torch.as_tensor(np.asarray(vectors), dtype=torch.float32)
        self.calls, self.clips = [], []

    def codes(self, clips):
        self.clips.append(clips)
        return torch.tensor([[[float(len(self.clips) - 1)]]])

    def recall(self, codes, memory=None):
        self.calls.append((codes.shape[1], memory))
        steps = codes[0, :, 0].long() % len(self.vectors)
        return self.vectors[steps][None], (0 if memory is None else memory) + 1


def drive(estimator, frame, count, start=0.0, dt=0.1, **more):
    return [estimator.push(frame(start + i * dt, **more)) for i in range(count)]


def scripted(vectors=(STEP,), config=CONFIG, **settings):
    return OdometryEstimator(Script(vectors, config), OdometrySettings(**settings), 'cpu')


def test_motions_are_angles_first_and_sum_up(frame):
    estimator = scripted()
    first, *rest = drive(estimator, frame, 4)
    assert first is None
    want = np.eye(4)
    want[:3, :3] = euler_to_matrix(STEP[:3])
    want[:3, 3] = STEP[3:]
    for i, motion in enumerate(rest, 1):
        np.testing.assert_allclose(motion.previous_from_current, want, atol=1e-6)
        np.testing.assert_allclose(
            motion.odom_from_camera, np.linalg.matrix_power(want, i), atol=1e-5
        )
        assert motion.stamp_ns - motion.previous_stamp_ns == 100_000_000


def test_scale_is_a_factor_on_translation(frame):
    (_, motion) = drive(scripted(scale=3.0), frame, 2)
    np.testing.assert_allclose(motion.previous_from_current[:3, 3], 3 * STEP[3:], atol=1e-6)


def test_rotations_stay_rotations_on_long_drives(frame, picture):
    estimator = scripted()
    pose = drive(estimator, frame, 500, image=picture())[-1].odom_from_camera
    np.testing.assert_allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-12)


def test_poses_handed_out_are_not_changed_later(frame):
    estimator = scripted()
    motion = drive(estimator, frame, 2)[1]
    before = motion.odom_from_camera.copy()
    drive(estimator, frame, 3, start=0.2)
    np.testing.assert_array_equal(motion.odom_from_camera, before)


def test_stateful_hands_the_memory_on(frame):
    estimator = scripted(inference_mode='stateful')
    drive(estimator, frame, 4)
    assert estimator.network.calls == [(1, None), (1, 1), (1, 2)]


def test_windowed_runs_the_last_pairs_without_memory_and_encodes_each_once(frame):
    estimator = scripted(inference_mode='windowed', sequence_length=3)
    drive(estimator, frame, 6)
    assert estimator.network.calls == [(n, None) for n in (1, 2, 3, 3, 3)]
    assert len(estimator.network.clips) == 5


def test_the_mode_is_that_of_the_weights_unless_one_is_set(frame):
    windowed = scripted(config=replace(CONFIG, sequence='windowed'), sequence_length=2)
    drive(windowed, frame, 4)
    assert [n for n, _ in windowed.network.calls] == [1, 2, 2]


@pytest.mark.parametrize('mode', ['stateful', 'windowed'])
def test_the_real_network_answers_as_on_the_whole_clip(mode, frame):
    torch.manual_seed(0)
    network = DeepVO(
        DeepVOConfig(input_size=(64, 96), width=0.0625, memory=8, labels='pair')
    ).eval()
    settings = OdometrySettings(inference_mode=mode, sequence_length=8)
    estimator = OdometryEstimator(network, settings, 'cpu')
    frames = [frame(0.1 * i, seed=i) for i in range(4)]
    found = [estimator.push(f) for f in frames][1:]
    clip = torch.stack([torch.from_numpy(f.image).permute(2, 0, 1) / 255 for f in frames])[None]
    with torch.inference_mode():
        want = motions(network(clip)[0][0].numpy())
    for motion, expected in zip(found, want, strict=True):
        pose = motion.previous_from_current if isinstance(motion, Motion) else None
        np.testing.assert_allclose(pose, expected, atol=1e-4)


def poses(count, seed=0):
    """A smooth drive that starts at identity and turns in all axes."""
    steps = np.random.default_rng(seed).normal((0.05, 0.02, 0.03, 0, 0, 1), 0.05, (count - 1, 6))
    result = [np.eye(4)]
    for step in motions(steps):
        result.append(result[-1] @ step)
    return np.stack(result)


@pytest.mark.parametrize('length', [1, 2, 5])
def test_window_labels_become_the_motion_of_the_last_pair(length):
    world_from_camera = poses(length + 1)
    found = last_of_window(window_labels(world_from_camera))
    np.testing.assert_allclose(found, motions(pair_labels(world_from_camera)[-1]), atol=1e-9)


def test_windowed_estimates_of_window_labels_give_the_drive(frame):
    world_from_camera = poses(4)
    config = replace(CONFIG, sequence='windowed', labels='window')
    estimator = scripted(window_labels(world_from_camera), config, sequence_length=8)
    found = drive(estimator, frame, 4)[-1]
    np.testing.assert_allclose(found.odom_from_camera, world_from_camera[-1], atol=1e-5)


def test_a_pause_is_named_and_odometry_goes_on_from_the_last_pose(frame):
    estimator = scripted()
    before = drive(estimator, frame, 3)[-1]
    lost = estimator.push(frame(1.5))
    assert isinstance(lost, Lost)
    assert lost.reason == 'no frame for 1.30 s; 0.5 s are allowed'
    np.testing.assert_array_equal(lost.odom_from_camera, before.odom_from_camera)
    after = estimator.push(frame(1.6))
    step = np.linalg.inv(before.odom_from_camera) @ after.odom_from_camera
    np.testing.assert_allclose(step, before.previous_from_current, atol=1e-6)
    assert estimator.network.calls[-1] == (1, None)  # the memory started anew


def test_covariance_grows_by_what_may_have_happened_in_the_gap(frame):
    estimator = scripted(twist_stddev=(0.0,) * 6)
    before = drive(estimator, frame, 3)[-1]
    lost = estimator.push(frame(2.2))  # 2 s
    assert np.linalg.eigvalsh(lost.pose_covariance - estimator.pose_covariance).min() > -1e-9
    after, later = (estimator.push(frame(t)) for t in (2.3, 2.4))
    speed = np.linalg.norm(STEP[3:]) / 0.1
    growth = (after.covariance - before.covariance)[0, 0]
    assert growth == pytest.approx((speed * 2.0) ** 2, rel=1e-3)
    np.testing.assert_allclose(later.covariance, before.covariance, rtol=1e-4)
    assert estimator.pose_covariance[0, 0] > growth


DARK = np.zeros((64, 96, 3), np.uint8)


@pytest.mark.parametrize('mode', ['stateful', 'windowed'])
def test_a_picture_that_says_nothing_loses_it_and_is_not_looked_at(mode, frame):
    estimator = scripted(inference_mode=mode)
    before = drive(estimator, frame, 3)[-1]
    calls = len(estimator.network.clips)
    lost = estimator.push(frame(0.3, DARK))
    assert isinstance(lost, Lost)
    assert lost.reason == 'the picture is black: its mean is 0 of 255'
    assert (lost.previous_stamp_ns, lost.stamp_ns) == (200_000_000, 300_000_000)
    np.testing.assert_array_equal(lost.odom_from_camera, before.odom_from_camera)
    growth = lost.pose_covariance - estimator.pose_covariance
    speed = np.linalg.norm(STEP[3:]) / 0.1
    assert np.sqrt(growth[0, 0]) == pytest.approx((speed + 0.1) * 0.1)
    assert len(estimator.network.clips) == calls

    after = estimator.push(frame(0.4))
    assert (after.previous_stamp_ns, after.stamp_ns) == (200_000_000, 400_000_000)
    length, memory = estimator.network.calls[-1]
    assert (length, memory) == ((1, 2) if mode == 'stateful' else (3, None))
    older, newer = estimator.network.clips[-1][0]
    assert torch.equal(older, newer)  # the last that spoke and this one: the same picture


def test_a_long_time_without_a_word_is_a_gap(frame):
    estimator = scripted()
    drive(estimator, frame, 3)
    dark = drive(estimator, frame, 8, start=0.3, image=DARK)
    spread = [np.trace(lost.pose_covariance) for lost in dark]
    assert (np.diff(spread) > 0).all()
    assert estimator.push(frame(1.1)).reason == 'no frame for 0.90 s; 0.5 s are allowed'
    motion = estimator.push(frame(1.2))
    assert np.trace(motion.covariance) > 0.9**2 * np.sum(np.square(STEP[3:] / 0.1))


def test_a_drive_may_begin_in_the_dark(frame):
    estimator = scripted()
    dark = drive(estimator, frame, 2, image=DARK)
    assert all(isinstance(lost, Lost) for lost in dark)
    assert np.all(dark[1].pose_covariance == 0)
    assert estimator.push(frame(0.2)) is None
    assert isinstance(estimator.push(frame(0.3)), Motion)


@pytest.mark.parametrize('to', [0.2, 0.1])
def test_time_that_does_not_advance_loses_it(frame, to):
    estimator = scripted()
    drive(estimator, frame, 3)
    assert 'time went from 200000000' in estimator.push(frame(to)).reason
    assert isinstance(estimator.push(frame(to + 0.1)), Motion)


def test_another_camera_loses_it(frame, ideal):
    estimator = scripted()
    drive(estimator, frame, 2)
    lost = estimator.push(frame(0.2, camera=ideal))
    assert lost.reason == 'the camera or its image size changed'


@pytest.mark.parametrize(
    ('vector', 'reason'),
    [
        ((0, 0, 0, 0, 0, 5.0), 'a motion of 50.0 m/s; 40 are allowed'),
        ((0.5, 0, 0, 0, 0, 0), 'a turn of 5.00 rad/s; 3.5 are allowed'),
        ((np.nan, 0, 0, 0, 0, 0), "the network's answer is not finite"),
        ((0, 0, 0, 0, np.inf, 0), "the network's answer is not finite"),
    ],
)
def test_a_motion_that_cannot_be_is_not_believed(vector, reason, frame):
    estimator = scripted((STEP, vector, STEP))
    good, bad, again = drive(estimator, frame, 4)[1:]
    assert isinstance(bad, Lost)
    assert bad.reason == reason
    np.testing.assert_allclose(bad.odom_from_camera, good.odom_from_camera)
    assert isinstance(again, Motion)
    assert again.covariance[0, 0] > good.covariance[0, 0]
    assert np.isfinite(again.odom_from_camera).all()


def test_covariance_is_the_stated_model(frame):
    floors = (0.1, 0.2, 0.3, 0.01, 0.02, 0.03)
    estimator = scripted(((0.0, 0.1, 0.0, 0, 0, 2.0),), pose_stddev_per_meter=0.05,
                         twist_stddev=floors)  # fmt: skip
    motion = drive(estimator, frame, 2)[1]
    share = np.array([0.05 * 2.0] * 3 + [0.05 * 0.1] * 3)
    want = np.square(share) + np.square(np.array(floors) * 0.1)
    np.testing.assert_allclose(motion.covariance, np.diag(want), rtol=1e-5)


@pytest.mark.parametrize('angle', [0.0, 1e-9, 0.3, 1.5, 3.0, np.pi])
def test_length_and_angle_of_a_motion(angle):
    motion = np.eye(4)
    motion[:3, :3] = Rotation.from_rotvec(angle * np.array([2, -1, 2]) / 3).as_matrix()
    motion[:3, 3] = (3, 0, -4)
    np.testing.assert_allclose(extent(motion), (5, angle), rtol=1e-6, atol=1e-12)


def test_rest_is_not_certain(frame):
    motion = drive(scripted((np.zeros(6),)), frame, 2)[1]
    assert (np.diag(motion.covariance) > 0).all()


def test_pose_covariance_agrees_with_sampled_drives(frame):
    """Monte Carlo: the same drive with each motion disturbed as its covariance says."""
    vectors = [(0.2, 0.0, 0.0, 0, 0, 1.0)] * 6
    estimator = scripted(vectors, twist_stddev=(0.2,) * 3 + (0.1,) * 3)
    found = drive(estimator, frame, 7)[1:]
    rng = np.random.default_rng(0)
    ends = np.tile(np.eye(4), (4000, 1, 1))
    for motion in found:
        errors = rng.multivariate_normal(np.zeros(6), motion.covariance, len(ends))
        step = np.tile(np.eye(4), (len(ends), 1, 1))
        turns = torch.linalg.matrix_exp(torch.from_numpy(np.cross(np.eye(3), errors[:, None, 3:])))
        step[:, :3, :3] = turns.numpy().transpose(0, 2, 1) @ motion.previous_from_current[:3, :3]
        step[:, :3, 3] = motion.previous_from_current[:3, 3] + errors[:, :3]
        ends = ends @ step
    sampled = np.cov(ends[:, :3, 3].T)
    np.testing.assert_allclose(
        np.sqrt(np.diag(estimator.pose_covariance)[:3]), np.sqrt(np.diag(sampled)), rtol=0.06
    )
    correlation = sampled[0, 2] / np.sqrt(sampled[0, 0] * sampled[2, 2])
    mine = estimator.pose_covariance
    assert mine[0, 2] / np.sqrt(mine[0, 0] * mine[2, 2]) == pytest.approx(correlation, abs=0.06)


def test_set_pose_goes_on_from_there(frame):
    estimator = scripted()
    drive(estimator, frame, 2)
    start = np.eye(4)
    start[:3, 3] = (1, 2, 3)
    estimator.set_pose(start, np.eye(6))
    motion = estimator.push(frame(0.2))
    np.testing.assert_allclose(motion.odom_from_camera, start @ motion.previous_from_current)
    assert estimator.pose_covariance[0, 0] > 1


def test_reset_forgets_the_drive(frame):
    estimator = scripted()
    drive(estimator, frame, 3)
    estimator.reset()
    np.testing.assert_array_equal(estimator.odom_from_camera, np.eye(4))
    assert estimator.push(frame(0.3)) is None


def rays_picture(camera):
    """A picture that tells the viewing ray of each pixel: x/z in red, y/z in green; blue speaks."""
    x = (np.arange(camera.width) - camera.cx) / camera.fx
    y = ((np.arange(camera.height) - camera.cy) / camera.fy)[:, None]
    image = np.zeros((camera.height, camera.width, 3))
    image[..., 0], image[..., 1] = 128 + 100 * x, 128 + 100 * y
    image[..., 2] = 128 + 100 * np.sin(60 * x) * np.sin(60 * y)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


@pytest.mark.parametrize(('width', 'height', 'fx'), [(200, 100, 120.0), (640, 480, 320.0)])
def test_the_network_sees_through_its_training_camera(frame, width, height, fx):
    camera = Camera(width=width, height=height, fx=fx, fy=1.1 * fx, cx=width / 2, cy=height / 2.2)
    config = replace(CONFIG, focal=(0.9, 1.4))
    estimator = scripted(config=config)
    for i in range(2):
        estimator.push(frame(0.1 * i, rays_picture(camera), camera))
    seen = estimator.network.clips[0][0, 0].numpy() * 255
    trained = Camera(width=96, height=64, fx=0.9 * 96, fy=1.4 * 64, cx=47.5, cy=31.5)
    want = rays_picture(trained).transpose(2, 0, 1)
    inside = seen[0] > 0
    assert inside[32, 48]
    error = np.abs(seen - want)[:2, inside]
    assert np.median(error) <= 1
    assert np.percentile(error, 95) <= 1.5


def test_without_a_known_training_camera_pictures_are_resized(frame, ideal):
    estimator = scripted()
    image = np.zeros((128, 192, 3), np.uint8)
    image[:, :96] = 255
    for i in range(2):
        estimator.push(frame(0.1 * i, image))
    seen = estimator.network.clips[0]
    assert seen.shape == (1, 2, 3, 64, 96)
    assert (seen[..., :48] == 1).all()
    assert (seen[..., 48:] == 0).all()
