"""Cambridge Landmarks in miniature: poses stand in the lists, turned the other way round."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dlcv.data.datasets import DatasetError, FolderOptions, open_folder, recognise_folder
from dlcv.data.datasets.splits import read_part, read_split

HEADER = 'Visual Landmark Dataset V1\nImageFile, Camera Position [X Y Z W P Q R]\n\n'


@pytest.fixture
def folder(tmp_path, write_picture, random_pose):
    """Three training pictures of two sequences, one test picture."""
    root = tmp_path / 'ShopFacade'
    lines = {}
    for n, name in enumerate(('seq1/frame00001', 'seq1/frame00010', 'seq2/frame00001', 'seq3/a')):
        write_picture(root / f'{name}.png', n)
        pose = random_pose(n)
        x, y, z, w = Rotation.from_matrix(pose[:3, :3].T).as_quat()
        numbers = ' '.join(f'{v:.9f}' for v in (*pose[:3, 3], w, x, y, z))
        lines[name] = f'{name}.png {numbers}\n'
    *train, test = lines.values()
    (root / 'dataset_train.txt').write_text(HEADER + ''.join(train))
    (root / 'dataset_test.txt').write_text(HEADER + test)
    return root


def test_the_lists_hold_the_poses_of_the_cameras(folder, random_pose):
    recording = recognise_folder(folder, FolderOptions(rate=2))
    assert [item.picture.name for item in recording.items] == [
        'frame00001.png', 'frame00010.png', 'frame00001.png', 'a.png',
    ]  # fmt: skip
    for n, item in enumerate(recording.items):
        np.testing.assert_allclose(item.world_from_camera, random_pose(n), atol=1e-6)
    assert recording.items[1].stamp_ns == 500_000_000
    with pytest.raises(DatasetError, match='ShopFacade: the camera is not calibrated'):
        recording.camera  # noqa: B018


def test_the_model_beside_calibrates_the_camera(folder):
    cameras = ''.join(
        f'seq1/frame{n}.jpg\t{f} 1 0 0 0 1 2 3 -0.1 0\n' for n, f in ((1, 40), (2, 44))
    )
    (folder / 'reconstruction.nvm').write_text(f'NVM_V3\n\n2\n{cameras}\n1\n1 2 3 4 5 6 0\n')
    camera = recognise_folder(folder).camera
    assert (camera.width, camera.height, camera.fx, camera.cx) == (30, 20, 42.0, 14.5)


def test_its_lists_are_training_and_test(folder):
    split = read_split(folder)
    assert (len(split.train), len(split.test)) == (3, 1)
    part = read_part(folder)
    assert len(part.recording) == 3
    assert part.said == (
        'dataset_train.txt: 3 pictures of 4; the 1 picture of dataset_test.txt is left alone'
    )


def test_lists_of_names_leave_the_poses_to_others(folder, write_tum, random_pose):
    (folder / 'dataset_train.txt').write_text('seq1/frame00001.png\n')
    with pytest.raises(DatasetError, match=r'looked for poses in dataset_train\.txt'):
        open_folder('cambridge', folder)


def test_lines_that_are_none_are_refused(folder):
    (folder / 'dataset_train.txt').write_text(f'{HEADER}seq1/frame00001.png 1 2 3\n')
    with pytest.raises(
        DatasetError, match=r'dataset_train\.txt, line 4: expected 7 numbers, got 3'
    ):
        recognise_folder(folder)
