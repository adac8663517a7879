"""Frames to dense optical flow between each and the one before."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dlcv.estimation.base import Estimator, to_array
from dlcv.estimation.pictures import Fit, colour, size_of
from dlcv.estimation.refinement import cell_means, refine
from dlcv.networks.flownet import FlowNet, finest_flow
from dlcv.types import Camera, FloatArray, FlowField, Frame

_NETWORK_STRIDE = 4  # FlowNet's finest prediction


@dataclass(frozen=True, kw_only=True, slots=True)
class FlowSettings:
    """How flow is sampled and checked.

    Attributes:
        resize_long_side: Larger images are shrunk to this before the network; 0 for never. The
            flow is of the full-size picture all the same: in its pixels, at its cells.
        output_stride: Full-size pixels between two samples of the flow.
        max_interval: Longest pause in seconds that flow is computed over.
        consistency_threshold: Forward-backward difference in pixels at which confidence is one
            half; 0 for no such check.
        refinement: ``variational`` lets `dlcv.estimation.refinement.refine` follow the network, on
            the CPU and on all pixels whatever the stride.
    """

    resize_long_side: int = 0
    output_stride: Literal[1, 2, 4] = 1
    max_interval: float = 0.5
    consistency_threshold: float = 1.0
    refinement: Literal['none', 'variational'] = 'none'


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """The last frame, as the network wants it."""

    frame: Frame
    fit: Fit
    tensor: Tensor


class FlowEstimator(Estimator[FlowNet]):
    """FlowNet on a stream of frames; remembers the last one.

    Args:
        network: The network.
        settings: May be replaced between two frames.
        device: See `Estimator`.
        precision: See `Estimator`.
    """

    part = staticmethod(finest_flow)

    pairs = True

    proven = frozenset({'bf16'})

    def __init__(
        self,
        network: FlowNet,
        settings: FlowSettings | None = None,
        device: str = 'auto',
        precision: str = 'fp32',
    ) -> None:
        super().__init__(network, device, precision)
        self.settings = settings or FlowSettings()
        self._last: _Seen | None = None

    def reset(self) -> None:
        """Forget the last frame."""
        self._last = None

    def push(self, frame: Frame, *, confidence: bool = False) -> FlowField | None:
        """Take the next frame and estimate the flow from the last one to it.

        Args:
            frame: The picture; its camera may be distorted, flow is between the pictures as they
                are.
            confidence: Also estimate the flow backwards, which doubles the work, and compare:
                where forward and backward flow together miss the starting point by d pixels,
                confidence is ``2^-(d / consistency_threshold)^2``; where the flow leads out of
                the picture it is 0. Without a threshold only that last rule holds. The flow is
                the same whether or not confidence is asked for; `checked` cuts it.

        Returns:
            The flow; None for the first frame and after a pause of more than ``max_interval``, a
            jump of time or a change of size, also of the network's input.
        """
        limit = self.settings.resize_long_side
        fit = Fit.long_side(size_of(frame), limit, self.network.multiple)
        last = self._last
        self._last = seen = _Seen(frame, fit, self._tensor(fit.image(colour(frame.image))))
        if last is None or not self._continues(last, seen):
            return None
        checks = confidence and self.settings.consistency_threshold > 0
        with self._inference():
            forward, *backward = self._flows(last, seen, both=checks)
        stride = self.settings.output_stride
        field = FlowField(
            stamp_ns=frame.stamp_ns,
            previous_stamp_ns=last.frame.stamp_ns,
            flow=forward,
            stride=stride,
            camera=None if frame.camera is None else grid_camera(frame.camera, stride),
        )
        if not confidence:
            return field
        returns = _round_trip(forward, backward[0] if backward else None, stride)
        return replace(field, confidence=self._confidence(returns))

    def _continues(self, last: _Seen, seen: _Seen) -> bool:
        pause = (seen.frame.stamp_ns - last.frame.stamp_ns) * 1e-9
        return 0 < pause <= self.settings.max_interval and last.fit == seen.fit

    def _flows(self, last: _Seen, seen: _Seen, *, both: bool) -> list[FloatArray]:
        """Return the flow forward, and backward if ``both``, each ``(h, w, 2)`` pixels."""
        stride = self.settings.output_stride
        if self.settings.refinement == 'none':
            return self._network_flows(last, seen, stride, both=both)
        found = self._network_flows(last, seen, 1, both=both)
        pictures = colour(last.frame.image), colour(seen.frame.image)
        ways = zip(found, (pictures, pictures[::-1]), strict=False)  # one flow, or both
        return [cell_means(refine(flow, *way), stride) for flow, way in ways]

    def _network_flows(
        self, last: _Seen, seen: _Seen, stride: int, *, both: bool
    ) -> list[FloatArray]:
        first, second = last.tensor, seen.tensor
        if both:
            first, second = torch.cat((first, second)), torch.cat((second, first))
        (finest,) = self.runner(first, second)
        finest = finest.float() * self.network.config.div_flow  # (1 or 2, 2, H/4, W/4)
        flows = _at_cells(finest, seen.fit, stride).permute(0, 2, 3, 1).contiguous()
        return list(to_array(flows))

    def _confidence(self, miss: FloatArray) -> FloatArray:
        """Return confidence for round trips that miss by so many pixels; NaN left the picture."""
        threshold = self.settings.consistency_threshold
        scaled = miss / threshold if threshold > 0 else np.zeros_like(miss)
        return np.where(np.isnan(miss), np.float32(0), np.exp2(-np.square(scaled)))


def checked(field: FlowField, least: float = 0.5) -> FlowField:
    """Return the flow with NaN where its confidence is below ``least``.

    One half is a forward-backward difference of just ``consistency_threshold``.
    """
    if field.confidence is None:
        return field
    doubtful = (field.confidence < least)[..., None]
    return replace(field, flow=np.where(doubtful, np.float32(np.nan), field.flow))


def grid_camera(camera: Camera, stride: int) -> Camera:
    """Return the camera whose pixels are the cells of ``stride`` x ``stride`` pixels."""
    width, height = -(-camera.width // stride), -(-camera.height // stride)
    return camera.cropped(0, 0, width * stride, height * stride).scaled(width, height)


def _at_cells(finest: Tensor, fit: Fit, stride: int) -> Tensor:
    """Bring the network's flow onto the cells of the picture, in pixels of the picture.

    Args:
        finest: ``(B, 2, h, w)`` in pixels of the network's input, one for each `_NETWORK_STRIDE`.
        fit: How the picture became that input.
        stride: Side of a cell, in pixels of the picture.

    Returns:
        ``(B, 2, ceil(H / stride), ceil(W / stride))``.
    """
    width, height = (-(-side // stride) for side in fit.source)
    across, down = fit.scale
    if fit.resized != fit.source:
        # the last cells of the picture may begin beyond the middle of the network's last one
        finest = F.pad(finest, (0, 1, 0, 1), mode='replicate')
        finest = finest / finest.new_tensor((across, down))[:, None, None]
    up = tuple(_NETWORK_STRIDE / (stride * scale) for scale in (down, across))
    if up != (1, 1):
        finest = F.interpolate(finest, scale_factor=up, mode='bilinear', align_corners=False)
    return finest[:, :, :height, :width]


def _round_trip(forward: FloatArray, backward: FloatArray | None, stride: int) -> FloatArray:
    """Return by how many pixels going there and back misses, ``(h, w)``; NaN outside.

    Without ``backward`` the miss is zero inside the picture.
    """
    height, width = forward.shape[:2]
    x = forward[..., 0] / stride + np.arange(width, dtype=np.float32)
    y = forward[..., 1] / stride + np.arange(height, dtype=np.float32)[:, None]
    inside = (x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)
    miss = np.zeros((height, width), np.float32)
    if backward is not None:
        back = cv2.remap(backward, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        miss = np.linalg.norm(forward + back, axis=-1)
    return np.where(inside, miss, np.float32(np.nan))
