"""Run a matrix: what is finished is skipped, what fails is tried again, the rest goes on."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from dlcv.evaluation.matrix.attempt import Attempt
from dlcv.evaluation.matrix.cell import Cell, listing
from dlcv.evaluation.matrix.errors import MatrixError
from dlcv.evaluation.matrix.plan import Matrix
from dlcv.evaluation.matrix.store import Record, Store, last_lines
from dlcv.evaluation.matrix.summary import (
    Result,
    Summary,
    done,
    missed,
    skipped,
    to_json,
    to_markdown,
)
from dlcv.evaluation.scoring.files import EvaluationError

Say = Callable[[str], None]


class Runner(Protocol):
    """Where cells run."""

    def start(self, cell: Cell, folder: Path) -> None:
        """Run a cell as soon as there is room; its files go into a folder that is made then."""

    def wait(self) -> tuple[Cell, Attempt]:
        """Return the next attempt that ends, with its files in place; one must be under way."""

    def close(self) -> None:
        """End what runs, and free what is held."""


def run(matrix: Matrix, out: Path, runner: Runner, *, retries: int = 2, say: Say) -> Summary:
    """Run the cells of a matrix that are not finished in a folder.

    ``matrix.json`` and ``matrix.md`` are written there at the start and after each cell. SIGINT,
    SIGTERM and SIGHUP end the run early and cleanly.

    Args:
        matrix: What is run.
        out: Folder; a finished cell is ``cells/BAG/CONFIGURATION`` in it.
        runner: Where cells run; closed at the end.
        retries: How often a failed cell is tried again.
        say: Takes a line for whoever watches.

    Raises:
        MatrixError: Another run has the folder, or an input cannot be read.
    """
    if retries < 0:
        raise MatrixError(f'retries: expected 0 or more, got {retries}')
    with Store(out) as store:
        campaign = _Campaign(matrix, store, runner, retries, say)
        try:
            with _interruptible():
                campaign.skip_finished()
                campaign.run()
        except KeyboardInterrupt:
            campaign.interrupted()
        finally:
            runner.close()
            campaign.clear()
        return campaign.summary()


class _Campaign:
    def __init__(
        self, matrix: Matrix, store: Store, runner: Runner, retries: int, say: Say
    ) -> None:
        self._matrix, self._store, self._runner, self._say = matrix, store, runner, say
        self._most = retries + 1
        self._fingerprints = _fingerprints(matrix)
        self._results = {cell.place: Result(cell=cell, state='open') for cell in matrix.cells}
        self._parts: dict[Path, Path] = {}
        self._interrupted = False

    def summary(self) -> Summary:
        return Summary(
            title=self._matrix.title,
            results=tuple(self._results.values()),
            columns=self._matrix.columns,
            interrupted=self._interrupted,
        )

    def skip_finished(self) -> None:
        for cell in self._matrix.cells:
            found = self._store.finished(cell, self._fingerprints[cell.place])
            if found is not None:
                self._settle(skipped(cell, *found))

    def run(self) -> None:
        for cell in self._matrix.cells:
            if self._results[cell.place].state == 'open':
                self._start(cell)
        while self._parts:
            cell, attempt = self._runner.wait()
            self._ended(cell, attempt)

    def interrupted(self) -> None:
        self._interrupted = True
        finished = sum(result.finished for result in self._results.values())
        self._say(
            f'interrupted: ending what runs; {finished} of {len(self._results)} cells are finished '
            'and kept, the same command goes on from there'
        )

    def clear(self) -> None:
        for part in self._parts.values():
            self._store.discard(part)
        self._write()

    def _start(self, cell: Cell) -> None:
        self._parts[cell.place] = part = self._store.fresh(cell)
        self._runner.start(cell, part)

    def _ended(self, cell: Cell, attempt: Attempt) -> None:
        part = self._parts.pop(cell.place)
        tries = self._results[cell.place].tries + 1
        try:
            self._check(attempt)
            evaluation = self._store.evaluation(part)
        except (MatrixError, EvaluationError) as err:
            self._failed(missed(cell, tries, attempt, str(err), last_lines(part)), part)
            return
        record = Record(
            fingerprint=self._fingerprints[cell.place],
            tries=tries,
            seconds=attempt.seconds,
            host=attempt.host,
        )
        self._store.keep(cell, part, record)
        self._settle(done(cell, record, evaluation))

    def _check(self, attempt: Attempt) -> None:
        if attempt.error:
            raise MatrixError(attempt.error)

    def _failed(self, result: Result, part: Path) -> None:
        cell = result.cell
        self._store.set_aside(cell, part)
        if result.tries == self._most:
            self._settle(result)
            return
        self._results[cell.place] = replace(result, state='open')
        last = result.log.rpartition('\n')[2]
        self._say(
            f'{cell.name}: {result.error}{f" ({last})" if last else ""}; '
            f'trying again, {result.tries + 1} of {self._most}'
        )
        self._start(cell)

    def _settle(self, result: Result) -> None:
        self._results[result.cell.place] = result
        settled = sum(r.state != 'open' for r in self._results.values())
        self._say(f'[{settled}/{len(self._results)}] {result.line}')
        self._write()

    def _write(self) -> None:
        self._store.write('matrix.json', to_json(self.summary()))
        self._store.write('matrix.md', to_markdown(self.summary()))


def _fingerprints(matrix: Matrix) -> dict[Path, str]:
    look = lru_cache(maxsize=None)(listing)  # a bag is in many cells
    try:
        return {cell.place: cell.fingerprint(look) for cell in matrix.cells}
    except OSError as err:
        raise MatrixError(f'{err.filename}: cannot be read: {err.strerror}') from None


@contextmanager
def _interruptible() -> Iterator[None]:
    """Make SIGTERM and SIGHUP what Ctrl-C is."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {n: signal.signal(n, interrupt) for n in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
