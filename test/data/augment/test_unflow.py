"""UnFlow's changes of pairs: what they keep, what they change, how far."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dlcv.data.augment.unflow import PairChanges, change_pair

STILL = PairChanges(
    zoom=(1, 1), second_zoom=(1, 1), mirror=0, contrast=0, brightness=0, colour=(1, 1),
    gamma=(1, 1), noise=0, border=0,
)  # fmt: skip


@pytest.fixture
def pair():
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (2, 8, 10, 3))
    first, second = np.kron(coarse, np.ones((1, 8, 8, 1), int)).astype(np.uint8)
    return first, second


def changed(pair, seed=1, **changes):
    return change_pair(*pair, np.random.default_rng(seed), replace(STILL, **changes))


def test_nothing_changes_when_all_is_off(pair):
    got = changed(pair)
    for image, original in zip(
        (got.first, got.second, got.first_seen, got.second_seen), (*pair, *pair), strict=True
    ):
        assert np.array_equal(image, original)
    assert (got.border == 1).all()


def test_one_seed_one_pair(pair):
    config = PairChanges()
    a, b, c = (change_pair(*pair, np.random.default_rng(s), config) for s in (3, 3, 4))
    for name in ('first', 'second', 'first_seen', 'second_seen', 'border'):
        assert np.array_equal(getattr(a, name), getattr(b, name))
    assert not np.array_equal(a.first, c.first)


def test_mirroring_exchanges_left_and_right(pair):
    got = changed(pair, mirror=1)
    assert np.array_equal(got.first, pair[0][:, ::-1])
    assert np.array_equal(got.second, pair[1][:, ::-1])


def test_zoom_moves_pixels_away_from_the_centre_of_both():
    y, x = np.mgrid[:64, :80]
    ramp = np.repeat((x + y).astype(np.uint8)[..., None], 3, axis=2)
    got = changed((ramp, ramp), zoom=(0.5, 0.5))
    wanted = 0.5 * (x - 39.5) + 39.5 + 0.5 * (y - 31.5) + 31.5
    for image in (got.first, got.second):
        assert np.abs(image[..., 0] - wanted).max() <= 1


def test_second_zoom_leaves_the_first_alone():
    x = np.broadcast_to(np.arange(80), (64, 80))
    ramp = np.repeat(x.astype(np.uint8)[..., None], 3, axis=2)
    got = changed((ramp, ramp), second_zoom=(1.1, 1.1))
    assert np.array_equal(got.first, ramp)
    wanted = (1.1 * (x - 39.5) + 39.5).clip(0, 79)
    assert np.abs(got.second[..., 0] - wanted).max() <= 1
    continued = (wanted <= 0) | (wanted >= 79)
    assert (got.border[:, continued[0]] < 1).all()
    assert (got.border[10:-10, ~continued[0]] > 0.9).all()


def test_the_border_is_a_tenth_of_the_shorter_side(pair):
    border = changed(pair, border=0.1).border
    wanted = np.zeros((64, 80))
    wanted[7:57, 7:73] = 1
    assert np.array_equal(border, wanted)


def test_both_are_seen_in_one_other_light(pair):
    first = pair[0]
    got = change_pair(first, first, np.random.default_rng(5), replace(
        STILL, contrast=0.3, brightness=0.02, colour=(0.9, 1.1), gamma=(0.7, 1.5)))  # fmt: skip
    assert np.array_equal(got.first, first)
    assert np.array_equal(got.first_seen, got.second_seen)
    assert np.abs(got.first_seen.astype(int) - first).mean() > 1
    order = np.argsort(first[..., 0], axis=None)  # a tone curve keeps the order of values
    assert (np.diff(got.first_seen[..., 0].astype(int).ravel()[order]) >= 0).all()


def test_noise_is_as_strong_as_asked_and_not_the_same_in_both():
    grey = np.full((200, 300, 3), 128, np.uint8)
    strengths = []
    for seed in range(20):
        got = changed((grey, grey), seed=seed, noise=0.04)
        noise = got.first_seen.astype(float) - 128
        strengths.append(noise.std())
        assert abs(noise.mean()) < 0.5
        assert not np.array_equal(got.first_seen, got.second_seen)
    assert max(strengths) <= 0.04 * 255 * 1.05
    assert max(strengths) > 0.6 * 0.04 * 255


@pytest.mark.parametrize(
    'wrong', [{'zoom': (0, 1)}, {'gamma': (2, 1)}, {'border': 0.5}, {'noise': -1}, {'mirror': 2}]
)
def test_what_cannot_be_is_refused(wrong):
    with pytest.raises(ValueError, match='changes of pairs need'):
        PairChanges(**wrong)
