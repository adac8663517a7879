from __future__ import annotations

import numpy as np
import pytest

from dlcv.data.datasets import DatasetError, FolderOptions, open_folder
from dlcv.geometry.camera import write_camera
from dlcv.types import Camera

CAMERA = Camera(width=30, height=20, fx=25.0, fy=26.0, cx=14.5, cy=9.5)


@pytest.fixture
def folder(tmp_path, write_picture, write_depth, write_tum, random_pose):
    for i in range(4):
        write_picture(tmp_path / 'set' / 'rgb' / f'{i * 3}.png', i)
        write_depth(tmp_path / 'set' / 'depth' / f'{i * 3}.png', i)
    stamps = ['5.0', '5.05', '5.25', '6.125000001']
    write_tum(tmp_path / 'set' / 'groundtruth.txt', stamps, map(random_pose, range(4)))
    write_camera(CAMERA, tmp_path / 'set' / 'camera.yaml')
    return tmp_path / 'set'


@pytest.mark.parametrize('kind', ['images', 'tum'])
def test_folder_with_poses_one_for_each_picture(folder, random_pose, write_picture, kind, tmp_path):
    recording = open_folder(kind, folder, FolderOptions(depth_scale=256))
    assert (recording.name, recording.camera, len(recording)) == ('set', CAMERA, 4)
    snapshots = list(recording)
    assert [s.frame.stamp_ns for s in snapshots] == [
        5_000_000_000,
        5_050_000_000,
        5_250_000_000,
        6_125_000_001,
    ]
    for i, snapshot in enumerate(snapshots):
        np.testing.assert_allclose(snapshot.world_from_camera, random_pose(i), atol=1e-15)
        expected = write_picture(tmp_path / 'again.png', i)
        np.testing.assert_array_equal(snapshot.frame.image, expected)
        assert np.isnan(snapshot.depth[0, 0])
        assert np.isnan(snapshot.depth).sum() == 1


@pytest.mark.parametrize('kind', ['images', 'tum'])
def test_depth_of_unknown_units_is_left_out(folder, kind):
    assert next(iter(open_folder(kind, folder))).depth is None
    options = FolderOptions(depth_scale=1000, depth=False)
    assert next(iter(open_folder(kind, folder, options))).depth is None
    assert next(iter(open_folder(kind, folder, FolderOptions(depth_scale=1000)))).depth is not None


def test_patterns_are_sorted_as_numbers(tmp_path, write_picture):
    for i in (10, 9, 100):
        write_picture(tmp_path / f'left{i}.png', i)
        write_picture(tmp_path / f'right{i}.png', i)
    recording = open_folder('images', tmp_path / 'left*.png', FolderOptions(rate=4))
    assert [item.picture.name for item in recording.items] == [
        'left9.png',
        'left10.png',
        'left100.png',
    ]
    assert [s.frame.stamp_ns for s in recording] == [0, 250_000_000, 500_000_000]
    with pytest.raises(DatasetError, match='not calibrated'):
        _ = recording.camera
    with pytest.raises(DatasetError, match=r'looked for top\*\.png; it has left10\.png'):
        open_folder('images', tmp_path / 'top*.png')


def test_a_rate_puts_the_poses_to_their_times(folder, random_pose, write_tum):
    write_tum(folder / 'groundtruth.txt', ['0', '0.25', '0.5', '9'], map(random_pose, range(4)))
    snapshots = list(open_folder('images', folder, FolderOptions(rate=4)))
    np.testing.assert_allclose(snapshots[2].world_from_camera, random_pose(2), atol=1e-15)
    assert snapshots[3].world_from_camera is None


def test_truth_of_another_time_is_refused(folder):
    with pytest.raises(DatasetError, match=r'groundtruth\.txt: its 4 poses lie between 5\.000 s'):
        open_folder('images', folder, FolderOptions(rate=10))


def test_a_missing_depth_is_named(folder):
    (folder / 'depth' / '3.png').unlink()
    with pytest.raises(DatasetError, match=r"no depth for 1 pictures: \['3\.png'\]"):
        open_folder('images', folder, FolderOptions(depth_scale=1000))


def test_a_picture_of_another_size_is_named(folder, write_picture):
    write_picture(folder / 'rgb' / '6.png', size=(32, 20))
    with pytest.raises(DatasetError, match=r'6\.png: the picture is 32x20, the calibration'):
        list(open_folder('images', folder))


def test_a_camera_has_one_size_also_without_calibration(folder, write_picture):
    (folder / 'camera.yaml').unlink()
    write_picture(folder / 'rgb' / '6.png', size=(32, 20))
    with pytest.raises(DatasetError, match=r'6\.png: the picture is 32x20, those before are 30x20'):
        list(open_folder('images', folder))


def test_a_scale_without_depth_is_refused(folder):
    with pytest.raises(DatasetError, match='rgb: a depth scale is given, but there is no folder'):
        open_folder('images', folder / 'rgb', FolderOptions(depth_scale=1000))


def test_depth_of_another_size_is_named(folder, write_picture):
    for path in (folder / 'rgb').iterdir():
        write_picture(path, size=(32, 20))
    (folder / 'camera.yaml').unlink()
    with pytest.raises(DatasetError, match=r'0\.png: the depth is 30x20, its picture 32x20'):
        list(open_folder('images', folder, FolderOptions(depth_scale=1000)))


def test_cut_shift_and_turn(folder):
    recording = open_folder('images', folder)
    names = [item.picture.stem for item in recording.cut(start=1, count=2, stride=2).items]
    assert names == ['3', '9']
    for bad in ({'start': -1}, {'stride': 0}, {'count': 0}):
        with pytest.raises(DatasetError, match='a cut needs'):
            recording.cut(**bad)
    with pytest.raises(DatasetError, match='has 4 pictures, the start was 4'):
        recording.cut(start=4)
    assert recording.shifted(-7).items[0].stamp_ns == 4_999_999_993
    turn = np.diag([1.0, -1, -1, 1])
    expected = turn @ recording.items[2].world_from_camera
    np.testing.assert_array_equal(recording.turned(turn).items[2].world_from_camera, expected)
