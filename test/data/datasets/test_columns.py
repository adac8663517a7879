"""Tables of poses whose first line says which column is what."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dlcv.data.datasets import DatasetError
from dlcv.data.datasets.trajectories import IMU, read_poses
from dlcv.data.recordings.extrinsics import read_extrinsics

STAMPS = [1700000000_000000000, 1700000000_100000000, 1700000000_250000000]
TIMES = {
    's': [f'{stamp // 10**9}.{stamp % 10**9:09d}' for stamp in STAMPS],
    'ms': [str(stamp // 10**6) for stamp in STAMPS],
    'us': [str(stamp // 10**3) for stamp in STAMPS],
    'ns': [str(stamp) for stamp in STAMPS],
}


@pytest.fixture
def poses(random_pose):
    return [random_pose(i) for i in range(3)]


def written(path, head, order, poses, *, mark=' ', unit='s', scale=1.0):
    """Write poses; ``order`` names columns by t, x y z, a b c w (the quaternion), 0 (filler)."""
    lines = [head] if head else []
    for time, pose in zip(TIMES[unit], poses, strict=True):
        turn = Rotation.from_matrix(pose[:3, :3]).as_quat()
        values = dict(zip('abcw', turn, strict=True)) | dict(
            zip('xyz', pose[:3, 3] * scale, strict=True)
        )
        words = [time if c == 't' else c if c in '01' else f'{values[c]:.15g}' for c in order]
        lines.append(mark.join(words))
    path.write_text('\n'.join(lines) + '\n')
    return path


ROS = '%time,field.header.seq,field.header.stamp,' + ','.join(
    f'field.pose.{name}' for name in ('position.x', 'position.y', 'position.z', 'orientation.x',
                                      'orientation.y', 'orientation.z', 'orientation.w')
)  # fmt: skip
HEADS = {
    'tum': ('# timestamp tx ty tz qx qy qz qw', 'txyzabcw', ' ', 's'),
    'w first': ('# timestamp tx ty tz qw qx qy qz', 'txyzwabc', ' ', 's'),
    'quaternion first': ('# time qx qy qz qw x y z', 'tabcwxyz', ' ', 's'),
    'another order': ('# t z y x qw qz qy qx', 'tzyxwcba', ' ', 's'),
    'time last': ('# x y z qx qy qz qw time', 'xyzabcwt', ' ', 's'),
    'no mark': ('timestamp,tx,ty,tz,qw,qx,qy,qz', 'txyzwabc', ',', 's'),
    'an index': (',timestamp,x,y,z,q_x,q_y,q_z,q_w', '0txyzabcw', ',', 's'),
    'tabs': ('#time\tpx\tpy\tpz\tqw\tqx\tqy\tqz', 'txyzwabc', '\t', 's'),
    'semicolons': ('time;pos_x;pos_y;pos_z;quat_w;quat_x;quat_y;quat_z', 'txyzwabc', ';', 's'),
    'units': ('#timestamp [ns],p_x [m],p_y [m],p_z [m],q_w [],q_x [],q_y [],q_z []', 'txyzwabc',
              ',', 'ns'),
    'seconds': ('#time [s],p_x [m],p_y [m],p_z [m],q_w [],q_x [],q_y [],q_z []', 'txyzwabc', ',',
                's'),
    'milliseconds': ('time_ms,x,y,z,qx,qy,qz,qw', 'txyzabcw', ',', 'ms'),
    'microseconds': ('timestamp(us) x y z qx qy qz qw', 'txyzabcw', ' ', 'us'),
    'no unit, nanoseconds': ('# timestamp tx ty tz qx qy qz qw', 'txyzabcw', ' ', 'ns'),
    'groups': ('# timestamp [s] position(x y z) quaternion(w x y z)', 'txyzwabc', ' ', 's'),
    'prose before': ('# Format: timestamp x y z qw qx qy qz', 'txyzwabc', ' ', 's'),
    'prose behind': ('# timestamp x y z qw qx qy qz, camera to world', 'txyzwabc', ' ', 's'),
    'a remark with marks': (
        '# timestamp tx ty tz qx qy qz qw (camera 02 of frame 0; GPS (OXTS); n = round(t*30))',
        'txyzabcw', ' ', 's',
    ),
    'more columns': ('t,vx,x,y,z,qw,qx,qy,qz,v_x', 't0xyzwabc0', ',', 's'),
    'ROS': (ROS, '10txyzabcw', ',', 'ns'),
    'capitals': ('Timestamp,positionX,positionY,positionZ,rotationX,rotationY,rotationZ,rotationW',
                 'txyzabcw', ',', 's'),
}  # fmt: skip


@pytest.mark.parametrize('kind', HEADS)
def test_names_decide_the_order(tmp_path, poses, kind):
    head, order, mark, unit = HEADS[kind]
    path = written(tmp_path / 'a.txt', head, order, poses, mark=mark, unit=unit)
    found = read_poses(path).trajectory
    assert found.stamps_ns.tolist() == STAMPS
    np.testing.assert_allclose(found.world_from_body, poses, atol=1e-12)


def test_the_names_of_euroc_place_the_imu_in_either_order(tmp_path, poses):
    names = ['p_RS_R_x [m]', 'p_RS_R_y [m]', 'p_RS_R_z [m]', *(f'q_RS_{a} []' for a in 'xyzw')]
    head = ', '.join(['#timestamp [s]', *names])
    found = read_poses(written(tmp_path / 'a.csv', head, 'txyzabcw', poses, mark=','))
    assert (found.format, found.trajectory.child_frame_id) == ('EuRoC', IMU)
    np.testing.assert_allclose(found.trajectory.world_from_body, poses, atol=1e-12)


def test_seconds_and_nanoseconds_of_a_message_are_put_together(tmp_path, poses):
    head = 'sec,nanosec,' + ','.join(f'pose.position.{a}' for a in 'xyz')
    head += ',' + ','.join(f'pose.orientation.{a}' for a in 'xyzw')
    path = written(tmp_path / 'a.csv', head, 'txyzabcw', poses, mark=',')
    lines = path.read_text().splitlines()
    rows = [
        f'{stamp // 10**9},{stamp % 10**9},{line.partition(",")[2]}'
        for stamp, line in zip(STAMPS, lines[1:], strict=True)
    ]
    path.write_text('\n'.join([lines[0], *rows]))
    assert read_poses(path).trajectory.stamps_ns.tolist() == STAMPS


def test_positions_may_be_in_millimetres(tmp_path, poses):
    head = 't,x [mm],y [mm],z [mm],qx,qy,qz,qw'
    path = written(tmp_path / 'a.csv', head, 'txyzabcw', poses, mark=',', scale=1000)
    np.testing.assert_allclose(read_poses(path).trajectory.world_from_body, poses, atol=1e-12)


def test_decimal_commas_are_read_between_semicolons(tmp_path, poses):
    path = written(tmp_path / 'a.csv', 't;x;y;z;qx;qy;qz;qw', 'txyzabcw', poses, mark=';')
    path.write_text(path.read_text().replace('.', ','))
    found = read_poses(path).trajectory
    assert found.stamps_ns.tolist() == STAMPS
    np.testing.assert_allclose(found.world_from_body, poses, atol=1e-12)


@pytest.mark.parametrize(
    'head',
    ['# ground truth', '# axes: x right, y down, z forward', '# recorded at 640 x 480',
     '#timestamp, p_RS_R_x [m], p_RS_R_y [m], ...'],
)  # fmt: skip
def test_comments_about_other_things_change_nothing(tmp_path, poses, head):
    path = written(tmp_path / 'a.txt', head, 'txyzabcw', poses)
    np.testing.assert_allclose(read_poses(path).trajectory.world_from_body, poses, atol=1e-12)


@pytest.mark.parametrize(
    ('head', 'complaint'),
    [
        ('# t x y z q0 q1 q2 q3', 'name no qx, qy, qz, qw'),
        ('# t x y z a b c d', 'name no qx, qy, qz, qw'),
        ('# timestamp tx ty tz qx qy qz', 'are 7, but the lines have 8 columns'),
        ('# time x y z w x y z', 'name no qx, qy, qz'),
        ('# n x y z qx qy qz qw', 'name no time'),
        ('# t x x z qx qy qz qw', 'name no y'),
        ('# t[s] x[km] y[km] z[km] qx qy qz qw', 'positions in km'),
        ('# time[ns] x y z qx qy qz qw', 'said to be nanoseconds, but .* looks like seconds'),
    ],
)
def test_names_that_cannot_be_placed_are_refused(tmp_path, poses, head, complaint):
    path = written(tmp_path / 'a.txt', head, 'txyzabcw', poses)
    with pytest.raises(DatasetError, match=rf'a\.txt.*{complaint}'):
        read_poses(path)


# Lines that hold no pose

GOOD = ['1 1 0 0 0 0 0 1', '2 2 0 0 0 0 0 1', '3 3 0 0 0 0 0 1', '4 4 0 0 0 0 0 1']
BAD = ['{} 9 0 0 0 0 0 0', '{} nan 0 0 0 0 0 1', '{} inf 0 0 0 0 0 1', '{} 9 0 0 nan nan nan nan',
       '{} 1e30 0 0 0 0 0 1', '{} 9 0 0 0 0 0 3', 'nan 9 0 0 0 0 0 1']  # fmt: skip


@pytest.mark.parametrize('at', [0, 2, 4])
@pytest.mark.parametrize('bad', BAD)
def test_a_line_without_pose_is_left_out_and_counted(tmp_path, bad, at):
    lines = [*GOOD[:at], bad.format(at + 0.5), *GOOD[at:]]
    (tmp_path / 'a.txt').write_text('\n'.join(lines))
    found = read_poses(tmp_path / 'a.txt')
    assert found.trajectory.world_from_body[:, 0, 3].tolist() == [1, 2, 3, 4]
    assert found.notes[0].startswith('1 of 5 lines hold no pose and are left out; the first: ')
    assert f'line {at + 1}:' in found.notes[0]


def test_values_that_are_missing_in_a_table_are_no_pose(tmp_path):
    rows = ['time,x,y,z,qx,qy,qz,qw', '1,1,0,0,0,0,0,1', '2,,,,,,,', '3,3,0,0,0,0,0,1',
            '4,4,0,0,NaN,NaN,NaN,NaN', '5,5,0,0,0,0,0,1']  # fmt: skip
    (tmp_path / 'a.csv').write_text('\n'.join(rows))
    found = read_poses(tmp_path / 'a.csv')
    assert found.trajectory.world_from_body[:, 0, 3].tolist() == [1, 3, 5]
    assert '2 of 5 lines' in found.notes[0]


def test_a_last_line_that_is_cut_short_is_left_out(tmp_path):
    (tmp_path / 'a.txt').write_text('\n'.join([*GOOD, '5 5 0']))
    assert len(read_poses(tmp_path / 'a.txt').trajectory.stamps_ns) == 4


def test_where_most_quaternions_are_wrong_the_file_is_refused(tmp_path):
    (tmp_path / 'a.txt').write_text('\n'.join([*GOOD[:2], *['9 9 0 0 0 0 0 3'] * 3]))
    with pytest.raises(DatasetError, match=r'line 3: quaternion .* has length 3'):
        read_poses(tmp_path / 'a.txt')


def test_poses_of_kitti_that_are_none_lose_their_times_too(tmp_path):
    row = '1 0 0 {} 0 1 0 0 0 0 1 0'
    lines = [row.format(1), row.format('nan'), ' '.join(['0'] * 12), row.format(4)]
    (tmp_path / 'a.txt').write_text('\n'.join(lines))
    (tmp_path / 'a_times.txt').write_text('1\n2\n3\n4\n')
    found = read_poses(tmp_path / 'a.txt')
    assert (found.trajectory.stamps_ns // 10**9).tolist() == [1, 4]
    assert '2 of 4 lines hold no pose' in found.notes[1]


def test_extrinsics_of_a_file_follow_its_names_too(tmp_path, random_pose):
    x, y, z, w = Rotation.from_matrix(random_pose(3)[:3, :3]).as_quat()
    at = ' '.join(map(repr, map(float, random_pose(3)[:3, 3])))
    (tmp_path / 'a.txt').write_text(f'# x y z qw qx qy qz\n{at} {w} {x} {y} {z}\n')
    np.testing.assert_allclose(read_extrinsics(str(tmp_path / 'a.txt')), random_pose(3), atol=1e-9)


# Without names


def test_nanoseconds_between_commas_are_of_euroc_however_they_are_printed(tmp_path, poses):
    path = written(tmp_path / 'a.csv', '', 'txyzwabc', poses, mark=',', unit='ns')
    for stamp in TIMES['ns']:
        path.write_text(path.read_text().replace(stamp, f'{stamp[0]}.{stamp[1:]}e+18'))
    found = read_poses(path)
    assert (found.format, found.trajectory.stamps_ns.tolist()) == ('EuRoC', STAMPS)
    np.testing.assert_allclose(found.trajectory.world_from_body, poses, atol=1e-12)


@pytest.mark.parametrize('unit', ['ms', 'us'])
def test_an_order_that_nobody_says_is_not_guessed(tmp_path, poses, unit):
    path = written(tmp_path / 'a.csv', '', 'txyzwabc', poses, mark=',', unit=unit)
    with pytest.raises(DatasetError, match=r'seconds are of no format, and no line names the col'):
        read_poses(path)
