"""One attempt at a cell: its process, from the first file to the last signal."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from dlcv.evaluation.matrix.cell import PARAMETERS, Cell

LOG = 'cell.log'
TICK = 0.05  # seconds between two looks at processes
INTERRUPT_PATIENCE = 10.0  # seconds from SIGINT to SIGTERM: an evaluation keeps what it has
TERMINATE_PATIENCE = 5.0  # seconds from SIGTERM to SIGKILL

_LEASH = Path(__file__).with_name('leash.py')
_NOWHERE: Mapping[Path, Path] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """How an attempt ended.

    Attributes:
        error: Why it failed; empty if its process ended well.
        seconds: That it took.
        host: Where it ran; empty if it never began.
    """

    error: str = ''
    seconds: float = 0.0
    host: str = ''


class Running:
    """The process of a cell, in a process group of its own."""

    def __init__(
        self,
        cell: Cell,
        folder: Path,
        *,
        program: Sequence[str] = (),
        located: Mapping[Path, Path] = _NOWHERE,
    ) -> None:
        """Start it.

        Args:
            cell: What is run.
            folder: Where its files go; made here.
            program: What takes the arguments of ``dlcv evaluate``; empty for that.
            located: Where inputs are that are not where the matrix says.
        """
        folder.mkdir(parents=True, exist_ok=True)
        (folder / PARAMETERS).write_text(cell.parameter_file(located), encoding='utf-8')
        command = program or (sys.executable, '-m', 'dlcv', 'evaluate')
        leash = (sys.executable, '-S', str(_LEASH), str(os.getpid()))
        with (folder / LOG).open('wb') as log:
            self._process = subprocess.Popen(
                [*leash, *command, *cell.command(folder, located)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, 'PYTHONUNBUFFERED': '1'},
                start_new_session=True,
            )
        self._begin = time.monotonic()
        self._timeout = cell.timeout

    @property
    def alive(self) -> bool:
        """Whether the process has not ended."""
        return self._process.poll() is None

    def attempt(self) -> Attempt | None:
        """Return how it ended; None while it runs. One that ran too long is ended here."""
        if not self.alive:
            return self._ended(_describe(self._process.returncode))
        if 0 < self._timeout < time.monotonic() - self._begin:
            end([self])
            return self._ended(f'given up after {self._timeout:g} s')
        return None

    def send(self, number: signal.Signals) -> None:
        """Send a signal to all of its process group."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def _ended(self, error: str) -> Attempt:
        seconds = time.monotonic() - self._begin
        return Attempt(error=error, seconds=seconds, host=socket.gethostname())


def end(processes: Sequence[Running]) -> None:
    """End processes: SIGINT, SIGTERM, SIGKILL; a Ctrl-C meanwhile goes to the last at once."""
    with suppress(KeyboardInterrupt):
        for number, patience in (
            (signal.SIGINT, INTERRUPT_PATIENCE),
            (signal.SIGTERM, TERMINATE_PATIENCE),
        ):
            _tell(processes, number)
            _await(processes, patience)
    _tell(processes, signal.SIGKILL)
    _await(processes, TERMINATE_PATIENCE)


def _tell(processes: Sequence[Running], number: signal.Signals) -> None:
    for process in processes:
        if process.alive:
            process.send(number)


def _await(processes: Sequence[Running], patience: float) -> None:
    deadline = time.monotonic() + patience
    while any(process.alive for process in processes) and time.monotonic() < deadline:
        time.sleep(TICK)


def _describe(code: int) -> str:
    """Return an exit status in words, empty for a good one."""
    if code < 0:
        with suppress(ValueError):
            return f'killed by {signal.Signals(-code).name}'
    return f'exit code {code}' if code else ''
