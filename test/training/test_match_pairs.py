"""Matches of worlds: their truth, what passes which test, what becomes of them in training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dlcv.data.world import GaitShares, SampleConfig, WorldSamples
from dlcv.geometry.epipolar import epipolar_errors
from dlcv.metrics.baselines.features import Classical
from dlcv.training.match_pairs import (
    KINDS,
    DrawConfig,
    MatchConfig,
    MatchSamples,
    WorldMatches,
    parallax,
    passing,
)
from dlcv.training.recipe import TrainError

WORLDS = SampleConfig(
    size=(128, 96), frames=3, scenes=('room',), motions=('walk',), traffic=False, flyers=0,
    per_world=4, rate_hz=(4.0, 4.0),
)  # fmt: skip
PAIRS = MatchConfig(points=200, pairs=2, parallax=(1.0, 60.0))


@pytest.fixture(scope='module')
def matches():
    # SIFT stands for both kinds: SuperPoint's weights are not what is tested here
    return WorldMatches(WorldSamples(WORLDS, 3), PAIRS, Classical('SIFT'), 3)


@pytest.fixture(scope='module')
def sample(matches):
    return matches[0]


def errors(sample, which):
    xy = sample['matches'][which]
    return epipolar_errors(xy[:, :2], xy[:, 2:], sample['fundamental'])


def test_the_truth_is_that_of_the_matches(sample):
    mutual = passing(sample, 'mutual', 0.8)
    assert len(mutual) > 20
    assert np.mean(errors(sample, mutual) < 2) > 0.5
    chance = sample['matches'].copy()
    chance[mutual, 2:] = np.random.default_rng(0).permutation(chance[mutual, 2:])
    wrong = {**sample, 'matches': chance}
    assert np.mean(errors(wrong, mutual) < 2) < 0.3


def test_tests_leave_better_matches(sample):
    every, mutual, ratio = (passing(sample, test, 0.8) for test in ('none', 'mutual', 'ratio'))
    assert len(every) == int(sample['count']) > len(mutual) > 0
    assert set(ratio) == set(np.flatnonzero(sample['ratio'][: len(every)] <= 0.8))
    good = [np.mean(errors(sample, which) < 2) for which in (every, mutual, ratio)]
    assert good[0] < min(good[1:])


def test_a_sample_follows_from_its_number(matches, sample):
    again = WorldMatches(WorldSamples(WORLDS, 3), PAIRS, Classical('SIFT'), 3)
    later = again[len(KINDS) * PAIRS.pairs]  # of the next clip
    same = again[0]
    assert all(np.array_equal(same[name], sample[name]) for name in sample)
    assert not np.array_equal(later['matches'], sample['matches'])
    assert {n: (v.shape, v.dtype) for n, v in later.items()} == {
        n: (v.shape, v.dtype) for n, v in sample.items()
    }


def test_parallax_is_what_a_shift_does_to_the_middle_depth():
    views = list(WorldSamples(WORLDS, 3)[0])
    found = parallax(views[0], views[1])
    length = np.linalg.norm(views[1].world_from_camera[:3, 3] - views[0].world_from_camera[:3, 3])
    depth = np.median(views[0].depth)
    assert found == pytest.approx(views[0].frame.camera.fx * length / depth)


def test_a_clip_that_stands_has_no_truth():
    still = replace(WORLDS, gaits=GaitShares(still=1.0))
    made = WorldMatches(WorldSamples(still, 3), PAIRS, Classical('SIFT'), 3)[0]
    assert not made['fundamental'].any()
    assert int(made['count']) > 0


@pytest.mark.parametrize('index', range(8))
def test_mirrored_and_exchanged_pictures_keep_their_truth(sample, index):
    """Each of the eight ways is drawn by some number."""
    draws = MatchSamples({index: sample}, DrawConfig(tests=('mutual',), matches=48), 2, 0)
    found = draws[index]
    assert found['matches'].shape == (48, 4)
    assert found['side'].shape == (48, 2)
    assert found['side'].max() <= 1
    assert found['present'].all()
    assert np.linalg.norm(found['fundamental']) == pytest.approx(1)
    before = np.sort(errors(sample, passing(sample, 'mutual', 0.8)))
    xy = found['matches']
    after = epipolar_errors(xy[:, :2], xy[:, 2:], found['fundamental'])
    nearest = np.abs(after[:, None] - before).min(1)
    assert np.all(nearest < 1e-2 + 1e-3 * after)
    assert np.array_equal(found['matches'], draws[index]['matches'])


def test_some_are_mirrored_and_some_are_not(sample):
    draws = MatchSamples(
        dict.fromkeys(range(12), sample), DrawConfig(tests=('none',), matches=400), 1, 0
    )
    originals = {tuple(row) for row in np.round(sample['matches'], 2)}
    kept = [tuple(np.round(draws[i]['matches'][0], 2)) in originals for i in range(12)]
    assert any(kept)
    assert not all(kept)


def test_few_matches_are_repeated_and_too_few_are_none(sample):
    few = {**sample, 'count': np.array(20)}
    found = MatchSamples([few], DrawConfig(tests=('none',), matches=64), 1, 0)[0]
    assert len(np.unique(found['matches'], axis=0)) <= 20
    assert found['present'].all()
    none = {**sample, 'count': np.array(5)}
    found = MatchSamples([none], DrawConfig(tests=('none',), matches=64), 1, 0)[0]
    assert not found['present'].any()
    unclear = {**sample, 'ratio': np.ones_like(sample['ratio'])}  # nothing passes: all are taken
    found = MatchSamples([unclear], DrawConfig(tests=('ratio',), matches=64), 1, 0)[0]
    assert found['present'].all()


@pytest.mark.parametrize(
    ('config', 'wrong', 'said'),
    [
        (MatchConfig, {'points': 7}, 'points >= 8, pairs >= 1'),
        (MatchConfig, {'parallax': (3.0, 2.0)}, r'parallax, got 1000, 8 and \(3.0, 2.0\)'),
        (DrawConfig, {'tests': ()}, r'some tests, .* got \[\]'),
        (DrawConfig, {'ratio': 0.0}, '0.0 and 512'),
    ],
)
def test_wrong_settings_are_refused(config, wrong, said):
    with pytest.raises(TrainError, match=said):
        config(**wrong)


def test_a_clip_of_one_picture_has_no_pairs():
    single = WorldSamples(SampleConfig(frames=1), 0)
    with pytest.raises(TrainError, match='clips of 2 frames, got 1'):
        WorldMatches(single, PAIRS, Classical('SIFT'), 0)
