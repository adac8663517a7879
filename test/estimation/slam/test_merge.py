"""Two maps of one room made one, and maps of two rooms refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dlcv.cli.main import main
from dlcv.estimation.slam.files import load_place, save_place
from dlcv.estimation.slam.merge import MergeError, merged


@pytest.fixture(scope='module')
def halves(lab):
    """Maps of two walks that overlap, each in its own frame."""
    truth = lab.rounds(turns=1.0, count=84)
    exact = 1e-7 * np.eye(6)
    parts = []
    for seed, rows in ((1, slice(0, 56)), (2, slice(32, 84))):
        odometry, covariance = lab.drifting(truth[rows], turn=0.002, seed=seed)
        mapper, _ = lab.mapped(lab.scene, truth[rows], odometry, covariance + exact)
        for k, one in enumerate(mapper.place.keyframes):
            mapper.place.keyframes[k] = replace(one, stamp_ns=one.stamp_ns + rows.start)
        parts.append(mapper.place)
    return truth, parts


def test_what_both_show_joins_them(lab, halves):
    truth, (one, other) = halves
    place, joints = merged(one, other)
    assert len(place) == len(one) + len(other)
    assert len(joints) >= 2
    assert place.sessions == 2
    true = truth[[k.stamp_ns for k in place.keyframes]]
    assert lab.off(place.poses, true) < 0.1
    assert np.allclose(place.poses[0], one.poses[0])
    assert len(place.landmarks) < len(one.landmarks) + len(other.landmarks)
    sessions = np.array([k.session for k in place.keyframes])
    assert sessions.tolist() == [0] * len(one) + [1] * len(other)
    names = [set(k.landmark[k.landmark >= 0].tolist()) for k in place.keyframes]
    first = set().union(*names[: len(one)])
    assert sum(len(first & later) for later in names[len(one) :]) > 50
    assert len(one) + len(other) == len(place)
    assert one.sessions == 1  # the maps that were given are as they were


def test_the_command_writes_one_map(halves, tmp_path, capsys):
    _, parts = halves
    files = [tmp_path / name for name in ('one.safetensors', 'other.safetensors')]
    for part, file in zip(parts, files, strict=True):
        save_place(part, file)
    both = tmp_path / 'both.safetensors'
    assert main(['map', 'merge', *map(str, files), '-o', str(both)]) == 0
    assert 'joined where' in capsys.readouterr().out
    assert len(load_place(both)) == len(parts[0]) + len(parts[1])
    assert main(['map', 'merge', str(files[0]), '-o', str(tmp_path / 'c.safetensors')]) == 2
    assert 'merge takes two maps, got 1' in capsys.readouterr().err


def test_maps_of_two_places_are_refused_and_why_is_said(lab, halves):
    _, (one, _) = halves
    elsewhere, _ = lab.mapped(
        lab.Scene.room(seed=55), lab.rounds(turns=0.3, count=20), lab.rounds(turns=0.3, count=20),
        1e-6 * np.eye(6),
    )  # fmt: skip
    with pytest.raises(MergeError, match=r'nothing is common: none of the \d+ keyframes'):
        merged(one, elsewhere.place)


def test_maps_of_different_kinds_are_refused(halves):
    _, (one, other) = halves
    with pytest.raises(MergeError, match='by netvlad and by hashed'):
        merged(replace(one, described='netvlad'), replace(other, described='hashed'))
    with pytest.raises(MergeError, match='a unit of its own'):
        merged(one, replace(other, scaled=True))
