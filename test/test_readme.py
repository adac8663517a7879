"""The README is user interface: its tables are the code's, its commands exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dlcv.cli.main import COMMANDS
from dlcv.interface import tables
from dlcv.interface.nodes import NODES

ROOT = Path(__file__).parent.parent
README = (ROOT / 'README.md').read_text()


def test_tables_are_those_of_the_code():
    assert tables.insert(README) == README, 'run `make docs`'


def test_every_parameter_topic_and_service_is_named():
    from dlcv.interface.parameters import describe

    for spec in NODES.values():
        names = [p.name for p in describe(spec.parameters)]
        names += [t.name for t in (*spec.inputs, *spec.outputs)] + [s.name for s in spec.services]
        missing = [name for name in names if f'`{name}`' not in README]
        assert missing == [], spec.name


def test_a_document_without_marks_is_refused():
    with pytest.raises(ValueError, match='no place for the tables'):
        tables.insert('# nothing')


def test_commands_in_the_text_exist():
    used = set(re.findall(r'\bdlcv ([a-z]+)\b(?! DIR)', README.replace('`dlcv`', '')))
    prose = {'itself', 'for'}
    assert used - prose <= set(COMMANDS), used


@pytest.mark.parametrize('target', ['demo', 'test', 'setup', 'docs', 'bench'])
def test_make_targets_in_the_text_exist(target):
    assert re.search(rf'^{target}:', (ROOT / 'Makefile').read_text(), re.MULTILINE)


def test_linked_files_exist():
    links = re.findall(r'\]\(([^)#]+)\)', README)
    assert [
        link for link in links if not link.startswith('http') and not (ROOT / link).exists()
    ] == []
