"""Files of poses: three formats, told apart by content, read and written without loss."""

from __future__ import annotations

import numpy as np
import pytest

from dlcv.data.datasets import DatasetError, FolderOptions, open_folder
from dlcv.data.datasets.poses import FORMATS
from dlcv.data.datasets.trajectories import (
    CAMERA,
    IMU,
    read_camera_poses,
    read_poses,
    recognise,
    write_kitti,
    write_tum,
)
from dlcv.types import Trajectory

STAMPS = (1403715524_907143168, 1403715524_912143104, 1403715525_000000001)


@pytest.fixture
def walk(random_pose):
    poses = np.stack([random_pose(seed) for seed in range(len(STAMPS))])
    return Trajectory(stamps_ns=np.array(STAMPS, np.int64), world_from_body=poses)


def euroc(path, trajectory, columns=17):
    from scipy.spatial.transform import Rotation

    lines = ['#timestamp, p_RS_R_x [m], p_RS_R_y [m], ...']
    for stamp, pose in zip(trajectory.stamps_ns, trajectory.world_from_body, strict=True):
        x, y, z, w = Rotation.from_matrix(pose[:3, :3]).as_quat()
        values = [*pose[:3, 3], w, x, y, z, *[0.5] * (columns - 8)]
        lines.append(','.join([str(stamp), *(f'{v:.12f}' for v in values)]))
    path.write_text('\n'.join(lines))
    return path


def test_what_is_written_in_tum_format_is_read_again(walk, tmp_path):
    write_tum(walk, tmp_path / 'a.txt')
    found = read_poses(tmp_path / 'a.txt')
    assert found.format == 'TUM'
    assert found.notes == ()
    assert found.trajectory.stamps_ns.tolist() == list(STAMPS)
    assert found.trajectory.child_frame_id == CAMERA
    apart = np.abs(found.trajectory.world_from_body - walk.world_from_body)
    assert apart[:, :3, 3].max() <= 0.5e-9
    assert apart[:, :3, :3].max() <= 4e-12
    lines = (tmp_path / 'a.txt').read_text().splitlines()
    assert lines[1].startswith('1403715524.907143168 ')
    write_tum(found.trajectory, tmp_path / 'b.txt')
    again = read_poses(tmp_path / 'b.txt').trajectory
    assert np.allclose(again.world_from_body, found.trajectory.world_from_body, atol=1e-12, rtol=0)


def test_what_is_written_in_kitti_format_is_read_again(walk, tmp_path):
    times = write_kitti(walk, tmp_path / '07.txt')
    assert times == tmp_path / '07_times.txt'
    found = read_poses(tmp_path / '07.txt')
    assert found.format == 'KITTI'
    assert found.notes == ('times of 07_times.txt',)
    assert found.trajectory.stamps_ns.tolist() == list(STAMPS)
    assert np.abs(found.trajectory.world_from_body - walk.world_from_body).max() <= 0.5e-12
    before = (tmp_path / '07.txt').read_bytes(), times.read_bytes()
    write_kitti(found.trajectory, tmp_path / '07.txt')
    assert ((tmp_path / '07.txt').read_bytes(), times.read_bytes()) == before


def test_times_before_zero_are_written_too(walk, tmp_path):
    early = Trajectory(
        stamps_ns=np.array([-1_500_000_000, -1, 0]), world_from_body=walk.world_from_body
    )
    write_tum(early, tmp_path / 'a.txt')
    assert read_poses(tmp_path / 'a.txt').trajectory.stamps_ns.tolist() == [-1_500_000_000, -1, 0]


@pytest.mark.parametrize('columns', [8, 17])
def test_euroc_files_place_the_imu(walk, tmp_path, columns):
    path = euroc(tmp_path / 'data.csv', walk, columns)
    found = read_poses(path)
    assert found.format == 'EuRoC'
    assert found.trajectory.child_frame_id == IMU
    assert found.trajectory.stamps_ns.tolist() == list(STAMPS)
    assert np.allclose(found.trajectory.world_from_body, walk.world_from_body, atol=1e-9)
    with pytest.raises(DatasetError, match='EuRoC files place the imu, needed are poses of the ca'):
        read_camera_poses(path)


def test_tum_lines_may_have_commas_and_exponents(tmp_path):
    path = tmp_path / 'a.txt'
    path.write_text('1.403715529112143517e+09,1,2,3,0,0,0,1\n')
    found = read_poses(path)
    assert found.format == 'TUM'
    assert found.trajectory.stamps_ns.tolist() == [1403715529_112143517]


def test_times_of_kitti_lie_where_the_benchmark_has_them(walk, tmp_path):
    poses = tmp_path / 'poses' / '03.txt'
    poses.parent.mkdir()
    write_kitti(walk, poses).unlink()
    times = tmp_path / 'sequences' / '03' / 'times.txt'
    times.parent.mkdir(parents=True)
    times.write_text('0.000000e+00\n1.037359e-01\n2.073381e-01\n')
    assert read_poses(poses).trajectory.stamps_ns.tolist() == [0, 103735900, 207338100]
    (poses.parent / 'times.txt').write_text('5\n6\n')  # nearer, and wrong
    with pytest.raises(DatasetError, match=r'3 poses, but .*poses/times\.txt has 2 times'):
        read_poses(poses)


def test_a_kitti_file_without_times_has_those_of_as_many_pictures(walk, tmp_path):
    write_kitti(walk, tmp_path / '00.txt').unlink()
    found = read_poses(tmp_path / '00.txt', lambda: np.array([5, 6, 7]))
    assert found.trajectory.stamps_ns.tolist() == [5, 6, 7]
    assert found.notes == ('no file of times: the 3 poses are those of the pictures, in order',)
    with pytest.raises(DatasetError, match=r'it has 3 for 2 pictures.*00_times\.txt, .*times\.txt'):
        read_poses(tmp_path / '00.txt', lambda: np.array([5, 6]))


def test_times_out_of_order_are_sorted_and_counted(tmp_path):
    lines = [f'{t} {x} 0 0 0 0 0 1' for t, x in [(3, 0), (1, 1), (1, 2), (2, 3), (1, 4)]]
    (tmp_path / 'a.txt').write_text('\n'.join(lines))
    found = read_poses(tmp_path / 'a.txt')
    assert (found.trajectory.stamps_ns // 10**9).tolist() == [1, 2, 3]
    assert found.trajectory.world_from_body[:, 0, 3].tolist() == [1, 3, 0]
    assert found.notes[0] == (
        '2 of 5 stamps repeat another: the first counts; '
        '2 of 5 stamps go backward: they were sorted'
    )


@pytest.mark.parametrize(
    'text',
    [
        'timestamp,x,y,z\n1,2,3,4\n',
        '1 2 3 4 5 6 7\n',
        '1403715524907143168,1,2,3\n',  # EuRoC's leica: positions alone
        '1,2,3,4,5,6,7,8,9,10,11,12\n',
    ],
)
def test_an_unknown_format_is_answered_with_what_the_known_ones_look_like(tmp_path, text):
    (tmp_path / 'a.txt').write_text('# a comment\n' + text)
    with pytest.raises(DatasetError, match=r'a\.txt, line 2: .* is of no format') as caught:
        recognise(tmp_path / 'a.txt')
    assert all(looks in str(caught.value) for looks in FORMATS.values())


def test_files_that_are_wrong_are_named(tmp_path):
    path = tmp_path / 'a.txt'
    path.write_text('# nothing\n')
    with pytest.raises(DatasetError, match=r'a\.txt: no poses'):
        read_poses(path)
    path.write_bytes(b'\xff\xfe\x00')
    with pytest.raises(DatasetError, match='is no text'):
        read_poses(path)
    path.write_text('1403715529112143517 1 2 3 0 0 0 1\n')
    with pytest.raises(DatasetError, match=r'is too large for seconds; nanoseconds\?'):
        read_poses(path)


# In place of a data set's own truth


def test_a_file_of_any_format_can_stand_for_the_truth(
    tmp_path, random_pose, write_picture, write_tum
):
    (tmp_path / 'rgb.txt').write_text(''.join(f'{i} rgb/{i}.png\n' for i in range(3)))
    poses = [random_pose(i) for i in range(3)]
    for number in range(3):
        write_picture(tmp_path / 'rgb' / f'{number}.png', number)
    write_kitti(
        Trajectory(stamps_ns=np.arange(3) * 10**9, world_from_body=np.stack(poses)),
        tmp_path / 'k.txt',
    )
    (tmp_path / 'k_times.txt').unlink()  # then they are those of the pictures
    write_tum(tmp_path / 't.txt', '012', poses)
    for file in ('k.txt', 't.txt'):
        found = open_folder('tum', tmp_path, FolderOptions(groundtruth=tmp_path / file))
        mine = np.stack([item.world_from_camera for item in found.items])
        assert np.allclose(mine, poses, atol=1e-11)
