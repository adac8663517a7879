"""What this suite reads of messages that were measured beside a picture: depth, points, motion."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dlcv.interface.messages.read import MessageError, decode, points_of, stamp_ns
from dlcv.types import FloatArray, Keypoints

NUMBERS = {'32FC1': ('f4', 1), '32FC2': ('f4', 2), '16UC1': ('u2', 1)}
_DEPTH = ('32FC1', '16UC1')
_MASKS = ('mono8', '8UC1')


def numbers(message: Any) -> FloatArray:
    """Return an image of numbers as float32; ``16UC1`` is millimetres, of which 0 is unknown.

    Returns:
        ``(H, W)`` or, of 32FC2, ``(H, W, 2)``; metres and NaN where it is depth.

    Raises:
        MessageError: Its encoding holds no numbers, or its bytes do not fill its size.
    """
    if message.encoding not in NUMBERS:
        raise MessageError(
            f'encoding {message.encoding!r} holds no numbers; known are {list(NUMBERS)}'
        )
    kind, channels = NUMBERS[message.encoding]
    dtype = np.dtype(kind).newbyteorder('>' if message.is_bigendian else '<')
    height, width, step = int(message.height), int(message.width), int(message.step)
    row = width * channels * dtype.itemsize
    data = np.frombuffer(message.data, np.uint8)
    if not height or not width or step < row or data.size < step * (height - 1) + row:
        raise MessageError(
            f'{data.size} bytes with step {step} are no {width}x{height} {message.encoding}'
        )
    strides = (step, channels * dtype.itemsize, dtype.itemsize)
    values: FloatArray = np.ndarray((height, width, channels), dtype, data.data, strides=strides)
    if channels == 1:
        values = values[..., 0]
    if kind == 'f4':
        return np.asarray(values, np.float32)
    metres = values.astype(np.float32) / 1000
    metres[values == 0] = np.nan
    return metres


def depth(message: Any) -> FloatArray:
    """Return a depth image ``(H, W)`` in metres, NaN where unknown (REP 118); raises as `numbers`.

    What is not above zero is unknown, but -inf: nearer than can be measured (REP 117).
    """
    if message.encoding not in _DEPTH:
        raise MessageError(
            f'encoding {message.encoding!r} is no depth; it is {" or ".join(_DEPTH)}'
        )
    metres = numbers(message)
    with np.errstate(invalid='ignore'):
        wrong = (metres <= 0) & ~np.isneginf(metres)
    return np.where(wrong, np.float32(np.nan), metres) if wrong.any() else metres


def mask(message: Any) -> npt.NDArray[np.bool_]:
    """Return where a mask ``(H, W)`` is not 0.

    Raises:
        MessageError: It is not mono8, or its bytes do not fill its size.
    """
    if message.encoding not in _MASKS:
        raise MessageError(f'encoding {message.encoding!r} is no mask; it is {" or ".join(_MASKS)}')
    return np.asarray(decode(message) != 0)


def baseline(info: Any) -> float:
    """Return how far a right camera sits from the left one, in metres: -P[3] / P[0].

    Raises:
        MessageError: P is not that of a right camera, or its numbers are not finite.
    """
    p = np.asarray(info.p, np.float64).ravel()
    if p.size != 12 or not np.isfinite(p).all() or p[0] <= 0:
        raise MessageError(f'P of the right camera_info is no calibration: {p.tolist()}')
    if p[3] >= 0:
        raise MessageError(
            f'P[3] of the right camera_info is {p[3]:g}; it is -fx times the baseline, below 0 '
            '(are left and right exchanged?)'
        )
    return float(-p[3] / p[0])


def rotation(info: Any) -> npt.NDArray[np.float64]:
    """Return R of a camera_info: ``(3, 3)`` rectified_from_camera; that of zeros is none.

    Raises:
        MessageError: It is no rotation.
    """
    r = np.asarray(info.r, np.float64).ravel()
    if r.size == 9 and not r.any():
        return np.eye(3)
    turn = r.reshape(3, 3) if r.size == 9 else np.zeros((3, 3))
    if not np.allclose(turn @ turn.T, np.eye(3), atol=1e-3):
        raise MessageError(f'R of camera_info is no rotation: {r.tolist()}')
    return turn


def keypoints(cloud: Any) -> Keypoints:
    """Return the interest points of a cloud that `Composer.keypoint_cloud` made.

    Raises:
        MessageError: It lacks a field, such as the descriptors, or numbers are not finite.
    """
    points = points_of(cloud)
    if missing := {'u', 'v', 'score', 'descriptor'} - set(points.dtype.names or ()):
        raise MessageError(
            f'the keypoints have no {", ".join(sorted(missing))}; descriptor_format of superpoint '
            'must be int8 or float32'
        )
    xy = np.stack((points['u'], points['v']), axis=-1).astype(np.float32)
    descriptors = points['descriptor'].astype(np.float32).reshape(len(points), -1)
    if not np.isfinite(xy).all() or not np.isfinite(descriptors).all():
        raise MessageError('a keypoint is not finite')
    lengths = np.linalg.norm(descriptors, axis=1, keepdims=True)
    return Keypoints(
        stamp_ns=stamp_ns(cloud.header.stamp),
        xy=xy,
        scores=points['score'].astype(np.float32),
        descriptors=descriptors / np.maximum(lengths, np.finfo(np.float32).tiny),
        rays=_rays(points),
    )


def angular_velocity(message: Any) -> npt.NDArray[np.float64]:
    """Return what a ``sensor_msgs/Imu`` says of its turning: ``(3,)`` rad/s in its own axes.

    Raises:
        MessageError: It does not measure that (REP 145: -1 first in its covariance), or the
            numbers are not finite.
    """
    if float(message.angular_velocity_covariance[0]) == -1:
        raise MessageError('the IMU measures no angular velocity (its covariance begins with -1)')
    w = message.angular_velocity
    xyz = np.array([w.x, w.y, w.z], np.float64)
    if not np.isfinite(xyz).all():
        raise MessageError(f'no angular velocity: {xyz.tolist()}')
    return xyz


def _rays(points: npt.NDArray[Any]) -> FloatArray | None:
    if not {'x', 'y', 'z'} <= set(points.dtype.names or ()):
        return None
    rays = np.stack([points[name] for name in 'xyz'], axis=-1).astype(np.float32)
    return rays if np.isfinite(rays).all() else None
