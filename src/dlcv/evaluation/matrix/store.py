"""The output folder: finished cells whole or not at all, failed ones beside them.

A cell's files are written into a folder whose name begins with a dot and take their place by a
rename, so whatever is below ``cells`` is finished, also after a power cut.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import IO

from typing_extensions import Self

from dlcv.config import from_dict
from dlcv.evaluation.matrix.attempt import LOG
from dlcv.evaluation.matrix.cell import Cell
from dlcv.evaluation.matrix.errors import MatrixError
from dlcv.evaluation.scoring.files import read_json
from dlcv.evaluation.scoring.model import Evaluation, Section
from dlcv.files import write_whole

EVALUATION = 'evaluation.json'
RECORD = 'cell.json'
TAIL = 12  # last lines of a log that a summary shows


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """What is noted of a finished cell.

    Attributes:
        fingerprint: Of the cell.
        tries: It took.
        seconds: The last of them took.
        host: It ran on.
    """

    fingerprint: str
    tries: int
    seconds: float
    host: str


class Store:
    """The output folder of a matrix; one run at a time has it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self._lock: IO[str] | None = None

    def __enter__(self) -> Self:
        """Take the folder, and clear away what a killed run left half done.

        Raises:
            MatrixError: Another run has it.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = (self.folder / '.lock').open('w')
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise MatrixError(f'{self.folder}: another run is at work here') from None
        self._clear()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._lock is not None:
            self._lock.close()

    def finished(self, cell: Cell, fingerprint: str) -> tuple[Record, Evaluation] | None:
        """Return what is there of a cell; None if it must be run."""
        folder = self.cell_folder(cell)
        try:
            text = (folder / RECORD).read_text(encoding='utf-8')
            record = from_dict(json.loads(text), Record)
            if record.fingerprint == fingerprint:
                return record, self.evaluation(folder)
        except (OSError, ValueError):  # ConfigError and EvaluationError are among them
            pass
        return None

    def cell_folder(self, cell: Cell) -> Path:
        """Return where a finished cell is."""
        return self.folder / 'cells' / cell.place

    def failed_folder(self, cell: Cell) -> Path:
        """Return where the last attempt at a failed cell is."""
        return self.folder / 'failed' / cell.place

    def fresh(self, cell: Cell) -> Path:
        """Return the folder for an attempt, which is not there yet."""
        folder = self.cell_folder(cell)
        part = folder.with_name(f'.{folder.name}.part')
        shutil.rmtree(part, ignore_errors=True)
        return part

    def evaluation(self, folder: Path) -> Evaluation:
        """Return the evaluation in a folder, without the samples that a summary does not need.

        Raises:
            EvaluationError: There is none, or it is not whole.
        """
        whole = read_json(folder / EVALUATION)
        return replace(whole, sections=tuple(map(_without_samples, whole.sections)))

    def keep(self, cell: Cell, part: Path, record: Record) -> None:
        """Give the files of a successful attempt their place."""
        text = json.dumps(asdict(record), indent=1) + '\n'
        (part / RECORD).write_text(text, encoding='utf-8')
        _swap(part, self.cell_folder(cell))
        shutil.rmtree(self.failed_folder(cell), ignore_errors=True)

    def set_aside(self, cell: Cell, part: Path) -> None:
        """Keep the files of a failed attempt for whoever looks into it."""
        if part.exists():
            _swap(part, self.failed_folder(cell))

    def discard(self, part: Path) -> None:
        """Remove the files of an attempt."""
        shutil.rmtree(part, ignore_errors=True)

    def write(self, name: str, text: str) -> None:
        """Write a file of the whole matrix, never half."""
        write_whole(self.folder / name, text)

    def _clear(self) -> None:
        for part in self.folder.glob('*/*/.*.part'):
            shutil.rmtree(part, ignore_errors=True)
        for old in self.folder.glob('*/*/.*.old'):
            _put_back(old)


def last_lines(part: Path) -> str:
    """Return the end of an attempt's log; empty without one."""
    try:
        with (part / LOG).open('rb') as log:
            log.seek(max(0, os.fstat(log.fileno()).st_size - (1 << 14)))
            text = log.read().decode('utf-8', 'replace')
    except OSError:
        return ''
    lines = [line.rpartition('\r')[2].rstrip() for line in text.splitlines()]
    return '\n'.join([line for line in lines if line][-TAIL:])


def _without_samples(section: Section) -> Section:
    return replace(section, metrics=tuple(replace(m, samples=()) for m in section.metrics))


def _swap(part: Path, folder: Path) -> None:
    """Put a folder in the place of another, or of nothing."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    old = folder.with_name(f'.{folder.name}.old')
    if folder.exists():
        folder.rename(old)
    part.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def _put_back(old: Path) -> None:
    """Undo the first half of a `_swap` that was killed, or end its second half."""
    folder = old.with_name(old.name[1 : -len('.old')])
    if folder.exists():
        shutil.rmtree(old, ignore_errors=True)
    else:
        old.rename(folder)
