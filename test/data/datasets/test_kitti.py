from __future__ import annotations

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest

from dlcv.data.datasets import DatasetError, FolderOptions, open_folder

P2 = np.array([[72.0, 0, 15, 4.5], [0, 72, 9, 0.2], [0, 0, 1, 0.003]])
P3 = np.array([[72.0, 0, 15, -34], [0, 72, 9, 2.2], [0, 0, 1, 0.003]])


def _row(matrix):
    return ' '.join(f'{v:.17g}' for v in np.ravel(matrix))


@pytest.fixture
def drive(tmp_path, write_picture, random_pose):
    day = tmp_path / '2011_09_26'
    root = day / '2011_09_26_drive_0001_sync'
    dates = [f'2011-09-26 13:02:{25 + i}.964389445' for i in range(3)]
    for camera in (2, 3):
        for i in range(3):
            write_picture(root / f'image_0{camera}' / 'data' / f'{i:010d}.png', 10 * camera + i)
        (root / f'image_0{camera}' / 'timestamps.txt').write_text('\n'.join(dates) + '\n')
    (root / 'oxts' / 'data').mkdir(parents=True)
    for i in range(3):
        packet = [49.0 + 1e-5 * i, 8.4 + 2e-5 * i, 116.0 + i, 0.02 * i, -0.01 * i, 0.5 * i]
        text = ' '.join(map(repr, [*packet, *([0.0] * 24)]))
        (root / 'oxts' / 'data' / f'{i:010d}.txt').write_text(text)
    rectification = random_pose(5)[:3, :3]
    (day / 'calib_cam_to_cam.txt').write_text(
        'calib_time: 09-Jan-2012 13:57:47\ncorner_dist: 9.95e-02\n'
        f'R_rect_00: {_row(rectification)}\n'
        f'S_rect_02: 3.0e+01 2.0e+01\nP_rect_02: {_row(P2)}\n'
        f'S_rect_03: 3.0e+01 2.0e+01\nP_rect_03: {_row(P3)}\n'
    )
    for name, seed in (('calib_imu_to_velo', 6), ('calib_velo_to_cam', 7)):
        pose = random_pose(seed)
        text = f'calib_time: 25-May-2012\nR: {_row(pose[:3, :3])}\nT: {_row(pose[:3, 3])}\n'
        (day / f'{name}.txt').write_text(text)
    return root


def test_raw_drive(drive, write_picture, tmp_path):
    recording = open_folder('kitti', drive)
    snapshots = list(recording)
    assert recording.name == '2011_09_26_drive_0001_sync'
    assert [s.frame.stamp_ns % 10**10 for s in snapshots] == [
        5964389445,
        6964389445,
        7964389445,
    ]
    assert (recording.camera.fx, recording.camera.cy) == (72.0, 9.0)
    assert recording.baseline == pytest.approx(38.5 / 72)
    for i, snapshot in enumerate(snapshots):
        left = write_picture(tmp_path / 'l.png', 20 + i)
        right = write_picture(tmp_path / 'r.png', 30 + i)
        np.testing.assert_array_equal(snapshot.frame.image, left)
        np.testing.assert_array_equal(snapshot.right.image, right)


def test_raw_poses_follow_the_devkit(drive, random_pose):
    """A plain transcription of convertOxtsToPose.m, and the calibration chain of the paper."""
    scale = math.cos(49.0 * math.pi / 180)
    expected = []
    for i in range(3):
        lat, lon, alt = 49.0 + 1e-5 * i, 8.4 + 2e-5 * i, 116.0 + i
        er = 6378137
        t = [
            scale * lon * math.pi * er / 180,
            scale * er * math.log(math.tan((90 + lat) * math.pi / 360)),
            alt,
        ]
        rx, ry, rz = 0.02 * i, -0.01 * i, 0.5 * i
        turn_x = [[1, 0, 0], [0, np.cos(rx), -np.sin(rx)], [0, np.sin(rx), np.cos(rx)]]
        turn_y = [[np.cos(ry), 0, np.sin(ry)], [0, 1, 0], [-np.sin(ry), 0, np.cos(ry)]]
        turn_z = [[np.cos(rz), -np.sin(rz), 0], [np.sin(rz), np.cos(rz), 0], [0, 0, 1]]
        pose = np.eye(4)
        pose[:3, :3] = np.array(turn_z) @ turn_y @ turn_x
        pose[:3, 3] = t
        expected.append(pose)
    origin = expected[0][:3, 3].copy()
    rectify = np.eye(4)
    rectify[:3, :3] = random_pose(5)[:3, :3]
    projection = np.vstack([P2, [0, 0, 0, 1]])
    k = np.eye(4)
    k[:3, :3] = P2[:, :3]
    camera_from_imu = np.linalg.inv(k) @ projection @ rectify @ random_pose(7) @ random_pose(6)
    for item, world_from_imu in zip(open_folder('kitti', drive).items, expected, strict=True):
        world_from_imu[:3, 3] -= origin
        truth = world_from_imu @ np.linalg.inv(camera_from_imu)
        np.testing.assert_allclose(item.world_from_camera, truth, atol=1e-8)


def test_a_metre_east_is_a_metre_along_x(tmp_path):
    from dlcv.data.datasets.kitti import EARTH_RADIUS, oxts_poses

    step = math.degrees(1 / (EARTH_RADIUS * math.cos(math.radians(49))))
    north = math.degrees(1 / EARTH_RADIUS)
    for i, (lat, lon) in enumerate([(49, 8), (49, 8 + step), (49 + north, 8)]):
        (tmp_path / f'{i}.txt').write_text(f'{lat!r} {lon!r} 100 0 0 0')
    poses = oxts_poses(sorted(tmp_path.glob('*.txt')))
    np.testing.assert_allclose(poses[1][:3, 3], [1, 0, 0], atol=1e-6)
    np.testing.assert_allclose(poses[2][:3, 3], [0, 1, 0], atol=1e-6)


@pytest.mark.parametrize('place', ['drive', 'train', 'val', ''])
def test_annotated_depth(drive, tmp_path, place):
    root = drive if place == 'drive' else tmp_path / 'annotated' / place / drive.name
    folder = root / 'proj_depth' / 'groundtruth' / 'image_02'
    folder.mkdir(parents=True)
    stored = np.zeros((20, 30), np.uint16)
    stored[3, 4] = 256 * 7 + 64
    cv2.imwrite(str(folder / '0000000001.png'), stored)
    options = FolderOptions(depth_folder=None if place == 'drive' else tmp_path / 'annotated')
    before, middle, after = open_folder('kitti', drive, options)
    assert before.depth is None
    assert after.depth is None
    assert middle.depth[3, 4] == 7.25
    assert np.isnan(middle.depth).sum() == 20 * 30 - 1
    assert all(s.depth is None for s in open_folder('kitti', drive, replace(options, depth=False)))


def test_depth_that_belongs_to_no_picture(drive, tmp_path):
    with pytest.raises(DatasetError, match=r'looked for the depth of image_02 at train.2011_09_26'):
        open_folder('kitti', drive, FolderOptions(depth_folder=tmp_path))
    with pytest.raises(DatasetError, match='only raw drives have annotated depth'):
        open_folder('kitti', tmp_path, FolderOptions(depth_folder=tmp_path))
    with pytest.raises(DatasetError, match='elsewhere, got tum'):
        open_folder('tum', tmp_path, FolderOptions(depth_folder=tmp_path))
    folder = drive / 'proj_depth' / 'groundtruth' / 'image_02'
    folder.mkdir(parents=True)
    cv2.imwrite(str(folder / '0000000007.png'), np.zeros((20, 30), np.uint16))
    with pytest.raises(DatasetError, match=r'0000000007\.png belongs to none of 3 pictures'):
        open_folder('kitti', drive)


def test_without_gps_there_are_pictures(drive):
    (drive.parent / 'calib_imu_to_velo.txt').unlink()
    assert open_folder('kitti', drive).items[0].world_from_camera is None


def test_raw_mistakes_are_named(drive):
    packet = drive / 'oxts' / 'data' / '0000000001.txt'
    good = packet.read_text()
    packet.write_text('49 8.4 wet 0 0 0')
    with pytest.raises(DatasetError, match=r'0000000001\.txt, line 1: .*wet'):
        open_folder('kitti', drive)
    packet.unlink()
    with pytest.raises(DatasetError, match='2 packets for 3 pictures'):
        open_folder('kitti', drive)
    packet.write_text(good)
    stamps = drive / 'image_02' / 'timestamps.txt'
    stamps.write_text(stamps.read_text() + 'yesterday\n')
    with pytest.raises(DatasetError, match=r"timestamps\.txt, line 4: 'yesterday'"):
        open_folder('kitti', drive)
    stamps.write_text(stamps.read_text().replace('yesterday', '2011-09-26 14:00:00'))
    with pytest.raises(DatasetError, match=r'3 pictures \(to 0000000002\.png\), but .* has 4'):
        open_folder('kitti', drive)
    (drive / 'image_02' / 'data' / '0000000001.png').unlink()
    with pytest.raises(DatasetError, match=r'picture 1 is missing; the next is 0000000002\.png'):
        open_folder('kitti', drive)


def test_raw_calibration_mistakes_are_named(drive):
    path = drive.parent / 'calib_cam_to_cam.txt'
    path.write_text(path.read_text().replace('P_rect_03', 'P_rect_33'))
    with pytest.raises(DatasetError, match='12 numbers under P_rect_03; the file has'):
        open_folder('kitti', drive)
    path.unlink()
    with pytest.raises(DatasetError, match=r'looked for its calibration at .*calib_cam_to_cam'):
        open_folder('kitti', drive)
    renamed = drive.rename(drive.with_name('2011_09_26_drive_0001_extract'))
    with pytest.raises(DatasetError, match='unrectified'):
        open_folder('kitti', renamed)


@pytest.fixture
def benchmark(tmp_path, write_picture, random_pose):
    for name in ('00', '07'):
        root = tmp_path / 'dataset' / 'sequences' / name
        for camera in (2, 3):
            for i in range(3):
                write_picture(root / f'image_{camera}' / f'{i:06d}.png', 10 * camera + i)
        rows = [f'P{i}: {_row(p)}' for i, p in enumerate([np.eye(3, 4), np.eye(3, 4), P2, P3])]
        (root / 'calib.txt').write_text('\n'.join(rows))
        (root / 'times.txt').write_text('0.000000e+00\n1.036224e-01\n2.072856e-01\n')
    (tmp_path / 'dataset' / 'poses').mkdir()
    rows = [_row(random_pose(i)[:3]) for i in range(3)]
    (tmp_path / 'dataset' / 'poses' / '00.txt').write_text('\n'.join(rows))
    return tmp_path / 'dataset'


def test_odometry_sequence(benchmark, random_pose):
    for source, options in (
        (benchmark, FolderOptions(sequence='00')),
        (benchmark / 'sequences' / '00', FolderOptions()),
    ):
        recording = open_folder('kitti', source, options)
        assert recording.name == 'kitti-00'
        assert [item.stamp_ns for item in recording.items] == [0, 103_622_400, 207_285_600]
        assert recording.baseline == pytest.approx(38.5 / 72)
        assert (recording.camera.width, recording.camera.fx) == (30, 72.0)
        shift = np.linalg.solve(P2[:, :3], P2[:, 3])  # camera 0's origin seen from camera 2
        for i, item in enumerate(recording.items):
            truth = random_pose(i)
            truth[:3, 3] -= truth[:3, :3] @ shift
            np.testing.assert_allclose(item.world_from_camera, truth, atol=1e-12)
        assert len([s.right for s in recording]) == 3


def test_odometry_mistakes_are_named(benchmark):
    with pytest.raises(DatasetError, match=r"\(none named\) of \['00', '07'\]"):
        open_folder('kitti', benchmark)
    assert open_folder('kitti', benchmark / 'sequences' / '07').items[0].world_from_camera is None
    path = benchmark / 'poses' / '00.txt'
    lines = path.read_text().split('\n')
    path.write_text('\n'.join(lines[:2]))
    options = FolderOptions(sequence='00')
    with pytest.raises(DatasetError, match=r'00\.txt: 2 poses for 3 pictures'):
        open_folder('kitti', benchmark, options)
    path.write_text('\n'.join([*lines[:2], '1 2 3']))
    with pytest.raises(DatasetError, match=r'00\.txt, line 3: expected 12 numbers, got 3'):
        open_folder('kitti', benchmark, options)
    path.write_text('\n'.join([lines[0], *[' '.join(['1'] * 12)] * 2]))
    with pytest.raises(DatasetError, match=r'00\.txt, line 2: no rotation matrix'):
        open_folder('kitti', benchmark, options)


def test_a_tum_file_can_stand_for_the_poses(benchmark, write_tum, random_pose, tmp_path):
    write_tum(tmp_path / 'mine.txt', ['0', '0.1036224', '0.2072856'], map(random_pose, (7, 8, 9)))
    options = FolderOptions(groundtruth=tmp_path / 'mine.txt')
    recording = open_folder('kitti', benchmark / 'sequences' / '07', options)
    np.testing.assert_allclose(recording.items[2].world_from_camera, random_pose(9), atol=1e-12)
