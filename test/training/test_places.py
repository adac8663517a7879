"""Pools of places: what is near and far, hard examples, and how a network begins."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from dlcv.networks.netvlad import NetVLAD, NetVLADConfig
from dlcv.training.places import PlacePool, begin, clusters, pictures_tensor, pool_of
from dlcv.training.recipe import TrainError


def world(shown, visit):
    shown = np.array(shown, np.float32)
    return {
        'images': np.zeros((len(shown), 8, 8, 3), np.uint8),
        'shown': shown,
        'visit': np.array(visit, np.int64),
    }


TWO = [
    world([[1.0, 0.5, 0.2], [0.4, 1.0, 0.02], [0.6, 0.03, 1.0]], [0, 1, 1]),
    world([[1.0, 0.0], [0.0, 1.0]], [0, 1]),
]


def test_near_is_what_both_show_and_far_what_neither_does():
    pool = pool_of(TWO, 2, near=0.3, far=0.05)
    assert pool.near.nonzero().tolist() == [[0, 1], [1, 0]]  # 0 and 2 show .2 and .6
    assert pool.far[0].tolist() == [False, False, False, True, True]
    assert pool.far[1].tolist() == [False, False, True, True, True]
    assert pool.far[3].tolist() == [True, True, True, False, True]
    assert pool.queries.tolist() == [0, 1]


def test_worlds_in_which_nothing_is_seen_twice_are_refused():
    with pytest.raises(TrainError, match='no two visits of 1 worlds'):
        pool_of(TWO[1:], 1, near=0.3, far=0.05)


def test_a_query_learns_from_the_nearest_of_its_place_and_of_others():
    pool = pool_of(TWO, 2, near=0.3, far=0.05)
    angle = torch.tensor([0.0, 0.5, 0.1, 0.3, 0.2])
    pool.descriptors = torch.stack((angle.cos(), angle.sin()), 1)
    near, far = pool.triplets(torch.tensor([0, 1]), 2, 2)
    assert near.tolist() == [[1, -1], [0, -1]]
    assert far.tolist() == [[4, 3], [3, 4]]


def test_pictures_are_described_as_the_network_is_now():
    pool = pool_of(TWO, 2, near=0.3, far=0.05)
    pool.freeze(lambda x: x.mean((2, 3)) + 1, 3)
    pool.renew(lambda x: 2 * x, 7)
    assert pool.renewed == 7
    torch.testing.assert_close(pool.descriptors, torch.full((5, 3), 2.0))


def test_k_means_finds_groups():
    draw = torch.Generator().manual_seed(0)
    centres = F.normalize(torch.randn(4, 8, generator=draw), dim=1)
    features = centres.repeat(50, 1) + 0.02 * torch.randn(200, 8, generator=draw)
    found = clusters(features.numpy(), 4, seed=1)
    assert float(torch.cdist(centres, torch.from_numpy(found)).amin(1).max()) < 0.05
    assert np.array_equal(found, clusters(features.numpy(), 4, seed=1))


def test_a_network_begins_with_the_axes_and_clusters_of_its_features():
    torch.manual_seed(0)
    network = NetVLAD(
        NetVLADConfig(encoder='superpoint', width=1 / 16, reduced=4, clusters=3, whitened=5)
    ).eval()
    encoded = [torch.rand(8, 4, 6) for _ in range(12)]
    before = {k: v.clone() for k, v in network.encoder.state_dict().items()}
    assert begin(network, encoded, seed=0) > 0
    weight = network.reduce.weight[:, :, 0, 0]
    torch.testing.assert_close(weight @ weight.T, torch.eye(4), atol=1e-4, rtol=0)
    with torch.no_grad():
        pooled = torch.cat([network.pooled(one[None]) for one in encoded])
        white = network.WPCA(pooled[:, :, None, None])[:, :, 0, 0]
    torch.testing.assert_close(torch.cov(white.T), torch.eye(5), atol=1e-2, rtol=0)
    for key, value in network.encoder.state_dict().items():
        assert torch.equal(value, before[key])


def test_grey_is_a_mean_of_colours():
    image = np.full((1, 2, 2, 3), (255, 0, 0), np.uint8)
    assert pictures_tensor(image, 3).shape == (1, 3, 2, 2)
    assert float(pictures_tensor(image, 1).mean()) == pytest.approx(0.299, abs=2e-3)


def test_the_hardest_are_looked_for_among_what_is_drawn():
    pool = pool_of(TWO, 2, near=0.3, far=0.05)
    pool.freeze(lambda x: x.flatten(1)[:, :6], 3)
    pool.renew(lambda x: F.normalize(x, dim=1), 0)
    queries = torch.from_numpy(pool.queries[:1])
    _, every = pool.triplets(queries, 1, 2)
    seen = torch.ones(1, len(pool.images), dtype=torch.bool)
    seen[0, every[0, 0]] = False
    _, some = pool.triplets(queries, 1, 2, seen)
    assert some[0, 0] == every[0, 1]
    assert every[0, 0] not in some


def test_a_pool_has_no_descriptors_before_there_is_a_network():
    pool = pool_of(TWO, 2, near=0.3, far=0.05)
    assert isinstance(pool, PlacePool)
    assert pool.renewed == -1
