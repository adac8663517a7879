"""Values into messages and back, of the classes of ROS and of rosbags."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dlcv.data.bags.vocabulary import COMPOSER as OF_BAGS
from dlcv.data.bags.vocabulary import typestore
from dlcv.geometry.frames import TransformBuffer
from dlcv.interface import messages
from dlcv.interface.messages import MessageError
from dlcv.interface.messages.compose import millimetres
from dlcv.types import Camera, Keypoints, Matches

STAMP = 1_700_000_000_123_456_789
INT8 = 1  # sensor_msgs/INT8
CAMERA = Camera(
    width=1241, height=376, fx=718.0, fy=719.0, cx=607.0, cy=185.0, distortion=(0.1, 0, 0, 0, 0)
)


def _of_ros() -> Any:
    pytest.importorskip('rclpy', reason='rclpy is not installed')
    from dlcv.ros.vocabulary import COMPOSER

    return COMPOSER


@pytest.fixture(params=['bags', pytest.param('ros', marks=pytest.mark.ros)])
def make(request: Any) -> Any:
    """Return the composer."""
    return OF_BAGS if request.param == 'bags' else _of_ros()


@pytest.fixture
def header(make: Any) -> Any:
    """Return a header."""
    return make.header(STAMP, 'camera_optical')


def _random_pose(seed: int) -> Any:
    generator = np.random.default_rng(seed)
    pose = np.eye(4)
    pose[:3, :3] = Rotation.random(random_state=seed).as_matrix()
    pose[:3, 3] = generator.normal(0, 10, 3)
    return pose


def test_ros_gets_bulk_data_as_it_takes_it_at_once() -> None:
    from array import array

    make = _of_ros()
    message = make.image(make.header(0, ''), np.zeros((4, 4), np.uint8))
    assert isinstance(message.data, array)


def test_times_that_ros_cannot_hold_are_refused(make: Any) -> None:
    with pytest.raises(MessageError, match='between 1970 and 2038'):
        make.time(-1)
    with pytest.raises(MessageError, match='between 1970 and 2038'):
        make.header(2**31 * 10**9, '')


def test_time_keeps_every_nanosecond(header: Any) -> None:
    assert messages.stamp_ns(header.stamp) == 1_700_000_000_123_456_789


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
def test_image_holds_the_pixels(
    make: Any, header: Any, dtype: str, channels: int, encoding: str, strided: bool
) -> None:
    shape = (5, 7) if channels == 1 else (5, 7, channels)
    pixels = np.random.default_rng(0).integers(0, 255, shape).astype(dtype)
    message = make.image(header, pixels[:, ::2] if strided else pixels)
    assert message.encoding == encoding
    width = 4 if strided else 7
    assert (message.height, message.width) == (5, width)
    assert message.step == width * channels * pixels.itemsize
    back = np.frombuffer(message.data, dtype).reshape(5, width, -1).squeeze()
    np.testing.assert_array_equal(back, pixels[:, ::2] if strided else pixels)


def test_image_keeps_nan_and_infinity(make: Any, header: Any) -> None:
    depth = np.array([[np.nan, np.inf, -np.inf, 1.5]], np.float32)
    back = np.frombuffer(make.image(header, depth).data, np.float32)
    np.testing.assert_array_equal(back, depth[0])


def test_image_names_what_it_cannot_hold(make: Any, header: Any) -> None:
    with pytest.raises(MessageError, match=r'float64.*32FC1'):
        make.image(header, np.zeros((2, 2)))


def test_decoder_reads_what_we_write(make: Any, header: Any) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (6, 8, 3), np.uint8)
    np.testing.assert_array_equal(messages.decode(make.image(header, pixels)), pixels)


def test_millimetres_follow_rep_118() -> None:
    depth = np.array([[0.0014, 0.0016, 65.535, 65.6, np.nan, np.inf, -np.inf, -1]], np.float32)
    np.testing.assert_array_equal(millimetres(depth), [[1, 2, 65535, 0, 0, 0, 0, 0]])
    assert millimetres(depth).dtype == np.uint16


def test_camera_info_round_trip(make: Any, header: Any) -> None:
    assert messages.camera(make.camera_info(header, CAMERA)) == CAMERA


MODELS = {
    'plumb_bob': (0.1, 0.0, 0.0, 0.0),
    'rational_polynomial': (0.1,) * 8,
    'equidistant': (0.02, -0.01, 0.003, 0.0),
}


@pytest.mark.parametrize('model', MODELS)
def test_a_rectified_picture_is_of_a_plumb_bob_of_zeros(make: Any, header: Any, model: str) -> None:
    lens = replace(CAMERA, distortion=MODELS[model], distortion_model=model)
    assert make.camera_info(header, lens).distortion_model == model
    info = make.camera_info(header, lens.undistorted().scaled(320, 96))
    assert (info.distortion_model, list(info.d)) == ('plumb_bob', [0.0] * 5)
    assert list(info.r) == list(np.eye(3).ravel())
    k = np.reshape(info.k, (3, 3))
    assert k[0, 0] == pytest.approx(718 * 320 / 1241)
    np.testing.assert_array_equal(np.reshape(info.p, (3, 4)), np.hstack((k, np.zeros((3, 1)))))


@pytest.mark.parametrize('model', MODELS)
def test_a_lens_without_coefficients_is_ideal(make: Any, header: Any, model: str) -> None:
    info = make.camera_info(header, replace(CAMERA, distortion=(), distortion_model=model))
    assert (info.distortion_model, list(info.d)) == ('plumb_bob', [0.0] * 5)


@pytest.mark.parametrize('stride', [2, 4])
def test_binned_camera_info_is_the_camera_of_the_grid(make: Any, header: Any, stride: int) -> None:
    whole = CAMERA.cropped(0, 0, 1244, 376)
    info = make.camera_info(header, whole, binning=stride)
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


def test_keypoint_cloud_has_the_contracts_fields(make: Any, header: Any) -> None:
    message = make.keypoint_cloud(header, _keypoints(), 'int8')
    names = [f.name for f in message.fields]
    assert names == ['x', 'y', 'z', 'u', 'v', 'score', 'descriptor']
    assert message.fields[-1].count == 256
    assert message.fields[-1].datatype == INT8
    assert (message.height, message.width, message.point_step) == (1, 5, 6 * 4 + 256)
    assert message.is_dense


def test_keypoint_cloud_holds_the_points(make: Any, header: Any) -> None:
    keypoints = _keypoints()
    points = messages.points_of(make.keypoint_cloud(header, keypoints, 'float32'))
    np.testing.assert_array_equal(np.stack((points['u'], points['v']), 1), keypoints.xy)
    rays = np.stack((points['x'], points['y'], points['z']), 1)
    np.testing.assert_array_equal(rays, keypoints.rays)
    np.testing.assert_array_equal(points['descriptor'], keypoints.descriptors)
    np.testing.assert_array_equal(points['score'], keypoints.scores)


def test_int8_descriptors_are_unit_vectors_times_127(make: Any, header: Any) -> None:
    keypoints = _keypoints()
    points = messages.points_of(make.keypoint_cloud(header, keypoints, 'int8'))
    back = points['descriptor'].astype(np.float32) / 127
    np.testing.assert_allclose(back, keypoints.descriptors, atol=0.5 / 127 + 1e-6)


def test_without_calibration_the_rays_are_nan(make: Any, header: Any) -> None:
    message = make.keypoint_cloud(header, _keypoints(rays=False), 'none')
    assert not message.is_dense
    assert np.isnan(messages.points_of(message)['z']).all()
    assert [f.name for f in message.fields][-1] == 'score'


def test_no_keypoints_are_an_empty_cloud(make: Any, header: Any) -> None:
    message = make.keypoint_cloud(header, _keypoints(count=0), 'int8')
    assert message.width == 0
    assert len(message.data) == 0
    assert len(messages.points_of(message)) == 0


def test_match_cloud_holds_both_ends(make: Any, header: Any) -> None:
    first, second = _keypoints().xy, _keypoints().xy + 3
    matches = Matches(
        stamp_ns=1,
        previous_stamp_ns=0,
        previous_xy=first,
        xy=second,
        scores=np.full(5, 0.9, np.float32),
    )
    points = messages.points_of(make.match_cloud(header, matches))
    assert points.dtype.names == ('u0', 'v0', 'u', 'v', 'score')
    np.testing.assert_array_equal(np.stack((points['u0'], points['v0']), 1), first)
    np.testing.assert_array_equal(np.stack((points['u'], points['v']), 1), second)


def test_marker_points_are_the_pixels(make: Any, header: Any) -> None:
    marker = make.keypoint_marker(header, np.array([[1.5, 2.5], [3, 4]]))
    assert marker.type == marker.POINTS
    assert [(p.x, p.y) for p in marker.points] == [(1.5, 2.5), (3, 4)]


@pytest.mark.parametrize('seed', range(5))
def test_poses_and_transforms_round_trip(make: Any, header: Any, seed: int) -> None:
    matrix = _random_pose(seed)
    np.testing.assert_allclose(messages.pose_matrix(make.pose(matrix)), matrix, atol=1e-12)
    moved = make.transform(header, 'child', matrix)
    np.testing.assert_allclose(messages.transform_matrix(moved.transform), matrix, atol=1e-12)
    assert moved.child_frame_id == 'child'


def test_a_pose_that_is_none_is_refused(make: Any) -> None:
    message = make.pose(np.eye(4))
    message.orientation.w = 0.0
    with pytest.raises(MessageError, match='quaternion'):
        messages.pose_matrix(message)
    message = make.pose(np.eye(4))
    message.position.x = float('nan')
    with pytest.raises(MessageError, match='nan'):
        messages.pose_matrix(message)


def test_odometry_holds_pose_twist_and_both_covariances(make: Any, header: Any) -> None:
    pose, twist = _random_pose(3), np.arange(6.0)
    spread = np.diag(np.arange(1.0, 7.0))
    message = make.odometry(header, 'base_link', pose, spread, twist, 2 * spread)
    np.testing.assert_allclose(messages.pose_matrix(message.pose.pose), pose, atol=1e-12)
    np.testing.assert_array_equal(messages.covariance_matrix(message.pose.covariance), spread)
    np.testing.assert_array_equal(messages.covariance_matrix(message.twist.covariance), 2 * spread)
    linear, angular = message.twist.twist.linear, message.twist.twist.angular
    assert [linear.x, linear.y, linear.z, angular.x, angular.y, angular.z] == [0, 1, 2, 3, 4, 5]
    assert message.child_frame_id == 'base_link'


def test_a_covariance_that_is_none_is_refused() -> None:
    with pytest.raises(MessageError, match='covariance'):
        messages.covariance_matrix([-1.0] * 36)
    with pytest.raises(MessageError, match='covariance'):
        messages.covariance_matrix([float('nan')] * 36)


def test_paths_and_arrays_keep_their_order(make: Any, header: Any) -> None:
    poses = [_random_pose(seed) for seed in range(3)]
    array_message = make.pose_array(header, poses)
    path = make.path(header, [make.pose_stamped(header, pose) for pose in poses])
    for pose, one, other in zip(poses, array_message.poses, path.poses, strict=True):
        np.testing.assert_allclose(messages.pose_matrix(one), pose, atol=1e-12)
        np.testing.assert_allclose(messages.pose_matrix(other.pose), pose, atol=1e-12)


def test_time_reference_holds_both_times(make: Any, header: Any) -> None:
    message = make.time_reference(header, 42, 'camera_optical')
    assert messages.stamp_ns(message.time_ref) == 42
    assert message.header.stamp == header.stamp


def _everything(make: Any) -> dict[str, Any]:
    """Return a message of each kind."""
    header, pose = make.header(STAMP, 'camera_optical'), _random_pose(1)
    spread, twist = np.diag(np.arange(1.0, 7.0)), np.arange(6.0)
    matches = Matches(
        stamp_ns=1,
        previous_stamp_ns=0,
        previous_xy=_keypoints().xy,
        xy=_keypoints().xy,
        scores=np.ones(5, np.float32),
    )
    placed = make.transform(header, 'child', pose)
    return {
        'sensor_msgs/msg/Image': make.image(header, np.arange(12, dtype=np.float32).reshape(3, 4)),
        'sensor_msgs/msg/CompressedImage': make.compressed_image(
            header, np.zeros((9, 9, 3), np.uint8), 'png'
        ),
        'sensor_msgs/msg/CameraInfo': make.camera_info(header, CAMERA, binning=2),
        'sensor_msgs/msg/TimeReference': make.time_reference(header, 42, 'odd'),
        'sensor_msgs/msg/PointCloud2': make.match_cloud(header, matches),
        'visualization_msgs/msg/ImageMarker': make.keypoint_marker(header, np.ones((3, 2))),
        'geometry_msgs/msg/PoseStamped': make.pose_stamped(header, pose),
        'geometry_msgs/msg/PoseWithCovarianceStamped': make.pose_with_covariance(
            header, pose, spread
        ),
        'geometry_msgs/msg/PoseArray': make.pose_array(header, [pose, pose]),
        'nav_msgs/msg/Path': make.path(header, [make.pose_stamped(header, pose)]),
        'nav_msgs/msg/Odometry': make.odometry(header, 'base', pose, spread, twist, spread),
        'tf2_msgs/msg/TFMessage': make.tf(placed, placed),
        'nav_msgs/msg/OccupancyGrid': make.occupancy_grid(
            header, np.array([[-1, 0, 100], [0, 0, -1]], np.int8), 0.05, (-1.0, 2.5)
        ),
        'visualization_msgs/msg/MarkerArray': messages.graph_markers(
            make,
            header,
            np.eye(3),
            {'way': np.array([[0, 1], [1, 2]])},
        ),
    }


@pytest.mark.ros
def test_both_vocabularies_give_the_same_bytes() -> None:
    ours, theirs = _everything(_of_ros()), _everything(OF_BAGS)
    from rclpy.serialization import serialize_message

    for kind, message in ours.items():
        written = typestore().serialize_cdr(theirs[kind], kind)
        read = typestore().deserialize_cdr(serialize_message(message), kind)
        # rclpy leaves what it finds in memory between two fields, rosbags zeros
        assert bytes(typestore().serialize_cdr(read, kind)) == bytes(written), kind


def test_a_grid_has_its_cells_row_by_row_and_its_corner(make: Any, header: Any) -> None:
    grid = make.occupancy_grid(header, np.array([[-1, 0, 100]], np.int8), 0.1, (1.0, -2.0))
    assert (grid.info.width, grid.info.height) == (3, 1)
    assert list(grid.data) == [-1, 0, 100]
    corner = grid.info.origin
    assert (corner.position.x, corner.position.y, corner.orientation.w) == (1.0, -2.0, 1.0)


def test_a_graph_is_drawn_by_the_ends_of_its_edges(make: Any, header: Any) -> None:
    ends = {'way': np.array([[0, 1], [1, 2]])}
    dots, lines = messages.graph_markers(make, header, np.diag((1.0, 2.0, 3.0)), ends).markers
    assert (dots.ns, len(dots.points)) == ('keyframes', 3)
    assert [(p.x, p.y, p.z) for p in lines.points] == [(1, 0, 0), (0, 2, 0), (0, 2, 0), (0, 0, 3)]
    assert (dots.type, lines.type) == (8, 5)
    assert dots.id != lines.id


def test_uncalibrated_cameras_say_so(make: Any, header: Any) -> None:
    info = make.camera_info(header, None, (4, 6))
    assert (info.height, info.width) == (4, 6)
    assert messages.camera(info) is None
    with pytest.raises(MessageError, match='needs its size'):
        make.camera_info(header, None)


def test_transforms_fill_a_buffer_and_broken_ones_are_named(make: Any) -> None:
    pose = np.eye(4)
    pose[0, 3] = 4
    good = make.transform(make.header(3, '/base_link'), 'camera', pose)
    broken = make.transform(make.header(3, 'base_link'), 'broken', pose)
    broken.transform.rotation.w = 0.0
    buffer = TransformBuffer()
    told = SimpleNamespace(transforms=[broken, good])
    complaints = messages.take_transforms(buffer, told, static=True)
    assert buffer.lookup('base_link', 'camera')[0, 3] == 4
    assert len(complaints) == 1
    assert 'broken' in complaints[0]
    assert not buffer.knows('broken')


def test_fields_that_are_not_read_are_named() -> None:
    message = OF_BAGS.keypoint_cloud(OF_BAGS.header(0, ''), _keypoints(), 'none')
    message.fields[2].datatype = 5
    with pytest.raises(MessageError, match=r"\['z'\].*float32"):
        messages.points_of(message)
