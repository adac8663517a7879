"""Photos are found, cut, reduced without aliasing, and forgotten when memory is short."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from dlcv.data.synthetic.photos import PhotoError, PhotoPool


def write(path: Path, picture: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), picture[..., ::-1])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for i, name in enumerate(('a.png', 'deep/er/b.jpg', 'deep/c.JPEG', 'd.webp')):
        write(tmp_path / name, rng.integers(0, 255, (90 + 10 * i, 160, 3), np.uint8))
    (tmp_path / 'readme.txt').write_text('no picture')
    return tmp_path


def test_finds_every_picture_below_the_folders(folder: Path) -> None:
    assert len(PhotoPool([folder])) == 4
    assert len(PhotoPool([folder / 'deep', folder / 'deep' / 'er'])) == 3


@pytest.mark.parametrize('size', [(48, 64), (64, 48), (90, 160), (200, 100), (7, 500)])
def test_a_piece_has_the_size_asked_for(folder: Path, size: tuple[int, int]) -> None:
    pool, rng = PhotoPool([folder]), np.random.default_rng(1)
    for _ in range(8):
        piece = pool.crop(rng, *size)
        assert piece.shape == (*size, 3)
        assert piece.dtype == np.uint8


def test_pieces_depend_on_the_random_numbers_only(folder: Path) -> None:
    roomy, tight = PhotoPool([folder]), PhotoPool([folder], memory_mb=0)
    one, two = np.random.default_rng(3), np.random.default_rng(3)
    pieces = [(roomy.crop(one, 40, 50), tight.crop(two, 40, 50)) for _ in range(12)]
    assert all(np.array_equal(a, b) for a, b in pieces)
    assert len({a.tobytes() for a, _ in pieces}) == 12


def test_memory_is_bounded(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for i in range(4):
        write(tmp_path / f'{i}.png', rng.integers(0, 255, (512, 512, 3), np.uint8))
    pool = PhotoPool([tmp_path], memory_mb=2)
    for _ in range(12):
        pool.crop(rng, 32, 32)
        assert pool._bytes() <= 2 * 2**20
    assert len(pool._kept) == 2  # with its smaller levels a photo takes just under one megabyte


def test_colours_are_rgb_and_large_photos_are_reduced(tmp_path: Path) -> None:
    picture = np.zeros((300, 400, 3), np.uint8)
    picture[..., 0] = 200
    write(tmp_path / 'red.png', picture)
    pool = PhotoPool([tmp_path], longest=100)
    piece = pool.crop(np.random.default_rng(0), 20, 20)
    assert piece.reshape(-1, 3).mean(0).tolist() == [200, 0, 0]
    assert pool._pyramid(0)[0].shape == (75, 100, 3)


def test_reducing_averages_instead_of_skipping_pixels(tmp_path: Path) -> None:
    board = np.indices((256, 256)).sum(0) % 2 * 255
    write(tmp_path / 'board.png', np.repeat(board[..., None], 3, 2).astype(np.uint8))
    pool = PhotoPool([tmp_path])
    rng = np.random.default_rng(0)
    spread = [float(np.std(pool.crop(rng, 64, 64))) for _ in range(20)]
    assert min(spread) < 2  # far out, a chess board is grey
    assert max(spread) > 30  # close up it is not


def test_a_small_photo_is_enlarged_a_little_and_then_mirrored(tmp_path: Path) -> None:
    ramp = np.arange(0, 240, 10, dtype=np.uint8)
    picture = np.repeat(np.repeat(ramp[None, :, None], 24, 0), 3, 2)
    write(tmp_path / 'ramp.png', picture)
    piece = PhotoPool([tmp_path]).crop(np.random.default_rng(0), 24, 96)[12, :, 0].astype(int)
    steps = np.diff(piece)
    assert np.abs(steps).max() <= 10
    assert (steps > 0).any()
    assert (steps < 0).any()  # it runs back


def test_without_folders_pictures_are_painted() -> None:
    pool = PhotoPool([])
    assert len(pool) > 20
    first = pool.crop(np.random.default_rng(5), 60, 80)
    assert np.array_equal(first, PhotoPool(()).crop(np.random.default_rng(5), 60, 80))
    assert first.std() > 3


def test_says_what_was_looked_for_and_what_is_there(tmp_path: Path) -> None:
    with pytest.raises(PhotoError, match='not a folder'):
        PhotoPool([tmp_path / 'nowhere'])
    with pytest.raises(PhotoError, match='no file at all'):
        PhotoPool([tmp_path])
    (tmp_path / 'notes.txt').write_text('x')
    with pytest.raises(PhotoError, match=r'\.jpg.*notes\.txt'):
        PhotoPool([tmp_path])
    (tmp_path / 'broken.png').write_bytes(b'no png')
    with pytest.raises(PhotoError, match=r'broken\.png \(6 bytes\)'):
        PhotoPool([tmp_path]).crop(np.random.default_rng(0), 8, 8)
