"""Cells on this machine, some at a time."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from dlcv.evaluation.matrix.attempt import TICK, Attempt, Running, end
from dlcv.evaluation.matrix.cell import Cell


class LocalPool:
    """Runs cells as processes of this machine; a `Runner`.

    Args:
        jobs: Most cells at a time; None for half of the cores.
        program: What takes the arguments of ``dlcv evaluate``; empty for that.
    """

    def __init__(self, jobs: int | None = None, program: Sequence[str] = ()) -> None:
        self.jobs = max(1, (os.cpu_count() or 1) // 2) if jobs is None else jobs
        if self.jobs < 1:
            raise ValueError(f'jobs: expected 1 or more, got {self.jobs}')
        self._program = program
        self._waiting: deque[tuple[Cell, Path]] = deque()
        self._running: list[tuple[Cell, Running]] = []

    def start(self, cell: Cell, folder: Path) -> None:
        """Let a cell have its turn."""
        self._waiting.append((cell, folder))

    def wait(self) -> tuple[Cell, Attempt]:
        """Return the next attempt that ends."""
        while True:
            self._fill()
            for cell, running in self._running:
                attempt = running.attempt()
                if attempt is not None:
                    self._running.remove((cell, running))
                    return cell, attempt
            time.sleep(TICK)

    def close(self) -> None:
        """End what runs."""
        self._waiting.clear()
        end([running for _, running in self._running])
        self._running.clear()

    def _fill(self) -> None:
        while self._waiting and len(self._running) < self.jobs:
            cell, folder = self._waiting.popleft()
            self._running.append((cell, Running(cell, folder, program=self._program)))
