"""HPatches and Oxford folders in miniature, and what is said about wrong ones."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dlcv.data.datasets.errors import DatasetError
from dlcv.data.datasets.homographies import open_homographies, read_homography

MATRIX = '0.8798 0.3125 -39.43\n-0.1839 0.9385 153.2\n0.0001964 -1.6e-05 1\n'


def picture(seed: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (12, 16, channels), np.uint8)


def scene(folder, *, name='{}.ppm', matrix='H_1_{}', count=3):
    folder.mkdir(parents=True)
    for k in range(1, count + 1):
        cv2.imwrite(str(folder / name.format(k)), picture(k)[..., ::-1])
        if k > 1:
            (folder / matrix.format(k)).write_text(MATRIX)
    return folder


def test_hpatches(tmp_path):
    scene(tmp_path / 'v_wall')
    scene(tmp_path / 'i_door')
    found = open_homographies(tmp_path)
    pairs = list(found)
    assert len(found) == len(pairs) == 4
    assert [(p.name, p.kind) for p in pairs] == [
        ('i_door/2', 'illumination'), ('i_door/3', 'illumination'),
        ('v_wall/2', 'viewpoint'), ('v_wall/3', 'viewpoint'),
    ]  # fmt: skip
    assert np.array_equal(pairs[3].second, picture(3))
    assert pairs[0].second_from_first[1].tolist() == [-0.1839, 0.9385, 153.2]
    assert pairs[0].first is pairs[1].first
    assert pairs[1].first is not pairs[2].first


def test_one_scene_of_the_oxford_set(tmp_path):
    found = open_homographies(scene(tmp_path / 'graf', name='img{}.ppm', matrix='H1to{}p'))
    assert found.name == 'graf'
    assert [(p.name, p.kind) for p in found] == [('graf/2', 'viewpoint'), ('graf/3', 'viewpoint')]


def test_the_other_scenes_of_the_oxford_set_do_not_move(tmp_path):
    found = open_homographies(scene(tmp_path / 'leuven', name='{}.png'))
    assert {p.kind for p in found} == {'illumination'}


def test_more_than_nine_pictures_come_in_order(tmp_path):
    found = open_homographies(scene(tmp_path / 'v_long', count=11))
    assert [item.second.stem for item in found.items] == [str(k) for k in range(2, 12)]


def test_grey_pictures_become_rgb(tmp_path):
    folder = scene(tmp_path / 'boat')
    cv2.imwrite(str(folder / '1.ppm'), picture(1)[..., ::-1])
    (folder / '1.ppm').unlink()
    cv2.imwrite(str(folder / '1.pgm'), picture(5)[..., 0])
    first = next(iter(open_homographies(folder))).first
    assert first.shape == (12, 16, 3)
    assert np.array_equal(first[..., 0], picture(5)[..., 0])


def test_a_wrong_folder_is_told_what_was_looked_for_and_what_is_there(tmp_path):
    (tmp_path / 'notes.txt').write_text('no')
    with pytest.raises(DatasetError, match=r'looked for i_\*/ and v_\*/.*it has notes\.txt'):
        open_homographies(tmp_path)
    with pytest.raises(DatasetError, match='no such folder'):
        open_homographies(tmp_path / 'nowhere')


def test_a_homography_without_its_picture_is_named(tmp_path):
    folder = scene(tmp_path / 'v_wall')
    (folder / '3.ppm').unlink()
    with pytest.raises(DatasetError, match='H_1_3: there is no picture 3'):
        open_homographies(tmp_path)


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('1 0 0\n0 1 0\n', 'got 2 lines'),
        ('1 0 0\n0 1\n0 0 1\n', 'line 2: expected 3 numbers, got 2'),
        ('1 0 0\n0 x 0\n0 0 1\n', 'line 2'),
        ('1 0 0\n2 0 0\n0 0 1\n', 'cannot be inverted'),
    ],
)
def test_damaged_homographies_are_named(tmp_path, text, words):
    path = tmp_path / 'H_1_2'
    path.write_text(text)
    with pytest.raises(DatasetError, match=words):
        read_homography(path)
