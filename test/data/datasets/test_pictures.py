"""Pictures of a folder: which, in which order, at which times."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dlcv.data.datasets import DatasetError, FolderOptions, open_folder
from dlcv.data.datasets.pictures import in_order, pictures_in, times_of

ORDERS = {
    'whole numbers': ['1.png', '2.png', '9.png', '10.png', '11.png'],
    'zeros in front': ['001.png', '2.png', '010.png', '11.png'],
    'decimals': [
        '102.95.png',
        '102.9833.png',
        '103.png',
        '103.0166.png',
        '103.05.png',
        '103.1.png',
    ],
    'below zero': ['-2.png', '-1.5.png', '-0.5.png', '0.png', '0.25.png'],
    'a word before': ['frame-2.png', 'frame-10.png'],
    'a word before decimals': ['rgb_9.0166.png', 'rgb_9.05.png', 'rgb_9.1.png'],
    'a word behind': ['frame_000002_left.png', 'frame_10_left.png'],
    'several numbers': ['cam0_9.png', 'cam0_10.png', 'cam1_2.png', 'cam10_1.png'],
    'capitals': ['IMG_1.PNG', 'img_2.png', 'IMG_10.JPG'],
    'scenes and shots': ['1.9.png', '1.10.png', '2.1.png'],
    'mixed': ['9.png', '10.png', 'cover.png'],
    'nanoseconds': ['999999999999999999.png', '1000000000000000000.png'],
}


@pytest.mark.parametrize('kind', ORDERS)
def test_names_are_ordered_by_their_numbers(kind):
    wanted = list(map(Path, ORDERS[kind]))
    assert in_order(wanted[::-1]) == wanted
    assert in_order(sorted(wanted)) == wanted


def test_hidden_files_and_others_are_no_pictures(tmp_path):
    for name in ('1.png', '._1.png', '.2.jpg', 'Thumbs.db', 'notes.txt', '2.JPEG'):
        (tmp_path / name).write_bytes(b'')
    (tmp_path / '3.png').mkdir()
    assert [path.name for path in pictures_in(tmp_path)] == ['1.png', '2.JPEG']


@pytest.mark.parametrize(
    ('names', 'unit', 'stamps'),
    [
        (['1305031102.95', '1305031103.0166'], 'seconds',
         [1305031102_950000000, 1305031103_016600000]),
        (['1305031102', '1305031103'], 'seconds', [1305031102 * 10**9, 1305031103 * 10**9]),
        (['1700000000123', '1700000000156'], 'milliseconds',
         [1700000000_123000000, 1700000000_156000000]),
        (['1700000000123456', '1700000000156456'], 'microseconds',
         [1700000000_123456000, 1700000000_156456000]),
        (['1403636579763555584'], 'nanoseconds', [1403636579763555584]),
        (['img_1403636579763555584', 'img_1403636579813555584'], 'nanoseconds',
         [1403636579763555584, 1403636579813555584]),
        (['-0.5', '0.25', '1.0'], 'seconds', [-500_000_000, 250_000_000, 10**9]),
    ],
)  # fmt: skip
def test_names_that_are_times_say_them_exactly(names, unit, stamps):
    found, said = times_of([Path(f'{name}.png') for name in names])
    assert found == stamps
    assert said.endswith(f'in {unit}')


@pytest.mark.parametrize(
    'names', [['1', '2'], ['000001'], ['a.1'], ['v1.2', 'v1.3'], ['1305031102.5', 'cover'], []]
)
def test_other_names_say_no_times(names):
    assert times_of([Path(f'{name}.png') for name in names])[0] is None


def test_two_pictures_of_one_time_are_refused():
    names = ['1305031102.5.png', '1305031102.50.jpg']
    with pytest.raises(DatasetError, match=r'1305031102\.50\.jpg: has the same time .* as 130503'):
        times_of(in_order(list(map(Path, names))))


@pytest.mark.parametrize('kind', ['images', 'tum'])
def test_recordings_take_the_times_of_names_and_say_so(tmp_path, write_picture, kind):
    names = ORDERS['decimals']
    for i, name in enumerate(names):
        write_picture(tmp_path / 'rgb' / f'1305031{name}', i)
    recording = open_folder(kind, tmp_path)
    assert [item.picture.name for item in recording.items] == [f'1305031{name}' for name in names]
    assert recording.items[1].stamp_ns == 1305031102_983300000
    assert 'times are those in the names of the pictures, in seconds' in recording.notes
    given = open_folder(kind, tmp_path, FolderOptions(rate=2))
    assert [item.stamp_ns for item in given.items[:2]] == [0, 500_000_000]


def test_names_without_times_are_said_to_come_at_a_rate(tmp_path, write_picture):
    for i in (9, 10):
        write_picture(tmp_path / f'{i}.png', i)
    recording = open_folder('images', tmp_path)
    assert [item.stamp_ns for item in recording.items] == [0, 100_000_000]
    (note,) = recording.notes
    assert note.startswith('the names of the pictures are no times: they are taken to come at 10 H')


def test_depth_belongs_to_the_nearest_time_in_names(tmp_path, write_picture, write_depth):
    for time in ('1305031102.10', '1305031102.20', '1305031102.40'):
        write_picture(tmp_path / 'rgb' / f'{time}.png')
    for time in ('1305031102.11', '1305031102.19', '1305031102.30'):
        write_depth(tmp_path / 'depth' / f'{time}.png', 1)
    recording = open_folder('images', tmp_path, FolderOptions(depth_scale=5000.0))
    found = [item.depth and item.depth.stem[-2:] for item in recording.items]
    assert found == ['11', '19', None]
    assert np.isfinite(next(iter(recording)).depth).any()


def test_a_picture_among_numbers_with_decimals_is_named_where_it_hides_their_order():
    numbers = [Path(name) for name in ORDERS['decimals'] if name != '103.png']
    with pytest.raises(DatasetError, match=r'cover\.png: is no number as 102\.95\.png is'):
        in_order([*numbers, Path('cover.png')])
    even = [Path('102.10.png'), Path('102.20.png'), Path('cover.png')]
    assert in_order(even[::-1]) == even
