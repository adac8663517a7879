"""Through the sample consensus: the expected loss falls, and only the head moves."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from dlcv.data.augment.photometric import OFF
from dlcv.data.world import WorldRecording, ideal_camera
from dlcv.estimation.consensus import ConsensusSettings
from dlcv.networks.dsac import ENCODER, DsacConfig, SceneCoordinateNet
from dlcv.training.maps.end_to_end import EndToEndConfig, train_end_to_end
from dlcv.training.maps.learning import MapConfig, make_map
from dlcv.training.maps.looks import LookConfig, known_views
from dlcv.training.maps.places import measure
from dlcv.training.recipe import TrainError

STRAIGHT = LookConfig(light=OFF, rotation=0, tilt=0, zoom=(1, 1), shifted=0)
STILL = MapConfig(looks=STRAIGHT, cells=2000, per_view=96, batch=256, epochs=8)
CONFIG = EndToEndConfig(
    steps=30, learning_rate=1e-4, consensus=ConsensusSettings(hypotheses=16, time_budget=10.0),
    looks=STRAIGHT,
)  # fmt: skip


@pytest.fixture(scope='module')
def views():
    camera = ideal_camera(96, 64, 70)
    walk = WorldRecording('room', seed=5, frames=3, rate_hz=5, camera=camera, workers=1)
    return known_views(walk, 64)


@pytest.fixture(scope='module')
def made(views):
    torch.manual_seed(0)
    encoder = SceneCoordinateNet(DsacConfig(variant='ace', width=1 / 8, input_height=64)).eval()
    return make_map(views, encoder, STILL)


def copy_of(network):
    other = SceneCoordinateNet(network.config)
    other.load_state_dict(network.state_dict())
    return other


def errors(network, views):
    poses = [answer.map_from_camera for answer in measure(network, views).answers]
    return sum(
        float(torch.dist(torch.from_numpy(p), torch.from_numpy(v.world_from_camera)))
        for p, v in zip(poses, views, strict=True)
    )


def test_poses_get_better_and_the_encoder_stays(views, made):
    after = train_end_to_end(copy_of(made), views, CONFIG)
    assert errors(after, views) < 0.8 * errors(made, views)
    before, now = made.state_dict(), after.state_dict()
    moved = {name for name in before if not torch.equal(before[name], now[name])}
    assert {'fc3.weight', 'res3_conv1.weight'} <= moved
    assert not any(name.startswith(ENCODER) for name in moved)


def test_one_seed_one_map(views, made):
    few = replace(CONFIG, steps=3)
    first, same = (train_end_to_end(copy_of(made), views, few).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], same[name]) for name in first)


def test_progress_is_told(views, made):
    told = []
    train_end_to_end(
        copy_of(made), views, replace(CONFIG, steps=2), lambda *step: told.append(step)
    )
    assert told == [('end to end', 1, 2), ('end to end', 2, 2)]


@pytest.mark.parametrize('change', [{'steps': 0}, {'learning_rate': 0.0}, {'clamp': 0.0}])
def test_nonsense_is_refused(change):
    with pytest.raises(TrainError, match='needs steps >= 1, learning_rate > 0 and clamp > 0'):
        replace(CONFIG, **change)


def test_without_views_it_says_so(made):
    with pytest.raises(TrainError, match='got none'):
        train_end_to_end(copy_of(made), [])
