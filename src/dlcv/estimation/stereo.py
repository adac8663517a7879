"""Rectified stereo pairs to disparity and metric depth."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np
import torch

from dlcv.estimation import rehearsal
from dlcv.estimation.base import Estimator, to_array
from dlcv.estimation.odometry.speechless import silence
from dlcv.estimation.pictures import Fit, colour, size_of
from dlcv.geometry.stereo import RectifiedPair, depth_of
from dlcv.networks.dispnet import DispNet
from dlcv.networks.psmnet import PSMNet
from dlcv.types import Camera, DepthMap, FloatArray, Frame

_REHEARSED = 0.1  # metres between the cameras of the made-up pair


@dataclass(frozen=True, kw_only=True, slots=True)
class StereoSettings:
    """How disparity becomes depth.

    Attributes:
        min_depth: Metres; nearer becomes -inf.
        max_depth: Metres; farther becomes +inf.
        resize_long_side: Larger pictures are shrunk to this before the network; 0 for never.
            Disparity is in pixels of the full size all the same.
        confidence_source: ``left_right``: the disparity of the right picture is computed too, at
            twice the work, and compared. ``spread``: by the error that the network expects, where
            it says one.
        consistency_threshold: Difference of the two disparities in pixels at which the confidence
            of ``left_right`` is one half.
        confidence_threshold: What is of lower confidence becomes NaN; 0 for no such check.
    """

    min_depth: float = 0.1
    max_depth: float = 80.0
    resize_long_side: int = 640
    confidence_source: Literal['left_right', 'spread'] = 'left_right'
    consistency_threshold: float = 1.0
    confidence_threshold: float = 0.0


class StereoEstimator(Estimator[DispNet | PSMNet]):
    """DispNetC or PSMNet on one pair at a time.

    Args:
        network: The network.
        settings: May be replaced between two pairs.
        device: See `Estimator`.
        precision: See `Estimator`.
    """

    def __init__(
        self,
        network: DispNet | PSMNet,
        settings: StereoSettings | None = None,
        device: str = 'auto',
        precision: str = 'fp32',
    ) -> None:
        super().__init__(network, device, precision)
        self.settings = settings or StereoSettings()

    def push(self, pair: RectifiedPair, *, confidence: bool = False) -> DepthMap:  # type: ignore[override]
        """Estimate the depth of every pixel of the left picture.

        Args:
            pair: The pictures.
            confidence: Also say how sure each pixel is, in [0, 1]. By ``left_right`` it is
                ``2^-(miss / consistency_threshold)^2`` where the right picture's disparity misses
                the left one's by so many pixels, and 0 where the match lies outside. By ``spread``
                it is ``exp(-e / d)``, d being the disparity and e its expected error.

        Returns:
            Disparity as a fraction of the width, less what the principal points are apart, and
            depth if the camera is known; NaN where the camera does not see, and everywhere, with
            confidence 0, in pictures that say nothing.
        """
        settings, left = self.settings, pair.left
        confidence = confidence or settings.confidence_threshold > 0
        size = left.height, left.width
        disparity: FloatArray = np.full(size, np.nan, np.float32)  # pixels
        agreement: FloatArray = np.zeros(size, np.float32)
        reason = silence(left.image) or silence(pair.right.image)
        if not reason:
            disparity, agreement = self._matched(pair, checked=confidence)
            disparity = disparity - np.float32(pair.apart)
            unseen = ~pair.valid if pair.valid is not None else np.zeros(size, bool)
            if settings.confidence_threshold > 0:
                unseen |= agreement < settings.confidence_threshold
            disparity[unseen] = np.nan
        depth = None
        if left.camera is not None:
            depth = depth_of(disparity, left.camera, pair.baseline)
            depth[depth > settings.max_depth] = np.inf
            depth[depth < settings.min_depth] = -np.inf
        return DepthMap(
            stamp_ns=left.stamp_ns,
            disparity=disparity / np.float32(left.width),
            depth=depth,
            confidence=agreement if confidence else None,
            camera=left.camera,
            baseline=pair.baseline,
            reason=reason,
        )

    def warm_up(self, width: int, height: int, camera: Camera | None = None) -> None:
        """Run on a made-up pair of the size to come; see `Estimator.warm_up`."""
        for frame in rehearsal.pictures(1, width, height, camera):
            self.push(RectifiedPair(left=frame, right=frame, baseline=_REHEARSED))

    @property
    def reach(self) -> float:
        """Greatest disparity that the network looks for, in pixels of its input."""
        return float(self.network.config.max_disparity)

    def scale(self, frame: Frame) -> float:
        """Return pixels of the network's input for one of a picture, along x."""
        return self._fit(frame).scale[0]

    def _fit(self, frame: Frame) -> Fit:
        limit, least = self.settings.resize_long_side, getattr(self.network, 'least', 0)
        fit = Fit.long_side(size_of(frame), limit, self.network.multiple)
        return replace(fit, padded=(max(fit.padded[0], least), max(fit.padded[1], least)))

    def _matched(self, pair: RectifiedPair, *, checked: bool) -> tuple[FloatArray, FloatArray]:
        """Return disparity in pixels and confidence, ``(H, W)``; the last only if ``checked``."""
        fit = self._fit(pair.left)
        left, right = (
            self._tensor(fit.image(colour(frame.image))) for frame in (pair.left, pair.right)
        )
        both_ways = checked and not self._by_spread
        if both_ways:  # mirrored, the right picture is a left one
            left, right = torch.cat((left, right.flip(3))), torch.cat((right, left.flip(3)))
        with self._inference():
            (found,) = self.runner(left, right)  # (1 or 2, 1 or 2, h, w)
        unit = np.float32(1 / fit.scale[0])
        disparity = fit.dense(to_array(found[0, 0])) * unit
        if not checked:
            return disparity, np.zeros_like(disparity)
        if both_ways:
            other = fit.dense(to_array(found[1, 0].flip(1))) * unit
            return disparity, self._agreement(disparity, other)
        error = np.exp(fit.dense(to_array(found[0, 1]))) * unit
        return disparity, np.exp(-error / np.maximum(disparity, np.float32(1e-3)))

    @property
    def _by_spread(self) -> bool:
        spread = getattr(self.network.config, 'spread', False)  # PSMNet has none
        return self.settings.confidence_source == 'spread' and spread

    def _agreement(self, disparity: FloatArray, other: FloatArray) -> FloatArray:
        """Return the confidence of a disparity by that of the right picture's pixels."""
        height, width = disparity.shape
        x = np.arange(width, dtype=np.float32) - disparity
        y = np.broadcast_to(np.arange(height, dtype=np.float32)[:, None], x.shape)
        back = cv2.remap(other, x, np.ascontiguousarray(y), cv2.INTER_LINEAR)
        miss = (disparity - back) / np.float32(self.settings.consistency_threshold)
        return np.where(x >= -0.5, np.exp2(-np.square(miss)), np.float32(0))
