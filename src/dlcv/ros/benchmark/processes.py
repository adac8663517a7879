"""The processes of a plan while they are measured."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryFile
from time import monotonic

from dlcv.bringup import Job
from dlcv.evaluation.speed.worker import memory_mb
from dlcv.files import Closing

PATIENCE = 15.0  # seconds from the request to end to a kill
_TICKS = os.sysconf('SC_CLK_TCK') if hasattr(os, 'sysconf') else 100


class Processes(Closing):
    """The services of a job, each in a process of its own.

    Args:
        job: What is started.
        environment: Of the processes.

    Attributes:
        began: When they were started, by the monotonic clock.
    """

    def __init__(self, job: Job, environment: Mapping[str, str]) -> None:
        self._log = TemporaryFile('w+', encoding='utf-8', errors='replace')  # noqa: SIM115 - closed below
        self._running: dict[str, subprocess.Popen[str]] = {}
        self.began = monotonic()
        for command in job.services:
            self._running[command.name] = subprocess.Popen(
                command.argv,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a Ctrl-C is ours to pass on
                text=True,
            )

    def dead(self) -> list[str]:
        """Return the names of those that have ended."""
        return [name for name, process in self._running.items() if process.poll() is not None]

    def last_words(self) -> str:
        """Return the end of what they printed."""
        self._log.seek(0)
        return ' / '.join(self._log.read().strip().splitlines()[-3:])

    def cpu_s(self) -> float:
        """Return the seconds of the processor that all of them have used."""
        return sum(_cpu_s(process.pid) for process in self._running.values())

    def memory_mb(self) -> float | None:
        """Return their memory (PSS, 10^6 bytes); None where the system does not tell."""
        found = [memory_mb(process.pid) for process in self._running.values()]
        known = [one for one in found if one is not None]
        return sum(known) if len(known) == len(found) else None

    def close(self) -> None:
        """End them."""
        for process in self._running.values():
            process.send_signal(signal.SIGINT)
        deadline = monotonic() + PATIENCE
        for process in self._running.values():
            _wait(process, max(0.1, deadline - monotonic()))
        self._log.close()


def _wait(process: subprocess.Popen[str], patience: float) -> None:
    """Wait so many seconds for the end of a process, then kill it."""
    try:
        process.wait(patience)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _cpu_s(pid: int) -> float:
    """Return the seconds of the processor that a process has used; 0 where nobody tells."""
    try:
        text = Path(f'/proc/{pid}/stat').read_text(encoding='utf-8')
    except OSError:
        return 0.0
    user, system = text.rpartition(')')[2].split()[11:13]
    return (int(user) + int(system)) / _TICKS
