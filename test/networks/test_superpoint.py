"""SuperPoint: shapes, the order of its layers, learning, refusals; no weights are needed."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from dlcv.networks.layers.shapes import ShapeError
from dlcv.networks.superpoint import SuperPoint, SuperPointConfig

VARIANTS = ['vgg', 'vgg_bn', 'unet_bn']
LAYERS = ['1a', '1b', '2a', '2b', '3a', '3b', '4a', '4b', 'Pa', 'Pb', 'Da', 'Db']


def tiny(variant='vgg', **fields):
    torch.manual_seed(0)
    network = SuperPoint(SuperPointConfig(variant=variant, width=0.0625, **fields)).eval()
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.running_mean, -0.5, 0.5)
            nn.init.uniform_(layer.running_var, 0.5, 1.5)
            nn.init.uniform_(layer.weight, -1.5, 1.5)
            nn.init.uniform_(layer.bias, -0.5, 0.5)
    return network


def written_out(state, variant, image):
    """The network as flat statements on its state dict."""

    def conv(name, x):
        weight = state[f'conv{name}.weight']
        return F.conv2d(x, weight, state[f'conv{name}.bias'], padding=weight.shape[2] // 2)

    def norm(name, x):
        eps = {'vgg_bn': 1e-3, 'unet_bn': 1e-5}[variant]
        keys = ('running_mean', 'running_var', 'weight', 'bias')
        mean, var, scale, shift = (state[f'bn{name}.{key}'][:, None, None] for key in keys)
        return (x - mean) / (var + eps).sqrt() * scale + shift

    def layer(name, x, last=False):
        x = conv(name, x)
        if variant == 'unet_bn':
            x = norm(name, x)
        x = x if last else x.clamp(min=0)
        return norm(name, x) if variant == 'vgg_bn' else x

    x = image
    for stage in '123':
        x = F.max_pool2d(layer(stage + 'b', layer(stage + 'a', x)), 2, 2)
    x = layer('4b', layer('4a', x))
    logits = layer('Pb', layer('Pa', x), last=True)
    descriptors = layer('Db', layer('Da', x), last=True)
    return logits, descriptors / descriptors.norm(dim=1, keepdim=True)


@pytest.mark.parametrize('variant', VARIANTS)
def test_equals_the_network_written_out(variant):
    network = tiny(variant)
    image = torch.rand(2, 1, 24, 40)
    expected = written_out(network.state_dict(), variant, image)
    for ours, theirs in zip(network(image), expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize('variant', VARIANTS)
def test_equals_it_in_strips(variant):
    network = tiny(variant)
    image = torch.rand(2, 1, 104, 24)  # two strips and a short one
    expected = written_out(network.state_dict(), variant, image)
    with torch.inference_mode():
        found = network(image)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(('variant', 'parameters', 'tensors'), [
    ('vgg', 1_300_865, 24),
    ('vgg_bn', 1_304_067, 84),
    ('unet_bn', 1_304_067, 84),
])  # fmt: skip
def test_full_size_has_the_published_number_of_parameters(variant, parameters, tensors):
    with torch.device('meta'):
        network = SuperPoint(SuperPointConfig(variant=variant))
    assert sum(p.numel() for p in network.parameters()) == parameters
    assert len(network.state_dict()) == tensors


def test_the_keys_are_those_of_the_original():
    keys = set(tiny().state_dict())
    assert keys == {f'conv{layer}.{leaf}' for layer in LAYERS for leaf in ('weight', 'bias')}


@pytest.mark.parametrize('variant', VARIANTS)
@pytest.mark.parametrize('size', [(8, 8), (24, 40)])
def test_one_cell_for_eight_by_eight_pixels(variant, size):
    logits, descriptors = tiny(variant)(torch.rand(2, 1, *size))
    assert logits.shape == (2, 65, size[0] // 8, size[1] // 8)
    assert descriptors.shape == (2, 16, size[0] // 8, size[1] // 8)
    torch.testing.assert_close(descriptors.norm(dim=1), torch.ones(2, size[0] // 8, size[1] // 8))


def test_descriptor_size_is_known_to_the_config():
    assert SuperPointConfig().descriptor_size == 256
    assert SuperPointConfig(width=0.5).descriptor_size == 128


def test_batch_items_do_not_leak_into_each_other():
    network = tiny('vgg_bn')
    images = torch.rand(3, 1, 16, 24)
    torch.testing.assert_close(network(images)[0][1:2], network(images[1:2])[0])


def test_the_input_is_left_alone():
    image = torch.rand(1, 1, 16, 16)
    before = image.clone()
    tiny()(image)
    assert torch.equal(image, before)


@pytest.mark.parametrize('variant', VARIANTS)
def test_every_parameter_learns(variant):
    network = tiny(variant)  # eval mode: a bias before a batch-norm has no effect in training
    logits, descriptors = network(torch.rand(4, 1, 32, 32))
    target = torch.randn_like(descriptors)
    (logits.square().sum() + (descriptors * target).sum()).backward()
    still = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert still == []


def test_two_channels_when_configured():
    logits, _ = tiny('vgg_bn', in_channels=2)(torch.rand(1, 2, 16, 16))
    assert logits.shape == (1, 65, 2, 2)


def test_a_size_that_is_not_a_multiple_of_eight_is_refused():
    with pytest.raises(ShapeError, match=r'multiples of 8, got 20 x 32'):
        tiny()(torch.rand(1, 1, 20, 32))


def test_colour_is_refused():
    with pytest.raises(ShapeError, match=r'\(B, 1, H, W\), got \(1, 3, 16, 16\)'):
        tiny()(torch.rand(1, 3, 16, 16))


def test_an_impossible_config_is_refused():
    with pytest.raises(ValueError, match=r'got 0 and 1\.0'):
        SuperPointConfig(in_channels=0)
