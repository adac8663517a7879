"""The files in which optical flow is kept: Middlebury's .flo, KITTI's 16-bit .png, .npz.

Letters in this file: H W size in pixels. In memory flow is ``(H, W, 2)`` float32, (u right, v
down) in pixels, NaN where it is unknown; each kind of file has its own way to say so.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from dlcv.data.datasets.errors import DatasetError
from dlcv.data.datasets.files import decoded, read_npz
from dlcv.files import write_whole
from dlcv.types import FloatArray

_TAG = b'PIEH'  # the float 202021.25, little end first: a check of the byte order
_UNKNOWN = np.float32(1e9)  # beyond this a .flo holds no flow
_WRITTEN_UNKNOWN = np.float32(1666666752)  # what the set's own tools write
_LARGEST = 100_000  # px of a side: a damaged head must not ask for all memory


def read_flow(path: Path) -> FloatArray:
    """Return the flow of a ``.flo``, ``.png`` (KITTI) or ``.npz`` file, by its name.

    Raises:
        DatasetError: The file is missing, damaged or of another kind.
    """
    match path.suffix.lower():
        case '.flo':
            return read_flo(path)
        case '.png':
            return read_kitti_flow_png(path)
        case '.npz':
            return read_flow_npz(path)
    raise DatasetError(f'{path}: flow is read from .flo, .png and .npz files')


def read_flo(path: Path) -> FloatArray:
    """Return the flow of a Middlebury file (Baker et al., IJCV 2011).

    Raises:
        DatasetError: The file is missing, or its length is not what its head says.
    """
    try:
        data = path.read_bytes()
    except OSError as err:
        raise DatasetError(f'{path}: cannot be read: {err.strerror}') from None
    if data[:4] != _TAG or len(data) < 12:
        raise DatasetError(f'{path}: no .flo file; it starts with {data[:4]!r}, not with {_TAG!r}')
    width, height = (int(side) for side in np.frombuffer(data[4:12], '<i4'))
    if not (0 < width <= _LARGEST and 0 < height <= _LARGEST):
        raise DatasetError(f'{path}: a size of {width}x{height} pixels is none')
    wanted = 12 + 8 * width * height
    if len(data) != wanted:
        raise DatasetError(
            f'{path}: {width}x{height} pixels of flow take {wanted} bytes, it has {len(data)}'
        )
    flow = np.frombuffer(data, '<f4', offset=12).reshape(height, width, 2).astype(np.float32)
    return _known(flow, np.all(~(np.abs(flow) > _UNKNOWN), axis=-1))


def write_flo(path: Path, flow: FloatArray) -> None:
    """Write flow as a Middlebury file.

    Raises:
        DatasetError: ``flow`` is not ``(H, W, 2)``.
    """
    if flow.ndim != 3 or flow.shape[2] != 2:
        raise DatasetError(f'{path}: flow is (H, W, 2), got {flow.shape}')
    unknown = np.isnan(flow).any(axis=-1, keepdims=True)
    values = np.where(unknown, _WRITTEN_UNKNOWN, flow).astype('<f4')
    size = np.array((flow.shape[1], flow.shape[0]), '<i4')
    write_whole(path, _TAG + size.tobytes() + values.tobytes())


def read_kitti_flow_png(path: Path) -> FloatArray:
    """Return the flow of a KITTI file: red u and green v as ``2^15 + 64 px``, blue 0 if unknown.

    Raises:
        DatasetError: The file is missing or has not three channels of 16 bits.
    """
    import cv2

    pixels = decoded(path)
    if pixels.dtype != np.uint16 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise DatasetError(
            f'{path}: expected flow in three channels of 16 bits, got {pixels.dtype} with shape '
            f'{pixels.shape}'
        )
    rgb = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB))
    flow = (rgb[..., :2].astype(np.float32) - np.float32(2**15)) / np.float32(64)
    return _known(flow, rgb[..., 2] != 0)


def read_flow_npz(path: Path) -> FloatArray:
    """Return the array ``flow`` of an .npz, NaN where its array ``valid``, if any, is false.

    Raises:
        DatasetError: The file is missing or holds other arrays.
    """
    arrays = read_npz(path)
    flow, valid = arrays.get('flow'), arrays.get('valid')
    if flow is None or flow.ndim != 3 or flow.shape[2] != 2 or flow.dtype.kind != 'f':
        there = {name: (str(array.dtype), array.shape) for name, array in arrays.items()}
        raise DatasetError(f'{path}: expected floats `flow` of (H, W, 2), it has {there}')
    if valid is None:
        valid = np.ones(flow.shape[:2], bool)
    if valid.shape != flow.shape[:2]:
        raise DatasetError(f'{path}: `valid` of {valid.shape} does not fit flow of {flow.shape}')
    return _known(flow.astype(np.float32), valid != 0)


def _known(flow: FloatArray, known: npt.NDArray[np.bool_]) -> FloatArray:
    """Return the flow with both parts NaN where either is not known."""
    known = known & np.isfinite(flow).all(axis=-1)
    return np.where(known[..., None], flow, np.float32(np.nan))
