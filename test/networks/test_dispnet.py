"""DispNetC: sizes of its answers, its own file, its loss."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from dlcv.networks.dispnet import DispNet, DispNetConfig, small
from dlcv.networks.layers.shapes import ShapeError
from dlcv.networks.losses.disparity import disparity_loss, matching_loss, spread_loss
from dlcv.networks.weights import load_network, save_network

TINY = DispNetConfig(width=1 / 16, max_disparity=16, spread=True)
REFINES = replace(TINY, refines=True)


@pytest.mark.parametrize('config', [TINY, REFINES])
def test_answers_are_not_negative_at_six_sizes_while_it_learns(config):
    torch.manual_seed(0)
    network, pictures = DispNet(config), torch.rand(1, 3, 64, 128)
    answers = network.train()(pictures, pictures)
    assert [a.shape for a in answers] == [(1, 2, 64 >> i, 128 >> i) for i in range(1, 7)]
    answer = network.eval()(pictures, pictures)
    assert answer.shape == (1, 2, 64, 128)
    assert min(a[:, 0].min() for a in (*answers, answer)) >= 0
    with pytest.raises(ShapeError, match='multiples of 64, got 60 x 128'):
        network(pictures[:, :, :60], pictures[:, :, :60])


def test_the_small_one_fits_ten_megabytes_in_sixteen_bits():
    with torch.device('meta'):
        assert sum(p.numel() for p in DispNet(small()).parameters()) * 2 < 10e6


def test_a_new_network_that_refines_corrects_nothing_yet():
    finest = DispNet(REFINES).train()(*torch.rand(2, 1, 3, 64, 128))[0][:, 0]
    assert finest.std() < 0.5 * finest.mean()  # its coarsest answer alone, two by one values


def test_a_file_of_ours_comes_back(tmp_path):
    network = DispNet(TINY).eval()
    loaded = load_network('dispnet', save_network(network, tmp_path / 'dispnet.safetensors'))
    assert loaded.config == TINY
    pair = torch.rand(2, 1, 3, 64, 64)
    torch.testing.assert_close(loaded(*pair), network(*pair))


def test_the_truth_costs_nothing_and_what_is_unknown_does_not_count():
    truth = torch.rand(1, 8, 16) * 20
    known = torch.rand(1, 8, 16) > 0.3
    answers = [truth[:, None, 1::2, 1::2], truth[:, None, 2::4, 2::4]]
    spoilt = truth.where(known, torch.tensor(float('nan')))
    assert disparity_loss(answers, spoilt, known, (1.0, 0.5)) == 0
    off = [answer + 3 for answer in answers]
    torch.testing.assert_close(
        disparity_loss(off, spoilt, known, (1.0, 0.5)), torch.tensor(1.5 * 2.5)
    )  # smooth L1 of three pixels
    with pytest.raises(ShapeError, match='whole number of times'):
        disparity_loss([truth[:, None, :3, :5]], truth, known, (1.0,))


def test_matches_of_the_truth_cost_least():
    truth = torch.full((1, 8, 32), 6.0)  # one and a half columns of a map of a quarter
    known = torch.ones(1, 8, 32, dtype=torch.bool)
    matches = torch.zeros(1, 4, 2, 8)
    even = matching_loss(matches, truth, known)
    torch.testing.assert_close(even, torch.tensor(4.0).log())
    matches[:, 1:3] = 3
    torch.testing.assert_close(matching_loss(matches, truth, known), torch.tensor(2.0).log())
    matches[:, 0, :, :2] = 9  # their points are beyond the other picture's border
    torch.testing.assert_close(matching_loss(matches, truth, known), torch.tensor(2.0).log())
    assert matching_loss(matches, truth + 99, known) == 0  # out of reach


def test_the_expected_error_is_learned_as_it_is():
    truth, known = torch.zeros(1, 8, 8), torch.ones(1, 8, 8, dtype=torch.bool)
    answer = torch.full((1, 2, 8, 8), 3.0)
    costs = []
    for spread in (0.5, 3.0, 12.0):
        answer[:, 1] = torch.tensor(spread).log()
        costs.append(float(spread_loss(answer, truth, known)))
    assert costs[1] < min(costs[0], costs[2])
