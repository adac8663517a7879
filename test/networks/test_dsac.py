"""Scene coordinate networks: the graphs written out, patches, ACE's head, scores, refusals."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from dlcv.networks import dsac
from dlcv.networks.dsac import (
    DsacConfig,
    PatchCoordinateNet,
    SceneCoordinateNet,
    ScoreConfig,
    ScoreNet,
    coordinate_network,
)
from dlcv.networks.layers.shapes import ShapeError

WIDTH = 0.0625
STAR = ['full', 'tiny', 'ace']


def with_biases(network):
    for name, parameter in network.named_parameters():
        if name.endswith('bias'):
            torch.nn.init.normal_(parameter, std=0.1)
    return network.eval()


def tiny(variant: str, **fields):
    torch.manual_seed(5)
    width = 0.03125 if variant == 'patch' else WIDTH
    network = with_biases(coordinate_network(DsacConfig(variant=variant, width=width, **fields)))
    if variant != 'patch':
        network.mean.copy_(torch.tensor([0.5, -1.0, 2.0]).view_as(network.mean))
    return network


def star_written_out(state, images, extra=()):
    """DSAC* as flat statements on its state dict; ``extra`` are ACE's further blocks."""

    def conv(name, x, stride=1):
        weight = state[f'{name}.weight']
        return F.conv2d(x, weight, state[f'{name}.bias'], stride, weight.shape[-1] // 2)

    def block(x, names):
        for name in names:
            x = conv(name, x).relu()
        return x

    x = conv('conv1', (images - 0.4) / 0.25).relu()
    for name in ('conv2', 'conv3', 'conv4'):
        x = conv(name, x, 2).relu()
    x = x + block(x, ('res1_conv1', 'res1_conv2', 'res1_conv3'))
    skip = conv('res2_skip', x) if 'res2_skip.weight' in state else x
    x = skip + block(x, ('res2_conv1', 'res2_conv2', 'res2_conv3'))
    x = x + block(x, ('res3_conv1', 'res3_conv2', 'res3_conv3'))
    for names in extra:
        x = x + block(x, names)
    return conv('fc3', block(x, ('fc1', 'fc2')))


def patch_written_out(network, patch):
    """The 2017 network on one patch (3, 42, 42) in [0, 1], with true linear layers."""
    x = 255 * patch[None] - 127
    for conv, (stride, padding) in zip(
        network.convs,
        [(1, 0), (2, 1), (1, 1), (2, 1), (1, 1), (1, 1), (2, 1), (1, 1), (1, 1), (2, 0)],
        strict=True,
    ):
        x = F.conv2d(x, conv.weight, conv.bias, stride, padding).relu()
    assert x.shape[2:] == (2, 2)
    x = F.linear(x.flatten(1), network.fc1.weight.flatten(1), network.fc1.bias).relu()
    x = F.linear(x, network.fc2.weight.flatten(1), network.fc2.bias).relu()
    return F.linear(x, network.fc3.weight.flatten(1), network.fc3.bias)[0] / 1000


class TestStar:
    @pytest.mark.parametrize('variant', ['full', 'tiny'])
    def test_is_the_public_network(self, variant):
        network, images = tiny(variant), torch.rand(2, 1, 40, 56)
        with torch.no_grad():
            expected = star_written_out(network.state_dict(), images)
            expected += torch.tensor([0.5, -1.0, 2.0]).view(3, 1, 1)
            torch.testing.assert_close(network(images), expected, rtol=0, atol=1e-5)

    @pytest.mark.parametrize('blocks', [0, 2])
    def test_ace_divides_by_its_fourth_number(self, blocks):
        network, images = tiny('ace', head_blocks=blocks), 3 * torch.rand(1, 1, 24, 32)
        names = [tuple(f'{b}c{i}' for i in range(3)) for b in range(blocks)]
        with torch.no_grad():
            raw = star_written_out(network.state_dict(), images, names)
            beta = math.log(2) / (1 - 1 / 4)
            divisor = (F.softplus(raw[:, 3:], beta=beta) + 1 / 4).clamp(max=100)
            expected = raw[:, :3] / divisor + torch.tensor([0.5, -1.0, 2.0]).view(3, 1, 1)
            torch.testing.assert_close(network(images), expected, rtol=0, atol=1e-5)

    def test_ace_without_the_fourth_number_is_a_plain_head(self):
        network, images = tiny('ace', homogeneous=False), torch.rand(1, 1, 16, 16)
        with torch.no_grad():
            raw = star_written_out(network.state_dict(), images, [('0c0', '0c1', '0c2')])
            torch.testing.assert_close(network(images), raw + network.mean, rtol=0, atol=1e-5)
        assert [n for n, _ in network.named_buffers()] == ['mean']

    def test_encoder_and_head_make_the_whole(self):
        network, images = tiny('ace'), torch.rand(2, 1, 24, 24)
        features = network.features(images)
        assert features.shape == (2, 32, 3, 3)
        torch.testing.assert_close(network.head(features), network(images))

    @pytest.mark.parametrize(('variant', 'numbers'), [('full', 6_882_819), ('tiny', 946_563)])
    def test_paper_size(self, variant, numbers):
        network = coordinate_network(DsacConfig(variant=variant))
        assert sum(p.numel() for p in network.parameters()) == numbers
        assert [(n, tuple(b.shape)) for n, b in network.named_buffers()] == [('mean', (3,))]
        assert ('res2_skip.weight' in network.state_dict()) == (variant == 'full')

    def test_ace_size_is_that_of_its_two_files(self):
        with torch.device('meta'):
            named = dict(SceneCoordinateNet(DsacConfig(variant='ace')).named_parameters())
        encoder = {n: p for n, p in named.items() if n.startswith(('conv', 'res1_', 'res2_'))}
        assert sum(p.numel() for p in encoder.values()) == 5_568_000
        assert sum(p.numel() for n, p in named.items() if n not in encoder) == 2_103_300

    @pytest.mark.parametrize('variant', STAR)
    @pytest.mark.parametrize(('size', 'grid'), [((16, 24), (2, 3)), ((17, 31), (3, 4))])
    def test_one_cell_for_each_eight_pixels_begun(self, variant, size, grid):
        assert tiny(variant)(torch.rand(2, 1, *size)).shape == (2, 3, *grid)

    def test_cell_centres(self):
        centres = tiny('tiny').cell_centres(3, 2)
        assert centres.shape == (3, 2, 2)
        assert centres[2, 1].tolist() == [12, 20]  # x = 8 * 1 + 4, y = 8 * 2 + 4

    def test_colour_is_refused(self):
        with pytest.raises(ShapeError, match=r'images.*1, H, W.*\(1, 3, 16, 16\)'):
            tiny('full')(torch.rand(1, 3, 16, 16))


class TestPatches:
    def test_is_the_public_network_on_each_patch(self):
        network, images = tiny('patch', evaluation='patches'), torch.rand(2, 3, 60, 80)
        with torch.no_grad():
            result = network(images)
            assert result.shape == (2, 3, 2, 3)
            for b, i, j in [(0, 0, 0), (0, 1, 2), (1, 0, 1), (1, 1, 0)]:
                patch = images[b, :, 16 * i : 16 * i + 42, 16 * j : 16 * j + 42]
                expected = patch_written_out(network, patch)
                torch.testing.assert_close(result[b, :, i, j], expected, rtol=0, atol=1e-4)

    def test_both_evaluations_agree_where_the_image_is_one_patch(self):
        image = torch.rand(1, 3, 42, 42)
        cut, shared = tiny('patch', evaluation='patches'), tiny('patch')
        with torch.no_grad():
            torch.testing.assert_close(cut(image), shared(image), rtol=0, atol=1e-5)
            expected = patch_written_out(shared, image[0])
            torch.testing.assert_close(shared(image)[0, :, 0, 0], expected, rtol=0, atol=1e-4)

    def test_both_evaluations_lie_on_one_grid(self):
        for size in [(42, 57), (58, 89), (75, 90)]:
            image = torch.rand(1, 3, *size)
            cut, shared = tiny('patch', evaluation='patches'), tiny('patch')
            assert cut(image).shape == shared(image).shape

    def test_shared_layers_see_the_neighbours_instead_of_padding(self):
        image = torch.rand(1, 3, 58, 42)
        cut, shared = tiny('patch', evaluation='patches'), tiny('patch')
        assert not torch.allclose(cut(image), shared(image), atol=1e-4)

    def test_chosen_pixels_are_the_centres_of_their_patches(self):
        network, images = tiny('patch', evaluation='patches', stride=8), torch.rand(2, 3, 60, 70)
        with torch.no_grad():
            grid = network(images)  # (2, 3, h, w)
            centres = network.cell_centres(*grid.shape[2:]).long()
            points = network.at(images, centres.reshape(1, -1, 2).expand(2, -1, 2))
        torch.testing.assert_close(points, grid.flatten(2).transpose(1, 2), rtol=0, atol=1e-4)
        assert centres[0, 1].tolist() == [29, 21]

    def test_metres_and_input_range_are_configurable(self):
        images = torch.rand(1, 3, 42, 42)
        plain, scaled = tiny('patch'), tiny('patch', metres_per_unit=1.0)
        torch.testing.assert_close(1000 * plain(images), scaled(images))
        shifted = tiny('patch', normalisation=(0.0, 1.0))
        torch.testing.assert_close(shifted(255 * images - 127), plain(images), rtol=0, atol=1e-4)

    def test_pixels_too_near_the_border_are_refused(self):
        with pytest.raises(ShapeError, match=r'inside the image of 60 x 50.*\[20, 25\]'):
            tiny('patch').at(torch.rand(1, 3, 50, 60), torch.tensor([[[20, 25]]]))
        with pytest.raises(ShapeError, match='inside the image'):
            tiny('patch').at(torch.rand(1, 3, 50, 60), torch.tensor([[[30, 30]]]))

    def test_less_than_a_patch_is_refused(self):
        with pytest.raises(ShapeError, match=r'at least 42 x 42.*\(1, 3, 41, 60\)'):
            tiny('patch')(torch.rand(1, 3, 41, 60))


@pytest.mark.parametrize('variant', [*STAR, 'patch'])
def test_batch_items_do_not_leak_into_each_other(variant):
    network = tiny(variant)
    images = torch.rand(2, network.config.channels, 58, 58)
    torch.testing.assert_close(network(images)[:1], network(images[:1]), rtol=0, atol=1e-5)


@pytest.mark.parametrize('variant', [*STAR, 'patch'])
def test_every_parameter_learns(variant):
    network = tiny(variant)
    network(torch.rand(2, network.config.channels, 58, 58)).square().sum().backward()
    still = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert still == []


@pytest.mark.parametrize(
    ('wrong', 'message'),
    [
        ({'variant': 'huge'}, "full, tiny, ace or patch, got 'huge'"),
        ({'width': 0.0}, 'must be positive'),
        ({'variant': 'patch', 'stride': 8}, 'shared patches lie 16 pixels apart, not 8'),
        ({'normalisation': (0.4, 0.0)}, 'scale.*must not be zero'),
    ],
)
def test_wrong_configurations_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        DsacConfig(**wrong)


def test_classes_refuse_each_others_variants():
    with pytest.raises(ValueError, match='PatchCoordinateNet'):
        SceneCoordinateNet(DsacConfig(variant='patch'))
    with pytest.raises(ValueError, match="got 'tiny'"):
        PatchCoordinateNet(DsacConfig(variant='tiny'))


def test_small_one_is_small():
    network = coordinate_network(dsac.small())
    assert 4 * sum(p.numel() for p in network.parameters()) < 25e6


class TestScores:
    @pytest.fixture
    def network(self):
        torch.manual_seed(2)
        return with_biases(ScoreNet(ScoreConfig(width=0.125)))

    def test_written_out(self, network):
        errors = 150 * torch.rand(3, 40, 40)
        x = errors[:, None].clamp(max=100) - 45
        strides = [1, 2] * 5
        for k, (conv, stride) in enumerate(zip(network.convs, strides, strict=True)):
            x = F.conv2d(x, conv.weight, conv.bias, stride, 0 if k == 7 else 1).relu()
        assert x.shape == (3, 64, 1, 1)
        x = network.fc2(network.fc1(x[:, :, 0, 0]).relu()).relu()
        expected = x @ network.fc3.weight[0] + network.fc3.bias
        torch.testing.assert_close(network(errors), expected, rtol=1e-4, atol=1e-3)

    def test_errors_beyond_the_clamp_are_alike(self, network):
        far = torch.full((1, 40, 40), 100.0)
        torch.testing.assert_close(network(far), network(10 * far))

    def test_another_grid_is_averaged_over_areas(self, network):
        errors = 90 * torch.rand(2, 40, 40)
        fine = errors.repeat_interleave(2, 1).repeat_interleave(2, 2)
        torch.testing.assert_close(network(fine), network(errors), rtol=1e-4, atol=1e-3)

    def test_every_parameter_learns(self, network):
        network(60 * torch.rand(4, 40, 40)).square().sum().backward()
        still = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
        assert still == []

    def test_paper_size(self):
        with torch.device('meta'):
            network = ScoreNet(ScoreConfig())
        assert network.fc1.weight.shape == (1024, 512)
        assert [c.out_channels for c in network.convs[::2]] == [32, 64, 128, 256, 512]

    def test_a_missing_dimension_is_refused(self, network):
        with pytest.raises(ShapeError, match=r'errors.*\(40, 40\)'):
            network(torch.rand(40, 40))
