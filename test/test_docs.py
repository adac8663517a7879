"""Documents are user interface: their tables are the code's, their commands and links exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dlcv.cli.main import COMMANDS
from dlcv.interface import tables
from dlcv.interface.nodes import NODES
from dlcv.interface.parameters import describe

ROOT = Path(__file__).parent.parent
README = (ROOT / 'README.md').read_text()
REFERENCE = (ROOT / 'docs' / 'reference.md').read_text()
FOLDERS = (ROOT, ROOT / 'docs', ROOT / 'docs/models', ROOT / 'docs/decisions', ROOT / 'docker')
DOCUMENTS = [path for folder in FOLDERS for path in sorted(folder.glob('*.md'))]
PROSE = {'itself', 'for', 'on', 'is', 'has', 'was', 'and', 'at'}  # what follows our name


def test_tables_are_those_of_the_code():
    assert tables.insert(REFERENCE) == REFERENCE, 'run `make docs`'


def test_every_parameter_topic_and_service_is_named():
    for spec in NODES.values():
        names = [p.name for p in describe(spec.parameters)]
        names += [t.name for t in (*spec.inputs, *spec.outputs)] + [s.name for s in spec.services]
        missing = [name for name in names if f'`{name}`' not in REFERENCE]
        assert missing == [], spec.name


def test_a_document_without_marks_is_refused():
    with pytest.raises(ValueError, match='no place for the tables'):
        tables.insert('# nothing')


def test_the_front_door_is_short_and_its_picture_small():
    assert len(README.splitlines()) <= 200
    assert (ROOT / 'docs' / 'overview.png').stat().st_size < 300_000


@pytest.mark.parametrize('path', DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_and_links_exist(path):
    text = path.read_text()
    used = set(re.findall(r'\bdlcv ([a-z]+)\b(?! DIR)', text.replace('`dlcv`', '')))
    assert used - PROSE <= set(COMMANDS), used - PROSE - set(COMMANDS)
    links = [link for link in re.findall(r'\]\(([^)#]+)\)', text) if '://' not in link]
    links += [link.partition('#')[0] for link in re.findall(r'\]\(([^)]+#[^)]*)\)', text)]
    assert [link for link in links if link and not (path.parent / link).exists()] == []


def test_every_page_is_on_the_map():
    index = (ROOT / 'docs' / 'README.md').read_text()
    pages = [p for p in DOCUMENTS if p.parent.name in ('docs', 'models') and p.name != 'README.md']
    assert [p.name for p in pages if f'{p.name})' not in index] == []


@pytest.mark.parametrize('target', ['demo', 'test', 'setup', 'docs', 'bench'])
def test_make_targets_in_the_text_exist(target):
    assert re.search(rf'^{target}:', (ROOT / 'Makefile').read_text(), re.MULTILINE)
