"""COCO folders in miniature."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dlcv.data.datasets.coco import coco_pictures
from dlcv.data.datasets.errors import DatasetError


def split(folder, *numbers):
    folder.mkdir(parents=True)
    for number in numbers:
        cv2.imwrite(str(folder / f'{number:012d}.jpg'), np.zeros((8, 8, 3), np.uint8))
    return folder


@pytest.mark.parametrize('inside', ['', 'images'])
def test_a_split_is_found_where_it_is(tmp_path, inside):
    folder = split(tmp_path / inside / 'val2017', 139, 25)
    (tmp_path / 'annotations').mkdir()
    expected = [folder / '000000000025.jpg', folder / '000000000139.jpg']
    assert coco_pictures(tmp_path) == expected
    assert coco_pictures(tmp_path, 'val2017') == expected
    assert coco_pictures(folder) == expected
    assert coco_pictures(folder, 'val2017') == expected


def test_of_several_splits_one_must_be_named(tmp_path):
    split(tmp_path / 'val2017', 1)
    split(tmp_path / 'train2017', 2)
    with pytest.raises(DatasetError, match='which of train2017, val2017'):
        coco_pictures(tmp_path)
    assert [p.stem for p in coco_pictures(tmp_path, 'train2017')] == ['000000000002']


def test_a_wrong_folder_is_told_what_was_looked_for_and_what_is_there(tmp_path):
    (tmp_path / 'annotations').mkdir()
    with pytest.raises(DatasetError, match=r'looked for train2017/\*\.jpg.*it has annotations/'):
        coco_pictures(tmp_path)
    with pytest.raises(DatasetError, match=r"no split 'val2016'; there are train2014"):
        coco_pictures(tmp_path, 'val2016')
    with pytest.raises(DatasetError, match='no such folder'):
        coco_pictures(tmp_path / 'nowhere')
