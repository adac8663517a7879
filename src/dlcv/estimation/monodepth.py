"""Frames to depth.

The unit of depth. The network was trained on pictures of a camera whose focal length is the
fraction phi of its width and that had a second camera at baseline b; it answers with the
disparity d = phi b / Z as a fraction of the width. What it sees of a thing at depth Z is its
size, phi / Z of the width for each metre. Through another camera, of phi', the same thing looks so
when it is at Z' = Z phi' / phi. The answer is still d, hence Z' = phi' b / d: the depth of
any camera is ``f b / (d W)`` with its own focal length f in pixels at its own width W.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from dlcv.estimation.base import Estimator, to_array
from dlcv.estimation.odometry.speechless import silence
from dlcv.estimation.pictures import Fit, View, colour
from dlcv.geometry.camera import back_project
from dlcv.networks.monodepth import Monodepth, blend_mirrored, finest_disparity
from dlcv.types import ByteImage, Camera, DepthMap, FloatArray, Frame

_GROUND_TILT = np.deg2rad(10)  # between the camera's y axis and a surface that counts as ground
_GROUND_LEAST = 0.01  # share of the pixels that must be ground


@dataclass(frozen=True, kw_only=True, slots=True)
class DepthSettings:
    """How disparity becomes depth.

    Attributes:
        min_depth: Metres; nearer becomes -inf.
        max_depth: Metres; farther becomes +inf.
        scale_mode: ``metric``: by the baseline of the weights. ``fixed``: the same times
            ``scale``. ``camera_height``: the same, scaled so that the ground lies ``camera_height``
            below the camera; NaN until ground has been seen.
        scale: Factor of ``fixed``.
        camera_height: Metres over the ground.
        confidence_threshold: Depth of lower confidence becomes NaN; 0 for no such check.
        pp: Blend with the disparity of the mirrored picture (Godard et al. 2017), at twice the
            work.
    """

    min_depth: float = 0.1
    max_depth: float = 80.0
    scale_mode: Literal['metric', 'fixed', 'camera_height'] = 'metric'
    scale: float = 1.0
    camera_height: float = 1.5
    confidence_threshold: float = 0.0
    pp: bool = False


class DepthEstimator(Estimator[Monodepth]):
    """Monodepth on one frame at a time.

    Args:
        network: The network; its configuration holds the baseline of its training.
        settings: May be replaced between two frames.
        device: See `Estimator`.
        precision: See `Estimator`.
    """

    part = staticmethod(finest_disparity)

    proven = frozenset({'bf16'})

    def __init__(
        self,
        network: Monodepth,
        settings: DepthSettings | None = None,
        device: str = 'auto',
        precision: str = 'fp32',
    ) -> None:
        super().__init__(network, device, precision)
        self.settings = settings or DepthSettings()
        self._view = View()
        self._ground_scale = float('nan')

    def reset(self) -> None:
        """Forget the ground seen so far (scale mode ``camera_height``)."""
        self._ground_scale = float('nan')

    def push(self, frame: Frame, *, confidence: bool = False) -> DepthMap:
        """Estimate the depth of every pixel.

        Args:
            frame: The picture; it is rectified if its camera is distorted.
            confidence: Also say how sure each pixel is. A network with a spread expects so much
                error ``e`` of the logarithm of depth, and confidence is ``exp(-e)``. For any
                other network the mirrored picture is run too, at twice the work, and confidence
                is the smaller of both disparities over the larger.

        Returns:
            Disparity, and depth if the camera is known, on the pixels of the rectified frame; NaN
            where the camera does not see: everywhere, with confidence 0, in a picture that says
            nothing.
        """
        image, camera, rectifier = self._view.rectified(frame)
        confidence = confidence or self.settings.confidence_threshold > 0
        if reason := silence(frame.image):
            unknown = np.full(image.shape[:2], np.nan, np.float32)
            return DepthMap(
                stamp_ns=frame.stamp_ns,
                disparity=unknown,
                depth=None if camera is None else unknown.copy(),
                confidence=np.zeros_like(unknown) if confidence else None,
                camera=camera,
                reason=reason,
            )
        disparity, agreement = self._disparity(colour(image), agreement=confidence)
        if rectifier is not None:
            disparity = np.where(rectifier.valid, disparity, np.float32(np.nan))
        return DepthMap(
            stamp_ns=frame.stamp_ns,
            disparity=disparity,
            depth=None if camera is None else self._depth(disparity, agreement, camera),
            confidence=agreement if confidence else None,
            camera=camera,
        )

    def _disparity(
        self, image: ByteImage, *, agreement: bool
    ) -> tuple[FloatArray, FloatArray | None]:
        """Return disparity and, if asked for, how far it agrees with the truth; ``(H, W)``."""
        config = self.network.config
        height, width = config.input_size
        fit = Fit.exact((image.shape[1], image.shape[0]), width, height)
        mirrors = self.settings.pp or (agreement and not config.spread)
        with self._inference():
            images = self._tensor(fit.image(image))
            if mirrors:
                images = torch.cat((images, images.flip(3)))
            maps = self.runner(images)[0].float()  # (1 or 2, 2 or 3, h, w)
            plain, *mirrored = maps[:, 0]
            agrees: Tensor | None = None
            if agreement and config.spread:
                agrees = (-maps[0, 2].exp()).exp()
            elif agreement:
                back = mirrored[0].flip(1)
                smaller, larger = torch.minimum(plain, back), torch.maximum(plain, back)
                agrees = (smaller / larger.clamp(min=1e-9)).clamp(0, 1)
            if self.settings.pp:
                plain = blend_mirrored(plain, mirrored[0])
        return fit.dense(to_array(plain)), None if agrees is None else fit.dense(to_array(agrees))

    def _depth(
        self, disparity: FloatArray, agreement: FloatArray | None, camera: Camera
    ) -> FloatArray:
        settings = self.settings
        with np.errstate(divide='ignore', invalid='ignore'):
            depth = metric_depth(disparity, camera, self.network.config.baseline)
        depth *= np.float32(self._scale(depth, camera))
        known = np.isfinite(depth) & (depth > 0)
        if settings.confidence_threshold > 0 and agreement is not None:
            known &= agreement >= settings.confidence_threshold
        depth[depth > settings.max_depth] = np.inf
        depth[depth < settings.min_depth] = -np.inf
        depth[~known] = np.nan
        return depth

    def _scale(self, depth: FloatArray, camera: Camera) -> float:
        if self.settings.scale_mode == 'metric':
            return 1.0
        if self.settings.scale_mode == 'fixed':
            return self.settings.scale
        height = height_over_ground(depth, camera)
        if height is not None:
            self._ground_scale = self.settings.camera_height / height
        return self._ground_scale


def metric_depth(disparity: FloatArray, camera: Camera, baseline: float) -> FloatArray:
    """Return depth ``(H, W)`` in metres: ``f b / (d W)``; the module's text derives it.

    Args:
        disparity: ``(H, W)`` as a fraction of the width.
        camera: Ideal camera of the picture.
        baseline: Of the stereo pair that the network was trained on, in metres.
    """
    factor = np.float32(camera.fx * baseline / camera.width)
    return np.asarray(factor / disparity, np.float32)


def height_over_ground(depth: FloatArray, camera: Camera) -> float | None:
    """Return the height of the camera over the ground that it sees, in the unit of ``depth``.

    Pixels below the horizon whose surface is level are ground; the answer is the median of their
    heights (Xue et al., "Toward Hierarchical Self-Supervised Monocular Absolute Depth
    Estimation", 2020). The camera is taken to look ahead, level to some degrees.

    Args:
        depth: ``(H, W)`` along z in any unit.
        camera: Its ideal camera.

    Returns:
        The height, or None where less than one pixel in a hundred is ground.
    """
    step = max(1, depth.shape[1] // 160)  # a coarse grid is enough, and less noisy
    points = back_project(camera, depth)[::step, ::step]
    with np.errstate(divide='ignore', invalid='ignore'):  # the sky is infinite
        right, down = np.diff(points, axis=1)[:-1], np.diff(points, axis=0)[:, :-1]
        normal = np.cross(right, down)
        level = np.abs(normal[..., 1]) / np.linalg.norm(normal, axis=-1)
    height = points[:-1, :-1, 1]
    ground = (level > np.cos(_GROUND_TILT)) & (height > 0) & np.isfinite(height)
    if np.count_nonzero(ground) < _GROUND_LEAST * ground.size:
        return None
    return float(np.median(height[ground]))
