"""Readers of stereo sets, each on a miniature in the set's own layout."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from dlcv.data.datasets import DatasetError
from dlcv.data.datasets.disparity_files import read_disparity, read_pfm, write_pfm
from dlcv.data.datasets.stereo import STEREO_READERS, recognise_stereo_folder

W, H = 30, 20


def disparities(seed: int) -> np.ndarray:
    """Return disparity in whole pixels, NaN in some."""
    values = np.random.default_rng(seed).integers(1, 50, (H, W)).astype(np.float32)
    values[3, 4:7] = np.nan
    return values


def write_kitti(path: Path, disparity: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.nan_to_num(disparity * 256).astype(np.uint16))


def write_float(path: Path, disparity: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_pfm(path, disparity)


def write_mask(path: Path) -> None:
    mask = np.full((H, W), 255, np.uint8)
    mask[8, 9] = 128  # hidden from the right camera
    assert cv2.imwrite(str(path), mask)


@pytest.fixture
def made(tmp_path, write_picture):
    """Return a function that makes two pairs of a set; returns the folder."""

    def pair(left: Path, right: Path, seed: int) -> None:
        write_picture(left, seed)
        write_picture(right, seed + 10)

    def make(kind: str) -> Path:
        root = tmp_path / kind
        for i in range(2):
            truth = disparities(i)
            match kind:
                case 'kitti-stereo':
                    train, name = root / 'training', f'{i:06d}_10.png'
                    pair(train / 'image_2' / name, train / 'image_3' / name, i)
                    write_kitti(train / 'disp_occ_0' / name, truth)
                    truth[8, 9] = np.nan
                    write_kitti(train / 'disp_noc_0' / name, truth)
                case 'eth3d':
                    folder = root / 'two_view_training' / f'hall_{i}'
                    gt = root / 'two_view_training_gt' / f'hall_{i}'
                    pair(folder / 'im0.png', folder / 'im1.png', i)
                    write_float(gt / 'disp0GT.pfm', truth)
                    write_mask(gt / 'mask0nocc.png')
                case 'middlebury-stereo':
                    folder = root / f'Piano-{i}'
                    pair(folder / 'im0.png', folder / 'im1.png', i)
                    write_float(folder / 'disp0.pfm', truth)
                    write_mask(folder / 'mask0nocc.png')
                case 'middlebury-2006':
                    folder = root / 'HalfSize' / f'Aloe{i}'
                    pair(folder / 'view1.png', folder / 'view5.png', i)
                    stored = np.nan_to_num(2 * truth).astype(np.uint8)
                    assert cv2.imwrite(str(folder / 'disp1.png'), stored)
                case 'scene-flow':
                    at = f'TEST/A/{i:04d}'
                    pictures = root / 'frames_finalpass' / at
                    pair(pictures / 'left' / '0006.png', pictures / 'right' / '0006.png', i)
                    write_float(root / 'disparity' / at / 'left' / '0006.pfm', truth)
                    write_float(root / 'disparity/TRAIN/A/0000/left/0006.pfm', truth)
                case 'stereo-pairs':
                    folder = root / f'yard_{i}'
                    pair(folder / 'left.png', folder / 'right.png', i)
                    np.savez(folder / 'disparity.npz', disparity=truth)
        return root

    return make


@pytest.mark.parametrize('kind', STEREO_READERS)
def test_each_set_is_recognised_and_read(made, kind):
    found = recognise_stereo_folder(made(kind))
    assert len(found) == 2
    for i, pair in enumerate(found):
        np.testing.assert_array_equal(pair.disparity, disparities(i))
        assert pair.left.shape == pair.right.shape == (H, W, 3)
        assert not np.array_equal(pair.left, pair.right)
        if kind in ('kitti-stereo', 'eth3d', 'middlebury-stereo'):
            assert np.argwhere(pair.occluded).tolist() == [[8, 9]]
        else:
            assert pair.occluded is None


@pytest.mark.parametrize('kind', STEREO_READERS)
def test_a_picture_that_is_missing_is_named(made, kind):
    root = made(kind)
    recognise_stereo_folder(root)[0]
    right = next(item.right for item in recognise_stereo_folder(root).items)
    right.unlink()
    with pytest.raises(DatasetError, match=f'{right.name} is missing, a picture of'):
        recognise_stereo_folder(root)


def test_a_folder_of_another_kind_says_what_was_looked_for(tmp_path):
    (tmp_path / 'cats').mkdir()
    with pytest.raises(DatasetError, match=r'no stereo folder: looked for .*disp_occ_0.*cats/'):
        recognise_stereo_folder(tmp_path)


def test_pictures_of_another_size_are_refused(made, write_picture):
    root = made('stereo-pairs')
    picture = root / 'yard_0' / 'right.png'
    cv2.imwrite(str(picture), np.zeros((H, W + 1, 3), np.uint8))
    with pytest.raises(DatasetError, match='is 31x20, its disparity 30x20'):
        recognise_stereo_folder(root)[0]


def test_middlebury_2006_needs_its_size(made):
    root = made('middlebury-2006')
    (root / 'HalfSize').rename(root / 'some')
    with pytest.raises(DatasetError, match='told by a folder FullSize, HalfSize, ThirdSize'):
        recognise_stereo_folder(root / 'some')


def test_float_maps_of_either_byte_order_are_read_from_the_top(tmp_path):
    values = np.array([[1, 2], [3, np.inf]], np.float32)
    path = tmp_path / 'a.pfm'
    path.write_bytes(b'Pf\n2 2\n1.0\n' + values[::-1].astype('>f4').tobytes())
    np.testing.assert_array_equal(read_pfm(path), [[1, 2], [3, np.nan]])
    write_pfm(path, read_pfm(path))
    np.testing.assert_array_equal(read_pfm(path), [[1, 2], [3, np.nan]])


@pytest.mark.parametrize(
    ('name', 'content', 'message'),
    [
        ('a.pfm', b'PF\n2 2\n-1\n' + bytes(48), 'no .pfm of one channel'),
        ('a.pfm', b'Pf\n2 2\n-1\n' + bytes(8), '2x2 pixels take 26 bytes, it has 18'),
        ('a.npz', b'no', 'no .npz that can be read'),
        ('a.tif', b'', 'read from .pfm, .png and .npz files'),
    ],
)
def test_damaged_files_are_named(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DatasetError, match=message):
        read_disparity(tmp_path / name)
