"""FeatureEstimator: where points land, what becomes of blank pictures, matching."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from dlcv.estimation.superpoint import FeatureEstimator, FeatureSettings
from dlcv.geometry.camera import pixel_rays
from dlcv.networks.superpoint import SuperPoint, SuperPointConfig
from dlcv.types import Frame, Keypoints


class Dots(nn.Module):
    """Finds bright pixels: the logit of a pixel is its brightness; descriptors are constant."""

    multiple = 8

    def __init__(self):
        super().__init__()
        self.config = SuperPointConfig()

    def forward(self, images):
        cells = nn.functional.pixel_unshuffle(images * 20, 8)  # (B, 64, h, w)
        dustbin = torch.full_like(cells[:, :1], 8.0)
        shape = (images.shape[0], 256, *cells.shape[2:])
        return torch.cat((cells, dustbin), 1), torch.full(shape, 1 / 16.0)


DOTS = np.array([[20.0, 30.0], [77.0, 12.0], [50.0, 50.0]])


def dotted(at=DOTS, width=100, height=60, radius=0):
    image = np.zeros((height, width), np.uint8)
    for x, y in at.astype(int):
        image[y - radius : y + radius + 1, x - radius : x + radius + 1] = 255
    return image


def nearest(found, wanted):
    return np.linalg.norm(found[:, None] - wanted[None], axis=-1)


def test_points_lie_on_the_pixels_of_the_frame():
    found = FeatureEstimator(Dots(), device='cpu').push(Frame(stamp_ns=5, image=dotted()))
    assert found.stamp_ns == 5
    assert found.rays is None
    assert found.xy.shape == (3, 2)
    assert (nearest(found.xy, DOTS).min(0) < 1e-4).all()
    assert np.all(np.diff(found.scores) <= 0)
    np.testing.assert_allclose(np.linalg.norm(found.descriptors, axis=1), 1, atol=1e-5)


def test_weights_that_were_published_with_whole_pixels_keep_them():
    image = dotted()
    image[30, 21] = 254  # the dot lies half a pixel further right
    network = Dots()

    def first(**settings):
        settings = FeatureSettings(max_keypoints=1, **settings)
        [xy] = (
            FeatureEstimator(network, settings, device='cpu')
            .push(Frame(stamp_ns=0, image=image[20:40, :60]))
            .xy
        )
        return xy.tolist()

    between = pytest.approx([20.5, 10], abs=0.05)
    assert first() == between
    assert first(subpixel='off') == [20, 10]
    assert first(nms_radius=0) == [20, 10]  # where every pixel stays, none stands for others
    network.config = replace(network.config, subpixel=False)
    assert first() == [20, 10]
    assert first(subpixel='on') == between


def test_points_of_a_shrunk_frame_are_mapped_back():
    """400x240 shrunk to 100x60: blocks of 4x4 centred on half pixels."""
    at = DOTS * 4
    image = np.zeros((240, 400), np.uint8)
    for x, y in at.astype(int):
        image[y : y + 4, x : x + 4] = 255
    settings = FeatureSettings(resize_long_side=100)
    found = FeatureEstimator(Dots(), settings, 'cpu').push(Frame(stamp_ns=0, image=image))
    assert found.xy.shape == (3, 2)
    assert nearest(found.xy, at + 1.5).min(0).max() < 1e-5


def test_no_point_is_found_in_the_padding():
    image = np.full((60, 100), 0, np.uint8)
    image[:, 97:] = 255  # the padding repeats this column up to 104
    settings = FeatureSettings(remove_borders=0)
    found = FeatureEstimator(Dots(), settings, 'cpu').push(Frame(stamp_ns=0, image=image))
    assert len(found.xy)
    assert found.xy[:, 0].max() <= 99
    assert found.xy[:, 1].max() <= 59


def test_the_border_is_that_of_the_picture_not_of_the_padding():
    at = np.array([[98.0, 30.0], [50.0, 58.0], [50.0, 20.0]])
    found = FeatureEstimator(Dots(), device='cpu').push(Frame(stamp_ns=0, image=dotted(at)))
    np.testing.assert_array_equal(found.xy, [[50, 20]])


def test_the_strongest_are_kept():
    image = dotted()
    image[30, 20] = 200
    settings = FeatureSettings(max_keypoints=2)
    found = FeatureEstimator(Dots(), settings, 'cpu').push(Frame(stamp_ns=0, image=image))
    assert len(found.xy) == 2
    assert nearest(found.xy, DOTS[:1]).min() > 5


@pytest.mark.parametrize('pipeline', ['dense', 'demo'])
@pytest.mark.parametrize('value', [0, 255])
def test_a_blank_picture_has_no_points_and_no_matches(pipeline, value):
    settings = FeatureSettings(pipeline=pipeline, detection_threshold=0.5)
    estimator = FeatureEstimator(Dots(), settings, 'cpu')
    blank = estimator.push(Frame(stamp_ns=1, image=np.full((60, 100), value, np.uint8)))
    assert blank.xy.shape == (0, 2)
    assert blank.scores.shape == (0,)
    assert blank.descriptors.shape == (0, 256)
    some = estimator.push(Frame(stamp_ns=2, image=dotted()))
    for first, second in ((blank, some), (some, blank), (blank, blank)):
        matches = estimator.match(first, second)
        assert matches.xy.shape == matches.previous_xy.shape == (0, 2)
        assert matches.scores.shape == (0,)


def test_rays_undo_the_lens(lens):
    image = dotted(DOTS[[0, 2]], 96, 64)
    found = FeatureEstimator(Dots(), device='cpu').push(Frame(stamp_ns=0, image=image, camera=lens))
    np.testing.assert_allclose(found.rays, pixel_rays(lens, found.xy))
    assert np.abs(found.rays - pixel_rays(lens.undistorted(), found.xy)).max() > 1e-3


def test_colour_is_made_grey():
    estimator = FeatureEstimator(Dots(), device='cpu')
    colour = np.repeat(dotted()[..., None], 3, axis=2)
    a, b = (estimator.push(Frame(stamp_ns=0, image=i)) for i in (dotted(), colour))
    np.testing.assert_array_equal(a.xy, b.xy)


def keypoints(descriptors, stamp_ns=0):
    xy = np.arange(2 * len(descriptors), dtype=np.float32).reshape(-1, 2)
    return Keypoints(
        stamp_ns=stamp_ns,
        xy=xy,
        scores=np.ones(len(xy), np.float32),
        descriptors=descriptors.astype(np.float32),
    )


def test_matches_by_hand():
    """Two of three descriptors come back turned a little; the third is ambiguous."""
    first = keypoints(np.eye(4)[:3])
    turned = np.array(
        [[0, 0.995, 0, 0.0998], [0.995, 0, 0, 0.0998], [0, 0, 0.8, 0.6], [0, 0, 0.79, 0.613]]
    )
    second = keypoints(turned / np.linalg.norm(turned, axis=1, keepdims=True), stamp_ns=9)
    estimator = FeatureEstimator(Dots(), device='cpu')
    matches = estimator.match(first, second)
    np.testing.assert_array_equal(matches.previous_xy, first.xy[:2])
    np.testing.assert_array_equal(matches.xy, second.xy[[1, 0]])
    np.testing.assert_allclose(matches.scores, 0.995, atol=1e-3)
    assert (matches.previous_stamp_ns, matches.stamp_ns) == (0, 9)
    estimator.settings = replace(estimator.settings, match_ratio=1.0)
    assert len(estimator.match(first, second).xy) == 3


def test_the_real_network_on_any_size(frame, picture):
    network = SuperPoint(SuperPointConfig(width=0.125))
    estimator = FeatureEstimator(network, FeatureSettings(detection_threshold=0.0), 'cpu')
    for width, height in ((96, 64), (61, 47), (8, 8)):
        found = estimator.push(frame(image=picture(width=width, height=height)))
        assert found.descriptors.shape == (len(found.xy), 32)
        assert (found.xy >= 0).all()
        assert (found.xy < (width, height)).all()
