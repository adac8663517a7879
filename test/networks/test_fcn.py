"""FCN-8s beside a slow one in NumPy, its public files, and the light one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view

from dlcv.classes import CLASSES, NUMBER
from dlcv.networks.fcn import FCN8s, FCNConfig, LightFCN, fcn, small
from dlcv.networks.layers.folding import optimise
from dlcv.networks.layers.shapes import ShapeError
from dlcv.networks.weights import describe, load_network

TINY = FCNConfig(width=1 / 32, meaning=(0, 3, 9))


def _convolved(x, weight, bias, padding):
    x = np.pad(x, ((0, 0), (padding, padding), (padding, padding)))
    windows = sliding_window_view(x, weight.shape[2:], axis=(1, 2))  # (I, h, w, k, k)
    return np.einsum('ihwkl,oikl->ohw', windows, weight, optimize=True) + bias[:, None, None]


def _pooled(x):
    """The greatest of 2x2, of what there is of them at the border."""
    odd = [(0, side % 2) for side in x.shape[1:]]
    x = np.pad(x, ((0, 0), *odd), constant_values=-np.inf)
    return np.maximum.reduce([x[:, i::2, j::2] for i in (0, 1) for j in (0, 1)])


def _widened(x, weight, stride):
    """Each value spreads a kernel; they overlap."""
    kernel = weight.shape[-1]
    size = [stride * (side - 1) + kernel for side in x.shape[1:]]
    out = np.zeros((weight.shape[1], *size))
    for row in range(x.shape[1]):
        for column in range(x.shape[2]):
            spread = np.tensordot(x[:, row, column], weight, 1)
            at = np.s_[:, stride * row : stride * row + kernel]
            out[at][..., stride * column : stride * column + kernel] += spread
    return out


def _slow(state, image):
    """The published definition, layer by layer, of one picture (3, H, W) in [0, 1]."""
    get = {name: value.double().numpy() for name, value in state.items()}
    bgr = 255 * image[::-1] - np.array([104.00698793, 116.66876762, 122.67891434])[:, None, None]
    x, pools = bgr, {}
    for stage, count in enumerate((2, 2, 3, 3, 3), 1):
        for i in range(1, count + 1):
            name = f'conv{stage}_{i}'
            padding = 100 if name == 'conv1_1' else 1
            x = _convolved(x, get[f'{name}.weight'], get[f'{name}.bias'], padding).clip(0)
        x = pools[stage] = _pooled(x)
    for name in ('fc6', 'fc7'):
        x = _convolved(x, get[f'{name}.weight'], get[f'{name}.bias'], 0).clip(0)
    score = {
        name: _convolved(value, get[f'{name}.weight'], get[f'{name}.bias'], 0)
        for name, value in (('score_fr', x), ('score_pool4', pools[4]), ('score_pool3', pools[3]))
    }
    x = _widened(score['score_fr'], get['upscore2.weight'], 2)
    x = x + score['score_pool4'][:, 5 : 5 + x.shape[1], 5 : 5 + x.shape[2]]
    x = _widened(x, get['upscore_pool4.weight'], 2)
    x = x + score['score_pool3'][:, 9 : 9 + x.shape[1], 9 : 9 + x.shape[2]]
    x = _widened(x, get['upscore8.weight'], 8)
    return x[:, 31 : 31 + image.shape[1], 31 : 31 + image.shape[2]]


@pytest.fixture
def taught():
    """An FCN-8s that scores something."""
    torch.manual_seed(0)
    network = FCN8s(TINY).eval()
    for name, parameter in network.named_parameters():
        if name.startswith(('score', 'up')):
            torch.nn.init.normal_(parameter, 0, 0.3)
    return network


def test_it_is_the_published_network(taught):
    image = torch.rand(1, 3, 37, 50)
    with torch.no_grad():
        found = taught(image)[0].numpy()
    expected = _slow(taught.state_dict(), image[0].double().numpy())
    assert found.shape == expected.shape == (3, 37, 50)
    assert np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()


def test_it_has_the_published_number_of_parameters():
    with torch.device('meta'):
        network = FCN8s(FCNConfig(meaning=(0,) * 21))
    vgg = 138_357_544 - 4_097_000  # as published, without fc8
    scores = (4096 + 512 + 256 + 3) * 21
    widening = 21 * 21 * (4 * 4 + 4 * 4 + 16 * 16)
    assert sum(p.numel() for p in network.parameters()) == vgg + scores + widening


def test_it_begins_as_interpolation_of_scores(taught):
    fresh = FCN8s(TINY)
    wide = fresh.upscore8(torch.full((1, 3, 4, 4), 2.0))
    assert wide[0, :, 8:-8, 8:-8].detach().numpy() == pytest.approx(2.0)
    assert not fresh.score_fr.weight.any()


def test_a_public_file_is_recognised(tmp_path, taught):
    torch.save(taught.state_dict(), tmp_path / 'fcn8s.pth')
    torch.save(FCN8s(FCNConfig(width=1 / 64, meaning=(0,) * 21)).state_dict(), tmp_path / 'voc.pth')
    assert describe(tmp_path / 'fcn8s.pth').family == 'fcn8s'
    loaded = load_network('fcn', tmp_path / 'fcn8s.pth')
    image = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        assert loaded(image).equal(taught(image))
    meaning = load_network('fcn', tmp_path / 'voc.pth').config.meaning
    assert CLASSES[meaning[15]].name == 'person'
    assert [meaning[i] for i in (6, 7)] == [NUMBER['vehicle']] * 2


def test_the_light_one_is_light_and_fast_weights_answer_the_same():
    network = fcn(small()).eval()
    assert isinstance(network, LightFCN)
    assert 3e5 < sum(p.numel() for p in network.parameters()) < 1.5e6
    image = torch.rand(2, 3, 64, 96)
    with torch.no_grad():
        scores = network(image)
        assert scores.shape == (2, len(CLASSES), 64, 96)
        assert torch.allclose(optimise(network)(image), scores, atol=1e-4)
    with pytest.raises(ShapeError, match='multiples of 32, got 64 x 100'):
        network(torch.rand(1, 3, 64, 100))


def test_a_meaning_must_be_of_the_table():
    with pytest.raises(ValueError, match='numbers from 0 to 15, got'):
        FCNConfig(meaning=(0, 16))
