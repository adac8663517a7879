"""NetVLAD: the layer by its loops, both orders, initialisation, whitening, encoders, refusals."""

from __future__ import annotations

from dataclasses import replace
from math import log

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from dlcv.networks.layers.shapes import ShapeError
from dlcv.networks.netvlad import NetVLAD, NetVLADConfig, VladLayer, small, whitening
from dlcv.networks.superpoint import SuperPoint, SuperPointConfig

TINY = NetVLADConfig(encoder='superpoint', width=1 / 16, clusters=4, whitened=3)


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def by_loops(x, weight, bias, centroids, order):
    """The paper's equations one residual at a time, in float64."""
    x, weight, centroids = (np.asarray(v, np.float64) for v in (x, weight, centroids))
    clusters, channels = centroids.shape
    sums = np.zeros((clusters, channels))
    for column in x.reshape(channels, -1).T:
        local = column / np.linalg.norm(column)
        logits = weight @ local + (0 if bias is None else np.asarray(bias, np.float64))
        share = np.exp(logits - logits.max())
        share /= share.sum()
        for k in range(clusters):
            sums[k] += share[k] * (local - centroids[k])
    sums /= np.linalg.norm(sums, axis=1, keepdims=True)
    flat = (sums if order == 'cluster' else sums.T).ravel()
    return flat / np.linalg.norm(flat)


@pytest.mark.parametrize('order', ['cluster', 'channel'])
@pytest.mark.parametrize('biased', [False, True])
def test_the_layer_is_the_sum_of_all_residuals(order, biased):
    torch.manual_seed(0)
    layer = VladLayer(16, 8, biased=biased, order=order)
    x = drawn(2, 16, 6, 7)
    with torch.no_grad():
        layer.conv.weight.mul_(20)
        found = layer(x)
    for picture, descriptor in zip(x, found, strict=True):
        weight = layer.conv.weight.detach()[:, :, 0, 0]
        bias = None if layer.conv.bias is None else layer.conv.bias.detach()
        wanted = by_loops(picture, weight, bias, layer.centroids.detach(), order)
        np.testing.assert_allclose(descriptor, wanted, atol=1e-5)


def clusters(seed=0):
    centres = F.normalize(drawn(5, 16, seed=seed), dim=1)
    features = F.normalize(centres.repeat(40, 1) + 0.15 * drawn(200, 16, seed=seed + 1), dim=1)
    return 0.9 * centres, features


def test_sharpness_comes_from_how_much_nearer_the_best_centre_is():
    centres, features = clusters()
    layer = VladLayer(16, 5, biased=False, order='cluster')
    alpha = layer.initialise_from(centres, features)
    unit = centres / centres.norm(dim=1, keepdim=True)
    dots = np.sort(np.asarray(features @ unit.T), axis=1)
    assert alpha == pytest.approx(-log(0.01) / (dots[:, -1] - dots[:, -2]).mean(), rel=1e-5)
    torch.testing.assert_close(layer.conv.weight[:, :, 0, 0], alpha * unit)
    torch.testing.assert_close(layer.centroids.detach(), centres)


@pytest.mark.parametrize('biased', [False, True])
def test_the_second_best_assignment_begins_with_a_hundredth_of_the_best(biased):
    centres, features = clusters()
    layer = VladLayer(16, 5, biased=biased, order='cluster')
    layer.initialise_from(centres, features)
    with torch.no_grad():
        logits = layer.conv(features.T[None, :, :, None])[0, :, :, 0]  # (K, M)
    best, second = logits.topk(2, dim=0).values
    assert float((second - best).mean()) == pytest.approx(log(0.01), rel=1e-3)
    nearest = torch.cdist(features, centres).argmin(1)
    assert float((logits.argmax(0) == nearest).float().mean()) > (0.99 if biased else 0.95)


def test_equal_centres_have_no_sharpness():
    layer = VladLayer(16, 2, biased=False, order='cluster')
    with pytest.raises(ValueError, match='as near to a second centre'):
        layer.initialise_from(torch.ones(2, 16), F.normalize(drawn(9, 16), dim=1))


def test_whitened_samples_have_variance_one_along_uncorrelated_axes():
    samples = drawn(300, 12) * torch.arange(1, 13) + 3
    weight, bias = whitening(samples, 5)
    white = samples @ weight.T + bias
    torch.testing.assert_close(white.mean(0), torch.zeros(5), atol=1e-4, rtol=0)
    torch.testing.assert_close(torch.cov(white.T), torch.eye(5), atol=1e-3, rtol=0)
    kept = np.linalg.eigvalsh(np.cov(samples.numpy().T))[-5:].sum()
    lengths = weight.norm(dim=1)  # one over the deviations
    assert float(lengths.pow(-2).sum()) == pytest.approx(kept, rel=1e-3)


def test_few_samples_are_not_whitened_to_many_values():
    with pytest.raises(ValueError, match='7 descriptors span 6 axes'):
        whitening(drawn(7, 12), 10)


def test_a_network_whitens_what_its_layer_gives():
    torch.manual_seed(0)
    network = NetVLAD(TINY).eval()
    pictures = torch.rand(6, 1, 24, 32)
    with torch.no_grad():
        pooled = network.pool(network.encode(pictures))
        network.set_whitening(pooled)
        weight, bias = whitening(pooled, 3)
        wanted = F.normalize(pooled @ weight.T + bias, dim=1)
        torch.testing.assert_close(network(pictures), wanted, atol=1e-4, rtol=1e-4)


def test_vgg16_ends_with_conv5_3_without_its_activation():
    network = NetVLAD(NetVLADConfig(width=1 / 16, clusters=4, whitened=0)).eval()
    weights = [key for key in network.encoder.state_dict() if key.endswith('weight')]
    numbers = [int(key.split('.')[0]) for key in weights]
    assert numbers == [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]
    assert isinstance(network.encoder[-1], torch.nn.Conv2d)
    picture = torch.rand(1, 3, 33, 50)
    with torch.no_grad():
        features = network.encode(picture)
        assert features.shape == (1, 32, 2, 3)
        assert float(features.min()) < 0
        by_hand = (picture - torch.tensor([0.485, 0.456, 0.406])[:, None, None]) / torch.tensor(
            [0.229, 0.224, 0.225]
        )[:, None, None]
        torch.testing.assert_close(network.encoder(by_hand), features)


def test_superpoints_features_serve_both_networks():
    torch.manual_seed(1)
    points = SuperPoint(SuperPointConfig(width=TINY.width)).eval()
    places = NetVLAD(replace(TINY, reduced=4)).eval()
    assert not places.shares_encoder(points)
    own = {k: v for k, v in points.state_dict().items() if k in places.encoder.state_dict()}
    places.encoder.load_state_dict(own)
    assert places.shares_encoder(points)
    picture = torch.rand(1, 1, 24, 32)
    with torch.no_grad():
        features = points.encode(picture)
        torch.testing.assert_close(places.describe(features), places(picture))
        for a, b in zip(points.heads(features), points(picture), strict=True):
            torch.testing.assert_close(a, b)


def test_what_is_shipped_costs_little_beyond_superpoint():
    with torch.device('meta'):
        network = NetVLAD(small())
    beyond = sum(p.numel() for p in network.parameters()) - sum(
        p.numel() for p in network.encoder.parameters()
    )
    assert beyond < 600_000


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        ({'clusters': 1}, 'clusters >= 2'),
        ({'std': (0.2, 0.0, 0.2)}, 'std > 0'),
        ({'clusters': 4, 'whitened': 4096}, 'cannot whiten descriptors of 2048 values to 4096'),
    ],
)
def test_what_cannot_be_built_is_refused(change, words):
    with pytest.raises(ValueError, match=words):
        NetVLADConfig(**change)


def test_pictures_of_another_kind_are_refused():
    network = NetVLAD(NetVLADConfig(width=1 / 16, clusters=4, whitened=0))
    with pytest.raises(ShapeError, match='expected a tensor'):
        network(torch.rand(1, 1, 32, 32))
    with pytest.raises(ShapeError, match='16 or more'):
        network(torch.rand(1, 3, 8, 32))
