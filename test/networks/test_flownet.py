"""FlowNet: shapes, the graph written out, units, colours, learning, refusals."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from dlcv.networks.flownet import FlowNet, FlowNetConfig
from dlcv.networks.layers.shapes import ShapeError

TINY = FlowNetConfig(width=0.0625, max_displacement=4)
FLOWNET2 = {'mean': 'pair', 'deconv_bias': True, 'predict_bias': True}


def tiny(**fields):
    torch.manual_seed(0)
    network = FlowNet(replace(TINY, **fields)).eval()
    for name, parameter in network.named_parameters():
        if name.endswith('bias'):
            torch.nn.init.normal_(parameter, std=0.1)
    return network


def written_out(state, stacked, displacement=None):
    """The network as flat statements on its state dict (no batch-norm)."""

    def conv(name, x, stride=1):
        weight = state[f'{name}.0.weight']
        x = F.conv2d(x, weight, state[f'{name}.0.bias'], stride, weight.shape[2] // 2)
        return torch.where(x > 0, x, 0.1 * x)

    def deconv(name, x, like, leak=True):
        x = F.conv_transpose2d(x, state[f'{name}.weight'], state.get(f'{name}.bias'), 2, 1)
        x = torch.where(x > 0, x, 0.1 * x) if leak else x
        return x[:, :, : like.shape[2], : like.shape[3]]

    def predict(level, x):
        name = f'predict_flow{level}'
        return F.conv2d(x, state[f'{name}.weight'], state.get(f'{name}.bias'), padding=1)

    if displacement is None:
        conv2 = conv('conv2', conv('conv1', stacked, 2), 2)
        x = conv('conv3', conv2, 2)
    else:
        conv2, other = (conv('conv2', conv('conv1', x, 2), 2) for x in stacked.split(3, dim=1))
        a, b = conv('conv3', conv2, 2), conv('conv3', other, 2)
        height, width = a.shape[2:]
        b = F.pad(b, (displacement,) * 4)
        steps = range(0, 2 * displacement + 1, 2)
        matches = [
            (a * b[:, :, dy : dy + height, dx : dx + width]).mean(1) for dy in steps for dx in steps
        ]
        matches = torch.stack(matches, dim=1)
        matches = torch.where(matches > 0, matches, 0.1 * matches)
        x = torch.cat((conv('conv_redir', a), matches), dim=1)
    conv3 = conv('conv3_1', x)
    conv4 = conv('conv4_1', conv('conv4', conv3, 2))
    conv5 = conv('conv5_1', conv('conv5', conv4, 2))
    x = conv('conv6_1', conv('conv6', conv5, 2))
    flows = [predict(6, x)]
    for level, skip in ((5, conv5), (4, conv4), (3, conv3), (2, conv2)):
        up = deconv(f'upsampled_flow{level + 1}_to_{level}', flows[0], skip, leak=False)
        x = torch.cat((skip, deconv(f'deconv{level}.0', x, skip), up), dim=1)
        flows.insert(0, predict(level, x))
    return flows


@pytest.mark.parametrize('size', [(64, 128), (75, 101)])
@pytest.mark.parametrize('fields', [
    {'variant': 's'},
    {'variant': 'c'},
    {'variant': 's', **FLOWNET2},
    {'variant': 'c', 'upsample_bias': True, **FLOWNET2},
], ids=['port S', 'port C', 'FlowNet2 S', 'FlowNet2 C'])  # fmt: skip
def test_equals_the_network_written_out(fields, size):
    network = tiny(**fields)
    stacked = torch.randn(2, 6, *size)
    expected = written_out(
        network.state_dict(), stacked, 4 if network.config.variant == 'c' else None
    )
    for ours, theirs in zip(network.pyramid(stacked), expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(('fields', 'parameters'), [
    ({'variant': 's'}, 38_675_536),
    ({'variant': 'c'}, 39_174_320),
    ({'variant': 's', **FLOWNET2}, 38_676_506),
    ({'variant': 'c', 'upsample_bias': True, **FLOWNET2}, 39_175_298),
])  # fmt: skip
def test_full_size_has_the_published_number_of_parameters(fields, parameters):
    with torch.device('meta'):
        network = FlowNet(FlowNetConfig(**fields))
    assert sum(p.numel() for p in network.parameters()) == parameters


def test_the_keys_are_those_of_the_port():
    keys = set(tiny(variant='c').state_dict())
    assert {'conv1.0.weight', 'conv1.0.bias', 'conv_redir.0.weight', 'conv3_1.0.bias'} <= keys
    assert {'deconv5.0.weight', 'predict_flow6.weight', 'upsampled_flow3_to_2.weight'} <= keys
    assert not keys & {'deconv5.0.bias', 'predict_flow2.bias', 'upsampled_flow6_to_5.bias'}
    normed = set(tiny(batch_norm=True).state_dict())
    assert 'conv6_1.1.running_var' in normed
    assert 'conv6_1.0.bias' not in normed


@pytest.mark.parametrize('variant', ['s', 'c'])
@pytest.mark.parametrize('size', [(64, 64), (61, 83), (5, 200), (1, 1)])
def test_flow_has_the_size_of_the_images(variant, size):
    network = tiny(variant=variant)
    first, second = torch.rand(2, 2, 3, *size)
    assert network(first, second).shape == (2, 2, *size)
    pyramid = network.train()(first, second)
    sizes = [tuple(math.ceil(n / 2**level) for n in size) for level in range(2, 7)]
    assert [tuple(flow.shape) for flow in pyramid] == [(2, 2, *s) for s in sizes]


def test_a_network_unit_is_twenty_pixels():
    network = tiny(predict_bias=True)
    for parameter in network.parameters():
        torch.nn.init.zeros_(parameter)
    network.predict_flow2.bias.data = torch.tensor([0.5, -0.25])
    flow = network(*torch.rand(2, 1, 3, 30, 50))
    torch.testing.assert_close(flow, torch.tensor([10.0, -5.0])[:, None, None].expand(1, 2, 30, 50))


def test_flow_is_the_finest_scale_interpolated():
    network = tiny()
    first, second = torch.rand(2, 1, 3, 64, 64)
    finest = network.pyramid(network.stack(first, second))[0]
    flow = network(first, second)
    # Pixel 4 i + 1.5 is the centre of cell i, so pixels 4 i + 1 and 4 i + 2 average to its value.
    block = flow[:, :, 1::4, 1::4] + flow[:, :, 1::4, 2::4]
    block = block + flow[:, :, 2::4, 1::4] + flow[:, :, 2::4, 2::4]
    weights = F.pad(finest, (1, 1, 1, 1), mode='replicate')
    kernel = torch.tensor([0.0625, 0.875, 0.0625])
    expected = F.conv2d(
        weights.flatten(0, 1)[:, None], (kernel[:, None] * kernel)[None, None]
    ).view_as(finest)
    torch.testing.assert_close(block / 4, 20 * expected, atol=1e-5, rtol=1e-5)


def test_channel_order_turns_the_images_but_not_the_mean():
    rgb, bgr = tiny(), tiny(channel_order='bgr')
    first, second = torch.rand(2, 1, 3, 8, 8)
    torch.testing.assert_close(bgr.stack(first, second), rgb.stack(first.flip(1), second.flip(1)))
    mean = torch.tensor([0.411, 0.432, 0.450])[:, None, None]
    torch.testing.assert_close(bgr.stack(first, second)[:, 3:], second.flip(1) - mean)


def test_the_mean_of_the_pair_takes_brightness_away():
    network = tiny(mean='pair')
    first, second = 0.5 * torch.rand(2, 2, 3, 32, 32)
    gain = torch.tensor([0.1, 0.2, 0.3])[:, None, None]
    stacked = network.stack(first, second)
    assert stacked.unflatten(1, (2, 3)).mean((1, 3, 4)).abs().max() < 1e-6
    torch.testing.assert_close(network.stack(first + gain, second + gain), stacked)


@pytest.mark.parametrize('variant', ['s', 'c'])
def test_batch_items_do_not_leak_into_each_other(variant):
    network = tiny(variant=variant, mean='pair')
    first, second = torch.rand(2, 3, 3, 40, 70)
    together = network(first, second)
    torch.testing.assert_close(together[1:2], network(first[1:2], second[1:2]))


def test_the_images_are_left_alone():
    first, second = torch.rand(2, 1, 3, 32, 32)
    before = first.clone(), second.clone()
    tiny(variant='c')(first, second)
    assert torch.equal(first, before[0])
    assert torch.equal(second, before[1])


@pytest.mark.parametrize('batch_norm', [False, True])
@pytest.mark.parametrize('variant', ['s', 'c'])
def test_every_parameter_learns(variant, batch_norm):
    network = tiny(variant=variant, batch_norm=batch_norm, upsample_bias=True, **FLOWNET2).train()
    pyramid = network(*torch.rand(2, 2, 3, 128, 128))
    sum((flow * torch.randn_like(flow)).sum() for flow in pyramid).backward()
    still = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert still == []


def test_a_refining_network_takes_a_taller_stack():
    network = tiny(in_channels=14)
    assert network.pyramid(torch.rand(1, 14, 64, 64))[0].shape == (1, 2, 16, 16)


def test_refusals_name_what_was_asked():
    network = tiny()
    with pytest.raises(ShapeError, match=r'\(B, 3, H, W\), got \(1, 1, 8, 8\)'):
        network(torch.rand(1, 1, 8, 8), torch.rand(1, 1, 8, 8))
    with pytest.raises(ShapeError, match=r'\(1, 3, 8, 8\) and \(1, 3, 8, 9\)'):
        network(torch.rand(1, 3, 8, 8), torch.rand(1, 3, 8, 9))
    with pytest.raises(ShapeError, match=r'\(B, 6, H, W\), got \(1, 5, 8, 8\)'):
        network.pyramid(torch.rand(1, 5, 8, 8))
    with pytest.raises(ValueError, match='FlowNetC cannot take 14 channels'):
        FlowNetConfig(variant='c', in_channels=14)
    with pytest.raises(ValueError, match=r'got 0\.0 and 20\.0'):
        FlowNetConfig(width=0.0)
    with pytest.raises(ValueError, match='got 20 and 0'):
        FlowNetConfig(displacement_stride=0)
