"""Depth from one image: images in, metres along z of every pixel out."""

from __future__ import annotations

from typing import Any

from dlcv.estimation.tasks.base import Estimator, Level, Task, Verdict, settings
from dlcv.interface.messages.compose import millimetres
from dlcv.interface.nodes import MONODEPTH
from dlcv.interface.parameters import MonodepthParameters
from dlcv.types import DepthMap, Frame

RECT, INFO, RAW = 'depth/image_rect', 'depth/camera_info', 'depth/image_raw'
CONFIDENCE, COLOUR = 'depth/confidence', 'depth/color'


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
        self.host.judge(None)
        if depth.reason:
            self.host.judge(Verdict(Level.ERROR, f'no depth: {depth.reason}'))
            self.host.complain(f'no depth: {depth.reason}')
        return depth

    def reset(self) -> None:
        """Forget that a picture said nothing."""
        self.host.judge(None)

    def publish(self, frame: Frame, header: Any, result: DepthMap) -> None:
        """Send what is listened to."""
        assert result.depth is not None  # no frame comes here without its camera
        assert result.camera is not None
        make = self.compose
        if self.wanted(RECT) and self.host.hand(RECT, header, result):
            self.send(RECT, make.image(header, result.depth))
        if self.wanted(INFO):
            self.send(INFO, make.camera_info(header, result.camera))
        if self.wanted(RAW):
            self.send(RAW, make.image(header, millimetres(result.depth)))
        if self.wanted(CONFIDENCE) and result.confidence is not None:
            self.send(CONFIDENCE, make.image(header, result.confidence))
        if self.wanted(COLOUR):
            from dlcv.view.depth import depth_colours

            self.send(COLOUR, make.image(header, depth_colours(result.depth)))
