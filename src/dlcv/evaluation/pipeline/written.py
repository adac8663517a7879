"""What an evaluation leaves in its folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dlcv.data.datasets.trajectories import write_kitti, write_tum
from dlcv.evaluation.report.evaluation_page import write_page
from dlcv.evaluation.report.overview import overview
from dlcv.evaluation.scoring.evaluate import BESIDE, ODOMETRY
from dlcv.evaluation.scoring.files import write_json
from dlcv.evaluation.scoring.model import Evaluation
from dlcv.view.panel import write_picture

Progress = Callable[[str, int, int], None]
"""Told a stage, how much of it is done, and of how much."""


class PipelineError(ValueError):
    """An evaluation cannot be made as asked; the message says why."""


class UnevaluatedError(PipelineError):
    """A replay was made, but not its evaluation; the message says how to make it up."""


OVERVIEW = 'overview.png'
"""One picture of it all."""

PATHS = (ODOMETRY, *BESIDE, 'relocalized', 'truth')
"""Names of the trajectories of an evaluation, as far as it has them."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Written:
    """What was found, and where it is written.

    Attributes:
        evaluation: All of it.
        page: The report.
        failed: Whether the replay did not come to its end as it should.
    """

    evaluation: Evaluation
    page: Path
    failed: bool


def own(folder: Path) -> Iterator[Path]:
    """Give all files that an evaluation may write."""
    for name in ('evaluation.json', 'index.html', OVERVIEW):
        yield folder / name
    for name in PATHS:
        yield from (folder / f'{name}{end}' for end in ('.tum', '.kitti', '_times.txt'))


def forget(folder: Path) -> None:
    """Remove the evaluation that is there, and nothing else."""
    for old in own(folder):
        old.unlink(missing_ok=True)


def write(evaluation: Evaluation, folder: Path, *, failed: bool) -> Written:
    """Write the page, the JSON, the trajectories and one picture, all or none of them."""
    try:
        for name, path in evaluation.paths.items():
            write_tum(path, folder / f'{name}.tum')
            write_kitti(path, folder / f'{name}.kitti')
        write_json(evaluation, folder / 'evaluation.json')
        page = write_page(evaluation, folder)
        if (picture := overview(evaluation)) is not None:
            write_picture(folder / OVERVIEW, picture)
    except OSError:
        forget(folder)
        raise
    return Written(evaluation=evaluation, page=page, failed=failed)
