"""The files in which disparity is kept: .pfm, KITTI's 16-bit .png, .npz.

Letters in this file: H W size in pixels. In memory disparity is ``(H, W)`` float32 pixels, NaN
where it is unknown; each kind of file has its own way to say so.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from dlcv.data.datasets.errors import DatasetError
from dlcv.data.datasets.files import decoded, read_npz
from dlcv.types import FloatArray

_HEAD = re.compile(rb'(P[fF])\s+(\d+)\s+(\d+)\s+([-+.\deE]+)\s')
_LARGEST = 100_000  # px of a side: a damaged head must not ask for all memory
_KITTI = 256  # steps of a pixel


def read_disparity(path: Path) -> FloatArray:
    """Return the disparity of a ``.pfm``, ``.png`` (KITTI) or ``.npz`` file, by its name.

    Raises:
        DatasetError: The file is missing, damaged or of another kind.
    """
    match path.suffix.lower():
        case '.pfm':
            return read_pfm(path)
        case '.png':
            return read_scaled_png(path, _KITTI, bits=16)
        case '.npz':
            return read_disparity_npz(path)
    raise DatasetError(f'{path}: disparity is read from .pfm, .png and .npz files')


def read_pfm(path: Path) -> FloatArray:
    """Return the one channel of a portable float map, rows from the top; infinite is unknown.

    Raises:
        DatasetError: The file is missing, has three channels, or its length is not what its head
            says.
    """
    try:
        data = path.read_bytes()
    except OSError as err:
        raise DatasetError(f'{path}: cannot be read: {err.strerror}') from None
    head = _HEAD.match(data)
    if head is None or head[1] != b'Pf':
        raise DatasetError(f'{path}: no .pfm of one channel; it starts with {data[:12]!r}')
    width, height = int(head[2]), int(head[3])
    wanted = head.end() + 4 * width * height
    if not (0 < width <= _LARGEST and 0 < height <= _LARGEST) or len(data) != wanted:
        raise DatasetError(
            f'{path}: {width}x{height} pixels take {wanted} bytes, it has {len(data)}'
        )
    order = '<' if head[4].startswith(b'-') else '>'  # the sign of the scale says it
    values = np.frombuffer(data, f'{order}f4', offset=head.end()).reshape(height, width)[::-1]
    return np.where(np.isfinite(values), values, np.float32(np.nan)).astype(np.float32)


def write_pfm(path: Path, disparity: FloatArray) -> None:
    """Write disparity ``(H, W)`` as a portable float map; what is unknown becomes infinite."""
    height, width = disparity.shape
    values = np.where(np.isnan(disparity), np.inf, disparity)[::-1].astype('<f4')
    path.write_bytes(f'Pf\n{width} {height}\n-1\n'.encode() + values.tobytes())


def read_scaled_png(path: Path, steps: float, *, bits: int) -> FloatArray:
    """Return the disparity of a picture that holds ``steps`` for a pixel, and 0 where unknown.

    Raises:
        DatasetError: The file is missing or has not one channel of so many bits.
    """
    values = decoded(path)
    if values.ndim == 3 and (values == values[..., :1]).all():
        values = values[..., 0]  # grey, kept in colour
    if values.dtype.itemsize * 8 != bits or values.ndim != 2:
        raise DatasetError(
            f'{path}: expected disparity in one channel of {bits} bits, got {values.dtype} with '
            f'shape {values.shape}'
        )
    pixels = values.astype(np.float32) / np.float32(steps)
    pixels[values == 0] = np.nan
    return pixels


def read_disparity_npz(path: Path) -> FloatArray:
    """Return the array ``disparity`` of an .npz; what is not finite is unknown.

    Raises:
        DatasetError: The file is missing or holds no such array.
    """
    arrays = read_npz(path)
    disparity = arrays.get('disparity')
    if disparity is None or disparity.ndim != 2 or disparity.dtype.kind != 'f':
        there = {name: (str(array.dtype), array.shape) for name, array in arrays.items()}
        raise DatasetError(f'{path}: expected floats `disparity` of (H, W), it has {there}')
    return np.where(np.isfinite(disparity), disparity, np.nan).astype(np.float32)
