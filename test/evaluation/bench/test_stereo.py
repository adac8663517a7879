"""`dlcv bench stereo`: which sets and methods there are, and that the tables hold their numbers."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

from dlcv.data.datasets import DatasetError
from dlcv.evaluation.bench import stereo_sets
from dlcv.evaluation.bench.options import BenchError, silent
from dlcv.evaluation.bench.report import read_json, write_json
from dlcv.evaluation.bench.stereo import COLUMNS, Options, classical, run
from dlcv.metrics.disparity import disparity_errors
from dlcv.networks.dispnet import DispNet, DispNetConfig
from dlcv.networks.weights import WeightsError, save_network
from dlcv.types import Camera, Frame

SHIFT = 6
SIZE = 64, 128


@pytest.fixture(autouse=True)
def no_pictures_of_the_system(monkeypatch, tmp_path):
    monkeypatch.setattr(stereo_sets, '_OPENCV_DOC', tmp_path / 'absent')


def pictures(seed=0):
    """Return a pair of which all is at one disparity."""
    height, width = SIZE
    noise = np.random.default_rng(seed).integers(0, 256, (height, width + SHIFT, 3), np.uint8)
    wide = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 1.5), None, 0, 255, cv2.NORM_MINMAX)
    return wide[:, :width], wide[:, SHIFT:]


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / 'mine' / 'yard'
    root.mkdir(parents=True)
    for name, picture in zip(('left', 'right'), pictures(), strict=True):
        assert cv2.imwrite(str(root / f'{name}.png'), picture)
    disparity = np.full(SIZE, SHIFT, np.float32)
    disparity[:20] = np.nan
    np.savez(root / 'disparity.npz', disparity=disparity)
    return root.parent


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    network = DispNet(DispNetConfig(width=1 / 16, max_disparity=16))
    return save_network(network, tmp_path / 'tiny.safetensors', trained=True)


def test_the_tables_hold_what_the_metrics_say(folder, weights, tmp_path):
    report = run(Options(data=(folder,), sets=('mine',), weights=(weights,)), silent)
    (table,) = report.tables
    assert [row.name for row in table.rows] == ['BM', 'SGBM', 'SGBM, filled', 'tiny']
    (pair,) = stereo_sets.find([folder])['mine'].read()
    for method in classical(SHIFT):
        errors = disparity_errors(method.match(pair.left, pair.right), pair.disparity)
        assert table.value(method.name, 'EPE') == errors.epe
        assert table.value(method.name, 'D1') == errors.d1
        assert table.value(method.name, 'density') == errors.density
        assert table.value(method.name, 'time') > 0
    assert table.value('SGBM', 'EPE') < 0.3
    assert table.value('tiny', 'density') == 100
    assert table.value('tiny', 'D1-noc') is None  # nobody says what is occluded
    assert '1 pairs, disparities up to 6 px' in table.title
    write_json(report, tmp_path / 'report.json')
    assert read_json(tmp_path / 'report.json') == report


def test_without_weights_the_classical_methods_are_measured_alone(folder):
    (table,) = run(Options(data=(folder,), sets=('mine',)), silent).tables
    shipped = [row.name for row in table.rows[3:]]
    assert shipped in ([], ['dispnet'])
    assert len(table.rows[0].values) == len(COLUMNS)


def test_the_photos_are_found_in_a_folder(tmp_path):
    left, right = pictures()
    motorcycle, aloe = tmp_path / 'motorcycle', tmp_path / 'aloe'
    for folder, names in ((motorcycle, ('motorcycle_left.png', 'motorcycle_right.png')),
                          (aloe, ('aloeL.jpg', 'aloeR.jpg'))):  # fmt: skip
        folder.mkdir()
        for name, picture in zip(names, (left, right), strict=True):
            assert cv2.imwrite(str(folder / name), picture)
    disparity = np.full(SIZE, SHIFT, np.float32)
    disparity[0] = np.inf
    np.savez(motorcycle / 'motorcycle_disp.npz', disparity)
    assert cv2.imwrite(str(aloe / 'aloeGT.png'), np.nan_to_num(disparity, posinf=0).astype('u1'))
    found = stereo_sets.find([motorcycle, aloe])
    assert list(found) == ['world', 'motorcycle', 'aloe']
    for name in ('motorcycle', 'aloe'):
        (pair,) = found[name].read()
        assert np.isnan(pair.disparity[0]).all()
        assert (pair.disparity[1:] == SHIFT).all()


def test_what_is_not_there_is_refused(tmp_path, folder):
    with pytest.raises(BenchError, match=r'set aloe needs aloeL\.jpg, aloeR\.jpg, aloeGT\.png'):
        run(Options(sets=('aloe',)), silent)
    with pytest.raises(BenchError, match="no set 'sintel'; there are world, motorcycle, aloe"):
        run(Options(sets=('sintel',)), silent)
    with pytest.raises(BenchError, match='already a set mine'):
        stereo_sets.find([folder, folder])
    (tmp_path / 'empty').mkdir()
    with pytest.raises(DatasetError, match='is no stereo folder'):
        run(Options(data=(tmp_path / 'empty',)), silent)
    with pytest.raises(WeightsError, match="no dispnet weights 'dispnet_z'"):
        run(Options(data=(folder,), sets=('mine',), weights=('dispnet_z',)), silent)


class Worlds:
    """Stand in for worlds, which take seconds to build."""

    baseline = 0.2

    def __init__(self, config, seed):
        assert (config, seed) == (stereo_sets.WORLDS, stereo_sets.WORLD_SEED)

    def recording(self, index):
        left, right = pictures(index)
        camera = Camera(width=128, height=64, fx=90.0, fy=90.0, cx=63.5, cy=31.5)
        depth = np.full(SIZE, 90 * 0.2 / SHIFT, np.float32)
        depth[0] = np.inf  # the sky
        view = SimpleNamespace(
            frame=Frame(stamp_ns=0, image=left, camera=camera),
            right=Frame(stamp_ns=0, image=right, camera=camera),
            depth=depth,
            right_hidden=np.zeros(SIZE, bool),
        )
        return Recorded([view])


class Recorded(list):
    baseline = Worlds.baseline


def test_pairs_of_worlds_have_the_disparity_of_their_depth(monkeypatch):
    monkeypatch.setattr(stereo_sets, 'WorldSamples', Worlds)
    pair = next(stereo_sets.find([])['world'].cut(1).read())
    np.testing.assert_allclose(pair.disparity[1:], SHIFT, rtol=1e-6)
    assert not pair.disparity[0].any()
    assert not pair.occluded.any()
