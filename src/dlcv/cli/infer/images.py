"""Which pictures are meant, in which order, at which times; and reading them."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from dlcv.cli.infer.parts import note
from dlcv.cli.main import CommandError
from dlcv.data.datasets.pictures import PICTURES, in_order, pictures_in, times_of
from dlcv.types import ByteImage, Camera, Frame

RATE = 10.0  # Hz, of pictures about whose time nothing is known
_LIST = 3  # files from which on a list looks like a shell's, which sorts as text


def image_files(given: Sequence[Path]) -> list[Path]:
    """Return the pictures that are meant: a folder stands for its pictures, in order.

    A list of files as a shell makes it of a pattern, 1 10 11 2, is put in order too, and that is
    said; other lists are left as they are.

    Raises:
        CommandError: A folder has none.
    """
    files: list[Path] = []
    for path in given:
        if any(c in path.name for c in '*?[') and not path.exists():  # quoted, or no shell's
            files += pictures_in(path.parent, path.name)
            if not files:
                raise CommandError(f'{path}: no images are named so')
            continue
        if not path.is_dir():
            files.append(path)
            continue
        inside = pictures_in(path)
        if not inside:
            raise CommandError(f'{path}: no images in this folder; looked for {" ".join(PICTURES)}')
        files += inside
    listed = list(given) == files and len(files) >= _LIST and len({f.parent for f in files}) == 1
    if listed and files == sorted(files, key=str) and (ordered := in_order(files)) != files:
        names = ', '.join(file.name for file in ordered[:_LIST])
        note(f'the images are taken in the order of their numbers: {names}, ...')
        return ordered
    return files


def stamps_of(paths: Sequence[Path], rate: float | None) -> list[int]:
    """Return the times of pictures in nanoseconds, and say where they come from.

    Args:
        paths: In order.
        rate: Images in a second; None for what their names say, else 10.
    """
    if rate is not None:
        return [round(i * 1e9 / rate) for i in range(len(paths))]
    named, said = times_of(paths)
    if named is not None:
        note(said)
        return named
    note(f'{said}: they are taken to come at {RATE:g} Hz (--rate says otherwise)')
    return [round(i * 1e9 / RATE) for i in range(len(paths))]


def frames(
    paths: Sequence[Path], stamps: Sequence[int], camera: Camera | None, args: argparse.Namespace
) -> Iterator[Frame]:
    """Give the pictures as frames.

    Raises:
        CommandError: One cannot be read, or is of another size than it should be.
    """
    first: Frame | None = None
    for stamp, path in zip(stamps, paths, strict=True):
        image = read_image(path)
        size = image.shape[1], image.shape[0]
        if camera is not None and size != (camera.width, camera.height):
            raise CommandError(
                f'{path} is {size[0]}x{size[1]}, '
                f'{args.camera} is for {camera.width}x{camera.height}'
            )
        if first is not None and args.network != 'superpoint' and image.shape != first.image.shape:
            raise CommandError(
                f'{path} is {size[0]}x{size[1]}, {paths[0]} is {first.width}x{first.height}; '
                f'{args.network} takes images of one size'
            )
        frame = Frame(stamp_ns=stamp, image=image, camera=camera)
        first = first or frame
        yield frame


def read_image(path: Path) -> ByteImage:
    """Return a picture, RGB, 8 bits."""
    import cv2

    if not path.is_file():
        raise CommandError(f'{path}: no such file')
    # Pixels as they are in the file: the calibration knows nothing of EXIF's orientation.
    how = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    data = np.frombuffer(path.read_bytes(), np.uint8)
    bgr = cv2.imdecode(data, how) if data.size else None
    if bgr is None:
        raise CommandError(f'{path}: is no image that OpenCV can read')
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)
