"""A map of landmarks as the relocalizer has it: alone, with a guess, from a file of both."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from dlcv.cli.main import main
from dlcv.estimation.dsac import RelocalizationError, RelocalizationSettings
from dlcv.estimation.landmark_relocalizer import LandmarkRelocalizer
from dlcv.estimation.load import load_relocalization
from dlcv.estimation.slam.files import is_place, load_place, save_place
from dlcv.networks.dsac import DsacConfig, SceneCoordinateNet
from dlcv.networks.place import Place
from dlcv.networks.weights import WeightsError, save_network
from dlcv.types import Camera, Frame, Keypoints, Localization

BLACK = np.zeros((120, 160, 3), np.uint8)


class Eyes:
    """Keypoints and looks of what a camera at a pose sees, in the place of both networks."""

    device = 'cpu'

    def __init__(self, lab, scene=None):
        self.lab, self.scene, self.pose = lab, scene or lab.scene, np.eye(4)

    def push(self, frame):
        self.view = self.scene.view(self.pose, frame.stamp_ns, depth=False)
        scores = np.ones(len(self.view.xy), np.float32)
        return Keypoints(stamp_ns=frame.stamp_ns, xy=self.view.xy, scores=scores,
                         descriptors=self.view.descriptors)  # fmt: skip

    def describe(self, _frame, _keypoints):
        return self.view.place


def guessing(pose, accepted=True):
    """Return a head that always says one pose."""

    def push(frame):
        return Localization(
            stamp_ns=frame.stamp_ns, accepted=accepted, reason='5 inliers; 100 are needed',
            map_from_camera=pose, covariance=np.eye(6), inliers=5, inlier_ratio=0.1,
            scene_coordinates=np.ones((2, 3, 3), np.float32), hypotheses=pose[None],
            scores=np.ones(1), tries=7,
        )  # fmt: skip

    return SimpleNamespace(push=push, settings=None)


def frame(lab, stamp_ns=7):
    return Frame(stamp_ns=stamp_ns, image=BLACK, camera=lab.mapper.place.keyframes[0].camera)


@pytest.fixture
def aside(lab):
    """A pose beside the way, as the room has it and as the map has it."""
    pose = lab.rounds(turns=0.9, count=12, radius=1.8)[5]
    return pose, np.linalg.inv(lab.truth[0]) @ pose


def relocalizer(lab, pose, head=None, scene=None):
    eyes = Eyes(lab, scene)
    eyes.pose = pose
    return LandmarkRelocalizer(lab.mapper.place, eyes, eyes, None, head)


def test_a_picture_is_found_by_places_or_from_a_guess(lab, aside):
    pose, expected = aside
    found = relocalizer(lab, pose).push(frame(lab))
    assert found.accepted
    assert 'landmarks agree, by places' in found.reason
    assert np.linalg.norm(found.map_from_camera[:3, 3] - expected[:3, 3]) < 0.1
    near = expected.copy()
    near[:3, 3] += (0.05, -0.04, 0.03)
    guessed = relocalizer(lab, pose, guessing(near)).push(frame(lab))
    assert 'from scene coordinates' in guessed.reason
    assert np.linalg.norm(guessed.map_from_camera[:3, 3] - expected[:3, 3]) < 0.1
    assert guessed.scene_coordinates.shape == (2, 3, 3)
    assert guessed.tries == 7
    poor = relocalizer(lab, pose, guessing(near, accepted=False)).push(frame(lab))
    assert 'by places' in poor.reason
    assert np.allclose(poor.map_from_camera, found.map_from_camera)
    wrong = near.copy()
    wrong[:3, 3] += 3.0
    astray = relocalizer(lab, pose, guessing(wrong)).push(frame(lab))
    assert np.linalg.norm(astray.map_from_camera[:3, 3] - expected[:3, 3]) < 0.1


def test_wrong_places_are_refused_and_both_reasons_are_said(lab, aside):
    elsewhere = lab.Scene.room(seed=77)
    head = guessing(np.eye(4), accepted=False)
    answer = relocalizer(lab, aside[0], head, elsewhere).push(frame(lab))
    assert not answer.accepted
    assert answer.accepted_pose is None
    assert 'scene coordinates: 5 inliers; 100 are needed' in answer.reason
    made = relocalizer(lab, aside[0])
    made.settings = RelocalizationSettings(prior_gate_distance=1.0)
    far = aside[1].copy()
    far[0, 3] += 4
    gated = made.push(frame(lab), prior=far)
    assert not gated.accepted
    assert 'm from where the camera was believed to be; 1 m are allowed' in gated.reason
    assert made.push(frame(lab), prior=aside[1]).accepted


def test_cameras_that_the_map_is_not_for_are_refused(lab, aside):
    made = relocalizer(lab, aside[0])
    with pytest.raises(RelocalizationError, match='no calibration'):
        made.push(replace(frame(lab), camera=None))
    tele = Camera(width=160, height=120, fx=400.0, fy=400.0, cx=79.5, cy=59.5)
    assert 'longer than the map was made for' in made.misfit(tele)
    assert "asked for is 'other'" in made.place.frame_misfit('other')


def test_one_file_holds_landmarks_and_scene_coordinates(lab, tmp_path, capsys):
    torch.manual_seed(0)
    place = Place(frame='map', focal=(0.5, 1.0), low=(0.0, 0.0, 0.0), high=(1.0, 1.0, 1.0),
                  pictures=3)  # fmt: skip
    config = DsacConfig(variant='ace', width=1 / 16, input_height=48, place=place)
    head = save_network(SceneCoordinateNet(config), tmp_path / 'head.safetensors', trained=True)
    marks, whole = tmp_path / 'marks.safetensors', tmp_path / 'whole.safetensors'
    known = replace(lab.mapper.place, described='hashed-vlad')
    save_place(known, marks)
    assert main(['map', 'head', str(marks), str(head), '-o', str(whole)]) == 0
    assert main(['map', 'info', str(whole)]) == 0
    assert 'with scene coordinates' in capsys.readouterr().out
    assert load_place(whole).head == head.read_bytes()
    assert is_place(whole)
    assert not is_place(head)
    made = load_relocalization(whole, device='cpu')
    assert made.origin.trained
    assert made.place.frame == 'map'
    assert made._head.network.config.place == place
    assert not isinstance(load_relocalization(head, device='cpu'), LandmarkRelocalizer)
    with pytest.raises(WeightsError, match='has sha256'):
        load_relocalization(whole, device='cpu', sha256='0' * 64)
    save_place(lab.mapper.place, marks)
    with pytest.raises(WeightsError, match='describes places by'):
        load_relocalization(marks, device='cpu')
