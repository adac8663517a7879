"""A cell's command, and when it must be run again."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from dlcv.evaluation.matrix import Cell
from dlcv.evaluation.matrix import cell as module
from dlcv.evaluation.matrix.cell import listing


@pytest.fixture
def cell(tmp_path: Path) -> Cell:
    bag = tmp_path / 'bag'
    bag.mkdir()
    (bag / 'metadata.yaml').write_text('m')
    (bag / 'bag_0.mcap').write_text('data')
    weights = tmp_path / 'w.safetensors'
    weights.touch()
    return Cell(
        bag='walk',
        configuration='mine',
        arguments=(bag, '--mode', 'lock-step'),
        parameters={'/**/flownet': {'weights': weights, 'output_stride': 2}, '/**': {}},
    )


def test_inputs_are_told_from_where_they_are(cell, tmp_path):
    bag, weights = cell.inputs
    there = {bag: Path('/there/bag'), weights: Path('/there/w')}
    assert cell.command(tmp_path, there) == (
        *('/there/bag', '--mode', 'lock-step'),
        *('--params', str(tmp_path / 'parameters.yaml'), '-o', str(tmp_path)),
    )
    assert "weights: '/there/w'" in cell.parameter_file(there)
    assert str(weights) in cell.parameter_file({})


def test_the_same_cell_has_the_same_fingerprint_whatever_it_is_called(cell):
    again = replace(cell, bag='other', configuration='other')
    assert again.fingerprint(listing) == cell.fingerprint(listing)


def _touched(path: Path) -> None:
    os.utime(path, ns=(1, 1))


@pytest.mark.parametrize('name', ['bag/bag_0.mcap', 'bag/metadata.yaml', 'w.safetensors'])
def test_a_changed_file_changes_the_fingerprint(cell, tmp_path, name):
    before = cell.fingerprint(listing)
    _touched(tmp_path / name)
    assert cell.fingerprint(listing) != before


@pytest.mark.parametrize(
    'change',
    [
        {'arguments': ('--mode', 'in-process')},
        {'parameters': {'/**/flownet': {'output_stride': 4}}},
    ],
)
def test_another_definition_changes_the_fingerprint(cell, change):
    bag = cell.inputs[0]
    if 'arguments' in change:
        change = {'arguments': (bag, *change['arguments'])}
    assert replace(cell, **change).fingerprint(listing) != cell.fingerprint(listing)


def test_another_version_changes_the_fingerprint(cell, monkeypatch):
    before = cell.fingerprint(listing)
    monkeypatch.setattr(module, '__version__', '99')
    assert cell.fingerprint(listing) != before
