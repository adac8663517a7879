"""What a cluster's worker does, without a cluster."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dlcv.evaluation.matrix import load
from dlcv.evaluation.matrix import worker as module
from dlcv.evaluation.matrix.attempt import Attempt
from dlcv.evaluation.matrix.cell import listing
from dlcv.evaluation.matrix.worker import Errand, Piece, carry_out, pack, put, unpack


@pytest.fixture
def errand(desk) -> Errand:
    (cell,) = load(desk.write({'a': 'ok'})).cells
    sizes = {path: listing(path) for path in cell.inputs}
    return Errand(cell=cell, sizes=sizes, program=desk.program)


def carried_out(errand: Errand, folder: Path) -> Attempt:
    *pieces, attempt = carry_out(errand, lambda piece: piece)
    for piece in pieces:
        put(piece, folder)
    return attempt


def test_files_come_back_in_pieces(errand, tmp_path, monkeypatch):
    monkeypatch.setattr(module, 'PIECE', 30_000)
    assert carried_out(errand, tmp_path / 'back').error == ''
    assert (tmp_path / 'back/page/large.bin').read_bytes() == bytes(100_000)
    assert (tmp_path / 'back/evaluation.json').exists()


def test_files_of_a_failure_come_back_too(errand, desk, tmp_path):
    (desk.folder / 'a.mcap').write_text('fail')
    sizes = {path: listing(path) for path in errand.cell.inputs}
    assert carried_out(replace(errand, sizes=sizes), tmp_path / 'back').error == 'exit code 1'
    assert 'the bag is bad' in (tmp_path / 'back/cell.log').read_text()


def test_a_bag_that_is_not_there_says_so(errand, desk, tmp_path):
    (desk.folder / 'a.mcap').unlink()
    error = carried_out(errand, tmp_path / 'back').error
    assert f'{desk.folder}/a.mcap is not readable here (No such file or directory)' in error
    assert 'ship: true' in error


def test_another_bag_at_the_same_path_says_so(errand, desk, tmp_path):
    (desk.folder / 'a.mcap').write_text('something else')
    assert 'a.mcap is another one here: 14 bytes' in carried_out(errand, tmp_path / 'back').error


def test_another_version_is_refused(errand, tmp_path):
    error = carried_out(replace(errand, version='99'), tmp_path / 'back').error
    assert 'is installed here, 99 was expected' in error


def test_shipped_inputs_need_not_be_there(errand, desk, tmp_path):
    (bag,) = errand.cell.inputs
    shipped = replace(errand, parcels={bag: tuple(pack(bag))})
    bag.unlink()
    assert carried_out(shipped, tmp_path / 'back').error == ''
    assert 'inputs/0/a.mcap' in (tmp_path / 'back/cell.log').read_text()


@pytest.mark.parametrize('piece', [1, 3, 100])
def test_a_folder_is_packed_and_unpacked(tmp_path, monkeypatch, piece):
    monkeypatch.setattr(module, 'PIECE', piece)
    source = tmp_path / 'source'
    (source / 'deep').mkdir(parents=True)
    (source / 'deep/a').write_bytes(b'0123456')
    (source / 'empty').touch()
    pieces = list(pack(source))
    assert max(len(p.data) for p in pieces) <= piece
    unpack(pieces, tmp_path / 'copy')
    assert [(n, s) for n, s, _ in listing(tmp_path / 'copy')] == [('deep/a', 7), ('empty', 0)]


def test_a_file_is_packed_and_unpacked(tmp_path):
    (tmp_path / 'a').write_bytes(b'xyz')
    assert list(pack(tmp_path / 'a')) == [Piece(path='.', data=b'xyz')]
    assert unpack(pack(tmp_path / 'a'), tmp_path / 'b').read_bytes() == b'xyz'
