from __future__ import annotations

import numpy as np
import pytest

from dlcv.data.datasets import DatasetError, FolderOptions, open_folder


@pytest.fixture
def scene(tmp_path, write_picture, write_depth, random_pose):
    for sequence in (1, 2):
        for i in (0, 1, 3):
            stem = tmp_path / 'chess' / f'seq-0{sequence}' / f'frame-{i:06d}'
            write_picture(stem.with_name(f'{stem.name}.color.png'), i, size=(640, 480))
            write_depth(stem.with_name(f'{stem.name}.depth.png'), i, unknown=65535)
            rows = ['\t '.join(f'{v: .9e}' for v in row) for row in random_pose(i + sequence)]
            stem.with_name(f'{stem.name}.pose.txt').write_text('\t\n'.join(rows) + '\n')
    return tmp_path / 'chess'


def test_times_poses_and_calibration(scene, random_pose):
    recording = open_folder('seven-scenes', scene / 'seq-02')
    assert recording.name == 'chess-seq-02'
    assert (recording.camera.fx, recording.camera.cx) == (585.0, 320.0)
    assert [item.stamp_ns for item in recording.items] == [0, 33_333_333, 100_000_000]
    for i, item in zip((0, 1, 3), recording.items, strict=True):
        np.testing.assert_allclose(item.world_from_camera, random_pose(i + 2), atol=1e-8)


def test_the_sequence_of_a_scene_must_be_named(scene):
    for name in ('seq-01', '01'):
        recording = open_folder('seven-scenes', scene, FolderOptions(sequence=name))
        assert recording.items[0].picture.parent.name == 'seq-01'
    for name in (None, '7'):
        with pytest.raises(DatasetError, match=r"of \['seq-01', 'seq-02'\]"):
            open_folder('seven-scenes', scene, FolderOptions(sequence=name))


def test_depth_is_in_millimetres_and_65535_is_none(scene, write_depth, tmp_path):
    recording = open_folder('seven-scenes', scene / 'seq-01')
    from dlcv.data.datasets.files import read_depth

    item = recording.items[0]
    depth = read_depth(item.depth, recording.depth_scale, recording.unknown_depth)
    units = write_depth(tmp_path / 'd.png', 0, unknown=65535)
    assert np.isnan(depth[0, 0])
    np.testing.assert_allclose(depth[1:], units[1:] / 1000, rtol=1e-6)


@pytest.mark.parametrize(
    ('text', 'complaint'),
    [
        ('1 0 0 0\n0 1 0 0\n0 0 1', 'line 3: expected 4 numbers'),
        ('1 0 0 0\n0 1 0 0\n0 0 1 0', 'expected 4 lines'),
        ('2 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 1', 'no rotation'),
        ('1 0 0 0\n0 1 0 0\n0 0 -1 0\n0 0 0 1', 'no rotation'),
    ],
)
def test_a_wrong_pose_is_named(scene, text, complaint):
    (scene / 'seq-01' / 'frame-000001.pose.txt').write_text(text)
    with pytest.raises(DatasetError, match=rf'frame-000001\.pose\.txt.*{complaint}'):
        open_folder('seven-scenes', scene / 'seq-01')


def test_a_missing_pose_is_named(scene):
    (scene / 'seq-01' / 'frame-000003.pose.txt').unlink()
    with pytest.raises(DatasetError, match=r'frame-000003\.pose\.txt: cannot be read'):
        open_folder('seven-scenes', scene / 'seq-01')
