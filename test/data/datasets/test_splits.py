"""Lists of training and test pictures: what they name, and what is wrong with them."""

from __future__ import annotations

import numpy as np
import pytest

from dlcv.data.datasets import DatasetError, FolderOptions
from dlcv.data.datasets.splits import read_part, read_split


@pytest.fixture
def folder(tmp_path, write_picture, write_tum, random_pose):
    """Five plain pictures with poses, the second and the fifth for tests."""
    root = tmp_path / 'kitchen'
    for i in range(5):
        write_picture(root / 'rgb' / f'{i:06d}.png', i)
    poses = [random_pose(i) for i in range(5)]
    write_tum(root / 'groundtruth.txt', [f'{i / 10:.1f}' for i in range(5)], poses)
    (root / 'train.txt').write_text('# every other\n000000\n000002\n\n000003.png\n')
    (root / 'test.txt').write_text('000004\n000001\n')
    return root


@pytest.fixture
def scene(tmp_path, write_picture, random_pose):
    """Three sequences of a scene of 7-Scenes, of one, two and twelve pictures."""
    root = tmp_path / 'chess'
    for sequence, count in ((1, 1), (2, 2), (12, 3)):
        for i in range(count):
            stem = root / f'seq-{sequence:02d}' / f'frame-{i:06d}'
            write_picture(stem.with_name(f'{stem.name}.color.png'), i, size=(640, 480))
            rows = [' '.join(f'{v:.9e}' for v in row) for row in random_pose(10 * sequence + i)]
            stem.with_name(f'{stem.name}.pose.txt').write_text('\n'.join(rows) + '\n')
    (root / 'TrainSplit.txt').write_text('sequence1\nsequence12\n')
    (root / 'TestSplit.txt').write_text('sequence2\n')
    return root


def test_pictures_are_taken_in_the_order_of_their_list(folder, random_pose):
    split = read_split(folder)
    assert split.name == 'kitchen'
    assert [item.picture.stem for item in split.train.items] == ['000000', '000002', '000003']
    assert [item.picture.stem for item in split.test.items] == ['000004', '000001']
    first = split.test.items[0]
    assert first.stamp_ns == 400_000_000
    np.testing.assert_allclose(first.world_from_camera, random_pose(4), atol=1e-8)


def test_options_reach_the_folder(folder):
    split = read_split(folder, FolderOptions(rate=10))
    assert split.train.items[1].stamp_ns == 200_000_000
    with pytest.raises(DatasetError, match=r'elsewhere\.txt: cannot be read'):
        read_split(folder, FolderOptions(groundtruth=folder / 'elsewhere.txt'))


def test_sequences_of_a_scene_follow_one_another(scene, random_pose):
    split = read_split(scene)
    assert split.name == split.train.name == 'chess'
    assert [(i.picture.parent.name, i.picture.name[:12]) for i in split.train.items] == [
        ('seq-01', 'frame-000000'),
        *(('seq-12', f'frame-{n:06d}') for n in range(3)),
    ]
    assert len(split.test) == 2
    np.testing.assert_allclose(split.test.items[1].world_from_camera, random_pose(21), atol=1e-8)
    assert split.train.camera.fx == 585


def test_pictures_of_a_sequence_can_be_listed_too(scene):
    folder = scene / 'seq-12'
    (folder / 'train.txt').write_text('frame-000000\nframe-000001.color\n')
    (folder / 'test.txt').write_text('frame-000002.color.png\n')
    split = read_split(folder)
    assert (len(split.train), len(split.test)) == (2, 1)
    assert split.test.items[0].picture.name == 'frame-000002.color.png'


@pytest.mark.parametrize(
    ('train', 'test', 'complaint'),
    [
        ('000000\n000007', '000001', r"train\.txt, line 2: no picture '000007'; there are 5"),
        (
            '000000',
            '000001\n000001.png',
            r'test\.txt, line 2: 000001.png was named before',
        ),
        ('000000', '000000', r'test\.txt, line 1: 000000 was named before, by .*train\.txt, li'),
        ('000000', '# none\n', r'test\.txt: names no picture'),
    ],
)
def test_lists_that_do_not_fit_are_refused(folder, train, test, complaint):
    (folder / 'train.txt').write_text(train)
    (folder / 'test.txt').write_text(test)
    with pytest.raises(DatasetError, match=complaint):
        read_split(folder)


def test_a_list_needs_the_other(folder, scene):
    (folder / 'test.txt').unlink()
    with pytest.raises(DatasetError, match=r'kitchen: there is train\.txt but no test\.txt'):
        read_split(folder)
    (folder / 'train.txt').unlink()
    with pytest.raises(DatasetError, match=r'no train and test folder: looked for train\.txt and'):
        read_split(folder)
    (scene / 'TrainSplit.txt').unlink()
    with pytest.raises(DatasetError, match=r'there is TestSplit\.txt but no TrainSplit\.txt'):
        read_split(scene)


def test_sequences_must_be_there(scene):
    with pytest.raises(DatasetError, match=r'asked for sequence 2; TrainSplit\.txt and TestSplit'):
        read_split(scene, FolderOptions(sequence='2'))
    (scene / 'TestSplit.txt').write_text('sequence3')
    with pytest.raises(DatasetError, match=r"line 1: no sequence 'sequence3'; there are 3, such"):
        read_split(scene)
    (scene / 'TestSplit.txt').write_text('sequence12')
    with pytest.raises(DatasetError, match=r'sequence12 was named before, by .*TrainSplit'):
        read_split(scene)


def names(part):
    return [item.picture.stem for item in part.recording.items]


def test_a_map_is_made_of_the_training_pictures(folder):
    (folder / 'train.txt').write_text('000003\n000000\nrgb/000002.png\n')  # in any order
    part = read_part(folder)
    assert names(part) == ['000000', '000002', '000003']
    assert part.said == 'train.txt: 3 pictures of 5; the 2 pictures of test.txt are left alone'
    assert names(read_part(folder, which='test')) == ['000001', '000004']
    every = read_part(folder, which='all')
    assert len(every.recording) == 5
    assert every.said == 'all 5 pictures, whatever train.txt and test.txt say of them'


def test_one_list_is_enough_for_a_map(folder):
    (folder / 'test.txt').unlink()
    part = read_part(folder)
    assert (len(part.recording), part.said) == (3, 'train.txt: 3 pictures of 5')
    with pytest.raises(DatasetError, match=r'asked for the pictures of test: there is train\.txt'):
        read_part(folder, which='test')
    (folder / 'test.txt').write_text('000004\n000001\n')
    (folder / 'train.txt').unlink()
    part = read_part(folder)
    assert names(part) == ['000000', '000002', '000003']
    assert part.said.startswith('what test.txt does not name: 3 pictures of 5; the 2 pictures')


def test_test_pictures_need_not_be_there_to_make_a_map(folder, scene):
    (folder / 'rgb' / '000001.png').unlink()
    assert len(read_part(folder, FolderOptions(rate=10)).recording) == 3
    (scene / 'TestSplit.txt').write_text('sequence2\nsequence7\n')
    assert len(read_part(scene).recording) == 4


def test_training_sequences_of_a_scene(scene):
    part = read_part(scene)
    assert [item.picture.parent.name for item in part.recording.items] == [
        'seq-01',
        *['seq-12'] * 3,
    ]
    assert part.said == (
        'TrainSplit.txt: seq-01, seq-12 (4 pictures) of 3; '
        'the 1 sequence of TestSplit.txt is left alone'
    )
    assert len(read_part(scene, which='all').recording) == 6
    named = read_part(scene, FolderOptions(sequence='seq-02'))
    assert 'sequence seq-02 was asked for, whatever' in named.said
    of_test = read_part(scene / 'seq-02')
    assert of_test.said == 'seq-02 was asked for, which TestSplit.txt counts among the test'
    assert read_part(scene / 'seq-12').said == ''


def test_a_folder_without_lists_is_taken_whole(folder):
    for name in ('train.txt', 'test.txt'):
        (folder / name).unlink()
    part = read_part(folder)
    assert (len(part.recording), part.said) == (5, '')
    wanted = r'no list names them; looked for train\.txt, test\.txt, TrainSplit\.txt'
    with pytest.raises(DatasetError, match=wanted):
        read_part(folder, which='train')


def test_a_list_of_ones_own(folder, tmp_path):
    mine = tmp_path / 'mine.txt'
    mine.write_text('000004.png 1.5 2.5\n./rgb/000001.png\n')
    part = read_part(folder, listed=mine)
    assert names(part) == ['000001', '000004']
    assert part.said == 'mine.txt: 2 pictures of 5'
    mine.write_text('000009\n')
    with pytest.raises(DatasetError, match=r"mine\.txt, line 1: no picture '000009'; there are 5"):
        read_part(folder, listed=mine)
    with pytest.raises(DatasetError, match=r'none\.txt: cannot be read'):
        read_part(folder, listed=tmp_path / 'none.txt')


def test_a_name_that_may_be_several_needs_its_folder(scene, tmp_path):
    mine = tmp_path / 'mine.txt'
    mine.write_text('frame-000000\n')
    with pytest.raises(DatasetError, match=r"'frame-000000' may be any of 3 pictures; name its"):
        read_part(scene, listed=mine)
    mine.write_text('seq-02/frame-000000.color.png\nseq-12/frame-000000\n')
    assert len(read_part(scene, listed=mine).recording) == 2


def test_a_picture_in_both_lists_is_refused(folder):
    (folder / 'test.txt').write_text('000000\n')
    with pytest.raises(
        DatasetError, match=r'train\.txt, line 2: 000000 was named before, by .*test'
    ):
        read_part(folder)
