"""DispNetS and PoseExpNet: the published graphs step by step, sizes, learning, refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from dlcv.networks.layers.shapes import ShapeError
from dlcv.networks.sfmlearner import DispNetS, DispNetSConfig, PoseExpNet, PoseExpNetConfig


def with_biases(network):
    for name, parameter in network.named_parameters():
        if name.endswith('bias'):
            torch.nn.init.normal_(parameter, std=0.1)
    return network.eval()


@pytest.fixture
def depth() -> DispNetS:
    torch.manual_seed(3)
    return with_biases(DispNetS(DispNetSConfig(width=1 / 16)))


@pytest.fixture
def pose() -> PoseExpNet:
    torch.manual_seed(4)
    return with_biases(PoseExpNet(PoseExpNetConfig(width=1 / 8, explainability=True)))


def conv(x, state, name, stride=1):
    weight = state[f'{name}.weight']
    return F.conv2d(x, weight, state[f'{name}.bias'], stride, padding=weight.shape[-1] // 2)


def published_depth(state, image):
    """The graph layer by layer, from a state dict with the published names."""

    def deconv(x, name):
        out = F.conv_transpose2d(x, state[f'{name}.0.weight'], state[f'{name}.0.bias'], 2, 1, 1)
        return out.relu()

    def cut(x, like):
        return x[:, :, : like.shape[2], : like.shape[3]]

    def disparity(x, level):
        return 10 * conv(x, state, f'predict_disp{level}.0').sigmoid() + 0.01

    def double(x):
        return F.interpolate(x, scale_factor=2, mode='bilinear', align_corners=False)

    x, downs = 2 * image - 1, []
    for i in range(1, 8):
        x = conv(x, state, f'conv{i}.0', 2).relu()
        x = conv(x, state, f'conv{i}.2').relu()
        downs.append(x)
    for i in (7, 6, 5, 4):
        skip = downs[i - 2]
        x = torch.cat((cut(deconv(x, f'upconv{i}'), skip), skip), 1)
        x = conv(x, state, f'iconv{i}.0').relu()
    fourth = disparity(x, 4)
    x = cut(deconv(x, 'upconv3'), downs[1])
    x = conv(torch.cat((x, downs[1], cut(double(fourth), downs[1])), 1), state, 'iconv3.0').relu()
    third = disparity(x, 3)
    x = cut(deconv(x, 'upconv2'), downs[0])
    x = conv(torch.cat((x, downs[0], cut(double(third), downs[0])), 1), state, 'iconv2.0').relu()
    second = disparity(x, 2)
    x = cut(deconv(x, 'upconv1'), image)
    x = conv(torch.cat((x, cut(double(second), image)), 1), state, 'iconv1.0').relu()
    return disparity(x, 1), second, third, fourth


def published_pose(state, target, references):
    def deconv(x, level, like):
        weight, bias = (state[f'upconv{level}.0.{name}'] for name in ('weight', 'bias'))
        out = F.conv_transpose2d(x, weight, bias, 2, 1).relu()
        return out[:, :, : like.shape[2], : like.shape[3]]

    x = 2 * torch.cat((target, *references.unbind(1)), 1) - 1
    outs = [x]
    for i in range(1, 8):
        outs.append(conv(outs[-1], state, f'conv{i}.0', 2).relu())
    motions = conv(outs[7], state, 'pose_pred').mean(3).mean(2)
    x, masks = deconv(outs[5], 5, outs[4]), []
    for level in (4, 3, 2, 1):
        x = deconv(x, level, outs[level - 1])
        masks.append(conv(x, state, f'predict_mask{level}').sigmoid())
    return 0.01 * motions.view(len(target), -1, 6), masks[::-1]


@pytest.mark.parametrize('size', [(128, 160), (70, 90)], ids=['even', 'odd'])
def test_depth_is_the_published_graph(depth, size):
    image = torch.rand(2, 3, *size)
    with torch.no_grad():
        found, wanted = depth(image), published_depth(depth.state_dict(), image)
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-5)


@pytest.mark.parametrize('size', [(128, 160), (70, 90)], ids=['even', 'odd'])
def test_pose_is_the_published_graph(pose, size):
    target, references = torch.rand(2, 3, *size), torch.rand(2, 2, 3, *size)
    with torch.no_grad():
        motions, masks, _ = pose(target, references)
        wanted, wanted_masks = published_pose(pose.state_dict(), target, references)
    torch.testing.assert_close(motions, wanted, rtol=0, atol=1e-6)
    for a, b in zip(masks, wanted_masks, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-5)


def test_paper_sizes():
    with torch.device('meta'):
        networks = (
            DispNetS(DispNetSConfig()),
            PoseExpNet(PoseExpNetConfig()),
            PoseExpNet(PoseExpNetConfig(references=4)),
        )
    sizes = [sum(p.numel() for p in network.parameters()) for network in networks]
    # two more references: 3 x 16 x 49 numbers each in the first layer, 6 x 257 each in the last
    assert sizes == [31_596_900, 1_590_668, 1_590_668 + 2 * (3 * 16 * 49 + 6 * 257)]


def test_names_are_the_published_ones(depth, pose):
    disparity = {'conv1.0', 'conv1.2', 'conv7.2', 'upconv7.0', 'iconv1.0', 'predict_disp4.0'}
    motion = {'conv1.0', 'conv7.0', 'pose_pred', 'upconv5.0', 'upconv1.0', 'predict_mask4'}
    for network, names in ((depth, disparity), (pose, motion)):
        layers = {key.rpartition('.')[0] for key in network.state_dict()}
        assert names <= layers
    plain = PoseExpNet(PoseExpNetConfig(width=1 / 8))
    layers = {key.rpartition('.')[0] for key in plain.state_dict()}
    assert layers == {*(f'conv{i}.0' for i in range(1, 8)), 'pose_pred'}


def test_four_scales_of_disparity_within_its_bounds(depth):
    maps = depth(50 * torch.randn(2, 3, 64, 96))
    assert [tuple(d.shape) for d in maps] == [(2, 1, 64 >> i, 96 >> i) for i in range(4)]
    assert all(d.min() >= 0.01 and d.max() <= 10.01 for d in maps)


def test_pictures_around_the_target_are_told_apart(pose):
    target, references = torch.rand(1, 3, 64, 96), torch.rand(1, 2, 3, 64, 96)
    motions, masks, _ = pose(target, references)
    assert motions.shape == (1, 2, 6)
    assert [tuple(m.shape) for m in masks] == [(1, 2, 64 >> i, 96 >> i) for i in range(4)]
    assert not torch.allclose(pose(target, references.flip(1))[0], motions)


def test_a_new_network_says_that_next_to_nothing_moved():
    torch.manual_seed(0)
    network = PoseExpNet(PoseExpNetConfig())
    with torch.no_grad():
        motions, masks, camera = network(torch.rand(1, 3, 128, 416), torch.rand(1, 2, 3, 128, 416))
    assert motions.abs().max() < 0.05
    assert masks == ()
    assert camera is None


def test_a_camera_is_told_in_pixels_of_its_pictures():
    network = PoseExpNet(PoseExpNetConfig(width=1 / 8, intrinsics=True))
    with torch.no_grad():
        network.intrinsics_pred.weight.zero_()
        network.intrinsics_pred.bias.zero_()
        target, references = torch.rand(2, 3, 64, 96), torch.rand(2, 2, 3, 64, 96)
        usual = network(target, references).intrinsics
        # softplus(ln(e - 1)) is 1; the centre lies a quarter to the right of the middle
        network.intrinsics_pred.bias.copy_(torch.tensor([np.log(np.e - 1), 0, 0.25, 0]))
        other = network(target, references).intrinsics
    ln2 = float(np.log(2))
    wanted = torch.tensor([[96 * ln2, 0, 47.5], [0, 64 * ln2, 31.5], [0, 0, 1]])
    torch.testing.assert_close(usual, wanted.expand(2, 3, 3))
    wanted[0, 0], wanted[0, 2] = 96, 71.5
    torch.testing.assert_close(other, wanted.expand(2, 3, 3))


def test_batch_items_do_not_leak_into_each_other(depth, pose):
    images, references = torch.rand(2, 3, 64, 64), torch.rand(2, 2, 3, 64, 64)
    for together, alone in zip(depth(images), depth(images[:1]), strict=True):
        torch.testing.assert_close(together[:1], alone, rtol=0, atol=1e-5)
    together, alone = pose(images, references)[0], pose(images[:1], references[:1])[0]
    torch.testing.assert_close(together[:1], alone, rtol=0, atol=1e-6)


def test_every_parameter_learns(depth, pose):
    image = torch.rand(1, 3, 128, 128)
    motions, masks, _ = pose(image, torch.rand(1, 2, 3, 128, 128))
    total = motions.square().sum() + sum(m.square().sum() for m in (*masks, *depth(image)))
    total.backward()
    for network in (depth, pose):
        still = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
        assert still == []


def test_other_shapes_are_refused(depth, pose):
    with pytest.raises(ShapeError, match=r'images: .*\(1, 1, 64, 64\)'):
        depth(torch.rand(1, 1, 64, 64))
    with pytest.raises(ShapeError, match=r'references: .*1, 2, 3, 64, 64.*\(1, 3, 3, 64, 64\)'):
        pose(torch.rand(1, 3, 64, 64), torch.rand(1, 3, 3, 64, 64))


@pytest.mark.parametrize(
    ('config', 'wrong', 'said'),
    [
        (DispNetSConfig, {'width': 0.0}, 'width, baseline and input_size above 0, got 0.0'),
        (DispNetSConfig, {'baseline': -1.0}, r'above 0, got 1.0, -1.0'),
        (DispNetSConfig, {'input_size': (0, 416)}, r'\(0, 416\)'),
        (PoseExpNetConfig, {'references': 0}, 'references >= 1, .* got 0, 1.0 and 0.01'),
        (PoseExpNetConfig, {'width': -0.5}, 'got 2, -0.5 and 0.01'),
        (PoseExpNetConfig, {'unit': 0.0}, 'got 2, 1.0 and 0.0'),
    ],
)
def test_wrong_configurations_are_refused(config, wrong, said):
    with pytest.raises(ValueError, match=said):
        config(**wrong)
