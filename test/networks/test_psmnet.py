"""PSMNet: its size, its public files, and that the disparity is one of the left picture."""

from __future__ import annotations

import pytest
import torch

from dlcv.networks.layers.shapes import ShapeError
from dlcv.networks.psmnet import PSMNet, PSMNetConfig
from dlcv.networks.weights import describe, load_network

TINY = PSMNetConfig(max_disparity=16, width=1 / 16)


def test_it_has_the_published_number_of_parameters():
    with torch.device('meta'):
        network = PSMNet(PSMNetConfig())
    assert sum(p.numel() for p in network.parameters()) == 5_224_768


def test_answers_are_within_reach_and_three_while_it_learns():
    torch.manual_seed(0)
    network, pictures = PSMNet(TINY), torch.rand(1, 3, 256, 272)
    with torch.no_grad():
        answers = network.train()(pictures, pictures)
        answer = network.eval()(pictures, pictures)
    assert [a.shape for a in (*answers, answer)] == [(1, 1, 256, 272)] * 4
    assert 0 <= answer.min() <= answer.max() <= 15


def test_pictures_below_the_widest_cell_are_refused():
    with pytest.raises(ShapeError, match='needs pictures of 256 x 256 pixels or more, got 256 x'):
        PSMNet(TINY)(torch.rand(1, 3, 256, 128), torch.rand(1, 3, 256, 128))


def test_a_public_file_is_recognised(tmp_path):
    state = PSMNet(PSMNetConfig(width=1 / 16)).state_dict()
    path = tmp_path / 'pretrained.tar'
    torch.save({'state_dict': {f'module.{key}': value for key, value in state.items()}}, path)
    assert describe(path).family == 'psmnet'
    loaded = load_network('psmnet', path)
    assert loaded.config == PSMNetConfig(width=1 / 16)
    assert all(value.equal(state[key]) for key, value in loaded.state_dict().items())
