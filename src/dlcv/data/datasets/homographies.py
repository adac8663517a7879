"""Pictures of planes with true homographies: HPatches and the Oxford affine set.

HPatches (Balntas et al., CVPR 2017) has folders ``i_*`` (light) and ``v_*`` (viewpoint) with
``1.ppm`` to ``6.ppm`` and ``H_1_2`` to ``H_1_6``. The Oxford set (Mikolajczyk et al., IJCV 2005)
has a folder for each scene with ``img1.ppm`` ... and ``H1to2p`` ...; either's file names are taken
in the folders of both.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dlcv.data.datasets.errors import DatasetError, wrong_folder
from dlcv.data.datasets.files import numbers, read_lines, read_picture
from dlcv.data.datasets.pictures import natural, pictures_in
from dlcv.types import ByteImage, FloatArray, HomographyPair

# Of the Oxford scenes, those in which the camera moves; in the others light, focus or quality do.
_MOVING = ('bark', 'boat', 'graf', 'graffiti', 'wall')
_MATRIX = re.compile(r'H_1_(\d+)|H1to(\d+)p')
_WANTED = (
    'i_*/ and v_*/ (HPatches)',
    '1.* or img1.* with H_1_2 or H1to2p (one scene)',
    'folders of such scenes',
)


@dataclass(frozen=True, kw_only=True, slots=True)
class HomographyFiles:
    """The files of one pair.

    Attributes:
        first: The picture that all pairs of a scene share.
        second: The other picture.
        matrix: Text file of ``(3, 3)`` numbers, second from first.
        kind: ``viewpoint`` or ``illumination``.
        name: Scene and number.
    """

    first: Path
    second: Path
    matrix: Path
    kind: str
    name: str


@dataclass(frozen=True, kw_only=True, slots=True)
class HomographyFolder:
    """Pairs in files; they are read while it is iterated.

    Attributes:
        name: Short name, for titles.
        items: The pairs, those of a scene together.
    """

    name: str
    items: tuple[HomographyFiles, ...]

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[HomographyPair]:
        """Read pair after pair; those of a scene share one ``first`` (the same array).

        Raises:
            DatasetError: A file is missing or damaged.
        """
        path, first = None, None
        for item in self.items:
            if first is None or path != item.first:
                path, first = item.first, _colour(item.first)
            yield HomographyPair(
                first=first,
                second=_colour(item.second),
                second_from_first=read_homography(item.matrix),
                kind=item.kind,
                name=item.name,
            )


def open_homographies(source: Path | str) -> HomographyFolder:
    """Open HPatches, some of its scenes, or scenes of the Oxford set.

    Args:
        source: A folder of scenes, or one scene.

    Raises:
        DatasetError: It is neither.
    """
    path = Path(source)
    if path.is_dir():
        for folders in ([path], sorted((p for p in path.iterdir() if p.is_dir()), key=natural)):
            if items := [item for folder in folders for item in _scene(folder)]:
                return HomographyFolder(name=path.resolve().name, items=tuple(items))
    raise wrong_folder(path, 'homography', _WANTED)


def read_homography(path: Path) -> FloatArray:
    """Return the ``(3, 3)`` float64 matrix of a text file.

    Raises:
        DatasetError: It has other numbers, or its matrix cannot be inverted.
    """
    lines = read_lines(path)
    if len(lines) != 3:
        raise DatasetError(f'{path}: expected 3 lines of 3 numbers, got {len(lines)} lines')
    matrix = np.array([numbers(path, number, line.split(), 3) for number, line in lines])
    if np.linalg.matrix_rank(matrix) < 3:
        raise DatasetError(f'{path}: the matrix cannot be inverted: {matrix.tolist()}')
    return matrix


def _scene(folder: Path) -> list[HomographyFiles]:
    """Return the pairs of one scene; none if it is no scene.

    Raises:
        DatasetError: A homography has no picture.
    """
    pictures = {path.stem.removeprefix('img'): path for path in reversed(pictures_in(folder))}
    found = []
    for path in sorted(folder.iterdir(), key=natural):
        if not (match := _MATRIX.fullmatch(path.name)):
            continue
        number = match[1] or match[2]
        if missing := [n for n in ('1', number) if n not in pictures]:
            raise DatasetError(f'{path}: there is no picture {" or ".join(missing)} beside it')
        found.append(
            HomographyFiles(
                first=pictures['1'],
                second=pictures[number],
                matrix=path,
                kind=_kind(folder.resolve().name),
                name=f'{folder.resolve().name}/{number}',
            )
        )
    return found


def _kind(scene: str) -> str:
    moving = scene.startswith('v_') or scene.lower() in _MOVING
    return 'viewpoint' if moving else 'illumination'


def _colour(path: Path) -> ByteImage:
    image = read_picture(path)
    return np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image
