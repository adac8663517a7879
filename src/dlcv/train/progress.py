"""How far something long has come, on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_SECONDS = 20.0  # between two lines where there is no terminal


@contextmanager
def progress(title: str, where: str) -> Iterator[Callable[[int, int], None]]:
    """Give a function that takes (done, of): a bar on terminals, a line now and then elsewhere.

    Nothing is shown of what is through at once.

    Args:
        title: What is being made.
        where: Where it is kept.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    columns = (TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn())
    told = time.monotonic()
    with Progress(
        *columns,
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bar:
        task = bar.add_task(f'{title} ({where})', total=None)

        def show(done: int, of: int) -> None:
            nonlocal told
            bar.update(task, completed=done, total=of)
            if not console.is_terminal and time.monotonic() - told > _SECONDS:
                told = time.monotonic()
                sys.stderr.write(f'{title}: {done} of {of}\n')

        yield show
