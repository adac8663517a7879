"""The task of depth: what it says of pictures that say nothing."""

from __future__ import annotations

import numpy as np

from dlcv.estimation.tasks.monodepth import CONFIDENCE, DepthTask
from dlcv.types import DepthMap, Frame


class Host:
    """Keeps what a task says."""

    parameters = None

    def __init__(self):
        self.condition, self.complaints = None, []

    def wanted(self, name):
        return name == CONFIDENCE

    def judge(self, condition):
        self.condition = condition

    def complain(self, text):
        self.complaints.append(text)


class Silent:
    """An estimator for which black pictures say nothing."""

    def push(self, frame, *, confidence):
        assert confidence
        reason = '' if frame.image.any() else 'the picture is black'
        return DepthMap(stamp_ns=frame.stamp_ns, disparity=np.ones((2, 2)), reason=reason)


def test_why_there_is_no_depth_is_said_until_there_is_some():
    host = Host()
    task = DepthTask(host, None)
    task.estimator = Silent()
    black, white = np.zeros((2, 2), np.uint8), np.full((2, 2), 255, np.uint8)
    task.infer(Frame(stamp_ns=1, image=black))
    assert host.condition.text == 'no depth: the picture is black'
    assert host.complaints == ['no depth: the picture is black']
    task.infer(Frame(stamp_ns=2, image=white))
    assert host.condition is None
    task.infer(Frame(stamp_ns=3, image=black))
    task.reset()
    assert host.condition is None
    assert len(host.complaints) == 2
