"""What a cluster's worker does for a cell: get the inputs, run it, send its files back in pieces.

Pieces keep memory small, however long the recording of the outputs is.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from dlcv import __version__
from dlcv.evaluation.matrix.attempt import TICK, Attempt, Running, end
from dlcv.evaluation.matrix.cell import Cell, Listing, listing

PIECE = 16 << 20  # bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """Some bytes of a file, in their order.

    Attributes:
        path: Of the file in its folder; ``.`` for a file that is no folder's.
        data: To be put after what is there.
    """

    path: str
    data: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Errand:
    """What a worker is sent.

    Attributes:
        cell: What is run.
        sizes: Input -> its files as whoever sent this sees them.
        parcels: Input -> what `fetch` of `carry_out` turns into its pieces; empty if the worker
            has the inputs at the same paths.
        program: What takes the arguments of ``dlcv evaluate``; empty for that.
        version: Of dlcv.
    """

    cell: Cell
    sizes: Mapping[Path, Listing]
    parcels: Mapping[Path, tuple[Any, ...]] = field(default_factory=dict)
    program: tuple[str, ...] = ()
    version: str = __version__


def carry_out(errand: Errand, fetch: Callable[[Any], Piece]) -> Iterator[Piece | Attempt]:
    """Run a cell; yield its files, then how it ended."""
    if errand.version != __version__:
        yield _refused(f'dlcv {__version__} is installed here, {errand.version} was expected')
        return
    with TemporaryDirectory(prefix='dlcv-cell-') as name:
        located = {
            path: unpack(map(fetch, parcels), Path(name, 'inputs', str(i), path.name))
            for i, (path, parcels) in enumerate(errand.parcels.items())
        }
        if lacking := _lacking(errand.sizes, located):
            yield _refused(lacking)
            return
        folder = Path(name, 'cell')
        attempt = _run(errand, folder, located)
        yield from pack(folder)
        yield attempt


def pack(path: Path) -> Iterator[Piece]:
    """Yield a file, or all files of a folder, in pieces."""
    for name, _, _ in listing(path):
        with (path / name).open('rb') as file:
            data = file.read(PIECE)
            yield Piece(path=name, data=data)
            while data := file.read(PIECE):
                yield Piece(path=name, data=data)


def unpack(pieces: Iterable[Piece], path: Path) -> Path:
    """Write what `pack` yields, and return where."""
    for piece in pieces:
        put(piece, path)
    return path


def put(piece: Piece, path: Path) -> None:
    """Append a piece to its file in a folder, which is made if need be."""
    file = path / piece.path
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open('ab') as out:
        out.write(piece.data)


def _run(errand: Errand, folder: Path, located: Mapping[Path, Path]) -> Attempt:
    running = Running(errand.cell, folder, program=errand.program, located=located)
    try:
        while (attempt := running.attempt()) is None:
            time.sleep(TICK)
    finally:  # a cancelled task is interrupted here
        end([running])
    return attempt


def _refused(reason: str) -> Attempt:
    return Attempt(error=f'{socket.gethostname()}: {reason}', host=socket.gethostname())


def _lacking(sizes: Mapping[Path, Listing], located: Mapping[Path, Path]) -> str:
    """Return what is wrong with the first input that is not as it was where it was sent from."""
    for path, expected in sizes.items():
        try:
            found = {name: size for name, size, _ in listing(located.get(path, path))}
        except OSError as err:
            return (
                f'{path} is not readable here ({err.strerror}): put it where all nodes of the '
                'cluster see it at the same path, or set `ray: {ship: true}` in the matrix'
            )
        if found != {name: size for name, size, _ in expected}:
            return f'{path} is another one here: {_total(found)} bytes'
    return ''


def _total(sizes: Mapping[str, int]) -> int:
    return sum(sizes.values())
