"""Readers of flow sets, each on a miniature in the set's own layout."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dlcv.data.datasets import DatasetError
from dlcv.data.datasets.flow import FLOW_KINDS, open_flow_folder, recognise_flow_folders
from dlcv.data.datasets.flow_files import read_flo, read_flow, write_flo

W, H = 30, 20


def random_flow(seed: int) -> np.ndarray:
    """Return a flow in steps of 1/64 px, which KITTI's files hold exactly."""
    rng = np.random.default_rng(seed)
    return (rng.integers(-640, 640, (H, W, 2)) / 64).astype(np.float32)


def write_kitti(path: Path, flow: np.ndarray, valid: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    stored = np.zeros((*flow.shape[:2], 3), np.uint16)  # B valid, G v, R u
    stored[..., 2] = flow[..., 0] * 64 + 2**15
    stored[..., 1] = flow[..., 1] * 64 + 2**15
    stored[..., 0] = valid
    stored[~valid] = 0
    assert cv2.imwrite(str(path), stored)


@pytest.fixture
def write_pair(write_picture) -> Callable[..., None]:
    def write(first: Path, second: Path, seed: int, **kind) -> None:
        write_picture(first, 2 * seed, **kind)
        write_picture(second, 2 * seed + 1, **kind)

    return write


@pytest.fixture
def chairs(tmp_path, write_pair):
    root = tmp_path / 'FlyingChairs_release'
    for i in (1, 2, 10):
        stem = root / 'data' / f'{i:05d}'
        write_pair(Path(f'{stem}_img1.ppm'), Path(f'{stem}_img2.ppm'), i)
        write_flo(Path(f'{stem}_flow.flo'), random_flow(i))
    (root / 'FlyingChairs_train_val.txt').write_text('1\n2\n1\n')
    return root


@pytest.fixture
def sintel(tmp_path, write_pair):
    root = tmp_path / 'MPI-Sintel-complete' / 'training'
    for scene in ('alley_1', 'bamboo_2'):
        for part in ('clean', 'final'):
            for i in (1, 2, 3):
                a = root / part / scene / f'frame_{i:04d}.png'
                write_pair(a, a, 10 * i + (part == 'final'))
        for i in (1, 2):
            name = f'{scene}/frame_{i:04d}'
            for folder in ('flow', 'occlusions'):
                (root / folder / scene).mkdir(parents=True, exist_ok=True)
            write_flo(root / 'flow' / f'{name}.flo', random_flow(i))
            hidden = np.zeros((H, W), np.uint8)
            hidden[9, 10:12] = 255
            assert cv2.imwrite(str(root / 'occlusions' / f'{name}.png'), hidden)
    return root.parent


@pytest.fixture
def kitti(tmp_path, write_pair):
    root = tmp_path / 'data_scene_flow' / 'training'
    for i in range(2):
        name = f'{i:06d}_1'
        write_pair(root / 'image_2' / f'{name}0.png', root / 'image_2' / f'{name}1.png', i)
        valid = np.random.default_rng(i).uniform(size=(H, W)) < 0.3
        write_kitti(root / 'flow_occ' / f'{name}0.png', random_flow(i), valid)
        write_kitti(root / 'flow_noc' / f'{name}0.png', random_flow(i), valid & (np.arange(W) > 4))
    return root.parent


@pytest.fixture
def middlebury(tmp_path, write_pair):
    root = tmp_path / 'middlebury'
    for i, name in enumerate(('Dimetrodon', 'RubberWhale')):
        folder = root / 'other-data' / name
        write_pair(folder / 'frame10.png', folder / 'frame11.png', i)
        flow = random_flow(i)
        flow[3, 4:7] = np.nan
        (root / 'other-gt-flow' / name).mkdir(parents=True)
        write_flo(root / 'other-gt-flow' / name / 'flow10.flo', flow)
    return root


@pytest.fixture
def plain(tmp_path, write_pair):
    root = tmp_path / 'mine'
    for i, name in enumerate(('one', 'two')):
        write_pair(root / name / '1.png', root / name / '2.png', i)
        valid = np.ones((H, W), bool)
        valid[i] = False
        np.savez_compressed(root / name / 'flow.npz', flow=random_flow(i), valid=valid)
    (root / 'README.txt').write_text('two pairs')
    return root


def test_flying_chairs(chairs, write_picture, tmp_path):
    folder = open_flow_folder('flying-chairs', chairs)
    assert [item.name for item in folder.items] == ['00001', '00002', '00010']
    pair = folder[2]
    assert pair.name == 'FlyingChairs/00010'
    np.testing.assert_array_equal(pair.first, write_picture(tmp_path / 'a.png', 20))
    np.testing.assert_array_equal(pair.second, write_picture(tmp_path / 'b.png', 21))
    np.testing.assert_array_equal(pair.flow, random_flow(10))
    assert pair.occluded is None
    inner = open_flow_folder('flying-chairs', chairs / 'data')
    assert inner.items == folder.items


@pytest.mark.parametrize(('part', 'names'), [('train', ['00001', '00010']), ('val', ['00002'])])
def test_the_list_splits_flying_chairs(chairs, part, names):
    for source in (chairs, chairs / 'data'):
        folder = open_flow_folder('flying-chairs', source, part)
        assert [item.name for item in folder.items] == names


@pytest.mark.parametrize('text', ['1\n2\n', '1\n2\n3\n'])
def test_a_list_that_does_not_fit_is_refused(chairs, text):
    (chairs / 'FlyingChairs_train_val.txt').write_text(text)
    with pytest.raises(DatasetError, match=r'expected a 1 or 2 for each of the 3 pairs, got'):
        open_flow_folder('flying-chairs', chairs, 'val')


def test_a_missing_list_is_named(chairs):
    (chairs / 'FlyingChairs_train_val.txt').unlink()
    with pytest.raises(DatasetError, match='neither there nor above'):
        open_flow_folder('flying-chairs', chairs, 'train')


@pytest.mark.parametrize('part', ['clean', 'final'])
def test_sintel(sintel, write_picture, tmp_path, part):
    folder = open_flow_folder('sintel', sintel, part)
    assert [item.name for item in folder.items] == [
        f'{scene}/frame_000{i}' for scene in ('alley_1', 'bamboo_2') for i in (1, 2)
    ]
    pair = folder[1]
    seeds = [2 * (10 * i + (part == 'final')) + 1 for i in (2, 3)]
    np.testing.assert_array_equal(pair.first, write_picture(tmp_path / 'a.png', seeds[0]))
    np.testing.assert_array_equal(pair.second, write_picture(tmp_path / 'b.png', seeds[1]))
    np.testing.assert_array_equal(pair.flow, random_flow(2))


def test_what_leaves_the_picture_is_occluded_too(sintel):
    pair = open_flow_folder('sintel', sintel)[0]
    for y in range(H):
        for x in range(W):
            u, v = pair.flow[y, x]
            leaves = not (-0.5 <= x + u <= W - 0.5 and -0.5 <= y + v <= H - 0.5)
            assert pair.occluded[y, x] == (leaves or (y == 9 and x in (10, 11)))


def test_kitti(kitti, write_picture, tmp_path):
    folder = open_flow_folder('kitti-flow', kitti)
    assert (folder.name, len(folder)) == ('KITTI-flow-2015', 2)
    pair = folder[1]
    np.testing.assert_array_equal(pair.second, write_picture(tmp_path / 'b.png', 3))
    valid = np.random.default_rng(1).uniform(size=(H, W)) < 0.3
    np.testing.assert_array_equal(pair.flow[valid], random_flow(1)[valid])
    assert np.isnan(pair.flow[~valid]).all()
    assert pair.occluded[:, :5][valid[:, :5]].all()
    assert not pair.occluded[~valid].any()


def test_kitti_2012_may_be_grey(kitti, write_pair):
    (kitti / 'training' / 'image_2').rename(kitti / 'training' / 'image_0')
    for path in (kitti / 'training' / 'image_0').iterdir():
        write_pair(path, path, 7, grey=True)
    folder = open_flow_folder('kitti-flow', kitti / 'training')
    assert folder.name == 'KITTI-flow-2012'
    picture = folder[0].first
    assert picture.shape == (H, W, 3)
    np.testing.assert_array_equal(picture[..., 0], picture[..., 2])


def test_middlebury(middlebury):
    folder = open_flow_folder('middlebury', middlebury)
    assert [pair.name for pair in folder] == ['Middlebury/Dimetrodon', 'Middlebury/RubberWhale']
    flow = folder[1].flow
    unknown = np.isnan(flow).all(axis=-1)
    assert unknown[3, 4:7].all()
    assert unknown.sum() == 3
    np.testing.assert_array_equal(flow[~unknown], random_flow(1)[~unknown])


def test_one_folder_of_middlebury(middlebury, write_pair):
    folder = middlebury / 'other-gt-flow' / 'RubberWhale'
    write_pair(folder / 'frame10.png', folder / 'frame11.png', 4)
    (pair,) = open_flow_folder('middlebury', folder)
    assert pair.name == 'Middlebury/RubberWhale'


def test_plain_pairs(plain, write_picture, tmp_path):
    folder = open_flow_folder('flow-pairs', plain)
    assert [pair.name for pair in folder] == ['mine/one', 'mine/two']
    pair = folder[1]
    np.testing.assert_array_equal(pair.first, write_picture(tmp_path / 'a.png', 2))
    assert np.isnan(pair.flow[1]).all()
    np.testing.assert_array_equal(np.delete(pair.flow, 1, 0), np.delete(random_flow(1), 1, 0))
    (alone,) = open_flow_folder('flow-pairs', plain / 'two')
    np.testing.assert_array_equal(alone.flow, pair.flow)


def test_a_picture_of_the_flow_beside_it_is_not_read(plain, write_picture):
    write_picture(plain / 'one' / 'flow.png')
    assert len(open_flow_folder('flow-pairs', plain)) == 2
    assert open_flow_folder('flow-pairs', plain)[0].flow.shape == (H, W, 2)


def test_a_cut(plain):
    folder = open_flow_folder('flow-pairs', plain)
    assert [pair.name for pair in folder.cut(start=1, count=5)] == ['mine/two']
    with pytest.raises(DatasetError, match='has 2 pairs, the start was 2'):
        folder.cut(start=2)


@pytest.mark.parametrize(
    ('kind', 'names'),
    [
        ('chairs', ['FlyingChairs/00002']),
        ('sintel', ['Sintel-clean/alley_1/frame_0001', 'Sintel-final/alley_1/frame_0001']),
        ('kitti', ['KITTI-flow-2015/000000_10']),
        ('middlebury', ['Middlebury/Dimetrodon']),
        ('plain', ['mine/one']),
    ],
)
def test_a_folder_is_recognised(request, kind, names):
    folders = recognise_flow_folders(request.getfixturevalue(kind))
    assert [folder[0].name for folder in folders] == names
    assert [folder.plain for folder in folders] == [kind == 'plain'] * len(names)


def test_without_its_list_all_of_flying_chairs_is_taken(chairs):
    (chairs / 'FlyingChairs_train_val.txt').unlink()
    (folder,) = recognise_flow_folders(chairs)
    assert len(folder) == 3


def test_a_damaged_folder_is_not_taken_for_another(sintel):
    (sintel / 'training' / 'clean' / 'alley_1' / 'frame_0001.png').unlink()
    with pytest.raises(DatasetError, match=r'frame_0001\.png is missing'):
        recognise_flow_folders(sintel)


def test_a_folder_that_is_no_set_is_answered_with_all_layouts(tmp_path):
    (tmp_path / 'holiday').mkdir()
    with pytest.raises(DatasetError) as err:
        recognise_flow_folders(tmp_path)
    words = ('FlyingChairs', 'Sintel', 'KITTI', 'Middlebury', 'flow.npz', 'it has holiday/')
    assert all(word in str(err.value) for word in words)


@pytest.mark.parametrize('kind', FLOW_KINDS)
def test_a_wrong_folder_is_answered_with_what_is_there(tmp_path, kind):
    (tmp_path / 'holiday').mkdir()
    with pytest.raises(DatasetError, match=r'looked for .* it has holiday/'):
        open_flow_folder(kind, tmp_path)
    with pytest.raises(DatasetError, match='no such folder'):
        open_flow_folder(kind, tmp_path / 'absent')


def test_names_that_do_not_exist_are_answered_with_those_that_do(tmp_path):
    with pytest.raises(DatasetError, match="no flow data set 'spring'; there are flying-chairs"):
        open_flow_folder('spring', tmp_path)
    for kind, parts in (('sintel', "'clean' and 'final'"), ('flying-chairs', "'train' and 'val'")):
        with pytest.raises(DatasetError, match=parts):
            open_flow_folder(kind, tmp_path, 'albedo')
    with pytest.raises(DatasetError, match='middlebury has no parts'):
        open_flow_folder('middlebury', tmp_path, 'train')


@pytest.mark.parametrize(
    ('kind', 'lost'),
    [
        ('chairs', 'data/00002_img2.ppm'),
        ('sintel', 'training/final/alley_1/frame_0003.png'),
        ('kitti', 'training/image_2/000001_11.png'),
        ('middlebury', 'other-data/RubberWhale/frame11.png'),
    ],
)
def test_a_lost_picture_is_named(request, kind, lost):
    root = request.getfixturevalue(kind)
    (root / lost).unlink()
    name = {'chairs': 'flying-chairs', 'kitti': 'kitti-flow'}.get(kind, kind)
    with pytest.raises(DatasetError, match=rf'{Path(lost).name} is missing'):
        open_flow_folder(name, root)


def test_sizes_that_differ_are_named(plain, write_picture):
    write_picture(plain / 'one' / '2.png', size=(W + 1, H))
    with pytest.raises(DatasetError, match=r'2\.png: the picture is 31x20, the flow .*30x20'):
        open_flow_folder('flow-pairs', plain)[0]


@settings(max_examples=20)
@given(
    arrays(np.float32, (3, 4, 2), elements=st.floats(-900, 900, width=32) | st.just(np.nan)),
)
def test_flo_files_give_back_what_was_written(tmp_path_factory, flow):
    path = tmp_path_factory.mktemp('flo') / 'a.flo'
    write_flo(path, flow)
    unknown = np.isnan(flow).any(axis=-1, keepdims=True)
    np.testing.assert_array_equal(read_flo(path), np.where(unknown, np.nan, flow))


def test_the_bytes_of_a_flo_file(tmp_path):
    values = (1.5, -2.0, 3.0, 1e10)
    path = tmp_path / 'a.flo'
    path.write_bytes(struct.pack('<f2i4f', 202021.25, 2, 1, *values))
    np.testing.assert_array_equal(read_flow(path), [[[1.5, -2], [np.nan, np.nan]]])
    write_flo(path, np.float32([[[1.5, -2], [3, np.nan]]]))
    unknown = (1666666752.0,) * 2
    assert path.read_bytes() == struct.pack('<f2i4f', 202021.25, 2, 1, 1.5, -2, *unknown)


@pytest.mark.parametrize(
    ('name', 'data', 'words'),
    [
        ('a.flo', b'PNG', 'no .flo file'),
        ('a.flo', b'PIEH' + struct.pack('<2i', 2, -1), 'a size of 2x-1'),
        ('a.flo', b'PIEH' + struct.pack('<2i', 2, 2), 'take 44 bytes, it has 12'),
        ('a.png', b'\x89PNG', 'no picture'),
        ('a.npz', b'PK', 'no .npz'),
        ('a.mat', b'', '.flo, .png and .npz'),
    ],
)
def test_damaged_files_are_named(tmp_path, name, data, words):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DatasetError, match=words) as err:
        read_flow(tmp_path / name)
    assert str(tmp_path / name) in str(err.value)


@pytest.mark.parametrize('name', ['a.flo', 'a.png', 'a.npz'])
def test_missing_files_are_named(tmp_path, name):
    with pytest.raises(DatasetError, match=rf'{name}: (no such file|cannot be read)'):
        read_flow(tmp_path / name)


def test_other_arrays_are_named(tmp_path):
    np.savez(tmp_path / 'a.npz', motion=np.zeros((2, 3)))
    with pytest.raises(
        DatasetError, match=r'expected floats `flow` of \(H, W, 2\), it has.*motion'
    ):
        read_flow(tmp_path / 'a.npz')
    np.savez(tmp_path / 'a.npz', flow=np.zeros((2, 3, 2)), valid=np.ones((3, 2)))
    with pytest.raises(DatasetError, match=r'`valid` of \(3, 2\) does not fit'):
        read_flow(tmp_path / 'a.npz')


def test_flow_in_8_bits_is_refused(tmp_path, write_picture):
    write_picture(tmp_path / 'a.png')
    with pytest.raises(DatasetError, match='three channels of 16 bits, got uint8'):
        read_flow(tmp_path / 'a.png')
