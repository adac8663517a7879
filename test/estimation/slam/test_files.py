"""Maps of places as files: what is written is read again, and what is no map is refused."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import safetensors.numpy

from dlcv.estimation.slam.files import OWN, PlaceError, load_place, save_place
from dlcv.estimation.slam.place import Edge, Keyframe, Landmarks, PlaceMap, decoded, encoded
from dlcv.types import Camera


def small_place(seed=0):
    rng = np.random.default_rng(seed)
    place = PlaceMap(frame='kitchen', source='a walk', named=9)
    for k, count in enumerate((3, 0, 2)):
        frame = Keyframe(
            stamp_ns=k * 10**9,
            session=k // 2,
            camera=Camera(width=64, height=48, fx=50.0 + k % 2, fy=50.0, cx=31.5, cy=23.5,
                          distortion=(0.1, 0.0, 0.0, 0.0)),
            odom_from_camera=np.eye(4) * (k + 1),
            xy=rng.normal(size=(count, 2)).astype(np.float32),
            codes=encoded(rng.normal(size=(count, 8)).astype(np.float32)),
            inverse_depth=np.full(count, np.nan, np.float32),
            inverse_stddev=rng.random(count).astype(np.float32),
            landmark=np.arange(count),
            place=rng.normal(size=4).astype(np.float32),
        )  # fmt: skip
        place.add(frame, np.eye(4), 0.1 * k)
    motion, covariance = rng.normal(size=(4, 4)), np.eye(7)
    place.connect(Edge(older=0, newer=2, motion=motion, log_scale=0.5, covariance=covariance,
                       loop=True))  # fmt: skip
    place.trusted[0] = False
    place.landmarks = Landmarks(
        name=np.array([0, 2]),
        points=rng.normal(size=(2, 3)),
        covariance=rng.normal(size=(2, 3, 3)),
        sightings=np.array([2, 1]),
    )
    return place


def test_a_map_that_is_read_is_written_again_with_the_same_bytes(tmp_path):
    first, second = tmp_path / 'one.safetensors', tmp_path / 'two.safetensors'
    place = small_place()
    save_place(place, first)
    found = load_place(first)
    save_place(found, second)
    assert first.read_bytes() == second.read_bytes()
    assert found.frame == 'kitchen'
    assert found.keyframes[2].camera == place.keyframes[2].camera
    assert found.keyframes[2].session == 1
    assert found.edges[0].loop
    assert found.trusted == [False]
    assert np.array_equal(found.keyframes[0].codes, place.keyframes[0].codes)
    assert np.array_equal(found.landmarks.points, place.landmarks.points)


def test_a_map_without_anything_is_one(tmp_path):
    save_place(PlaceMap(), tmp_path / 'none.safetensors')
    assert len(load_place(tmp_path / 'none.safetensors')) == 0


def test_what_is_no_map_is_refused_and_the_message_says_why(tmp_path):
    path = tmp_path / 'one.safetensors'
    with pytest.raises(PlaceError, match=re.escape(f'{path}: there is no such map')):
        load_place(path)
    save_place(small_place(), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(PlaceError, match='damaged or cut short'):
        load_place(path)
    arrays = safetensors.numpy.load(whole)
    path.write_bytes(safetensors.numpy.save(arrays, {'other': ''}))
    with pytest.raises(PlaceError, match='no map of a place'):
        load_place(path)
    path.write_bytes(safetensors.numpy.save(arrays, {OWN: '{"version": 7}'}))
    with pytest.raises(PlaceError, match='a map of version 7; version 1'):
        load_place(path)
    header = whole[8:].split(b'"__metadata__":')[1]
    text = re.search(rb'"dlcv.place":("(?:[^"\\]|\\.)*")', header)[1]
    arrays['edge.ends'] = arrays['edge.ends'] + 5
    path.write_bytes(safetensors.numpy.save(arrays, {OWN: json.loads(text)}))
    with pytest.raises(PlaceError, match='ends beyond its 3 keyframes'):
        load_place(path)
    with pytest.raises(PlaceError, match=r'ends in \.safetensors'):
        save_place(small_place(), tmp_path / 'map.bin')


def test_a_write_that_fails_leaves_the_old_map(tmp_path, monkeypatch):
    path = tmp_path / 'one.safetensors'
    save_place(small_place(), path)
    before = path.read_bytes()
    monkeypatch.setattr('pathlib.Path.replace', _full)
    with pytest.raises(OSError, match='No space'):
        save_place(small_place(1), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def _full(*_):
    raise OSError(28, 'No space left on device')


def test_descriptors_keep_their_directions_as_codes():
    rng = np.random.default_rng(0)
    given = rng.normal(size=(50, 256))
    given /= np.linalg.norm(given, axis=1, keepdims=True)
    found = decoded(encoded(given))
    assert (found * given).sum(1).min() > 0.999
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
