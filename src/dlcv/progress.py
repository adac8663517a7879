"""How far something long has come, on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Show = Callable[[str, int, int], None]

_SECONDS = 20.0  # between two lines where there is no terminal


@contextmanager
def bars(*, lines: bool = False) -> Iterator[Show]:
    """Give a function that takes (part, done, of) and shows a bar for each part on terminals.

    Args:
        lines: Elsewhere, write a line now and then; nothing of what is through at once.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TaskID,
        TextColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    columns = (TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn())
    tasks: dict[str, TaskID] = {}
    told = time.monotonic()
    with Progress(
        *columns,
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bar:

        def show(part: str, done: int, of: int) -> None:
            nonlocal told
            if part not in tasks:
                tasks[part] = bar.add_task(part)
            bar.update(tasks[part], completed=done, total=of)
            if lines and not console.is_terminal and time.monotonic() - told > _SECONDS:
                told = time.monotonic()
                sys.stderr.write(f'{part}: {done} of {of}\n')

        yield show
