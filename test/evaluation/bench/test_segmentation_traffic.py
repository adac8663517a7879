"""Masks of movers and odometry: who gets which mask, and that the numbers are of the ways."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from dlcv.classes import NUMBER
from dlcv.estimation import load
from dlcv.estimation.visual_odometry import VisualOdometrySettings
from dlcv.evaluation.bench import segmentation_traffic as traffic
from dlcv.evaluation.bench.options import BenchOptions, silent
from dlcv.types import Frame, Lost

LENGTH = 8


class Recorded(list):
    """A camera that goes a metre a frame, a car in the left half of what it sees."""

    ground = 0.0

    def __init__(self, frames):
        self.world_from_camera = np.tile(np.eye(4), (frames, 1, 1))
        self.world_from_camera[:, 2, 3] = np.arange(frames)
        labels = np.full((16, 20), NUMBER['road'], np.uint8)
        labels[:, :10] = NUMBER['vehicle']
        frame = Frame(stamp_ns=0, image=np.zeros((16, 20, 3), np.uint8))
        super().__init__(
            SimpleNamespace(frame=frame, labels=labels, world_from_camera=pose)
            for pose in self.world_from_camera
        )


class Odometry:
    """Goes a tenth too far for each view whose car it looks at; now and then it is lost."""

    def __init__(self, seen):
        self.seen, self.settings = seen, VisualOdometrySettings()

    def reset(self):
        self.odom_from_camera, self.pose_covariance = np.eye(4), np.zeros((6, 6))
        self.masks = []
        self.seen.append(self.masks)

    def push(self, _frame, aids):
        looks = aids.mask is None or bool(aids.mask[:, :6].any())
        masks = self.masks
        masks.append(aids.mask)
        if len(masks) > 1:
            self.odom_from_camera = self.odom_from_camera.copy()
            self.odom_from_camera[2, 3] += 1.1 if looks else 1.0
        if looks and len(masks) == 3:
            at, covariance = self.odom_from_camera, np.eye(6)
            return Lost(
                stamp_ns=0,
                previous_stamp_ns=0,
                reason='a car',
                odom_from_camera=at,
                pose_covariance=covariance,
            )
        return None


@pytest.fixture
def seen(monkeypatch):
    masks: list = []
    monkeypatch.setattr(
        traffic,
        'WorldSamples',
        lambda config, seed: SimpleNamespace(recording=lambda _n: Recorded(config.frames)),
    )
    monkeypatch.setattr(load, 'load_features', lambda **_: SimpleNamespace(push=lambda _f: None))
    monkeypatch.setattr(load, 'load_visual_odometry', lambda **_: Odometry(masks))
    return masks


def test_who_looks_at_cars_goes_wrong(seen):
    blind = {'blind': lambda image: np.full(image.shape[:2], NUMBER['wall'], np.uint8)}
    table = traffic.table(blind, BenchOptions().running, LENGTH, silent)
    assert [row.name for row in table.rows] == ['no mask', 'mask of blind', 'true mask']
    for name in ('no mask', 'mask of blind'):
        assert table.value(name, 'RPE') == pytest.approx(10)
    assert table.value('true mask', 'RPE') == pytest.approx(0, abs=1e-6)
    assert table.value('no mask', 'lost') == pytest.approx(100 / LENGTH)
    assert table.value('true mask', 'lost') == 0
    assert f'{traffic.WAYS} ways of {LENGTH} frames, {traffic.WAYS * (LENGTH - 1):.1f} m' in (
        table.title
    )
    nothing, blinds, true = seen[:3]
    assert nothing == [None] * LENGTH
    assert all(mask.all() for mask in blinds)
    assert not true[0][:, :14].any()  # with the margin
    assert true[0][:, 15:].all()
