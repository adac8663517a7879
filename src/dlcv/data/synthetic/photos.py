"""Photos to cut pieces from: folders of pictures, or painted ones where there are none."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from dlcv.data.datasets.pictures import is_picture, natural
from dlcv.types import ByteImage

SUFFIXES = ('.jpg', '.jpeg', '.png', '.webp')
_ENLARGED = 1.5  # a photo is not enlarged further: it would be blurred
_SMALLEST = 32  # side in pixels of the last level of a photo's pyramid

Pyramid = tuple[ByteImage, ...]  # the photo, then each half as large as the one before


class PhotoError(ValueError):
    """There are no photos where they were looked for; the message says what there is."""


class PhotoPool:
    """All pictures under some folders, from which random pieces are cut.

    The pieces depend on the random numbers only, and not on which photos are in memory.
    """

    def __init__(
        self, folders: Sequence[Path], *, longest: int = 1280, memory_mb: int = 512
    ) -> None:
        """Find the pictures; none is read yet.

        Args:
            folders: Searched with all folders below them for ``.jpg``, ``.jpeg``, ``.png`` and
                ``.webp``. None stands for pictures painted by the world's textures.
            longest: Photos whose longer side is longer are reduced to it, in pixels.
            memory_mb: Megabytes of decoded photos to keep; those used least recently go first.

        Raises:
            PhotoError: If a folder holds no picture.
        """
        self._files = [path for folder in folders for path in _pictures(Path(folder))]
        self._painters = [] if self._files else _painters()
        self._longest = longest
        self._memory = memory_mb * 2**20
        self._kept: OrderedDict[int, Pyramid] = OrderedDict()

    def __len__(self) -> int:
        """Return the number of photos, or of painted pictures."""
        return len(self._files) or len(self._painters)

    def crop(self, rng: np.random.Generator, height: int, width: int) -> ByteImage:
        """Return a random piece of a random photo.

        The zoom is drawn between the whole photo and its single pixels, uniformly in its
        logarithm; the piece may be mirrored. A photo that is too small is enlarged 1.5 times at
        most and continued by its mirror image.

        Args:
            rng: Source of randomness; decides everything.
            height: Rows of the piece.
            width: Columns of the piece.

        Returns:
            ``(height, width, 3)`` RGB, uint8.
        """
        pyramid = self._pyramid(int(rng.integers(len(self))))
        whole = max(height / pyramid[0].shape[0], width / pyramid[0].shape[1])
        low, high = min(whole, _ENLARGED), min(max(whole, 1.0), _ENLARGED)
        zoom = float(np.exp(rng.uniform(np.log(low), np.log(high))))
        level = min(max(0, round(-np.log2(zoom))), len(pyramid) - 1)
        photo, zoom = pyramid[level], zoom * 2**level
        rows, columns = round(height / zoom), round(width / zoom)
        photo = _continued(photo, rows, columns)
        top = int(rng.integers(photo.shape[0] - rows + 1))
        left = int(rng.integers(photo.shape[1] - columns + 1))
        piece = photo[top : top + rows, left : left + columns]
        if rng.random() < 0.5:
            piece = piece[:, ::-1]
        return _resized(piece, height, width)

    def _pyramid(self, index: int) -> Pyramid:
        if index in self._kept:
            self._kept.move_to_end(index)
            return self._kept[index]
        photo = self._read(self._files[index]) if self._files else self._painted(index)
        levels = [photo]
        while min(levels[-1].shape[:2]) >= 2 * _SMALLEST:
            levels.append(_resized(levels[-1], levels[-1].shape[0] // 2, levels[-1].shape[1] // 2))
        self._kept[index] = tuple(levels)
        while len(self._kept) > 1 and self._bytes() > self._memory:
            self._kept.popitem(last=False)
        return tuple(levels)

    def _bytes(self) -> int:
        return sum(level.nbytes for pyramid in self._kept.values() for level in pyramid)

    def _read(self, path: Path) -> ByteImage:
        decoded = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if decoded is None:
            raise PhotoError(f'{path} ({path.stat().st_size} bytes) is not a readable picture')
        height, width = decoded.shape[:2]
        zoom = min(1.0, self._longest / max(height, width))
        photo = np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8)
        return _resized(photo, max(1, round(height * zoom)), max(1, round(width * zoom)))

    def _painted(self, index: int) -> ByteImage:
        picture = self._painters[index](np.random.default_rng([index, 2015]))
        painted: ByteImage = np.clip(picture * 255 + 0.5, 0, 255).astype(np.uint8)
        return painted


def _painters() -> list[Callable[[np.random.Generator], npt.NDArray[np.float32]]]:
    from dlcv.data.world.textures import room_materials, street_materials  # only without photos

    return [*room_materials().values(), *street_materials().values()]


def _pictures(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise PhotoError(f'photos were looked for in {folder}, which is not a folder')
    files = sorted((path for path in folder.rglob('*') if path.is_file()), key=natural)
    pictures = [path for path in files if path.suffix.lower() in SUFFIXES and is_picture(path)]
    if not pictures:
        there = ', '.join(path.name for path in files[:5]) or 'no file at all'
        raise PhotoError(f'no {", ".join(SUFFIXES)} under {folder}; there is {there}')
    return pictures


def _continued(photo: ByteImage, rows: int, columns: int) -> ByteImage:
    """Continue a photo by its mirror image until it has ``rows`` x ``columns`` pixels at least."""
    missing_rows, missing_columns = rows - photo.shape[0], columns - photo.shape[1]
    if missing_rows <= 0 and missing_columns <= 0:
        return photo
    border = ((0, max(0, missing_rows)), (0, max(0, missing_columns)), (0, 0))
    return np.pad(photo, border, 'symmetric')


def _resized(photo: ByteImage, height: int, width: int) -> ByteImage:
    if photo.shape[:2] == (height, width):
        return np.ascontiguousarray(photo)
    much = photo.shape[0] >= 1.5 * height or photo.shape[1] >= 1.5 * width
    way = cv2.INTER_AREA if much else cv2.INTER_LINEAR  # both average; the second is much faster
    return np.asarray(cv2.resize(photo, (width, height), interpolation=way), np.uint8)
