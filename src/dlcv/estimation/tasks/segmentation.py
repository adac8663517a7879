"""Semantic segmentation: images in; the class of each pixel, and masks of some classes, out."""

from __future__ import annotations

from typing import Any

from dlcv.classes import table_text
from dlcv.estimation.tasks.base import Estimator, Task, settings
from dlcv.interface.nodes import HANDLED, SEGMENTATION
from dlcv.interface.parameters import SegmentationParameters
from dlcv.types import Frame, Labels

LABELS, CLASSES, COLOUR = '~/labels', '~/classes', '~/color'
MOVERS, TRAVERSABLE = '~/movers', '~/traversable'


class SegmentationTask(Task[SegmentationParameters, Labels]):
    """Carries images to an estimator of labels, and these and masks of them to topics."""

    spec = SEGMENTATION
    needs_camera = False

    _told = False  # what the numbers mean

    def load(self, device: str, precision: str) -> Estimator:
        """Build the estimator."""
        from dlcv.estimation.load import load_segmentation
        from dlcv.estimation.segmentation import SegmentationSettings

        return load_segmentation(
            settings=settings(SegmentationSettings, self.parameters),
            **self.loading(device, precision),
        )

    def configure(self) -> None:
        """Tell again what the numbers mean: the topic may be a new one."""
        self._told = False

    def due(self, stamp_ns: int) -> bool:
        """Whether anybody listens to anything; to what the numbers mean, once."""
        heard = {t.name for t in self.spec.outputs if self.wanted(t.name)} - {HANDLED.name}
        return bool(heard - {CLASSES} if self._told else heard)

    def infer(self, frame: Frame) -> Labels:
        """Tell the class of each pixel."""
        found: Labels = self.estimator.push(frame)
        self.judge_answer('no labels', found.reason)
        return found

    def reset(self) -> None:
        """Forget that a picture said nothing."""
        self.host.judge(None)

    def publish(self, frame: Frame, header: Any, result: Labels) -> None:
        """Send what is listened to."""
        from dlcv.estimation.segmentation import movers, traversable

        make, labels = self.compose, result.labels
        if self.wanted(CLASSES) and not self._told:
            self.send(CLASSES, make.make('std_msgs/msg/String', data=table_text()))
            self._told = True
        if self.wanted(LABELS):
            self.send(LABELS, make.image(header, labels))
        if self.wanted(MOVERS):
            mask = movers(labels, self.parameters.movers_margin)
            self.send(MOVERS, make.image(header, mask))
        if self.wanted(TRAVERSABLE):
            self.send(TRAVERSABLE, make.image(header, traversable(labels)))
        if self.wanted(COLOUR):
            from dlcv.view.labels import label_colours

            self.send(COLOUR, make.image(header, label_colours(labels, frame.image)))
