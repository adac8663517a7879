"""From recordings to a map that knows its place: which pictures, what is measured and written."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from dlcv.data.augment.photometric import OFF
from dlcv.data.world import WorldRecording, ideal_camera
from dlcv.networks.dsac import DsacConfig, SceneCoordinateNet
from dlcv.networks.place import PoseSpread
from dlcv.networks.weights import load_network
from dlcv.training.maps.apart import Far, nearest
from dlcv.training.maps.files import write_map
from dlcv.training.maps.learning import MapConfig
from dlcv.training.maps.looks import LookConfig, known_views
from dlcv.training.maps.places import (
    PlaceConfig,
    cover,
    held_out_of,
    least_share,
    make_again,
    make_place,
    measure,
    mirrored,
    poses_of,
    read_views,
)
from dlcv.training.maps.summary import summary
from dlcv.training.recipe import TrainError

LOOKS = LookConfig(light=OFF, rotation=0, tilt=0, zoom=(0.8, 1.25))
QUICK = MapConfig(looks=LOOKS, cells=1200, per_view=60, batch=128, epochs=4)
CONFIG = PlaceConfig(frame='kitchen', hold_out=0.2, far=Far(metres=0.02, degrees=2.0), map=QUICK)


class Given:
    """Snapshots as a recording."""

    name, baseline = 'walk', 0.0

    def __init__(self, snapshots):
        self.snapshots = snapshots

    def __len__(self):
        return len(self.snapshots)

    def __iter__(self):
        return iter(self.snapshots)


@pytest.fixture(scope='module')
def walk():
    camera = ideal_camera(96, 64, 70)
    return list(WorldRecording('room', seed=5, frames=12, rate_hz=5, camera=camera, workers=1))


@pytest.fixture(scope='module')
def encoder():
    torch.manual_seed(0)
    return SceneCoordinateNet(DsacConfig(variant='ace', width=1 / 16, input_height=64)).eval()


def test_stretches_of_neighbours_are_held_out():
    out = held_out_of(200, 0.1)
    assert out.sum() == 20
    assert np.flatnonzero(out)[:4].tolist() == [18, 19, 38, 39]
    assert held_out_of(12, 0.2).sum() in (2, 3)
    assert not held_out_of(50, 0).any()
    assert held_out_of(0, 0.1).shape == (0,)


def test_pictures_of_several_walks_are_thinned_evenly(walk):
    views = read_views([Given(walk), Given(walk[:6])], 32, replace(CONFIG, hold_out=0, every=2))
    assert len(views.learned) == 6 + 3
    few = read_views([Given(walk), Given(walk[:6])], 32, replace(CONFIG, hold_out=0, most=9))
    assert len(few.learned) == 9
    assert views.source == 'walk (12 pictures), walk (6 pictures)'


def test_what_pictures_lack_is_counted(walk):
    blind = [replace(s, world_from_camera=None) for s in walk[:2]]
    raw = [replace(walk[2], frame=replace(walk[2].frame, camera=None))]
    views = read_views([Given([*blind, *raw, *walk[3:]])], 32, replace(CONFIG, hold_out=0))
    assert views.left_out == {'pose': 2, 'calibration': 1}
    wanted = r'needs 8 pictures .* of walk there are 0, 12 lack the pose'
    with pytest.raises(TrainError, match=wanted):
        read_views([Given([replace(s, world_from_camera=None) for s in walk])], 32, CONFIG)


def test_a_map_knows_its_place(walk, encoder):
    views = read_views([Given(walk)], 64, CONFIG)
    network = make_place(views, encoder, CONFIG)
    place = network.config.place
    at = np.stack([v.world_from_camera[:3, 3] for v in views.learned])
    assert place.frame == 'kitchen'
    assert np.allclose([place.low, place.high], [at.min(0), at.max(0)], atol=1e-5)
    focal = walk[0].frame.camera.fy / 64
    assert place.focal == pytest.approx((0.8 * focal, 1.25 * focal))
    assert place.pictures == len(views.learned) == 12 - len(views.held_out)
    assert encoder.config.place is None


def test_depth_is_used_unless_that_is_not_wanted(walk, encoder):
    views = read_views([Given(walk)], 64, CONFIG)
    blind = read_views([Given([replace(s, depth=None) for s in walk])], 64, CONFIG)
    weights = [
        make_place(seen, encoder, config).fc3.weight
        for seen, config in (
            (views, CONFIG), (views, replace(CONFIG, depth=False)), (blind, CONFIG),
        )
    ]  # fmt: skip
    assert torch.equal(weights[1], weights[2])
    assert not torch.equal(weights[0], weights[2])


class Oracle(torch.nn.Module):
    """Answers with the true points of the view whose picture it is shown."""

    def __init__(self, views, depths, wrong=0.0):
        super().__init__()
        self.config = DsacConfig(variant='ace', width=1 / 16, input_height=64)
        self.views, self.depths, self.wrong = views, depths, wrong
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, images):
        from dlcv.geometry.camera import back_project

        shown = (images[0, 0] * 255).round().byte().numpy()
        (index,) = (i for i, v in enumerate(self.views) if np.array_equal(v.image, shown))
        points = back_project(self.views[index].camera, self.depths[index])[4::8, 4::8]
        pose = self.views[index].world_from_camera
        grid = points @ pose[:3, :3].T + pose[:3, 3]
        rng = np.random.default_rng(0)
        grid[rng.uniform(size=grid.shape[:2]) < self.wrong] += 5
        return torch.from_numpy(grid).float().permute(2, 0, 1)[None]


def test_a_map_that_knows_everything_is_measured_as_exact(walk):
    views = known_views(walk, 64)
    network = Oracle(views, [s.depth for s in walk])
    settings = None
    found = measure(network, views[:3], settings)
    assert len(found.answers) == 3
    assert found.milliseconds > 0
    every = [a.map_from_camera for a in found.answers]
    for pose, view in zip(every, views, strict=False):
        assert np.allclose(pose, view.world_from_camera, atol=2e-3)


def test_what_a_map_covers_is_where_its_pictures_show_it(walk):
    views = known_views(walk, 64)
    right = cover(Oracle(views, [s.depth for s in walk]), views)
    assert right.share > 0.95
    assert right.points.shape == (len(right.levels), 3)
    half = cover(Oracle(views, [s.depth for s in walk], wrong=0.5), views)
    assert half.share == pytest.approx(0.5, abs=0.1)


def test_mirrored_pictures_tell_what_wrong_poses_reach(walk):
    views, depths = known_views(walk, 64), [s.depth for s in walk]
    both = [*views, *map(mirrored, views)]
    flat = [np.full_like(depth, np.nan) for depth in depths]
    assert least_share(Oracle(both, depths + flat), views) == 0
    # what looks the same in a mirror must not lock its own pictures out
    assert least_share(Oracle(both, depths + [d[:, ::-1] for d in depths]), views) == 0.5


def test_what_is_written_tells_what_the_file_is_worth(walk, encoder, tmp_path):
    views = read_views([Given(walk)], 64, CONFIG)
    network = make_place(views, encoder, CONFIG)
    report = write_map(tmp_path / 'kitchen.safetensors', network, views, minutes=1.5)
    data = json.loads((tmp_path / 'kitchen.json').read_text())
    assert data['map'] == report.map == 'kitchen.safetensors'
    assert data['frame'] == 'kitchen'
    assert data['held_out'] == len(views.held_out)
    assert data['far'] == views.far > 0
    assert data['far_cm'] > 2 or data['far_deg'] > 2
    assert sum(band['figure']['pictures'] for band in data['bands']) == data['held_out']
    assert data['least_share'] == network.config.place.least_share
    assert set(data['within']) == {'5 cm, 5 deg', '10 cm, 10 deg', '2 cm, 2 deg'}
    assert (tmp_path / 'kitchen.png').stat().st_size > 5000
    stored = load_network('dsac', tmp_path / 'kitchen.safetensors')
    assert stored.config.place == network.config.place
    assert stored.config.place.source == 'walk (12 pictures)'


def test_what_is_held_out_is_far_from_what_is_learned(walk):
    views = read_views([Given(walk), Given(walk[:6])], 32, replace(CONFIG, hold_out=0.3))
    assert views.far > 0
    away = nearest(poses_of(views.held_out[: views.far]), poses_of(views.learned), CONFIG.far)
    assert (away.farness >= 1).all()
    assert len(views.learned) + len(views.held_out) == 18
    assert len(views.all.learned) == 18
    assert not views.all.held_out


def test_where_nothing_is_far_neighbours_are_held_out_and_nothing_is_promised(
    walk, encoder, tmp_path
):
    config = replace(CONFIG, far=Far(metres=50, degrees=180))
    views = read_views([Given(walk)], 64, config)
    assert (views.far, views.stretches, len(views.held_out)) == (0, 0, 2)
    report = write_map(
        tmp_path / 'all.safetensors', make_place(views, encoder, config), views, 1, far=config.far
    )
    assert (report.far, report.within, report.answered) == (0, {}, None)
    said = summary(report, config.far, tmp_path / 'all.safetensors')
    assert 'no stretch of the pictures is far enough from all others' in said
    assert 'what it is worth on another walk is not known' in said


def test_a_map_made_again_of_all_keeps_what_was_measured(walk, encoder):
    views = read_views([Given(walk)], 64, CONFIG)
    measured = make_place(views, encoder, CONFIG)
    spread = PoseSpread(translation=2.0, rotation=3.0, pictures=12)
    measured.config = replace(measured.config, place=replace(measured.config.place, spread=spread))
    place = make_again(measured, views, encoder, CONFIG).config.place
    assert (place.pictures, place.spread) == (12, spread)


def test_nothing_held_out_is_nothing_measured(walk, encoder, tmp_path):
    config = replace(CONFIG, hold_out=0)
    views = read_views([Given(walk)], 64, config)
    report = write_map(tmp_path / 'all.safetensors', make_place(views, encoder, config), views, 1)
    assert (report.held_out, report.within, report.answered, report.median_cm) == (
        0,
        {},
        None,
        None,
    )


@pytest.mark.parametrize(
    ('change', 'said'),
    [
        ({'frame': ''}, 'name of its frame'),
        ({'every': 0}, 'every and most >= 1'),
        ({'hold_out': 1.0}, r'hold_out in \[0, 1\)'),
    ],
)
def test_nonsense_is_refused(change, said):
    with pytest.raises(TrainError, match=said):
        replace(CONFIG, **change)
