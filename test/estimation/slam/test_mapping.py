"""From odometry that drifts to a map that does not: loops, and what must not be one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dlcv.estimation.slam.closing import Closing
from dlcv.estimation.slam.files import load_place, save_place
from dlcv.estimation.slam.loops import LoopSettings, find
from dlcv.estimation.slam.mapping import Mapper, MapSettings
from dlcv.estimation.slam.points import every_landmark, located


def true_poses(lab, place):
    return np.stack([lab.truth[one.stamp_ns] for one in place.keyframes])


def test_a_loop_takes_the_drift_out_of_the_map(lab):
    place = lab.mapper.place
    assert len(lab.closed) >= 5
    truth = true_poses(lab, place)
    for edge in place.loops:
        motion = np.linalg.solve(truth[edge.older], truth[edge.newer])
        assert np.abs(motion - edge.motion).max() < 0.05
    before = lab.off(lab.odometry, lab.truth)
    after = lab.off(lab.mapper.path().world_from_body, lab.truth)
    assert after < before / 2
    odom = lab.mapper.map_from_odom @ place.keyframes[-1].odom_from_camera
    assert np.allclose(odom, place.poses[-1])


def test_landmarks_are_where_the_points_are_and_are_one_from_both_rounds(lab):
    place = lab.mapper.place
    seen_twice = place.landmarks.sightings > 8  # more than one round shows
    assert np.count_nonzero(seen_twice) > 50
    start = lab.truth[place.keyframes[0].stamp_ns]
    points = place.landmarks.points @ start[:3, :3].T + start[:3, 3]
    between = np.linalg.norm(points[:, None] - lab.scene.points, axis=2).min(axis=1)
    assert np.median(between) < 0.08  # the far side turns with the first keyframe
    stated = np.sqrt(np.trace(place.landmarks.covariance, axis1=1, axis2=2))
    assert 0.003 < np.median(stated) < 0.1


def test_the_same_walk_makes_the_same_map_by_bytes(lab, tmp_path):
    again, _ = lab.mapped(lab.scene, lab.truth, lab.odometry, lab.covariance)
    for name, mapper in (('one', lab.mapper), ('two', again)):
        save_place(mapper.place, tmp_path / f'{name}.safetensors')
    first, second = (tmp_path / f'{name}.safetensors' for name in ('one', 'two'))
    assert first.read_bytes() == second.read_bytes()
    assert load_place(first).loops[0].motion.tolist() == lab.mapper.place.loops[0].motion.tolist()


def test_a_part_that_looks_like_another_closes_no_loop(lab):
    scene = lab.Scene.room(seed=3, count=700, alike=2)
    truth = lab.rounds(turns=0.9)
    odometry, covariance = lab.drifting(truth)
    mapper, closed = lab.mapped(scene, truth, odometry, covariance)
    assert mapper.refused['odometry rules it out'] > 0
    assert not closed
    assert np.isclose(lab.off(mapper.path().world_from_body, truth), lab.off(odometry, truth))


def test_a_false_loop_that_passes_every_guard_does_not_bend_the_map(lab, monkeypatch):
    scene = lab.Scene.room(seed=3, count=700, alike=2)
    truth = lab.rounds(turns=1.25)
    odometry, covariance = lab.drifting(truth)
    monkeypatch.setattr(Closing, '_possible', lambda *_: True)
    mapper, _ = lab.mapped(scene, truth, odometry, covariance)
    place = mapper.place
    assert len(place.edges) - sum(place.trusted) > 0
    for edge in place.loops:
        apart = truth[[place.keyframes[k].stamp_ns for k in (edge.older, edge.newer)], :3, 3]
        assert np.linalg.norm(apart[0] - apart[1]) < 1  # across the room it is 4
    assert lab.off(mapper.path().world_from_body, truth) < lab.off(odometry, truth)


def test_a_unit_that_drifts_is_found_by_loops(lab):
    odometry, covariance = lab.drifting(lab.truth, turn=0.001, scale=1.003)
    loops = LoopSettings(recent=12)
    settings = MapSettings(scaled=True, loops=loops)
    mapper, closed = lab.mapped(
        lab.scene, lab.truth, odometry, covariance, Mapper(settings), depth=False
    )
    assert closed
    after = lab.off(mapper.path().world_from_body, lab.truth)
    assert after < lab.off(odometry, lab.truth) / 2
    grown = 1.003 ** mapper.place.keyframes[-1].stamp_ns
    assert np.exp(mapper.place.log_scale[-1]) == pytest.approx(1 / grown, rel=0.1)


def test_what_is_not_there_is_not_found_and_the_reason_is_said(lab):
    place = lab.mapper.place
    elsewhere = lab.Scene.room(seed=9)
    mapper, _ = lab.mapped(elsewhere, lab.truth[:1], lab.odometry[:1], lab.covariance)
    other = mapper.place.keyframes[0]
    answer = find(place, 5, other, LoopSettings())
    assert isinstance(answer, str)
    again = find(place, 5, place.keyframes[6], replace(LoopSettings(), area=0.99))
    assert isinstance(again, str)
    assert '99% are needed' in again


def test_points_without_measured_depth_are_found_by_their_rays(lab):
    odometry = np.linalg.inv(lab.truth[0]) @ lab.truth
    mapper, _ = lab.mapped(lab.scene, lab.truth[:30], odometry[:30], 1e-8 * np.eye(6), depth=False)
    marks = located(mapper.place, np.arange(len(mapper.place)))
    points = marks.points @ lab.truth[0][:3, :3].T + lab.truth[0][:3, 3]
    off = np.linalg.norm(points[:, None] - lab.scene.points, axis=2).min(axis=1)
    assert len(marks) > 300
    assert np.median(off) < 0.1


def test_landmarks_are_where_they_are_however_many_are_located_at_a_time(lab):
    place = lab.mapper.place
    some, whole = every_landmark(place, 100), located(place, np.arange(len(place)))
    assert len(whole) > 500
    for one in ('name', 'points', 'covariance', 'sightings'):
        assert np.array_equal(getattr(some, one), getattr(whole, one)), one


def test_poses_that_were_measured_stay_and_loops_only_merge_what_is_seen(lab):
    rng = np.random.default_rng(4)
    given = lab.truth.copy()
    given[:, :3, 3] += rng.normal(0, 0.004, (len(given), 3))
    mapper = Mapper(MapSettings(held=True))
    lab.mapped(lab.scene, lab.truth, given, lab.covariance, mapper)
    place = mapper.place
    assert len(place.loops) >= 5
    odometry = np.stack([one.odom_from_camera for one in place.keyframes])
    assert np.allclose(place.poses, odometry, atol=1e-9)
    assert np.count_nonzero(place.landmarks.sightings > 8) > 50
