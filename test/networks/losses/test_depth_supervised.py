"""The supervised depth loss: NumPy references, what does not count, how the spread is learned."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dlcv.networks.layers.shapes import ShapeError
from dlcv.networks.losses.depth_supervised import mean_of, spread_loss, supervised_loss


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return 0.01 + 0.2 * torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def pyramid(full: torch.Tensor) -> list[torch.Tensor]:
    """What each scale is to say: the pixel in the middle of each of its own."""
    return [full[..., 2**i // 2 :: 2**i, 2**i // 2 :: 2**i] for i in range(4)]


def everything(like: torch.Tensor) -> torch.Tensor:
    return torch.ones_like(like, dtype=torch.bool)


def test_the_truth_costs_nothing_and_a_factor_its_logarithm():
    truth = draw(2, 2, 32, 48)
    exact = supervised_loss(pyramid(truth), truth, everything(truth))
    assert exact.value.item() == pytest.approx(0, abs=1e-6)
    assert exact.gradient.item() == pytest.approx(0, abs=1e-6)
    twice = supervised_loss([2 * m for m in pyramid(truth)], truth, everything(truth))
    assert twice.value.item() == pytest.approx(np.log(2), rel=1e-5)
    assert twice.gradient.item() == pytest.approx(0, abs=1e-5)  # a common factor has no gradient


def test_gradients_agree_with_loops():
    truth, found = draw(1, 1, 16, 16), draw(1, 1, 16, 16, seed=1)
    known = draw(1, 1, 16, 16, seed=2) > 0.05
    error = (found.log() - truth.log())[0, 0].numpy()
    counted = known[0, 0].numpy()
    total = 0.0
    for step in (1, 2, 4, 8):
        for dy, dx in ((0, step), (step, 0)):
            pairs = [
                abs(error[y + dy, x + dx] - error[y, x])
                for y in range(16 - dy)
                for x in range(16 - dx)
                if counted[y, x] and counted[y + dy, x + dx]
            ]
            total += float(np.mean(pairs))
    got = supervised_loss(pyramid(found), truth, known).gradient
    assert got.item() == pytest.approx(total / 8, rel=1e-5)


def test_what_is_unknown_changes_nothing_and_gets_no_gradient():
    truth, known = draw(1, 2, 32, 32), everything(draw(1, 2, 32, 32))
    known[..., :16] = False
    maps = [m.clone().requires_grad_() for m in pyramid(draw(1, 2, 32, 32, seed=1))]
    loss = supervised_loss(maps, truth, known)
    other = supervised_loss(maps, truth.where(known, truth.new_tensor(7.0)), known)
    assert loss.value.item() == other.value.item()
    (loss.value + loss.gradient).backward()
    gradient = maps[0].grad
    assert gradient is not None
    assert not gradient[..., :16].any()
    assert gradient[..., 16:].all()


def test_nothing_known_is_zero_and_finite():
    truth = draw(1, 2, 16, 16)
    maps = [m.clone().requires_grad_() for m in pyramid(truth)]
    loss = supervised_loss(maps, truth, ~everything(truth))
    (loss.value + loss.gradient).backward()
    assert loss.value.item() == 0
    assert all(m.grad is not None and m.grad.isfinite().all() for m in maps)


def test_the_best_spread_is_the_mean_error():
    truth = draw(1, 64, 64)
    error = 0.3 * torch.randn(1, 64, 64, generator=torch.Generator().manual_seed(4))
    found = (truth * error.exp()).requires_grad_()
    costs = {}
    for guess in np.linspace(-3, 1, 81):
        spread = torch.full_like(truth, float(guess))
        costs[guess] = spread_loss(spread, found, truth, everything(truth)).item()
    best = min(costs, key=costs.__getitem__)
    assert np.exp(best) == pytest.approx(error.abs().mean().item(), rel=0.06)


def test_no_disparity_gains_by_being_unsure():
    truth = draw(1, 8, 8)
    found, spread = draw(1, 8, 8, seed=1).requires_grad_(), torch.zeros(1, 8, 8, requires_grad=True)
    spread_loss(spread, found, truth, everything(truth)).backward()
    assert found.grad is None
    assert spread.grad is not None


@pytest.mark.parametrize('far', [-40.0, 40.0])
def test_a_spread_out_of_range_is_led_back(far):
    truth = draw(1, 4, 4)
    spread = torch.full((1, 4, 4), far, requires_grad=True)
    spread_loss(spread, 1.1 * truth, truth, everything(truth)).backward()
    assert spread.grad is not None
    assert (spread.grad * far > 0).all()


def test_mean_of_counts_what_counts():
    values = torch.tensor([1.0, 2.0, 30.0])
    assert mean_of(values, torch.tensor([True, True, False])).item() == 1.5


def test_shapes_that_do_not_fit_are_refused():
    truth = draw(1, 2, 16, 16)
    with pytest.raises(ShapeError):
        supervised_loss(pyramid(draw(1, 2, 32, 32)), truth, everything(truth))
    with pytest.raises(ShapeError):
        spread_loss(draw(1, 4, 4), draw(1, 4, 5), draw(1, 4, 5), everything(draw(1, 4, 5)))
