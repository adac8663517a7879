"""Monodepth as its demonstration runs it (Godard et al., CVPR 2017)."""

from __future__ import annotations

import cv2
import numpy as np
import torch

from dlcv.networks.monodepth import Monodepth
from dlcv.types import ByteImage, Camera, FloatArray


class PlainMonodepth:
    """Picture in, depth of every pixel out, the mirrored picture being run and blended in ("pp").

    Args:
        network: The network; in eval mode, float32.
        camera: Of the pictures.
    """

    def __init__(self, network: Monodepth, camera: Camera) -> None:
        self._network, self._camera = network, camera

    def __call__(self, picture: ByteImage) -> FloatArray:
        """Return depth ``(H, W)`` in metres."""
        config, camera = self._network.config, self._camera
        height, width = config.input_size
        small = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
        image = small.astype(np.float32) / 255
        both = np.stack((image, np.fliplr(image))).transpose(0, 3, 1, 2)  # (2, 3, h, w)
        with torch.no_grad():
            found = self._network(torch.from_numpy(both.copy()))[0][:, 0].numpy()
        disparity = _blended(found[0], np.fliplr(found[1]))
        full = cv2.resize(disparity, (camera.width, camera.height))
        return np.asarray(camera.fx * config.baseline / (camera.width * full), np.float32)


def _blended(plain: FloatArray, mirrored: FloatArray) -> FloatArray:
    """Join both disparities ``(h, w)``, the mirrored one mirrored back."""
    width = plain.shape[1]
    across, _ = np.meshgrid(np.linspace(0, 1, width), np.arange(len(plain)))
    at_left = 1 - np.clip(20 * (across - 0.05), 0, 1)
    at_right = np.fliplr(at_left)
    mean = 0.5 * (plain + mirrored)
    return np.asarray(
        at_right * plain + at_left * mirrored + (1 - at_left - at_right) * mean, np.float32
    )
