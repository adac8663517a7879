"""Depth, masks, keypoints, baselines and turns: what is written comes back; the rest is refused."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from dlcv.data.bags.vocabulary import COMPOSER
from dlcv.interface import messages
from dlcv.interface.messages.compose import millimetres
from dlcv.types import Keypoints

HEADER = COMPOSER.header(10**9, 'camera')


def _info(*p):
    return SimpleNamespace(p=p)


def _imu(*rates, covariance=0.0):
    w = SimpleNamespace(**dict(zip('xyz', rates, strict=True)))
    return SimpleNamespace(angular_velocity=w, angular_velocity_covariance=[covariance] * 9)


@pytest.fixture
def points():
    chance = np.random.default_rng(0)
    descriptors = chance.normal(0, 1, (5, 16)).astype(np.float32)
    return Keypoints(
        stamp_ns=10**9,
        xy=chance.uniform(0, 50, (5, 2)).astype(np.float32),
        scores=chance.uniform(0, 1, 5).astype(np.float32),
        descriptors=descriptors / np.linalg.norm(descriptors, axis=1, keepdims=True),
    )


def test_both_kinds_of_depth_are_metres():
    metres = np.array([[1.5, 2.25], [np.nan, 7.0]], np.float32)
    for pixels in (metres, millimetres(metres)):
        found = messages.depth(COMPOSER.image(HEADER, pixels))
        np.testing.assert_allclose(found, metres)


def test_depth_that_is_none_is_unknown():
    wrong = np.array([[0, -1, np.inf, -np.inf]], np.float32)
    found = messages.depth(COMPOSER.image(HEADER, wrong))
    np.testing.assert_array_equal(found, [[np.nan, np.nan, np.inf, -np.inf]])


def test_a_picture_is_no_depth():
    picture = COMPOSER.image(HEADER, np.zeros((2, 3, 3), np.uint8))
    with pytest.raises(messages.MessageError, match="'rgb8' is no depth; it is 32FC1 or 16UC1"):
        messages.depth(picture)


def test_too_few_bytes_are_refused():
    image = COMPOSER.image(HEADER, np.zeros((2, 3), np.float32))
    image.data = image.data[:10]
    with pytest.raises(messages.MessageError, match='10 bytes with step 12 are no 3x2 32FC1'):
        messages.depth(image)


def test_a_mask_lets_through_what_is_not_black():
    image = COMPOSER.image(HEADER, np.array([[0, 1], [255, 0]], np.uint8))
    np.testing.assert_array_equal(messages.mask(image), [[False, True], [True, False]])
    with pytest.raises(messages.MessageError, match="'rgb8' is no mask; it is mono8"):
        messages.mask(COMPOSER.image(HEADER, np.zeros((2, 3, 3), np.uint8)))


def test_the_baseline_is_that_of_p():
    assert messages.baseline(_info(500.0, 0, 0, -60.0, *[0] * 8)) == pytest.approx(0.12)


@pytest.mark.parametrize(
    ('p', 'words'),
    [
        ((500.0, 0, 0, 0.0), r'P\[3\] of the right camera_info is 0'),
        ((500.0, 0, 0, 60.0), 'are left and right exchanged'),
        ((0.0, 0, 0, -60.0), 'no calibration'),
        ((np.nan, 0, 0, -60.0), 'no calibration'),
    ],
)
def test_a_calibration_of_no_right_camera_is_refused(p, words):
    with pytest.raises(messages.MessageError, match=words):
        messages.baseline(_info(*p, *[0] * 8))


@pytest.mark.parametrize('kind', ['int8', 'float32'])
def test_keypoints_come_back(points, kind):
    found = messages.keypoints(COMPOSER.keypoint_cloud(HEADER, points, kind))
    assert (found.stamp_ns, found.rays) == (10**9, None)
    np.testing.assert_array_equal(found.xy, points.xy)
    np.testing.assert_array_equal(found.scores, points.scores)
    np.testing.assert_allclose(found.descriptors, points.descriptors, atol=0.01)
    np.testing.assert_allclose(np.linalg.norm(found.descriptors, axis=1), 1, atol=1e-6)


def test_rays_come_along(points):
    rays = np.ones((5, 3), np.float32)
    cloud = COMPOSER.keypoint_cloud(HEADER, replace(points, rays=rays), 'int8')
    found = messages.keypoints(cloud)
    np.testing.assert_array_equal(found.rays, rays)


def test_keypoints_without_descriptors_are_refused(points):
    cloud = COMPOSER.keypoint_cloud(HEADER, points, 'none')
    with pytest.raises(messages.MessageError, match='no descriptor; descriptor_format of superpoi'):
        messages.keypoints(cloud)


def test_angular_velocity():
    np.testing.assert_array_equal(messages.angular_velocity(_imu(1, 2, 3)), [1, 2, 3])
    with pytest.raises(messages.MessageError, match='measures no angular velocity'):
        messages.angular_velocity(_imu(0, 0, 0, covariance=-1.0))
    with pytest.raises(messages.MessageError, match='no angular velocity: '):
        messages.angular_velocity(_imu(0, np.nan, 0))
