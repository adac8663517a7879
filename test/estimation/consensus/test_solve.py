"""The whole consensus: accuracy, calibration, gradients, and input that has no answer."""

from __future__ import annotations

import math
import statistics
from dataclasses import replace

import pytest
import torch

from dlcv.estimation.consensus import (
    ConsensusError,
    ConsensusSettings,
    RefineSettings,
    pose_expectation,
    soft_inlier_score,
    solve_pose,
)
from dlcv.geometry.rotation import so3_log

NO_CLOCK = ConsensusSettings(time_budget=math.inf)
SMALL = ConsensusSettings(hypotheses=16, max_tries=2000, time_budget=math.inf)


def solve(v, settings=SMALL, seed=0, **options):
    generator = torch.Generator().manual_seed(seed)
    return solve_pose(v.coordinates, v.pixels, v.camera, settings, generator=generator, **options)


def check_accuracy(view, outliers, runs):
    errors = []
    for seed in range(runs):
        v = view(seed, outliers=outliers, noise=1.0)
        errors.append(v.errors(solve(v, NO_CLOCK, seed).world_from_camera))
    degrees, metres = zip(*errors, strict=True)
    assert max(degrees) < 0.5
    assert max(metres) < 0.05
    assert statistics.median(degrees) < 0.15
    assert statistics.median(metres) < 0.01


@pytest.mark.parametrize('outliers', [0.3, 0.5, 0.7, 0.85])
def test_the_pose_is_found_among_outliers(view, outliers):
    check_accuracy(view, outliers, runs=5)


@pytest.mark.slow
@pytest.mark.parametrize('outliers', [0.3, 0.5, 0.7, 0.85])
def test_the_pose_is_found_among_outliers_in_fifty_runs(view, outliers):
    check_accuracy(view, outliers, runs=50)


@pytest.mark.parametrize('refinement', [RefineSettings(polish=False), RefineSettings.dsac2017()])
def test_the_papers_refinements_find_it_too(view, refinement):
    v = view(0, size=1600, outliers=0.4, noise=1.0)
    degrees, metres = v.errors(solve(v, ConsensusSettings(refinement=refinement)).world_from_camera)
    assert degrees < 0.5
    assert metres < 0.05


def test_an_estimate_is_consistent_with_itself(view):
    v = view(1, size=600, outliers=0.5, noise=1.0)
    found = solve(v)
    assert found.reason == ''
    assert found.hypotheses.shape == (16, 4, 4)
    assert (found.scores.diff() <= 0).all()
    assert found.score == found.scores[0]
    scores = soft_inlier_score(found.hypotheses, v.coordinates, v.pixels, v.camera, behind=False)
    torch.testing.assert_close(found.scores, scores, rtol=0, atol=1e-3)
    assert found.inliers == int(found.inlier_mask.sum())
    missed = (~found.inlier_mask & ~v.outlying).sum()
    assert missed == 0
    assert (found.inlier_mask & v.outlying).sum() < 5
    assert found.stopped_by == 'enough'
    assert 16 <= found.tries <= 2000
    assert found.elapsed > 0


def test_the_same_seed_gives_the_same_pose_and_none_is_seed_zero(view):
    v = view(2, size=400, outliers=0.6, noise=1.0)
    one, same, other = solve(v), solve(v), solve(v, seed=1)
    default = solve_pose(v.coordinates, v.pixels, v.camera, SMALL)
    assert torch.equal(one.hypotheses, same.hypotheses)
    assert torch.equal(one.world_from_camera, same.world_from_camera)
    assert torch.equal(one.hypotheses, default.hypotheses)
    assert not torch.equal(one.hypotheses, other.hypotheses)


def test_a_map_far_from_its_origin_costs_no_accuracy(view):
    v = view(3, outliers=0.5, noise=1.0, origin=(500_000.0, -4_000_000.0, 300.0))
    degrees, metres = v.errors(solve(v).world_from_camera)
    assert degrees < 0.1
    assert metres < 0.005


def test_single_precision_input_on_exact_data(view):
    v = view(4, size=300)
    found = solve_pose(v.coordinates.float(), v.pixels.float(), v.camera, SMALL)
    degrees, metres = v.errors(found.world_from_camera)
    assert found.world_from_camera.dtype == torch.float64
    assert degrees < 1e-3
    assert metres < 1e-4


def test_a_plane_is_enough(view):
    v = view(5, size=300)
    pose = v.world_from_camera
    seen = (v.coordinates - pose[:3, 3]) @ pose[:3, :3]
    v.coordinates[:] = (seen * (3 / seen[:, 2:])) @ pose[:3, :3].T + pose[:3, 3]
    degrees, metres = v.errors(solve(v).world_from_camera)
    assert degrees < 1e-5
    assert metres < 1e-6


def test_a_learned_score_decides(view):
    v = view(6, size=300, outliers=0.5, noise=1.0)
    seen = []

    def worst_is_best(errors):
        seen.append(errors)
        return errors.mean(1)

    found = solve(v, score=worst_is_best)
    assert seen[0].shape == (16, 300)
    assert seen[0].dtype == torch.float32
    assert 0 <= seen[0].min() < seen[0].max() == 100
    torch.testing.assert_close(found.scores[0], seen[0].mean(1).max().double())


def test_covariance_is_calibrated(view):
    squared = []
    for seed in range(200):
        v = view(seed, size=150, outliers=0.2, noise=1.5)
        found = solve(v, seed=seed)
        estimate, truth = found.world_from_camera, v.world_from_camera
        error = torch.cat(
            (truth[:3, 3] - estimate[:3, 3], so3_log(truth[:3, :3] @ estimate[:3, :3].T))
        )
        squared.append(float(error @ torch.linalg.solve(found.covariance, error)))
    # Chi squared of six degrees: the mean of 200 lies within 6 +- 0.25 (one deviation).
    assert 5.0 < statistics.mean(squared) < 7.0


@pytest.mark.parametrize('usable', [0, 3])
def test_fewer_than_four_coordinates_are_no_pose(view, usable):
    v = view(7, size=20)
    v.coordinates[usable:] = torch.nan
    found = solve(v)
    assert found.world_from_camera is None
    assert found.covariance is None
    assert found.reason == f'{usable} of 20 scene coordinates are usable; a pose needs four'
    assert (found.tries, found.inliers, found.stopped_by) == (0, 0, 'input')
    assert found.hypotheses.shape == (0, 4, 4)


def test_no_coordinates_at_all_are_no_pose(view):
    v = view(8, size=4)
    found = solve_pose(v.coordinates[:0], v.pixels[:0], v.camera)
    assert found.world_from_camera is None
    assert found.reason.startswith('0 of 0')


def test_points_on_a_line_are_no_pose(view):
    v = view(9, size=50)
    v.coordinates[:] = v.coordinates[0] + v.coordinates[:, :1] * torch.ones(3).double()
    found = solve(v)
    assert found.world_from_camera is None
    assert found.reason.startswith('no four of 50 scene coordinates agree on a pose within 10 px')
    assert (found.tries, found.stopped_by) == (2000, 'tries')


def test_one_point_repeated_is_no_pose(view):
    v = view(10, size=50)
    v.coordinates[:] = v.coordinates[0]
    assert solve(v).world_from_camera is None


def test_noise_without_a_pose_has_few_inliers_and_ends(view):
    v = view(11, size=500, outliers=1.0)
    found = solve(v)
    assert found.tries <= 2000
    assert found.inliers < 20


def test_some_nan_and_infinite_coordinates_are_left_out(view):
    v = view(12, size=400, noise=1.0)
    v.coordinates[::3] = torch.nan
    v.coordinates[1::3, 1] = torch.inf
    found = solve(v)
    degrees, metres = v.errors(found.world_from_camera)
    assert degrees < 0.1
    assert metres < 0.01
    assert not found.inlier_mask[::3].any()
    assert not found.inlier_mask[1::3].any()
    assert found.inliers > 120


def test_exactly_four_points_give_their_pose(view):
    v = view(13, size=4)
    degrees, metres = v.errors(solve(v).world_from_camera)
    assert degrees < 1e-6
    assert metres < 1e-7


def test_the_caller_keeps_its_threads(view):
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        solve(view(21, size=10))
        with pytest.raises(ConsensusError):
            solve_pose(torch.zeros(4, 2), torch.zeros(4, 2), view(21, size=4).camera)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_what_is_not_correspondences_is_refused_by_name(view):
    v = view(14, size=4)
    with pytest.raises(ConsensusError, match=r'coordinates must be \(N, 3\), got \(3, 60, 80\)'):
        solve_pose(torch.zeros(3, 60, 80), v.pixels, v.camera)


@pytest.mark.parametrize('wrong', [{'hypotheses': 0}, {'threshold': 0.0}, {'time_budget': -1.0}])
def test_impossible_settings_are_refused_by_name(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ConsensusSettings(**wrong)


def expectation(coordinates, v, hypotheses=6):
    settings = ConsensusSettings(hypotheses=hypotheses, threshold=20.0, time_budget=math.inf)
    return pose_expectation(coordinates, v.pixels, v.camera, settings)


@pytest.mark.parametrize('seed', [16, 17, 18])  # of others, some sets meet the guard's zero
def test_gradient_of_the_scores_reaches_the_coordinates_both_ways(view, seed):
    # P3P is exact, so its implicit derivative is too: finite differences draw, solve and score
    # anew, and so include how the poses of the minimal sets move.
    v = view(seed, size=12, noise=4.0)
    points = v.coordinates.requires_grad_()
    assert len(expectation(points, v).scores) == 6
    assert torch.autograd.gradcheck(
        lambda p: expectation(p, v).scores, points, eps=1e-6, atol=1e-2, rtol=1e-4
    )


def test_gradient_of_the_refined_poses(view):
    v = view(16, size=12)  # without noise the formula is exact, see test_refine
    points = v.coordinates.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda p: expectation(p, v).world_from_camera[:, :3], points, eps=1e-5, atol=1e-3, rtol=1e-3
    )


def test_a_step_down_the_gradient_lowers_the_expected_error(view):
    v = view(17, size=100, noise=3.0)
    points = v.coordinates.clone().requires_grad_()

    def loss(p):
        found = expectation(p, v, hypotheses=32)
        error = (found.world_from_camera[:, :3] - v.world_from_camera[:3]).square().sum((1, 2))
        return (found.scores.softmax(0) * error).sum()

    before = loss(points)
    before.backward()
    before = before.detach()
    step = points.grad * (0.2 * before / points.grad.square().sum())
    assert loss(points.detach() - step) < 0.9 * before


def test_a_learned_score_gets_a_gradient(view):
    v = view(18, size=40, noise=2.0)
    weight = torch.tensor(0.1, requires_grad=True)
    found = pose_expectation(
        v.coordinates.requires_grad_(),
        v.pixels,
        v.camera,
        SMALL,
        score=lambda errors: -weight * errors.mean(1),
    )
    found.scores.max().backward()
    assert weight.grad
    assert v.coordinates.grad.any()


def test_unlikely_hypotheses_keep_their_pose_and_get_no_gradient(view):
    v = view(19, size=200, outliers=0.6, noise=1.0)
    coordinates = v.coordinates.requires_grad_()
    found = pose_expectation(coordinates, v.pixels, v.camera, SMALL, least_probability=0.5)
    likely = found.scores.softmax(0) >= 0.5
    assert likely.sum() <= 1
    found.world_from_camera[~likely].sum().backward(retain_graph=True)
    assert not coordinates.grad.any()


def test_there_is_no_expectation_over_nothing(view):
    v = view(20, size=10)
    few = v.coordinates.clone()
    few[3:] = torch.nan
    assert pose_expectation(few, v.pixels, v.camera, SMALL) is None
    assert pose_expectation(torch.zeros_like(few), v.pixels, v.camera, SMALL) is None


def test_many_hypotheses_are_ranked_as_if_all_were_scored_on_everything(view):
    v = view(11, outliers=0.5, noise=1.0)
    found = solve(v, replace(SMALL, hypotheses=64))
    exact = soft_inlier_score(found.hypotheses, v.coordinates, v.pixels, v.camera, behind=False)
    assert (found.scores.diff() <= 0).all()
    torch.testing.assert_close(found.scores[:12], exact[:12], rtol=1e-4, atol=1e-3)
    assert (found.scores - exact).abs().max() < 10  # of 100: what 400 of 4,800 cells tell
    assert exact[0] > exact.max() - 1
