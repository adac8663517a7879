"""What helps odometry with a picture, read from the messages beside it.

None of it is needed: what does not arrive is left out, and so is what cannot be used, with a word
about why.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from dlcv.estimation.tasks.beside import Beside, Handed
from dlcv.geometry.frames import Mount, TransformBuffer, TransformError, frame_name, inverse
from dlcv.geometry.gyroscope import turn_between
from dlcv.geometry.trajectory import pose_at
from dlcv.interface import messages
from dlcv.interface.nodes import Topic
from dlcv.interface.odometry_parameters import VisualOdometryParameters
from dlcv.interface.slam_parameters import SlamParameters
from dlcv.types import Aids, DepthMap, FloatArray, Frame, Keypoints, Trajectory

KEYPOINTS, MASK = 'keypoints', 'mask'
RIGHT, RIGHT_INFO = 'right/image', 'right/camera_info'
DEPTH, DEPTH_INFO = 'depth/image', 'depth/camera_info'
WHEELS, IMU = 'wheel/odometry', 'imu'
USUAL_NS = 100_000_000  # time between two pictures of which there was only one yet
STEREO_NS = 5_000_000  # two pictures that are farther apart in time are no stereo pair
GAP_NS = 500_000_000  # between two poses of the wheels over which nobody knows how they went
OLD_NS = 500_000_000  # time after which another depth of a network is worth its price
NEAR = 0.005, 0.005  # metres and radians within which two frames are one
LEARN = 0.02  # share of a picture's rate in the gyroscope's bias while standing: some 50 pictures
MOST_BIAS = 0.1  # rad/s; what turns faster does not stand

Matrix = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
T = TypeVar('T')


def of_use(topic: Topic, p: VisualOdometryParameters | SlamParameters) -> bool:
    """Whether an input beside the images is of use under some parameters."""
    match topic.name.partition('/')[0]:
        case 'keypoints':
            return p.keypoints != 'own'
        case 'right':
            return p.scale_source in ('auto', 'stereo')
        case 'depth':
            return p.uses_depth and p.depth_source != 'own'
        case 'wheel':
            return p.scale_source in ('auto', 'wheels')
        case _:
            return True


class UnusableError(ValueError):
    """What was measured does not fit the picture; the message says why."""


@dataclass(slots=True)
class Gyroscope:
    """What a gyroscope says while the body does not turn.

    Attributes:
        bias: ``(3,)`` rad/s.
        rate: ``(3,)`` its mean over the last picture's interval.
    """

    bias: Matrix = field(default_factory=lambda: np.zeros(3))
    rate: Matrix | None = None

    def stands(self) -> None:
        """Learn from the last interval that it was no turn."""
        if self.rate is not None and np.abs(self.rate).max() < MOST_BIAS:
            self.bias = self.bias + LEARN * (self.rate - self.bias)


class AidReader:
    """Reads the aids of one picture after the other.

    Args:
        beside: The messages; of inputs that the node does not have there are none.
        frames: Where camera, wheels and IMU sit.
        mount: The same, with an assumption for a body that nobody tells of.
        parameters: Gives them as they are now.
        say: Told why something cannot be used.

    Attributes:
        used: What the last picture had, by the names of its inputs.
        mask: Of the parameter; None for none.
        gyroscope: What is known of its bias.
    """

    def __init__(
        self,
        beside: Beside,
        frames: TransformBuffer,
        mount: Mount,
        parameters: Callable[[], VisualOdometryParameters | SlamParameters],
        say: Callable[[str], None],
    ) -> None:
        self._beside, self._frames, self._mount = beside, frames, mount
        self._parameters, self._say = parameters, say
        self.used: list[str] = []
        self.mask: Mask | None = None
        self.gyroscope = Gyroscope()
        self._depth_ns: int | None = None

    def read(self, frame: Frame, last_ns: int | None) -> Aids:
        """Return what there is for a picture.

        Args:
            frame: The picture, with its camera.
            last_ns: Time of the last one that was looked at; None for none.
        """
        p, begin = self._parameters(), monotonic()
        soon, late = begin + p.sync_patience, begin + p.network_patience
        every = frame.stamp_ns - last_ns if last_ns is not None else USUAL_NS
        within = min(round(1e9 * p.sync_tolerance), every // 2)
        measured = p.measures_depth
        first = last_ns is None  # its depths make the unit of all that follows
        self.used = []

        def at(
            name: str, until: float = soon, within: int = within, *, hoped: bool = False
        ) -> Any | None:
            return self._beside.moment(name, frame.stamp_ns, within, every, until, hoped=hoped)

        # the longest wait first: what comes meanwhile is not waited for
        keypoints = self._try(KEYPOINTS, lambda: self._keypoints(frame, at(KEYPOINTS, late, 0)))
        until = late if self.depth_is_old(frame) else begin
        if p.depth_source == 'camera':
            until = soon
        depth = self._try(
            DEPTH, lambda: self._depth(frame, at(DEPTH, until, hoped=first and measured))
        )
        exact = min(within, STEREO_NS)
        hoped = first and p.scale_source in ('auto', 'stereo')
        right = self._try(RIGHT, lambda: self._right(frame, at(RIGHT, within=exact, hoped=hoped)))
        wheels = turn = None
        if last_ns is not None:
            if WHEELS in self._beside.topics:
                wheels = self._try(WHEELS, lambda: self._wheels(frame, last_ns, soon))
            if IMU in self._beside.topics:
                turn = self._try(IMU, lambda: self._turn(frame, last_ns, soon))
        return Aids(
            keypoints=keypoints,
            right=right[0] if right else None,
            baseline=right[1] if right else 0.0,
            depth=depth,
            depth_source='camera' if measured else 'network',
            wheels=wheels,
            turn=turn,
            mask=self._try(MASK, lambda: self._masked(frame, at(MASK, late))),
        )

    def depth_is_old(self, frame: Frame) -> bool:
        """Whether the last depth is of a picture long before this one, or there was none.

        A network takes longest of all, and what is known of its unit changes slowly.
        """
        return self._depth_ns is None or not 0 <= frame.stamp_ns - self._depth_ns < OLD_NS

    def note_depth(self, frame: Frame) -> None:
        """Take note that there is depth of a picture."""
        self._depth_ns = frame.stamp_ns

    def _try(self, name: str, read: Callable[[], T | None]) -> T | None:
        """Return what was read, and take note of it; None, with a word, where it is of no use."""
        try:
            found = read()
        except (messages.MessageError, UnusableError, TransformError) as err:
            self._beside.count(name, 'unusable')
            self._say(f'{name} is not used: {err}')
            return None
        if found is not None:
            self._beside.count(name, 'used')
            self.used.append(name)
        return found

    def _keypoints(self, frame: Frame, cloud: Any) -> Keypoints | None:
        """Return those of this very picture."""
        if cloud is None:
            return None
        found = cloud.value if isinstance(cloud, Handed) else messages.keypoints(cloud)
        inside = (found.xy >= -0.5) & (found.xy <= np.array([frame.width, frame.height]) - 0.5)
        if not inside.all():
            raise UnusableError(
                f'keypoints lie outside of the image of {frame.width}x{frame.height} pixels'
            )
        return found

    def _right(self, frame: Frame, message: Any) -> tuple[Frame, float] | None:
        info = self._beside.latest(RIGHT_INFO)
        if message is None or info is None:
            return None
        camera, left = messages.camera(info, rectified=True), frame.camera
        if camera is None or left is None:
            raise UnusableError('right/camera_info has no calibration (K is zero)')
        if left.distorted:
            raise UnusableError(
                'the left image is not rectified: take image_rect of both cameras, or set '
                'rectified to always'
            )
        found = messages.frame(message, camera)
        if (found.width, found.height) != (frame.width, frame.height):
            raise UnusableError(
                f'it is of {found.width}x{found.height} pixels, the left image of '
                f'{frame.width}x{frame.height}'
            )
        return found, messages.baseline(info)

    def _depth(self, frame: Frame, message: Any) -> DepthMap | None:
        if message is None:
            return None
        if isinstance(message, Handed):
            self.note_depth(frame)
            handed: DepthMap = message.value
            return handed
        depth = messages.depth(message)
        self._check_place(frame, message)
        height, width = depth.shape
        info, camera = self._beside.latest(DEPTH_INFO), frame.camera
        if info is not None:
            camera = messages.camera(info, rectified=True)
        if camera is None or (camera.width, camera.height) != (width, height):
            whose = 'the image' if info is None else 'depth/camera_info'
            size = 'no calibration' if camera is None else f'{camera.width}x{camera.height} pixels'
            raise UnusableError(f'it is of {width}x{height} pixels, {whose} of {size}')
        self.note_depth(frame)
        unknown = np.broadcast_to(np.float32(np.nan), depth.shape)
        return DepthMap(
            stamp_ns=frame.stamp_ns, disparity=unknown, depth=depth, camera=camera.undistorted()
        )

    def _check_place(self, frame: Frame, message: Any) -> None:
        """Refuse depth of another place than the picture's, where it is known to be one."""
        own = messages.frame_of(message)
        if own in ('', frame.frame_id):
            return
        try:
            apart = self._frames.lookup(frame.frame_id, own, frame.stamp_ns, nearest=True)
        except TransformError:
            return  # drivers of aligned depth often keep the name of the depth sensor
        turn = Rotation.from_matrix(apart[:3, :3]).magnitude()
        if np.linalg.norm(apart[:3, 3]) > NEAR[0] or turn > NEAR[1]:
            raise UnusableError(
                f'it is seen from {own!r}, the images from {frame.frame_id!r}: take the depth that '
                'is aligned (registered) to them'
            )

    def _masked(self, frame: Frame, message: Any) -> Mask | None:
        newest = self._beside.latest(MASK)
        if message is None and newest is not None and not messages.stamp_ns(newest.header.stamp):
            message = newest
        found = [self.mask] if self.mask is not None else []
        if message is not None:
            found.append(messages.mask(message))
        for one in found:
            if one.shape != (frame.height, frame.width):
                raise UnusableError(
                    f'it is of {one.shape[1]}x{one.shape[0]} pixels, the image of '
                    f'{frame.width}x{frame.height}'
                )
        return np.logical_and.reduce(found) if found else None

    def _wheels(self, frame: Frame, last_ns: int, until: float) -> FloatArray | None:
        told = self._beside.span(WHEELS, last_ns, frame.stamp_ns, until)
        if len(told) < 2:
            return None
        poses = np.stack([messages.pose_matrix(message.pose.pose) for _, message in told])
        way = Trajectory(stamps_ns=np.array([at for at, _ in told]), world_from_body=poses)
        before, after = (pose_at(way, at, GAP_NS) for at in (last_ns, frame.stamp_ns))
        if before is None or after is None:
            self._beside.count(WHEELS, 'unsynchronised')
            return None
        p, seconds = self._parameters(), (frame.stamp_ns - last_ns) / 1e9
        motion = np.linalg.solve(before, after)
        metres = float(np.linalg.norm(motion[:3, 3]))
        if metres > p.max_linear_speed * seconds:
            raise UnusableError(
                f'they went {metres:.2f} m in {seconds:.3f} s; max_linear_speed is '
                f'{p.max_linear_speed} m/s'
            )
        body = frame_name(told[-1][1].child_frame_id) or p.base_frame
        camera = p.camera_frame or frame.frame_id
        first = self._mount.base_from_camera(body, camera, last_ns)
        last = self._mount.base_from_camera(body, camera, frame.stamp_ns)
        return inverse(first) @ motion @ last

    def _turn(self, frame: Frame, last_ns: int, until: float) -> FloatArray | None:
        self.gyroscope.rate = None
        told = self._beside.span(IMU, last_ns, frame.stamp_ns, until)
        if not told:
            return None
        rates = np.stack([messages.angular_velocity(message) for _, message in told])
        stamps = np.array([at for at, _ in told])
        turn = turn_between(stamps, rates - self.gyroscope.bias, last_ns, frame.stamp_ns)
        if turn is None:
            self._beside.count(IMU, 'unsynchronised')
            return None
        imu = messages.frame_of(told[-1][1])
        camera = self._parameters().camera_frame or frame.frame_id
        before, after = (
            self._frames.lookup(imu, camera, at, nearest=True)[:3, :3]
            for at in (last_ns, frame.stamp_ns)
        )
        self.gyroscope.rate = rates.mean(axis=0)
        return np.asarray(before.T @ turn @ after)
