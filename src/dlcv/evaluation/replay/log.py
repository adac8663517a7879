"""The log of a replay: what became of each image at each node."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dlcv.files import Closing
from dlcv.interface.handled import Outcome

LOST = 'lost'  # a node that did not answer in time, or at all


class ReplayLogError(ValueError):
    """A log cannot be read; the message says where and why."""


@dataclass(frozen=True, slots=True)
class Handled:
    """One line of the log.

    Attributes:
        node: Name of the node.
        stamp_ns: The image.
        outcome: What became of it.
        age_ms: From its publication to the node's word on it; None where nobody took the time.
    """

    node: str
    stamp_ns: int
    outcome: Outcome
    age_ms: float | None = None


class FrameLog(Closing):
    """A log being written, one JSON object a line, so that nothing is lost with a crash."""

    def __init__(self, path: Path) -> None:
        self._file = path.open('w', encoding='utf-8', buffering=1)  # by lines

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def add(self, line: Handled) -> None:
        """Append a line."""
        data = {'node': line.node, 'stamp_ns': line.stamp_ns, 'outcome': str(line.outcome)}
        if line.age_ms is not None:
            data['age_ms'] = round(line.age_ms, 3)
        self._file.write(json.dumps(data) + '\n')


def read_log(path: Path) -> Iterator[Handled]:
    """Give the lines of a log; a last one that was cut short is left out.

    Raises:
        ReplayLogError: If the file cannot be read, or another line is none.
    """
    try:
        lines = path.read_text(encoding='utf-8').splitlines(keepends=True)
    except OSError as err:
        raise ReplayLogError(f'{path}: {err.strerror}') from err
    for number, line in enumerate(lines, start=1):
        if not line.endswith('\n'):
            return
        try:
            data = json.loads(line)
            outcome = Outcome.parse(data['outcome'])
            yield Handled(data['node'], data['stamp_ns'], outcome, data.get('age_ms'))
        except (ValueError, KeyError, TypeError) as err:
            raise ReplayLogError(f'{path}: line {number}: {err}') from err
