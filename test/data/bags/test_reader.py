from __future__ import annotations

import re

import numpy as np
import pytest
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from dlcv.data.bags import Bag, BagError, BagWriter
from dlcv.data.bags.vocabulary import CAMERA_INFO, COMPOSER, IMAGE, ODOMETRY, TF
from dlcv.interface.messages import ENCODINGS

POSE_STAMPED = 'geometry_msgs/msg/PoseStamped'


def _image(stamp, encoding='rgb8', shape=(4, 6, 3), frame='cam'):
    message = COMPOSER.image(COMPOSER.header(stamp, frame), np.full(shape, 7, np.uint8))
    message.encoding = encoding
    return message


def _stamped(header, pose, stamp, frame='map'):
    return COMPOSER.make(POSE_STAMPED, header=header(stamp, frame), pose=pose)


# Topics


def test_a_missing_topic_is_answered_with_all_topics_and_types(small_bag):
    with Bag(small_bag) as bag:
        for ask in (
            lambda: list(bag.frames('/camera/image_row')),
            lambda: bag.trajectory('/camera/image_row'),
            lambda: list(bag.raw(['/camera/image_row'])),
        ):
            with pytest.raises(BagError, match=r'no topic /camera/image_row') as caught:
                ask()
            for topic in bag.topics:
                assert re.search(f'{topic.name} +{topic.count} +{topic.msgtype}', str(caught.value))


def test_a_topic_of_another_type_is_refused(small_bag):
    with (
        Bag(small_bag) as bag,
        pytest.raises(BagError, match='odometry is nav_msgs/msg/Odometry, needed is sensor_msgs'),
    ):
        list(bag.frames('/ground_truth/odometry'))


def test_raw_messages_are_in_order_and_cut_by_time(small_bag):
    with Bag(small_bag) as bag:
        everything = list(bag.raw())
        assert len(everything) == bag.message_count
        stamps = [raw.stamp_ns for raw in everything]
        assert stamps == sorted(stamps)
        assert (stamps[0], stamps[-1]) == (bag.start_ns, bag.end_ns)
        part = list(bag.raw(['/tf'], start_ns=1_200_000_007, stop_ns=1_400_000_007))
    assert [raw.stamp_ns for raw in part] == [1_200_000_007, 1_300_000_007]
    assert part == [r for r in everything if r in part]


def test_an_empty_bag_has_no_pictures(tmp_path):
    store = get_typestore(Stores.ROS2_JAZZY)
    with Writer(tmp_path / 'b', version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        writer.add_connection('/x', 'std_msgs/msg/Empty', typestore=store)
    with Bag(tmp_path / 'b') as bag:
        assert (bag.message_count, bag.start_ns, bag.end_ns) == (0, 0, 0)
        with pytest.raises(BagError, match='no topic with pictures'):
            bag.find_images()


# Cameras


def test_depth_and_flow_are_no_pictures_and_two_cameras_must_be_named(make_bag):
    numbers = COMPOSER.image(COMPOSER.header(1, 'c'), np.zeros((2, 2), np.float32))
    rows = [
        ('/depth', IMAGE, 1, numbers),
        ('/front/image_raw', IMAGE, 1, _image(1)),
    ]
    with Bag(make_bag(rows, 'one.mcap')) as bag:
        assert bag.find_images() == '/front/image_raw'
    rows.append(('/rear/image_raw', IMAGE, 1, _image(1)))
    with (
        Bag(make_bag(rows, 'two.mcap')) as bag,
        pytest.raises(BagError, match=r"several.*'/front/image_raw', '/rear/image_raw'"),
    ):
        bag.find_images()


def test_pictures_of_an_encoding_that_is_not_read_are_named_with_those_that_are(make_bag):
    thermal = COMPOSER.image(COMPOSER.header(1, 'c'), np.zeros((2, 2), np.uint16))
    thermal.encoding = '16UC1'
    rows = [('/cam/image_raw', IMAGE, 1, _image(1, 'nv24')), ('/thermal', IMAGE, 1, thermal)]
    with Bag(make_bag(rows)) as bag:
        with pytest.raises(BagError) as caught:
            bag.find_images()
        assert "/cam/image_raw has the encoding 'nv24'" in str(caught.value)
        assert '/thermal has 16UC1, a picture only where it is named' in str(caught.value)
        assert ', '.join(ENCODINGS) in str(caught.value)
        with pytest.raises(BagError, match=r"/cam/image_raw .* 'nv24'; read are mono8, .*nv12"):
            bag.check_pictures('/cam/image_raw')
        bag.check_pictures('/thermal')
        assert next(bag.frames('/thermal')).image.shape == (2, 2)


def test_a_first_picture_that_is_not_read_does_not_condemn_the_others(make_bag):
    rows = [('/image', IMAGE, i, _image(i, kind)) for i, kind in ((1, 'nv24'), (2, 'rgb8'))]
    with Bag(make_bag(rows)) as bag:
        bag.check_pictures('/image')
        said = []
        assert [frame.stamp_ns for frame in bag.frames('/image', skipped=said.append)] == [2]
        assert "'nv24' is not read" in said[0]


def test_pictures_that_are_rectified_are_not_distorted(make_bag, small_recording):
    distorted = small_recording().camera
    info = COMPOSER.camera_info(COMPOSER.header(5, 'c'), distorted, (16, 24))
    info.p[0] = 17.0
    rows = [('/cam/camera_info', CAMERA_INFO, 5, info)]
    rows += [
        (f'/cam/{name}', IMAGE, 5, _image(5, shape=(16, 24, 3))) for name in ('image_rect', 'b')
    ]
    with Bag(make_bag(rows)) as bag:
        rectified = next(bag.frames('/cam/image_rect')).camera
        assert (rectified.fx, rectified.distorted) == (17.0, False)
        assert next(bag.frames('/cam/b')).camera == distorted
        assert next(bag.frames('/cam/b', rectified='always')).camera == rectified
        assert next(bag.frames('/cam/image_rect', rectified='never')).camera == distorted


def test_a_picture_gets_its_own_calibration(make_bag, small_recording):
    camera = small_recording().camera
    rows = []
    for stamp in (10, 20, 30):
        info = COMPOSER.camera_info(COMPOSER.header(stamp, 'c'), camera, (16, 24))
        info.k[0] = stamp
        rows.append(('/cam/camera_info', CAMERA_INFO, stamp, info))
        rows.append(('/cam/image', IMAGE, stamp, _image(stamp, shape=(16, 24, 3))))
    with Bag(make_bag(rows)) as bag:
        assert [f.camera.fx for f in bag.frames()] == [10, 20, 30]
    # recorded the other way round, the first has to take the one that comes
    with Bag(make_bag(rows[1::-1], 'late.mcap')) as bag:
        assert next(bag.frames()).camera.fx == 10


def test_a_bad_picture_is_an_error_or_skipped(make_bag):
    short = _image(2)
    short.data = short.data[:-9]
    rows = [
        ('/i', IMAGE, 1, _image(1)),
        ('/i', IMAGE, 2, short),
        ('/i', IMAGE, 3, _image(3)),
    ]
    with Bag(make_bag(rows)) as bag:
        with pytest.raises(BagError, match=r'/i at 2 ns: 63 bytes'):
            list(bag.frames())
        skipped = []
        assert [f.stamp_ns for f in bag.frames(skipped=skipped.append)] == [1, 3]
        assert len(skipped) == 1


def test_millimetre_depth_becomes_metres(make_bag):
    values = np.array([[0, 1500], [2500, 65535]], np.uint16)
    message = COMPOSER.image(COMPOSER.header(4, 'c'), values.view(np.uint8))
    message.encoding, message.width, message.step = '16UC1', 2, 4
    with Bag(make_bag([('/d', IMAGE, 4, message)])) as bag:
        ((stamp, depth),) = bag.arrays('/d')
    assert stamp == 4
    np.testing.assert_allclose(depth, [[np.nan, 1.5], [2.5, 65.535]])


def test_numbers_are_refused_where_there_are_none(make_bag):
    with (
        Bag(make_bag([('/i', IMAGE, 1, _image(1))])) as bag,
        pytest.raises(BagError, match="'rgb8' holds no numbers"),
    ):
        list(bag.arrays('/i'))


# Poses


def test_pose_types_give_the_same_trajectory(make_bag, make_pose, header):
    m = COMPOSER.make
    stamps = [3, 1, 2, 2]  # out of order, one twice
    none = np.zeros(36)
    rows = []
    matrix = np.eye(4)
    for i, stamp in enumerate(stamps):
        pose = make_pose(stamp + (0.5 if i == 3 else 0))
        matrix[:3, 3] = pose.position.x, 2, 3
        plain = _stamped(header, pose, stamp)
        covered = m('geometry_msgs/msg/PoseWithCovariance', pose=pose, covariance=none)
        rows += [
            ('/plain', POSE_STAMPED, i, plain),
            (
                '/covered',
                'geometry_msgs/msg/PoseWithCovarianceStamped',
                i,
                m(
                    'geometry_msgs/msg/PoseWithCovarianceStamped',
                    header=header(stamp, 'map'),
                    pose=covered,
                ),
            ),
            (
                '/odometry',
                ODOMETRY,
                i,
                COMPOSER.odometry(
                    header(stamp, 'map'),
                    'body',
                    np.array(
                        [[1, 0, 0, pose.position.x], [0, 1, 0, 2], [0, 0, 1, 3], [0, 0, 0, 1]]
                    ),
                    np.zeros((6, 6)),
                    np.zeros(6),
                    np.zeros((6, 6)),
                ),
            ),
        ]
    path = m('nav_msgs/msg/Path', header=header(9, 'map'), poses=[r[3] for r in rows[::3]])
    rows.append(('/path', 'nav_msgs/msg/Path', 9, path))
    with Bag(make_bag(rows)) as bag:
        assert bag.pose_topics() == ('/covered', '/odometry', '/path', '/plain')
        for topic in bag.pose_topics():
            found = bag.trajectory(topic)
            assert found.stamps_ns.tolist() == [1, 2, 3]
            assert found.world_from_body[:, 0, 3].tolist() == [1, 2, 3]
            assert found.frame_id == 'map'
        with pytest.raises(BagError, match=r'several topics have poses.*covered'):
            bag.trajectory()


@pytest.mark.parametrize('at', [0, 1, 2])
@pytest.mark.parametrize(('x', 'w'), [(np.nan, 1.0), (0.0, 0.0), (0.0, 2.0), (1e30, 1.0)])
def test_a_pose_that_is_none_is_left_out_and_counted(make_bag, make_pose, header, x, w, at):
    poses = [make_pose(1), make_pose(2), make_pose(3)]
    poses[at] = make_pose(x, w)
    rows = [('/p', POSE_STAMPED, i, _stamped(header, poses[i], i)) for i in range(3)]
    with Bag(make_bag(rows)) as bag:
        found = bag.poses('/p')
        assert [round(edge.parent_from_child[0, 3]) for edge in found] == [
            i + 1 for i in range(3) if i != at
        ]
        assert found.note.startswith(
            f'1 of 3 messages hold no pose and are left out; the first: pose {at + 1}: no po'
        )


def test_where_all_poses_are_none_it_is_said(make_bag, make_pose, header):
    rows = [('/p', POSE_STAMPED, i, _stamped(header, make_pose(0, 0.0), i)) for i in range(2)]
    with Bag(make_bag(rows)) as bag, pytest.raises(BagError, match='/p: pose 1: no pose'):
        bag.poses('/p')


def test_poses_in_two_frames_are_no_trajectory(make_bag, make_pose, header):
    rows = [
        ('/p', POSE_STAMPED, i, _stamped(header, make_pose(1), i, f)) for i, f in enumerate('ab')
    ]
    with Bag(make_bag(rows)) as bag, pytest.raises(BagError, match=r"frames: \['a', 'b'\]"):
        bag.trajectory()


def test_several_transforms_must_be_named(make_bag, header):
    there = [
        COMPOSER.transform(header(1, 'map'), 'odom', np.eye(4)),
        COMPOSER.transform(header(1, 'odom'), 'base_link', np.eye(4)),
    ]
    with Bag(make_bag([('/tf', TF, 1, COMPOSER.tf(*there))])) as bag:
        assert bag.trajectory('/tf', child_frame='odom').frame_id == 'map'
        with pytest.raises(BagError, match='map -> odom'):
            bag.trajectory('/tf')
        with pytest.raises(BagError, match='0 transforms fit any -> nose'):
            bag.trajectory('/tf', child_frame='nose')


def test_static_transforms_that_do_not_connect(small_bag):
    with Bag(small_bag) as bag:
        there = bag.static_transform('base_link', 'camera_optical')
        back = bag.static_transform('camera_optical', 'base_link')
        np.testing.assert_allclose(there @ back, np.eye(4), atol=1e-15)
        with pytest.raises(BagError, match='known frames are: base_link, camera_link'):
            bag.static_transform('base_link', 'nose')


# Other storage


def _copy(source, writer, store):
    with Bag(source) as bag, writer:
        connections = {
            t.name: writer.add_connection(t.name, t.msgtype, typestore=store) for t in bag.topics
        }
        for raw in bag.raw():
            writer.write(connections[raw.topic], raw.stamp_ns, raw.data)


@pytest.mark.parametrize('plugin', list(StoragePlugin))
@pytest.mark.parametrize('metadata', [True, False])
def test_both_storages_with_and_without_metadata(tmp_path, small_bag, plugin, metadata):
    store = get_typestore(Stores.ROS2_JAZZY)
    _copy(small_bag, Writer(tmp_path / 'b', version=8, storage_plugin=plugin), store)
    if not metadata:
        (tmp_path / 'b' / 'metadata.yaml').unlink()
    with Bag(small_bag) as one, Bag(tmp_path / 'b') as other:
        assert list(one.raw()) == list(other.raw())
        assert [f.camera for f in one.frames()] == [f.camera for f in other.frames()]
        (file,) = (p for p in (tmp_path / 'b').iterdir() if p.name != 'metadata.yaml')
    with Bag(file) as alone:
        assert len(list(alone.frames())) == 12


def test_files_of_a_split_bag_are_merged(tmp_path, small_bag):
    (tmp_path / 'split').mkdir()
    with Bag(small_bag) as bag:
        for part in range(2):  # interleaved in time
            with BagWriter(tmp_path / 'split' / f'part_{part}.mcap') as writer:
                for topic in bag.topics:
                    writer.add_topic(topic.name, topic.msgtype)
                for i, raw in enumerate(bag.raw()):
                    if i % 2 == part:
                        writer.write_raw(raw.topic, raw.stamp_ns, raw.data)
        with Bag(tmp_path / 'split') as split:
            assert split.message_count == bag.message_count
            stamps = [raw.stamp_ns for raw in split.raw()]
            assert stamps == [raw.stamp_ns for raw in bag.raw()]
            assert len(list(split.frames())) == 12


def test_ros1_bags_become_ros2_messages(tmp_path, small_recording):
    store = get_typestore(Stores.ROS1_NOETIC)
    truth = small_recording(count=3)
    types = store.types

    def header(i, stamp):
        time = types['builtin_interfaces/msg/Time'](*divmod(stamp, 10**9))
        return types['std_msgs/msg/Header'](i, time, 'cam')

    roi = types['sensor_msgs/msg/RegionOfInterest'](0, 0, 0, 0, False)
    with Writer1(tmp_path / 'old.bag') as writer:
        kinds = {'/cam/image_raw': IMAGE, '/cam/camera_info': CAMERA_INFO}
        links = {t: writer.add_connection(t, k, typestore=store) for t, k in kinds.items()}
        for i, snapshot in enumerate(truth):
            frame, camera = snapshot.frame, snapshot.frame.camera
            info = types[CAMERA_INFO](
                header(i, frame.stamp_ns),
                16,
                24,
                'plumb_bob',
                np.array([0.1, 0, 0, 0]),
                camera.matrix.ravel(),
                np.eye(3).ravel(),
                np.zeros(12),
                0,
                0,
                roi,
            )
            image = types[IMAGE](
                header(i, frame.stamp_ns), 16, 24, 'rgb8', 0, 72, frame.image.ravel()
            )
            for topic, message in (('/cam/camera_info', info), ('/cam/image_raw', image)):
                data = store.serialize_ros1(message, kinds[topic])
                writer.write(links[topic], frame.stamp_ns, data)
    with Bag(tmp_path / 'old.bag') as bag:
        for frame, expected in zip(bag.frames(), truth, strict=True):
            assert frame.stamp_ns == expected.frame.stamp_ns
            assert frame.camera == expected.frame.camera
            np.testing.assert_array_equal(frame.image, expected.frame.image)
        new = get_typestore(Stores.ROS2_JAZZY)
        for raw in bag.raw():  # what a player sends is what ROS 2 expects
            assert new.deserialize_cdr(raw.data, raw.msgtype).header.frame_id == 'cam'


# Writing


def test_a_writer_says_what_it_does_not_know(tmp_path):
    with BagWriter(tmp_path / 'b') as bag:
        with pytest.raises(BagError, match='no definition of my_msgs/msg/Secret'):
            bag.add_topic('/s', 'my_msgs/msg/Secret')
        with pytest.raises(BagError, match='no topic /nothing; there are'):
            bag.write_raw('/nothing', 0, b'')
        bag.add_topic('/i', IMAGE)
        with pytest.raises(BagError, match='/i was added twice'):
            bag.add_topic('/i', IMAGE)


def test_a_full_disk_is_named_and_what_is_written_stays(tmp_path, small_recording, monkeypatch):
    bag = BagWriter(tmp_path / 'b')
    bag.add_topic('/i', IMAGE)
    bag.write('/i', 1, _image(1, shape=(600, 600, 3)))  # fills a chunk, so it is on the disk

    def full(*_args):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(bag._writer.storage, 'write', full)
    with pytest.raises(BagError, match=r'stopped after 1 messages.*No space left'):
        bag.write('/i', 2, _image(2))
    monkeypatch.setattr(bag._writer.storage, 'close', full)
    with pytest.raises(
        BagError, match=r'b cannot be completed: .*No space left.*b\.partial has its'
    ):
        bag.close()
    assert not (tmp_path / 'b').exists()
    with Bag(tmp_path / 'b.partial', keep_damaged=True) as kept:
        assert len(list(kept.frames())) == kept.message_count == bag.messages == 1


# Frames


def test_the_slash_of_ros_1_is_dropped_from_every_frame(make_bag, header, make_pose):
    def tf(parent, child, x=1.0):
        matrix = np.eye(4)
        matrix[0, 3] = x
        return COMPOSER.tf(COMPOSER.transform(header(5, parent), child, matrix))

    odometry = COMPOSER.odometry(
        header(5, '/map'), '/base_link', np.eye(4), np.eye(6), np.zeros(6), np.eye(6)
    )
    rows = [
        ('/tf_static', TF, 5, tf('/base_link', 'camera', 2.0)),
        ('/tf', TF, 5, tf('map', '/base_link')),
        ('/image_raw', IMAGE, 5, _image(5, frame='/camera')),
        ('/odometry', ODOMETRY, 5, odometry),
        ('/pose', POSE_STAMPED, 5, _stamped(header, make_pose(1), 5, '/map')),
    ]
    with Bag(make_bag(rows)) as bag:
        assert next(bag.frames()).frame_id == 'camera'
        assert bag.static_transform('/base_link', '/camera')[0, 3] == 2
        path = bag.trajectory('/odometry')
        assert (path.frame_id, path.child_frame_id) == ('map', 'base_link')
        assert bag.trajectory('/pose').frame_id == 'map'
        for names in (('/map', 'base_link'), ('map', '/base_link'), ('/map', '/camera')):
            assert bag.trajectory('/tf', frame=names[0], child_frame=names[1]).frame_id == 'map'
