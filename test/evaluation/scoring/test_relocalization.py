"""Poses in a map: shares, medians and false accepts that are known by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dlcv.evaluation.scoring.relocalization import relocalization_section
from dlcv.types import Trajectory

STEP = 100_000_000


def pose(x=0.0, degrees=0.0):
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler('y', degrees, degrees=True).as_matrix()
    matrix[0, 3] = x
    return matrix


def truth(count, every=1):
    places = range(0, count, every)
    return Trajectory(
        stamps_ns=np.array([place * STEP for place in places], np.int64),
        world_from_body=np.stack([pose(x=place) for place in places]),
    )


def off(*errors):
    """Return poses that are off by (metres, degrees); None for an image without a pose."""
    return {
        place * STEP: pose(place + error[0], error[1])
        for place, error in enumerate(errors)
        if error is not None
    }


def stamps(count):
    return [place * STEP for place in range(count)]


def values(section):
    return {metric.name: metric.value for metric in section.metrics}


def test_shares_and_medians_of_all_images():
    found = off((0.01, 1), (0.04, 4), (0.08, 1), (0.04, 7), None)
    section, worst = relocalization_section(found, stamps(5), truth(5))
    assert values(section) == {
        'answered': pytest.approx(80.0),
        'false accepts': None,
        '5 cm, 5 deg': pytest.approx(40.0),  # an image without a pose is within no bounds
        '10 cm, 10 deg': pytest.approx(80.0),
        '2 cm, 2 deg': pytest.approx(20.0),
        'median distance': pytest.approx(0.04),
        'median turn': pytest.approx(4.0),  # of 1, 1, 4, 7 and no end
    }
    assert section.metrics[1].text == 'not asked for'
    assert worst.frames()[0][1] == 2 * STEP
    assert len(worst.frames()) == 3  # no picture of an error without end


def test_where_most_images_have_no_pose_the_median_has_no_value():
    section, _ = relocalization_section(off(None, (0.01, 1), None), stamps(3), truth(3))
    found = values(section)
    assert found['answered'] == pytest.approx(100 / 3)
    assert found['median distance'] is None
    assert section.metrics[-1].text == 'most images have no pose'
    assert found['5 cm, 5 deg'] == pytest.approx(100 / 3)


def test_without_an_answer_shares_are_zero_and_without_truth_they_are_not():
    with_truth = values(relocalization_section({}, stamps(4), truth(4))[0])
    assert with_truth['answered'] == 0
    assert with_truth['5 cm, 5 deg'] == 0
    section, _ = relocalization_section(off((0.01, 1)), stamps(4), None)
    without = values(section)
    assert without['answered'] == 25
    for metric in section.metrics[2:]:
        assert metric.value is None
        assert metric.text == 'no truth'


def test_images_that_the_truth_does_not_reach_do_not_count():
    found = off((0.01, 1), (0.3, 1), (0.01, 1), (9.0, 90))
    section, worst = relocalization_section(found, stamps(4), truth(2))
    assert values(section)['5 cm, 5 deg'] == pytest.approx(50.0)
    assert values(section)['answered'] == 100
    assert section.notes == ('2 of 4 images have a true pose.',)
    assert worst.frames()[0] == (pytest.approx(0.3), STEP)


def test_the_greatest_gap_of_the_truth_is_the_callers():
    found, sparse = off((0.0, 0), (0.0, 0), (0.0, 0)), truth(3, every=2)  # 0.2 s apart
    near, _ = relocalization_section(found, stamps(3), sparse, max_gap_ns=STEP)
    far, _ = relocalization_section(found, stamps(3), sparse, max_gap_ns=2 * STEP)
    assert near.notes == ('2 of 3 images have a true pose.',)
    assert far.notes == ('3 of 3 images have a true pose.',)
    late = {stamp + 10 * STEP: one for stamp, one in found.items()}
    none, _ = relocalization_section(late, list(late), sparse)
    assert none.metrics[2].text == 'no truth at the times of the images'


def test_in_another_place_each_pose_is_false():
    section, worst = relocalization_section(
        off((0.0, 0), None, None, None), stamps(4), truth(4), elsewhere=True
    )
    assert values(section)['false accepts'] == 25
    assert section.metrics[2].text == 'another place'
    assert worst.frames() == []
    assert section.plots == ()
