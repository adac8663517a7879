"""DeepVO: shapes, memory, learning; no weights are downloaded."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from dlcv.networks import deepvo
from dlcv.networks.deepvo import DeepVO, DeepVOConfig
from dlcv.networks.layers.shapes import ShapeError

TINY = DeepVOConfig(width=0.03125, memory=6, input_size=(64, 128))
STRIDES = {'conv1': 2, 'conv2': 2, 'conv3': 2, 'conv3_1': 1, 'conv4': 2, 'conv4_1': 1, 'conv5': 2}
STRIDES |= {'conv5_1': 1, 'conv6': 2}


@pytest.fixture(params=[True, False], ids=['norm', 'plain'])
def model(request) -> DeepVO:
    torch.manual_seed(1)
    network = DeepVO(replace(TINY, batch_norm=request.param))
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(layer.running_mean, -0.1, 0.1)
            torch.nn.init.uniform_(layer.running_var, 0.5, 1.5)
            torch.nn.init.uniform_(layer.bias, -0.2, 0.2)
    return network.eval()


def written_out(network: DeepVO, clip: torch.Tensor) -> torch.Tensor:
    """The public network step by step on its own state dict, for one clip (T+1, 3, H, W)."""
    state = network.state_dict()
    offset, mean, std = (network.config.offset, *map(torch.tensor, (TINY.mean, TINY.std)))
    frames = (clip - offset - mean[:, None, None]) / std[:, None, None]
    x = torch.cat((frames[:-1], frames[1:]), dim=1)
    for name, stride in STRIDES.items():
        weight = state[f'{name}.0.weight']
        x = F.conv2d(x, weight, state.get(f'{name}.0.bias'), stride, weight.shape[-1] // 2)
        if f'{name}.1.weight' in state:
            norm = [
                state[f'{name}.1.{k}'] for k in ('running_mean', 'running_var', 'weight', 'bias')
            ]
            x = F.batch_norm(x, *norm)
        x = torch.where(x > 0, x, 0.1 * x)
    recalled, _ = network.rnn(x.flatten(1)[None])
    return F.linear(recalled, state['linear.weight'], state['linear.bias'])[0]


def test_is_the_public_network(model):
    clip = torch.rand(4, 3, 64, 128)
    with torch.no_grad():
        expected = written_out(model, clip)
        result = model(clip[None])[0][0]
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-5)


def test_paper_size_and_public_names():
    with torch.device('meta'):
        network = DeepVO(DeepVOConfig())
    assert sum(p.numel() for p in network.parameters()) == 149_518_326
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    assert shapes['rnn.weight_ih_l0'] == (4000, 30_720)
    assert shapes['conv6.0.weight'] == (1024, 512, 3, 3)
    assert {n.split('.')[0] for n in shapes} == {*STRIDES, 'rnn', 'linear'}
    assert DeepVOConfig(input_size=(384, 1280)).features == 122_880


@pytest.mark.parametrize(('batch', 'pairs', 'size'), [(1, 1, (64, 128)), (2, 3, (33, 100))])
def test_gives_one_motion_for_each_pair(model, batch, pairs, size):
    motions, (hidden, cell) = model(torch.rand(batch, pairs + 1, 3, *size))
    assert motions.shape == (batch, pairs, 6)
    assert hidden.shape == cell.shape == (2, batch, 6)


def test_a_drive_in_two_calls_equals_one_call(model):
    clip = torch.rand(1, 5, 3, 64, 128)
    whole, _ = model(clip)
    first, memory = model(clip[:, :3])
    rest, _ = model(clip[:, 2:], memory)  # the seam frame is seen by both calls
    torch.testing.assert_close(torch.cat((first, rest), dim=1), whole, rtol=0, atol=1e-6)


def test_kept_codes_give_the_same_window(model):
    clip = torch.rand(1, 4, 3, 64, 128)
    kept = [model.codes(clip[:, i : i + 2]) for i in range(3)]  # each pair is encoded once
    again, _ = model.recall(torch.cat(kept[1:], dim=1))
    torch.testing.assert_close(again, model(clip[:, 1:])[0], rtol=0, atol=1e-6)


def test_codes_of_another_network_are_refused(model):
    with pytest.raises(ShapeError, match=r'codes.*B, T, 64.*\(1, 2, 63\)'):
        model.recall(torch.zeros(1, 2, 63))


def test_memory_matters(model):
    clip = torch.rand(1, 3, 3, 64, 128)
    _, memory = model(clip)
    assert not torch.allclose(model(clip)[0], model(clip, memory)[0])


def test_transposed_frames_have_as_many_features(model):
    motions, _ = model(torch.rand(1, 2, 3, 128, 64))
    assert motions.shape == (1, 1, 6)


def test_batch_items_do_not_leak_into_each_other(model):
    clips = torch.rand(2, 3, 3, 64, 128)
    torch.testing.assert_close(model(clips)[0][:1], model(clips[:1])[0], rtol=0, atol=1e-6)


def test_every_parameter_learns(model):
    model.train()
    model(torch.rand(2, 4, 3, 64, 128))[0].square().sum().backward()
    still = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert still == []


def test_forget_gates_start_open():
    torch.manual_seed(0)
    bias = DeepVO(TINY).rnn.bias_hh_l1
    assert bias[6:12].tolist() == [1.0] * 6
    assert not bias[:6].any()
    assert not bias[12:].any()


def test_one_frame_is_refused_by_name(model):
    with pytest.raises(ShapeError, match='two frames or more, got 1'):
        model(torch.rand(1, 1, 3, 64, 128))


def test_another_number_of_cells_is_refused(model):
    with pytest.raises(ShapeError, match=r'\(64, 128\).*2 cells.*\(64, 192\) with 3'):
        model(torch.rand(1, 2, 3, 64, 192))


def test_memory_of_another_batch_is_refused(model):
    _, memory = model(torch.rand(2, 2, 3, 64, 128))
    with pytest.raises(ShapeError, match=r'memory.*2, 1, 6.*\(2, 2, 6\)'):
        model(torch.rand(1, 2, 3, 64, 128), memory)


@pytest.mark.parametrize(
    ('wrong', 'message'),
    [
        ({'memory': 0}, 'memory must be at least 1, got 0'),
        ({'input_size': (0, 64)}, 'height must be at least 1'),
        ({'window': 1}, 'two frames or more, got 1'),
        ({'std': (1.0, 0.0, 1.0)}, 'must be positive'),
        ({'dropout': 1.0}, r'dropout must be in \[0, 1\)'),
    ],
)
def test_wrong_configurations_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        DeepVOConfig(**wrong)


def test_small_one_is_small():
    with torch.device('meta'):
        numbers = sum(p.numel() for p in DeepVO(deepvo.small()).parameters())
    assert 2 * numbers < 25e6  # as float16
