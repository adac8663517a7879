"""One terminal for several processes: whole lines, each with the name of who wrote it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TextIO

COLOURS = (36, 33, 35, 32, 34, 96, 93, 95, 92, 94)  # ANSI; red is for what went wrong
RED = 31


class Console:
    """Writes prefixed lines to a stream; in colour only where a person looks at them."""

    def __init__(self, stream: TextIO, names: Iterable[str]) -> None:
        """Give every name its colour.

        Args:
            stream: Where the lines go.
            names: Who will write.
        """
        self._stream = stream
        self._colours = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(names)}
        self._width = max(map(len, self._colours), default=0)
        self.colour = stream.isatty() and 'NO_COLOR' not in os.environ

    def line(self, name: str, text: str) -> None:
        """Write a line that a process printed."""
        self._write(self._paint(f'{name:<{self._width}} |', self._colours.get(name, 0)), text)

    def say(self, text: str) -> None:
        """Write a line of our own."""
        self._write('--', text)

    def complain(self, text: str) -> None:
        """Write a line of our own about something that went wrong."""
        self._write('--', self._paint(text, RED))

    def _write(self, head: str, text: str) -> None:
        self._stream.write(f'{head} {text}\n')
        self._stream.flush()

    def _paint(self, text: str, colour: int) -> str:
        return f'\x1b[{colour}m{text}\x1b[0m' if self.colour and colour else text


class Lines:
    """Cuts what arrives in pieces into lines; a line without end is given out in parts."""

    LONGEST = 1 << 16

    def __init__(self) -> None:
        self._rest = b''

    def push(self, piece: bytes) -> list[str]:
        """Return the lines that ``piece`` completes."""
        *lines, self._rest = (self._rest + piece).split(b'\n')
        if len(self._rest) > self.LONGEST:
            lines, self._rest = [*lines, self._rest], b''
        return [_text(line) for line in lines]

    def end(self) -> list[str]:
        """Return what is left when no more comes."""
        rest, self._rest = self._rest, b''
        return [_text(rest)] if rest else []


def _text(line: bytes) -> str:
    # of a progress bar that rewrites its line only the last state is of use in a log
    return line.decode(errors='replace').rstrip('\r').rpartition('\r')[2]
