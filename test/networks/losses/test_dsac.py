"""DSAC's losses: known answers, gradients, and the expectation as a plain sum."""

from __future__ import annotations

import math

import pytest
import torch

from dlcv.geometry.rotation import se3_exp
from dlcv.networks.losses.dsac import (
    expected_loss,
    max_pose_loss,
    root_clamp,
    rotation_error,
    translation_error,
    weighted_pose_loss,
)


def pose(x=0.0, y=0.0, z=0.0, rx=0.0, ry=0.0, rz=0.0):
    """A pose turned about one axis (degrees) and moved (metres)."""
    twist = [0.0, 0.0, 0.0, *map(math.radians, (rx, ry, rz))]
    turned = se3_exp(torch.tensor(twist, dtype=torch.float64))
    turned[:3, 3] = torch.tensor([x, y, z])
    return turned


@pytest.mark.parametrize('degrees', [0.0, 1e-4, 3.0, 90.0, 179.9, 180.0])
def test_rotation_error_is_the_angle(degrees):
    error = rotation_error(pose(ry=20 + degrees), pose(ry=20))
    assert float(error) == pytest.approx(degrees, abs=1e-9)


def test_translation_error_is_the_distance():
    assert float(translation_error(pose(1, 2, 2, rx=30), pose())) == pytest.approx(3)


@pytest.mark.parametrize(
    ('estimate', 'expected'),
    [(pose(x=0.02, rz=5), 5.0), (pose(x=0.07, rz=5), 7.0)],
)
def test_the_loss_of_dsac_is_the_larger_of_degrees_and_centimetres(estimate, expected):
    assert float(max_pose_loss(estimate, pose())) == pytest.approx(expected)


@pytest.mark.parametrize(
    ('estimate', 'expected'),
    [
        (pose(x=0.02, rz=5), 7.0),
        (pose(x=0.9, rz=10), 100.0),
        (pose(x=3.0, rz=100), 200.0),  # sqrt(100 * 400)
    ],
)
def test_the_loss_of_dsac_star_is_a_clamped_sum(estimate, expected):
    assert float(weighted_pose_loss(estimate, pose())) == pytest.approx(expected)


def test_the_weights_are_honoured():
    loss = weighted_pose_loss(
        pose(x=0.5, rz=4), pose(), rotation_weight=2, translation_weight=10, limit=1
    )
    assert float(loss) == pytest.approx(math.sqrt(13))


def test_the_clamp_is_continuous_and_keeps_its_gradient():
    loss = torch.tensor([0.0, 99.999, 100.001, 400.0], requires_grad=True)
    clamped = root_clamp(loss, 100.0)
    clamped.sum().backward()
    torch.testing.assert_close(clamped, torch.tensor([0.0, 99.999, 100.0005, 200.0]))
    torch.testing.assert_close(loss.grad, torch.tensor([1.0, 1.0, 0.5, 0.25]), atol=1e-4, rtol=0)


def test_hypotheses_are_measured_one_by_one():
    estimates = torch.stack([pose(x=0.1), pose(rx=7), pose(x=0.3, ry=2)])
    torch.testing.assert_close(
        max_pose_loss(estimates, pose()), torch.tensor([10.0, 7.0, 30.0]).double()
    )


@pytest.mark.parametrize('loss', [max_pose_loss, weighted_pose_loss])
def test_gradient(loss):
    twist = torch.tensor([[0.01, 0.02, 0.03, 0.2, 0.1, -0.1], [2, 1, 1, 0.1, 0, 2]]).double()
    truth = pose(x=0.1, rx=5)
    assert torch.autograd.gradcheck(lambda t: loss(se3_exp(t), truth), twist.requires_grad_())


@pytest.mark.parametrize('loss', [max_pose_loss, weighted_pose_loss])
def test_gradient_at_the_truth_is_finite(loss):
    twist = torch.zeros(6, dtype=torch.float32, requires_grad=True)
    loss(se3_exp(twist), torch.eye(4)).backward()
    assert twist.grad.isfinite().all()


def test_the_expectation_is_the_weighted_sum():
    losses, scores = torch.tensor([1.0, 5.0, 9.0]), torch.tensor([2.0, 0.0, 1.0])
    weights = [math.exp(s) for s in scores.tolist()]
    expected = sum(w * x for w, x in zip(weights, losses.tolist(), strict=True)) / sum(weights)
    assert float(expected_loss(losses, scores)) == pytest.approx(expected)


def test_the_expectation_makes_good_hypotheses_likelier():
    losses = torch.tensor([1.0, 5.0, 9.0], requires_grad=True)
    scores = torch.zeros(3, requires_grad=True)
    expected_loss(losses, scores).backward()
    assert scores.grad[0] < 0 < scores.grad[2]  # descent raises the score of the first
    torch.testing.assert_close(losses.grad, torch.full((3,), 1 / 3))
