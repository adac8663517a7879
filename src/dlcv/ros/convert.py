"""Results into messages: the one place that knows both the suite's values and ROS types.

Bulk data always goes in as ``array.array('B')``: rclpy takes it as it is, while it looks at every
single element of ``bytes`` or a list.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from builtin_interfaces.msg import Time
from geometry_msgs.msg import (
    Point,
    Pose,
    PoseArray,
    PoseStamped,
    PoseWithCovarianceStamped,
    Quaternion,
    Transform,
    TransformStamped,
    Vector3,
)
from nav_msgs.msg import Odometry, Path
from scipy.spatial.transform import Rotation
from sensor_msgs.msg import CameraInfo, Image, PointCloud2, PointField, TimeReference
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import ImageMarker

from dlcv.types import Camera, FloatArray, Keypoints, Matches

DESCRIPTOR_SCALE = 127  # int8 descriptors are unit vectors times this
_MARKER_COLOUR = ColorRGBA(r=0.25, g=1.0, b=0.25, a=1.0)
_ENCODINGS: dict[tuple[str, int], str] = {
    ('float32', 1): '32FC1',
    ('float32', 2): '32FC2',
    ('uint16', 1): '16UC1',
    ('uint8', 1): 'mono8',
    ('uint8', 3): 'rgb8',
}
_FIELDS: dict[str, int] = {
    'int8': PointField.INT8,
    'uint8': PointField.UINT8,
    'float32': PointField.FLOAT32,
    'float64': PointField.FLOAT64,
}


class ConvertError(ValueError):
    """A value has no place in the message; the text says what it is and what is needed."""


# time and headers --------------------------------------------------------------------------


def time_of(stamp_ns: int) -> Time:
    """Return integer nanoseconds as a message."""
    sec, nanosec = divmod(stamp_ns, 10**9)
    return Time(sec=sec, nanosec=nanosec)


def header_in(frame_id: str, stamp: Time) -> Header:
    """Return a header of another frame for the same moment."""
    return Header(stamp=stamp, frame_id=frame_id)


def time_reference(header: Header, stamp_ns: int, source: str) -> TimeReference:
    """Return a moment that belongs to a message of another moment."""
    return TimeReference(header=header, time_ref=time_of(stamp_ns), source=source)


# pictures ----------------------------------------------------------------------------------


def image(header: Header, pixels: npt.NDArray[Any]) -> Image:
    """Return ``(H, W)`` or ``(H, W, C)`` values as an image message.

    float32 becomes 32FC1 or 32FC2, uint16 16UC1, uint8 mono8 or rgb8.

    Raises:
        ConvertError: If no encoding fits.
    """
    channels = 1 if pixels.ndim == 2 else pixels.shape[-1]
    encoding = _ENCODINGS.get((pixels.dtype.name, channels))
    if encoding is None or pixels.ndim not in (2, 3):
        raise ConvertError(
            f'{pixels.dtype} of shape {pixels.shape} is no image; there are '
            f'{", ".join(f"{encoding} ({kind})" for (kind, _), encoding in _ENCODINGS.items())}'
        )
    height, width = pixels.shape[:2]
    return Image(
        header=header,
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=0,
        step=width * channels * pixels.dtype.itemsize,
        data=_raw(pixels),
    )


def millimetres(depth: FloatArray) -> npt.NDArray[np.uint16]:
    """Return metres as 16-bit millimetres (REP 118): 0 where unknown or out of range."""
    with np.errstate(invalid='ignore', over='ignore'):
        scaled = np.rint(np.asarray(depth, np.float32) * np.float32(1e3))
        usable = (scaled >= 1) & (scaled <= np.iinfo(np.uint16).max)  # False for NaN
    return np.where(usable, scaled, 0).astype(np.uint16)


def camera_info(header: Header, camera: Camera, binning: int = 1) -> CameraInfo:
    """Return a calibration.

    Args:
        header: That of the image it belongs to.
        camera: Intrinsics of the full picture.
        binning: Full-size pixels between two samples of the image it belongs to. K, D and P stay
            those of the full picture (REP 104).
    """
    k = camera.matrix
    p = np.hstack((k, np.zeros((3, 1))))
    return CameraInfo(
        header=header,
        height=camera.height,
        width=camera.width,
        distortion_model=camera.distortion_model,
        d=list(camera.distortion) or [0.0] * 5,
        k=k.ravel(),
        r=np.eye(3).ravel(),
        p=p.ravel(),
        binning_x=binning,
        binning_y=binning,
    )


# points ------------------------------------------------------------------------------------


def cloud(header: Header, points: npt.NDArray[Any], dense: bool = True) -> PointCloud2:
    """Return a structured array ``(N,)`` as an unordered cloud with the same fields.

    Args:
        header: Header of the cloud.
        points: Its dtype's fields are numbers, or vectors of numbers.
        dense: Whether all points are finite.
    """
    dtype = points.dtype
    if dtype.fields is None:
        raise ConvertError(f'a cloud needs a structured array, got {dtype}')
    return PointCloud2(
        header=header,
        height=1,
        width=points.size,
        fields=[_field(name, *entry[:2]) for name, entry in dtype.fields.items()],
        is_bigendian=False,
        point_step=dtype.itemsize,
        row_step=dtype.itemsize * points.size,
        data=_raw(points),
        is_dense=dense,
    )


def points_of(message: PointCloud2) -> npt.NDArray[Any]:
    """Return the points of a cloud as a structured array ``(N,)``; undoes `cloud`."""
    kinds = {value: name for name, value in _FIELDS.items()}
    dtype = np.dtype(
        {
            'names': [f.name for f in message.fields],
            'formats': [
                (kinds[f.datatype], (f.count,)) if f.count > 1 else kinds[f.datatype]
                for f in message.fields
            ],
            'offsets': [f.offset for f in message.fields],
            'itemsize': message.point_step,
        }
    )
    return np.frombuffer(message.data, dtype, count=message.width * message.height)


def keypoint_cloud(header: Header, keypoints: Keypoints, descriptor_format: str) -> PointCloud2:
    """Return interest points with the fields x y z, u v, score and descriptor.

    Args:
        header: Header of the image.
        keypoints: The points; without rays x, y and z are NaN.
        descriptor_format: ``int8`` (unit vector times 127, rounded), ``float32`` or ``none``.
    """
    kind: list[tuple[Any, ...]] = [(name, '<f4') for name in ('x', 'y', 'z', 'u', 'v', 'score')]
    if descriptor_format != 'none':
        size = keypoints.descriptors.shape[1]
        kind.append(('descriptor', {'int8': 'i1', 'float32': '<f4'}[descriptor_format], (size,)))
    points = np.empty(len(keypoints.xy), np.dtype(kind))
    rays = np.float32(np.nan) if keypoints.rays is None else keypoints.rays
    points['x'], points['y'], points['z'] = np.broadcast_to(rays, (len(points), 3)).T
    points['u'], points['v'] = keypoints.xy.T
    points['score'] = keypoints.scores
    if descriptor_format == 'int8':
        points['descriptor'] = np.rint(keypoints.descriptors * DESCRIPTOR_SCALE)
    elif descriptor_format == 'float32':
        points['descriptor'] = keypoints.descriptors
    return cloud(header, points, dense=keypoints.rays is not None)


def match_cloud(header: Header, matches: Matches) -> PointCloud2:
    """Return matches with the fields u0 v0 (previous image), u v (this image) and score."""
    kind = np.dtype([(name, '<f4') for name in ('u0', 'v0', 'u', 'v', 'score')])
    points = np.empty(len(matches.xy), kind)
    points['u0'], points['v0'] = matches.previous_xy.T
    points['u'], points['v'] = matches.xy.T
    points['score'] = matches.scores
    return cloud(header, points)


def keypoint_marker(header: Header, xy: FloatArray, diameter: float = 3.0) -> ImageMarker:
    """Return pixels ``(N, 2)`` as one marker of points, ``diameter`` pixels wide."""
    return ImageMarker(
        header=header,
        ns='keypoints',
        type=ImageMarker.POINTS,
        action=ImageMarker.ADD,
        scale=diameter,
        outline_color=_MARKER_COLOUR,
        filled=0,
        points=[Point(x=x, y=y) for x, y in np.asarray(xy, np.float64).tolist()],
    )


# poses -------------------------------------------------------------------------------------


def pose(matrix: FloatArray) -> Pose:
    """Return a rigid motion ``(4, 4)`` as a pose."""
    x, y, z = map(float, matrix[:3, 3])
    return Pose(position=Point(x=x, y=y, z=z), orientation=_quaternion(matrix))


def pose_matrix(message: Pose) -> npt.NDArray[np.float64]:
    """Return a pose as a rigid motion ``(4, 4)``.

    Raises:
        ConvertError: If a number is not finite, or the quaternion is far from length 1.
    """
    p, q = message.position, message.orientation
    return _rigid((p.x, p.y, p.z), (q.x, q.y, q.z, q.w))


def transform(header: Header, child_frame_id: str, matrix: FloatArray) -> TransformStamped:
    """Return ``parent_from_child`` ``(4, 4)`` as the transform of ``child_frame_id``."""
    x, y, z = map(float, matrix[:3, 3])
    return TransformStamped(
        header=header,
        child_frame_id=child_frame_id,
        transform=Transform(translation=Vector3(x=x, y=y, z=z), rotation=_quaternion(matrix)),
    )


def transform_matrix(message: Transform) -> npt.NDArray[np.float64]:
    """Return a transform as a rigid motion ``(4, 4)``; raises like `pose_matrix`."""
    p, q = message.translation, message.rotation
    return _rigid((p.x, p.y, p.z), (q.x, q.y, q.z, q.w))


def pose_with_covariance(
    header: Header, matrix: FloatArray, covariance: FloatArray
) -> PoseWithCovarianceStamped:
    """Return a pose ``(4, 4)`` and its covariance ``(6, 6)`` of (x, y, z, rx, ry, rz)."""
    message = PoseWithCovarianceStamped(header=header)
    message.pose.pose = pose(matrix)
    message.pose.covariance = np.asarray(covariance, np.float64).ravel()
    return message


def pose_stamped(header: Header, matrix: FloatArray) -> PoseStamped:
    """Return a pose ``(4, 4)`` with its header."""
    return PoseStamped(header=header, pose=pose(matrix))


def pose_array(header: Header, matrices: Iterable[FloatArray]) -> PoseArray:
    """Return poses ``(K, 4, 4)`` in one message."""
    stacked = np.reshape(list(matrices), (-1, 4, 4))
    if not len(stacked):
        return PoseArray(header=header)
    turns = Rotation.from_matrix(stacked[:, :3, :3]).as_quat()  # one call: 64 of them take 1.5 ms
    poses = [
        Pose(position=Point(x=x, y=y, z=z), orientation=Quaternion(x=qx, y=qy, z=qz, w=qw))
        for (x, y, z), (qx, qy, qz, qw) in zip(
            stacked[:, :3, 3].tolist(), turns.tolist(), strict=True
        )
    ]
    return PoseArray(header=header, poses=poses)


def path(header: Header, poses: Sequence[PoseStamped]) -> Path:
    """Return poses in the order of time as a path."""
    return Path(header=header, poses=list(poses))


def odometry(
    header: Header,
    child_frame_id: str,
    matrix: FloatArray,
    covariance: FloatArray,
    twist: FloatArray,
    twist_covariance: FloatArray,
) -> Odometry:
    """Return a pose in the header's frame and the velocity in the child frame.

    Args:
        header: Fixed frame and time.
        child_frame_id: Moving frame.
        matrix: ``(4, 4)`` fixed_from_moving, metres.
        covariance: ``(6, 6)`` of the pose, fixed axes.
        twist: ``(6,)`` vx vy vz (m/s), wx wy wz (rad/s) in moving axes.
        twist_covariance: ``(6, 6)`` of the twist.
    """
    message = Odometry(header=header, child_frame_id=child_frame_id)
    message.pose.pose = pose(matrix)
    message.pose.covariance = np.asarray(covariance, np.float64).ravel()
    vx, vy, vz, wx, wy, wz = map(float, twist)
    message.twist.twist.linear = Vector3(x=vx, y=vy, z=vz)
    message.twist.twist.angular = Vector3(x=wx, y=wy, z=wz)
    message.twist.covariance = np.asarray(twist_covariance, np.float64).ravel()
    return message


def covariance_matrix(numbers: Sequence[float]) -> npt.NDArray[np.float64]:
    """Return the 36 numbers of a message as a symmetric ``(6, 6)`` matrix.

    Raises:
        ConvertError: If a number is not finite or a variance is negative.
    """
    matrix = np.asarray(numbers, np.float64).reshape(6, 6)
    if not np.isfinite(matrix).all() or (np.diag(matrix) < 0).any():
        raise ConvertError(f'no covariance: its diagonal is {np.diag(matrix).tolist()}')
    return np.asarray((matrix + matrix.T) / 2)


# -------------------------------------------------------------------------------------------


def _raw(values: npt.NDArray[Any]) -> array[int]:
    data: array[int] = array('B')
    data.frombytes(np.ascontiguousarray(values).data.cast('B') if values.size else b'')
    return data


def _field(name: str, dtype: np.dtype[Any], offset: int) -> PointField:
    kind = _FIELDS.get(dtype.base.name)
    if kind is None:
        raise ConvertError(f'field {name!r} is of {dtype.base}; known are {", ".join(_FIELDS)}')
    count = int(np.prod(dtype.shape, dtype=int))
    return PointField(name=name, offset=offset, datatype=kind, count=count)


def _quaternion(matrix: FloatArray) -> Quaternion:
    x, y, z, w = map(float, Rotation.from_matrix(matrix[:3, :3]).as_quat())
    return Quaternion(x=x, y=y, z=z, w=w)


def _rigid(
    position: tuple[float, float, float], xyzw: tuple[float, float, float, float]
) -> npt.NDArray[np.float64]:
    length = float(np.linalg.norm(xyzw))
    if not np.isfinite((*position, length)).all() or abs(length - 1) > 0.1:
        raise ConvertError(f'no pose: position {position}, quaternion xyzw {xyzw}')
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_quat(xyzw).as_matrix()
    matrix[:3, 3] = position
    return matrix
