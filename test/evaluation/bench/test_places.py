"""The bench of places on folders whose names, folders or poses tell where pictures were taken."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from dlcv.data.datasets import DatasetError
from dlcv.data.world.visits import PlaceView
from dlcv.evaluation.bench import places as bench
from dlcv.evaluation.bench import places_sets
from dlcv.evaluation.bench.options import BenchError, silent
from dlcv.evaluation.bench.places_sets import Seen
from dlcv.networks.netvlad import NetVLAD, NetVLADConfig
from dlcv.networks.weights import save_network
from dlcv.types import Frame, Snapshot


def picture(place, light=0):
    noise = np.random.default_rng(place).uniform(0, 200, (96, 128, 3))
    blurred = cv2.GaussianBlur(noise, (0, 0), 3)
    values = cv2.normalize(blurred, None, 0, 200, cv2.NORM_MINMAX)
    return (values + light).astype(np.uint8)


@pytest.fixture
def write(tmp_path):
    """Write pictures: of place i in the map under a name, and again in another light."""

    def files(root, names, again):
        for folder, listed, light in (('database', names, 0), ('queries', again, 40)):
            for place, name in listed:
                path = tmp_path / root / folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                assert cv2.imwrite(str(path), picture(place, light))
        return tmp_path / root.split('/')[0]

    return files


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    config = NetVLADConfig(encoder='superpoint', width=1 / 16, clusters=3, whitened=0)
    return save_network(NetVLAD(config), tmp_path / 'narrow.safetensors')


@pytest.fixture(autouse=True)
def few_photos(tmp_path, monkeypatch):
    folder = tmp_path / 'photos'
    folder.mkdir()
    for i in (96, 97, 98, 99):
        cv2.imwrite(str(folder / f'{i}.jpg'), picture(i))
    monkeypatch.setattr(bench, '_PHOTOS', folder)


def test_names_tell_where_pictures_were_taken(write, weights):
    names = [(i, f'@{500000 + 30 * i}@{4000000}@x@.png') for i in range(4)]
    again = [(i, f'@{500010 + 30 * i}@{4000000}@y@.png') for i in range(4)]
    again += [(9, '@900000@4000000@z@.png')]  # not in the map
    folder = write('pitts/images/test', names, again)
    options = bench.Options(data=(folder,), sets=('pitts',), weights=(weights,), distance=12.0)
    (table,) = bench.run(options, silent).tables
    assert '4 of 5 queries show a place of the map of 4 pictures' in table.title
    assert [row.name for row in table.rows] == ['16x16 pixels', 'SIFT, VLAD', 'narrow']
    for row in ('16x16 pixels', 'SIFT, VLAD'):
        assert table.value(row, 'R@1') == table.value(row, 'AP') == 100
    assert table.value('narrow', 'R@5') == 100
    assert table.value('narrow', 'values') == 24


def test_folders_tell_which_place_they_are(write):
    names = [(i, f'place {i}/a.png') for i in range(3)]
    folder = write('hall', names, [(i, f'place {i}/b.png') for i in range(3)])
    known = places_sets.find([folder], None, 45.0)
    seen = list(known['hall'].read())
    assert [one.where for one in seen] == [f'place {i}' for i in (0, 1, 2, 0, 1, 2)]
    assert np.array_equal(known['hall'].near(['a', 'b'], ['b', 'a', 'b']), [[0, 1, 0], [1, 0, 1]])


def test_pictures_that_nothing_tells_of_are_refused(write):
    folder = write('bare', [(0, 'a.png')], [(0, 'b.png')])
    with pytest.raises(DatasetError, match='here neither is so'):
        places_sets.find([folder], None, 45.0)
    folder = write('odd', [(0, '@east@north@.png')], [(0, '@1@2@.png')])
    with pytest.raises(DatasetError, match='expected a name @EAST@NORTH'):
        places_sets.find([folder], None, 45.0)


def test_two_recordings_with_poses_are_a_map_and_queries(monkeypatch):
    class Walk(list):
        name = 'walk'

    def opened(path):
        pose = np.eye(4)
        pose[0, 3] = 0.5 * (path.name == 'second')
        frame = Frame(stamp_ns=0, image=picture(0))
        return Walk([Snapshot(frame=frame, world_from_camera=pose), Snapshot(frame=frame)])

    monkeypatch.setattr(places_sets, 'open_recording', opened)
    (_, found) = places_sets.find([places_sets.Path('first+second')], None, 45.0).values()
    where = [(one.asks, one.where[0, 3]) for one in found.read()]
    assert where == [(False, 0.0), (True, 0.5)]
    turned = np.diag([-1.0, 1, -1, 1])
    assert np.array_equal(found.near([np.eye(4)], [np.eye(4), turned]), [[1, 0]])


def test_worlds_are_visited_twice(monkeypatch, weights):
    depth, still = np.full((12, 16), 2.0, np.float32), np.ones((12, 16), bool)

    def view(world, visit, place):
        camera = places_sets.WORLDS.visits and None
        return PlaceView(
            frame=Frame(stamp_ns=0, image=picture(place, 30 * visit), camera=camera),
            world_from_camera=np.eye(4), depth=depth, still=still, world=world, visit=visit,
        )  # fmt: skip

    monkeypatch.setattr(places_sets, 'WORLDS', replace(places_sets.WORLDS, count=2))
    monkeypatch.setattr(
        places_sets.WorldVisits, '__getitem__', lambda _, w: [view(w, 0, w), view(w, 1, w)]
    )
    seen = list(places_sets.find([], None, 45.0)['worlds'].read())
    assert all(isinstance(one, Seen) for one in seen)
    assert [one.asks for one in seen] == [False, True, False, True]


def test_nothing_known_is_refused(write, weights):
    folder = write('far', [(0, '@0@0@.png')], [(0, '@900@0@.png')])
    options = bench.Options(data=(folder,), sets=('far',), weights=(weights,))
    with pytest.raises(BenchError, match='none of the 1 queries shows a place'):
        bench.run(options, silent)
    with pytest.raises(BenchError, match='distance above 0'):
        bench.Options(distance=0.0)
