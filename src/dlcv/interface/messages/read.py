"""What this suite reads of a message, whoever made it: images, calibration, points, poses.

Live messages (rclpy) and recorded ones (rosbags) are different classes with the same fields. The
protocols here name those fields, so one decoder serves a node and a replay, and neither ROS nor a
bag library is imported to test it. Encodings follow cv_bridge's rules.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt

from dlcv.geometry.frames import TransformBuffer, frame_name
from dlcv.types import ByteImage, Camera, Frame

MAX_SIDE = 32768  # a larger side is a broken header, not a camera
MAX_STRETCH = 0.01  # of a quaternion's length from 1: text files round more than this suite does
DESCRIPTOR_SCALE = 127  # int8 descriptors are unit vectors times this
FIELD_TYPES = {'int8': 1, 'uint8': 2, 'float32': 7, 'float64': 8}
"""Those numbers of ``sensor_msgs/PointField`` that are used here, by NumPy's names."""


class Stamp(Protocol):
    """``builtin_interfaces/Time``."""

    sec: int
    nanosec: int


class Header(Protocol):
    """``std_msgs/Header``."""

    stamp: Any
    frame_id: str


class Image(Protocol):
    """``sensor_msgs/Image``; ``data`` is any buffer (rclpy: array, rosbags: NumPy)."""

    header: Any
    height: int
    width: int
    encoding: str
    is_bigendian: int
    step: int
    data: Any


class CompressedImage(Protocol):
    """``sensor_msgs/CompressedImage``."""

    header: Any
    format: str
    data: Any


class CameraInfo(Protocol):
    """``sensor_msgs/CameraInfo`` (ROS 2: lower-case d, k and p)."""

    header: Any
    height: int
    width: int
    distortion_model: str
    d: Any
    k: Any
    p: Any
    binning_x: int
    binning_y: int
    roi: Any


class MessageError(ValueError):
    """The message cannot be used; the text says what it holds and what is needed."""


class UnsupportedEncodingError(MessageError):
    """The image has an encoding that this suite does not read."""


def stamp_ns(stamp: Stamp) -> int:
    """Return a message time as integer nanoseconds."""
    return int(stamp.sec) * 10**9 + int(stamp.nanosec)


def frame_of(message: Any) -> str:
    """Return the frame of a message's header, without the leading slash of ROS 1."""
    return frame_name(message.header.frame_id)


def header_stamp_ns(cdr: bytes | memoryview) -> int:
    """Return the time in nanoseconds of serialised bytes of a message that begins with a header."""
    seconds, nanoseconds = struct.unpack_from('<iI', cdr, 4)  # four bytes of encapsulation first
    return int(seconds * 10**9 + nanoseconds)


def restamped(cdr: bytes | memoryview, stamp_ns: int) -> bytes:
    """Return serialised bytes of a message that begins with a header, under another time."""
    stamp = struct.pack('<iI', *divmod(stamp_ns, 10**9))
    return bytes(cdr[:4]) + stamp + bytes(cdr[12:])


@dataclass(frozen=True, slots=True)
class _Encoding:
    """How the pixels of one encoding lie in memory, and how they become RGB or grey."""

    channels: int
    dtype: str  # NumPy kind and size, byte order is the message's
    convert: Callable[[npt.NDArray[Any]], ByteImage]
    chroma: bool = False  # whether half as many rows follow, of the colour of 2 x 2 pixels


def _keep(pixels: npt.NDArray[Any]) -> ByteImage:
    kept: ByteImage = pixels
    return kept


def _halve(pixels: npt.NDArray[Any]) -> ByteImage:
    """16 to 8 bit as cv_bridge does: times 255/65535, rounded half to even."""
    scaled = np.rint(pixels.astype(np.float32) * np.float32(255.0 / 65535.0))
    return np.asarray(scaled, np.uint8)


def _cv(code: str) -> Callable[[npt.NDArray[Any]], ByteImage]:
    def convert(pixels: npt.NDArray[Any]) -> ByteImage:
        import cv2

        try:
            return np.asarray(cv2.cvtColor(pixels, getattr(cv2, code)))
        except cv2.error as err:  # an odd width of yuv422, a bayer image of one row
            size = f'{pixels.shape[1]}x{pixels.shape[0]}'
            raise MessageError(f'{size} pixels do not fit {code}: {err.err}') from None

    return convert


def _deep(code: str = '') -> Callable[[npt.NDArray[Any]], ByteImage]:
    """16 bit colours: OpenCV's conversion in the machine's byte order, then to 8 bit."""

    def convert(pixels: npt.NDArray[Any]) -> ByteImage:
        native = pixels.astype(np.uint16)
        return _halve(_cv(code)(native) if code else native)

    return convert


# Bayer: OpenCV names the pattern by the second row's second pixel, ROS by the first row's first.
ENCODINGS: dict[str, _Encoding] = {
    'mono8': _Encoding(1, 'u1', _keep),
    '8UC1': _Encoding(1, 'u1', _keep),
    'mono16': _Encoding(1, 'u2', _halve),
    '16UC1': _Encoding(1, 'u2', _halve),
    'rgb8': _Encoding(3, 'u1', _keep),
    'bgr8': _Encoding(3, 'u1', _cv('COLOR_BGR2RGB')),
    '8UC3': _Encoding(3, 'u1', _cv('COLOR_BGR2RGB')),  # OpenCV's own channel order
    '8UC4': _Encoding(4, 'u1', _cv('COLOR_BGRA2RGB')),
    'rgba8': _Encoding(4, 'u1', _cv('COLOR_RGBA2RGB')),
    'bgra8': _Encoding(4, 'u1', _cv('COLOR_BGRA2RGB')),
    'bayer_rggb8': _Encoding(1, 'u1', _cv('COLOR_BayerBG2RGB')),
    'bayer_bggr8': _Encoding(1, 'u1', _cv('COLOR_BayerRG2RGB')),
    'bayer_gbrg8': _Encoding(1, 'u1', _cv('COLOR_BayerGR2RGB')),
    'bayer_grbg8': _Encoding(1, 'u1', _cv('COLOR_BayerGB2RGB')),
    'rgb16': _Encoding(3, 'u2', _deep()),
    'bgr16': _Encoding(3, 'u2', _deep('COLOR_BGR2RGB')),
    '16UC3': _Encoding(3, 'u2', _deep('COLOR_BGR2RGB')),
    'rgba16': _Encoding(4, 'u2', _deep('COLOR_RGBA2RGB')),
    'bgra16': _Encoding(4, 'u2', _deep('COLOR_BGRA2RGB')),
    '16UC4': _Encoding(4, 'u2', _deep('COLOR_BGRA2RGB')),
    'bayer_rggb16': _Encoding(1, 'u2', _deep('COLOR_BayerBG2RGB')),
    'bayer_bggr16': _Encoding(1, 'u2', _deep('COLOR_BayerRG2RGB')),
    'bayer_gbrg16': _Encoding(1, 'u2', _deep('COLOR_BayerGR2RGB')),
    'bayer_grbg16': _Encoding(1, 'u2', _deep('COLOR_BayerGB2RGB')),
    'yuv422': _Encoding(2, 'u1', _cv('COLOR_YUV2RGB_UYVY')),
    'uyvy': _Encoding(2, 'u1', _cv('COLOR_YUV2RGB_UYVY')),
    'yuv422_yuy2': _Encoding(2, 'u1', _cv('COLOR_YUV2RGB_YUYV')),
    'yuyv': _Encoding(2, 'u1', _cv('COLOR_YUV2RGB_YUYV')),
    'nv12': _Encoding(1, 'u1', _cv('COLOR_YUV2RGB_NV12'), chroma=True),
    'nv21': _Encoding(1, 'u1', _cv('COLOR_YUV2RGB_NV21'), chroma=True),
}
AMBIGUOUS = ('16UC1',)
"""Read as a picture where somebody says that it is one; depth has this encoding too."""


def decode(msg: Image) -> ByteImage:
    """Return the pixels of an image message as RGB ``(H, W, 3)`` or grey ``(H, W)``, uint8.

    ``rgb8``, ``mono8`` and ``8UC1`` are views of the message's own memory, row padding skipped.

    Raises:
        UnsupportedEncodingError: If the encoding is not one of `ENCODINGS`.
        MessageError: If the size, the step and the amount of data do not fit each other.
    """
    encoding = ENCODINGS.get(msg.encoding)
    if encoding is None:
        raise UnsupportedEncodingError(
            f'encoding {msg.encoding!r} is not read; known are {", ".join(ENCODINGS)}'
        )
    return encoding.convert(_pixels(msg, encoding))


def _pixels(msg: Image, encoding: _Encoding) -> npt.NDArray[Any]:
    height, width, step = int(msg.height), int(msg.width), int(msg.step)
    if not (0 < height <= MAX_SIDE and 0 < width <= MAX_SIDE):
        raise MessageError(f'an image of {width}x{height} pixels cannot be read')
    dtype = np.dtype(encoding.dtype).newbyteorder('>' if msg.is_bigendian else '<')
    row = width * encoding.channels * dtype.itemsize
    if step < row:
        raise MessageError(
            f'step {step} is shorter than a row: {width} pixels of {msg.encoding} are {row} bytes'
        )
    data = np.frombuffer(msg.data, np.uint8)
    rows = height
    if encoding.chroma:
        if height % 2 or width % 2:
            raise MessageError(f'{msg.encoding} has even sides, got {width}x{height} pixels')
        rows += height // 2
    if data.size < step * (rows - 1) + row:  # the last row may lack its padding
        raise MessageError(
            f'{data.size} bytes of data; {width}x{height} {msg.encoding} with step {step} has '
            f'{step * rows}'
        )
    strides = (step, encoding.channels * dtype.itemsize, dtype.itemsize)
    shape = (rows, width, encoding.channels)
    view: npt.NDArray[Any] = np.ndarray(shape, dtype, data.data, strides=strides)
    return view[..., 0] if encoding.channels == 1 else view


_VIDEO = ('h264', 'h.264', 'h265', 'h.265', 'hevc', 'av1', 'vp8', 'vp9', 'theora', 'ffmpeg')


def decode_compressed(msg: CompressedImage) -> ByteImage:
    """Return the pixels of a JPEG or PNG message as RGB ``(H, W, 3)`` or grey ``(H, W)``, uint8.

    Raises:
        MessageError: If the data cannot be decoded, or is a compressed depth image.
    """
    import cv2

    if 'compressedDepth' in msg.format:
        raise UnsupportedEncodingError(f'format {msg.format!r} is depth; jpeg or png is needed')
    data = np.frombuffer(msg.data, np.uint8)
    pixels = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if data.size else None
    if pixels is None and any(name in msg.format.lower() for name in _VIDEO):
        raise UnsupportedEncodingError(f'format {msg.format!r} is video; jpeg or png is needed')
    if pixels is None:
        raise MessageError(f'{data.size} bytes of format {msg.format!r} are no picture')
    if pixels.dtype == np.uint16:
        pixels = _halve(pixels)
    if pixels.ndim == 2:
        return np.asarray(pixels, np.uint8)
    code = cv2.COLOR_BGRA2RGB if pixels.shape[2] == 4 else cv2.COLOR_BGR2RGB
    return np.asarray(cv2.cvtColor(pixels, code), np.uint8)


def decode_any(msg: Image | CompressedImage) -> ByteImage:
    """Return the pixels of either kind of image message (see `decode`, `decode_compressed`)."""
    if hasattr(msg, 'encoding'):
        return decode(cast('Image', msg))
    return decode_compressed(msg)


def camera(info: CameraInfo, *, rectified: bool = False) -> Camera | None:
    """Return the calibration of an image, or None when the message says it has none (K is zero).

    Binning and region of interest (REP 104) are applied: K of the message belongs to the full
    sensor, the camera returned to the image as it is published.

    Args:
        info: The message.
        rectified: Whether the image is rectified already (see `dlcv.interface.rectified`): then P
            holds, or K where P is zero, and nothing is distorted.

    Raises:
        MessageError: If the intrinsics are not finite or the size is zero.
    """
    k: npt.NDArray[Any] = _matrix(info.k, 'K', 9).reshape(3, 3)
    if k[0, 0] == 0.0:
        return None
    if rectified and (p := _matrix(info.p, 'P', 12).reshape(3, 4))[0, 0] != 0.0:
        k = p[:, :3]
    try:
        full = Camera(
            width=int(info.width),
            height=int(info.height),
            fx=float(k[0, 0]),
            fy=float(k[1, 1]),
            cx=float(k[0, 2]),
            cy=float(k[1, 2]),
            distortion=() if rectified else tuple(map(float, info.d)),
            distortion_model=('' if rectified else info.distortion_model) or 'plumb_bob',
        )
    except ValueError as err:
        raise MessageError(f'camera_info cannot be used: {err}') from None
    return _binned(full, info)


def _matrix(numbers: Any, name: str, count: int) -> npt.NDArray[np.float64]:
    values = np.asarray(numbers, np.float64).ravel()
    if values.size != count:
        raise MessageError(f'camera_info has {values.size} numbers in {name}; {count} are needed')
    return values


def _binned(full: Camera, info: CameraInfo) -> Camera:
    roi = info.roi
    if roi.width and roi.height:
        full = full.cropped(roi.x_offset, roi.y_offset, roi.width, roi.height)
    x, y = max(1, int(info.binning_x)), max(1, int(info.binning_y))
    if (x, y) == (1, 1):
        return full
    return full.scaled(max(1, full.width // x), max(1, full.height // y))


def frame(msg: Image | CompressedImage, calibration: Camera | None = None) -> Frame:
    """Return the frame of an image message; ``calibration`` must have the size of the image.

    Raises:
        MessageError: If the image cannot be decoded, or the calibration is of another size.
    """
    pixels = decode_any(msg)
    height, width = pixels.shape[:2]
    if calibration is not None and (calibration.width, calibration.height) != (width, height):
        raise MessageError(
            f'camera_info is of {calibration.width}x{calibration.height} pixels, '
            f'the image of {width}x{height}'
        )
    return Frame(
        stamp_ns=stamp_ns(msg.header.stamp),
        image=pixels,
        camera=calibration,
        frame_id=frame_of(msg),
    )


def points_of(cloud: Any) -> npt.NDArray[Any]:
    """Return the points of a ``sensor_msgs/PointCloud2`` as a structured array ``(N,)``.

    Raises:
        MessageError: If a field is of a kind that is not read, or the data is too short.
    """
    kinds = {value: name for name, value in FIELD_TYPES.items()}
    if unknown := [f.name for f in cloud.fields if f.datatype not in kinds]:
        raise MessageError(f'fields {unknown} of a cloud are of none of {", ".join(FIELD_TYPES)}')
    dtype = np.dtype(
        {
            'names': [f.name for f in cloud.fields],
            'formats': [
                (kinds[f.datatype], (f.count,)) if f.count > 1 else kinds[f.datatype]
                for f in cloud.fields
            ],
            'offsets': [f.offset for f in cloud.fields],
            'itemsize': cloud.point_step,
        }
    )
    count, data = cloud.width * cloud.height, np.frombuffer(cloud.data, np.uint8)
    if data.size < count * dtype.itemsize:
        raise MessageError(f'{data.size} bytes are too few for {count} points of {dtype.itemsize}')
    return np.frombuffer(cloud.data, dtype, count=count)


def pose_matrix(pose: Any) -> npt.NDArray[np.float64]:
    """Return a ``geometry_msgs/Pose`` as a rigid motion ``(4, 4)``.

    Raises:
        MessageError: If a number is not finite, or the quaternion's length is not 1 (to 1 %).
    """
    return _rigid(pose.position, pose.orientation)


def transform_matrix(transform: Any) -> npt.NDArray[np.float64]:
    """Return a ``geometry_msgs/Transform`` as a rigid motion; raises like `pose_matrix`."""
    return _rigid(transform.translation, transform.rotation)


def take_transforms(buffer: TransformBuffer, message: Any, *, static: bool) -> list[str]:
    """Put the transforms of a ``tf2_msgs/TFMessage`` into a buffer.

    Returns:
        Complaints about those that cannot be used.
    """
    complaints = []
    for entry in message.transforms:
        parent, child = frame_of(entry), frame_name(entry.child_frame_id)
        try:
            matrix = transform_matrix(entry.transform)
        except MessageError as err:
            complaints.append(f'{parent} -> {child}: {err}')
            continue
        buffer.add(parent, child, matrix, stamp_ns(entry.header.stamp), static=static)
    return complaints


def covariance_matrix(numbers: Any) -> npt.NDArray[np.float64]:
    """Return the 36 numbers of a message as a symmetric ``(6, 6)`` matrix.

    Raises:
        MessageError: If a number is not finite or a variance is negative.
    """
    matrix = np.asarray(numbers, np.float64).reshape(6, 6)
    if not np.isfinite(matrix).all() or (np.diag(matrix) < 0).any():
        raise MessageError(f'no covariance: its diagonal is {np.diag(matrix).tolist()}')
    return np.asarray((matrix + matrix.T) / 2)


def _rigid(position: Any, rotation: Any) -> npt.NDArray[np.float64]:
    from scipy.spatial.transform import Rotation

    xyz = [float(value) for value in (position.x, position.y, position.z)]
    xyzw = [float(value) for value in (rotation.x, rotation.y, rotation.z, rotation.w)]
    length = float(np.linalg.norm(xyzw))
    if not np.isfinite([*xyz, length]).all() or abs(length - 1) > MAX_STRETCH:
        raise MessageError(f'no pose: position {xyz}, quaternion xyzw {xyzw}')
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_quat(xyzw).as_matrix()
    matrix[:3, 3] = xyz
    return matrix
