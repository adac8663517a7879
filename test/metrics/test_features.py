"""Feature metrics: answers known by hand, laws, and slow references from the definitions."""

from __future__ import annotations

from math import hypot, inf, isnan, nan

import numpy as np
import pytest

from dlcv.metrics.features import (
    FeatureMetricError,
    Nearest,
    TrueMotion,
    apply_homography,
    average_precision,
    corner_error,
    homography_correct,
    localization_error,
    matching_accuracy,
    matching_score,
    mean_known,
    nn_map,
    repeatability,
)

SIZE = (100, 200)
STILL = TrueMotion(second_from_first=np.eye(3), first_size=SIZE, second_size=SIZE)
RIGHT_50 = TrueMotion(
    second_from_first=np.array([[1.0, 0, 50], [0, 1, 0], [0, 0, 1]]),
    first_size=SIZE,
    second_size=SIZE,
)
TILTED = TrueMotion(
    second_from_first=np.array([[1.1, 0.1, -12], [-0.05, 0.9, 4], [4e-4, -3e-4, 1]]),
    first_size=SIZE,
    second_size=(120, 160),
)
POINTS = np.array([[10.0, 10], [60, 20], [120, 50], [190, 90]])


def random_points(seed: int, count: int, size=SIZE) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.uniform(-0.5, np.array(size[::-1]) - 0.5, (count, 2))


def related_points(seed: int, truth: TrueMotion, count: int = 60):
    """Points of which about half lie near their place in the other picture."""
    rng = np.random.default_rng(seed)
    first = random_points(seed, count, truth.first_size)
    second = truth.carry(first) + rng.normal(0, 2.5, (count, 2))
    height, width = truth.second_size
    inside = (second >= -0.5).all(1) & (second <= (width - 0.5, height - 0.5)).all(1)
    extra = random_points(seed + 1, count // 2, truth.second_size)
    return first, rng.permutation(np.concatenate((second[inside], extra)))


def nearest_of(first, second, seed) -> tuple[Nearest, Nearest]:
    """Neighbours in a random descriptor space that knows something of the true places."""
    rng = np.random.default_rng(seed)
    distance = rng.integers(0, 12, (len(first), len(second))).astype(float)  # with equal ones
    return (
        Nearest(index=distance.argmin(1), distance=distance.min(1)),
        Nearest(index=distance.argmin(0), distance=distance.min(0)),
    )


# Slow references, in the words of the definitions.


def carried(point, matrix):
    x, y, w = matrix @ np.array([point[0], point[1], 1.0])
    return x / w, y / w


def shown(point, size):
    return -0.5 <= point[0] <= size[1] - 0.5 and -0.5 <= point[1] <= size[0] - 0.5


def slow_gaps(first, second, truth):
    there = truth.second_from_first
    back = np.linalg.inv(there)
    seen1 = [p for p in first if shown(carried(p, there), truth.second_size)]
    seen2 = [p for p in second if shown(carried(p, back), truth.first_size)]
    gaps = []
    for mine, others, matrix in ((seen1, seen2, there), (seen2, seen1, back)):
        for p in mine:
            x, y = carried(p, matrix)
            gaps.append(min((hypot(x - q[0], y - q[1]) for q in others), default=inf))
    return gaps


def slow_average_precision(correct, distance):
    """Accept everything up to each distance in turn; sum precision times what recall gains."""
    area, recall = 0.0, 0.0
    for limit in sorted(set(distance)):
        accepted = [c for c, d in zip(correct, distance, strict=True) if d <= limit]
        new_recall = sum(accepted) / sum(correct)
        area += sum(accepted) / len(accepted) * (new_recall - recall)
        recall = new_recall
    return area


def slow_correct(first, second, nearest, truth):
    flags, distances = [], []
    for i, p in enumerate(first):
        x, y = carried(p, truth.second_from_first)
        if shown((x, y), truth.second_size):
            q = second[nearest.index[i]]
            flags.append(hypot(x - q[0], y - q[1]) <= 3)
            distances.append(float(nearest.distance[i]))
    return flags, distances


@pytest.mark.parametrize('truth', [STILL, RIGHT_50, TILTED])
@pytest.mark.parametrize('seed', range(4))
def test_detector_metrics_agree_with_the_slow_reference(truth, seed):
    first, second = related_points(seed, truth)
    gaps = slow_gaps(first, second, truth)
    repeated = [gap for gap in gaps if gap <= 3]
    assert 10 < len(repeated) < len(gaps)
    assert repeatability(first, second, truth) == pytest.approx(len(repeated) / len(gaps))
    assert localization_error(first, second, truth) == pytest.approx(np.mean(repeated))


@pytest.mark.parametrize('truth', [STILL, RIGHT_50, TILTED])
@pytest.mark.parametrize('seed', range(4))
def test_descriptor_metrics_agree_with_the_slow_reference(truth, seed):
    first = random_points(seed, 80, truth.first_size)
    second = truth.carry(first)[::-1]  # every point has its place, also those out of sight
    forth, back = nearest_of(first, second, seed)
    # half of the neighbours are made the right ones
    right = np.arange(80)[::-1]
    forth = Nearest(index=np.where(np.arange(80) % 2, right, forth.index), distance=forth.distance)
    expected = [
        slow_correct(first, second, forth, truth),
        slow_correct(second, first, back, truth.reversed()),
    ]
    score = np.mean([np.mean(flags) for flags, _ in expected])
    assert matching_score(first, second, forth, back, truth) == pytest.approx(score)
    areas = [slow_average_precision(*e) if any(e[0]) else 0.0 for e in expected]
    assert nn_map(first, second, forth, back, truth) == pytest.approx(np.mean(areas))
    assert 0 < score < 1


def test_the_same_points_are_repeated_exactly():
    assert repeatability(POINTS, POINTS, STILL) == 1
    assert localization_error(POINTS, POINTS, STILL) == 0


def test_a_constant_offset_is_the_localization_error():
    moved = POINTS - (3, 4)
    assert localization_error(POINTS, moved, STILL, within=5) == pytest.approx(5)
    assert repeatability(POINTS, moved, STILL, within=5) == 1
    assert repeatability(POINTS, moved, STILL, within=4.9) == 0
    assert isnan(localization_error(POINTS, moved, STILL, within=4.9))


def test_points_out_of_sight_do_not_count():
    second = RIGHT_50.carry(POINTS[:3])
    unseen = np.array([[20.0, 5.0]])  # what is here in the second lies left of the first
    # POINTS[3] leaves the second picture
    assert repeatability(POINTS, np.concatenate((second, unseen)), RIGHT_50) == 1


def test_half_of_the_points_found_again_is_counted_from_both_sides():
    # 4 and 2 points; the 2 are found in the 4, and 2 of the 4 in the 2: (2 + 2) / 6
    assert repeatability(POINTS, POINTS[:2], STILL) == pytest.approx(4 / 6)


def test_detector_metrics_do_not_change_when_the_pictures_are_swapped():
    first, second = related_points(7, TILTED)
    back = TILTED.reversed()
    assert repeatability(first, second, TILTED) == repeatability(second, first, back)
    forward = localization_error(first, second, TILTED)
    assert localization_error(second, first, back) == pytest.approx(forward)


def test_nothing_to_measure_is_nan_and_left_out_of_means():
    none = np.zeros((0, 2))
    nothing = Nearest(index=np.zeros(0, int), distance=np.zeros(0))
    assert isnan(repeatability(none, none, STILL))
    assert isnan(localization_error(none, none, STILL))
    assert isnan(matching_score(none, none, nothing, nothing, STILL))
    assert isnan(nn_map(none, none, nothing, nothing, STILL))
    assert isnan(average_precision(np.zeros(0, bool), np.zeros(0)))
    assert mean_known([1.0, nan, 3.0]) == 2
    assert isnan(mean_known([nan]))


def test_points_in_one_picture_alone_are_not_repeated():
    none = np.zeros((0, 2))
    nothing = Nearest(index=np.zeros(0, int), distance=np.zeros(0))
    alone = Nearest(index=np.zeros(4, int), distance=np.zeros(4))
    assert repeatability(POINTS, none, STILL) == 0
    assert matching_score(POINTS, none, alone, nothing, STILL) == 0
    assert matching_accuracy(POINTS, none, np.zeros((0, 2), int), STILL) == 0


@pytest.mark.parametrize(
    ('correct', 'distance', 'area'),
    [
        ([1, 1, 1], [0.1, 0.2, 0.3], 1),
        ([0, 0], [0.1, 0.2], 0),
        ([1, 0, 1], [0.1, 0.2, 0.3], (1 + 2 / 3) / 2),
        ([0, 1], [0.1, 0.2], 1 / 2),
        ([0, 1, 1, 0], [0.5, 0.5, 0.5, 0.5], 1 / 2),  # equal ones are accepted together
        ([1, 0], [0.5, 0.5], 1 / 2),
    ],
)
def test_average_precision_by_hand(correct, distance, area):
    found = average_precision(np.array(correct, bool), np.array(distance))
    assert found == pytest.approx(area)


def test_average_precision_does_not_depend_on_order_or_unit():
    rng = np.random.default_rng(3)
    correct, distance = rng.random(200) < 0.4, rng.integers(0, 40, 200)
    order = rng.permutation(200)
    expected = average_precision(correct, distance)
    assert average_precision(correct[order], distance[order]) == pytest.approx(expected)
    assert average_precision(correct, 7.0 * distance + 1) == pytest.approx(expected)
    assert expected == pytest.approx(slow_average_precision(correct.tolist(), distance.tolist()))


def test_matching_accuracy_counts_every_match():
    second = RIGHT_50.carry(POINTS)
    matches = np.array([[0, 0], [1, 1], [2, 3], [3, 3]])  # the third is wrong, the fourth unseen
    assert matching_accuracy(POINTS, second, matches, RIGHT_50) == 3 / 4
    assert matching_accuracy(POINTS, second + np.array([2, 0]), matches, RIGHT_50, within=1) == 0


def test_corner_error_of_a_shift_is_its_length():
    shifted = np.array([[1.0, 0, 3], [0, 1, 4], [0, 0, 1]])
    assert corner_error(shifted, STILL) == pytest.approx(5)
    assert corner_error(-2.5 * shifted, STILL) == pytest.approx(5)  # a homography has no scale
    assert corner_error(TILTED.second_from_first, TILTED) == pytest.approx(0)


def test_corner_error_of_a_scale_is_that_of_the_far_corners():
    double = np.diag([2.0, 2, 1])
    corners = [(0, 0), (199, 0), (199, 99), (0, 99)]
    assert corner_error(double, STILL) == pytest.approx(np.mean([hypot(*c) for c in corners]))


def test_no_estimate_and_an_impossible_one_are_infinitely_wrong():
    assert corner_error(None, STILL) == inf
    over_the_horizon = np.array([[1.0, 0, 0], [0, 1, 0], [-0.01, 0, 1]])
    assert corner_error(over_the_horizon, STILL) == inf
    assert homography_correct([0.5, 2.0, inf, 1.0], 1) == 2 / 4
    assert homography_correct([inf], 5) == 0
    assert isnan(homography_correct([], 5))


def test_points_behind_the_camera_are_nan_and_unseen():
    matrix = np.array([[1.0, 0, 0], [0, 1, 0], [-0.01, 0, 1]])
    mapped = apply_homography(matrix, np.array([[50.0, 10], [150, 10]]))
    assert mapped[0] == pytest.approx((100, 20))
    assert np.isnan(mapped[1]).all()
    truth = TrueMotion(second_from_first=matrix, first_size=SIZE, second_size=SIZE)
    assert truth.visible(np.array([[50.0, 10], [150, 10]])).tolist() == [True, False]


def test_there_and_back_is_the_identity():
    points = random_points(1, 50)
    assert TILTED.reversed().carry(TILTED.carry(points)) == pytest.approx(points)


def test_lengths_that_do_not_fit_are_named():
    with pytest.raises(FeatureMetricError, match='2 correct, but 3 distance'):
        average_precision(np.ones(2, bool), np.ones(3))
    short = Nearest(index=np.zeros(2, int), distance=np.zeros(2))
    with pytest.raises(FeatureMetricError, match='4 points, but 2 their neighbours'):
        matching_score(POINTS, POINTS, short, short, STILL)
