"""`dlcv bench odometry`: which sets there are, and that the tables hold what the metrics say."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dlcv.data.datasets import DatasetError
from dlcv.estimation.load import load_odometry
from dlcv.evaluation.bench import odometry as bench
from dlcv.evaluation.bench.odometry import Options, find, run
from dlcv.evaluation.bench.options import BenchError, silent
from dlcv.evaluation.bench.report import read_json, write_json
from dlcv.metrics.consistency import inside
from dlcv.metrics.trajectory import PosePairs, absolute_errors, drift, fitting_lengths
from dlcv.networks.deepvo import DeepVO, DeepVOConfig
from dlcv.networks.weights import save_network
from dlcv.types import Motion

FRAMES = 12
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
    report = run(Options(data=(folder,), sets=('drive',), weights=(weights,)), silent)
    (table,) = report.tables
    assert '1 way of 12 frames, 11.3 m in all' in table.title
    assert [row.name for row in table.rows] == [
        'straight line', 'constant velocity', 'ORB, five points', 'SIFT, five points', 'tiny',
    ]  # fmt: skip
    (way,) = find([folder])['drive'].ways
    truth = way.poses()
    assert np.allclose(truth, true_poses(), atol=1e-6)
    estimator = load_odometry(weights, device='cpu')
    found, errors, covariances = [np.eye(4)], [], []
    for i, view in enumerate(way.views()):
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
    still = bench._Run(follower=bench.StraightLine(np.eye(4)[None]))
    (way,) = find([folder])['drive'].ways
    for view in way.views():
        still.push(view)
    values = bench._values([still], [way.poses()])
    assert values[0] == pytest.approx(values[2])  # t_rel, with and without the best scale
    assert values[0] > 80


def test_a_second_run_gives_the_same_numbers(folder, weights):
    options = Options(data=(folder,), sets=('drive',), weights=(weights,), limit=6)
    first, again = (run(options, silent).tables[0] for _ in range(2))
    assert '6 frames' in first.title
    for row, other in zip(first.rows, again.rows, strict=True):
        assert row.values[:-1] == other.values[:-1]  # all but the time


def test_paths_are_drawn_where_asked_for(folder, tmp_path):
    run(Options(data=(folder,), sets=('drive',), limit=3, plots=tmp_path / 'plots'), silent)
    picture = cv2.imread(str(tmp_path / 'plots' / 'drive-0.png'))
    assert picture.shape == (720, 960, 3)


def test_worlds_are_ways_of_one_motion(monkeypatch):
    monkeypatch.setattr(bench, '_SIZE', (64, 48))
    monkeypatch.setattr(bench, '_WAYS', 1)
    ways = find([])['world-car']
    assert len(ways.ways) == 1
    view, poses = next(ways.ways[0].views()), ways.ways[0].poses()
    assert np.array_equal(view.world_from_camera, poses[0])
    assert (view.frame.width, view.frame.height) == (64, 48)
    speed = np.linalg.norm(np.diff(poses[:, :3, 3], axis=0), axis=1).mean() * 10
    assert speed > 1  # a car


def test_what_cannot_be_measured_is_refused(folder, tmp_path):
    with pytest.raises(BenchError, match=r"no set 'kitti'; there are world-walk, .*, drive"):
        run(Options(data=(folder,), sets=('kitti',)), silent)
    with pytest.raises(BenchError, match='already a set drive'):
        find([folder, folder])
    with pytest.raises(BenchError, match='2 frames or more, got 1'):
        Options(limit=1)
    (folder / 'groundtruth.txt').unlink()
    with pytest.raises(DatasetError, match=r'0 of its 12 pictures have a true pose.*groundtruth='):
        find([folder])
    with pytest.raises(DatasetError, match='is no recording folder: looked for'):
        (tmp_path / 'empty').mkdir()
        find([Path(tmp_path / 'empty')])
