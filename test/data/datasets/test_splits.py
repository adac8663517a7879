"""Lists of training and test pictures: what they name, and what is wrong with them."""

from __future__ import annotations

import numpy as np
import pytest

from dlcv.data.datasets import DatasetError, FolderOptions
from dlcv.data.datasets.splits import read_split


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
