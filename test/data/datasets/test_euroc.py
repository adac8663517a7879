from __future__ import annotations

import numpy as np
import pytest
import yaml
from scipy.spatial.transform import Rotation

from dlcv.data.datasets import DatasetError, FolderOptions, open_folder

START = 1403636579763555584


@pytest.fixture
def sequence(tmp_path, write_picture, random_pose):
    root = tmp_path / 'MH_01_easy' / 'mav0'
    for camera in (0, 1):
        rows = ['#timestamp [ns],filename']
        for i in range(3):
            stamp = START + i * 50_000_000
            write_picture(root / f'cam{camera}' / 'data' / f'{stamp}.png', i, grey=True)
            rows.append(f'{stamp},{stamp}.png\r')
        (root / f'cam{camera}' / 'data.csv').write_text('\n'.join(rows) + '\n')
        sensor = {
            'sensor_type': 'camera',
            'T_BS': {'cols': 4, 'rows': 4, 'data': random_pose(70 + camera).ravel().tolist()},
            'rate_hz': 20,
            'resolution': [30, 20],
            'camera_model': 'pinhole',
            'intrinsics': [45.8 + camera, 45.7, 14.7, 9.8],
            'distortion_model': 'radial-tangential',
            'distortion_coefficients': [-0.28, 0.07, 0.0002, 1.7e-05],
        }
        (root / f'cam{camera}' / 'sensor.yaml').write_text('%YAML:1.0\n' + yaml.safe_dump(sensor))
    rows = ['#timestamp, p_RS_R_x [m], ..., q_RS_w [], q_RS_x [], ...']
    for i in range(3):
        x, y, z, w = Rotation.from_matrix(random_pose(i)[:3, :3]).as_quat()
        values = [*random_pose(i)[:3, 3], w, x, y, z, 0.1, 0.2, 0.3]
        rows.append(','.join([str(START + i * 50_000_000), *map(repr, map(float, values))]))
    (root / 'state_groundtruth_estimate0').mkdir()
    (root / 'state_groundtruth_estimate0' / 'data.csv').write_text('\n'.join(rows))
    return root.parent


@pytest.mark.parametrize('camera', [0, 1])
@pytest.mark.parametrize('inside', [False, True])
def test_pictures_calibration_and_the_cameras_pose(sequence, random_pose, camera, inside):
    source = sequence / 'mav0' if inside else sequence
    recording = open_folder('euroc', source, FolderOptions(sequence=f'cam{camera}'))
    assert recording.camera.fx == 45.8 + camera
    assert recording.camera.distortion == (-0.28, 0.07, 0.0002, 1.7e-05)
    assert recording.camera.distortion_model == 'plumb_bob'
    snapshots = list(recording)
    assert snapshots[2].frame.stamp_ns == START + 100_000_000
    assert snapshots[2].frame.image.shape == (20, 30)
    for i, snapshot in enumerate(snapshots):
        expected = random_pose(i) @ random_pose(70 + camera)
        np.testing.assert_allclose(snapshot.world_from_camera, expected, atol=1e-12)


def test_without_truth_there_are_pictures(sequence):
    (sequence / 'mav0' / 'state_groundtruth_estimate0' / 'data.csv').unlink()
    assert [s.world_from_camera for s in open_folder('euroc', sequence)] == [None] * 3


def test_fisheye_cameras_are_equidistant(sequence):
    path = sequence / 'mav0' / 'cam0' / 'sensor.yaml'
    path.write_text(path.read_text().replace('radial-tangential', 'equidistant'))
    assert open_folder('euroc', sequence).camera.distortion_model == 'equidistant'


@pytest.mark.parametrize(
    ('old', 'new', 'complaint'),
    [
        ('radial-tangential', 'magic', "distortion model 'magic'; known are"),
        ('intrinsics', 'intrinsic', 'intrinsics must be 4 numbers, got None'),
        ('- 30', '- thirty', 'could not convert'),
        ('T_BS', '[', 'cannot be read'),
    ],
)
def test_a_wrong_calibration_is_named(sequence, old, new, complaint):
    path = sequence / 'mav0' / 'cam0' / 'sensor.yaml'
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(DatasetError, match=rf'sensor\.yaml.*{complaint}'):
        open_folder('euroc', sequence)


def test_missing_files_and_wrong_lines_are_named(sequence):
    root = sequence / 'mav0'
    picture = root / 'cam0' / 'data' / f'{START + 50_000_000}.png'
    picture.rename(root / 'aside.png')
    with pytest.raises(DatasetError, match=rf'data\.csv, line 3: .*{picture.name} is missing'):
        open_folder('euroc', sequence)
    (root / 'aside.png').rename(picture)
    table = root / 'state_groundtruth_estimate0' / 'data.csv'
    table.write_text(table.read_text().replace(str(START), 'soon', 1))
    with pytest.raises(DatasetError, match=r'data\.csv, line 2: .*soon'):
        open_folder('euroc', sequence)


def test_a_truth_file_of_the_sets_own_format_places_the_body_too(sequence, random_pose, tmp_path):
    table = sequence / 'mav0' / 'state_groundtruth_estimate0' / 'data.csv'
    given = table.rename(tmp_path / 'given.csv')
    found = open_folder('euroc', sequence, FolderOptions(groundtruth=given))
    expected = random_pose(1) @ random_pose(70)
    np.testing.assert_allclose(found.items[1].world_from_camera, expected, atol=1e-12)
