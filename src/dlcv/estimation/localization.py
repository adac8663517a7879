"""Frames to boxes around the things in them.

Letters in this file: L points, C kinds, N boxes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dlcv.estimation.base import Estimator, to_array
from dlcv.estimation.odometry.speechless import silence
from dlcv.estimation.pictures import Fit, colour, size_of
from dlcv.geometry.boxes import strongest
from dlcv.networks.fcos import FCOS, found
from dlcv.things import kinds_of
from dlcv.types import ByteImage, Detections, FloatArray, Frame

_CANDIDATES = 400  # boxes that are compared with each other


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalizationSettings:
    """How pictures are looked at, and what of the boxes is told.

    Attributes:
        resize_long_side: Larger images are shrunk to this before the network; 0 for never. Boxes
            are on the pixels of the image all the same.
        detection_threshold: Least score of a box.
        nms_overlap: Intersection over union above which the weaker of two boxes of a kind goes.
        max_detections: Most boxes of an image.
        kinds: Names of `dlcv.things` that are told, between commas; empty for all.

    Raises:
        ValueError: If there is no such kind.
    """

    resize_long_side: int = 0
    detection_threshold: float = 0.45
    nms_overlap: float = 0.5
    max_detections: int = 100
    kinds: str = ''

    def __post_init__(self) -> None:
        kinds_of(self.kinds)


class LocalizationEstimator(Estimator[FCOS]):
    """FCOS on one frame at a time.

    Args:
        network: The network.
        settings: May be replaced between two frames.
        device: See `Estimator`.
        precision: See `Estimator`.
    """

    part = staticmethod(found)

    def __init__(
        self,
        network: FCOS,
        settings: LocalizationSettings | None = None,
        device: str = 'auto',
        precision: str = 'fp32',
    ) -> None:
        super().__init__(network, device, precision)
        self.settings = settings or LocalizationSettings()

    def push(self, frame: Frame) -> Detections:
        """Find the things in a picture.

        Args:
            frame: The picture; its camera may be distorted or unknown.

        Returns:
            Boxes on the pixels of the frame; none in a picture that says nothing.
        """
        settings = self.settings
        if reason := silence(frame.image):
            nothing = np.zeros((0, 4), np.float32)
            return Detections(
                stamp_ns=frame.stamp_ns,
                kind=np.zeros(0, np.uint8),
                box=nothing,
                score=nothing[:, 0],
                reason=reason,
            )
        fit = Fit.long_side(size_of(frame), settings.resize_long_side, self.network.multiple)
        with self._inference():
            scores, boxes = self.runner(self._tensor(fit.image(colour(frame.image))))
        kind, box, score = chosen(
            to_array(scores[0]), to_array(boxes[0]), self.network.config.meaning, settings
        )
        return Detections(stamp_ns=frame.stamp_ns, kind=kind, box=_on_image(box, fit), score=score)


def chosen(
    scores: FloatArray,
    boxes: FloatArray,
    meaning: tuple[int, ...],
    settings: LocalizationSettings,
) -> tuple[ByteImage, FloatArray, FloatArray]:
    """Return what is told of what all points have found.

    Args:
        scores: ``(L, C)`` in [0, 1].
        boxes: ``(L, 4)`` pixels of the input of the network.
        meaning: Number in `dlcv.things` of each of the C scores.
        settings: What is told.

    Returns:
        Kinds ``(N,)``, boxes ``(N, 4)`` and scores ``(N,)``, the best first.
    """
    wanted = np.isin(meaning, kinds_of(settings.kinds))
    point, place = np.nonzero((scores >= settings.detection_threshold) & wanted)
    score = scores[point, place]
    if len(score) > _CANDIDATES:
        best: npt.NDArray[np.intp] = np.argpartition(-score, _CANDIDATES)[:_CANDIDATES]
        point, place, score = point[best], place[best], score[best]
    left = strongest(boxes[point], score, place, settings.nms_overlap)[: settings.max_detections]
    kinds = np.array(meaning, np.uint8)[place[left]]
    return kinds, boxes[point[left]].astype(np.float32), score[left].astype(np.float32)


def _on_image(box: FloatArray, fit: Fit) -> FloatArray:
    """Return boxes of the network's input on the pixels of the image, cut at its edges."""
    corners = fit.to_source(box.reshape(-1, 2, 2))
    edge = np.array(fit.source, np.float32) - 0.5
    return np.asarray(np.clip(corners, -0.5, edge).reshape(-1, 4), np.float32)
