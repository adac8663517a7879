"""Pairs: what is said to correspond does, in pictures, labels and places."""

import cv2
import numpy as np
import pytest

from dlcv.data.augment.homographies import IDENTITY, HomographyConfig, warp_image, warp_points
from dlcv.data.augment.photometric import OFF
from dlcv.training.adaptation import Labelled
from dlcv.training.pairs import PairConfig, SuperPointPairs
from dlcv.training.recipe import TrainError

SIZE = (64, 80)


@pytest.fixture(scope='module')
def labels():
    rng = np.random.default_rng(0)
    pieces = []
    for _ in range(2):
        image = cv2.GaussianBlur(rng.integers(0, 256, (120, 160)).astype(np.float32), (0, 0), 2)
        image = cv2.normalize(image, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
        xy = rng.uniform(4, (155, 115), (60, 2)).astype(np.int16)
        pieces.append(Labelled(image=image, xy=xy, scores=np.ones(60, np.float32)))
    return pieces


def pairs(labels, **changes):
    settings = {'size': SIZE, 'points': 40, 'photometric': OFF, 'jitter': 0.0, **changes}
    return SuperPointPairs(labels, PairConfig(**settings), seed=1)


def test_a_pair_follows_from_its_number(labels):
    first, again, other = (pairs(labels)[i] for i in (3, 3, 4))
    assert set(first) == set(other)
    for name, value in first.items():
        np.testing.assert_array_equal(value, again[name])
        assert value.shape == other[name].shape
        assert value.dtype == other[name].dtype
    assert np.any(first['first'] != other['first'])


def test_two_seeds_share_no_pair(labels):
    config = PairConfig(size=SIZE)
    one, two = (SuperPointPairs(labels, config, seed)[0] for seed in (0, 1))
    assert np.any(one['first'] != two['first'])


@pytest.mark.parametrize('index', range(8))
def test_second_picture_is_the_first_warped(labels, index):
    sample = pairs(labels)[index]
    matrix = sample['second_from_first'].astype(np.float64)
    warped = warp_image(sample['first'][0], matrix, SIZE).astype(float)
    common = warp_image(np.full(SIZE, 255, np.uint8), matrix, SIZE) == 255
    common = cv2.erode((common & sample['second_valid']).astype(np.uint8), np.ones((5, 5))) > 0
    assert np.mean(common) > 0.2
    assert np.abs(warped - sample['second'][0])[common].mean() < 6


@pytest.mark.parametrize('index', range(8))
def test_places_look_alike_and_are_shown_by_both(labels, index):
    sample = pairs(labels)[index]
    seen = sample['seen']
    assert seen.sum() > 10
    mapped = warp_points(sample['first_xy'], sample['second_from_first'].astype(np.float64))
    np.testing.assert_allclose(mapped[seen], sample['second_xy'][seen], atol=1e-2)
    for name in ('first_xy', 'second_xy'):
        assert np.all(sample[name][seen] >= 4)
        assert np.all(sample[name][seen] <= np.array([SIZE[1], SIZE[0]]) - 5)
    grey = []
    for name in ('first', 'second'):
        x, y = sample[f'{name}_xy'][seen].T[:, None]
        grey.append(cv2.remap(sample[name][0], x, y, cv2.INTER_LINEAR).ravel())
    assert np.corrcoef(*grey)[0, 1] > 0.9


def test_labels_move_with_the_picture(labels):
    config = {'homographies': IDENTITY, 'zoom': (1.0, 1.0)}
    sample = pairs(labels, **config)[0]
    np.testing.assert_array_equal(sample['first'], sample['second'])
    np.testing.assert_array_equal(sample['first_present'], sample['second_present'])
    assert 5 < sample['first_present'].sum() <= 60
    turned = pairs(labels, homographies=HomographyConfig(patch=1.0, area=0.2))[0]
    rows, columns = np.nonzero(turned['first_present'])
    mapped = warp_points(np.stack((columns, rows), axis=1), turned['second_from_first'])
    inside = np.all((mapped > 2) & (mapped < np.array([SIZE[1], SIZE[0]]) - 3), axis=1)
    present = np.argwhere(turned['second_present'])[:, ::-1]
    gaps = np.linalg.norm(mapped[inside][:, None] - present[None], axis=-1).min(axis=1)
    assert inside.sum() > 5
    assert gaps.max() < 3.5  # two roundings, the first of them magnified


def test_share_of_places_at_labels_and_jitter(labels):
    exact = pairs(labels, at_labels=1.0, zoom=(1.0, 1.0))[0]
    rough = pairs(labels, at_labels=1.0, zoom=(1.0, 1.0), jitter=2.0)[0]
    np.testing.assert_array_equal(exact['first_xy'], rough['first_xy'])
    moved = np.abs(exact['second_xy'] - rough['second_xy'])[rough['seen']]
    assert 0.5 < moved.max() <= 2
    rows, columns = np.nonzero(exact['first_present'])
    marked = np.stack((columns, rows), axis=1)
    gaps = np.linalg.norm(exact['first_xy'][:5, None] - marked[None], axis=-1).min(axis=1)
    assert gaps.max() <= 0.71


def similar(sample):
    """Return factor and turn of the second picture's middle, of its linear part."""
    matrix = sample['second_from_first'].astype(np.float64)
    middle = np.array([(SIZE[1] - 1) / 2, (SIZE[0] - 1) / 2, 1])
    linear = (matrix[:2, :2] - np.outer(matrix[:2] @ middle, matrix[2, :2])) / (matrix[2] @ middle)
    return np.sqrt(np.linalg.det(linear)), np.arctan2(linear[1, 0], linear[0, 0])


def test_wide_pairs_are_turned_by_any_angle_and_enlarged_up_to_three_times(labels):
    wide = pairs(labels, homographies=IDENTITY, wide=1.0, wide_zoom=3.0)
    found = np.array([similar(wide[i]) for i in range(120)])
    factors, turns = found.T
    assert 0.33 < factors.min() < 0.45
    assert 2.3 < factors.max() < 3.01
    assert 0.35 < np.mean(factors > 1) < 0.65
    assert np.histogram(turns, 8, (-np.pi, np.pi))[0].min() >= 5
    usual = pairs(labels, homographies=IDENTITY)
    assert np.allclose([similar(usual[i]) for i in range(8)], (1, 0), atol=1e-6)
    some = pairs(labels, homographies=IDENTITY, wide=0.5)
    assert 20 < sum(abs(similar(some[i])[1]) > 1e-6 for i in range(60)) < 40


@pytest.mark.parametrize('index', range(6))
def test_places_of_wide_pairs_look_alike(labels, index):
    sample = pairs(labels, wide=1.0, wide_zoom=2.0)[index]
    seen = sample['seen']
    assert seen.sum() >= 8
    mapped = warp_points(sample['first_xy'], sample['second_from_first'].astype(np.float64))
    np.testing.assert_allclose(mapped[seen], sample['second_xy'][seen], atol=1e-2)
    grey = []
    for name in ('first', 'second'):
        x, y = sample[f'{name}_xy'][seen].T[:, None]
        grey.append(cv2.remap(sample[name][0], x, y, cv2.INTER_LINEAR).ravel())
    assert np.corrcoef(*grey)[0, 1] > 0.9


@pytest.mark.parametrize('change', [{'wide': -0.1}, {'wide': 1.5}, {'wide_zoom': 0.5}])
def test_wide_pairs_that_are_none_are_refused(change):
    with pytest.raises(TrainError, match='wide in'):
        PairConfig(**change)
