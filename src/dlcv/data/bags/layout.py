"""Names of the topics and frames in the bags we write, and where the camera sits.

The truth lives beside the frames that the nodes publish, never on them: they own ``odom ->
base_link`` (and ``map -> odom``), the bag holds ``map -> ground_truth``, which is where
``base_link`` truly is. The static tree ``base_link -> camera_link -> camera_optical`` is what
the nodes need to express camera poses in ``base_link`` (REP 103, REP 105).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from dlcv.geometry.frames import BODY_FROM_OPTICAL
from dlcv.types import FloatArray


@dataclass(frozen=True, kw_only=True, slots=True)
class BagLayout:
    """Topic and frame names of a written recording.

    Attributes:
        camera: Namespace of the (left) camera's ``image_raw`` and ``camera_info``.
        right_camera: Namespace of the right camera's.
        odometry: Topic of the true poses and velocities, nav_msgs/Odometry.
        depth: Topic of the true depth, 32FC1 metres along z.
        depth_camera_info: Its calibration.
        flow: Topic of the true optical flow from the previous image, 32FC2 pixels.
        map_frame: The fixed frame; it is the world of the recording's poses, unchanged.
        truth_frame: Where ``base_link`` truly is.
        base_frame: The body: x forward, y left, z up.
        camera_frame: Body axes at the camera.
        optical_frame: Optical axes at the camera; the images' ``frame_id``.
        right_optical_frame: Optical axes at the right camera.
        base_from_camera_frame: ``(4, 4)`` where the camera is mounted; metres.
    """

    camera: str = '/camera'
    right_camera: str = '/camera_right'
    odometry: str = '/ground_truth/odometry'
    depth: str = '/ground_truth/depth'
    depth_camera_info: str = '/ground_truth/camera_info'
    flow: str = '/ground_truth/flow'
    map_frame: str = 'map'
    truth_frame: str = 'ground_truth'
    base_frame: str = 'base_link'
    camera_frame: str = 'camera_link'
    optical_frame: str = 'camera_optical'
    right_optical_frame: str = 'camera_right_optical'
    base_from_camera_frame: FloatArray = field(default_factory=lambda: np.eye(4))

    @property
    def camera_from_base(self) -> FloatArray:
        """``(4, 4)`` body coordinates to the optical axes of the camera."""
        camera_from_base: FloatArray = np.linalg.inv(
            self.base_from_camera_frame @ BODY_FROM_OPTICAL
        )
        return camera_from_base
