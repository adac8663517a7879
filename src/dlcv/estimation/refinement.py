"""Flow improved by a variational method: what a paper's table calls "+v".

FlowNet (Dosovitskiy et al., ICCV 2015, section 3) follows its network, whose finest prediction is a
quarter of the picture, by the energy of Brox and Malik (PAMI 2011) without its matching term:
brightness and gradients stay along the flow, and the flow is smooth but at edges. OpenCV has that
energy and a solver (``cv2.VariationalRefinement``); here it is started from the network's flow on
the pixels of the picture.
"""

from __future__ import annotations

import cv2
import numpy as np

from dlcv.types import ByteImage, FloatArray

_OUTER, _INNER = 10, 5  # times that the energy is linearised; steps of each linear system
_SMALLEST = 16  # px of a side: smaller pictures have nothing to refine


def refine(flow: FloatArray, first: ByteImage, second: ByteImage) -> FloatArray:
    """Return the flow that explains two pictures better and starts from ``flow``.

    Deterministic, whatever number of threads OpenCV uses.

    Args:
        flow: ``(H, W, 2)`` pixels; what is not finite comes back as it is.
        first: ``(H, W, 3)`` uint8 RGB.
        second: The same of the second picture.

    Returns:
        ``(H, W, 2)`` float32.
    """
    if min(flow.shape[:2]) < _SMALLEST:
        return flow
    solver = cv2.VariationalRefinement.create()
    solver.setFixedPointIterations(_OUTER)
    solver.setSorIterations(_INNER)
    finite = np.isfinite(flow).all(axis=-1, keepdims=True)
    before, after = (cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (first, second))
    start = np.where(finite, flow, 0)  # one NaN would spread to its block
    start = np.ascontiguousarray(start, np.float32)  # or OpenCV refuses a transposed array
    return np.where(finite, np.asarray(solver.calc(before, after, start), np.float32), flow)


def cell_means(flow: FloatArray, stride: int) -> FloatArray:
    """Return the mean of each cell of ``stride`` x ``stride`` pixels, ``(ceil H/s, ceil W/s, 2)``.

    Cells that reach beyond the last row or column count it for what is missing.
    """
    height, width = flow.shape[:2]
    rows, columns = (-(-side // stride) for side in (height, width))
    missing = ((0, rows * stride - height), (0, columns * stride - width), (0, 0))
    whole = np.pad(flow, missing, mode='edge')
    cells = whole.reshape(rows, stride, columns, stride, 2)
    return np.asarray(cells.mean(axis=(1, 3)), np.float32)
