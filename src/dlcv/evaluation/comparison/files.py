"""Compare evaluations that lie in files: what ``dlcv evaluate --compare`` runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from dlcv import __version__
from dlcv.evaluation.comparison.bootstrap import DEFAULTS, Bootstrap
from dlcv.evaluation.comparison.compare import Comparison, ComparisonError, compare
from dlcv.evaluation.comparison.text import markdown, print_comparison
from dlcv.evaluation.comparison.thresholds import Checked, check, read_thresholds
from dlcv.evaluation.scoring.files import read_json
from dlcv.files import write_whole

if TYPE_CHECKING:
    from rich.console import Console

SCHEMA = 'dlcv-comparison/1'
"""Of the JSON; raised when a reader of the old one would misread the new one."""


def run_compare(
    paths: Sequence[Path],
    thresholds: Path | None,
    out: Path | None,
    console: Console,
    how: Bootstrap = DEFAULTS,
) -> int:
    """Compare files with the first of them, and check limits.

    Args:
        paths: What `files.write_json` wrote: the baseline, then the others. A single one is shown
            and checked by itself.
        thresholds: File of limits.
        out: Folder for ``comparison.json`` and ``comparison.md``; made where there is none.
        console: Where the tables are shown.
        how: How intervals are made.

    Returns:
        1 where a limit is violated, else 0.

    Raises:
        EvaluationError: A file cannot be read.
        ThresholdError: The limits cannot be read, or name what nobody knows.
        ComparisonError: There is no file.
    """
    if not paths:
        raise ComparisonError('expected evaluations to compare, got none')
    limits = read_thresholds(thresholds) if thresholds else None  # before the work, not after
    evaluations = [read_json(path) for path in paths]
    baseline = evaluations[0] if len(evaluations) > 1 else None
    others = evaluations[1:] or evaluations
    comparison = compare(baseline, others, labels=labels(paths), how=how)
    checked = check(limits, comparison) if limits else None
    if out is not None:
        write_comparison(comparison, checked, out)
    print_comparison(comparison, checked, console)
    return 1 if checked and checked.violations else 0


def write_comparison(comparison: Comparison, checked: Checked | None, folder: Path) -> None:
    """Write ``comparison.json`` and ``comparison.md`` into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    data = {
        'schema': SCHEMA,
        'dlcv': __version__,
        **asdict(comparison),
        'limits': None if checked is None else asdict(checked),
    }
    text = json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False)
    write_whole(folder / 'comparison.json', text + '\n')
    write_whole(folder / 'comparison.md', markdown(comparison, checked))


def labels(paths: Sequence[Path]) -> list[str]:
    """Return short names of files: what tells them apart of name, folder and path."""
    ways: tuple[Callable[[Path], str], ...] = (lambda p: p.stem, lambda p: p.resolve().parent.name)
    for way in ways:
        names = [way(path) for path in paths]
        if len(set(names)) == len(names):
            return names
    return [str(path) for path in paths]
