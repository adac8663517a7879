"""`dlcv bench slam`: what it is told, and its drive without pictures."""

from __future__ import annotations

import numpy as np
import pytest

from dlcv.evaluation.bench.options import BenchError, silent
from dlcv.evaluation.bench.slam import Options
from dlcv.evaluation.bench.slam_drive import CAMERA, Drive, Town, driven
from dlcv.evaluation.bench.slam_sets import LOOPS


def test_what_cannot_be_measured_is_refused(tmp_path):
    assert Options(aids='stereo').told == ['stereo']
    with pytest.raises(BenchError, match="no aids 'wheels'; there are depth, stereo"):
        Options(aids='wheels')
    with pytest.raises(BenchError, match='generated worlds'):
        Options(data=(tmp_path,))


def test_another_walk_goes_the_same_way_round_as_the_first():
    room = LOOPS['world-room']
    around = []
    for recording in (room.walk(room.seeds[0]), room.other(room.seeds[0])):
        x, y = recording.world_from_camera[:, :2, 3].T
        around.append(np.ptp(np.unwrap(np.arctan2(y, x))) * np.sign(x[0] * y[1] - x[1] * y[0]))
    assert abs(around[0]) > 2 * np.pi  # it meets itself
    assert around[0] * around[1] > 0


def test_a_drive_without_pictures_keeps_to_its_limit_of_keyframes():
    drive = Drive(hours=0.01, keyframes=22)
    poses, town = Town(drive).way(), Town(drive)
    assert np.allclose(np.linalg.det(poses[:, :3, :3]), 1)
    view = town.view(poses[10], 10)
    assert len(view.xy) > 50
    assert (view.xy < (CAMERA.width + 5, CAMERA.height + 5)).all()
    found = driven(drive, silent)
    assert found.pictures == len(poses)
    assert found.kept <= 22 < found.made
    assert found.off < 1 + 0.02 * found.way
