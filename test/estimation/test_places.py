"""Known places: the nearest by brute force, growth, files, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from dlcv.estimation.places import PlaceIndex, PlacesError, PlacesInfo, read_places


def unit(rng, *shape):
    x = rng.normal(size=shape).astype(np.float32)
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


@pytest.fixture
def index():
    """A hundred places: more than there is room for at the beginning."""
    rng = np.random.default_rng(0)
    made = PlaceIndex(8, PlacesInfo(frame='hall', weights_sha256='ab' * 32, sources=('walk',)))
    for i, descriptor in enumerate(unit(rng, 100, 8)):
        pose = np.eye(4)
        pose[:3, 3] = i
        assert made.add(descriptor, pose, f'picture {i}') == i
    return made


def test_the_most_alike_are_found_best_first(index):
    query = unit(np.random.default_rng(1), 8)
    numbers, cosine = index.search(query, 7)
    wanted = np.argsort(-(index.descriptors @ query), kind='stable')[:7]
    assert numbers.tolist() == wanted.tolist()
    np.testing.assert_allclose(cosine, index.descriptors[wanted] @ query, rtol=1e-6)
    assert index.poses[numbers[0], 0, 3] == numbers[0]


def test_too_unlike_and_forbidden_places_are_no_answers(index):
    query = index.descriptors[42].copy()
    assert index.search(query, 5, least=0.999)[0].tolist() == [42]
    allowed = np.arange(100) != 42
    assert 42 not in index.search(query, 5, allowed=allowed)[0]
    assert index.search(query, 5, allowed=np.zeros(100, bool))[0].tolist() == []
    assert len(index.search(query, 1000)[0]) == 100
    assert len(PlaceIndex(8).search(query, 5)[0]) == 0


def test_places_move_when_the_map_does(index):
    moved = index.poses.copy()
    moved[:, :3, 3] += 1
    index.move(moved)
    assert index.poses[3, 0, 3] == 4
    with pytest.raises(PlacesError, match=r'expected poses \(100, 4, 4\), got \(3, 4, 4\)'):
        index.move(moved[:3])


def test_a_file_gives_back_what_was_written(index, tmp_path):
    index.save(tmp_path / 'hall.safetensors')
    again = read_places(tmp_path / 'hall.safetensors')
    assert again.info == index.info
    assert again.names == index.names
    np.testing.assert_array_equal(again.descriptors, index.descriptors)
    np.testing.assert_array_equal(again.poses, index.poses)
    again.add(index.descriptors[0], np.eye(4))  # mapping can go on
    assert len(again) == 101


def test_what_is_no_place_is_refused(index):
    with pytest.raises(PlacesError, match=r'a pose \(4, 4\), got \(7,\)'):
        index.add(np.ones(7), np.eye(4))
    with pytest.raises(PlacesError, match='not finite'):
        index.add(np.full(8, np.nan), np.eye(4))
    with pytest.raises(PlacesError, match='descriptors of 8 values'):
        index.search(np.ones(7, np.float32), 1)


def test_other_files_are_refused_by_name(index, tmp_path):
    with pytest.raises(PlacesError, match='no such file of places'):
        read_places(tmp_path / 'none.safetensors')
    with pytest.raises(PlacesError, match='ends in'):
        index.save(tmp_path / 'hall.npz')
    bad = tmp_path / 'bad.safetensors'
    bad.write_bytes(b'nothing of the kind')
    with pytest.raises(PlacesError, match=r'bad\.safetensors is no file of places'):
        read_places(bad)
    index.save(bad)
    bad.write_bytes(bad.read_bytes().replace(b'\\"format\\": 1', b'\\"format\\": 9'))
    with pytest.raises(PlacesError, match='format 9'):
        read_places(bad)
