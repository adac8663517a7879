"""Pictures in a map: found where they were taken, and refused where they were not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import chi2

from dlcv.estimation.slam.locate import Localizer, LocateSettings
from dlcv.estimation.slam.places import HashedVlad
from dlcv.estimation.slam.prune import pruned
from dlcv.types import Keypoints


def seen(lab, pose, seed, scene=None):
    """Return the arguments of `Localizer.locate` for a picture at a true pose."""
    view = (scene or lab.scene).view(pose, seed, depth=False)
    keypoints = Keypoints(
        stamp_ns=seed,
        xy=view.xy,
        scores=np.ones(len(view.xy), np.float32),
        descriptors=view.descriptors,
    )
    return keypoints, view.camera, view.place


@pytest.fixture(scope='module')
def asides(lab):
    """Poses beside the way, in the room's frame and in the map's as odometry would have it."""
    poses = lab.rounds(turns=0.9, count=12, radius=1.8)
    return poses, np.linalg.inv(lab.truth[0]) @ poses


@pytest.mark.parametrize('smaller', [False, True])
def test_pictures_beside_the_way_are_found_as_exactly_as_is_said(lab, asides, smaller):
    place = pruned(lab.mapper.place) if smaller else lab.mapper.place
    localizer = Localizer(place)
    off, surprise = [], []
    for k, (pose, expected) in enumerate(zip(*asides, strict=True)):
        answer = localizer.locate(*seen(lab, pose, 1000 + k))
        assert answer.map_from_camera is not None, answer.reason
        shift = answer.map_from_camera[:3, 3] - expected[:3, 3]
        off.append(np.linalg.norm(shift))
        own = answer.covariance[:3, :3] + 0.02**2 * np.eye(3)  # the map itself is off by that
        surprise.append(shift @ np.linalg.solve(own, shift))
    assert np.median(off) < 0.05
    assert np.mean(np.array(surprise) < chi2.ppf(0.99, 3)) > 0.8


def test_pictures_of_elsewhere_are_refused_and_the_reason_is_said(lab, asides):
    localizer = Localizer(lab.mapper.place)
    elsewhere = lab.Scene.room(seed=77)
    for k, pose in enumerate(asides[0][::3]):
        answer = localizer.locate(*seen(lab, pose, k, elsewhere))
        assert answer.map_from_camera is None
        assert 'look like it' in answer.reason or 'looks like it' in answer.reason


def test_a_place_that_exists_twice_is_refused(lab):
    scene = lab.Scene.room(seed=3, count=700, alike=2)
    truth = lab.rounds(turns=0.9)
    mapper, _ = lab.mapped(scene, truth, np.linalg.inv(truth[0]) @ truth, 1e-8 * np.eye(6))
    answer = Localizer(mapper.place).locate(*seen(lab, truth[20], 5, scene))
    assert answer.map_from_camera is None
    assert 'two places look like it' in answer.reason


def test_descriptors_of_another_kind_are_refused(lab):
    keypoints, camera, _ = seen(lab, lab.truth[0], 1)
    with pytest.raises(ValueError, match='by 32 numbers, the picture by 3'):
        Localizer(lab.mapper.place).locate(keypoints, camera, np.ones(3, np.float32))


def test_hashed_descriptors_are_alike_where_keypoints_are(lab):
    describer = HashedVlad()
    near, again, far = (
        describer.describe(None, seen(lab, lab.truth[k], n)[0])
        for k, n in ((5, 1), (6, 2), (60, 3))
    )
    assert np.isclose(np.linalg.norm(near), 1)
    assert near @ again > near @ far + 0.2
    none = Keypoints(stamp_ns=0, xy=np.empty((0, 2)), scores=np.empty(0),
                     descriptors=np.empty((0, 32), np.float32))  # fmt: skip
    assert np.isfinite(describer.describe(None, none)).all()


def test_a_picture_with_few_points_is_found_where_it_is_believed_to_be_and_nowhere_else(
    lab, asides
):
    localizer = Localizer(lab.mapper.place, LocateSettings(inliers=60))
    keypoints, camera, looks = seen(lab, asides[0][3], 5)
    few = Keypoints(stamp_ns=0, xy=keypoints.xy[::7], scores=keypoints.scores[::7],
                    descriptors=keypoints.descriptors[::7])  # fmt: skip
    assert localizer.locate(few, camera, looks).map_from_camera is None
    expected = asides[1][3]
    near = expected.copy()
    near[:3, 3] += 0.1
    answer = localizer.locate(few, camera, looks, [near])
    assert answer.map_from_camera is not None, answer.reason
    assert np.linalg.norm((answer.map_from_camera - expected)[:3, 3]) < 0.05
    assert localizer.locate(few, camera, looks, [asides[1][9]]).map_from_camera is None


def test_an_agreement_that_fixes_no_position_is_refused(lab, asides):
    strict = Localizer(lab.mapper.place, LocateSettings(vague=1e-4))
    answer = strict.locate(*seen(lab, asides[0][3], 4))
    assert answer.map_from_camera is None
    assert 'of their distance; 0.0% are needed' in answer.reason


def test_covariances_grow_where_keypoints_are_farther_off_than_they_should_be(lab, asides):
    localizer = Localizer(lab.mapper.place, LocateSettings(common=1e-4))
    spread = []
    for noise in (0.3, 2.0):
        view = lab.scene.view(asides[0][3], 4, noise=noise, depth=False)
        scores = np.ones(len(view.xy), np.float32)
        points = Keypoints(stamp_ns=4, xy=view.xy, scores=scores, descriptors=view.descriptors)
        answer = localizer.locate(points, view.camera, view.place)
        assert answer.map_from_camera is not None, answer.reason
        spread.append(np.sqrt(np.trace(answer.covariance[:3, :3])))
    assert spread[1] > 1.3 * spread[0]


def test_what_is_off_together_is_no_less_by_its_number(lab, asides):
    spread = {}
    for wander in (0.0, 3.0):
        for every in (1, 2):
            points, camera, looks = seen(lab, asides[0][3], 4)
            points = replace(
                points,
                xy=points.xy[::every],
                scores=points.scores[::every],
                descriptors=points.descriptors[::every],
            )
            settings = LocateSettings(common=1e-6, wander=wander)
            answer = Localizer(lab.mapper.place, settings).locate(
                points, camera, looks, [asides[1][3]]
            )
            assert answer.map_from_camera is not None, answer.reason
            spread[wander, every] = np.sqrt(np.diag(answer.covariance)).mean()
    assert spread[0.0, 2] > 1.2 * spread[0.0, 1]
    assert spread[3.0, 1] > 5 * spread[0.0, 1]
    assert spread[3.0, 2] < 1.2 * spread[3.0, 1]
