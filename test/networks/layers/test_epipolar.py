"""Distances to epipolar lines, the weighted eight-point algorithm, and its gradient."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dlcv.networks.layers.epipolar import (
    epipolar_distance,
    normalisation,
    smallest_eigenvector,
    weighted_eight_point,
)


def two_views(count, seed=0):
    """Points of both pictures in pixels, and the true matrix, x1^T F x2 = 0."""
    rng = np.random.default_rng(seed)
    camera = np.array([[300.0, 0, 200], [0, 310, 120], [0, 0, 1]])
    angles = rng.normal(0, 0.05, 3)
    skew = np.array([[0, -angles[2], angles[1]], [angles[2], 0, -angles[0]],
                     [-angles[1], angles[0], 0]])  # fmt: skip
    rotation = np.linalg.qr(np.eye(3) + skew)[0]
    rotation *= np.sign(np.diag(rotation))
    moved = rng.normal(0, 0.4, 3)
    points = rng.uniform((-3, -2, 4), (3, 2, 12), (count, 3))
    first, second = (p @ camera.T for p in (points, points @ rotation.T + moved))
    inverse = np.linalg.inv(camera)
    cross = np.array([[0, -moved[2], moved[1]], [moved[2], 0, -moved[0]], [-moved[1], moved[0], 0]])
    true = (inverse.T @ cross @ rotation @ inverse).T
    return (
        *(torch.from_numpy(x[None, :, :2] / x[None, :, 2:]) for x in (first, second)),
        torch.from_numpy(true[None]),
    )


def unit(matrix):
    flat = matrix.flatten(1)
    flat = flat / flat.norm(dim=1, keepdim=True)
    return flat * flat.gather(1, flat.abs().argmax(1, keepdim=True)).sign()


def test_exact_matches_give_the_true_matrix():
    first, second, true = two_views(20)
    found = weighted_eight_point(first, second, torch.full((1, 20), 0.05))
    torch.testing.assert_close(unit(found), unit(true), rtol=0, atol=1e-9)
    assert epipolar_distance(first, second, found).max() < 1e-6
    assert torch.linalg.svdvals(found)[0, 2] < 1e-12


def test_matches_without_weight_do_not_count():
    first, second, true = two_views(30)
    weights = torch.rand(1, 30, dtype=torch.float64)
    second[:, :10] += 50 * torch.randn(1, 10, 2, dtype=torch.float64)
    weights[:, :10] = 0
    found = weighted_eight_point(first, second, weights)
    torch.testing.assert_close(unit(found), unit(true), rtol=0, atol=1e-8)
    alone = weighted_eight_point(first[:, 10:], second[:, 10:], weights[:, 10:])
    torch.testing.assert_close(unit(found), unit(alone), rtol=0, atol=1e-9)


def test_the_distance_is_that_of_points_to_lines():
    first, second, true = two_views(5)
    second = second + torch.randn(1, 5, 2, dtype=torch.float64)
    found = epipolar_distance(first, second, true)[0]
    for i in range(5):
        a, b = (np.append(x[0, i].numpy(), 1) for x in (first, second))
        matrix = true[0].numpy()
        there, here = matrix.T @ a, matrix @ b
        wanted = abs(there @ b) / np.hypot(*there[:2]) + abs(here @ a) / np.hypot(*here[:2])
        assert float(found[i]) == pytest.approx(wanted)


def test_points_are_moved_to_their_mean_and_scaled():
    xy, weights = torch.rand(3, 40, 2) * 500, torch.rand(3, 40)
    matrix = normalisation(xy, weights, 1.0)
    moved = xy @ matrix[:, :2, :2].mT + matrix[:, None, :2, 2]
    share = weights / weights.sum(1, keepdim=True)
    assert (share[..., None] * moved).sum(1).abs().max() < 1e-4
    torch.testing.assert_close((share * moved.norm(dim=2)).sum(1), torch.ones(3))


def test_the_gradient_of_the_vector_is_the_true_one():
    torch.manual_seed(0)
    rows = torch.randn(2, 14, 6, dtype=torch.float64, requires_grad=True)
    reference = torch.randn(6, dtype=torch.float64)

    def vector(x):
        found = smallest_eigenvector(x.mT @ x)
        return found * (found @ reference).sign()[:, None]

    assert torch.autograd.gradcheck(vector, rows)


def test_equal_other_eigenvalues_leave_the_gradient_as_it_is():
    """Where the gradient of a whole decomposition is not finite."""
    matrix = torch.diag(torch.tensor([1.0, 3, 3, 3], dtype=torch.float64)).requires_grad_()
    vector = smallest_eigenvector(matrix)
    (grad,) = torch.autograd.grad((vector * vector[0].sign())[1], matrix)
    # (M - s I)^+ divides by two, and a symmetric matrix has each change twice
    wanted = torch.zeros(4, 4, dtype=torch.float64)
    wanted[0, 1] = wanted[1, 0] = -0.25
    torch.testing.assert_close(grad, wanted)


def test_the_gradient_of_the_matrix_is_the_true_one():
    first, second, _ = two_views(12)
    second = second + torch.randn(1, 12, 2, dtype=torch.float64)
    weights = (0.5 + torch.rand(1, 12, dtype=torch.float64)).requires_grad_()

    def distances(w):
        return epipolar_distance(first, second, weighted_eight_point(first, second, w))

    assert torch.autograd.gradcheck(distances, weights, atol=1e-6)


DEGENERATE = {
    'one point': torch.ones(1, 12, 4),
    'one line': torch.linspace(0, 300, 12)[None, :, None].expand(1, 12, 4),
    'no motion': torch.rand(1, 12, 2).repeat(1, 1, 2) * 300,
    'far away': 1e6 + torch.rand(1, 12, 4),
}


@pytest.mark.parametrize('matches', DEGENERATE.values(), ids=DEGENERATE)
@pytest.mark.parametrize('weight', [0.0, 1e-30, 1.0])
def test_degenerate_matches_give_finite_numbers_and_gradients(matches, weight):
    first, second = matches.double().split(2, 2)
    weights = torch.full((1, 12), weight, dtype=torch.float64, requires_grad=True)
    found = weighted_eight_point(first, second, weights)
    epipolar_distance(first, second, found).clamp(max=0.5).sum().backward()
    assert found.isfinite().all()
    assert weights.grad.isfinite().all()
