"""The parameters of the nodes that are odometry: what both have, and what each has alone."""

from __future__ import annotations

from dataclasses import dataclass

from dlcv.interface.parameters import (
    CommonParameters,
    ParameterError,
    aid_patience,
    aid_tolerance,
    parameter,
)


@dataclass(frozen=True, kw_only=True)
class OdometryParameters(CommonParameters):
    """Parameters of a node that publishes the pose and the velocity of a body."""

    odom_frame: str = parameter('odom', 'Fixed frame of the odometry.')
    base_frame: str = parameter('base_link', 'Body frame whose motion is published.')
    camera_frame: str = parameter('', 'Optical frame; empty takes the one of the images.')
    publish_tf: bool = parameter(True, 'Publish odom_frame -> base_frame on /tf.')
    two_d_mode: bool = parameter(False, 'Keep z, roll and pitch at zero.')
    scale: float = parameter(1.0, 'Factor on all translations.', low=1e-6, high=1000, dynamic=True)
    max_frame_interval: float = parameter(
        0.5, 'A longer pause between frames loses the odometry.', 's',
        low=0.01, high=10, dynamic=True,
    )  # fmt: skip
    max_linear_speed: float = parameter(
        40.0, 'A faster motion loses the odometry.', 'm/s', low=0.1, high=100, dynamic=True
    )
    max_angular_speed: float = parameter(
        3.5, 'A faster turn loses the odometry.', 'rad/s', low=0.1, high=20, dynamic=True
    )
    twist_stddev: tuple[float, ...] = parameter(
        (0.1, 0.1, 0.1, 0.05, 0.05, 0.05),
        'Least standard deviation of the twist: vx vy vz (m/s), wx wy wz (rad/s).',
        low=0, high=100,
    )  # fmt: skip
    lost_policy: str = parameter(
        'stop', 'When lost: stop publishing, or inflate the covariance and hold the pose.',
        choices=('stop', 'inflate'),
    )  # fmt: skip
    resume_within: float = parameter(
        10.0,
        'A node that starts again goes on from its last pose, or the one on /tf, if that is not '
        'older than this; 0 starts at the origin.',
        's', low=0, high=600,
    )  # fmt: skip
    path_max_size: int = parameter(1024, 'Most poses on the path topic.', low=1, high=100000)


@dataclass(frozen=True, kw_only=True)
class DeepVOParameters(OdometryParameters):
    """Parameters of `deepvo`."""

    sequence_length: int = parameter(
        5, 'Frame pairs of a window; the memory of the network starts anew in each.',
        low=2, high=32,
    )  # fmt: skip
    inference_mode: str = parameter(
        'stateful', 'Keep the memory from frame to frame, or run a window for each frame.',
        choices=('stateful', 'windowed'),
    )  # fmt: skip
    pose_stddev_per_meter: float = parameter(
        0.0, 'Growth of the pose uncertainty with the path; 0: as measured of the weights.', 'm/m',
        low=0, high=10, dynamic=True,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class VisualOdometryParameters(OdometryParameters):
    """Parameters of `visual_odometry`."""

    twist_stddev: tuple[float, ...] = parameter(
        (0.005, 0.005, 0.005, 0.002, 0.002, 0.002),
        'Least standard deviation of the twist: vx vy vz (m/s), wx wy wz (rad/s).',
        low=0, high=100,
    )  # fmt: skip
    max_keypoints: int = parameter(
        1000, 'Strongest keypoints of an image that are looked at.',
        low=50, high=8192, dynamic=True,
    )  # fmt: skip
    keypoints: str = parameter(
        'auto',
        'Where they come from: topic passes by images for which none arrive, own computes them, '
        'auto computes those that do not arrive.',
        choices=('auto', 'topic', 'own'),
    )  # fmt: skip
    scale_source: str = parameter(
        'auto',
        'What the metre comes from: right/image, a depth camera, a depth network, wheel/odometry, '
        'camera_height, or nothing; auto takes the best that arrives. What it excludes is not '
        'subscribed to.',
        choices=('auto', 'stereo', 'depth', 'network', 'wheels', 'camera_height', 'none'),
    )  # fmt: skip
    camera_height: float = parameter(
        0.0, 'Height of the camera over the ground; 0 where it is not known.', 'm',
        low=0, high=10, dynamic=True,
    )  # fmt: skip
    depth_source: str = parameter(
        'network',
        'Who measures depth/image: a depth camera, the stereo node, or a network of one camera, '
        'whose unit is doubtful; own runs the shipped one here and subscribes to none.',
        choices=('camera', 'stereo', 'network', 'own'),
    )  # fmt: skip
    mask: str = parameter(
        '', 'Picture of the size of the images; where it is black, nothing is looked at (the '
        "robot's own body). Joined with the topic mask."
    )  # fmt: skip
    sync_tolerance: float = aid_tolerance()
    sync_patience: float = aid_patience()
    network_patience: float = parameter(
        1.0,
        'The same, for what the networks of other nodes make of it: keypoints, masks and, twice a '
        'second, depth.',
        's', low=0, high=5, dynamic=True,
    )  # fmt: skip
    window: int = parameter(10, 'Keyframes that are adjusted together.', low=2, high=50)
    lockstep: bool = parameter(
        False, 'Adjust them before the answer, not beside it: the same input, the same answers.'
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.scale_source == 'camera_height' and not self.camera_height:
            raise ParameterError('camera_height: scale_source camera_height needs it, got 0.0 m')
        if self.scale_source == 'depth' and not self.measures_depth:
            raise ParameterError(
                "depth_source: scale_source depth needs 'camera' or 'stereo', got "
                f'{self.depth_source!r}'
            )
        if self.scale_source == 'network' and self.measures_depth:
            raise ParameterError(
                "depth_source: scale_source network needs 'network' or 'own', got "
                f'{self.depth_source!r}'
            )

    @property
    def measures_depth(self) -> bool:
        """Whether the depth is measured, so that its unit is the metre."""
        return self.depth_source in ('camera', 'stereo')

    @property
    def uses_depth(self) -> bool:
        """Whether depth is of use to `scale_source`; a known height tells more than a network."""
        known = not self.measures_depth and self.camera_height > 0
        return self.scale_source in ('depth', 'network') or (
            self.scale_source == 'auto' and not known
        )
