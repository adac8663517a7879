"""Folders of labelled pictures: each layout, and what their numbers and colours mean in ours."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dlcv.classes import CLASSES, NUMBER, UNLABELLED
from dlcv.data.datasets import DatasetError
from dlcv.data.datasets.label_sets import ADE20K, CAMVID, CITYSCAPES
from dlcv.data.datasets.labelled import recognise_labelled_folder

PICTURE = np.full((2, 3, 3), 77, np.uint8)


def write(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.asarray(pixels, np.uint8)
    assert cv2.imwrite(str(path), pixels[..., ::-1] if pixels.ndim == 3 else pixels)


def cityscapes(root):
    write(root / 'leftImg8bit/val/ulm/ulm_1_leftImg8bit.png', PICTURE)
    write(root / 'gtFine/val/ulm/ulm_1_gtFine_labelIds.png', [[7, 8, 24], [26, 17, 0]])
    write(root / 'gtFine/train/ulm/ulm_2_gtFine_labelIds.png', [[7, 8, 24], [26, 17, 0]])


def camvid(root):
    write(root / '701_StillsRaw_full/0016E5_1.png', PICTURE)
    road, pavement, person = (128, 64, 128), (0, 0, 192), (64, 64, 0)
    car, pole, void = (64, 0, 128), (192, 192, 128), (0, 0, 0)
    write(
        root / 'LabeledApproved_full/0016E5_1_L.png', [[road, pavement, person], [car, pole, void]]
    )


def ade20k(root):
    write(root / 'images/validation/ADE_1.jpg', PICTURE)
    write(root / 'annotations/validation/ADE_1.png', [[7, 12, 13], [21, 94, 0]])


def plain(root):
    write(root / 'images/a.png', PICTURE)
    names = 'road', 'pavement', 'person', 'vehicle', 'other'
    numbers = [*(NUMBER[name] for name in names), UNLABELLED]
    write(root / 'labels/a.png', np.reshape(numbers, (2, 3)))


@pytest.mark.parametrize('make', [cityscapes, camvid, ade20k, plain])
def test_each_layout_is_told_in_our_classes(make, tmp_path):
    make(tmp_path)
    folder = recognise_labelled_folder(tmp_path)
    assert len(folder) == 1
    (picture,) = folder
    known = picture.labels[picture.labels != UNLABELLED]
    assert [CLASSES[n].name for n in known] == ['road', 'pavement', 'person', 'vehicle', 'other']
    assert picture.labels[1, 2] == UNLABELLED
    assert picture.image.shape == (2, 3, 3)
    assert picture.name.startswith(folder.name)


@pytest.mark.parametrize('classes', [CITYSCAPES, CAMVID, ADE20K])
def test_no_class_of_theirs_is_two_of_ours(classes):
    theirs = [one for ones in classes.values() for one in ones]
    assert len(theirs) == len(set(theirs))
    assert set(classes) <= set(NUMBER)


def test_what_does_not_fit_is_refused(tmp_path):
    with pytest.raises(DatasetError, match='is no labelled folder: looked for gtFine'):
        recognise_labelled_folder(tmp_path)
    plain(tmp_path)
    write(tmp_path / 'labels/a.png', np.zeros((5, 3)))
    with pytest.raises(DatasetError, match=r'a.png is 3x2, its labels a.png are 3x5'):
        recognise_labelled_folder(tmp_path)[0]
    write(tmp_path / 'labels/a.png', PICTURE)
    with pytest.raises(DatasetError, match='labels are numbers, one channel'):
        recognise_labelled_folder(tmp_path)[0]
    (tmp_path / 'images/a.png').unlink()
    with pytest.raises(DatasetError, match='is missing, the picture of'):
        recognise_labelled_folder(tmp_path)
