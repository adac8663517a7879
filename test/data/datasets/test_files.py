from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from dlcv.data.datasets import DatasetError, FolderOptions, open_folder
from dlcv.data.datasets.files import (
    date_to_ns,
    read_depth,
    read_picture,
    seconds_to_ns,
)
from dlcv.data.datasets.pictures import natural
from dlcv.data.datasets.trajectories import read_poses

HERE = Path('a.txt')


def test_pictures_keep_their_colours_and_grey_stays_grey(tmp_path, write_picture):
    for grey in (True, False):
        expected = write_picture(tmp_path / 'p.png', 3, grey=grey)
        np.testing.assert_array_equal(read_picture(tmp_path / 'p.png'), expected)


def test_alpha_is_dropped_and_16_bits_become_8(tmp_path):
    bgra = np.arange(4 * 6 * 4, dtype=np.uint8).reshape(4, 6, 4)
    cv2.imwrite(str(tmp_path / 'a.png'), bgra)
    np.testing.assert_array_equal(read_picture(tmp_path / 'a.png'), bgra[..., 2::-1])
    cv2.imwrite(str(tmp_path / 'b.png'), np.array([[0, 257, 65535, 300]], np.uint16))
    np.testing.assert_array_equal(read_picture(tmp_path / 'b.png'), [[0, 1, 255, 1]])


def test_unreadable_pictures_are_named(tmp_path):
    for name, content in (('none.png', None), ('empty.png', b''), ('bad.png', b'no picture')):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(DatasetError, match=name):
            read_picture(tmp_path / name)


def test_depth_of_8_bits_is_refused(tmp_path, write_picture):
    write_picture(tmp_path / 'd.png', grey=True)
    with pytest.raises(DatasetError, match=r'd\.png: expected depth in one channel of 16 bits'):
        read_depth(tmp_path / 'd.png', 1000)


def test_names_sort_by_their_numbers():
    names = ['f10', 'f9', 'f1b', 'f1a', 'f011', 'a']
    ordered = [str(p) for p in sorted(map(Path, names), key=natural)]
    assert ordered == ['a', 'f1a', 'f1b', 'f9', 'f10', 'f011']


def test_times_are_exact():
    # as a float this would be off by 71 ns
    assert seconds_to_ns(HERE, 1, '1305031102.175304123') == 1305031102175304123
    assert seconds_to_ns(HERE, 1, '1e-1') == 100_000_000
    assert date_to_ns(HERE, 1, '1970-01-02 00:00:01.5') == 86401_500_000_000
    assert date_to_ns(HERE, 1, '2011-09-26 13:02:25.964389445') % 10**9 == 964389445
    for function, word in ((seconds_to_ns, 'noon'), (seconds_to_ns, 'nan'), (date_to_ns, '12:00')):
        with pytest.raises(DatasetError, match=rf'a\.txt, line 7: .{word}. is no'):
            function(HERE, 7, word)


@pytest.mark.parametrize(
    ('line', 'complaint'),
    [
        ('2 0 0 0 0 0 0', 'expected 8 numbers, got 7'),
        ('2 0 0 0 0 0 zero 1', 'could not convert'),
        ('2 0 nan 0 0 0 0 1', 'not finite'),
        ('2 0 0 0 0 0 0 0.5', 'has length 0.5'),
    ],
)
def test_a_wrong_pose_line_is_named(tmp_path, line, complaint):
    (tmp_path / 'p.txt').write_text(f'# head\n1 0 0 0 0 0 0 1\n{line}\n')
    with pytest.raises(DatasetError, match=rf'p\.txt, line 3: .*{complaint}'):
        read_poses(tmp_path / 'p.txt')


def test_of_lines_with_one_time_the_first_counts(tmp_path):
    (tmp_path / 'p.txt').write_text('1 5 0 0 0 0 0 1\n1 6 0 0 0 0 0 1\n2 7 0 0 0 0 0 1\n')
    assert read_poses(tmp_path / 'p.txt').trajectory.world_from_body[:, 0, 3].tolist() == [5, 7]


def test_a_pose_file_without_poses_is_named(tmp_path):
    (tmp_path / 'p.txt').write_text('# head\n')
    with pytest.raises(DatasetError, match=r'p\.txt: no poses'):
        read_poses(tmp_path / 'p.txt')


def test_unknown_kinds_and_options_are_refused(tmp_path):
    with pytest.raises(DatasetError, match=r'no data set .nuscenes.; there are kitti, tum'):
        open_folder('nuscenes', tmp_path)
    for bad in ({'rate': 0.0}, {'rate': float('nan')}, {'depth_scale': -1.0}):
        with pytest.raises(DatasetError, match='must be positive'):
            FolderOptions(**bad)


@pytest.mark.parametrize('kind', ['kitti', 'tum', 'euroc', 'seven-scenes', 'images'])
def test_a_wrong_folder_is_answered_with_what_is_there(tmp_path, kind):
    (tmp_path / 'holiday.doc').write_text('')
    with pytest.raises(DatasetError, match=r'looked for .*; it has holiday\.doc'):
        open_folder(kind, tmp_path)
    with pytest.raises(DatasetError, match='nowhere: no such folder'):
        open_folder(kind, tmp_path / 'nowhere')
    with pytest.raises(DatasetError, match='is a file'):
        open_folder(kind, tmp_path / 'holiday.doc')
