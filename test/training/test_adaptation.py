"""Homographic adaptation: a detector that follows the picture stays as it is, others fade."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from dlcv.data.augment.homographies import IDENTITY
from dlcv.data.synthetic.photos import PhotoPool
from dlcv.training.adaptation import (
    AdaptationConfig,
    LabelConfig,
    adapted_heat,
    cached_labels,
    cut,
    full_contrast,
    label,
    make_labels,
    snapped,
)
from dlcv.training.recipe import TrainError

SIZE = (96, 128)
CONFIG = LabelConfig(
    count=3, size=SIZE, adaptation=AdaptationConfig(views=4, threshold=0.2, limit=50)
)


def dots(*xy):
    image = np.zeros(SIZE, np.float32)
    for x, y in xy:
        image[y, x] = 1
    image = cv2.GaussianBlur(image, (0, 0), 2)
    return (255 * image / image.max()).astype(np.uint8)


def brightness(images):
    return images.astype(np.float32) / 255


def corners(images):
    strength = np.stack([cv2.cornerMinEigenVal(image, 5) for image in images])
    return np.clip(strength / 0.01, 0, 1).astype(np.float32)


def test_identity_alone_gives_the_detectors_own_heat():
    image = dots((40, 30), (90, 60))
    config = AdaptationConfig(views=3, homographies=IDENTITY, border=0)
    heat = adapted_heat(brightness, image, np.random.default_rng(0), config)
    np.testing.assert_allclose(heat, image / 255, atol=1e-6)


def test_detector_that_follows_the_picture_keeps_its_points():
    places = [(40, 30), (90, 60), (64, 48), (30, 70)]
    config = AdaptationConfig(views=30, threshold=0.3)
    found = label(brightness, dots(*places), np.random.default_rng(0), config)
    assert len(found.xy) == len(places)
    gaps = np.linalg.norm(found.xy[:, None] - np.array(places)[None], axis=-1).min(axis=1)
    assert gaps.max() <= 1


def test_what_is_seen_from_one_view_only_fades():
    """A detector that fires at one place of each view, wherever it looks from."""

    def stubborn(images):
        heat = np.zeros(images.shape, np.float32)
        heat[:, 48, 64] = 1
        return heat

    image = dots((40, 30))
    heat = adapted_heat(stubborn, image, np.random.default_rng(0), AdaptationConfig(views=30))
    assert heat.max() < 0.3


def test_edges_of_views_are_not_counted():
    def edges(images):
        heat = np.zeros(images.shape, np.float32)
        heat[:, :4], heat[:, -4:], heat[:, :, :4], heat[:, :, -4:] = 1, 1, 1, 1
        return heat

    image = np.full(SIZE, 100, np.uint8)
    heat = adapted_heat(edges, image, np.random.default_rng(0), AdaptationConfig(views=20))
    assert heat.max() == 0


def test_views_show_no_black():
    darkest = []

    def watch(images):
        darkest.append(images.min())
        return brightness(images)

    image = np.full(SIZE, 100, np.uint8)
    adapted_heat(watch, image, np.random.default_rng(0), AdaptationConfig(views=20))
    assert darkest == [100]


def test_flat_places_are_not_labelled():
    image = dots((40, 30), (90, 60))
    noise = np.random.default_rng(0).integers(0, 3, SIZE, np.uint8)
    config = AdaptationConfig(views=2, homographies=IDENTITY, threshold=0.0)
    everywhere, somewhere = (
        label(corners, cv2.add(image, noise), np.random.default_rng(0), c)
        for c in (config, replace(config, flat=8.0))
    )
    assert 0 < len(somewhere.xy) < len(everywhere.xy)
    gaps = [np.hypot(*(somewhere.xy - place).T) for place in [(40, 30), (90, 60)]]
    assert np.minimum(*gaps).max() < 12


def test_slow_reference():
    """Each pixel is the mean over the views that show it, one pixel and one view at a time."""
    from dlcv.data.augment.homographies import sample_homography, warp_image, warp_points

    image = dots((40, 30), (90, 60))
    config = AdaptationConfig(views=4, border=3)
    heat = adapted_heat(brightness, image, np.random.default_rng(5), config)
    rng = np.random.default_rng(5)
    views = [np.eye(3)] + [sample_homography(rng, SIZE, config.homographies) for _ in range(3)]
    for x, y in [(40, 30), (88, 60), (42, 33), (64, 50)]:
        values = []
        for view in views:
            seen = brightness(warp_image(image, view, SIZE)[None])[0]
            u, v = warp_points(np.array([x, y]), view)
            if 8 <= u <= SIZE[1] - 9 and 8 <= v <= SIZE[0] - 9:
                patch = cv2.getRectSubPix(seen, (1, 1), (u, v))
                values.append(patch[0, 0])
        assert heat[y, x] == pytest.approx(np.mean(values), abs=0.06)


def test_full_contrast_spreads_grey_levels_and_keeps_their_order():
    image = np.random.default_rng(0).integers(40, 80, SIZE, np.uint8)
    spread = full_contrast(image, 0.01)
    assert spread.min() == 0
    assert spread.max() == 255
    order = np.argsort(image, axis=None, kind='stable')
    assert np.all(np.diff(spread.ravel()[order].astype(int)) >= 0)
    assert full_contrast(image, 0.0) is image
    flat = np.full(SIZE, 90, np.uint8)
    assert full_contrast(flat, 0.01) is flat


def test_snapped_points_are_corners_and_none_is_twice_there():
    image = np.zeros(SIZE, np.uint8)
    image[30:60, 40:80] = 200  # corners at (40, 30), (79, 30), (79, 59), (40, 59)
    near = np.array([[42, 31], [38, 28], [77, 61], [10, 10], [79, 30]])
    moved, kept = snapped(image, near, 3)
    np.testing.assert_array_equal(kept, [0, 2, 3, 4])
    gaps = np.abs(moved[[0, 1, 3]] - [[40, 30], [79, 59], [79, 30]])
    assert gaps.max() <= 1
    assert np.abs(moved - near[kept]).max() <= 9
    assert [len(part) for part in snapped(image, near[:0], 3)] == [0, 0]


def test_pieces_follow_from_their_number():
    photos = PhotoPool([])
    np.testing.assert_array_equal(cut(photos, 1, CONFIG), cut(photos, 1, CONFIG))
    assert np.any(cut(photos, 1, CONFIG) != cut(photos, 2, CONFIG))
    assert cut(photos, 1, CONFIG).shape == SIZE


def test_labels_are_kept_and_not_made_again(tmp_path):
    photos, calls = PhotoPool([]), []

    def teacher():
        calls.append(1)
        return corners

    made = make_labels(photos, corners, CONFIG)
    cached, again = (
        cached_labels(tmp_path, photos, teacher, CONFIG, {'teacher': 'corners'}) for _ in range(2)
    )
    assert calls == [1]
    assert len(made) == len(cached) == len(again) == 3
    assert sum(len(piece.xy) for piece in made) > 10
    for a, b, c in zip(made, cached, again, strict=True):
        np.testing.assert_array_equal(a.image, b.image)
        np.testing.assert_array_equal(a.xy, b.xy)
        np.testing.assert_array_equal(b.xy, c.xy)
        np.testing.assert_allclose(a.scores, c.scores)


def test_labels_made_in_another_way_are_refused(tmp_path):
    cached_labels(tmp_path, PhotoPool([]), lambda: corners, CONFIG, {'teacher': 'corners'})
    with pytest.raises(TrainError, match="teacher was 'corners' and is now 'other'"):
        cached_labels(tmp_path, PhotoPool([]), lambda: corners, CONFIG, {'teacher': 'other'})


@pytest.mark.parametrize('wrong', [{'count': 0}, {'size': (90, 128)}])
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(ValueError, match='labels need'):
        LabelConfig(**wrong)
