"""Random homographies: pictures, points and masks agree, and no view is degenerate."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from dlcv.data.augment.homographies import (
    HPATCHES_LIKE,
    IDENTITY,
    HomographyConfig,
    sample_homography,
    valid_mask,
    warp_image,
    warp_points,
)

SIZE = (120, 160)
CONFIGS = {
    'superpoint': HomographyConfig(),
    'inside': HomographyConfig(inside=True),
    'hpatches': HPATCHES_LIKE,
}
FRAME = np.array([[-0.5, -0.5], [159.5, -0.5], [159.5, 119.5], [-0.5, 119.5]])


def views(config, count=200):
    for seed in range(count):
        yield sample_homography(np.random.default_rng(seed), SIZE, config)


def test_identity_when_nothing_may_move():
    found = sample_homography(np.random.default_rng(0), SIZE, IDENTITY)
    np.testing.assert_allclose(found, np.eye(3), atol=1e-9)
    image = np.random.default_rng(0).integers(0, 256, SIZE, np.uint8)
    np.testing.assert_array_equal(warp_image(image, np.eye(3), SIZE), image)
    assert valid_mask(np.eye(3), SIZE, erode=3).all()


@pytest.mark.parametrize('config', CONFIGS.values(), ids=CONFIGS)
def test_one_seed_gives_one_homography(config):
    first, again, other = (
        sample_homography(np.random.default_rng(seed), SIZE, config) for seed in (7, 7, 8)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3


@pytest.mark.parametrize('config', CONFIGS.values(), ids=CONFIGS)
def test_homographies_are_invertible_keep_orientation_and_show_enough(config):
    for found in views(config):
        view = warp_points(FRAME, np.linalg.inv(found))
        assert np.isfinite(view).all()
        area = cv2.contourArea(view.astype(np.float32), oriented=True) / (120 * 160)
        assert area >= config.area - 1e-6
        assert np.linalg.det(found) > 0
        np.testing.assert_allclose(warp_points(view, found), FRAME, atol=1e-6)
        if config.inside:
            assert np.all(view > -0.51)
            assert np.all(view < [159.51, 119.51])
        assert valid_mask(found, SIZE).mean() > 0.3


def test_draws_use_the_whole_range_of_angles_and_scales():
    angles, scales = [], []
    for found in views(HomographyConfig(perspective=(0.0, 0.0))):
        angles.append(np.arctan2(found[1, 0], found[0, 0]))
        scales.append(np.sqrt(np.linalg.det(found[:2, :2])) * 0.8)
    assert min(angles) < -1.3 and max(angles) > 1.3
    assert 1 / 1.2 - 1e-6 <= min(scales) < 0.9
    assert 1.1 < max(scales) <= 1.2 + 1e-6


def test_stretch_shortens_one_direction_and_keeps_the_area():
    plain = {'perspective': (0.0, 0.0), 'scale': 0.0, 'patch': 0.4, 'area': 0.01}
    ratios = []
    for found in views(HomographyConfig(stretch=1.0, **plain)):
        assert np.linalg.det(found[:2, :2]) == pytest.approx(1 / 0.4**2, rel=1e-4)
        long, short = np.linalg.svd(found[:2, :2], compute_uv=False)
        ratios.append(long / short)
    assert 1 <= min(ratios) < 1.1
    assert 1.9 < max(ratios) <= 2 + 1e-6


def test_a_dot_moves_where_its_point_moves():
    for found in views(replace(HomographyConfig(), scale=0.0), 30):
        dot = np.zeros(SIZE, np.float32)
        xy = warp_points(np.array([70.0, 55.0]), np.linalg.inv(found)).round()
        if not (5 < xy[0] < 154 and 5 < xy[1] < 114):
            continue
        dot[int(xy[1]), int(xy[0])] = 1
        dot = cv2.GaussianBlur(dot, (0, 0), 1.2)
        warped = warp_image(dot, found, SIZE).astype(np.float64)
        ys, xs = np.mgrid[: SIZE[0], : SIZE[1]]
        centre = np.array([(warped * xs).sum(), (warped * ys).sum()]) / warped.sum()
        np.testing.assert_allclose(centre, warp_points(xy, found), atol=0.25)


def test_warping_twice_is_warping_by_the_product():
    rng = np.random.default_rng(0)
    image = cv2.GaussianBlur(rng.random((120, 160), np.float32), (0, 0), 4)
    config = HomographyConfig(rotation=0.3)
    for seed in range(5):
        a, b = (sample_homography(np.random.default_rng([seed, i]), SIZE, config) for i in (0, 1))
        xy = rng.uniform(0, 100, (10, 2))
        np.testing.assert_allclose(warp_points(warp_points(xy, a), b), warp_points(xy, b @ a))
        twice = warp_image(warp_image(image, a, SIZE), b, SIZE)
        known_once = 255 * valid_mask(a, SIZE, 3).astype(np.uint8)
        known = valid_mask(b, SIZE, 3) & (warp_image(known_once, b, SIZE) == 255)
        assert known.any()
        once = warp_image(image, b @ a, SIZE)
        np.testing.assert_allclose(twice[known], once[known], atol=0.02)


def test_mask_of_a_shift_is_exact_and_erodes_only_at_unknown_pixels():
    shift = np.array([[1.0, 0, 10], [0, 1, -6], [0, 0, 1]])
    expected = np.zeros(SIZE, bool)
    expected[:114, 10:] = True
    np.testing.assert_array_equal(valid_mask(shift, SIZE), expected)
    eroded = np.zeros(SIZE, bool)
    eroded[:111, 13:] = True
    np.testing.assert_array_equal(valid_mask(shift, SIZE, 3), eroded)


def test_mask_agrees_with_points():
    for found in views(HPATCHES_LIKE, 20):
        ys, xs = np.mgrid[: SIZE[0], : SIZE[1]]
        first = warp_points(np.stack((xs, ys), axis=-1), np.linalg.inv(found))
        gap = np.minimum(first - FRAME[0], FRAME[2] - first).min(axis=-1)
        mask = valid_mask(found, SIZE)
        assert mask[gap > 0.1].all()
        assert not mask[~(gap > -0.1)].any()


def test_mask_of_pictures_of_two_sizes():
    double = np.diag([2.0, 2.0, 1.0])
    mask = valid_mask(double, (30, 40), first_size=(10, 12))
    assert mask.shape == (30, 40)
    assert mask[:19, :23].all()
    assert not mask[20:].any()
    assert not mask[:, 24:].any()


def test_points_behind_the_camera_are_unknown():
    tilted = np.array([[1.0, 0, 0], [0, 1, 0], [-0.01, 0, 1]])
    mapped = warp_points(np.array([[50.0, 0], [150.0, 0]]), tilted)
    np.testing.assert_allclose(mapped[0], [100, 0])
    assert np.isnan(mapped[1]).all()


@pytest.mark.parametrize('wrong', [{'patch': 0.0}, {'overlap': 1.0}, {'perspective': (0.6, 0.0)}])
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(ValueError, match='homographies need'):
        HomographyConfig(**wrong)
