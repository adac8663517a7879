from __future__ import annotations

import numpy as np
import pytest
import yaml
from rosbags.highlevel import AnyReader

from dlcv.data.bags import Bag, BagError, BagLayout, WriteOptions, write_recording


@pytest.mark.parametrize('name', ['folder', 'file.mcap'])
@pytest.mark.parametrize('compression', ['none', 'zstd'])
def test_everything_comes_back(tmp_path, small_recording, name, compression):
    recording = small_recording(stereo=True)
    seen = []
    written = write_recording(
        recording,
        tmp_path / name,
        progress=lambda done, total: seen.append((done, total)),
        options=WriteOptions(compression=compression),
    )
    assert seen == [(i + 1, 12) for i in range(12)]
    assert (written.snapshots, written.poses) == (12, 12)
    assert (tmp_path / name).is_dir() == (name == 'folder')
    assert [p.name for p in tmp_path.iterdir()] == [name]  # nothing is left beside it
    with Bag(tmp_path / name) as bag:
        assert bag.message_count == written.messages
        assert bag.find_images() == '/camera/image_raw'  # not the right one
        lefts = list(bag.frames())
        rights = list(bag.frames('/camera_right/image_raw'))
        depths, flows = bag.arrays('/ground_truth/depth'), bag.arrays('/ground_truth/flow')
        for frame, right, depth, flow, truth in zip(
            lefts, rights, depths, flows, recording, strict=True
        ):
            assert frame.stamp_ns == right.stamp_ns == depth[0] == flow[0] == truth.frame.stamp_ns
            assert frame.camera == truth.frame.camera
            assert (frame.frame_id, right.frame_id) == ('camera_optical', 'camera_right_optical')
            np.testing.assert_array_equal(frame.image, truth.frame.image)
            np.testing.assert_array_equal(right.image, truth.right.image)
            np.testing.assert_array_equal(depth[1], truth.depth)
            np.testing.assert_array_equal(flow[1], truth.flow)


@pytest.mark.parametrize('name', ['folder', 'file.mcap'])
def test_rosbags_reads_it_and_gets_the_qos(tmp_path, small_recording, name):
    write_recording(small_recording(), tmp_path / name)
    with AnyReader([tmp_path / name]) as reader:
        latched = {
            c.topic
            for c in reader.connections
            if c.ext.offered_qos_profiles[0].durability.name == 'TRANSIENT_LOCAL'
        }
        assert latched == {'/tf_static'}
        assert all(c.digest or name != 'folder' for c in reader.connections)


def test_metadata_is_a_whole_rosbag2_description(small_bag):
    text = (small_bag / 'metadata.yaml').read_text()
    information = yaml.safe_load(text)['rosbag2_bagfile_information']
    assert information['storage_identifier'] == 'mcap'
    assert information['relative_file_paths'] == ['small.mcap']
    assert information['starting_time']['nanoseconds_since_epoch'] == 1_000_000_007
    assert information['duration']['nanoseconds'] == 1_100_000_000
    static = next(
        t['topic_metadata']
        for t in information['topics_with_message_count']
        if t['topic_metadata']['name'] == '/tf_static'
    )
    assert yaml.safe_load(static['offered_qos_profiles'])[0]['durability'] == 1


def test_calibration_goes_before_its_image(small_bag):
    with Bag(small_bag) as bag:
        order = [
            (raw.topic, raw.stamp_ns, message.header.stamp.nanosec)
            for raw, message in bag.read(['/camera/camera_info', '/camera/image_raw'])
        ]
    infos, images = order[::2], order[1::2]
    assert {topic for topic, *_ in infos} == {'/camera/camera_info'}
    assert [rest for _, *rest in infos] == [rest for _, *rest in images]


def test_truth_is_of_the_body_and_shares_no_frame_with_the_nodes(tmp_path, small_recording):
    mount = np.eye(4)
    mount[:3, 3] = [0.3, 0.1, 1.2]
    layout = BagLayout(base_from_camera_frame=mount)
    write_recording(small_recording(), tmp_path / 'bag', layout=layout)
    with Bag(tmp_path / 'bag') as bag:
        truth = bag.trajectory()
        tf = bag.trajectory('/tf')
        base_from_camera = bag.static_transform('base_link', 'camera_optical')
    assert (truth.frame_id, truth.child_frame_id) == ('map', 'ground_truth')
    assert (tf.frame_id, tf.child_frame_id) == ('map', 'ground_truth')
    np.testing.assert_allclose(tf.world_from_body, truth.world_from_body)
    expected = [snapshot.world_from_camera for snapshot in small_recording()]
    np.testing.assert_allclose(truth.world_from_body @ base_from_camera, expected, atol=1e-12)


def test_velocity_is_the_bodys_in_its_own_axes(tmp_path, small_recording):
    # On a circle to the left: forward at 2 m/s, turning at 0.5 rad/s; a body that trails the
    # camera by 1 m moves sideways as well: v_base = v_camera + w x r = (2, 0, 0) + (0, -0.5, 0).
    mount = np.eye(4)
    mount[0, 3] = 1.0
    layout = BagLayout(base_from_camera_frame=mount)
    write_recording(small_recording(), tmp_path / 'bag', layout=layout)
    with Bag(tmp_path / 'bag') as bag:
        twists = [m.twist.twist for _, m in bag.read(['/ground_truth/odometry'])]
    linear = np.array([(t.linear.x, t.linear.y, t.linear.z) for t in twists])
    angular = np.array([(t.angular.x, t.angular.y, t.angular.z) for t in twists])
    np.testing.assert_allclose(angular, np.tile([0, 0, 0.5], (12, 1)), atol=1e-9)
    np.testing.assert_allclose(linear[1:-1], np.tile([2, -0.5, 0], (10, 1)), atol=2e-3)
    np.testing.assert_allclose(linear[[0, -1]], np.tile([2, -0.5, 0], (2, 1)), atol=6e-2)


def test_velocity_is_zero_where_no_neighbour_has_a_pose(tmp_path, small_recording):
    write_recording(small_recording(count=1), tmp_path / 'bag')
    with Bag(tmp_path / 'bag') as bag:
        (message,) = (m for _, m in bag.read(['/ground_truth/odometry']))
    assert message.twist.twist.linear.x == 0


def test_stereo_calibration_says_how_far_right(tmp_path, small_recording):
    write_recording(small_recording(stereo=True), tmp_path / 'bag')
    with Bag(tmp_path / 'bag') as bag:
        (_, info) = next(bag.read(['/camera_right/camera_info']))
        left_from_right = bag.static_transform('camera_optical', 'camera_right_optical')
    assert info.p[3] == pytest.approx(-20.0 * 0.25)
    np.testing.assert_allclose(left_from_right[:3, 3], [0.25, 0, 0], atol=1e-15)


@pytest.mark.parametrize('grey', [False, True])
def test_png_is_lossless_and_grey_stays_grey(tmp_path, small_recording, grey):
    recording = small_recording(grey=grey)
    write_recording(recording, tmp_path / 'bag', options=WriteOptions(codec='png'))
    with Bag(tmp_path / 'bag') as bag:
        assert bag.find_images() == '/camera/image_raw/compressed'
        frames = list(bag.frames())
        (_, message) = next(bag.read(['/camera/image_raw/compressed']))
    assert message.format.startswith('mono8; png' if grey else 'rgb8; png')
    for frame, truth in zip(frames, recording, strict=True):
        assert frame.camera == truth.frame.camera
        np.testing.assert_array_equal(frame.image, truth.frame.image)


def test_jpeg_gets_better_with_quality(tmp_path, small_recording):
    def error(quality):
        options = WriteOptions(codec='jpeg', jpeg_quality=quality)
        path = tmp_path / f'{quality}.mcap'
        write_recording(small_recording(grey=True), path, options=options)
        with Bag(path) as bag:
            pairs = zip(bag.frames(), small_recording(grey=True), strict=True)
            return np.mean([np.abs(a.image - 1.0 * b.frame.image).mean() for a, b in pairs])

    fine = error(99)
    assert fine < 3
    assert fine < error(60) / 3


def test_raw_grey_is_mono8(tmp_path, small_recording):
    write_recording(small_recording(grey=True), tmp_path / 'bag')
    with Bag(tmp_path / 'bag') as bag:
        (_, message) = next(bag.read(['/camera/image_raw']))
    assert (message.encoding, message.step) == ('mono8', 24)


def test_depth_and_flow_are_left_out_on_request(tmp_path, small_recording):
    options = WriteOptions(depth=False, flow=False)
    written = write_recording(small_recording(), tmp_path / 'bag', options=options)
    assert not [topic for topic, _ in written.topics if 'depth' in topic or 'flow' in topic]


def test_an_uncalibrated_camera_has_k_of_zeros(tmp_path, small_recording):
    write_recording(small_recording(camera=None), tmp_path / 'bag')
    with Bag(tmp_path / 'bag') as bag:
        (_, info) = next(bag.read(['/camera/camera_info']))
        assert not info.k.any()
        assert next(bag.frames()).camera is None


def test_a_bag_is_not_replaced_unasked(small_bag, small_recording):
    before = (small_bag / 'small.mcap').read_bytes()
    with pytest.raises(BagError, match='exists already'):
        write_recording(small_recording(), small_bag)
    assert (small_bag / 'small.mcap').read_bytes() == before
    write_recording(small_recording(count=3), small_bag, overwrite=True)
    with Bag(small_bag) as bag:
        assert len(list(bag.frames())) == 3


def test_what_is_no_bag_is_never_replaced(tmp_path, small_recording):
    (tmp_path / 'thesis.txt').write_text('years of work')
    with pytest.raises(BagError, match=r'more than a bag.*thesis\.txt'):
        write_recording(small_recording(), tmp_path, overwrite=True)
    with pytest.raises(BagError, match='is no bag'):
        write_recording(small_recording(), tmp_path / 'thesis.txt', overwrite=True)
    assert (tmp_path / 'thesis.txt').read_text() == 'years of work'


@pytest.mark.parametrize('name', ['bag', 'bag.mcap'])
def test_what_came_before_an_error_is_kept(tmp_path, small_recording, name):
    with pytest.raises(OSError, match='disk of the source'):
        write_recording(small_recording(fails_at=5), tmp_path / name)
    with Bag(tmp_path / name) as bag:
        assert len(list(bag.frames())) == 5


@pytest.mark.parametrize('stamps', [[5, 5, 6], [5, 7, 6]])
def test_stamps_must_increase(tmp_path, small_recording, stamps):
    with pytest.raises(BagError, match=r'picture \d is of \d ns and the one before of \d ns'):
        write_recording(small_recording(count=3, stamps=stamps), tmp_path / 'bag')


@pytest.mark.parametrize('stamp', [-1, 2**31 * 10**9])
def test_stamps_must_fit_ros(tmp_path, small_recording, stamp):
    with pytest.raises(BagError, match='between 1970 and 2038'):
        write_recording(small_recording(count=1, stamps=[stamp]), tmp_path / 'bag')


def test_nothing_to_write_leaves_nothing(tmp_path, small_recording):
    with pytest.raises(BagError, match='small: a recording without pictures'):
        write_recording(small_recording(count=0, stamps=[0]), tmp_path / 'bag')
    assert not list(tmp_path.iterdir())
