"""Photometric changes: nothing when off, the same for one seed, and each what it says."""

from dataclasses import replace

import numpy as np
import pytest

from dlcv.data.augment import photometric as p

GREY = np.random.default_rng(0).integers(60, 200, (48, 64), np.uint8)
COLOUR = np.random.default_rng(1).integers(60, 200, (48, 64, 3), np.uint8)
ALWAYS = p.PhotometricConfig(probability=1.0)
NONE = p.PhotometricConfig(
    probability=1.0,
    brightness=0,
    contrast=(1, 1),
    gamma=(1, 1),
    colour_gain=0,
    noise=0,
    speckle=0,
    motion_blur=1,
    shade=(0, 0),
    vignetting=0,
)


@pytest.mark.parametrize('image', [GREY, COLOUR], ids=['grey', 'colour'])
@pytest.mark.parametrize('config', [p.OFF, NONE], ids=['never', 'no strength'])
def test_nothing_happens_when_all_is_off(image, config):
    changed = p.photometric(image, np.random.default_rng(0), config)
    np.testing.assert_array_equal(changed, image)
    assert not np.shares_memory(changed, image)


@pytest.mark.parametrize('image', [GREY, COLOUR], ids=['grey', 'colour'])
def test_one_seed_gives_one_picture_and_leaves_the_input(image):
    before = image.copy()
    first, again, other = (
        p.photometric(image, np.random.default_rng(seed), ALWAYS) for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first, again)
    assert np.any(first != other)
    np.testing.assert_array_equal(image, before)
    assert first.shape == image.shape
    assert first.dtype == np.uint8


@pytest.mark.parametrize(
    'strength',
    [
        {'brightness': 40.0},
        {'contrast': (0.5, 0.5)},
        {'gamma': (1.5, 1.5)},
        {'noise': 20.0},
        {'speckle': 0.1},
        {'motion_blur': 9},
        {'shade': (0.5, 0.5)},
        {'vignetting': 0.5},
    ],
    ids=lambda strength: next(iter(strength)),
)
def test_each_effect_does_something_alone(strength):
    changed = p.photometric(GREY, np.random.default_rng(1), replace(NONE, **strength))
    assert np.any(changed != GREY)


def test_brightness_shifts_all_values_alike():
    config = replace(NONE, brightness=40.0)
    difference = p.photometric(GREY, np.random.default_rng(5), config).astype(int) - GREY
    assert np.ptp(difference) == 0
    assert 0 < abs(difference[0, 0]) <= 40


def test_contrast_keeps_the_mean_and_scales_the_deviation():
    changed = p.photometric(GREY, np.random.default_rng(0), replace(NONE, contrast=(0.5, 0.5)))
    assert changed.mean() == pytest.approx(GREY.mean(), abs=0.6)
    assert changed.std() == pytest.approx(GREY.std() / 2, rel=0.02)


def test_gamma_keeps_black_and_white():
    curve = p.tone_curve(gamma=2.0)
    assert curve[[0, 128, 255]] == pytest.approx([0, 255 * (128 / 255) ** 2, 255], abs=1e-3)


def test_noise_has_the_deviation_asked_for():
    grey = np.full((200, 200), 128, np.uint8)
    deviations = [
        p.photometric(grey, np.random.default_rng(seed), replace(NONE, noise=10.0)).std()
        for seed in range(20)
    ]
    assert 3 < np.mean(deviations) < 7
    assert max(deviations) < 10.5


def test_colour_gain_keeps_grey_apart_by_channel():
    grey = np.full((8, 8, 3), 100, np.uint8)
    changed = p.photometric(grey, np.random.default_rng(2), replace(NONE, colour_gain=0.2))
    assert len(set(changed[0, 0].tolist())) == 3
    assert np.all(abs(changed.astype(int) - 100) <= 20)


def test_motion_blur_spreads_a_dot_along_its_angle_and_keeps_its_sum():
    dot = np.zeros((21, 21), np.uint8)
    dot[10, 10] = 250
    blurred = p.motion_blur(dot, 5, 0.0)
    assert set(np.nonzero(blurred)[0]) == {10}
    assert set(np.nonzero(blurred)[1]) == set(range(8, 13))
    assert float(blurred.sum()) == pytest.approx(250, abs=3)
    upright = p.motion_blur(dot, 5, np.pi / 2)
    np.testing.assert_array_equal(upright, blurred.T)


def test_shade_darkens_and_a_negative_one_brightens_by_at_most_its_strength():
    dark = p.shade((240, 320), 0.6, np.random.default_rng(0))
    bright = p.shade((240, 320), -0.5, np.random.default_rng(0))
    assert 0.4 - 1e-6 <= dark.min() < 0.9
    assert 1.1 < bright.max() <= 1.5 + 1e-6
    assert p.light_map((240, 320), dark).shape == (240, 320)


def test_vignette_darkens_the_corners_only():
    factors = p.vignette((72, 72), 0.4)
    assert factors[[0, 0, -1, -1], [0, -1, 0, -1]] == pytest.approx([0.6] * 4)
    assert factors[4, 4] == pytest.approx(1.0)


def test_speckle_changes_the_share_asked_for():
    changed = p.speckle(np.full((100, 100), 128, np.uint8), 0.02, np.random.default_rng(0))
    assert 300 < np.count_nonzero(changed != 128) <= 400
    assert set(np.unique(changed)) == {0, 128, 255}


def test_bytes_are_rounded_and_clipped():
    values = np.array([[-3.0, 0.4, 0.6, 254.6, 300.0]], np.float32)
    np.testing.assert_array_equal(p.to_bytes(values), [[0, 0, 1, 255, 255]])


@pytest.mark.parametrize(
    'wrong', [{'noise': -1.0}, {'contrast': (2.0, 1.0)}, {'gamma': (0.0, 1.0)}, {'motion_blur': 0}]
)
def test_wrong_strengths_are_refused(wrong):
    with pytest.raises(ValueError, match='need'):
        p.PhotometricConfig(**wrong)
