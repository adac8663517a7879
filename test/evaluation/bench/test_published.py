"""What the model cards say is measured again, with the shipped weights, to the printed digit."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from dlcv.evaluation.bench.report import Table, read_json

MODELS = Path(__file__).parents[3] / 'docs' / 'models'


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize('name', sorted(path.name for path in MODELS.glob('*.json')))
def test_a_part_of_the_published_numbers_is_found_again(name):
    published = read_json(MODELS / name)
    bench = import_module(f'dlcv.evaluation.bench.{published.bench}')
    again = bench.run(bench.Options(sets=(next(iter(bench.SETS)),)), lambda *_: None)
    assert again.environment.files == published.environment.files
    assert again.settings == published.settings
    assert again.tables
    for table in again.tables:
        assert _repeatable(table) == _repeatable(published.table(table.name))
        assert [c.title for c in table.columns] == [
            c.title for c in published.table(table.name).columns
        ]


def _repeatable(table: Table) -> list[list[str]]:
    """Return the printed numbers but for times."""
    kept = [0, *(i for i, c in enumerate(table.columns, start=1) if c.repeatable)]
    return [[cells[i] for i in kept] for cells in table.cells()]
