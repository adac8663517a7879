"""What a run leaves to read: tables of figures, pictures, and the same for TensorBoard."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2

from dlcv.types import ByteImage


class Table:
    """A CSV file of figures by step, which a resumed run goes on with.

    The columns are those of the first row; a row must have the same.

    Args:
        path: The file.
        after: Rows of later steps are dropped: the run takes them again.
    """

    def __init__(self, path: Path, after: int) -> None:
        self.path = path
        kept = [row for row in read_table(path) if row['step'] <= after] if path.exists() else []
        self._columns: list[str] = list(kept[0]) if kept else []
        with path.open('w', newline='') as file:
            writer = csv.writer(file)
            if kept:
                writer.writerow(self._columns)
                writer.writerows(_written(row) for row in kept)

    def add(self, step: int, figures: Mapping[str, float]) -> None:
        """Append a row; it is on disk when this returns."""
        row = {'step': float(step), **figures}
        with self.path.open('a', newline='') as file:
            writer = csv.writer(file)
            if not self._columns:
                self._columns = list(row)
                writer.writerow(self._columns)
            writer.writerow(_written({column: row[column] for column in self._columns}))


def read_table(path: Path) -> list[dict[str, float]]:
    """Return the rows of a table; a last line that was cut off is left out."""
    with path.open(newline='') as file:
        rows = list(csv.reader(file))
    if not rows:
        return []
    columns, *lines = rows
    return [
        {column: float(value) for column, value in zip(columns, line, strict=True)}
        for line in lines
        if len(line) == len(columns)
    ]


def _written(row: Mapping[str, float]) -> list[str]:
    return [f'{value:.0f}' if name == 'step' else repr(value) for name, value in row.items()]


class Log:
    """The figures and pictures of one run, in its folder.

    ``log.csv`` holds losses, ``validation.csv`` figures on held-out data, ``pictures/`` PNG files
    named by step; where TensorBoard is installed, ``tensorboard/`` holds all of them too.

    Args:
        folder: The run's folder.
        step: Where the run starts; what was logged after that is dropped.
    """

    def __init__(self, folder: Path, step: int) -> None:
        self._pictures = folder / 'pictures'
        self._tables = {name: Table(folder / f'{name}.csv', step) for name in ('log', 'validation')}
        self._board = _tensorboard(folder / 'tensorboard', step)

    def figures(self, table: str, step: int, figures: Mapping[str, float]) -> None:
        """Write one row of ``log`` or ``validation``."""
        self._tables[table].add(step, figures)
        if self._board is not None:
            for name, value in figures.items():
                self._board.add_scalar(f'{table}/{name}', value, step)

    def pictures(self, step: int, pictures: Mapping[str, ByteImage]) -> None:
        """Write RGB pictures ``(H, W, 3)``."""
        self._pictures.mkdir(exist_ok=True)
        for name, picture in pictures.items():
            path = self._pictures / f'{step:07d}_{name}.png'
            cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
            if self._board is not None:
                self._board.add_image(name, picture, step, dataformats='HWC')

    def close(self) -> None:
        """Write out what is still in memory."""
        if self._board is not None:
            self._board.close()


def _tensorboard(folder: Path, step: int) -> Any:
    if find_spec('tensorboard') is None:
        return None
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder), purge_step=step + 1)
