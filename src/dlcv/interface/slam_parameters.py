"""The parameters of `slam`."""

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
class SlamParameters(CommonParameters):
    """Parameters of `slam`."""

    map_frame: str = parameter('map', 'Fixed frame of the map.')
    odom_frame: str = parameter('odom', 'Frame of the odometry, where its messages name none.')
    base_frame: str = parameter('base_link', 'Body, where the odometry names none.')
    camera_frame: str = parameter('', 'Optical frame; empty takes the one of the images.')
    publish_tf: bool = parameter(True, 'Publish map_frame -> odom_frame on /tf.')
    correction_time: float = parameter(
        1.0, 'A correction of map -> odom is spread over this; 0 makes it at once. A robot that is '
        'found elsewhere is there at once.',
        's', low=0, high=60, dynamic=True,
    )  # fmt: skip
    transform_tolerance: float = parameter(
        0.1, 'The transform is dated this far into the future.', 's', low=0, high=5, dynamic=True
    )
    two_d_mode: bool = parameter(False, 'Keep z, roll and pitch of map -> odom at zero.')
    map_file: str = parameter(
        '',
        'The map: ~/load and the start read it, ~/save writes it (NAME.safetensors). One that is '
        'there is gone on with, one that is not is begun; empty begins one that cannot be saved.',
        dynamic=True,
    )
    localize_only: bool = parameter(
        False, 'Change nothing of the map, which must be there; ~/localize_only while it runs.'
    )
    save_on_exit: bool = parameter(
        False, 'Save when the node is deactivated or ends, if anything was mapped.', dynamic=True
    )
    save_period: float = parameter(
        0.0, 'Save so often while mapping, if anything is new; 0 for never.', 's',
        low=0, high=86400, dynamic=True,
    )  # fmt: skip
    max_keyframes: int = parameter(
        2000, 'Keyframes of the map; beyond, those that say least are left out.',
        low=50, high=100000,
    )  # fmt: skip
    max_keypoints: int = parameter(
        600, 'Strongest keypoints of a keyframe.', low=50, high=8192, dynamic=True
    )
    keyframe_overlap: float = parameter(
        0.75, 'A picture is a keyframe when it shows less of what the last one showed.',
        low=0, high=1,
    )  # fmt: skip
    keyframe_shift: float = parameter(
        0.12, 'Or when that has moved by more of the width of the picture.', low=0.01, high=1
    )
    scale_drifts: bool = parameter(
        False, 'Nothing measures the metre of the odometry: each keyframe has a unit of its own.'
    )
    loop_inliers: int = parameter(
        30, 'Landmarks that must agree on the pose of a loop.', low=10, high=1000
    )
    loop_votes: int = parameter(
        2, 'Keyframes in a row that must look like places near each other.', low=1, high=20
    )
    localization_inliers: int = parameter(
        25,
        'Landmarks that must agree on where a picture is in the map; half where it is expected.',
        low=10, high=1000,
    )  # fmt: skip
    localization_rate: float = parameter(
        2.0, 'Most fixes in a second while nothing is mapped; more while the robot is not found.',
        'Hz', low=0.05, high=30,
    )  # fmt: skip
    confirmations: int = parameter(
        3, 'Fixes in a row that must agree before the robot counts as found.', low=1, high=20
    )
    elsewhere_confirmations: int = parameter(
        5, 'The same, where they say that it is not where it is believed to be.', low=1, high=50
    )
    lost_after: float = parameter(
        10.0, 'Without a fix for so long, it is said to be lost; map -> odom stays.', 's',
        low=0.5, high=3600,
    )  # fmt: skip
    odometry_gap: float = parameter(
        1.0, 'A longer pause of the odometry means that it was lost, and goes on from anywhere.',
        's', low=0.05, high=60, dynamic=True,
    )  # fmt: skip
    max_linear_speed: float = parameter(
        40.0, 'A faster odometry has jumped.', 'm/s', low=0.1, high=100
    )
    keypoints: str = parameter(
        'auto',
        'Where they come from: topic passes by images for which none arrive, own computes them, '
        'auto computes those that do not arrive.',
        choices=('auto', 'topic', 'own'),
    )  # fmt: skip
    scale_source: str = parameter(
        'auto',
        'What measures the depth of landmarks: right/image, depth/image, or nothing, so that they '
        'are found by their rays; auto takes what arrives.',
        choices=('auto', 'stereo', 'depth', 'none'),
    )  # fmt: skip
    depth_source: str = parameter(
        'camera',
        'Who measures depth/image: a depth camera, the stereo node, or a network of one camera, '
        'whose unit is doubtful.',
        choices=('camera', 'stereo', 'network'),
    )  # fmt: skip
    odometry_patience: float = parameter(
        1.0, 'Each image waits at most so long for its odometry.', 's',
        low=0, high=5, dynamic=True,
    )  # fmt: skip
    sync_tolerance: float = aid_tolerance()
    sync_patience: float = aid_patience()
    network_patience: float = parameter(
        1.0, 'The same, for keypoints and masks of other nodes and the depth of a network.', 's',
        low=0, high=5, dynamic=True,
    )  # fmt: skip
    publish_grid: bool = parameter(
        True, 'Publish what depth/image shows of the ground on map, for planners.'
    )
    grid_resolution: float = parameter(0.05, 'Side of a cell.', 'm', low=0.01, high=1)
    grid_lowest: float = parameter(
        0.12, 'Height over the ground from which on something is an obstacle.', 'm',
        low=0.01, high=5,
    )  # fmt: skip
    grid_highest: float = parameter(1.8, 'Height up to which it is one.', 'm', low=0.05, high=20)
    grid_range: float = parameter(6.0, 'Depth is believed up to here.', 'm', low=0.5, high=100)
    grid_period: float = parameter(
        2.0, 'Most often that the grid is published.', 's', low=0.1, high=60, dynamic=True
    )
    camera_height: float = parameter(
        0.0, 'Height of the camera over the ground; 0 finds it.', 'm', low=0, high=10
    )
    lockstep: bool = parameter(
        False, 'Solve loops before the answer, not beside it: the same input, the same map.'
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.map_file and not self.map_file.endswith('.safetensors'):
            raise ParameterError(f"map_file: {self.map_file!r} does not end in '.safetensors'")
        if not self.grid_lowest < self.grid_highest:
            raise ParameterError(
                f'grid_lowest: {self.grid_lowest} m is not below grid_highest, '
                f'{self.grid_highest} m'
            )
        if not self.grid_resolution < self.grid_range:
            raise ParameterError(
                f'grid_resolution: {self.grid_resolution} m is not below grid_range, '
                f'{self.grid_range} m'
            )
        if self.localize_only and not self.map_file:
            raise ParameterError('map_file: localize_only needs a map to be localized in')

    @property
    def measures_depth(self) -> bool:
        """Whether the depth is measured, so that its unit is the metre."""
        return self.depth_source in ('camera', 'stereo')

    @property
    def uses_depth(self) -> bool:
        """Whether depth pictures are of use."""
        return self.scale_source in ('auto', 'depth')
