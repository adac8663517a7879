"""Localization: images in; boxes around the things in them out."""

from __future__ import annotations

from typing import Any

from dlcv.estimation.tasks.base import Estimator, Task, settings
from dlcv.interface.messages.boxes import box_marker, detection_array
from dlcv.interface.nodes import LOCALIZATION
from dlcv.interface.parameters import LocalizationParameters
from dlcv.types import Detections, Frame

DETECTIONS, MARKERS, OVERLAY = '~/detections', '~/markers', '~/overlay'


class LocalizationTask(Task[LocalizationParameters, Detections]):
    """Carries images to an estimator of boxes, and these to topics."""

    spec = LOCALIZATION
    needs_camera = False

    def load(self, device: str, precision: str) -> Estimator:
        """Build the estimator."""
        from dlcv.estimation.load import load_localization
        from dlcv.estimation.localization import LocalizationSettings

        return load_localization(
            settings=settings(LocalizationSettings, self.parameters),
            **self.loading(device, precision),
        )

    def infer(self, frame: Frame) -> Detections:
        """Find the things."""
        found: Detections = self.estimator.push(frame)
        self.judge_answer('no boxes', found.reason)
        return found

    def reset(self) -> None:
        """Forget that a picture said nothing."""
        self.host.judge(None)

    def publish(self, frame: Frame, header: Any, result: Detections) -> None:
        """Send what is listened to."""
        if self.wanted(DETECTIONS):
            self.send(DETECTIONS, detection_array(self.compose, header, result))
        if self.wanted(MARKERS):
            self.send(MARKERS, box_marker(self.compose, header, result))
        if self.wanted(OVERLAY):
            from dlcv.view.boxes import draw_boxes

            drawn = draw_boxes(frame.image, result.kind, result.box, result.score)
            self.send(OVERLAY, self.compose.image(header, drawn))
