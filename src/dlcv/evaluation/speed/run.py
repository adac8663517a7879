"""What is measured without ROS, as one report."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from dlcv.evaluation.bench.options import BenchError, Progress, silent
from dlcv.evaluation.bench.report import Report, Table, environment
from dlcv.evaluation.speed.alone import AloneOptions, bare, beside_plain
from dlcv.evaluation.speed.film import Film, generated, recorded
from dlcv.evaluation.speed.steps import SUBJECTS
from dlcv.networks.weights.shipped import shipped

BENCH = 'speed'


@dataclass(frozen=True, kw_only=True, slots=True)
class SpeedOptions:
    """What is measured, on what.

    Attributes:
        size: Width and height of generated pictures; a recording has its own.
        recording: Whose first pictures are shown; None for a generated room.
        subjects: Names of shipped weights, for what runs without ROS.
        rounds: Times that each of two is run that take turns.
        threads: That each computes with.
        parameters: Of the nodes, such as ``engine``.
    """

    size: tuple[int, int] = (640, 480)
    recording: Path | None = None
    subjects: tuple[str, ...] = tuple(SUBJECTS)
    rounds: int = 9
    threads: int = 1
    parameters: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if unknown := [name for name in self.subjects if name not in SUBJECTS]:
            raise BenchError(f'no network {unknown[0]!r}; there are {", ".join(SUBJECTS)}')
        if min(self.rounds, self.threads) < 1:
            raise BenchError(
                f'rounds and threads must be at least 1, got {self.rounds} and {self.threads}'
            )

    def film(self) -> Film:
        """Return the pictures."""
        return generated(*self.size) if self.recording is None else recorded(self.recording)


def measure_alone(
    options: SpeedOptions, film: Film, kinds: Iterable[str], progress: Progress = silent
) -> list[Table]:
    """Measure what needs no ROS.

    Args:
        options: What, and how.
        film: The pictures.
        kinds: Of ``bare``, ``plain``, ``busy`` and ``consensus``, which, in their order.
        progress: Told how far it is.
    """
    tables: list[Table] = []
    with TemporaryDirectory() as folder:
        how = AloneOptions(
            film=film.save(Path(folder) / 'film.npz'),
            subjects=options.subjects,
            rounds=options.rounds,
            threads=options.threads,
            parameters=tuple(options.parameters.items()),
        )
        for kind in kinds:
            match kind:
                case 'bare':
                    tables.append(bare(how, progress))
                case 'plain' | 'busy':
                    tables.append(beside_plain(how, progress, busy=kind == 'busy'))
                case 'consensus':
                    from dlcv.evaluation.speed.consensus import consensus

                    tables += consensus(options.rounds, progress)
                case _:
                    raise BenchError(f'no kind {kind!r} of measurement')
    return tables


def report_of(options: SpeedOptions, film: Film, tables: Iterable[Table]) -> Report:
    """Return tables with where and how they were measured."""
    width, height = film.size
    source = 'a generated room' if options.recording is None else options.recording.name
    settings = {
        'pictures': f'{len(film.pictures)} of {source}, {width}x{height}, shown to and fro',
        'threads': str(options.threads),
        'rounds': str(options.rounds),
        'load': f'{os.getloadavg()[0]:.1f} processes wanted a core in the last minute',
        **{name: str(value) for name, value in options.parameters.items()},
    }
    return Report(
        bench=BENCH,
        tables=tuple(tables),
        settings=settings,
        environment=environment(map(shipped, options.subjects)),
    )
