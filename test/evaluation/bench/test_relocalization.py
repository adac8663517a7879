"""`dlcv bench relocalization`: which sets there are, and that the tables hold what is measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from dlcv.data.datasets import DatasetError
from dlcv.data.world import WorldRecording, ideal_camera
from dlcv.evaluation.bench import relocalization as bench
from dlcv.evaluation.bench import relocalization_sets as sets
from dlcv.evaluation.bench.landmark_maps import LandmarkMap
from dlcv.evaluation.bench.options import BenchError, silent
from dlcv.evaluation.bench.relocalization import Options, run
from dlcv.evaluation.bench.relocalization_sets import Rooms, Walk, find
from dlcv.evaluation.bench.report import read_json, write_json
from dlcv.geometry.camera import write_camera
from dlcv.metrics.baselines.relocalization import PointMap
from dlcv.metrics.relocalization import relocalizations
from dlcv.networks.dsac import DsacConfig, SceneCoordinateNet
from dlcv.networks.weights import WeightsError, save_network, untrained
from dlcv.training.maps.end_to_end import EndToEndConfig
from dlcv.training.maps.learning import MapConfig
from dlcv.training.maps.places import PlaceConfig
from dlcv.training.recipe import TrainError

ROOMS = Rooms(seed=3, others=(3,), size=(96, 72), train=6, test=3, elsewhere=2)
"""The other room is the same, by the same walk that its map is made of: all accepts are false."""

LANDMARKS = bench.LANDMARKS
TRAIN, TEST = range(0, 16, 2), (1, 5, 9)
NEAR, NEARER, NEAREST = '5 cm, 5 deg', '10 cm, 10 deg', '2 cm, 2 deg'


@pytest.fixture(autouse=True)
def small(monkeypatch):
    tiny = MapConfig(cells=500, per_view=60, batch=64, epochs=1)
    monkeypatch.setattr(bench, 'MAPS', {'map': PlaceConfig(map=tiny)})
    monkeypatch.setattr(sets, 'ROOMS', ROOMS)
    monkeypatch.setattr(bench, 'LANDMARKS', ())  # they have a test of their own


@pytest.fixture(scope='module')
def walk():
    camera = ideal_camera(224, 168)
    return list(WorldRecording('room', seed=3, frames=16, rate_hz=4, camera=camera))


@pytest.fixture
def folder(tmp_path, walk):
    """The walk as a folder of pictures with depth, poses, camera and lists."""
    root = tmp_path / 'den'
    for name in ('rgb', 'depth'):
        (root / name).mkdir(parents=True)
    lines = []
    for i, view in enumerate(walk):
        assert cv2.imwrite(str(root / 'rgb' / f'{i:02d}.png'), view.frame.image[..., ::-1])
        units = np.rint(view.depth * 1000).astype(np.uint16)
        assert cv2.imwrite(str(root / 'depth' / f'{i:02d}.png'), units)
        pose = view.world_from_camera
        turn = Rotation.from_matrix(pose[:3, :3]).as_quat()
        lines.append(' '.join(f'{v:.12f}' for v in (0.25 * i, *pose[:3, 3], *turn)))
    (root / 'groundtruth.txt').write_text('\n'.join(lines) + '\n')
    write_camera(walk[0].frame.camera, root / 'camera.yaml')
    for name, numbers in (('train', TRAIN), ('test', TEST)):
        (root / f'{name}.txt').write_text('\n'.join(f'{i:02d}' for i in numbers) + '\n')
    return root


@pytest.fixture
def encoder(tmp_path):
    torch.manual_seed(0)
    network = SceneCoordinateNet(DsacConfig(variant='ace', width=1 / 16, input_height=72)).eval()
    return save_network(network, tmp_path / 'tiny.safetensors', trained=True)


def with_units(folder):
    return Path(f'{folder},depth_scale=1000')


def test_the_tables_hold_what_is_measured(folder, encoder, walk, tmp_path):
    report = run(Options(data=(with_units(folder),), sets=('den',), weights=(encoder,)), silent)
    (table,) = report.tables
    assert '3 pictures in maps of 8 others; 2 of another place' in table.title
    assert [row.name for row in table.rows] == ['SIFT, PnP', 'SIFT, PnP, no depth', 'map']
    without = [replace(view, depth=None) for view in walk[::2]]
    for row, views in (('SIFT, PnP', walk[::2]), ('SIFT, PnP, no depth', without)):
        place = PointMap(views)
        found = [place.locate(walk[i].frame) for i in TEST]
        wanted = relocalizations(found, [walk[i].world_from_camera for i in TEST])
        assert table.value(row, 'answered') == 100 * wanted.answered == 100
        assert table.value(row, NEAR) == 100 * wanted.within(0.05, 5) == 100
        assert table.value(row, NEAREST) == 100 * wanted.within(0.02, 2)
        assert table.value(row, 'median') == pytest.approx(100 * wanted.medians[0], abs=0.2)
        assert table.value(row, 'median turn') == pytest.approx(wanted.medians[1], abs=0.05)
        assert table.value(row, 'map') == pytest.approx(place.nbytes / 1e6, rel=0.01)
        assert table.value(row, 'false accepts') == 100
    write_json(report, tmp_path / 'report.json')
    assert read_json(tmp_path / 'report.json') == report
    assert list(report.environment.files) == ['tiny.safetensors']


def test_a_map_that_knows_nothing_answers_nothing(folder, encoder):
    report = run(Options(data=(folder,), sets=('den',), weights=(encoder,), limit=4), silent)
    (table,) = report.tables
    assert [row.name for row in table.rows] == ['SIFT, PnP', 'map']  # without units no depth
    assert '3 pictures in maps of 4 others' in table.title
    assert table.value('map', 'answered') == table.value('map', NEAR) == 0
    assert table.value('map', 'median') is None
    assert table.value('map', 'in 95 %') is table.value('SIFT, PnP', 'in 95 %') is None
    assert table.value('map', 'false accepts') == 0
    assert 0 < table.value('map', 'map') < 0.1
    assert table.value('map', 'making') > 0
    assert table.value('map', 'time') > 0


def test_what_is_stated_of_poses_is_compared_with_how_far_they_are_off():
    tally = bench._Tally(place=None, making=0.0)
    truth = [np.eye(4)] * 4
    for metres in (0.0, 0.05, 0.5):
        pose = np.eye(4)
        pose[0, 3] = metres
        tally.found.append(pose)
        tally.spreads.append(np.eye(6) * 0.02**2)  # 0.05 m is 2.5 deviations, within 95 % of six
    tally.found.append(None)  # not believed: nothing is promised
    tally.spreads.append(np.eye(6))
    assert tally._inside(truth) == pytest.approx(200 / 3)


def test_what_is_trained_end_to_end_goes_on_from_the_map_before(folder, encoder, monkeypatch):
    first = bench.MAPS['map']
    further = replace(first, end_to_end=EndToEndConfig(steps=1))
    monkeypatch.setattr(bench, 'MAPS', {'map': first, 'map, end to end': further})
    told = []
    options = Options(data=(folder,), sets=('den',), weights=(encoder,), limit=3)
    report = run(options, lambda what, *_: told.append(what))
    (table,) = report.tables
    assert [row.name for row in table.rows] == ['SIFT, PnP', 'map', 'map, end to end']
    assert 'den, map: map' in told
    assert 'den, map, end to end: end to end' in told
    assert 'den, map, end to end: map' not in told
    assert table.value('map, end to end', 'making') > table.value('map', 'making')


def test_a_second_run_gives_the_same_but_for_times(folder, encoder):
    options = Options(data=(folder,), sets=('den',), weights=(encoder,), limit=3)
    first, again = (run(options, silent).tables[0] for _ in range(2))
    kept = [i for i, column in enumerate(first.columns) if column.repeatable]
    assert [c.name for c in first.columns if not c.repeatable] == ['making', 'time', 'beyond']
    for row, other in zip(first.rows, again.rows, strict=True):
        assert [row.values[i] for i in kept] == [other.values[i] for i in kept]


def test_every_encoder_has_its_rows(folder, encoder, tmp_path):
    other = tmp_path / 'other.safetensors'
    other.write_bytes(encoder.read_bytes())
    options = Options(data=(folder,), sets=('den',), weights=(encoder, other), limit=2)
    report = run(options, silent)
    names = [row.name for row in report.tables[0].rows]
    assert names == ['SIFT, PnP', 'map, tiny', 'map, other']
    assert list(report.environment.files) == ['tiny.safetensors', 'other.safetensors']


def test_kinds_of_maps_are_rows(folder, encoder, monkeypatch):
    (config,) = bench.MAPS.values()
    longer = replace(config, map=replace(config.map, epochs=2))
    monkeypatch.setattr(bench, 'MAPS', {'map': config, 'map, longer': longer})
    report = run(Options(data=(folder,), sets=('den',), weights=(encoder,), limit=2), silent)
    assert [row.name for row in report.tables[0].rows] == ['SIFT, PnP', 'map', 'map, longer']
    assert 'map: 500 cells, 1 epochs; map, longer: 500 cells, 2 epochs' in report.settings['maps']


def test_progress_is_told(folder, encoder):
    told = []
    run(
        Options(data=(folder,), sets=('den',), weights=(encoder,), limit=2),
        lambda *w: told.append(w),
    )
    assert ('den, SIFT, PnP: pictures', 2, 2) in told
    assert ('den, map: buffer', 500, 500) in told
    assert ('den: held out', 2, 2) in told
    assert told[-1] == ('den: elsewhere', 2, 2)


def test_the_world_is_one_room_walked_twice():
    place = find([])['world-room']
    train, test = (next(iter(walk.read(1))) for walk in (place.train, place.test))
    apart = np.abs(train.world_from_camera - test.world_from_camera)
    assert apart.max() > 0.1
    assert (train.frame.width, train.frame.height) == ROOMS.size
    assert train.frame.camera == test.frame.camera
    ways = [WorldRecording('room', seed=3, way=way, frames=1) for way in (0, 1)]
    for way, view in zip(ways, (train, test), strict=True):
        assert np.array_equal(way.world_from_camera[0], view.world_from_camera)


def test_the_walks_of_the_bench_go_the_same_way_round():
    rooms = Rooms()
    turns = []
    for way in (0, 1):
        poses = WorldRecording(
            'room', seed=rooms.seed, way=way, frames=rooms.test, rate_hz=rooms.rate_hz
        ).world_from_camera
        angle = np.unwrap(np.arctan2(poses[:, 1, 3], poses[:, 0, 3]))
        turns.append((angle[-1] - angle[0]) / (2 * np.pi))
    assert np.sign(turns[0]) == np.sign(turns[1])
    assert min(np.abs(turns)) > 0.7


def test_pictures_that_are_kept_are_rendered_once():
    place = find([])['world-room']
    first, again = list(place.train.read(3)), list(place.train.read(3))
    assert len(first) == 2
    assert all(a is b for a, b in zip(first, again, strict=True))
    assert first[0].depth is not None
    assert first[0].flow is None


def test_pictures_are_thinned_evenly():
    asked = []
    walk = Walk(count=50, read=lambda step: asked.append(step) or iter(()))
    for limit, count, step in ((None, 50, 1), (60, 50, 1), (50, 50, 1), (20, 17, 3), (1, 1, 50)):
        thinned = walk.thinned(limit)
        list(thinned.read(1))
        assert (thinned.count, asked[-1]) == (count, step)


def test_what_cannot_be_measured_is_refused(folder, encoder, tmp_path, monkeypatch):
    with pytest.raises(BenchError, match=r"no set 'chess'; there are world-room, den"):
        run(Options(data=(folder,), sets=('chess',), weights=(encoder,)), silent)
    with pytest.raises(BenchError, match='already a set den'):
        find([folder, folder])
    with pytest.raises(BenchError, match=r'one name: .*tiny.*tiny'):
        run(Options(weights=(encoder, encoder)), silent)
    with pytest.raises(WeightsError, match='nothing'):
        run(Options(weights=(tmp_path / 'nothing.safetensors',)), silent)
    monkeypatch.setattr(bench, 'shipped', lambda _name: None)
    with pytest.raises(BenchError, match=r'no ace_encoder weights are shipped yet: .*--weights'):
        run(Options(), silent)
    (folder / 'groundtruth.txt').unlink()
    with pytest.raises(DatasetError, match=r'none of the 8 listed pictures has a true.*groundtr'):
        find([folder])
    (folder / 'camera.yaml').unlink()
    with pytest.raises(DatasetError, match='not calibrated'):
        find([folder])


def test_an_encoder_is_trained_and_of_its_kind(tmp_path, encoder):
    tiny = SceneCoordinateNet(DsacConfig(variant='tiny', width=1 / 16))
    other = save_network(tiny, tmp_path / 'map.safetensors', trained=True)
    with pytest.raises(TrainError, match="of variant 'ace'; this is of variant 'tiny'"):
        run(Options(weights=(other,)), silent)
    features = save_network(untrained('superpoint'), tmp_path / 'f.safetensors', trained=True)
    with pytest.raises(WeightsError, match='holds superpoint weights'):
        run(Options(weights=(features,)), silent)
    network = SceneCoordinateNet(DsacConfig(variant='ace', width=1 / 16))
    drawn = save_network(network, tmp_path / 'drawn.safetensors', trained=False)
    with pytest.raises(TrainError, match=r'drawn\.safetensors is untrained'):
        run(Options(weights=(drawn,)), silent)


def test_methods_can_be_left_out(folder, encoder, monkeypatch):
    def rows(**more):
        options = Options(data=(with_units(folder),), sets=('den',), limit=2, **more)
        return [row.name for row in run(options, silent).table('den').rows]

    monkeypatch.setattr(bench, 'shipped', lambda _: None)  # then no encoder is needed
    assert rows(methods='classical') == ['SIFT, PnP', 'SIFT, PnP, no depth']
    assert rows(methods='maps', weights=(encoder,)) == list(bench.MAPS)


def test_landmarks_are_a_row_beside_sift(folder, walk, monkeypatch):
    monkeypatch.setattr(bench, 'LANDMARKS', LANDMARKS)
    monkeypatch.setattr(sets, 'ROOMS', replace(ROOMS, others=(4, 5), elsewhere=1))
    options = Options(data=(with_units(folder),), sets=('den',), methods='landmarks')
    (table,) = run(options, silent).tables
    assert [row.name for row in table.rows] == ['landmarks, PnP']
    assert '2 of another place' in table.title
    row = 'landmarks, PnP'
    assert table.value(row, 'answered') == table.value(row, '10 cm, 10 deg') == 100
    assert table.value(row, 'false accepts') == 0
    assert 0.1 < table.value(row, 'map') < 10
    assert 0 < table.value(row, 'beyond') < table.value(row, 'time')
    few = LandmarkMap(walk[:2])
    assert few.locate(walk[0].frame) is None
