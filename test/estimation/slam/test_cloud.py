"""Landmarks beside their keyframes."""

from __future__ import annotations

import numpy as np

from dlcv.estimation.slam.cloud import Cloud


def test_a_map_that_is_given_has_its_landmarks_and_they_move_with_their_keyframes(lab):
    place = lab.mapper.place.copied()
    cloud = Cloud(place)
    found = cloud.points(place)
    assert len(found) == len(place.landmarks)
    there = {tuple(np.round(point, 3)) for point in place.landmarks.points}
    assert sum(tuple(np.round(point.astype(float), 3)) in there for point in found) > 0.9 * len(
        found
    )
    place.poses[:, :3, 3] += (1.0, 2.0, 3.0)
    np.testing.assert_allclose(cloud.points(place) - found, [[1, 2, 3]] * len(found), atol=1e-5)


def test_a_landmark_goes_on_to_the_keyframe_that_saw_it_last(lab):
    place = lab.mapper.place.copied()
    cloud = Cloud(place)
    count = len(cloud.points(place))
    last = cloud._names[-1]
    assert len(last) > 50
    place.add(place.keyframes[-1], place.poses[-1])
    cloud.add(last[:30], np.ones((30, 3)), last[:30])
    assert len(cloud.points(place)) == count
    cloud.leave_out(np.array([len(place) - 1]))
    assert len(cloud.points(place)) == count - 30
