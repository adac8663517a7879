"""Values into messages, whoever's classes they are of: those of a ROS installation or of rosbags.

Every field of a message is given, as rosbags' classes have no defaults.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from dlcv.interface.messages.read import DESCRIPTOR_SCALE, FIELD_TYPES, MessageError
from dlcv.types import ByteImage, Camera, FloatArray, Keypoints, Matches

_ENCODINGS: dict[tuple[str, int], str] = {
    ('f4', 1): '32FC1',
    ('f4', 2): '32FC2',
    ('u2', 1): '16UC1',
    ('u1', 1): 'mono8',
    ('u1', 3): 'rgb8',
}
_POINTS, _ADD = 4, 0  # of visualization_msgs/ImageMarker
_MARKER_COLOUR = 0.25, 1.0, 0.25, 1.0


class Vocabulary(Protocol):
    """The classes of messages, and what they want their lists of numbers to be."""

    def type(self, name: str) -> Callable[..., Any]:
        """Return the class of ``package/msg/Name``."""

    def octets(self, values: npt.NDArray[Any]) -> Any:
        """Return the memory of values, in the order of C, as the class wants a list of bytes."""

    def octet(self, value: int) -> Any:
        """Return a number as the class wants a single byte."""

    def doubles(self, values: Iterable[float]) -> Any:
        """Return numbers as the class wants a list of float64 without a fixed length."""

    def signed(self, values: npt.NDArray[np.int8]) -> Any:
        """Return numbers as the class wants a list of int8."""

    def singles(self, values: npt.NDArray[Any]) -> Any:
        """Return numbers as the class wants a list of float32."""


class Composer:
    """Makes messages.

    Args:
        vocabulary: The classes.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._words = vocabulary

    def make(self, kind: str, /, **fields: object) -> Any:
        """Make a message of a type such as ``std_msgs/msg/Header`` of all its fields."""
        return self._words.type(kind)(**fields)

    def octets(self, values: npt.NDArray[Any]) -> Any:
        """Return the memory of values as a list of bytes."""
        return self._words.octets(values)

    # time and headers

    def header(self, stamp_ns: int, frame_id: str) -> Any:
        """Make a std_msgs/Header.

        Raises:
            MessageError: The time does not fit ROS's 32-bit seconds.
        """
        return self.header_in(frame_id, self.time(stamp_ns))

    def header_in(self, frame_id: str, stamp: Any) -> Any:
        """Make a header in a frame, for the moment of another message."""
        return self.make('std_msgs/msg/Header', stamp=stamp, frame_id=frame_id)

    def time(self, stamp_ns: int) -> Any:
        """Make a builtin_interfaces/Time of integer nanoseconds; raises like `header`."""
        seconds, nanoseconds = divmod(int(stamp_ns), 10**9)
        if not 0 <= seconds < 2**31:
            raise MessageError(f'a ROS stamp lies between 1970 and 2038, got {stamp_ns} ns')
        return self.make('builtin_interfaces/msg/Time', sec=seconds, nanosec=nanoseconds)

    def time_reference(self, header: Any, stamp_ns: int, source: str) -> Any:
        """Make a sensor_msgs/TimeReference: a moment that belongs to a message of another one."""
        return self.make(
            'sensor_msgs/msg/TimeReference',
            header=header,
            time_ref=self.time(stamp_ns),
            source=source,
        )

    def diagnostic_status(
        self, level: int, name: str, message: str, values: Mapping[str, str]
    ) -> Any:
        """Make a diagnostic_msgs/DiagnosticStatus; level 0 is OK, 1 WARN, 2 ERROR."""
        kind = 'diagnostic_msgs/msg/KeyValue'
        return self.make(
            'diagnostic_msgs/msg/DiagnosticStatus',
            level=self._words.octet(level),
            name=name,
            message=message,
            hardware_id='',
            values=[self.make(kind, key=key, value=value) for key, value in values.items()],
        )

    # pictures

    def image(self, header: Any, pixels: npt.NDArray[Any]) -> Any:
        """Make a sensor_msgs/Image of a picture, of depth or of flow.

        Args:
            header: Its header.
            pixels: ``(H, W)`` or ``(H, W, C)``: float32 becomes 32FC1 or 32FC2, uint16 16UC1, uint8
                mono8 or rgb8.

        Raises:
            MessageError: If no encoding fits.
        """
        channels = 1 if pixels.ndim == 2 else pixels.shape[-1]
        encoding = _ENCODINGS.get((pixels.dtype.str[1:], channels))
        if encoding is None or pixels.ndim not in (2, 3) or not pixels.size:
            known = ', '.join(
                f'{name} (H, W{f", {count}" if count > 1 else ""}) of {np.dtype(kind)}'
                for (kind, count), name in _ENCODINGS.items()
            )
            raise MessageError(
                f'{pixels.dtype} of shape {pixels.shape} is no image; there are {known}'
            )
        height, width = pixels.shape[:2]
        pixels = pixels.astype(pixels.dtype.newbyteorder('<'), copy=False)
        return self.make(
            'sensor_msgs/msg/Image',
            header=header,
            height=height,
            width=width,
            encoding=encoding,
            is_bigendian=0,
            step=width * channels * pixels.dtype.itemsize,
            data=self._words.octets(pixels),
        )

    def compressed_image(
        self, header: Any, pixels: ByteImage, codec: Literal['jpeg', 'png'], quality: int = 95
    ) -> Any:
        """Make a sensor_msgs/CompressedImage, with the ``format`` text of image_transport.

        Args:
            header: Its header.
            pixels: ``(H, W)`` grey or ``(H, W, 3)`` RGB.
            codec: File format of the data.
            quality: 1 to 100, of JPEG.

        Raises:
            MessageError: The picture cannot be encoded.
        """
        import cv2

        grey = pixels.ndim == 2
        bgr = pixels if grey else np.ascontiguousarray(pixels[..., ::-1])
        flags = [cv2.IMWRITE_JPEG_QUALITY, quality] if codec == 'jpeg' else []
        good, data = cv2.imencode(f'.{codec}', bgr, flags)
        if not good:
            raise MessageError(f'OpenCV cannot write a {codec} of shape {pixels.shape}')
        return self.make(
            'sensor_msgs/msg/CompressedImage',
            header=header,
            format=f'mono8; {codec} compressed ' if grey else f'rgb8; {codec} compressed bgr8',
            data=self._words.octets(data.reshape(-1)),
        )

    def camera_info(
        self,
        header: Any,
        camera: Camera | None,
        size: tuple[int, int] | None = None,
        *,
        binning: int = 1,
        baseline: float = 0.0,
    ) -> Any:
        """Make a sensor_msgs/CameraInfo; K of zeros says uncalibrated, as the message defines.

        Args:
            header: That of the image it belongs to.
            camera: Intrinsics of the full picture, if known.
            size: ``(height, width)`` of the full picture; that of the camera unless told.
            binning: Full-size pixels between two samples of the image it belongs to. K, D and P
                stay those of the full picture (REP 104).
            baseline: Metres that this camera lies to the right of the first one of a stereo pair.

        Raises:
            MessageError: If neither the camera nor the size is known.
        """
        if camera is not None:
            size = size or (camera.height, camera.width)
        if size is None:
            raise MessageError('an uncalibrated camera needs its size')
        k = np.zeros((3, 3)) if camera is None else camera.matrix
        p = np.hstack((k, [[-k[0, 0] * baseline], [0], [0]]))  # Tx of the message's definition
        model, coefficients = 'plumb_bob', (0.0,) * (0 if camera is None else 5)
        if camera is not None and camera.distortion:  # without, it is ideal whatever its lens was
            model, coefficients = camera.distortion_model, camera.distortion
        return self.make(
            'sensor_msgs/msg/CameraInfo',
            header=header,
            height=size[0],
            width=size[1],
            distortion_model=model,
            d=self._words.doubles(coefficients),
            k=k.reshape(-1),
            r=np.eye(3).reshape(-1),
            p=p.reshape(-1),
            binning_x=binning,
            binning_y=binning,
            roi=self.make(
                'sensor_msgs/msg/RegionOfInterest',
                x_offset=0,
                y_offset=0,
                height=0,
                width=0,
                do_rectify=False,
            ),
        )

    def disparity_image(
        self,
        header: Any,
        disparity: FloatArray,
        camera: Camera,
        baseline: float,
        reach: tuple[float, float],
    ) -> Any:
        """Make a stereo_msgs/DisparityImage; what is unknown lies below its least disparity.

        Args:
            header: That of the left image.
            disparity: ``(H, W)`` float32 pixels, less what the principal points are apart, so that
                depth is fx times the baseline over it; NaN where unknown.
            camera: The rectified left camera.
            baseline: Metres.
            reach: Least and greatest disparity that there can be, pixels.
        """
        height, width = disparity.shape
        known = np.where(np.isfinite(disparity), disparity, np.float32(reach[0] - 1))
        return self.make(
            'stereo_msgs/msg/DisparityImage',
            header=header,
            image=self.image(header, known.astype(np.float32, copy=False)),
            f=float(camera.fx),
            t=float(baseline),
            valid_window=self.make(
                'sensor_msgs/msg/RegionOfInterest',
                x_offset=0,
                y_offset=0,
                height=height,
                width=width,
                do_rectify=False,
            ),
            min_disparity=float(reach[0]),
            max_disparity=float(reach[1]),
            delta_d=0.0,
        )

    # points

    def cloud(self, header: Any, points: npt.NDArray[Any], *, dense: bool = True) -> Any:
        """Make an unordered sensor_msgs/PointCloud2.

        Args:
            header: Header of the cloud.
            points: ``(N,)`` of a dtype whose fields are numbers, or vectors of numbers.
            dense: Whether all points are finite.

        Raises:
            MessageError: If the dtype has no fields, or one of another kind.
        """
        dtype = points.dtype
        if dtype.fields is None:
            raise MessageError(f'a cloud needs a structured array, got {dtype}')
        return self.make(
            'sensor_msgs/msg/PointCloud2',
            header=header,
            height=1,
            width=points.size,
            fields=[self._field(name, *entry[:2]) for name, entry in dtype.fields.items()],
            is_bigendian=False,
            point_step=dtype.itemsize,
            row_step=dtype.itemsize * points.size,
            data=self._words.octets(points),
            is_dense=dense,
        )

    def keypoint_cloud(self, header: Any, keypoints: Keypoints, descriptor_format: str) -> Any:
        """Make a cloud of interest points with the fields x y z, u v, score and descriptor.

        Args:
            header: Header of the image.
            keypoints: The points; without rays x, y and z are NaN.
            descriptor_format: ``int8`` (unit vector times 127, rounded), ``float32`` or ``none``.
        """
        kind: list[tuple[Any, ...]] = [(name, '<f4') for name in ('x', 'y', 'z', 'u', 'v', 'score')]
        if descriptor_format != 'none':
            size = keypoints.descriptors.shape[1]
            each = {'int8': 'i1', 'float32': '<f4'}[descriptor_format]
            kind.append(('descriptor', each, (size,)))
        points = np.empty(len(keypoints.xy), np.dtype(kind))
        rays = np.float32(np.nan) if keypoints.rays is None else keypoints.rays
        points['x'], points['y'], points['z'] = np.broadcast_to(rays, (len(points), 3)).T
        points['u'], points['v'] = keypoints.xy.T
        points['score'] = keypoints.scores
        if descriptor_format == 'int8':
            points['descriptor'] = np.rint(keypoints.descriptors * DESCRIPTOR_SCALE)
        elif descriptor_format == 'float32':
            points['descriptor'] = keypoints.descriptors
        return self.cloud(header, points, dense=keypoints.rays is not None)

    def match_cloud(self, header: Any, matches: Matches) -> Any:
        """Make a cloud with the fields u0 v0 (previous image), u v (this image) and score."""
        kind = np.dtype([(name, '<f4') for name in ('u0', 'v0', 'u', 'v', 'score')])
        points = np.empty(len(matches.xy), kind)
        points['u0'], points['v0'] = matches.previous_xy.T
        points['u'], points['v'] = matches.xy.T
        points['score'] = matches.scores
        return self.cloud(header, points)

    def keypoint_marker(self, header: Any, xy: FloatArray, diameter: float = 3.0) -> Any:
        """Make one visualization_msgs/ImageMarker of points of pixels ``(N, 2)``."""
        point = self._words.type('geometry_msgs/msg/Point')
        r, g, b, a = _MARKER_COLOUR
        colour = self.make('std_msgs/msg/ColorRGBA', r=r, g=g, b=b, a=a)
        return self.make(
            'visualization_msgs/msg/ImageMarker',
            header=header,
            ns='keypoints',
            id=0,
            type=_POINTS,
            action=_ADD,
            position=point(x=0.0, y=0.0, z=0.0),
            scale=diameter,
            outline_color=colour,
            filled=0,
            fill_color=colour,
            lifetime=self.make('builtin_interfaces/msg/Duration', sec=0, nanosec=0),
            points=[point(x=x, y=y, z=0.0) for x, y in np.asarray(xy, np.float64).tolist()],
            outline_colors=[],
        )

    # poses

    def pose(self, matrix: FloatArray) -> Any:
        """Make a geometry_msgs/Pose of a rigid motion ``(4, 4)``."""
        return self.make(
            'geometry_msgs/msg/Pose',
            position=self._vector('Point', matrix[:3, 3]),
            orientation=self._quaternion(matrix),
        )

    def pose_stamped(self, header: Any, matrix: FloatArray) -> Any:
        """Make a geometry_msgs/PoseStamped of a pose ``(4, 4)``."""
        return self.make('geometry_msgs/msg/PoseStamped', header=header, pose=self.pose(matrix))

    def pose_with_covariance(self, header: Any, matrix: FloatArray, covariance: FloatArray) -> Any:
        """Make a geometry_msgs/PoseWithCovarianceStamped.

        Args:
            header: Its header.
            matrix: ``(4, 4)`` the pose.
            covariance: ``(6, 6)`` of x, y, z, rx, ry, rz in the axes of the header's frame.
        """
        return self.make(
            'geometry_msgs/msg/PoseWithCovarianceStamped',
            header=header,
            pose=self._uncertain_pose(matrix, covariance),
        )

    def pose_array(self, header: Any, matrices: Iterable[FloatArray]) -> Any:
        """Make a geometry_msgs/PoseArray of poses ``(K, 4, 4)``."""
        from scipy.spatial.transform import Rotation

        stacked = np.reshape(list(matrices), (-1, 4, 4))
        turns = Rotation.from_matrix(stacked[:, :3, :3]).as_quat() if len(stacked) else stacked
        kinds = [f'geometry_msgs/msg/{name}' for name in ('Pose', 'Point', 'Quaternion')]
        pose, point, quaternion = map(self._words.type, kinds)  # one look-up for 64 of them
        return self.make(
            'geometry_msgs/msg/PoseArray',
            header=header,
            poses=[
                pose(
                    position=point(x=x, y=y, z=z),
                    orientation=quaternion(x=qx, y=qy, z=qz, w=qw),
                )
                for (x, y, z), (qx, qy, qz, qw) in zip(
                    stacked[:, :3, 3].tolist(), turns.tolist(), strict=True
                )
            ],
        )

    def descriptor(self, values: FloatArray) -> Any:
        """Make a std_msgs/Float32MultiArray of numbers in one row ``(N,)``."""
        one = self.make(
            'std_msgs/msg/MultiArrayDimension', label='value', size=len(values), stride=len(values)
        )
        return self.make(
            'std_msgs/msg/Float32MultiArray',
            layout=self.make('std_msgs/msg/MultiArrayLayout', dim=[one], data_offset=0),
            data=self._words.singles(values),
        )

    def occupancy_grid(
        self,
        header: Any,
        values: npt.NDArray[np.int8],
        resolution: float,
        origin: tuple[float, float],
    ) -> Any:
        """Make a nav_msgs/OccupancyGrid.

        Args:
            header: The map's frame and the time.
            values: ``(H, W)`` -1 for unknown, else 0 to 100; rows rise with y.
            resolution: Side of a cell, metres.
            origin: x and y of the corner of the first cell, metres.
        """
        corner = np.eye(4)
        corner[:2, 3] = origin
        height, width = values.shape
        return self.make(
            'nav_msgs/msg/OccupancyGrid',
            header=header,
            info=self.make(
                'nav_msgs/msg/MapMetaData',
                map_load_time=header.stamp,
                resolution=resolution,
                width=width,
                height=height,
                origin=self.pose(corner),
            ),
            data=self._words.signed(values.reshape(-1)),
        )

    def path(self, header: Any, poses: Sequence[Any]) -> Any:
        """Make a nav_msgs/Path of PoseStamped messages in the order of time."""
        return self.make('nav_msgs/msg/Path', header=header, poses=list(poses))

    def odometry(
        self,
        header: Any,
        child_frame_id: str,
        matrix: FloatArray,
        covariance: FloatArray,
        twist: FloatArray,
        twist_covariance: FloatArray,
    ) -> Any:
        """Make a nav_msgs/Odometry; covariances of zeros say "not known".

        Args:
            header: Fixed frame and time.
            child_frame_id: Moving frame.
            matrix: ``(4, 4)`` fixed_from_moving, metres.
            covariance: ``(6, 6)`` of the pose, fixed axes.
            twist: ``(6,)`` vx vy vz (m/s), wx wy wz (rad/s) in moving axes.
            twist_covariance: ``(6, 6)`` of the twist.
        """
        velocity = self.make(
            'geometry_msgs/msg/Twist',
            linear=self._vector('Vector3', twist[:3]),
            angular=self._vector('Vector3', twist[3:]),
        )
        return self.make(
            'nav_msgs/msg/Odometry',
            header=header,
            child_frame_id=child_frame_id,
            pose=self._uncertain_pose(matrix, covariance),
            twist=self.make(
                'geometry_msgs/msg/TwistWithCovariance',
                twist=velocity,
                covariance=_flat(twist_covariance),
            ),
        )

    def transform(self, header: Any, child_frame_id: str, matrix: FloatArray) -> Any:
        """Make a geometry_msgs/TransformStamped of ``parent_from_child`` ``(4, 4)``."""
        return self.make(
            'geometry_msgs/msg/TransformStamped',
            header=header,
            child_frame_id=child_frame_id,
            transform=self.make(
                'geometry_msgs/msg/Transform',
                translation=self._vector('Vector3', matrix[:3, 3]),
                rotation=self._quaternion(matrix),
            ),
        )

    def tf(self, *transforms: Any) -> Any:
        """Make a tf2_msgs/TFMessage."""
        return self.make('tf2_msgs/msg/TFMessage', transforms=list(transforms))

    # ---------------------------------------------------------------------------------------

    def _field(self, name: str, dtype: np.dtype[Any], offset: int) -> Any:
        kind = FIELD_TYPES.get(dtype.base.name)
        if kind is None:
            raise MessageError(
                f'field {name!r} is of {dtype.base}; known are {", ".join(FIELD_TYPES)}'
            )
        count = int(np.prod(dtype.shape, dtype=int))
        return self.make(
            'sensor_msgs/msg/PointField', name=name, offset=offset, datatype=kind, count=count
        )

    def _uncertain_pose(self, matrix: FloatArray, covariance: FloatArray) -> Any:
        return self.make(
            'geometry_msgs/msg/PoseWithCovariance',
            pose=self.pose(matrix),
            covariance=_flat(covariance),
        )

    def _vector(self, name: str, xyz: FloatArray) -> Any:
        x, y, z = map(float, xyz)
        return self.make(f'geometry_msgs/msg/{name}', x=x, y=y, z=z)

    def _quaternion(self, matrix: FloatArray) -> Any:
        from scipy.spatial.transform import Rotation

        x, y, z, w = map(float, Rotation.from_matrix(matrix[:3, :3]).as_quat())
        return self.make('geometry_msgs/msg/Quaternion', x=x, y=y, z=z, w=w)


def millimetres(depth: FloatArray) -> npt.NDArray[np.uint16]:
    """Return metres as 16-bit millimetres (REP 118): 0 where unknown or out of range."""
    with np.errstate(invalid='ignore', over='ignore'):
        scaled = np.rint(np.asarray(depth, np.float32) * np.float32(1e3))
        usable = (scaled >= 1) & (scaled <= np.iinfo(np.uint16).max)  # False for NaN
    return np.where(usable, scaled, 0).astype(np.uint16)


def _flat(matrix: FloatArray) -> npt.NDArray[np.float64]:
    return np.asarray(matrix, np.float64).reshape(-1)
