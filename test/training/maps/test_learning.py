"""Maps of a place: the buffer holds what the encoder says, a map learns."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from dlcv.data.augment.photometric import OFF
from dlcv.data.world import WorldRecording, ideal_camera
from dlcv.geometry.camera import project
from dlcv.networks.dsac import DsacConfig, SceneCoordinateNet
from dlcv.training.maps.learning import MapConfig, fill_buffer, make_map
from dlcv.training.maps.looks import LookConfig, known_views
from dlcv.training.recipe import TrainError

STRAIGHT = LookConfig(light=OFF, rotation=0, tilt=0, zoom=(1, 1), shifted=0)
STILL = MapConfig(looks=STRAIGHT, cells=600, per_view=60, batch=64, epochs=1)


@pytest.fixture(scope='module')
def walk():
    camera = ideal_camera(96, 64, 70)
    return list(WorldRecording('room', seed=5, frames=4, rate_hz=5, camera=camera, workers=1))


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return SceneCoordinateNet(DsacConfig(variant='ace', width=1 / 16, input_height=64)).eval()


def test_the_buffer_holds_features_of_all_views(walk, encoder):
    views = known_views(walk, 64)
    buffer = fill_buffer(views, encoder, STILL, lambda *_: None)
    assert len(buffer) == 600
    assert buffer.features.dtype == torch.float16
    assert len(buffer.camera_from_world) == 10
    for number in range(10):
        inverse = np.linalg.inv(buffer.camera_from_world.new_tensor(np.eye(4)).numpy())
        inverse[:3] = buffer.camera_from_world[number].numpy()
        (index,) = (
            i for i, v in enumerate(views)
            if np.allclose(np.linalg.inv(v.world_from_camera), inverse, atol=1e-4)
        )  # fmt: skip
        with torch.no_grad():
            image = torch.from_numpy(views[index].image)[None, None].float() / 255
            wanted = encoder.features(image)[0]
        mine = buffer.look == number
        x, y = ((buffer.pixels[mine].T - 4) / 8).long()
        assert torch.allclose(buffer.features[mine].float(), wanted[:, y, x].T, atol=1e-2)


def test_the_buffer_knows_the_points_whose_depth_was_measured(walk, encoder):
    far = walk[0].depth > np.median(walk[0].depth)
    measured = [replace(walk[0], depth=np.where(far, np.nan, walk[0].depth))]
    looks = replace(STRAIGHT, rotation=20, tilt=10, zoom=(0.7, 1.4), shifted=0.5)
    turned = replace(STILL, looks=looks)
    buffer = fill_buffer(known_views(measured, 64), encoder, turned, lambda *_: None)
    known = buffer.known.isfinite().all(1)
    assert 0.2 < known.float().mean() < 0.8
    pose = buffer.camera_from_world[buffer.look]
    seen = (pose[:, :, :3] @ buffer.known[:, :, None])[:, :, 0] + pose[:, :, 3]
    intrinsics = buffer.intrinsics[buffer.look]
    uv = seen[:, :2] / seen[:, 2:] * intrinsics[:, :2] + intrinsics[:, 2:]
    assert torch.allclose(uv[known], buffer.pixels[known], atol=0.05)
    centre = torch.from_numpy(walk[0].world_from_camera[:3, 3]).float()
    assert (buffer.known[known] - centre).norm(dim=1).max() < 5
    blind = [replace(walk[0], depth=None)]
    assert fill_buffer(known_views(blind, 64), encoder, turned, lambda *_: None).known is None


def test_a_map_learns_where_its_cells_are(walk, encoder):
    views = known_views(walk, 64)
    errors = []
    for epochs in (1, 60):
        config = replace(STILL, epochs=epochs, cells=2000, batch=256)
        network = make_map(views, encoder, config)
        with torch.no_grad():
            image = torch.from_numpy(views[0].image)[None, None].float() / 255
            points = network(image)[0].permute(1, 2, 0).reshape(-1, 3).double().numpy()
        centres = network.cell_centres(8, 12).reshape(-1, 2).numpy()
        inverse = np.linalg.inv(views[0].world_from_camera)
        uv = project(views[0].camera, points @ inverse[:3, :3].T + inverse[:3, 3])
        errors.append(np.nanmedian(np.linalg.norm(uv - centres, axis=1)))
    assert errors[1] < 0.5 * errors[0]
    assert errors[1] < 8


def test_one_seed_one_map(walk, encoder):
    views = known_views(walk, 64)
    first, same = (make_map(views, encoder, STILL).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], same[name]) for name in first)
    other = make_map(views, encoder, replace(STILL, seed=1)).state_dict()
    assert not torch.equal(first['fc3.weight'], other['fc3.weight'])
    assert torch.equal(first['conv1.weight'], encoder.state_dict()['conv1.weight'])


def test_progress_is_told(walk, encoder):
    told = []
    make_map(known_views(walk, 64), encoder, STILL, lambda *what: told.append(what))
    assert told[-1] == ('map', 9, 9)
    assert ('buffer', 600, 600) in told


@pytest.mark.parametrize('wrong', [{'cells': 0}, {'thresholds': (1.0, 2.0)}, {'learning_rate': 0}])
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(TrainError, match='a map needs'):
        MapConfig(**wrong)


def test_a_map_of_nothing_is_refused(encoder):
    with pytest.raises(TrainError, match='known pose and camera, got none'):
        make_map([], encoder)
