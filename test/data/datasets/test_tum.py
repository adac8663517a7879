from __future__ import annotations

import numpy as np
import pytest

from dlcv.data.datasets import DatasetError, FolderOptions, open_folder


@pytest.fixture
def sequence(tmp_path, write_picture, write_depth, write_tum, random_pose):
    root = tmp_path / 'rgbd_dataset_freiburg2_mini'
    rgb, depth = ['# color images'], ['# depth maps']
    for i in range(3):
        stamp = f'1305031102.{1 + i}75304'
        write_picture(root / 'rgb' / f'{stamp}.png', i, size=(640, 480))
        rgb.append(f'{stamp} rgb/{stamp}.png')
    for i, stamp in enumerate(('1305031102.160407', '1305031102.290000', '1305031102.376000')):
        write_depth(root / 'depth' / f'{stamp}.png', i)
        depth.append(f'{stamp} depth/{stamp}.png')
    (root / 'rgb.txt').write_text('\n'.join(rgb))
    (root / 'depth.txt').write_text('\n'.join(depth))
    stamps = ['1305031102.165304', '1305031102.185304', '1305031102.275304']
    write_tum(root / 'groundtruth.txt', stamps, map(random_pose, range(3)))
    return root


def test_times_files_and_calibration(sequence, random_pose):
    recording = open_folder('tum', sequence)
    assert [item.stamp_ns for item in recording.items] == [
        1305031102175304000,
        1305031102275304000,
        1305031102375304000,
    ]
    assert recording.camera.fx == 520.9
    assert recording.camera.distortion[4] == 0.9172
    # depth: 15 ms away, 15 ms away, 1 ms away
    assert [item.depth.stem[-6:] for item in recording.items] == ['160407', '290000', '376000']
    middle = recording.items[0].world_from_camera
    np.testing.assert_allclose(
        middle[:3, 3], (random_pose(0)[:3, 3] + random_pose(1)[:3, 3]) / 2, atol=1e-12
    )
    np.testing.assert_allclose(recording.items[1].world_from_camera, random_pose(2), atol=1e-12)
    assert recording.items[2].world_from_camera is None


def test_depth_that_is_too_far_in_time_is_left_out(sequence):
    text = (sequence / 'depth.txt').read_text().replace('1305031102.290000 ', '1305031102.296000 ')
    (sequence / 'depth.txt').write_text(text)
    assert open_folder('tum', sequence).items[1].depth is None


def test_depth_units(tmp_path, write_picture, write_depth):
    write_picture(tmp_path / 'a.png')
    units = write_depth(tmp_path / 'd.png')
    (tmp_path / 'rgb.txt').write_text('1.0 a.png')
    (tmp_path / 'depth.txt').write_text('1.0 d.png')
    (snapshot,) = open_folder('tum', tmp_path)
    np.testing.assert_allclose(snapshot.depth[1:], units[1:] / 5000, rtol=1e-6)
    (snapshot,) = open_folder('tum', tmp_path, FolderOptions(depth_scale=1000))
    np.testing.assert_allclose(snapshot.depth[1:], units[1:] / 1000, rtol=1e-6)


def test_a_missing_picture_is_named_with_its_line(sequence):
    (sequence / 'rgb' / '1305031102.275304.png').unlink()
    with pytest.raises(DatasetError, match=r'rgb\.txt, line 3: .*275304\.png is missing'):
        open_folder('tum', sequence)


@pytest.mark.parametrize(
    ('text', 'complaint'),
    [('1.0', 'line 1: expected a time and a file'), ('# x', 'no files are listed')],
)
def test_a_wrong_list_is_named(tmp_path, text, complaint):
    (tmp_path / 'rgb.txt').write_text(text)
    with pytest.raises(DatasetError, match=rf'rgb\.txt.*{complaint}'):
        open_folder('tum', tmp_path)
