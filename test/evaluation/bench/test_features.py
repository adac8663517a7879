"""The feature bench: the same task for all, the truth at every size, known answers."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from dlcv.estimation.load import load_features
from dlcv.evaluation.bench import features as module
from dlcv.evaluation.bench.features import (
    COLUMNS,
    Eyes,
    Options,
    distinct,
    run,
    score_pair,
    shrink,
    true_motion,
)
from dlcv.evaluation.bench.options import BenchError
from dlcv.evaluation.bench.photo_pairs import PhotoPairs
from dlcv.metrics.baselines.features import (
    Classical,
    Described,
    Learned,
    estimate,
    mutual,
    neighbours,
)
from dlcv.networks.layers.threads import one_thread
from dlcv.networks.lift import LIFT, LIFTConfig
from dlcv.networks.weights import WeightsError, save_network, untrained
from dlcv.types import HomographyPair

SHIFT = np.array([[1.0, 0, 24], [0, 1, 12], [0, 0, 1]])


def textured(seed: int = 0, size=(240, 320)) -> np.ndarray:
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 255, (size[0] // 8, size[1] // 8, 3), np.uint8)
    return cv2.resize(small, size[::-1], interpolation=cv2.INTER_CUBIC)


def shifted_pair() -> HomographyPair:
    first = textured()
    second = cv2.warpPerspective(first, SHIFT, first.shape[1::-1], borderMode=cv2.BORDER_REFLECT)
    return HomographyPair(first=first, second=second, second_from_first=SHIFT, name='shift')


class Oracle:
    """Knows some points of the plane and tells them apart by their true place."""

    name = 'oracle'

    def __init__(self, pair: HomographyPair, count: int = 50, guess: bool = False) -> None:
        self._pair, self._guess = pair, guess
        self._xy = np.random.default_rng(0).uniform(30, 200, (count, 2))
        self._vectors = np.random.default_rng(1).standard_normal((count, 8)).astype(np.float32)
        self.calls = 0

    def detect(self, image, limit):
        self.calls += 1
        moved = image.shape == self._pair.second.shape and np.array_equal(image, self._pair.second)
        xy = (self._xy + (SHIFT[:2, 2] if moved else 0)).astype(np.float32)
        vectors = self._vectors[::-1] if moved and self._guess else self._vectors
        return Described(xy=xy[:limit], descriptors=vectors[:limit])


def test_a_perfect_method_gets_perfect_scores():
    pair = shifted_pair()
    eyes = Eyes(Oracle(pair), 640, 50)
    found = score_pair(pair, eyes, eyes)
    assert found.repeatability == found.matching_score == found.nn_map == 1
    assert found.matching_accuracy == 1
    assert found.localization_error < 1e-3
    assert max(found.corner_errors) < 1e-2
    assert found.points == 50


def test_a_method_that_guesses_gets_none():
    pair = shifted_pair()
    oracle = Oracle(pair, guess=True)
    found = score_pair(pair, Eyes(oracle, 640, 50), Eyes(oracle, 640, 50))
    assert found.repeatability == 1
    assert found.matching_score < 0.1
    assert found.nn_map < 0.1
    assert min(found.corner_errors) > 5


@pytest.mark.parametrize('name', ['SIFT', 'ORB'])
def test_classical_methods_find_a_shift(name):
    pair = shifted_pair()
    detector, descriptor = Eyes(Classical(name), 320, 100), Eyes(Classical(name), 640, 300)
    found = score_pair(pair, detector, descriptor)
    assert found.repeatability > 0.6
    assert found.matching_score > 0.5
    assert found.nn_map > 0.8
    assert max(found.corner_errors) < 1.5


@pytest.mark.parametrize('name', ['SIFT', 'ORB'])
def test_limits_hold_and_the_strongest_come_first(name):
    image = textured(3)
    few, many = Classical(name).detect(image, 20), Classical(name).detect(image, 200)
    assert len(few.xy) == len(few.descriptors) == 20
    assert 100 < len(many.xy) <= 200
    assert few.descriptors.dtype == (np.float32 if name == 'SIFT' else np.uint8)


@pytest.mark.parametrize('name', ['SIFT', 'ORB'])
def test_a_blank_picture_is_a_failure_not_an_error(name):
    pair = replace(shifted_pair(), second=np.zeros((240, 320, 3), np.uint8))
    eyes = Eyes(Classical(name), 320, 100)
    found = score_pair(pair, eyes, eyes)
    assert found.repeatability == found.matching_score == found.matching_accuracy == 0
    assert set(found.corner_errors) == {np.inf}


def test_the_truth_fits_pictures_that_were_made_smaller():
    """A blob's centre is where the smaller truth says, at pixel centres."""
    first = np.zeros((480, 640, 3), np.uint8)
    cv2.circle(first, (300, 200), 20, (255, 255, 255), -1)
    matrix = np.array([[1.5, 0.1, -80], [0, 1.4, 20], [0, 0, 1]])
    second = cv2.warpPerspective(first, matrix, (900, 600))
    pair = HomographyPair(first=first, second=second, second_from_first=matrix)
    truth = true_motion(pair, 320)
    assert truth.first_size == (240, 320)
    assert truth.second_size == (213, 320)
    centres = []
    for image in (first, second):
        moments = cv2.moments(shrink(image, 320)[..., 0])
        centres.append(np.array([[moments['m10'], moments['m01']]]) / moments['m00'])
    assert truth.carry(centres[0]) == pytest.approx(centres[1], abs=0.1)


def test_small_pictures_are_left_as_they_are():
    image = textured(1, (80, 96))
    assert shrink(image, 320) is image


def test_the_reference_is_looked_at_once():
    pair = shifted_pair()
    oracle = Oracle(pair)
    eyes = Eyes(oracle, 640, 50)
    eyes.look(pair)
    eyes.look(replace(pair, second=pair.second.copy()))
    assert oracle.calls == 3
    eyes.look(replace(pair, first=pair.first.copy()))
    assert oracle.calls == 5


@pytest.mark.parametrize('kind', ['float', 'bits'])
def test_neighbours_agree_with_a_slow_search(kind):
    rng = np.random.default_rng(2)
    if kind == 'bits':
        first, second = (
            rng.integers(0, 256, (30, 8), np.uint8),
            rng.integers(0, 256, (40, 8), np.uint8),
        )

        def between(a, b):
            return sum(int(x ^ y).bit_count() for x, y in zip(a, b, strict=True))
    else:
        first = rng.standard_normal((30, 8)).astype(np.float32)
        second = rng.standard_normal((40, 8)).astype(np.float32)

        def between(a, b):
            return float(np.linalg.norm(a - b))

    forth, back = neighbours(first, second)
    table = np.array([[between(a, b) for b in second] for a in first])
    assert forth.distance == pytest.approx(table.min(axis=1), abs=1e-3)
    assert back.distance == pytest.approx(table.min(axis=0), abs=1e-3)
    assert forth.index.tolist() == table.argmin(axis=1).tolist()
    expected = [[i, j] for i, j in enumerate(table.argmin(axis=1)) if table.argmin(axis=0)[j] == i]
    assert mutual(forth, back).tolist() == expected


def test_the_number_of_threads_does_not_change_the_numbers(weights):
    method, found = Learned(load_features(weights, device='cpu')), []
    before = torch.get_num_threads()
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            with one_thread():
                found.append(method.detect(textured(5, (120, 160)), 100))
            assert torch.get_num_threads() == count
    finally:
        torch.set_num_threads(before)
    assert np.array_equal(found[0].descriptors, found[1].descriptors)


def test_points_at_one_place_count_once():
    xy = np.array([[3, 4], [1, 2], [3, 4], [0, 9]], np.float32)
    assert distinct(xy).tolist() == [[3, 4], [1, 2], [0, 9]]


def test_a_homography_needs_four_matches():
    xy = np.random.default_rng(0).uniform(0, 100, (10, 2)).astype(np.float32)
    matches = np.stack((np.arange(10), np.arange(10)), axis=1)
    assert estimate(xy, xy, matches[:3]) is None
    assert estimate(xy, xy, matches) == pytest.approx(np.eye(3), abs=1e-4)


@pytest.fixture
def tiny_scene(monkeypatch, tmp_path):
    cv2.imwrite(str(tmp_path / 'scene.png'), textured(4, (160, 200)))
    photos = (tmp_path / 'scene.png',)
    monkeypatch.setattr(module, 'PhotoPairs', lambda: PhotoPairs(photos=photos))


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / 'mine.safetensors'
    save_network(untrained('superpoint'), path, trained=True)
    return path


def test_the_report_has_every_method_and_kind(tiny_scene, weights):
    seen = []
    report = run(Options(weights=(weights,), points=200), lambda *args: seen.append(args))
    assert [t.name for t in report.tables] == ['photos', 'photos/viewpoint', 'photos/illumination']
    assert [r.name for r in report.tables[0].rows] == ['SuperPoint', 'SIFT', 'ORB']
    assert seen[-1] == ('photos', 4, 4)
    assert list(report.environment.files) == ['mine.safetensors']
    whole, views, lights = (t.value('SIFT', 'Rep.') for t in report.tables)
    assert whole == pytest.approx((views + lights) / 2)
    for table in report.tables:
        for row in table.rows:
            for column, value in zip(COLUMNS, row.values, strict=True):
                assert value is None or 0 <= value <= (
                    1 if not column.unit and column.digits else 200
                )


def test_lift_is_a_row_where_it_is_asked_for(tiny_scene, weights, tmp_path):
    path = tmp_path / 'mine_too.safetensors'
    torch.manual_seed(0)
    save_network(LIFT(LIFTConfig(width=1 / 16, orientation_width=0.1)), path, trained=True)
    report = run(Options(weights=(weights,), points=40, limit=1, lift=str(path)))
    assert [r.name for r in report.tables[0].rows] == ['SuperPoint', 'LIFT', 'SIFT', 'ORB']
    assert list(report.environment.files) == ['mine.safetensors', 'mine_too.safetensors']
    assert report.settings['LIFT'].startswith('21 scales from 1 to 16 px')
    assert 0 < report.tables[0].value('LIFT', 'points') <= 40


def test_several_weight_files_are_told_apart(tiny_scene, weights):
    other = weights.with_name('other.safetensors')
    other.write_bytes(weights.read_bytes())
    report = run(Options(weights=(weights, other), points=50, limit=1))
    names = [row.name for row in report.tables[0].rows]
    assert names == ['SuperPoint mine', 'SuperPoint other', 'SIFT', 'ORB']
    assert report.tables[0].rows[0].values == report.tables[0].rows[1].values


def test_folders_are_sets_too(tiny_scene, weights, tmp_path):
    folder = tmp_path / 'graf'
    folder.mkdir()
    pair = shifted_pair()
    cv2.imwrite(str(folder / '1.png'), pair.first)
    cv2.imwrite(str(folder / '2.png'), pair.second)
    np.savetxt(folder / 'H_1_2', SHIFT)
    options = Options(weights=(weights,), data=(folder,), sets=('graf',))
    report = run(options)
    assert [t.name for t in report.tables] == ['graf']
    assert report.table('graf').value('SIFT', 'H@3') == 1
    with pytest.raises(BenchError, match=r"no set 'wall'; there are photos, graf"):
        run(replace(options, sets=('wall',)))
    with pytest.raises(BenchError, match='same name: photos, graf, graf'):
        run(replace(options, data=(folder, folder)))


def test_impossible_numbers_are_refused():
    with pytest.raises(BenchError, match='at least 4 points and a detector 1, got 3 and 300'):
        Options(points=3)


def test_untrained_weights_are_not_measured(tiny_scene, tmp_path):
    path = tmp_path / 'random.safetensors'
    save_network(untrained('superpoint'), path, trained=False)
    with pytest.raises(WeightsError):
        run(Options(weights=(path,)))
