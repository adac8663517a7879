"""Monodepth: the original graph step by step, sizes, learning, refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from dlcv.networks import monodepth
from dlcv.networks.layers.shapes import ShapeError
from dlcv.networks.monodepth import Monodepth, MonodepthConfig, blend_mirrored

ENCODERS = ['vgg', 'resnet50']


@pytest.fixture(params=ENCODERS)
def model(request) -> Monodepth:
    torch.manual_seed(3)
    network = Monodepth(MonodepthConfig(encoder=request.param, width=0.0625)).eval()
    for name, parameter in network.named_parameters():
        if name.endswith('bias'):
            torch.nn.init.normal_(parameter, std=0.1)
    return network


def original_graph(encoder, image, variables):
    """The graph in the original's order of creation, taking (weights, biases) as it needs them."""
    queue = iter(variables)

    def conv(x, stride=1, elu=True):
        weights, biases = next(queue), next(queue)
        pad = (weights.shape[-1] - 1) // 2
        y = F.conv2d(F.pad(x, (pad,) * 4), weights, biases, stride)
        return torch.where(y > 0, y, y.clamp(max=0).exp() - 1) if elu else y

    def upsample(x):
        return x.repeat_interleave(2, 2).repeat_interleave(2, 3)

    def residual(x, stride):
        a = conv(conv(conv(x), stride), elu=False)
        b = conv(x, stride, elu=False)
        return F.elu(a + b)

    x, features = image, []
    if encoder == 'vgg':
        for _ in range(7):
            x = conv(conv(x), 2)
            features.append(x)
    else:
        x = conv(x, 2)
        features.append(x)
        x = F.pad(x, (1, 1, 1, 1)).unfold(2, 3, 2).unfold(3, 3, 2).amax((-1, -2))
        features.append(x)
        for blocks in (3, 4, 6, 3):
            for i in range(blocks):
                x = residual(x, 2 if i == blocks - 1 else 1)
            features.append(x)
    x, disparities = features.pop(), []
    for size in range(len(features), -1, -1):
        parts = [conv(upsample(x))] + ([features.pop()] if features else [])
        x = conv(torch.cat(parts + [upsample(d) for d in disparities[-1:]], 1))
        if size < 4:
            disparities.append(0.3 / (1 + (-conv(x, elu=False)).exp()))
    assert next(queue, None) is None
    return disparities[::-1]


def test_is_the_original_graph_in_the_original_order(model):
    image = torch.rand(1, 3, 128, 256)
    with torch.no_grad():
        expected = original_graph(model.config.encoder, image, list(model.parameters()))
        result = model(image)
    for a, b in zip(result, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ('encoder', 'tensors', 'numbers'), [('vgg', 64, 31_600_072), ('resnet50', 162, 58_452_008)]
)
def test_paper_size(encoder, tensors, numbers):
    with torch.device('meta'):
        parameters = list(Monodepth(MonodepthConfig(encoder=encoder)).parameters())
    assert (len(parameters), sum(p.numel() for p in parameters)) == (tensors, numbers)


def test_gives_four_scales_of_two_views(model):
    shapes = [tuple(d.shape) for d in model(torch.rand(2, 3, 128, 128))]
    assert shapes == [(2, 2, 128, 128), (2, 2, 64, 64), (2, 2, 32, 32), (2, 2, 16, 16)]


def test_disparity_stays_below_a_third_of_the_width(model):
    finest = model(50 * torch.randn(1, 3, 128, 128))[0]
    assert finest.min() >= 0
    assert finest.max() <= 0.3


def test_batch_items_do_not_leak_into_each_other(model):
    images = torch.rand(2, 3, 128, 128)
    for together, alone in zip(model(images), model(images[:1]), strict=True):
        torch.testing.assert_close(together[:1], alone, rtol=0, atol=1e-6)


def test_every_parameter_learns(model):
    sum(d.square().sum() for d in model(torch.rand(1, 3, 128, 128))).backward()
    still = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert still == []


def test_resnet_takes_multiples_of_64_and_vgg_of_128():
    resnet = Monodepth(MonodepthConfig(encoder='resnet50', width=0.0625))
    assert resnet(torch.rand(1, 3, 64, 192))[0].shape == (1, 2, 64, 192)
    vgg = Monodepth(MonodepthConfig(width=0.0625))
    with pytest.raises(ShapeError, match=r'multiples of 128, got 64 x 192'):
        vgg(torch.rand(1, 3, 64, 192))


def test_grey_is_refused_by_shape(model):
    with pytest.raises(ShapeError, match=r'\(1, 1, 128, 128\)'):
        model(torch.rand(1, 1, 128, 128))


@pytest.mark.parametrize(
    ('wrong', 'message'),
    [
        ({'encoder': 'unet'}, "'unet'"),
        ({'width': 0.0}, 'width must be positive'),
        ({'baseline': -1.0}, 'baseline must be positive'),
        ({'input_size': (100, 512)}, r'multiples of 128, got \(100, 512\)'),
    ],
)
def test_wrong_configurations_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        MonodepthConfig(**wrong)


def test_small_one_is_small():
    with torch.device('meta'):
        numbers = sum(p.numel() for p in Monodepth(monodepth.small()).parameters())
    assert 2 * numbers < 25e6  # stored in 16 bits


class TestBlend:
    def test_formula_of_the_paper(self):
        draw = np.random.default_rng(0)
        plain, of_mirror = draw.random((2, 5, 60))
        x, _ = np.meshgrid(np.linspace(0, 1, 60), np.linspace(0, 1, 5))
        left = 1 - np.clip(20 * (x - 0.05), 0, 1)
        right = left[:, ::-1]
        back = of_mirror[:, ::-1]
        expected = right * plain + left * back + (1 - left - right) * 0.5 * (plain + back)
        result = blend_mirrored(torch.from_numpy(plain), torch.from_numpy(of_mirror))
        np.testing.assert_allclose(result.numpy(), expected, atol=1e-12)

    def test_takes_each_border_from_the_pass_that_sees_it(self):
        blended = blend_mirrored(torch.full((1, 100), 1.0), torch.full((1, 100), 3.0))[0]
        assert blended[0] == 3
        assert blended[-1] == 1
        assert blended[50] == 2

    def test_different_sizes_are_refused(self):
        with pytest.raises(ShapeError, match=r'\(2, 4\) and \(2, 5\)'):
            blend_mirrored(torch.zeros(2, 4), torch.zeros(2, 5))


def test_a_spread_is_a_third_channel_of_the_finest_and_changes_no_disparity():
    torch.manual_seed(0)
    plain = Monodepth(MonodepthConfig(width=0.0625, input_size=(128, 128)))
    unsure = Monodepth(MonodepthConfig(width=0.0625, input_size=(128, 128), spread=True))
    missing = unsure.load_state_dict(plain.state_dict(), strict=False).missing_keys
    assert missing == ['decoder.levels.6.spread.weight', 'decoder.levels.6.spread.bias']
    images = torch.rand(2, 3, 128, 128)
    with torch.no_grad():
        found, wanted = unsure(images), plain(images)
    assert [m.shape[1] for m in found] == [3, 2, 2, 2]
    for a, b in zip(found, wanted, strict=True):
        assert torch.equal(a[:, :2], b)
