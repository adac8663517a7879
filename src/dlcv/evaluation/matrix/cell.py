"""One cell of a matrix: what `dlcv evaluate` is told about a bag and a configuration."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dlcv import __version__
from dlcv.interface.files import scalar
from dlcv.interface.parameters import Value

PARAMETERS = 'parameters.yaml'

Sections = Mapping[str, Mapping[str, 'Value | Path']]
"""A ROS parameter file: pattern of node names -> parameter -> value; a path is a file to be had."""

Listing = tuple[tuple[str, int, int], ...]
"""The files of a bag, or one file: (path in the bag, bytes, time of change in ns)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One run of ``dlcv evaluate``.

    Attributes:
        bag: Name of the bag in the matrix.
        configuration: Name of the configuration in the matrix.
        arguments: What is evaluated and how; a `Path` is a file or bag to be had wherever the
            cell runs, text is passed on as it is.
        parameters: Of the nodes.
        timeout: Seconds after which the run is given up; 0 for never.
    """

    bag: str
    configuration: str
    arguments: tuple[str | Path, ...]
    parameters: Sections = field(default_factory=dict)
    timeout: float = 0.0

    @property
    def name(self) -> str:
        """How it is called in lines and tables."""
        return f'{self.bag} / {self.configuration}'

    @property
    def place(self) -> Path:
        """Its folder below a folder of cells."""
        return Path(self.bag, self.configuration)

    @property
    def inputs(self) -> tuple[Path, ...]:
        """The bag and all files that it needs beside it."""
        values = (value for section in self.parameters.values() for value in section.values())
        paths = (item for item in (*self.arguments, *values) if isinstance(item, Path))
        return tuple(dict.fromkeys(paths))

    def command(self, folder: Path, located: Mapping[Path, Path]) -> tuple[str, ...]:
        """Return the arguments of ``dlcv evaluate``.

        Args:
            folder: Where the results go, and where `parameter_file` was written.
            located: Where inputs are that are not where the matrix says.
        """
        told = (str(located.get(a, a)) if isinstance(a, Path) else a for a in self.arguments)
        return (*told, '--params', str(folder / PARAMETERS), '-o', str(folder))

    def parameter_file(self, located: Mapping[Path, Path]) -> str:
        """Return the text of its ROS parameter file; `located` as for `command`."""
        lines = []
        for pattern, values in self.parameters.items():
            lines += [f'{pattern}:', '  ros__parameters:' + ('' if values else ' {}')]
            for name, value in values.items():
                plain = str(located.get(value, value)) if isinstance(value, Path) else value
                lines.append(f'    {name}: {scalar(plain)}')
        return '\n'.join(lines) + '\n'

    def fingerprint(self, look: Callable[[Path], Listing]) -> str:
        """Return a digest that changes when the cell would have to be run again.

        Args:
            look: Lists the files of an input; `listing`, or one that remembers.
        """
        definition = {
            'dlcv': __version__,
            'arguments': [str(argument) for argument in self.arguments],
            'parameters': self.parameter_file({}),
            'inputs': {str(path): look(path) for path in self.inputs},
        }
        text = json.dumps(definition, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def listing(path: Path) -> Listing:
    """List a file, or all files of a folder.

    Raises:
        OSError: It cannot be read.
    """
    files = sorted(p for p in path.rglob('*') if p.is_file()) if path.is_dir() else [path]
    stats = ((file, file.stat()) for file in files)
    return tuple(
        (file.relative_to(path).as_posix(), stat.st_size, stat.st_mtime_ns) for file, stat in stats
    )
