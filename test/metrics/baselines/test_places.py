"""Descriptors of whole pictures without a network."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dlcv.metrics.baselines.places import SiftVlad, thumbnail


def picture(seed):
    noise = np.random.default_rng(seed).uniform(0, 255, (120, 160, 3))
    blurred = cv2.GaussianBlur(noise, (0, 0), 2)
    return cv2.normalize(blurred, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)


def test_a_thumbnail_does_not_see_how_bright_it_is():
    image = picture(0) // 2
    assert thumbnail(image).shape == (256,)
    assert float(thumbnail(image) @ thumbnail(image + 60)) > 0.999
    assert float(thumbnail(image) @ thumbnail(picture(1))) < 0.6
    assert float(np.linalg.norm(thumbnail(np.full((9, 9, 3), 7, np.uint8)))) < 1e-3


def test_sift_in_vlad_knows_a_picture_moved_and_another_one():
    vlad = SiftVlad(picture(seed) for seed in (7, 8))
    image = picture(0)
    same = vlad(np.roll(image, 20, axis=1))
    found = vlad(image)
    assert found.shape == (64 * 128,)
    assert np.linalg.norm(found) == pytest.approx(1, abs=1e-5)
    assert float(found @ same) > float(found @ vlad(picture(1))) + 0.2
    assert not vlad(np.zeros((64, 64, 3), np.uint8)).any()


def test_few_points_make_no_clusters():
    with pytest.raises(ValueError, match='64 clusters need as many points, there are 0'):
        SiftVlad([np.zeros((64, 64, 3), np.uint8)])
