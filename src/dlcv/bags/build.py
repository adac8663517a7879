"""ROS messages from our values, as rosbags' classes; no ROS needed.

``rosbags`` makes a dataclass of each message type at run time, so the messages here are ``Any``.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Literal

import numpy as np

from dlcv.bags.errors import BagError
from dlcv.types import Camera, FloatArray

IMAGE = 'sensor_msgs/msg/Image'
COMPRESSED_IMAGE = 'sensor_msgs/msg/CompressedImage'
CAMERA_INFO = 'sensor_msgs/msg/CameraInfo'
ODOMETRY = 'nav_msgs/msg/Odometry'
TF = 'tf2_msgs/msg/TFMessage'


@cache
def typestore() -> Any:
    """Return the message definitions of ROS 2 Jazzy."""
    from rosbags.typesys import Stores, get_typestore

    return get_typestore(Stores.ROS2_JAZZY)


def message(msgtype: str, **fields: object) -> Any:
    """Make a message of a type such as ``geometry_msgs/msg/Point``."""
    return typestore().types[msgtype](**fields)


def header(stamp_ns: int, frame_id: str) -> Any:
    """Make a std_msgs/Header.

    Raises:
        BagError: The time does not fit ROS's 32-bit seconds.
    """
    seconds, nanoseconds = divmod(int(stamp_ns), 1_000_000_000)
    if not 0 <= seconds < 2**31:
        raise BagError(f'a ROS stamp lies between 1970 and 2038, got {stamp_ns} ns')
    stamp = message('builtin_interfaces/msg/Time', sec=seconds, nanosec=nanoseconds)
    return message('std_msgs/msg/Header', stamp=stamp, frame_id=frame_id)


def image(head: Any, pixels: np.ndarray[Any, Any]) -> Any:
    """Make a sensor_msgs/Image of a picture, depth or flow; copies only what is not contiguous.

    Args:
        head: Its header.
        pixels: ``(H, W)`` or ``(H, W, 3)`` uint8, or ``(H, W)`` or ``(H, W, 2)`` floating point.
    """
    encoding = _encoding(pixels)
    if encoding.startswith('32F'):
        pixels = pixels.astype('<f4', copy=False)
    flat = np.ascontiguousarray(pixels).reshape(-1).view(np.uint8)
    return message(
        IMAGE,
        header=head,
        height=pixels.shape[0],
        width=pixels.shape[1],
        encoding=encoding,
        is_bigendian=0,
        step=flat.size // pixels.shape[0],
        data=flat,
    )


def _encoding(pixels: np.ndarray[Any, Any]) -> str:
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    names = {('u1', 1): 'mono8', ('u1', 3): 'rgb8', ('f', 1): '32FC1', ('f', 2): '32FC2'}
    kind = 'f' if pixels.dtype.kind == 'f' else pixels.dtype.str[1:]
    if (kind, channels) not in names or pixels.ndim not in (2, 3) or not pixels.size:
        raise BagError(
            f'no image message for an array of {pixels.dtype} with shape {pixels.shape}; there '
            'are (H, W) and (H, W, 3) bytes, (H, W) and (H, W, 2) floats'
        )
    return names[kind, channels]


def compressed_image(
    head: Any, pixels: np.ndarray[Any, Any], codec: Literal['jpeg', 'png'], quality: int = 95
) -> Any:
    """Make a sensor_msgs/CompressedImage, with the ``format`` text of image_transport.

    Args:
        head: Its header.
        pixels: ``(H, W)`` grey or ``(H, W, 3)`` RGB, uint8.
        codec: File format of the data.
        quality: 1 to 100, of JPEG.

    Raises:
        BagError: The picture cannot be encoded.
    """
    import cv2

    grey = pixels.ndim == 2
    bgr = pixels if grey else np.ascontiguousarray(pixels[..., ::-1])
    flags = [cv2.IMWRITE_JPEG_QUALITY, quality] if codec == 'jpeg' else []
    good, data = cv2.imencode(f'.{codec}', bgr, flags)
    if not good:
        raise BagError(f'OpenCV cannot write a {codec} of shape {pixels.shape}')
    text = f'mono8; {codec} compressed ' if grey else f'rgb8; {codec} compressed bgr8'
    return message(COMPRESSED_IMAGE, header=head, format=text, data=data.reshape(-1))


def camera_info(
    head: Any, camera: Camera | None, size: tuple[int, int], *, baseline: float = 0.0
) -> Any:
    """Make a sensor_msgs/CameraInfo; K of zeros says uncalibrated, as the message defines.

    Args:
        head: Its header, the same as the image's.
        camera: The intrinsics, if known.
        size: ``(height, width)`` of the image.
        baseline: Metres that this camera lies to the right of the first one of a stereo pair.
    """
    height, width = size
    k = np.zeros((3, 3)) if camera is None else camera.matrix
    p = np.zeros((3, 4))
    p[:, :3] = k
    p[0, 3] = -k[0, 0] * baseline  # Tx of the message's definition
    none = message(
        'sensor_msgs/msg/RegionOfInterest',
        x_offset=0,
        y_offset=0,
        height=0,
        width=0,
        do_rectify=False,
    )
    return message(
        CAMERA_INFO,
        header=head,
        height=height,
        width=width,
        distortion_model='plumb_bob' if camera is None else camera.distortion_model,
        d=_coefficients(camera),
        k=k.reshape(-1),
        r=np.eye(3).reshape(-1),
        p=p.reshape(-1),
        binning_x=0,
        binning_y=0,
        roi=none,
    )


def _coefficients(camera: Camera | None) -> FloatArray:
    if camera is None:
        return np.zeros(0)
    return np.array(camera.distortion or (0.0,) * 5, np.float64)


def odometry(
    head: Any,
    child_frame: str,
    map_from_body: FloatArray,
    linear: FloatArray,
    angular: FloatArray,
) -> Any:
    """Make a nav_msgs/Odometry; its covariances are zero, which says "not known".

    Args:
        head: Its header; the frame is the fixed one.
        child_frame: The moving frame, in which the velocities are given.
        map_from_body: ``(4, 4)`` metres.
        linear: ``(3,)`` m/s along the child's axes.
        angular: ``(3,)`` rad/s about the child's axes.
    """
    pose = message(
        'geometry_msgs/msg/Pose',
        position=_vector('Point', map_from_body[:3, 3]),
        orientation=_quaternion(map_from_body),
    )
    twist = message(
        'geometry_msgs/msg/Twist',
        linear=_vector('Vector3', linear),
        angular=_vector('Vector3', angular),
    )
    none = np.zeros(36)
    return message(
        ODOMETRY,
        header=head,
        child_frame_id=child_frame,
        pose=message('geometry_msgs/msg/PoseWithCovariance', pose=pose, covariance=none),
        twist=message('geometry_msgs/msg/TwistWithCovariance', twist=twist, covariance=none),
    )


def transform(head: Any, child_frame: str, parent_from_child: FloatArray) -> Any:
    """Make a geometry_msgs/TransformStamped of a ``(4, 4)`` pose of the child in the parent."""
    return message(
        'geometry_msgs/msg/TransformStamped',
        header=head,
        child_frame_id=child_frame,
        transform=message(
            'geometry_msgs/msg/Transform',
            translation=_vector('Vector3', parent_from_child[:3, 3]),
            rotation=_quaternion(parent_from_child),
        ),
    )


def tf(*transforms: Any) -> Any:
    """Make a tf2_msgs/TFMessage."""
    return message(TF, transforms=list(transforms))


def _vector(name: str, xyz: FloatArray) -> Any:
    x, y, z = map(float, xyz)
    return message(f'geometry_msgs/msg/{name}', x=x, y=y, z=z)


def _quaternion(pose: FloatArray) -> Any:
    from scipy.spatial.transform import Rotation

    x, y, z, w = map(float, Rotation.from_matrix(pose[:3, :3]).as_quat())
    return message('geometry_msgs/msg/Quaternion', x=x, y=y, z=z, w=w)
