"""Values into messages and back."""

from __future__ import annotations

import array
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from scipy.spatial.transform import Rotation
from sensor_msgs.msg import PointField

from dlcv import messages
from dlcv.ros import convert
from dlcv.types import Camera, Keypoints, Matches

pytestmark = pytest.mark.ros
HEADER = convert.header_in('camera_optical', convert.time_of(1_700_000_000_123_456_789))
CAMERA = Camera(
    width=1241, height=376, fx=718.0, fy=719.0, cx=607.0, cy=185.0, distortion=(0.1, 0, 0, 0, 0)
)


def _random_pose(seed: int) -> Any:
    generator = np.random.default_rng(seed)
    pose = np.eye(4)
    pose[:3, :3] = Rotation.random(random_state=seed).as_matrix()
    pose[:3, 3] = generator.normal(0, 10, 3)
    return pose


def test_time_keeps_every_nanosecond() -> None:
    assert messages.stamp_ns(HEADER.stamp) == 1_700_000_000_123_456_789


@pytest.mark.parametrize(
    ('dtype', 'channels', 'encoding'),
    [
        ('f4', 1, '32FC1'),
        ('f4', 2, '32FC2'),
        ('u2', 1, '16UC1'),
        ('u1', 1, 'mono8'),
        ('u1', 3, 'rgb8'),
    ],
)
@pytest.mark.parametrize('strided', [False, True])
def test_image_holds_the_pixels(dtype: str, channels: int, encoding: str, strided: bool) -> None:
    shape = (5, 7) if channels == 1 else (5, 7, channels)
    pixels = np.random.default_rng(0).integers(0, 255, shape).astype(dtype)
    message = convert.image(HEADER, pixels[:, ::2] if strided else pixels)
    assert message.encoding == encoding
    assert isinstance(message.data, array.array)
    width = 4 if strided else 7
    assert (message.height, message.width) == (5, width)
    assert message.step == width * channels * pixels.itemsize
    back = np.frombuffer(message.data, dtype).reshape(5, width, -1).squeeze()
    np.testing.assert_array_equal(back, pixels[:, ::2] if strided else pixels)


def test_image_keeps_nan_and_infinity() -> None:
    depth = np.array([[np.nan, np.inf, -np.inf, 1.5]], np.float32)
    back = np.frombuffer(convert.image(HEADER, depth).data, np.float32)
    np.testing.assert_array_equal(back, depth[0])


def test_image_names_what_it_cannot_hold() -> None:
    with pytest.raises(convert.ConvertError, match=r'float64.*32FC1'):
        convert.image(HEADER, np.zeros((2, 2)))


def test_decoder_reads_what_we_write() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (6, 8, 3), np.uint8)
    np.testing.assert_array_equal(messages.decode(convert.image(HEADER, pixels)), pixels)


def test_millimetres_follow_rep_118() -> None:
    depth = np.array([[0.0014, 0.0016, 65.535, 65.6, np.nan, np.inf, -np.inf, -1]], np.float32)
    np.testing.assert_array_equal(convert.millimetres(depth), [[1, 2, 65535, 0, 0, 0, 0, 0]])
    assert convert.millimetres(depth).dtype == np.uint16


def test_camera_info_round_trip() -> None:
    assert messages.camera(convert.camera_info(HEADER, CAMERA)) == CAMERA


@pytest.mark.parametrize('stride', [2, 4])
def test_binned_camera_info_is_the_camera_of_the_grid(stride: int) -> None:
    whole = CAMERA.cropped(0, 0, 1244, 376)
    info = convert.camera_info(HEADER, whole, binning=stride)
    assert (info.binning_x, info.width, info.k[0]) == (stride, 1244, 718.0)
    assert messages.camera(info) == whole.scaled(1244 // stride, 376 // stride)


def _keypoints(rays: bool = True, count: int = 5) -> Keypoints:
    generator = np.random.default_rng(0)
    descriptors = generator.normal(size=(count, 256)).astype(np.float32)
    descriptors /= np.linalg.norm(descriptors, axis=1, keepdims=True)
    xy = generator.uniform(0, 60, (count, 2)).astype(np.float32)
    directions = np.hstack((xy / 50, np.ones((count, 1), np.float32)))
    return Keypoints(
        stamp_ns=0,
        xy=xy,
        scores=np.linspace(1, 0, count, dtype=np.float32),
        descriptors=descriptors,
        rays=directions if rays else None,
    )


def test_keypoint_cloud_has_the_contracts_fields() -> None:
    message = convert.keypoint_cloud(HEADER, _keypoints(), 'int8')
    names = [f.name for f in message.fields]
    assert names == ['x', 'y', 'z', 'u', 'v', 'score', 'descriptor']
    assert message.fields[-1].count == 256
    assert message.fields[-1].datatype == PointField.INT8
    assert (message.height, message.width, message.point_step) == (1, 5, 6 * 4 + 256)
    assert message.is_dense


def test_keypoint_cloud_holds_the_points() -> None:
    keypoints = _keypoints()
    points = convert.points_of(convert.keypoint_cloud(HEADER, keypoints, 'float32'))
    np.testing.assert_array_equal(np.stack((points['u'], points['v']), 1), keypoints.xy)
    rays = np.stack((points['x'], points['y'], points['z']), 1)
    np.testing.assert_array_equal(rays, keypoints.rays)
    np.testing.assert_array_equal(points['descriptor'], keypoints.descriptors)
    np.testing.assert_array_equal(points['score'], keypoints.scores)


def test_int8_descriptors_are_unit_vectors_times_127() -> None:
    keypoints = _keypoints()
    points = convert.points_of(convert.keypoint_cloud(HEADER, keypoints, 'int8'))
    back = points['descriptor'].astype(np.float32) / 127
    np.testing.assert_allclose(back, keypoints.descriptors, atol=0.5 / 127 + 1e-6)


def test_without_calibration_the_rays_are_nan() -> None:
    message = convert.keypoint_cloud(HEADER, _keypoints(rays=False), 'none')
    assert not message.is_dense
    assert np.isnan(convert.points_of(message)['z']).all()
    assert [f.name for f in message.fields][-1] == 'score'


def test_no_keypoints_are_an_empty_cloud() -> None:
    message = convert.keypoint_cloud(HEADER, _keypoints(count=0), 'int8')
    assert message.width == 0
    assert len(message.data) == 0
    assert len(convert.points_of(message)) == 0


def test_match_cloud_holds_both_ends() -> None:
    first, second = _keypoints().xy, _keypoints().xy + 3
    matches = Matches(
        stamp_ns=1,
        previous_stamp_ns=0,
        previous_xy=first,
        xy=second,
        scores=np.full(5, 0.9, np.float32),
    )
    points = convert.points_of(convert.match_cloud(HEADER, matches))
    assert points.dtype.names == ('u0', 'v0', 'u', 'v', 'score')
    np.testing.assert_array_equal(np.stack((points['u0'], points['v0']), 1), first)
    np.testing.assert_array_equal(np.stack((points['u'], points['v']), 1), second)


def test_marker_points_are_the_pixels() -> None:
    marker = convert.keypoint_marker(HEADER, np.array([[1.5, 2.5], [3, 4]]))
    assert marker.type == marker.POINTS
    assert [(p.x, p.y) for p in marker.points] == [(1.5, 2.5), (3, 4)]


@pytest.mark.parametrize('seed', range(5))
def test_poses_and_transforms_round_trip(seed: int) -> None:
    matrix = _random_pose(seed)
    np.testing.assert_allclose(convert.pose_matrix(convert.pose(matrix)), matrix, atol=1e-12)
    moved = convert.transform(HEADER, 'child', matrix)
    np.testing.assert_allclose(convert.transform_matrix(moved.transform), matrix, atol=1e-12)
    assert moved.child_frame_id == 'child'


def test_a_pose_that_is_none_is_refused() -> None:
    message = convert.pose(np.eye(4))
    message.orientation.w = 0.0
    with pytest.raises(convert.ConvertError, match='quaternion'):
        convert.pose_matrix(message)
    message = convert.pose(np.eye(4))
    message.position.x = float('nan')
    with pytest.raises(convert.ConvertError, match='nan'):
        convert.pose_matrix(message)


def test_odometry_holds_pose_twist_and_both_covariances() -> None:
    pose, twist = _random_pose(3), np.arange(6.0)
    spread = np.diag(np.arange(1.0, 7.0))
    message = convert.odometry(HEADER, 'base_link', pose, spread, twist, 2 * spread)
    np.testing.assert_allclose(convert.pose_matrix(message.pose.pose), pose, atol=1e-12)
    np.testing.assert_array_equal(convert.covariance_matrix(message.pose.covariance), spread)
    np.testing.assert_array_equal(convert.covariance_matrix(message.twist.covariance), 2 * spread)
    linear, angular = message.twist.twist.linear, message.twist.twist.angular
    assert [linear.x, linear.y, linear.z, angular.x, angular.y, angular.z] == [0, 1, 2, 3, 4, 5]
    assert message.child_frame_id == 'base_link'


def test_a_covariance_that_is_none_is_refused() -> None:
    with pytest.raises(convert.ConvertError, match='covariance'):
        convert.covariance_matrix([-1.0] * 36)
    with pytest.raises(convert.ConvertError, match='covariance'):
        convert.covariance_matrix([float('nan')] * 36)


def test_paths_and_arrays_keep_their_order() -> None:
    poses = [_random_pose(seed) for seed in range(3)]
    array_message = convert.pose_array(HEADER, poses)
    path = convert.path(HEADER, [convert.pose_stamped(HEADER, pose) for pose in poses])
    for pose, one, other in zip(poses, array_message.poses, path.poses, strict=True):
        np.testing.assert_allclose(convert.pose_matrix(one), pose, atol=1e-12)
        np.testing.assert_allclose(convert.pose_matrix(other.pose), pose, atol=1e-12)


def test_time_reference_holds_both_times() -> None:
    message = convert.time_reference(HEADER, 42, 'camera_optical')
    assert messages.stamp_ns(message.time_ref) == 42
    assert message.header.stamp == HEADER.stamp
