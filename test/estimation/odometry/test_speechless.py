"""Pictures that say nothing are told from those that do."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dlcv.data.augment.speechless import speechless
from dlcv.estimation.odometry.speechless import silence
from dlcv.estimation.pictures import MappingError

SIZES = [(480, 640), (128, 416), (240, 320), (150, 200), (640, 480), (64, 96)]


def scene(height=480, width=640, seed=0):
    """Boxes of all sizes over each other, as sharp as things are: (H, W, 3)."""
    rng = np.random.default_rng(seed)
    image = np.full((height, width, 3), 120, np.uint8)
    for size in np.geomspace(0.5, 0.02, 120):
        x, y = rng.uniform(-size, 1, 2) * (width, height)
        w, h = rng.uniform(0.3, 1, 2) * size * width
        corners = (round(x), round(y)), (round(x + w), round(y + h))
        cv2.rectangle(image, *corners, rng.integers(20, 236, 3).tolist(), -1)
    return image


def noisy(image, sigma, seed=0):
    noise = np.random.default_rng(seed).normal(0, sigma, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize('seed', range(3))
def test_a_scene_speaks(size, seed):
    image = scene(*size, seed)
    assert silence(image) == ''
    assert silence(image[..., 1]) == ''
    assert silence(noisy(image, 10)) == ''
    assert silence(cv2.GaussianBlur(image, (0, 0), size[1] / 200)) == ''


@pytest.mark.parametrize('seed', range(3))
def test_a_dim_noisy_scene_still_speaks(seed):
    assert silence(noisy(scene(seed=seed) // 8, 2)) == ''


@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize('seed', range(12))
def test_what_is_made_to_say_nothing_says_nothing(size, seed):
    assert silence(speechless(np.random.default_rng(seed), scene(*size))) != ''


@pytest.mark.parametrize(
    ('image', 'reason'),
    [
        (np.full((480, 640, 3), 3, np.uint8), 'the picture is black: its mean is 3 of 255'),
        (np.full((480, 640), 250, np.uint8), 'the picture is white: its mean is 250 of 255'),
        (
            np.full((480, 640, 3), (200, 60, 30), np.uint8),
            'the picture is of one shade, 98 of 255: the lens may be covered',
        ),
    ],
)
@pytest.mark.parametrize('sigma', [0, 2, 6])
def test_dark_dazzled_and_covered_are_named(image, reason, sigma):
    assert silence(noisy(image, sigma))[:20] == reason[:20]
    if sigma == 0:
        assert silence(image) == reason


def test_noise_is_named_also_where_neighbours_share_it():
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    assert silence(noise) == 'the picture is noise alone'
    shared = cv2.GaussianBlur(noise, (0, 0), 1.0)  # as of a colour filter array
    assert silence(cv2.normalize(shared, None, 0, 255, cv2.NORM_MINMAX)) == (
        'the picture is noise alone'
    )


def test_blur_of_a_twentieth_is_named():
    blurred = cv2.GaussianBlur(scene(), (0, 0), 14)
    assert silence(blurred) == 'the picture is too blurred to show anything'
    assert silence(cv2.GaussianBlur(scene(), (0, 0), 32)) != ''


@pytest.mark.parametrize('cover', [0, 90, 255, 'noise'])
def test_half_a_picture_still_speaks(cover):
    image = scene()
    rng = np.random.default_rng(0)
    image[:, :320] = rng.integers(0, 256, (480, 320, 3)) if cover == 'noise' else cover
    assert silence(image) == ''


def test_a_spot_of_light_in_the_dark_says_nothing_and_a_lit_window_does():
    image = np.zeros((480, 640, 3), np.uint8)
    image[200:203, 300:303] = 255
    assert 'black' in silence(image)
    image[100:220, 200:300] = 255
    assert silence(image) == ''


def test_small_pictures_are_not_judged_and_strange_ones_refused():
    assert silence(np.zeros((31, 200), np.uint8)) == ''
    with pytest.raises(MappingError, match=r'\(40, 40, 4\) of uint8'):
        silence(np.zeros((40, 40, 4), np.uint8))
