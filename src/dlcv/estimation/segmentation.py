"""Frames to the class of each pixel."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from dlcv.classes import CLASSES, UNLABELLED
from dlcv.estimation.base import Estimator, to_array
from dlcv.estimation.odometry.speechless import silence
from dlcv.estimation.pictures import Fit, colour, size_of
from dlcv.networks.fcn import FCN8s, LightFCN, coarse_scores
from dlcv.types import ByteImage, FloatArray, Frame, Labels

_LET_THROUGH = 255


@dataclass(frozen=True, kw_only=True, slots=True)
class SegmentationSettings:
    """How pictures are looked at.

    Attributes:
        resize_long_side: Larger images are shrunk to this before the network; 0 for never. The
            labels are those of the pixels of the image all the same.
    """

    resize_long_side: int = 0


class SegmentationEstimator(Estimator[FCN8s | LightFCN]):
    """FCN on one frame at a time.

    Args:
        network: The network.
        settings: May be replaced between two frames.
        device: See `Estimator`.
        precision: See `Estimator`.
    """

    part = staticmethod(coarse_scores)

    def __init__(
        self,
        network: FCN8s | LightFCN,
        settings: SegmentationSettings | None = None,
        device: str = 'auto',
        precision: str = 'fp32',
    ) -> None:
        super().__init__(network, device, precision)
        self.settings = settings or SegmentationSettings()
        self._meaning = np.full(256, UNLABELLED, np.uint8)
        self._meaning[: len(network.config.meaning)] = network.config.meaning

    def push(self, frame: Frame) -> Labels:
        """Tell the class of each pixel.

        Args:
            frame: The picture; its camera may be distorted or unknown.

        Returns:
            Labels on the pixels of the frame, `UNLABELLED` in a picture that says nothing.
        """
        if reason := silence(frame.image):
            nothing = np.full(frame.image.shape[:2], UNLABELLED, np.uint8)
            return Labels(stamp_ns=frame.stamp_ns, labels=nothing, reason=reason)
        fit = Fit.long_side(size_of(frame), self.settings.resize_long_side, self.network.multiple)
        with self._inference():
            (scores,) = self.runner(self._tensor(fit.image(colour(frame.image))))
        best = _best(to_array(scores[0]), fit)
        return Labels(stamp_ns=frame.stamp_ns, labels=np.asarray(cv2.LUT(best, self._meaning)))


def movers(labels: ByteImage, margin: int = 0) -> ByteImage:
    """Return a mask of what stands still: 0 where something is that can move, else 255.

    Masks let through what is not black, so it is one for odometry.

    Args:
        labels: ``(H, W)`` numbers of `dlcv.classes`.
        margin: Pixels around what can move that are 0 too: outlines are not told to the pixel.
    """
    moving = cv2.LUT(labels, _table('moves'))
    if margin:
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * margin + 1,) * 2)
        moving = cv2.dilate(moving, kernel)
    return np.asarray(_LET_THROUGH - moving, np.uint8)


def traversable(labels: ByteImage) -> ByteImage:
    """Return a mask ``(H, W)``: 255 where a robot on wheels can go, else 0."""
    return np.asarray(cv2.LUT(labels, _table('traversable')), np.uint8)


def _table(holds: str) -> ByteImage:
    table = np.zeros(256, np.uint8)
    table[: len(CLASSES)] = [_LET_THROUGH * getattr(one, holds) for one in CLASSES]
    return table


def _best(scores: FloatArray, fit: Fit) -> ByteImage:
    """Return the number of the best score at each pixel of the image, ``(H, W)``.

    Args:
        scores: ``(C, h, w)`` of the whole input of the network, of its size or a part of it.
        fit: How the image became that input.
    """
    # Class by class through OpenCV: a third of the time of one interpolation and argmax of all.
    across, down = fit.scale
    size = round(fit.padded[0] / across), round(fit.padded[1] / down)
    best = cv2.resize(scores[0], size, interpolation=cv2.INTER_LINEAR)
    number = np.zeros(best.shape, np.uint8)
    for i, one in enumerate(scores[1:], 1):
        wide = cv2.resize(one, size, interpolation=cv2.INTER_LINEAR)
        number[cv2.compare(wide, best, cv2.CMP_GT).view(np.bool_)] = i
        best = cv2.max(wide, best)
    width, height = fit.source
    return np.ascontiguousarray(number[:height, :width])
