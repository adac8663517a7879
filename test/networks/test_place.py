"""What a map says of itself: the cameras, frames and poses that do not fit it, and by how much."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from dlcv.config import from_dict, to_dict
from dlcv.networks.place import Place, PoseSpread
from dlcv.types import Camera

PLACE = Place(frame='map', focal=(0.8, 1.6), low=(0, 0, 0), high=(3, 4, 0), pictures=10)


def camera(focal, height=200):
    return Camera(width=300, height=height, fx=9.0, fy=focal * height, cx=1.0, cy=1.0)


@pytest.mark.parametrize(
    ('focal', 'said'),
    [
        (0.8, ''),
        (1.6, ''),
        (0.4, 'of 0.40 heights of its picture, 2.00 times shorter than'),
        (2.4, 'of 2.40 heights of its picture, 1.50 times longer than'),
    ],
)
def test_a_camera_fits_by_its_focal_length_in_heights(focal, said):
    for height in (200, 480):
        found = PLACE.camera_misfit(camera(focal, height))
        assert found == '' if not said else said in found


def test_poses_far_from_the_cameras_of_the_map_are_not_its_own():
    assert PLACE.margin == pytest.approx(1 + 5 / 2)
    pose = np.eye(4)
    pose[:3, 3] = 3, 4, 3.5
    assert PLACE.pose_misfit(pose) == ''
    pose[:3, 3] = -3, 8, 0
    assert PLACE.pose_misfit(pose).startswith('5.00 m from the place where the map was made; 3.50')


def test_frames_are_compared_by_name():
    assert PLACE.frame_misfit('map') == ''
    assert PLACE.frame_misfit('odom') == "the map is in frame 'map', asked for is 'odom'"


def test_a_place_goes_through_plain_data():
    assert from_dict(to_dict(PLACE), Place) == PLACE


@pytest.mark.parametrize(
    ('change', 'said'),
    [
        ({'frame': ''}, 'name of its frame'),
        ({'focal': (0.0, 1.0)}, 'lowest <= highest focal length'),
        ({'low': (4.0, 0.0, 0.0)}, 'needs low <= high'),
        ({'least_share': 1.0}, r'least_share in \[0, 1\)'),
    ],
)
def test_nonsense_is_refused(change, said):
    with pytest.raises(ValueError, match=said):
        replace(PLACE, **change)


def test_a_spread_widens_each_part_by_its_factor():
    stated = np.arange(36.0).reshape(6, 6)
    wide = PoseSpread(translation=2, rotation=3).widened(stated)
    np.testing.assert_allclose(wide[:3, :3], 4 * stated[:3, :3])
    np.testing.assert_allclose(wide[3:, 3:], 9 * stated[3:, 3:])
    np.testing.assert_allclose(wide[:3, 3:], 6 * stated[:3, 3:])


@pytest.mark.parametrize('given', [{'translation': 0}, {'rotation': math.inf}, {'pictures': -1}])
def test_a_spread_that_is_none_is_refused(given):
    with pytest.raises(ValueError, match='finite factors > 0'):
        PoseSpread(**({'translation': 1.0, 'rotation': 1.0} | given))
