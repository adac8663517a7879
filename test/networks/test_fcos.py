"""FCOS: where its points lie, what its answers become, whose encoder it can begin with."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dlcv.networks.fcn import FCNConfig, fcn
from dlcv.networks.fcos import FCOS, STRIDES, FCOSConfig, found, points, small
from dlcv.networks.layers.folding import optimise
from dlcv.networks.layers.shapes import ShapeError
from dlcv.networks.weights import describe, load_network, save_network
from dlcv.things import KINDS

TINY = FCOSConfig(width=1 / 8, channels=8)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return FCOS(TINY).eval()


def test_points_lie_in_the_middle_of_what_they_answer_for():
    place = points(32, 64).numpy()
    assert len(place) == 4 * 8 + 2 * 4 + 1 * 2
    assert place[:2].tolist() == [[3.5, 3.5, 8], [11.5, 3.5, 8]]
    assert place[-2:].tolist() == [[15.5, 15.5, 32], [47.5, 15.5, 32]]
    for stride in STRIDES:  # as pixels that are averaged by so many
        grid = place[place[:, 2] == stride][:, :2].reshape(32 // stride, 64 // stride, 2)
        x, y = np.meshgrid(np.arange(64.0), np.arange(32.0))
        for axis, values in enumerate((x, y)):
            cells = values.reshape(32 // stride, stride, 64 // stride, stride).mean((1, 3))
            np.testing.assert_allclose(grid[..., axis], cells)


def test_each_point_answers(network):
    images = torch.rand(2, 3, 32, 64)
    kinds, edges, middles = network(images)
    assert kinds.shape == (2, 42, len(KINDS))
    assert edges.shape == (2, 42, 4)
    assert middles.shape == (2, 42)
    assert (edges > 0).all()
    assert float(kinds.detach().sigmoid().mean()) == pytest.approx(
        0.01, abs=0.005
    )  # of nothing it is sure yet
    with pytest.raises(ShapeError, match='multiples of 32'):
        network(images[..., :40])


def test_answers_become_boxes_within_the_picture(network, monkeypatch):
    kinds, edges = torch.full((1, 42, 10), -20.0), torch.full((1, 42, 4), 10.0)
    middles = torch.full((1, 42), 20.0)
    kinds[0, 9, 3], edges[0, 9] = 0.0, torch.tensor([2.0, 4.0, 100.0, 6.0])
    monkeypatch.setattr(network, 'forward', lambda _images: (kinds, edges, middles))
    scores, boxes = found(network, torch.zeros(1, 3, 32, 64))
    assert float(scores[0, 9, 3]) == pytest.approx(np.sqrt(0.5), rel=1e-4)
    assert float(scores.sum()) == pytest.approx(np.sqrt(0.5), abs=0.05)
    assert boxes[0, 9].tolist() == [9.5, 7.5, 63.5, 17.5]  # of the point (11.5, 11.5)
    assert boxes[0, 0].tolist() == [-0.5, -0.5, 13.5, 13.5]


def test_it_has_the_encoder_of_the_light_fcn(network):
    other = fcn(FCNConfig(encoder='light', width=1 / 8, fused=8)).state_dict()
    own = {k: v for k, v in network.state_dict().items() if k.startswith(('stem.', 'stages.'))}
    assert own
    assert {k: v.shape for k, v in own.items()} == {k: other[k].shape for k in own}


def test_folded_and_from_a_file_it_answers_the_same(network, tmp_path):
    images = torch.rand(1, 3, 64, 32)
    with torch.no_grad():
        wanted = found(network, images)
        for other in (
            optimise(network),
            load_network('fcos', save_network(network, tmp_path / 'fcos.safetensors')),
        ):
            for a, b in zip(found(other, images), wanted, strict=True):
                torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)
    assert describe(tmp_path / 'fcos.safetensors').network == 'fcos'


def test_what_cannot_be_built_is_refused():
    assert small().meaning == tuple(range(len(KINDS)))
    with pytest.raises(ValueError, match='width > 0 and channels >= 1, got 0'):
        FCOSConfig(width=0)
    with pytest.raises(ValueError, match='numbers from 0 to 9, got'):
        FCOSConfig(meaning=(3, 10))
