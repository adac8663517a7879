"""Keypoints that a known flow carries, so that every share is known."""

from __future__ import annotations

import numpy as np
import pytest

from dlcv.evaluation.scoring.features import Features, carried

BEFORE = {1: 0, 2: 1, 3: 2}
RIGHT_BY_4 = np.full((40, 60, 2), (4, 0), np.float32)
SHIFT = np.array((4.0, 0.0))
POINTS = np.array([[10.0, 10], [20, 10], [30, 20], [57, 30]])  # the last one leaves the picture


def values(features):
    return {metric.name: metric.value for metric in features.section().metrics}


def test_points_are_carried_by_the_flow_of_their_pixel():
    flow = np.zeros((3, 4, 2), np.float32)
    flow[1, 2] = 1, -1
    flow[2, 3] = np.nan
    flow[0, 0] = -1, 0
    xy = np.array([[2.4, 0.6], [3, 2], [0, 0], [-1, 0], [3.6, 0], [0.4, 0.4]])
    there = carried(xy, flow)
    assert there[0] == pytest.approx([3.4, -0.4])  # half a pixel belongs to the picture
    assert np.isnan(there[1:5]).all()  # unknown, out of the picture, outside before
    assert np.isnan(there[5]).all()  # -0.6 is outside
    slow = [carried(one[None], flow)[0] for one in xy]
    np.testing.assert_array_equal(there, slow)


def test_repeatability_and_localization_error():
    features = Features(BEFORE)
    features.add_keypoints(0, POINTS, None)
    features.add_keypoints(1, np.array([[14.0, 11], [24, 12], [34, 23.5], [50, 1]]), RIGHT_BY_4)
    found = values(features)
    assert found['keypoints'] == 4
    assert found['repeatability'] == pytest.approx(2 / 3)  # 1, 2 and 3.5 px off
    assert found['MLE'] == pytest.approx(1.5)


def test_no_point_found_again_is_zero_and_has_no_error():
    features = Features(BEFORE)
    features.add_keypoints(0, POINTS, None)
    features.add_keypoints(1, np.zeros((0, 2)), RIGHT_BY_4)
    assert values(features)['repeatability'] == 0
    assert features.section().metrics[3].text == 'no point was found again'


def off_by(*pixels):
    return POINTS + SHIFT + np.array([(0, error) for error in pixels])


@pytest.mark.parametrize('matches_first', [False, True])
def test_matches_are_right_within_some_pixels(matches_first):
    features = Features(BEFORE)
    features.add_keypoints(0, POINTS, None)
    points = np.zeros((8, 2))
    if not matches_first:
        features.add_keypoints(1, points, RIGHT_BY_4)
    features.add_matches(1, POINTS, off_by(0.5, 2, 4, 0), RIGHT_BY_4)
    if matches_first:
        features.add_keypoints(1, points, RIGHT_BY_4)
    found = values(features)
    assert found['matches'] == 4
    assert found['MMA@1'] == pytest.approx(1 / 3)  # of the three that stay in the picture
    assert found['MMA@3'] == pytest.approx(2 / 3)
    assert found['MMA@5'] == 1
    assert found['matching score'] == pytest.approx(2 / 8)
    assert features.worst.frames() == [(pytest.approx(1 / 3), 1)]


def test_a_picture_without_a_match_has_a_score_of_zero_and_no_accuracy():
    features = Features(BEFORE)
    none = np.zeros((0, 2))
    for stamp in range(3):
        features.add_keypoints(stamp, POINTS, RIGHT_BY_4)
    features.add_matches(1, POINTS, off_by(0, 0, 0, 0), RIGHT_BY_4)
    features.add_matches(2, none, none, RIGHT_BY_4)
    found = values(features)
    assert found['matches'] == 2
    assert found['matching score'] == pytest.approx((3 / 4 + 0) / 2)
    assert found['MMA@3'] == 1
    unknown = Features(BEFORE)
    unknown.add_matches(2, none, none, np.full((4, 4, 2), np.nan, np.float32))
    assert values(unknown)['matching score'] is None


def test_where_an_image_was_left_out_there_is_no_truth():
    features = Features(BEFORE)
    features.add_keypoints(0, POINTS, None)
    features.add_keypoints(2, POINTS, RIGHT_BY_4)  # its true flow leads from 1
    features.add_matches(2, POINTS, off_by(9, 9, 9, 9), RIGHT_BY_4)
    assert values(features)['repeatability'] is None
    assert values(features)['MMA@5'] is None
    assert features.worst.frames() == []
    features.add_keypoints(3, POINTS + SHIFT, RIGHT_BY_4)
    assert values(features)['repeatability'] == 1


def test_without_truth_only_counts_are_known():
    features = Features(BEFORE)
    for stamp in range(2):
        features.add_keypoints(stamp, POINTS, None)
    features.add_matches(1, POINTS, POINTS, None)
    section = features.section()
    found = values(features)
    assert (found.pop('keypoints'), found.pop('matches')) == (4, 4)
    assert set(found.values()) == {None}
    assert all(metric.text.startswith('no truth') for metric in section.metrics[2:])
    assert section.notes == ('no truth: it needs true flow.',)
