"""The bench of fundamental matrices on a folder of pictures whose poses are known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from dlcv.evaluation.bench import fundamental as bench
from dlcv.evaluation.bench.options import BenchError
from dlcv.metrics.baselines.features import Classical
from dlcv.metrics.baselines.fundamental import NAMES
from dlcv.networks.deep_fundamental import DeepFundamental, DeepFundamentalConfig
from dlcv.networks.weights import save_network

CAMERA = """\
image_width: 160
image_height: 120
camera_matrix: {rows: 3, cols: 3, data: [150.0, 0.0, 79.5, 0.0, 150.0, 59.5, 0.0, 0.0, 1.0]}
distortion_model: plumb_bob
distortion_coefficients: {rows: 1, cols: 5, data: [0.0, 0.0, 0.0, 0.0, 0.0]}
"""
PLACES = (0.0, 0.2, 0.2, 0.4, 0.6)  # metres to the right


@pytest.fixture
def folder(tmp_path):
    """A camera goes by a wall of noise that is 3 m away above and 1.5 m below."""
    rng = np.random.default_rng(0)
    noise = cv2.GaussianBlur(rng.uniform(0, 255, (120, 300)), (0, 0), 1.5)
    texture = cv2.normalize(noise, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    root = tmp_path / 'wall'
    (root / 'rgb').mkdir(parents=True)
    for i, x in enumerate(PLACES):
        halves = [
            texture[rows, round(150 * x / z) :][:, :160]
            for rows, z in ((slice(0, 60), 3.0), (slice(60, 120), 1.5))
        ]
        assert cv2.imwrite(str(root / 'rgb' / f'{i}.png'), np.concatenate(halves))
    lines = [f'{0.1 * i:.1f} {x} 0 0 0 0 0 1' for i, x in enumerate(PLACES)]
    (root / 'groundtruth.txt').write_text('\n'.join(lines) + '\n')
    (root / 'camera.yaml').write_text(CAMERA)
    return root


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    network = DeepFundamental(DeepFundamentalConfig(widths=(8, 8), side_channels=3))
    return save_network(network, tmp_path / 'narrow.safetensors')


@pytest.fixture
def sift(monkeypatch):
    """SIFT stands for SuperPoint, whose weights are not what is tested here."""

    class Named(Classical):
        weights = None

    monkeypatch.setattr(bench, 'Learned', lambda _estimator: Named('SIFT'))
    monkeypatch.setattr(bench, 'load_features', lambda *_args, **_more: None)


@pytest.mark.usefixtures('sift')
def test_each_method_gets_the_same_matches_of_all_kinds(folder, weights):
    options = bench.Options(data=(folder,), sets=('wall',), weights=(weights,))
    report = bench.run(options)
    assert [table.name for table in report.tables] == [
        f'wall/{kind}/{test}' for kind in ('SIFT', 'SuperPoint') for test in ('ratio', 'none')
    ]
    for table in report.tables:
        assert [row.name for row in table.rows] == [*NAMES, 'narrow', 'narrow, refit']
        assert '3 of 3 pairs' in table.title  # one of the four stands still
    with_test, without = report.tables[:2]
    for name in ('RANSAC', 'MAGSAC++'):
        assert with_test.value(name, 'F-score') > 90
        assert with_test.value(name, 'median') < 0.5
        assert with_test.value(name, 'inliers') > without.value(name, 'inliers')
    for name in ('RANSAC', 'narrow'):
        right, wrong = (with_test.value(name, column) for column in ('right', 'wrong'))
        assert 0 <= wrong <= 100 - right <= 100
    assert with_test.value('RANSAC', 'right') > 90
    assert with_test.value('RANSAC', 'wrong') < 1
    own, again = (with_test.value(name, 'inliers') for name in ('narrow', 'narrow, refit'))
    assert again >= own
    assert report.settings['matches'].endswith('0.8 times as far as the second nearest')


@pytest.mark.usefixtures('sift')
def test_pairs_may_be_further_apart(folder, weights):
    options = bench.Options(data=(folder,), sets=('wall',), weights=(weights,), gap=2)
    pairs = list(bench.find(options, bench.Learned(None))['wall'].read())
    assert len(pairs) == 3
    sample = pairs[0].samples['SIFT']
    good = sample['ratio'][: int(sample['count'])] < 0.5
    moved = (sample['matches'][:, 0] - sample['matches'][:, 2])[: len(good)][good]
    assert set(np.unique(np.rint(moved))) >= {10, 20}  # 0.2 m at 3 m and at 1.5 m
    with pytest.raises(BenchError, match=r'wall: 5 of its 5 .* no pair with 5 pictures'):
        bench.find(bench.Options(data=(folder,), gap=5), bench.Learned(None))


@pytest.mark.usefixtures('sift')
@pytest.mark.slow
def test_worlds_are_a_set_of_their_own(monkeypatch, weights):
    monkeypatch.setattr(bench, '_SIZE', (96, 64))
    report = bench.run(bench.Options(sets=('world',), weights=(weights,), limit=2))
    assert len(report.tables) == 4
    assert all('of 2 pairs' in table.title for table in report.tables)


@pytest.mark.usefixtures('sift')
def test_what_is_not_there_is_named(folder, weights, monkeypatch):
    with pytest.raises(BenchError, match=r"no set 'moon'; there are world, wall"):
        bench.run(bench.Options(data=(folder,), sets=('moon',), weights=(weights,)))
    monkeypatch.setattr(bench, 'weight_files', lambda *_: [])
    with pytest.raises(BenchError, match=r'no deep_fundamental weights are shipped'):
        bench.run(bench.Options(data=(folder,), sets=('wall',)))
    with pytest.raises(BenchError, match=r'got 0.0 and 1'):
        bench.Options(ratio=0.0)
