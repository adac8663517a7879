"""Folders that are nearly of a layout: they work, or a line says what is there and not used."""

from __future__ import annotations

import numpy as np
import pytest
import yaml
from scipy.spatial.transform import Rotation

from dlcv.data.datasets import DatasetError, FolderOptions, open_folder, recognise_folder
from dlcv.types import Camera

CAMERA = Camera(width=30, height=20, fx=25.0, fy=26.0, cx=14.5, cy=9.5)
START = 1403636579763555584
STAMPS = [START + i * 50_000_000 for i in range(3)]
HEAD = '#timestamp [ns], p_RS_R_x [m], p_RS_R_y [m], p_RS_R_z [m]'


@pytest.fixture
def euroc(tmp_path, write_picture, random_pose):
    cam = tmp_path / 'room1' / 'mav0' / 'cam0'
    for i, stamp in enumerate(STAMPS):
        write_picture(cam / 'data' / f'{stamp}.png', i, grey=True)
    rows = [f'{stamp},{stamp}.png' for stamp in STAMPS]
    (cam / 'data.csv').write_text('\n'.join(['#timestamp [ns],filename', *rows]))
    sensor = {
        'T_BS': {'data': random_pose(70).ravel().tolist()},
        'resolution': [30, 20],
        'intrinsics': [45.0, 45.0, 14.7, 9.8],
        'distortion_model': 'radial-tangential',
        'distortion_coefficients': [0.0, 0.0, 0.0, 0.0],
    }
    (cam / 'sensor.yaml').write_text(yaml.safe_dump(sensor))
    return tmp_path / 'room1'


def add_truth(root, name, poses, positions_only=False):
    rows = [HEAD if positions_only else HEAD + ', q_RS_w [], q_RS_x [], q_RS_y [], q_RS_z []']
    for stamp, pose in zip(STAMPS, poses, strict=True):
        x, y, z, w = Rotation.from_matrix(pose[:3, :3]).as_quat()
        values = [*pose[:3, 3], *(() if positions_only else (w, x, y, z))]
        rows.append(', '.join([str(stamp), *(f'{v:.12f}' for v in values)]))
    (root / 'mav0' / name).mkdir()
    (root / 'mav0' / name / 'data.csv').write_text('\n'.join(rows))


def test_the_truth_of_tum_vi_is_found(euroc, random_pose):
    add_truth(euroc, 'mocap0', [random_pose(i) for i in range(3)])
    recording = open_folder('euroc', euroc)
    assert 'the true poses are those of mocap0, of the IMU' in recording.notes
    expected = random_pose(1) @ random_pose(70)
    np.testing.assert_allclose(recording.items[1].world_from_camera, expected, atol=1e-9)


@pytest.mark.parametrize(('name', 'only'), [('vicon0', False), ('leica0', True)])
def test_other_measurements_are_seen_and_said_not_to_be_used(euroc, random_pose, name, only):
    add_truth(euroc, name, [random_pose(i) for i in range(3)], positions_only=only)
    recording = open_folder('euroc', euroc)
    assert [item.world_from_camera for item in recording.items] == [None] * 3
    assert any(note.startswith(f'{name} is there and not used') for note in recording.notes)


def test_a_known_camera_needs_no_sensor_file(euroc, random_pose):
    (euroc / 'mav0' / 'cam0' / 'sensor.yaml').unlink()
    recording = open_folder('euroc', euroc, FolderOptions(camera=CAMERA))
    assert (recording.camera, recording.notes) == (CAMERA, ())
    with pytest.raises(DatasetError, match=r'sensor\.yaml: cannot be read'):
        open_folder('euroc', euroc)
    add_truth(euroc, 'mocap0', [random_pose(i) for i in range(3)])
    (note,) = open_folder('euroc', euroc, FolderOptions(camera=CAMERA)).notes
    assert 'mocap0/data.csv is there and not used: how the camera sits' in note


@pytest.mark.parametrize('inside', ['mav0', 'mav0/cam0'])
def test_a_folder_of_the_sequence_stands_for_it(euroc, inside):
    recording = open_folder('euroc', euroc / inside)
    assert [item.stamp_ns for item in recording.items] == STAMPS


@pytest.mark.parametrize('opened', [recognise_folder, lambda path: open_folder('euroc', path)])
def test_one_more_folder_around_it_is_seen_through_and_said(euroc, opened):
    recording = opened(euroc.parent)
    assert (recording.name, len(recording)) == ('room1', 3)
    assert recording.notes[0] == 'read from room1/ in it'


def test_several_sequences_in_a_folder_are_named(euroc):
    euroc.rename(euroc.parent / 'all')
    (euroc.parent / 'two').symlink_to(euroc.parent / 'all')
    with pytest.raises(DatasetError, match='of that layout are all, two in it: name one'):
        open_folder('euroc', euroc.parent)


def test_another_cameras_name_is_answered_with_those_there(euroc):
    with pytest.raises(DatasetError, match='no camera cam1; there are cam0'):
        open_folder('euroc', euroc, FolderOptions(sequence='cam1'))


def test_the_layout_of_another_set_is_named(euroc):
    with pytest.raises(DatasetError, match=r'is no KITTI folder: .*it has the layout of euroc'):
        open_folder('kitti', euroc)


def test_a_folder_within_the_sequence_is_told_where_it_is(tmp_path, write_picture):
    write_picture(tmp_path / 'set' / 'rgb' / '1.png')
    (tmp_path / 'set' / 'rgb.txt').write_text('1.0 rgb/1.png\n')
    with pytest.raises(DatasetError, match=r'the folder above it, .*set, has that layout'):
        open_folder('tum', tmp_path / 'set' / 'rgb')


def test_files_that_may_be_the_truth_are_named(tmp_path, write_picture, write_depth):
    write_picture(tmp_path / 'rgb' / '1.png')
    write_depth(tmp_path / 'depth' / '1.png')
    (tmp_path / 'rgb.txt').write_text('1.0 rgb/1.png\n')
    (tmp_path / 'poses.txt').write_text('')
    notes = open_folder('tum', tmp_path).notes
    assert 'poses.txt is there and not used: --groundtruth names it' in notes
    assert 'depth/ is there and not used: depth.txt, which says its times, is not' in notes


def test_sequences_of_kitti_may_be_given_themselves_and_by_their_number(tmp_path, write_picture):
    for name in ('00', '07'):
        folder = tmp_path / 'sequences' / name
        for i in range(2):
            write_picture(folder / 'image_0' / f'{i:06d}.png', i)
        (folder / 'times.txt').write_text('0\n0.1\n')
    options = FolderOptions(camera=CAMERA, sequence='7')
    for source in (tmp_path, tmp_path / 'sequences'):
        assert open_folder('kitti', source, options).name == 'kitti-07'


@pytest.mark.parametrize('name', ['seq-01', 'seq-3', 'sequence12', 'night'])
@pytest.mark.parametrize('suffix', ['png', 'jpg'])
def test_sequences_of_seven_scenes_may_have_other_names(tmp_path, write_picture, name, suffix):
    folder = tmp_path / 'chess' / name
    for number in (0, 1):
        write_picture(folder / f'frame-{number:06d}.color.{suffix}')
        text = '1 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 1\n'
        (folder / f'frame-{number:06d}.pose.txt').write_text(text)
    (folder / 'frame-000001.pose.txt').write_text('-1.#IND 0 0 nan\n0 1 0 0\n0 0 1 0\n0 0 0 1\n')
    recording = open_folder('seven-scenes', tmp_path / 'chess')
    assert [item.world_from_camera is not None for item in recording.items] == [True, False]
    assert recording.notes == (
        f'1 of 2 pictures have no true pose, the first is frame-000001.color.{suffix}',
    )
    digits = ''.join(c for c in name if c.isdigit())
    wanted = digits.lstrip('0') or name
    assert len(open_folder('seven-scenes', tmp_path / 'chess', FolderOptions(sequence=wanted))) == 2


def test_only_a_folder_named_after_pictures_stands_for_them(tmp_path, write_picture):
    write_picture(tmp_path / 'report' / '1.png')
    with pytest.raises(DatasetError, match='is no picture folder'):
        open_folder('images', tmp_path)
    write_picture(tmp_path / 'images' / '1.png')
    assert open_folder('images', tmp_path).notes[0] == 'read from images/ in it'


def test_lists_may_begin_with_names_of_their_columns(euroc, tmp_path, write_picture):
    table = euroc / 'mav0' / 'cam0' / 'data.csv'
    table.write_text(table.read_text().replace('#timestamp [ns],', 'timestamp,'))
    assert [item.stamp_ns for item in open_folder('euroc', euroc).items] == STAMPS
    write_picture(tmp_path / 'tum' / 'rgb' / '1.png')
    (tmp_path / 'tum' / 'rgb.txt').write_text('timestamp filename\n1.5 rgb/1.png\n')
    assert open_folder('tum', tmp_path / 'tum').items[0].stamp_ns == 1_500_000_000


def test_a_sequence_of_kitti_without_times_comes_at_a_rate_and_says_so(tmp_path, write_picture):
    for i in range(2):
        write_picture(tmp_path / '00' / 'image_2' / f'{i:06d}.png', i)
    for rate, second in ((None, 100_000_000), (20.0, 50_000_000)):
        recording = open_folder('kitti', tmp_path / '00', FolderOptions(camera=CAMERA, rate=rate))
        assert [item.stamp_ns for item in recording.items] == [0, second]
        assert recording.notes[0].startswith('times.txt is missing: the pictures are taken to come')
