"""The task of stereo: which images are a pair, how they are rectified, what is said and sent."""

from __future__ import annotations

from dataclasses import replace
from threading import Timer
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from dlcv.data.bags.vocabulary import COMPOSER
from dlcv.estimation.tasks.stereo import DISPARITY, INFO, RIGHT, RIGHT_INFO, StereoTask
from dlcv.geometry.camera import project
from dlcv.interface.parameters import StereoParameters
from dlcv.types import Camera, DepthMap, Frame

CAMERA = Camera(width=96, height=64, fx=80.0, fy=80.0, cx=47.5, cy=31.5)
SECOND = 10**9


class Host(SimpleNamespace):
    """Listens to everything and keeps it."""

    def wanted(self, name):
        return True

    def hand(self, name, header, value):
        return True

    def send(self, name, message):
        self.sent[name] = message

    def judge(self, condition):
        self.condition = condition

    def complain(self, text):
        self.complaints.append(text)


class Matching:
    """An estimator that keeps its pairs."""

    reach = 128.0

    def __init__(self):
        self.pairs = []

    def scale(self, frame):
        return 0.5

    def push(self, pair, *, confidence):
        assert confidence
        self.pairs.append(pair)
        size = pair.left.height, pair.left.width
        disparity = np.full(size, 8 / pair.left.width, np.float32)
        disparity[0, 0] = np.nan
        return DepthMap(
            stamp_ns=pair.left.stamp_ns,
            disparity=disparity,
            depth=np.full(size, 2.0, np.float32),
            confidence=np.ones(size, np.float32),
            camera=pair.left.camera,
            baseline=pair.baseline,
        )


@pytest.fixture
def task():
    host = Host(parameters=StereoParameters(sync_patience=0.0), sent={}, complaints=[])
    made = StereoTask(host, COMPOSER)
    made.estimator = Matching()
    return made


def header(stamp_ns):
    return COMPOSER.header(stamp_ns, 'left_optical')


def shown(task, stamp_ns, image=None, camera=CAMERA, baseline=0.12):
    pixels = np.zeros((64, 96, 3), np.uint8) if image is None else image
    task.beside.put(RIGHT, COMPOSER.image(header(stamp_ns), pixels))
    info = COMPOSER.camera_info(header(stamp_ns), camera, baseline=baseline)
    task.beside.put(RIGHT_INFO, info)
    return info


def left(stamp_ns, camera=CAMERA):
    return Frame(stamp_ns=stamp_ns, image=np.zeros((64, 96, 3), np.uint8), camera=camera)


def asked(task, frame):
    task.gather(frame)
    return task.infer(frame)


def test_images_of_one_moment_are_a_pair(task):
    shown(task, SECOND + 3_000_000)
    found = asked(task, left(SECOND))
    (pair,) = task.estimator.pairs
    assert pair.baseline == pytest.approx(0.12)
    assert pair.right.stamp_ns == SECOND + 3_000_000
    assert pair.left.camera == CAMERA
    task.publish(left(SECOND), header(SECOND), found)
    sent = task.host.sent
    assert {'depth/image_rect', 'depth/camera_info', 'depth/image_raw', 'depth/confidence',
            'depth/color', DISPARITY} == set(sent)  # fmt: skip
    made = sent[DISPARITY]
    assert (made.f, made.t) == (80, pytest.approx(0.12))
    assert (made.min_disparity, made.max_disparity) == (0, 256)
    values = np.frombuffer(made.image.data, '<f4').reshape(64, 96)
    assert values[0, :2].tolist() == [-1, 8]  # what is unknown lies below the least
    assert made.header.stamp == header(SECOND).stamp
    assert task.beside.values()['right/image used'] == '1'
    assert task.host.condition is None


def test_what_is_missing_is_said_and_counted(task):
    assert asked(task, left(SECOND)) is None
    assert task.host.condition.text == 'no depth: nothing has arrived on right/image'
    for moment in range(3):
        shown(task, SECOND + moment * SECOND // 10)
    late = left(SECOND + SECOND // 10 + 20_000_000)
    assert asked(task, late) is None
    assert 'no right image within 0.005 s of the left one' in task.host.complaints[-1]
    assert task.beside.values()['right/image unsynchronised'] == '1'
    assert asked(task, left(SECOND + 2 * SECOND // 10)) is not None
    assert task.host.condition is None


def test_the_first_calibration_is_waited_for(task):
    info = shown(task, SECOND)
    task.beside.open()
    task.host.parameters = StereoParameters(sync_patience=5.0)
    image = COMPOSER.image(header(SECOND), np.zeros((64, 96, 3), np.uint8))
    task.beside.put(RIGHT, image)
    Timer(0.05, lambda: task.beside.put(RIGHT_INFO, info)).start()
    assert asked(task, left(SECOND)) is not None


def test_a_left_camera_in_place_of_the_right_one_is_said(task):
    shown(task, SECOND, baseline=0.0)
    assert asked(task, left(SECOND)) is None
    assert 'are left and right exchanged' in task.host.complaints[-1]
    assert task.beside.values()['right/image unusable'] == '1'


def test_raw_images_are_rectified_by_what_the_calibrations_say(task):
    """A point is on one row of both rectified pictures, apart by its disparity."""
    tilt = cv2.Rodrigues(np.array([0.03, 0.02, -0.02]))[0]
    raw = replace(CAMERA, distortion=(-0.1, 0.02, 0.0, 0.0, 0.0))
    point, baseline = np.array([0.1, -0.05, 1.5]), 0.12
    pictures, infos = [], []
    for number, rotation in enumerate((tilt, tilt.T)):
        # rotation: rectified_from_camera; the cameras sit side by side along the rectified x axis
        seen = rotation.T @ (point - (number * baseline, 0, 0))
        x, y = project(raw, seen[None])[0]
        picture = np.zeros((64, 96, 3), np.uint8)
        grid = np.mgrid[:64, :96]
        spot = 255 * np.exp(-((grid[0] - y) ** 2 + (grid[1] - x) ** 2) / 8)
        picture[:] = spot[..., None].astype(np.uint8)
        info = COMPOSER.camera_info(header(SECOND), raw, baseline=number * baseline)
        info.r = rotation.reshape(-1)
        pictures.append(picture)
        infos.append(info)
    task.beside.put(INFO, infos[0])
    task.beside.put(RIGHT, COMPOSER.image(header(SECOND), pictures[1]))
    task.beside.put(RIGHT_INFO, infos[1])
    asked(task, Frame(stamp_ns=SECOND, image=pictures[0], camera=raw))
    (pair,) = task.estimator.pairs
    centres = []
    for frame in (pair.left, pair.right):
        assert frame.camera == CAMERA
        weight = frame.image[..., 0].astype(float)
        grid = np.mgrid[:64, :96]
        centres.append([(weight * axis).sum() / weight.sum() for axis in grid[::-1]])
    np.testing.assert_allclose(centres[0], project(CAMERA, point[None])[0], atol=0.1)
    assert centres[0][1] == pytest.approx(centres[1][1], abs=0.1)
    assert centres[0][0] - centres[1][0] == pytest.approx(80 * baseline / 1.5, abs=0.1)


def test_raw_images_of_ideal_cameras_stay_as_they_are(task):
    raw = replace(CAMERA, distortion=(0.0,) * 5)
    info = COMPOSER.camera_info(header(SECOND), raw)
    task.beside.put(INFO, info)
    shown(task, SECOND)
    frame = left(SECOND, raw)
    assert asked(task, frame) is not None
    (pair,) = task.estimator.pairs
    assert pair.left.image is frame.image
    assert pair.left.camera == CAMERA
