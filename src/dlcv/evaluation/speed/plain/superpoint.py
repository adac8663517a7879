"""SuperPoint as its demonstration runs it (DeTone et al., CVPRW 2018)."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from dlcv.networks.superpoint import SuperPoint
from dlcv.types import ByteImage, FloatArray

_CELL = 8


class PlainSuperPoint:
    """Picture in, key points and descriptors out; the non-maximum suppression is a Python loop.

    Args:
        network: The network; in eval mode, float32.
        threshold: Least probability of a point.
        radius: Half the side of the square that a point silences, in pixels.
        border: Points nearer to an edge are dropped, in pixels.
    """

    def __init__(
        self, network: SuperPoint, threshold: float = 0.005, radius: int = 4, border: int = 4
    ) -> None:
        self._network = network
        self._threshold, self._radius, self._border = threshold, radius, border

    def __call__(self, picture: ByteImage) -> tuple[FloatArray, FloatArray]:
        """Detect and describe.

        Args:
            picture: ``(H, W, 3)`` uint8 RGB, sides multiples of 8.

        Returns:
            Points ``(3, N)``: x, y, probability, strongest first; descriptors ``(256, N)``.
        """
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
        height, width = grey.shape
        with torch.no_grad():
            logits, coarse = self._network(torch.from_numpy(grey)[None, None])
        heat = self._heat(logits[0].numpy())
        ys, xs = np.nonzero(heat >= self._threshold)
        points = np.stack((xs, ys, heat[ys, xs])).astype(np.float64)  # (3, N)
        points = _suppressed(points, height, width, self._radius)
        x, y = points[:2]
        inside = (x >= self._border) & (x < width - self._border)
        inside &= (y >= self._border) & (y < height - self._border)
        points = points[:, inside]
        scale = np.array([[width / 2], [height / 2]])
        grid = torch.from_numpy((points[:2] / scale - 1).T.astype(np.float32))  # (N, 2)
        sampled = F.grid_sample(coarse, grid[None, None], align_corners=True)[0, :, 0].numpy()
        return points, sampled / np.maximum(np.linalg.norm(sampled, axis=0), 1e-12)

    @staticmethod
    def _heat(logits: FloatArray) -> FloatArray:
        """Return the probability ``(H, W)`` of a point, of logits ``(65, h, w)``."""
        dense = np.exp(logits)
        dense = dense / (dense.sum(axis=0) + 1e-5)
        rows, columns = dense.shape[1:]
        cells = dense[:-1].transpose(1, 2, 0).reshape(rows, columns, _CELL, _CELL)
        heat = cells.transpose(0, 2, 1, 3).reshape(rows * _CELL, columns * _CELL)
        return np.asarray(heat, np.float32)


def _suppressed(
    points: npt.NDArray[np.float64], height: int, width: int, radius: int
) -> npt.NDArray[np.float64]:
    """Keep the strongest point of each square of ``2 radius + 1`` pixels, one after another."""
    points = points[:, np.argsort(-points[2])]
    state = np.zeros((height + 2 * radius, width + 2 * radius), np.int8)  # 1 waits, -1 stays
    xs, ys = points[:2].round().astype(int)
    state[ys + radius, xs + radius] = 1
    kept = []
    for number in range(points.shape[1]):
        x, y = xs[number] + radius, ys[number] + radius
        if state[y, x] == 1:
            state[y - radius : y + radius + 1, x - radius : x + radius + 1] = 0
            state[y, x] = -1
            kept.append(number)
    return points[:, kept]
