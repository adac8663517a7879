"""`dlcv bench odometry`: which sets there are, and that the tables hold what the metrics say."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dlcv.data.datasets import DatasetError
from dlcv.estimation import load
from dlcv.estimation.base import Origin
from dlcv.estimation.load import load_odometry
from dlcv.estimation.visual_odometry import VisualOdometrySettings
from dlcv.evaluation.bench import odometry as bench
from dlcv.evaluation.bench import odometry_ways
from dlcv.evaluation.bench.odometry import Options, run
from dlcv.evaluation.bench.odometry_followers import Classic, Estimated
from dlcv.evaluation.bench.odometry_methods import AIDS, seen
from dlcv.evaluation.bench.odometry_units import in_metres, pairs_of, units_of
from dlcv.evaluation.bench.odometry_ways import MEASURED, DepthCamera, find
from dlcv.evaluation.bench.options import BenchError, silent
from dlcv.evaluation.bench.report import read_json, write_json
from dlcv.metrics.baselines.odometry import StraightLine
from dlcv.metrics.consistency import inside
from dlcv.metrics.trajectory import PosePairs, absolute_errors, drift, fitting_lengths
from dlcv.networks.deepvo import DeepVO, DeepVOConfig
from dlcv.networks.weights import save_network
from dlcv.types import Lost, Motion, Tracking

FRAMES = 12
NO_PICTURES = 'line,velocity,points,tiny'
CAMERA = """\
image_width: 64
image_height: 48
camera_matrix: {rows: 3, cols: 3, data: [60.0, 0.0, 31.5, 0.0, 60.0, 23.5, 0.0, 0.0, 1.0]}
distortion_model: plumb_bob
distortion_coefficients: {rows: 1, cols: 5, data: [0.0, 0.0, 0.0, 0.0, 0.0]}
"""


def true_poses():
    made = np.tile(np.eye(4), (FRAMES, 1, 1))
    for i in range(FRAMES):
        made[i, :3, :3] = Rotation.from_euler('y', 0.02 * i).as_matrix()
        made[i, :3, 3] = (0.02 * i**2, 0.0, 1.0 * i)
    return made


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / 'drive'
    (root / 'rgb').mkdir(parents=True)
    rng = np.random.default_rng(0)
    lines = []
    for i, pose in enumerate(true_poses()):
        blocks = rng.integers(0, 256, (12, 16, 3), np.uint8)
        picture = blocks.repeat(4, axis=0).repeat(4, axis=1)
        assert cv2.imwrite(str(root / 'rgb' / f'{i:02d}.png'), picture)
        turn = Rotation.from_matrix(pose[:3, :3]).as_quat()
        lines.append(' '.join(f'{v:.9f}' for v in (0.1 * i, *pose[:3, 3], *turn)))
    (root / 'groundtruth.txt').write_text('\n'.join(lines) + '\n')
    (root / 'camera.yaml').write_text(CAMERA)
    return root


@pytest.fixture
def weights(tmp_path):
    config = DeepVOConfig(
        input_size=(64, 64), width=1 / 16, memory=8, labels='pair', sequence='stateful'
    )
    network = DeepVO(config).eval()
    network.get_parameter('linear.weight').data.mul_(0.01)
    return save_network(network, tmp_path / 'tiny.safetensors', trained=True)


def test_the_tables_hold_what_the_metrics_say(folder, weights, tmp_path):
    report = run(
        Options(data=(folder,), sets=('drive',), weights=(weights,), methods=NO_PICTURES), silent
    )
    table, judged = report.tables
    assert '1 way of 12 frames, 11.3 m in all' in table.title
    assert [row.name for row in table.rows] == [
        'straight line', 'constant velocity', 'ORB, five points', 'SIFT, five points', 'tiny',
    ]  # fmt: skip
    assert judged.value('tiny, motions', 'counted') == FRAMES - 1
    assert judged.value('tiny, poses after 10', 'counted') == 1
    assert len(judged.rows) == 2  # no pose comes 50 frames after another
    options = Options(
        data=(folder,), sets=('drive',), weights=(weights,), methods='tiny', horizon=3
    )
    _, short = run(options, silent).tables
    assert short.value('tiny, poses after 3', 'counted') == 3
    (way,) = find([folder])['drive'].ways
    truth = way.poses()
    assert np.allclose(truth, true_poses(), atol=1e-6)
    estimator = load_odometry(weights, device='cpu')
    found, errors, covariances = [np.eye(4)], [], []
    for i, view in enumerate(way.views(False)):
        answer = estimator.push(view.frame)
        if isinstance(answer, Motion):
            motion = answer.previous_from_current
            found.append(found[-1] @ motion)
            true = np.linalg.inv(truth[i - 1]) @ truth[i]
            turn = Rotation.from_matrix(motion[:3, :3] @ true[:3, :3].T).as_rotvec()
            errors.append([*(motion - true)[:3, 3], *turn])
            covariances.append(answer.covariance)
    assert len(found) == FRAMES
    pairs = PosePairs(stamps_ns=np.arange(FRAMES), estimate=np.stack(found), truth=truth)
    wanted = drift(pairs, fitting_lengths(pairs))
    assert table.value('tiny', 't_rel') == pytest.approx(wanted.t_rel, rel=1e-9)
    assert table.value('tiny', 'r_rel') == pytest.approx(wanted.r_rel, rel=1e-9)
    assert table.value('tiny', 'ATE') == pytest.approx(absolute_errors(pairs, 'se3').rmse)
    assert table.value('tiny', 'ATE, Sim3') == pytest.approx(absolute_errors(pairs, 'sim3').rmse)
    assert table.value('tiny', 'RPE') == pytest.approx(
        100 * np.sqrt(np.mean(np.sum(np.square(np.array(errors)[:, :3]), axis=1))), rel=1e-6
    )
    share = 100 * inside(np.array(errors), np.stack(covariances))
    assert table.value('tiny', 'in 95 %') == pytest.approx(share)
    assert table.value('tiny', 'lost') == 0
    assert table.value('straight line', 'lost') is None
    assert table.value('straight line', 'ATE') < table.value('constant velocity', 'ATE') + 1
    assert list(report.environment.files) == ['tiny.safetensors']
    write_json(report, tmp_path / 'report.json')
    assert read_json(tmp_path / 'report.json') == report


def test_an_estimate_without_motion_has_no_scale_to_divide_by(folder):
    still = Classic(StraightLine(np.eye(4)[None]))
    (way,) = find([folder])['drive'].ways
    for view in way.views(False):
        still.push(view)
    values = bench._values([still], [way.poses()], {})
    assert values[0] == pytest.approx(values[2])  # t_rel, with and without the best scale
    assert values[0] > 80


def test_a_second_run_gives_the_same_numbers(folder, weights):
    options = Options(
        data=(folder,), sets=('drive',), weights=(weights,), limit=6, methods=NO_PICTURES
    )
    first, again = (run(options, silent).tables[0] for _ in range(2))
    assert '6 frames' in first.title
    for row, other in zip(first.rows, again.rows, strict=True):
        assert row.values[:-1] == other.values[:-1]  # all but the time


def test_paths_are_drawn_where_asked_for(folder, tmp_path):
    run(
        Options(data=(folder,), sets=('drive',), limit=3, plots=tmp_path / 'plots', methods='line'),
        silent,
    )
    picture = cv2.imread(str(tmp_path / 'plots' / 'drive-0.png'))
    assert picture.shape == (720, 960, 3)


@pytest.mark.slow
def test_worlds_are_ways_of_one_motion(monkeypatch):
    monkeypatch.setattr(odometry_ways, 'SIZE', (64, 48))
    monkeypatch.setattr(odometry_ways, 'WAYS', 1)
    ways = find([])['world-car']
    assert len(ways.ways) == 1
    view, poses = next(ways.ways[0].views(False)), ways.ways[0].poses()
    assert np.array_equal(view.world_from_camera, poses[0])
    assert (view.frame.width, view.frame.height) == (64, 48)
    speed = np.linalg.norm(np.diff(poses[:, :3, 3], axis=0), axis=1).mean() * 10
    assert speed > 1  # a car


class Told:
    """Visual odometry that knows the truth of its frames, in another unit, and what it was told."""

    origin = Origin()
    unit = 1.0

    def __init__(self, poses):
        self._poses = poses
        self.settings = VisualOdometrySettings()
        self.tracking = Tracking(stamp_ns=0, state='starting')
        self.aids = []

    def reset(self):
        self._count = 0
        self.set_pose(np.eye(4))

    def set_pose(self, pose, covariance=None):
        self.odom_from_camera = np.array(pose)
        self.pose_covariance = np.zeros((6, 6)) if covariance is None else covariance

    def push(self, frame, aids):
        self.aids.append((self.settings, aids))
        here = self._count = self._count + 1
        state = 'starting' if here == 1 else 'standing' if here == 2 else 'tracking'
        self.tracking = Tracking(stamp_ns=frame.stamp_ns, state=state)
        self._last, last = frame.stamp_ns, getattr(self, '_last', 0)
        if here == 1:
            return None
        motion = np.linalg.inv(self._poses[here - 2]) @ self._poses[here - 1]
        motion[:3, 3] *= self.unit
        self.set_pose(self.odom_from_camera @ motion, self.pose_covariance + 0.01 * np.eye(6))
        if here == 3:
            return Lost(stamp_ns=frame.stamp_ns, previous_stamp_ns=last, reason='told so',
                        odom_from_camera=self.odom_from_camera,
                        pose_covariance=self.pose_covariance)  # fmt: skip
        return Motion(stamp_ns=frame.stamp_ns, previous_stamp_ns=last,
                      previous_from_current=motion, odom_from_camera=self.odom_from_camera,
                      covariance=0.01 * np.eye(6))  # fmt: skip


def test_every_row_of_visual_odometry_is_helped_as_it_says(monkeypatch):
    monkeypatch.setattr(odometry_ways, 'SIZE', (64, 48))
    monkeypatch.setattr(odometry_ways, 'WAYS', 1)
    (way,) = find([])['world-car'].ways
    made = [Told(way.poses()) for _ in AIDS]
    made[0].unit = 0.2
    hand_out = iter(made)
    monkeypatch.setattr(load, 'load_visual_odometry', lambda **_: next(hand_out))
    options = Options(sets=('world-car',), limit=14, methods='visual_odometry')
    table, judged = run(options, silent).tables
    rows = [f'visual_odometry, {aid}' for aid in AIDS]
    assert [row.name for row in table.rows] == rows
    for row in rows:
        assert table.value(row, 'standing') == pytest.approx(100 / 14)
        assert table.value(row, 'lost') == pytest.approx(100 / 14)
        assert table.value(row, 'stretches') == 2  # before and after it was lost
        assert table.value(row, 't_rel, scaled') == pytest.approx(0, abs=1e-6)
        assert table.value(row, 'in 95 %') == 100
        assert judged.value(f'{row}, poses after 10', 'in 95 %') == 100
        assert judged.value(f'{row}, motions', 'counted') == 12  # none to the first, one is lost
        assert judged.value(f'{row}, motions', 'NEES') == pytest.approx(0, abs=1e-9)
    steps = np.linalg.norm(np.diff(way.poses()[:14, :3, 3], axis=0), axis=1)
    short = 100 * (1 - made[0].unit) * np.sqrt(np.mean(steps**2))
    assert table.value(rows[0], 'RPE') == pytest.approx(short)
    heights = way.poses()[:, 2, 3]
    for estimator, aid in zip(made, AIDS, strict=True):
        settings, aids = estimator.aids[-1]
        assert settings.scale_source == aid
        assert len(aids.keypoints.xy)
        height = heights.mean() if aid == 'camera_height' else 0  # over the road, whose z is 0
        assert settings.camera_height == pytest.approx(height)
        assert (aids.depth is not None) == (aid in {'depth', 'network'})
        assert aids.depth_source == ('network' if aid == 'network' else 'camera')
        assert (aids.right is not None) == (aids.baseline > 0) == (aid == 'stereo')


def test_a_unit_counts_as_far_as_one_motion_follows_another():
    """Exact but for the unit, which is another one after the camera was lost, off to the side."""
    truth = np.concatenate([true_poses(), true_poses()[-1] @ true_poses()])
    units = np.where(np.arange(len(truth)) < 14, 0.2, 3.0)
    told = SimpleNamespace(reset=lambda: None, set_pose=lambda _: None, odom_from_camera=np.eye(4),
                           pose_covariance=np.zeros((6, 6)))  # fmt: skip
    way = Estimated(told, len(truth), (5,), metric=False)
    for i, pose in enumerate(truth):
        frame = SimpleNamespace(stamp_ns=i)
        motion = np.linalg.inv(truth[i - 1]) @ pose
        motion[:3, 3] *= units[i]
        answer = None
        if i == 13:
            answer = Lost(
                stamp_ns=i,
                previous_stamp_ns=i - 1,
                reason='told so',
                odom_from_camera=told.odom_from_camera,
                pose_covariance=np.eye(6),
            )
        elif i:
            told.odom_from_camera = told.odom_from_camera @ motion
            answer = Motion(
                stamp_ns=i,
                previous_stamp_ns=i - 1,
                previous_from_current=motion,
                odom_from_camera=told.odom_from_camera,
                covariance=np.eye(6),
            )
        way.take(SimpleNamespace(frame=frame, world_from_camera=pose), answer)
    assert (way.stretches, way.lost) == (2, 1)
    pairs = pairs_of(np.stack(way.poses), truth)
    found = units_of(pairs, way.parts)
    np.testing.assert_allclose([found[0], found[1]], [5, 1 / 3])
    beliefs = way.beliefs(found)
    assert {what: len(of) for what, of in beliefs.items()} == {'motions': 22, 'poses after 5': 3}
    for of in beliefs.values():
        np.testing.assert_allclose(of.errors, 0, atol=1e-9)
    steps, true = (
        np.diff(p[:, :3, 3], axis=0) for p in (in_metres(pairs, way.parts).estimate, truth)
    )
    lengths, wanted = (np.linalg.norm(of, axis=1) for of in (steps, true))
    np.testing.assert_allclose(lengths, np.where(np.arange(1, 24) == 13, 0, wanted), atol=1e-9)


def test_a_depth_camera_is_off_by_its_share_steps_and_ends():
    true = np.array([[1.0, 2.0, 9.9], [11.0, np.inf, np.nan]])
    exact = seen(true, DepthCamera(share=0.0, step=0.3, farthest=10.0), np.random.default_rng(0))
    np.testing.assert_allclose(exact, [[0.9, 2.1, 9.9], [np.nan] * 3], rtol=1e-6)
    flat = np.full((200, 200), 5.0)
    noisy = seen(flat, DepthCamera(share=0.02), np.random.default_rng(0))
    assert noisy.std() == pytest.approx(0.1, rel=0.05)
    assert np.array_equal(seen(flat, MEASURED, np.random.default_rng(0)), flat)


def test_a_gap_in_a_folder_ends_a_way(folder):
    lines = (folder / 'groundtruth.txt').read_text().splitlines()
    late = [f'{3 + float(t):.1f} {rest}' for t, rest in (
        line.split(' ', 1) for line in lines[7:])]  # fmt: skip
    (folder / 'groundtruth.txt').write_text('\n'.join([*lines[:7], *late]) + '\n')
    for i in range(7, FRAMES):
        (folder / 'rgb' / f'{i:02d}.png').rename(folder / 'rgb' / f'{i + 30}.png')
    ways = find([folder], camera_height=1.2)['drive'].ways
    assert [way.frames for way in ways] == [7, 5]
    assert [len(list(way.views(False))) for way in ways] == [7, 5]
    np.testing.assert_allclose(ways[1].poses(), true_poses()[7:], atol=1e-6)
    assert ways[0].camera_height() == 1.2


def test_what_cannot_be_measured_is_refused(folder, tmp_path):
    with pytest.raises(BenchError, match=r"no set 'kitti'; there are world-walk, .*, drive"):
        run(Options(data=(folder,), sets=('kitti',)), silent)
    with pytest.raises(BenchError, match='already a set drive'):
        find([folder, folder])
    with pytest.raises(BenchError, match=r"no method has orb or sift.*'SIFT, five points'"):
        run(Options(methods='orb,sift'), silent)
    with pytest.raises(BenchError, match='finite camera height and truth timing >= 0'):
        Options(camera_height=-1)
    with pytest.raises(BenchError, match='2 frames or more, got 1'):
        Options(limit=1)
    (folder / 'groundtruth.txt').unlink()
    with pytest.raises(DatasetError, match=r'0 of its 12 pictures have a true pose.*groundtruth='):
        find([folder])
    with pytest.raises(DatasetError, match='is no recording folder: looked for'):
        (tmp_path / 'empty').mkdir()
        find([Path(tmp_path / 'empty')])
