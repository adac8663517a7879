"""What a trial leaves in its folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dlcv.datasets.trajectories import write_kitti, write_tum
from dlcv.evaluation.files import write_json
from dlcv.evaluation.model import Evaluation
from dlcv.report.evaluation_page import write_page


class TrialError(ValueError):
    """A trial cannot be made as asked; the message says why."""


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


def write(evaluation: Evaluation, folder: Path, *, failed: bool) -> Written:
    """Write the page, the JSON and the trajectories."""
    for name, path in evaluation.paths.items():
        write_tum(path, folder / f'{name}.tum')
        write_kitti(path, folder / f'{name}.kitti')
    write_json(evaluation, folder / 'evaluation.json')
    return Written(evaluation=evaluation, page=write_page(evaluation, folder), failed=failed)
