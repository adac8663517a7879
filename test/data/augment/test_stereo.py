"""Changes of stereo pairs: what they keep, what they change, how far."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dlcv.data.augment.stereo import StereoChanges, change_stereo

STILL = StereoChanges(mirror=0, light=0)


@pytest.fixture
def pair():
    """A right view in which all is 3 pixels further to the left."""
    left = np.random.default_rng(0).integers(0, 256, (16, 40, 3)).astype(np.uint8)
    return left, np.roll(left, -3, axis=1)


def changed(pair, seed=1, **changes):
    return change_stereo(*pair, np.random.default_rng(seed), replace(STILL, **changes))


def test_nothing_changes_when_all_is_off(pair):
    for image, original in zip(changed(pair), pair, strict=True):
        assert np.array_equal(image, original)


def test_a_mirrored_pair_keeps_its_disparities(pair):
    left, right = changed(pair, mirror=1)
    assert np.array_equal(left, pair[1][:, ::-1])
    assert np.array_equal(right[:, :-3], left[:, 3:])  # still 3 pixels further to the left


def test_the_light_changes_alike_in_both(pair):
    left, right = changed(pair, light=1)
    assert not np.array_equal(left, pair[0])
    assert np.array_equal(right, np.roll(left, -3, axis=1))


def test_gamma_and_gains_are_the_published_ones(pair):
    left, _ = changed(pair, light=1, gamma=(2, 2), brightness=(1.5, 1.5), colour=(1, 1))
    wanted = 255 * np.clip(1.5 * (pair[0] / 255.0) ** 2, 0, 1)
    assert np.abs(left - wanted).max() <= 0.5 + 1e-3


def test_one_seed_one_pair(pair):
    first, same, other = (
        change_stereo(*pair, np.random.default_rng(seed), StereoChanges(light=1))
        for seed in (3, 3, 4)
    )
    assert all(np.array_equal(a, b) for a, b in zip(first, same, strict=True))
    assert not np.array_equal(first[0], other[0])


@pytest.mark.parametrize(
    ('changes', 'word'),
    [({'mirror': 1.5}, 'mirror'), ({'light': -0.1}, 'light'), ({'gamma': (0, 1)}, 'lowest')],
)
def test_impossible_changes_are_refused(changes, word):
    with pytest.raises(ValueError, match=word):
        StereoChanges(**changes)
