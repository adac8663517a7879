"""A map that is made and used while pictures come in."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dlcv.estimation.slam.closing import Closing
from dlcv.estimation.slam.files import load_place, save_place
from dlcv.estimation.slam.locate import LocateSettings
from dlcv.estimation.slam.loops import LoopSettings
from dlcv.estimation.slam.online import Online
from dlcv.estimation.slam.online_settings import OnlineSettings
from dlcv.estimation.slam.place import PlaceMap
from dlcv.estimation.slam.points import with_landmarks

STEP = 10**8
LOCKSTEP = OnlineSettings(lockstep=True)


def walk(online, lab, truth, odometry, scene=None, begin=0, **first):
    """Show pictures of a way; return what was said of each: state, reason, map_from_odom."""
    said = []
    for k, (true, odom) in enumerate(zip(truth, odometry, strict=True)):
        stamp = (begin + k) * STEP
        if online.step(stamp, odom, lab.covariance, **(first if k == 0 else {})):
            online.show((scene or lab.scene).view(true, stamp))
        said.append((online.state, online.reason, online.map_from_odom))
    return said


@pytest.fixture(scope='module')
def saved(lab, tmp_path_factory):
    """The file of the map of the room."""
    path = tmp_path_factory.mktemp('maps') / 'room.safetensors'
    save_place(lab.mapper.place, path)
    return path


def in_map(lab, pose):
    """Return a true pose as the room's map has it, whose origin is the first picture."""
    return np.linalg.inv(lab.truth[0]) @ pose


def elsewhere(lab, online, pose, odom):
    """Return by how many metres a map is off about a true pose."""
    return np.linalg.norm((online.map_from_odom @ odom - in_map(lab, pose))[:3, 3])


def test_a_walk_is_mapped_as_by_hand_and_loops_solved_beside_it_give_no_other(lab):
    online = Online(OnlineSettings(), PlaceMap())
    said = walk(online, lab, lab.truth, lab.odometry)
    online._mapper.closing.settle(wait=True)
    online.close()
    assert {state for state, _, _ in said} == {'mapping'}
    assert [one.stamp_ns // STEP for one in online.place.keyframes] == [
        one.stamp_ns for one in lab.mapper.place.keyframes
    ]
    path = online.path()
    assert lab.off(path.world_from_body, lab.truth[path.stamps_ns // STEP]) < 0.1
    cloud = online.landmarks() @ lab.truth[0][:3, :3].T + lab.truth[0][:3, 3]
    near = np.linalg.norm(cloud[:, None] - lab.scene.points, axis=2).min(axis=1)
    assert len(cloud) > 1000
    assert np.median(near) < 0.1
    off = online.map_from_odom @ lab.odometry[-1] - in_map(lab, lab.truth[-1])
    stated = np.sqrt(np.diag(online.covariance)[:3])
    assert (np.abs(off[:3, 3]) < 4 * stated + 0.05).all()
    assert (stated < 0.3).all()


def test_a_false_loop_that_passes_every_guard_does_not_bend_the_map(lab, monkeypatch):
    scene, truth = lab.Scene.room(seed=3, count=700, alike=2), lab.rounds(turns=0.9)
    odometry, _ = lab.drifting(truth)
    monkeypatch.setattr(Closing, '_possible', lambda *_: True)
    online = Online(LOCKSTEP, PlaceMap())
    walk(online, lab, truth, odometry, scene)
    assert online._mapper.refused['the rest of the map contradicts it'] > 0
    path = online.path()
    which = path.stamps_ns // STEP
    assert lab.off(path.world_from_body, truth[which]) < 1.2 * lab.off(odometry, truth)


def test_a_robot_that_is_switched_on_is_found_and_changes_nothing(lab, saved, tmp_path):
    online = Online(LOCKSTEP, load_place(saved), localize_only=True)
    assert online.map_from_odom is None
    truth = lab.rounds(turns=0.2, count=20, radius=1.9)
    odometry = np.linalg.inv(truth[0]) @ truth
    said = walk(online, lab, truth, odometry)
    found = [state for state, _, _ in said].index('localizing')
    assert found <= 6  # 0.6 s
    assert said[0][0] == 'lost'
    assert '1 of 3 fixes' in said[0][1]
    assert {state for state, _, _ in said[found:]} == {'localizing'}
    assert elsewhere(lab, online, truth[-1], odometry[-1]) < 0.1
    save_place(online.snapshot(), tmp_path / 'again.safetensors')
    assert (tmp_path / 'again.safetensors').read_bytes() == saved.read_bytes()


def test_a_robot_that_stands_where_all_looks_like_elsewhere_is_found_all_the_same(lab, saved):
    one = replace(LOCKSTEP, found=LocateSettings(candidates=1))
    online = Online(one, load_place(saved), localize_only=True)
    view, other = (lab.scene.view(lab.truth[k], 5) for k in (20, 60))
    states = []
    for k in range(40):
        if online.step(2 * k * STEP, np.eye(4), 1e-9 * np.eye(6)):
            online.show(replace(view, stamp_ns=2 * k * STEP, place=other.place))
        states.append(online.state)
        if online.state == 'localizing':
            break
    assert states[-1] == 'localizing'
    assert len(states) > one.anchor.confirmations  # not by the likeliest
    assert elsewhere(lab, online, lab.truth[20], np.eye(4)) < 0.1


def test_a_robot_that_is_carried_away_is_noticed_and_found_again(lab, saved):
    online = Online(replace(LOCKSTEP, rate=10.0), load_place(saved), localize_only=True)
    truth = lab.rounds(turns=0.9, count=100, radius=1.9)
    here, there = truth[:10], truth[60:70]
    odometry = np.linalg.inv(here[0]) @ here
    walk(online, lab, here, odometry)
    believed = online.map_from_odom
    gone_on = odometry[-1] @ np.linalg.inv(there[0]) @ there  # as if nothing had happened
    said = walk(online, lab, there, gone_on, begin=10)
    moved = [not np.allclose(one, believed, atol=0.2) for _, _, one in said]
    assert moved.index(True) == 4
    assert 'm and' in said[0][1]
    assert 'from where it should be; 1 of 5 fixes' in said[0][1]
    assert online.jumps == 1
    assert elsewhere(lab, online, there[-1], gone_on[-1]) < 0.1


def test_a_place_that_is_none_of_the_map_is_refused_with_the_reason(lab, saved):
    online = Online(LOCKSTEP, load_place(saved), localize_only=True)
    truth = lab.truth[:10]
    said = walk(online, lab, truth, np.linalg.inv(truth[0]) @ truth, lab.Scene.room(seed=77))
    assert {state for state, _, _ in said} == {'lost'}
    assert 'looks like it' in said[-1][1] or 'look like it' in said[-1][1]
    assert online.map_from_odom is None
    assert online.refusals()['the picture was not found in the map'] >= 5


def test_an_old_map_is_gone_on_with_once_the_robot_is_found_in_it(lab, saved):
    old = load_place(saved)
    count = len(old)
    online = Online(LOCKSTEP, old)
    truth = lab.rounds(turns=0.25, count=25, radius=1.7)
    odometry, _ = lab.drifting(truth, seed=4)
    said = walk(online, lab, truth, odometry)
    assert said[0][0] == 'lost'
    assert said[-1][0] == 'mapping'
    assert len(online.place) > count
    assert online.place.sessions == 2
    assert online.place.loops[-1].older < count <= online.place.loops[-1].newer
    assert elsewhere(lab, online, truth[-1], odometry[-1]) < 0.15


def test_odometry_that_begins_anew_elsewhere_is_joined_by_a_place_that_is_known(lab):
    online = Online(LOCKSTEP, PlaceMap())
    walk(online, lab, lab.truth[:60], lab.odometry[:60])
    again = lab.truth[20:45]
    odometry = np.linalg.inv(again[0]) @ again
    said = walk(online, lab, again, odometry, begin=60, broken=True)
    assert said[0][0] == 'lost'
    assert said[-1][0] == 'mapping'
    assert elsewhere(lab, online, again[-1], odometry[-1]) < 0.2


def test_a_map_stays_as_small_as_it_is_told_and_as_good(lab):
    online = Online(replace(LOCKSTEP, max_keyframes=30), PlaceMap())
    walk(online, lab, lab.truth, lab.odometry)
    place = online.place
    assert 25 <= len(place) <= 30
    assert len(place.loops) > 0
    path = online.path()
    assert lab.off(path.world_from_body, lab.truth[path.stamps_ns // STEP]) < 0.15
    assert len(with_landmarks(online.snapshot()).landmarks) > 500
    assert len(online.landmarks()) > 500


def test_mapping_is_paused_stopped_and_gone_on_with(lab):
    online = Online(LOCKSTEP, PlaceMap())
    with pytest.raises(ValueError, match='no map to be localized in'):
        online.localize(True)
    way = lab.truth, lab.odometry
    walk(online, lab, *(one[:30] for one in way))
    count = len(online.place)
    online.pause(True)
    said = walk(online, lab, *(one[30:34] for one in way), begin=30)
    assert {state for state, _, _ in said} == {'paused'}
    online.pause(False)
    online.localize(True)
    back = (one[33:10:-1] for one in way)
    said = walk(online, lab, *back, begin=34)
    assert {state for state, _, _ in said} == {'localizing'}
    assert len(online.place) == count
    online.localize(False)
    said = walk(online, lab, *(one[10:60] for one in way), begin=60)
    assert said[-1][0] == 'mapping'
    assert len(online.place) > count
    online.renew(PlaceMap())
    assert online.map_from_odom is not None
    assert len(online.landmarks()) == 0


def test_solving_beside_the_pictures_keeps_no_memory(lab):
    place = lab.mapper.place

    def resident():
        return int(Path('/proc/self/statm').read_text().split()[1]) * 4096 / 2**20

    with ThreadPoolExecutor(1) as beside:
        closing = Closing(place.copied(), LoopSettings(), beside)
        sizes = []
        for _ in range(40):
            closing._run = closing._begin()
            closing.settle(wait=True)
            sizes.append(resident())
    assert sizes[-1] - sizes[9] < 2  # MB; the factors of thirty solutions are 5.6
