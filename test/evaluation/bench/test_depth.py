"""`dlcv bench depth`: which sets there are, and that the tables hold what the metrics say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from dlcv.data.datasets import DatasetError
from dlcv.estimation.load import load_depth
from dlcv.estimation.monodepth import DepthSettings
from dlcv.evaluation.bench import depth as bench
from dlcv.evaluation.bench.depth import COLUMNS, Options, find, run
from dlcv.evaluation.bench.options import BenchError, silent
from dlcv.evaluation.bench.report import read_json, write_json
from dlcv.metrics.depth import DepthCaps, depth_errors, mean_of_pictures
from dlcv.networks.monodepth import Monodepth, MonodepthConfig
from dlcv.networks.weights import save_network

CAMERA = """\
image_width: 64
image_height: 48
camera_matrix: {rows: 3, cols: 3, data: [60.0, 0.0, 31.5, 0.0, 60.0, 23.5, 0.0, 0.0, 1.0]}
distortion_model: plumb_bob
distortion_coefficients: {rows: 1, cols: 5, data: [0.3, 0.0, 0.0, 0.0, 0.0]}
"""


@pytest.fixture
def folder(tmp_path):
    """Three pictures of 4 m on the left and of 2, 3, 6 m on the right; some of it unknown."""
    root = tmp_path / 'yard'
    for name in ('rgb', 'depth'):
        (root / name).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i, metres in enumerate((2, 3, 6)):
        blocks = rng.integers(0, 256, (12, 16, 3), np.uint8)
        picture = blocks.repeat(4, axis=0).repeat(4, axis=1)
        depth = np.full((48, 64), 4 * 256, np.uint16)
        depth[:, 32:] = metres * 256
        depth[:8] = 0
        assert cv2.imwrite(str(root / 'rgb' / f'{i}.png'), picture)
        assert cv2.imwrite(str(root / 'depth' / f'{i}.png'), depth)
    (root / 'camera.yaml').write_text(CAMERA)
    return root


@pytest.fixture
def weights(tmp_path):
    network = Monodepth(MonodepthConfig(width=1 / 16, input_size=(128, 128), baseline=0.2))
    return save_network(network, tmp_path / 'tiny.safetensors', trained=True)


def with_units(folder):
    return Path(f'{folder},depth_scale=256')


def test_the_tables_hold_what_the_metrics_say(folder, weights, tmp_path):
    options = Options(data=(with_units(folder),), sets=('yard',), weights=(weights,), cap=5)
    report = run(options, silent)
    (table,) = report.tables
    assert '3 pictures, of 3.4 m on average' in table.title
    assert [row.name for row in table.rows] == [
        f'{name}{scaled}'
        for name in ('mean depth', 'tiny', 'tiny+pp')
        for scaled in ('', ', scaled')
    ]
    caps = DepthCaps(farthest=5)
    for name, pp in (('tiny', False), ('tiny+pp', True)):
        estimator = load_depth(weights, DepthSettings(pp=pp), device='cpu')
        views = [
            (replace(v.frame, camera=replace(v.frame.camera, distortion=())), v.depth)
            for v in find([with_units(folder)])['yard'].read()
        ]
        for scaled in (False, True):
            wanted = mean_of_pictures(
                [
                    depth_errors(estimator.push(f).depth, truth, caps, median_scaling=scaled)
                    for f, truth in views
                ]
            )
            row = name + ', scaled' * scaled
            assert table.value(row, 'Abs Rel') == wanted.abs_rel
            assert table.value(row, 'Sq Rel') == wanted.sq_rel
            assert table.value(row, 'RMSE') == wanted.rmse
            assert table.value(row, 'RMSE log') == wanted.rmse_log
            assert table.value(row, '<1.25') == wanted.a1
            assert table.value(row, '<1.25^3') == wanted.a3
            assert table.value(row, 'scale') == wanted.scale
            assert table.value(row, 'time') > 0
    assert list(report.environment.files) == ['tiny.safetensors']
    write_json(report, tmp_path / 'report.json')
    assert read_json(tmp_path / 'report.json') == report


def test_the_mean_depth_is_that_of_the_set(folder):
    table = run(Options(data=(with_units(folder),), sets=('yard',)), silent).tables[0]
    mean = (4 * 3 + 2 + 3 + 6) / 6
    wanted = np.mean([(abs(mean - 4) / 4 + abs(mean - right) / right) / 2 for right in (2, 3, 6)])
    assert table.value('mean depth', 'Abs Rel') == pytest.approx(wanted, rel=1e-6)
    assert table.value('mean depth', 'scale') == 1
    assert table.value('mean depth, scaled', 'scale') != 1


def test_a_second_run_gives_the_same_numbers(folder, weights):
    options = Options(data=(with_units(folder),), sets=('yard',), weights=(weights,), limit=2)
    first, again = (run(options, silent).tables[0] for _ in range(2))
    assert '2 pictures' in first.title
    for row, other in zip(first.rows, again.rows, strict=True):
        assert row.values[:-1] == other.values[:-1]  # all but the time


def test_the_world_has_its_exact_depth(monkeypatch):
    monkeypatch.setattr(bench, 'WORLD', replace(bench.WORLD, count=2, per_world=2, size=(64, 48)))
    table = run(Options(), silent).table('world')
    names = ('mean depth', 'monodepth', 'monodepth+pp')
    assert [row.name for row in table.rows] == [
        f'{name}{scaled}' for name in names for scaled in ('', ', scaled')
    ]
    assert 0 < table.value('mean depth', 'Abs Rel') < 5


def test_the_motorcycle_is_recognised(tmp_path):
    picture = np.random.default_rng(1).integers(0, 256, (500, 741, 3), np.uint8)
    assert cv2.imwrite(str(tmp_path / 'motorcycle_left.png'), picture)
    disparity = np.full((500, 741), 50, np.float32)
    disparity[:100] = np.inf
    np.savez(tmp_path / 'motorcycle_disp.npz', disparity)
    (view,) = find([tmp_path])['motorcycle'].read()
    assert np.array_equal(view.frame.image, picture[..., ::-1])
    assert np.isnan(view.depth[:100]).all()
    assert view.depth[200, 300] == pytest.approx(994.978 * 0.193001 / (50 + 31.086), rel=1e-6)


def test_what_cannot_be_measured_is_refused(folder):
    with pytest.raises(
        DatasetError, match=r'yard: none of its 3 pictures has a depth.*depth_scale'
    ):
        find([folder])
    with pytest.raises(DatasetError, match=r"expected DIR,NAME=VALUE.*got 'scale=3'"):
        find([Path(f'{folder},scale=3')])
    with pytest.raises(DatasetError, match='depth_scale'):
        find([Path(f'{folder},depth_scale=many')])
    with pytest.raises(BenchError, match='already a set yard'):
        find([with_units(folder), with_units(folder)])
    with pytest.raises(BenchError, match="no set 'nyu'; there are world, yard"):
        run(Options(data=(with_units(folder),), sets=('nyu',)), silent)
    (folder / 'camera.yaml').unlink()
    with pytest.raises(DatasetError, match='not calibrated'):
        find([with_units(folder)])


@pytest.mark.parametrize('wrong', [{'cap': 0.0}, {'crop': 'middle'}])
def test_impossible_caps_are_refused(wrong):
    with pytest.raises(BenchError, match='none, garg, eigen'):
        Options(**wrong)


def test_columns_are_those_of_eigen():
    assert [column.name for column in COLUMNS][:7] == [
        'Abs Rel', 'Sq Rel', 'RMSE', 'RMSE log', '<1.25', '<1.25^2', '<1.25^3',
    ]  # fmt: skip


@pytest.mark.parametrize(
    ('scale', 'there'), [(1, '512 to 1536 m'), (1e7, '5.12e-05 to 0.0001536 m')]
)
def test_units_that_leave_no_pixel_in_range_are_an_error(folder, scale, there):
    options = Options(data=(Path(f'{folder},depth_scale={scale}'),), sets=('yard',), cap=80)
    with pytest.raises(
        BenchError, match=rf'no pixel has a true depth between .*{there}.*depth_scale'
    ):
        run(options, silent)
