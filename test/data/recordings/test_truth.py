"""Truth of every kind says the same of the camera, and says what is wrong when it cannot."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import yaml
from scipy.spatial.transform import Rotation

from dlcv.data.bags import Bag, BagError, BagWriter
from dlcv.data.bags.vocabulary import COMPOSER, ODOMETRY, TF
from dlcv.data.datasets.trajectories import write_kitti, write_tum
from dlcv.data.recordings import RecordingError, TruthOptions, read_truth
from dlcv.data.recordings.clocks import clock_hint
from dlcv.data.recordings.extrinsics import read_extrinsics
from dlcv.geometry.trajectory import pose_at
from dlcv.types import Trajectory

POSE = 'geometry_msgs/msg/PoseStamped'
UNCERTAIN = 'geometry_msgs/msg/PoseWithCovarianceStamped'
PATH = 'nav_msgs/msg/Path'
START = 1_700_000_000 * 10**9
STAMPS = START + np.arange(20) * 50_000_000
IMAGES = STAMPS[2:18:3]
NONE = np.zeros((6, 6))


def pose(xyz, rotvec=(0, 0, 0)):
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_rotvec(rotvec).as_matrix()
    matrix[:3, 3] = xyz
    return matrix


BODY_FROM_CAMERA = pose((0.1, -0.2, 0.3), (0.5, -1.0, 0.2))
BODY = np.stack([pose((0.1 * i, 0.02 * i * i, 1), (0, 0.01 * i, 0.05 * i)) for i in range(20)])
MAP_FROM_ODOM = pose((5, 6, 7), (0, 0, 1))


def odometry(stamp, matrix):
    head = COMPOSER.header(stamp, 'map')
    return COMPOSER.odometry(head, 'base_link', matrix, NONE, np.zeros(6), NONE)


def stamped(stamp, matrix):
    return COMPOSER.pose_stamped(COMPOSER.header(stamp, 'map'), matrix)


def uncertain(stamp, matrix):
    return COMPOSER.pose_with_covariance(COMPOSER.header(stamp, 'map'), matrix, NONE)


def transform(stamp, matrix, parent='map', child='base_link'):
    return COMPOSER.tf(COMPOSER.transform(COMPOSER.header(stamp, parent), child, matrix))


def rows(topic, kind, make):
    return [(topic, kind, int(s), make(int(s), m)) for s, m in zip(STAMPS, BODY, strict=True)]


def static(child='camera', matrix=BODY_FROM_CAMERA, parent='base_link'):
    return ('/tf_static', TF, START, transform(START, matrix, parent, child))


def path_row():
    poses = [stamped(int(s), m) for s, m in zip(STAMPS, BODY, strict=True)]
    return ('/path', PATH, START, COMPOSER.path(COMPOSER.header(START, 'map'), poses))


SOURCES = {
    '/odom': rows('/odom', ODOMETRY, odometry),
    '/pose': rows('/pose', POSE, stamped),
    '/uncertain': rows('/uncertain', UNCERTAIN, uncertain),
    '/path': [path_row()],
    '/tf:map:base_link': rows('/tf', TF, transform),
}


@pytest.fixture
def write(tmp_path):
    def made(*messages):
        path = tmp_path / 'made.mcap'
        with BagWriter(path, overwrite=True) as bag:
            for topic, kind in {(topic, kind) for topic, kind, *_ in messages}:
                bag.add_topic(topic, kind, qos='latched' if 'static' in topic else 'reliable')
            for topic, _, stamp, message in messages:
                bag.write(topic, stamp, message)
        return path

    return made


def read(path, images=IMAGES, **options):
    with Bag(path) as bag:
        return read_truth(bag, TruthOptions(**options), 'camera', images)


def alone(images=IMAGES, **options):
    return read_truth(None, TruthOptions(**options), 'camera', images)


def body_file(folder, stamps=STAMPS):
    path = folder / 'body.txt'
    write_tum(Trajectory(stamps_ns=np.asarray(stamps), world_from_body=BODY), path)
    return str(path)


def check_camera(truth, atol=1e-9):
    assert truth.world_from_camera.stamps_ns.tolist() == STAMPS.tolist()
    assert np.allclose(truth.world_from_camera.world_from_body, BODY @ BODY_FROM_CAMERA, atol=atol)
    assert truth.world_from_camera.child_frame_id == truth.camera_frame == 'camera'


# Sources


@pytest.mark.parametrize('source', SOURCES)
def test_every_kind_of_topic_says_the_same(write, source):
    truth = read(write(static(), *SOURCES[source]), source=source)
    check_camera(truth)
    assert truth.trajectory.frame_id == 'map'
    assert truth.body_frame == 'base_link'
    assert np.allclose(truth.of('base_link').world_from_body, BODY)
    assert truth.notes == ()
    assert truth.source.startswith(source.partition(':')[0])


@pytest.mark.parametrize('kind', ['TUM', 'KITTI', 'EuRoC'])
def test_every_kind_of_file_says_the_same(tmp_path, kind):
    way = Trajectory(stamps_ns=STAMPS, world_from_body=BODY)
    path = tmp_path / 'truth.txt'
    if kind == 'TUM':
        write_tum(way, path)
    elif kind == 'KITTI':
        write_kitti(way, path)
    else:
        turns = Rotation.from_matrix(BODY[:, :3, :3]).as_quat()[:, [3, 0, 1, 2]]
        table = np.hstack((BODY[:, :3, 3], turns))
        lines = [
            f'{s},{",".join(map(repr, r))}' for s, r in zip(STAMPS, table.tolist(), strict=True)
        ]
        path.write_text('\n'.join(lines))
    truth = alone(source=str(path), extrinsics=BODY_FROM_CAMERA)
    check_camera(truth, atol=1e-8)
    assert truth.source == f'{path} ({kind})'


def test_without_truth_there_is_none(write):
    assert read(write(*SOURCES['/tf:map:base_link'], static())) is None  # TF only when named
    assert alone() is None


def test_the_only_topic_need_not_be_named(write):
    check_camera(read(write(static(), *SOURCES['/odom'])))
    both = write(static(), *SOURCES['/odom'], *SOURCES['/pose'])
    with pytest.raises(RecordingError, match=r"several topics .* name one: \['/odom', '/pose'\]"):
        read(both)
    check_camera(read(both, source='/pose'))


@pytest.mark.parametrize(
    'source', ['/odometry', '/odom:map:base_link', '/tf:map', '/tf:map:', '/tf_static/x', 'a.txt']
)
def test_a_wrong_source_is_answered_with_those_that_fit(write, source):
    path = write(static(), *SOURCES['/odom'], *SOURCES['/tf:map:base_link'])
    with pytest.raises(RecordingError, match=r'no file and no topic .*; there are') as caught:
        read(path, source=source)
    assert str(caught.value).endswith('there are /odom, /tf:map:base_link')
    with pytest.raises(RecordingError, match='no such file'):
        alone(source=source)


def test_transforms_are_followed_over_several(write):
    """What lies between moves too, seldom, and upside down in the tree."""
    odom_from_map = np.linalg.inv(MAP_FROM_ODOM)
    seldom = [
        ('/tf', TF, int(s), transform(int(s), odom_from_map, 'odom', 'map'))
        for s in (STAMPS[0] - 1, STAMPS[-1] + 1)
    ]
    often = [
        ('/tf', TF, int(s), transform(int(s), odom_from_map @ m, 'odom', 'base_link'))
        for s, m in zip(STAMPS, BODY, strict=True)
    ]
    lidar = static('lidar', pose((0, 0, 2)))
    path = write(static(), lidar, *seldom, *often)
    check_camera(read(path, source='/tf:map:base_link'))
    at_lidar = read(path, source='/tf:map:lidar')
    assert np.allclose(at_lidar.trajectory.world_from_body, BODY @ pose((0, 0, 2)))
    check_camera(at_lidar)
    with pytest.raises(BagError, match='0 transforms fit map -> nose'):
        read(path, source='/tf:map:nose')


def test_a_file_of_rows_without_times_belongs_to_the_pictures(tmp_path):
    way = Trajectory(stamps_ns=STAMPS, world_from_body=BODY)
    write_kitti(way, tmp_path / '00.txt').unlink()
    truth = alone(STAMPS, source=str(tmp_path / '00.txt'))
    assert truth.trajectory.stamps_ns.tolist() == STAMPS.tolist()
    assert 'no file of times' in truth.notes[0]
    with pytest.raises(RecordingError, match='it has 20 for 6 pictures'):
        alone(source=str(tmp_path / '00.txt'))


def test_a_file_that_is_none_is_answered_with_the_formats(tmp_path):
    (tmp_path / 'a.csv').write_text('time;x;y\n1;2;3\n')
    with pytest.raises(RecordingError, match='no format of poses') as caught:
        alone(source=str(tmp_path / 'a.csv'))
    assert all(name in str(caught.value) for name in ('TUM: 8', 'KITTI: 12', 'EuRoC: 8'))


# Frames


def test_the_frame_that_poses_place_may_be_named(write, tmp_path):
    path, file = write(static(), static('lidar')), body_file(tmp_path)
    itself = read(path, source=file)
    assert itself.body_frame == 'camera'  # files are the camera's unless somebody says otherwise
    assert np.allclose(itself.world_from_camera.world_from_body, BODY)
    check_camera(read(path, source=file, frame='base_link'))
    with pytest.raises(BagError, match="no transform between 'nose' and 'camera'"):
        read(path, source=file, frame='nose')


def test_truth_can_be_asked_of_other_frames(write, tmp_path):
    path = write(static(), static('lidar', pose((0, 0, 2))))
    truth = read(path, source=body_file(tmp_path), frame='base_link')
    assert np.allclose(truth.of('lidar').world_from_body, BODY @ pose((0, 0, 2)))
    assert truth.of('lidar').child_frame_id == 'lidar'
    assert np.allclose(truth.of('camera').world_from_body, BODY @ BODY_FROM_CAMERA)
    with pytest.raises(RecordingError, match='how nose sits on base_link or on camera is not in'):
        truth.of('nose')


def test_extrinsics_go_before_what_the_bag_says(write, tmp_path):
    """A marker body that TF does not know: the base is found by way of the camera."""
    path = write(static())
    marker_from_base = pose((0, 0, -0.5), (0.1, 0, 0))
    options = {'source': body_file(tmp_path), 'frame': 'marker'}
    truth = read(path, extrinsics=marker_from_base @ BODY_FROM_CAMERA, **options)
    assert truth.body_frame == 'marker'
    assert np.allclose(truth.of('base_link').world_from_body, BODY @ marker_from_base, atol=1e-7)
    assert np.allclose(truth.of('marker').world_from_body, BODY, atol=1e-8)
    with pytest.raises(RecordingError, match='the camera itself have no extrinsics'):
        read(path, source=body_file(tmp_path), frame='camera', extrinsics=np.eye(4))


def test_an_unknown_seat_is_asked_for(write, tmp_path):
    path = write(*SOURCES['/odom'])
    with pytest.raises(RecordingError, match=r'\(camera\) sits on .*\(base_link\).*the extrinsics'):
        read(path)
    file = tmp_path / 'imu.csv'
    file.write_text(f'{START},0,0,0,1,0,0,0\n')
    with pytest.raises(RecordingError, match=r'\(imu\) is not in /tf_static'):
        read(write(static()), source=str(file))  # the IMU is not taken for base_link
    with pytest.raises(RecordingError, match=r'\(imu\) is not known'):
        alone(source=str(file))


def test_extrinsics_are_read_as_people_write_them(tmp_path):
    xyzw = Rotation.from_matrix(BODY_FROM_CAMERA[:3, :3]).as_quat()
    seven = ' '.join(map(repr, [*BODY_FROM_CAMERA[:3, 3].tolist(), *xyzw.tolist()]))
    numbers = BODY_FROM_CAMERA.ravel().tolist()
    files = {
        'seven.txt': f'# x y z qx qy qz qw\n{seven}\n',
        'rows.txt': '\n'.join(' '.join(map(repr, numbers[i : i + 4])) for i in (0, 4, 8)),
        'sensor.yaml': '%YAML:1.0\n' + yaml.safe_dump({'T_BS': {'rows': 4, 'data': numbers}}),
        'mine.yaml': yaml.safe_dump({'body_from_camera': BODY_FROM_CAMERA.tolist()}),
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    given = [BODY_FROM_CAMERA, seven, seven.replace(' ', ', '), ' '.join(map(repr, numbers))]
    for one in (*given, *(str(tmp_path / name) for name in files)):
        assert np.allclose(read_extrinsics(one), BODY_FROM_CAMERA, atol=1e-12)


@pytest.mark.parametrize(
    ('given', 'complaint'),
    [
        ('1 2 3', '3 values'),
        ('sensor.yaml', "could not convert|1 values, 'sensor.yaml'"),
        ('0 0 0 0 0 0 2', 'has length 2'),
        (np.diag((1.0, 1, 1, 2)), 'the last row'),
        (np.diag((1.0, 2, 1, 1)), 'no rotation'),
    ],
)
def test_wrong_extrinsics_are_answered_with_what_they_may_be(given, complaint):
    with pytest.raises(RecordingError, match=f'(?s)({complaint}).*extrinsics are 7 numbers'):
        read_extrinsics(given)


def test_a_yaml_file_without_extrinsics_says_what_it_has(tmp_path):
    (tmp_path / 'a.yaml').write_text('T_cam_imu: 1\nrate: 2\n')
    with pytest.raises(RecordingError, match=r"no body_from_camera or T_BS; .*'T_cam_imu', 'rate'"):
        read_extrinsics(str(tmp_path / 'a.yaml'))


# Times


def test_poses_are_taken_between_two_but_not_across_a_gap(write):
    kept = [row for i, row in enumerate(SOURCES['/odom']) if i not in (8, 9, 10, 11)]
    truth = read(write(static(), *kept), max_gap=0.1, tolerance=0.0)
    wanted = np.array([STAMPS[0] - 1, STAMPS[0], STAMPS[3] + 10**7, STAMPS[9], STAMPS[-1]])
    wanted = np.append(wanted, STAMPS[-1] + 1)
    reached = truth.reaches(wanted)
    assert reached.tolist() == [False, True, True, False, True, False]
    assert [truth.camera_at(int(s)) is not None for s in wanted] == reached.tolist()
    slow = pose_at(truth.world_from_camera, int(wanted[2]), 10**8)
    assert np.array_equal(truth.camera_at(int(wanted[2])), slow)


def test_stamps_out_of_order_are_sorted_and_counted(write):
    sent = SOURCES['/pose']
    mixed = [sent[1], sent[0], *sent[2:], sent[5]]
    truth = read(write(static(), *[(*row[:2], START, row[3]) for row in mixed]))
    check_camera(truth)
    assert truth.notes[0] == (
        '1 of 21 stamps repeat another: the first counts; '
        '2 of 21 stamps go backward: they were sorted'
    )


@pytest.mark.parametrize(
    ('shift', 'words', 'offset'),
    [
        (-7200, 'they are 2 h apart as time zones are', '7200'),
        (
            -START // 10**9,
            'the truth counts from its start, the pictures have Unix',
            '1700000000.1',
        ),
        (-315964782, 'one looks like GPS time', '315964782.0'),
        (12.5, 'if both begin at one moment', '-12.4'),
    ],
)
def test_another_clock_is_recognised_and_its_offset_helps(tmp_path, shift, words, offset):
    file = body_file(tmp_path, STAMPS + round(shift * 10**9))
    with pytest.raises(RecordingError, match=words) as caught:
        alone(source=file)
    assert f'try --time-offset {offset}' in str(caught.value)
    assert 'the pictures have 1700000000.1 to 1700000000.85 s' in str(caught.value)
    mended = alone(source=file, time_offset=float(offset))
    assert mended.reaches(IMAGES).any()


def test_pictures_of_simulated_time_are_recognised():
    seconds = np.arange(3) * 10**9
    hint = clock_hint(START + seconds, seconds + 5)
    assert 'the pictures have simulated time, the truth has Unix time' in hint
    assert '--time-offset -1699999999.999999995' in hint


def test_a_truth_too_sparse_for_the_pictures_is_no_clock(tmp_path):
    few = tmp_path / 'few.txt'
    write_tum(Trajectory(stamps_ns=STAMPS[[0, -1]], world_from_body=BODY[[0, -1]]), few)
    with pytest.raises(RecordingError, match=r'no two poses around a picture are within 0\.2 s'):
        alone(source=str(few))
    assert alone(source=str(few), max_gap=1.0).reaches(IMAGES).all()
    with pytest.raises(RecordingError, match='there are no pictures'):
        alone(IMAGES[:0], source=str(few))


def test_options_that_make_no_sense():
    with pytest.raises(RecordingError, match='gap must be positive, got 0'):
        TruthOptions(max_gap=0)
    with pytest.raises(RecordingError, match='offset must be finite, got nan'):
        replace(TruthOptions(), time_offset=float('nan'))


def test_frames_are_named_with_or_without_the_slash_of_ros_1():
    options = TruthOptions(frame='/camera', base_frame='/base_link')
    assert (options.frame, options.base_frame) == ('camera', 'base_link')


# Records that hold no pose


def spoilt(message):
    """Return a message of poses whose quaternion is of zeros, as before a tracker knows."""
    message = deepcopy(message)
    body = getattr(message, 'pose', None)
    body = getattr(body, 'pose', body) if body is not None else message.transforms[0].transform
    turn = getattr(body, 'orientation', None) or body.rotation
    turn.x = turn.y = turn.z = turn.w = 0.0
    return message


@pytest.mark.parametrize('at', [0, 10, 19])
@pytest.mark.parametrize('source', ['/odom', '/pose', '/uncertain', '/tf:map:base_link'])
def test_a_message_without_pose_is_left_out_and_counted(write, source, at):
    sent = list(SOURCES[source])
    topic, kind, stamp, message = sent[at]
    sent[at] = (topic, kind, stamp, spoilt(message))
    truth = read(write(static(), *sent), source=source)
    assert len(truth.trajectory.stamps_ns) == 19
    (note,) = truth.notes
    assert note.startswith('1 of 20 messages hold no pose and are left out; the first: ')


def test_a_static_transform_that_is_none_voids_no_other(write):
    none = static(child='lidar', matrix=np.eye(4))
    none[3].transforms[0].transform.rotation.w = 0.0
    truth = read(write(none, static(), *SOURCES['/odom']))
    assert np.allclose(truth.body_from_camera, BODY_FROM_CAMERA)
    with pytest.raises(
        BagError, match=r'/tf_static: .*left out as no transform: base_link -> lida'
    ):
        read(write(none, *SOURCES['/odom']), frame='lidar')
