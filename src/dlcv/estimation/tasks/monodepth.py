"""Depth from one image: images in, metres along z of every pixel out."""

from __future__ import annotations

from typing import Any

from dlcv.estimation.tasks.base import Estimator, Task, settings
from dlcv.estimation.tasks.depth_maps import CONFIDENCE, send_depth
from dlcv.interface.nodes import MONODEPTH
from dlcv.interface.parameters import MonodepthParameters
from dlcv.types import DepthMap, Frame


class DepthTask(Task[MonodepthParameters, DepthMap]):
    """Carries images to a depth estimator and its maps to topics."""

    spec = MONODEPTH

    def load(self, device: str, precision: str) -> Estimator:
        """Build the estimator."""
        from dlcv.estimation.load import load_depth
        from dlcv.estimation.monodepth import DepthSettings

        return load_depth(
            settings=settings(DepthSettings, self.parameters), **self.loading(device, precision)
        )

    def infer(self, frame: Frame) -> DepthMap:
        """Estimate depth; confidence takes a second run and is made on demand."""
        depth: DepthMap = self.estimator.push(frame, confidence=self.wanted(CONFIDENCE))
        self.judge_answer('no depth', depth.reason)
        return depth

    def reset(self) -> None:
        """Forget that a picture said nothing."""
        self.host.judge(None)

    def publish(self, frame: Frame, header: Any, result: DepthMap) -> None:
        """Send what is listened to."""
        send_depth(self, header, result)
