"""Deep fundamental matrix: the published graph step by step, padding, learning, refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dlcv.networks.deep_fundamental import DeepFundamental, DeepFundamentalConfig, small
from dlcv.networks.layers.shapes import ShapeError

WIDTHS = (8, 12, 16, 6, 5)


@pytest.fixture
def network() -> DeepFundamental:
    torch.manual_seed(3)
    made = DeepFundamental(DeepFundamentalConfig(widths=WIDTHS)).eval()
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if parameter.ndim == 1:
                parameter.add_(0.2 * torch.randn(parameter.shape))
            if name.endswith('model.15.weight'):
                parameter.mul_(8)  # so that weights differ
    return made


def matches_of(batch, count, seed=0):
    draw = torch.Generator().manual_seed(seed)
    first = torch.rand(batch, count, 2, generator=draw) * torch.tensor([640.0, 480.0])
    flow = 30 * torch.randn(batch, 1, 2, generator=draw) + 0.05 * first
    noise = 5 * torch.randn(batch, count, 2, generator=draw)
    side = torch.rand(batch, count, 3, generator=draw)
    return torch.cat((first, first + flow + noise), 2), side


def published(state, matches, side, iterations):
    """One pair by the published steps in float64, with NumPy's decompositions."""
    state = {key: value.double().numpy() for key, value in state.items()}

    def rescale(xy, weights, spread):
        centre = (weights[:, None] * xy).sum(0) / weights.sum()
        distance = (weights * np.hypot(*(xy - centre).T)).sum() / weights.sum()
        s = spread / distance
        return np.array([[s, 0, -s * centre[0]], [0, s, -s * centre[1]], [0, 0, 1]])

    def weigh(name, x):  # (C, N)
        for i in range(0, 15, 3):
            weight, bias = state[f'{name}.model.{i}.weight'], state[f'{name}.model.{i}.bias']
            x = weight[..., 0] @ x + bias[:, None]
            x = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-5)
            scale, shift = (state[f'{name}.model.{i + 1}.{leaf}'] for leaf in ('weight', 'bias'))
            x = scale[:, None] * x + shift[:, None]
            x = np.where(x > 0, x, 0.01 * x)
        logits = (state[f'{name}.model.15.weight'][..., 0] @ x)[0] + state[f'{name}.model.15.bias']
        e = np.exp(logits - logits.max())
        return e / e.sum()

    def solve(a, b, w):
        t1, t2 = rescale(a[:, :2], w, 1.4142), rescale(b[:, :2], w, 1.4142)
        rows = np.stack([wi * np.kron(t1 @ x, t2 @ y) for x, y, wi in zip(a, b, w, strict=True)])
        u, s, v = np.linalg.svd(np.linalg.svd(rows)[2][-1].reshape(3, 3))
        return t1.T @ u @ np.diag([s[0], s[1], 0]) @ v @ t2

    ones = np.ones((len(matches), 1))
    first, second = (np.hstack((matches[:, i : i + 2].double().numpy(), ones)) for i in (0, 2))
    r1, r2 = (rescale(x[:, :2], ones[:, 0], 1.0) for x in (first, second))
    a, b = first @ r1.T, second @ r2.T
    x = np.hstack(((a[:, :2] + 1) / 2, (b[:, :2] + 1) / 2, side.double().numpy())).T
    w = weigh('weights_init', x)
    weights, matrix = [w], solve(a, b, w)
    for _ in range(1, iterations):
        there, here = a @ matrix, b @ matrix.T
        size = 1 / np.hypot(*there[:, :2].T) + 1 / np.hypot(*here[:, :2].T)
        residual = np.minimum(np.abs((there * b).sum(1)) * size, 0.5)
        w = weigh('weights_iter', np.vstack((x, w, residual)))
        weights.append(w)
        matrix = solve(a, b, w)
    pixels = r1.T @ matrix @ r2
    return np.stack(weights), pixels / pixels[2, 2]


def unit(matrix):
    matrix = np.asarray(matrix) / np.linalg.norm(matrix)
    return matrix * np.sign(matrix.flat[np.abs(matrix).argmax()])


@pytest.mark.parametrize('iterations', [1, 3, 5])
def test_it_is_the_published_graph(network, iterations):
    config = DeepFundamentalConfig(widths=WIDTHS, iterations=iterations)
    again = DeepFundamental(config).eval()
    again.load_state_dict(network.state_dict())
    matches, side = (x.double() for x in matches_of(2, 60))
    with torch.no_grad():
        found = again.double()(matches, side)
    assert found.fundamental.shape == (iterations, 2, 3, 3)
    for i in range(2):
        weights, matrix = published(network.state_dict(), matches[i], side[i], iterations)
        np.testing.assert_allclose(found.weights[:, i], weights, atol=2e-6)
        np.testing.assert_allclose(unit(found.in_pixels()[i]), unit(matrix), atol=2e-6)
        np.testing.assert_allclose(found.in_pixels()[i, 2, 2], 1)


def test_single_precision_is_enough(network):
    matches, side = matches_of(1, 60)
    with torch.no_grad():
        found = network(matches, side)
    weights, matrix = published(network.state_dict(), matches[0], side[0], 3)
    np.testing.assert_allclose(found.weights[:, 0], weights, atol=1e-4)
    np.testing.assert_allclose(unit(found.in_pixels()[0]), unit(matrix), atol=1e-3)


def test_names_and_size_are_the_published_ones():
    with torch.device('meta'):
        network = DeepFundamental(DeepFundamentalConfig())
    assert sum(p.numel() for p in network.parameters()) == 1_602_690
    numbers = (0, 1, 3, 4, 6, 7, 9, 10, 12, 13, 15)
    assert set(network.state_dict()) == {
        f'{part}.model.{i}.{leaf}'
        for part in ('weights_init', 'weights_iter')
        for i in numbers
        for leaf in ('weight', 'bias')
    }
    assert network.weights_iter.model[0].weight.shape == (64, 9, 1)


def test_padding_changes_nothing(network):
    matches, side = matches_of(2, 50)
    padded = torch.cat((matches, 1e3 * torch.rand(2, 30, 4)), 1)
    padded_side = torch.cat((side, torch.rand(2, 30, 3)), 1)
    present = torch.arange(80).expand(2, 80) < 50
    with torch.no_grad():
        plain, found = network(matches, side), network(padded, padded_side, present)
    torch.testing.assert_close(found.weights[:, :, :50], plain.weights, rtol=0, atol=1e-4)
    assert not found.weights[:, :, 50:].any()
    for i in range(2):
        np.testing.assert_allclose(
            unit(found.in_pixels()[i]), unit(plain.in_pixels()[i]), atol=1e-4
        )


def test_pairs_of_a_batch_do_not_leak_into_each_other(network):
    matches, side = matches_of(3, 40)
    with torch.no_grad():
        together, alone = network(matches, side), network(matches[1:2], side[1:2])
    torch.testing.assert_close(together.weights[:, 1:2], alone.weights, rtol=0, atol=1e-4)


def test_the_order_of_matches_does_not_matter(network):
    matches, side = matches_of(1, 40)
    order = torch.randperm(40)
    with torch.no_grad():
        plain, shuffled = network(matches, side), network(matches[:, order], side[:, order])
    torch.testing.assert_close(shuffled.weights, plain.weights[:, :, order], rtol=0, atol=1e-4)


def test_every_parameter_learns(network):
    matches, side = matches_of(1, 40)
    found = network(matches, side)
    (found.fundamental.square().sum() + found.weights.square().sum()).backward()
    # a shift before a norm, and one of all logits, change nothing
    idle = {f'{i}.bias' for i in (0, 3, 6, 9, 12, 15)}
    for name, parameter in network.named_parameters():
        assert parameter.grad.isfinite().all()
        assert parameter.grad.any() or name.partition('model.')[2] in idle, name


DEGENERATE = {
    'one point': torch.ones(1, 16, 4),
    'no motion': matches_of(1, 16)[0][..., :2].repeat(1, 1, 2),
    'a line': torch.linspace(0, 300, 16)[None, :, None].expand(1, 16, 4),
    'zero': torch.zeros(1, 16, 4),
}


@pytest.mark.parametrize('matches', DEGENERATE.values(), ids=DEGENERATE)
@pytest.mark.parametrize('count', [0, 3, 16])
def test_degenerate_matches_give_finite_numbers_and_gradients(network, matches, count):
    present = (torch.arange(16) < count)[None]
    found = network(matches, torch.rand(1, 16, 3), present)
    assert all(part.isfinite().all() for part in (*found, found.in_pixels()))
    (found.fundamental.sum() + found.weights.square().sum()).backward()
    assert all(p.grad.isfinite().all() for p in network.parameters())


def test_other_shapes_are_refused(network):
    with pytest.raises(ShapeError, match=r'matches: .*\(1, 20, 3\)'):
        network(torch.rand(1, 20, 3), torch.rand(1, 20, 3))
    with pytest.raises(ShapeError, match=r'side: .*1, 20, 3.*\(1, 20, 1\)'):
        network(torch.rand(1, 20, 4), torch.rand(1, 20, 1))
    with pytest.raises(ShapeError, match='matches: expected 8 or more of a pair, got 7'):
        network(torch.rand(1, 7, 4), torch.rand(1, 7, 3))


@pytest.mark.parametrize(
    ('wrong', 'said'),
    [
        ({'widths': ()}, r'widths and iterations >= 1, got \[\] and 3'),
        ({'widths': (8, 0)}, r'got \[8, 0\] and 3'),
        ({'iterations': 0}, 'and 0'),
        ({'side_channels': -1}, 'side_channels >= 0 and gamma > 0, got -1'),
        ({'gamma': 0.0}, 'got 3 and 0.0'),
    ],
)
def test_wrong_configurations_are_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        DeepFundamentalConfig(**wrong)


def test_what_is_shipped_is_small():
    with torch.device('meta'):
        network = DeepFundamental(small())
    assert sum(p.numel() for p in network.parameters()) < 100_000
