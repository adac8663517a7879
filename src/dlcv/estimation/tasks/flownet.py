"""Dense optical flow: images in, the displacement of each pixel since the last image out."""

from __future__ import annotations

from typing import Any

from dlcv.estimation.tasks.base import Estimator, Task, settings
from dlcv.interface.nodes import FLOWNET
from dlcv.interface.parameters import FlowNetParameters
from dlcv.types import FlowField, Frame

FLOW, INFO, INTERVAL = '~/flow', '~/camera_info', '~/flow_interval'
CONFIDENCE, COLOUR = '~/confidence', '~/color'


class FlowTask(Task[FlowNetParameters, FlowField]):
    """Carries images to a flow estimator and its fields to topics."""

    spec = FLOWNET
    needs_camera = False

    def load(self, device: str, precision: str) -> Estimator:
        """Build the estimator."""
        from dlcv.estimation.flownet import FlowSettings
        from dlcv.estimation.load import load_flow

        return load_flow(
            settings=settings(FlowSettings, self.parameters), **self.loading(device, precision)
        )

    def infer(self, frame: Frame) -> FlowField | None:
        """Estimate the flow; the check for confidence doubles the work and is made on demand."""
        flow: FlowField | None = self.estimator.push(frame, confidence=self.wanted(CONFIDENCE))
        return flow

    def publish(self, frame: Frame, header: Any, result: FlowField) -> None:
        """Send what is listened to."""
        make = self.compose
        if self.wanted(FLOW):
            self.send(FLOW, make.image(header, result.flow))
        if self.wanted(INFO) and frame.camera is not None:
            # the last cells of an odd-sized image reach beyond it: the calibration must too,
            # or width / binning would not be the width of the flow
            height, width = (side * result.stride for side in result.flow.shape[:2])
            camera = frame.camera.cropped(0, 0, width, height)
            self.send(INFO, make.camera_info(header, camera, binning=result.stride))
        if self.wanted(INTERVAL):
            reference = make.time_reference(header, result.previous_stamp_ns, header.frame_id)
            self.send(INTERVAL, reference)
        if self.wanted(CONFIDENCE) and result.confidence is not None:
            self.send(CONFIDENCE, make.image(header, result.confidence))
        if self.wanted(COLOUR):
            from dlcv.view.flow import flow_colours

            picture = flow_colours(result.flow, self.parameters.max_displacement)
            self.send(COLOUR, make.image(header, picture))
