"""Frames to camera motion by learned features and geometry between them.

What is learned finds points again (SuperPoint), says which matches count (deep fundamental matrix)
and how far away things are (monodepth); what is geometry holds them together: a motion that agrees
with the points, a window of keyframes, one scale with its uncertainty.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from dlcv.estimation.base import Estimator
from dlcv.networks.superpoint import SuperPoint
from dlcv.types import Aids, FloatArray, Frame, Lost, Motion, Tracking

ScaleChoice = Literal['auto', 'stereo', 'depth', 'network', 'wheels', 'camera_height', 'none']


@dataclass(frozen=True, kw_only=True, slots=True)
class VisualOdometrySettings:
    """How motion is estimated, believed and doubted.

    Attributes:
        max_keypoints: Strongest points of a picture that are looked at.
        scale_source: What the metre comes from; ``auto`` takes the best that arrives.
        camera_height: Of the camera over the ground, in metres; 0 where it is not known.
        scale: Factor on all translations.
        window: Keyframes that are held together.
        lockstep: Adjust the window before the answer, not beside it: the same pictures then give
            the same answers.
        max_frame_interval: A longer pause in seconds loses the odometry.
        max_linear_speed: A faster motion, in m/s, is not believed.
        max_angular_speed: A faster turn, in rad/s, is not believed.
    """

    max_keypoints: int = 1000
    scale_source: ScaleChoice = 'auto'
    camera_height: float = 0.0
    scale: float = 1.0
    window: int = 10
    lockstep: bool = True
    max_frame_interval: float = 0.5
    max_linear_speed: float = 40.0
    max_angular_speed: float = 3.5


class VisualOdometry(Estimator[SuperPoint]):
    """Visual odometry on a stream of frames.

    Args:
        network: Finds the points of pictures that come without.
        settings: May be replaced between two frames.
        device: See `Estimator`.
        precision: See `Estimator`.

    Attributes:
        odom_from_camera: ``(4, 4)`` the pose so far, in metres.
        pose_covariance: ``(6, 6)`` of that pose as (x, y, z, rx, ry, rz), in odom axes, m and rad.
        tracking: What it knows of itself since the last frame.
    """

    def __init__(
        self,
        network: SuperPoint,
        settings: VisualOdometrySettings | None = None,
        device: str = 'auto',
        precision: str = 'fp32',
    ) -> None:
        super().__init__(network, device, precision)
        self.settings = settings or VisualOdometrySettings()
        self.reset()

    def reset(self) -> None:
        """Forget the drive so far; the next frame is the origin."""
        self.tracking = Tracking(stamp_ns=0, state='starting')
        self.set_pose(np.eye(4))

    def set_pose(self, odom_from_camera: FloatArray, covariance: FloatArray | None = None) -> None:
        """Go on from this pose, with this ``(6, 6)`` covariance (default zero)."""
        self.odom_from_camera = np.array(odom_from_camera, np.float64)
        self.pose_covariance = (
            np.zeros((6, 6)) if covariance is None else np.array(covariance, np.float64)
        )

    def push(self, frame: Frame, aids: Aids | None = None) -> Motion | Lost | None:
        """Take the next frame and estimate the camera's motion since the last one.

        Args:
            frame: The picture, with its camera.
            aids: What was measured beside it.

        Returns:
            The motion; None for the first frame; Lost where there is none to be believed.
        """
        raise NotImplementedError
