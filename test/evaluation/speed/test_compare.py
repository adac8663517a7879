"""Reports of speed beside each other, and how they are made."""

from __future__ import annotations

import numpy as np
import pytest

from dlcv.cli.main import main
from dlcv.evaluation.bench.options import BenchError
from dlcv.evaluation.bench.report import Report, Row, Table, environment, read_json
from dlcv.evaluation.speed.compare import compare
from dlcv.evaluation.speed.film import Film
from dlcv.evaluation.speed.run import SpeedOptions, measure_alone
from dlcv.evaluation.speed.timing import Spent, alternate, middle, ratio
from dlcv.evaluation.speed.worker import Worker, WorkerJob
from dlcv.metrics.quantity import Quantity
from dlcv.types import Camera

COLUMNS = (
    Quantity(name='latency', unit='ms', better='low'),
    Quantity(name='peak', unit='Hz', better='high'),
    Quantity(name='goal'),
)


def report(**rows):
    table = Table(
        name='nodes',
        title='Nodes',
        columns=COLUMNS,
        rows=tuple(Row(name=name, values=values) for name, values in rows.items()),
    )
    return Report(bench='speed', tables=(table,), settings={}, environment=environment())


def test_compare_tells_what_is_worse_whichever_way_is_better():
    old = report(a=(100.0, 10.0, 1.0), b=(50.0, None, 1.0))
    new = report(a=(150.0, 5.0, 1.0), b=(25.0, 7.0, 1.0), c=(1.0, 1.0, 1.0))
    (table,), changes = compare(new, old)
    assert [row.name for row in table.rows] == ['a', 'b']
    assert table.value('a', 'latency') == 1.5
    assert table.value('a', 'peak') == 0.5
    assert table.value('b', 'peak') is None
    assert {(c.row, c.column): c.worse for c in changes} == {
        ('a', 'latency'): 1.5,
        ('a', 'peak'): 2.0,
        ('b', 'latency'): 0.5,
    }
    with pytest.raises(BenchError, match='nothing to compare'):
        compare(new, report(d=(1.0, 1.0, 1.0)))


def test_runs_take_turns_and_ratios_are_of_rounds():
    order, speeds = [], {'ours': iter([9, 1, 2, 4]), 'plain': iter([9, 10, 10, 10])}

    def run(name):
        order.append(name)
        took = next(speeds[name])
        return Spent(wall_ms=float(took), cpu_ms=2.0 * took)

    taken = alternate({name: (lambda name=name: run(name)) for name in speeds}, 3)
    assert order == ['plain', 'ours', 'ours', 'plain'] * 2
    assert middle(taken['ours']) == 2.0
    assert ratio(taken['plain'], taken['ours']) == 5.0
    assert ratio(taken['plain'], taken['ours'], 'cpu_ms') == 5.0


def test_film_goes_to_and_fro_and_through_a_file(tmp_path):
    pictures = np.arange(3, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 6, 3), np.uint8)
    camera = Camera(width=6, height=4, fx=5.0, fy=5.0, cx=2.5, cy=1.5)
    film = Film.load(Film(pictures=pictures, camera=camera).save(tmp_path / 'film.npz'))
    assert film.camera == camera
    assert film.size == (6, 4)
    assert [film.picture(i)[0, 0, 0] for i in range(6)] == [0, 1, 2, 1, 0, 1]
    with pytest.raises(BenchError, match='2 pictures or more, got 1'):
        Film(pictures=pictures[:1], camera=camera)


def test_command_prints_writes_and_compares(tmp_path, capsys, monkeypatch):
    pictures = np.zeros((2, 4, 6, 3), np.uint8)
    film = Film(pictures=pictures, camera=Camera(width=6, height=4, fx=5, fy=5, cx=2, cy=1))
    tables = {10.0: report(a=(10.0, 1.0, 1.0)).tables, 20.0: report(a=(20.0, 1.0, 1.0)).tables}
    monkeypatch.setattr('dlcv.evaluation.speed.run.generated', lambda *size: film)
    path = tmp_path / 'speed.json'
    for took, more, code in (
        (10.0, ['-o', str(path)], 0),
        (20.0, ['--compare', str(path), '--fail-above', '2.1'], 0),
        (20.0, ['--compare', str(path), '--fail-above', '1.9'], 1),
    ):
        found = tables[took]
        monkeypatch.setattr(
            'dlcv.evaluation.speed.run.measure_alone', lambda *_args, found=found: list(found)
        )
        assert main(['benchmark', '--bare', *more]) == code
    said = capsys.readouterr()
    assert read_json(path).tables == tables[10.0]
    assert 'nodes, a, latency: 2.00 times as bad as before' in said.err
    assert '2.00' in said.out


@pytest.mark.slow
def test_estimator_beside_its_network_in_a_process_of_its_own(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (2, 96, 128, 3), np.uint8)
    camera = Camera(width=128, height=96, fx=100.0, fy=100.0, cx=63.5, cy=47.5)
    film = Film(pictures=noise, camera=camera)
    options = SpeedOptions(subjects=('superpoint',), rounds=1)
    bare, plain = measure_alone(options, film, ('bare', 'plain'))
    assert bare.value('superpoint', 'estimator') > 0
    assert 0 < bare.value('superpoint', 'memory') < 2000
    assert plain.value('superpoint', 'ratio') > 0
    with pytest.raises(BenchError, match=r'its process ended: .*no plain program'):
        Worker(WorkerJob(subject='dsac', film=str(film.save(tmp_path / 'f.npz')), plain=True))


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (['--bare', '--fail-above', '2'], 'needs --compare'),
        (['--bare', '--size', 'big'], "WIDTHxHEIGHT, such as 640x480, got 'big'"),
        (['--bare', '--networks', 'orb'], "no network 'orb'; there are superpoint"),
        (['--bare', '--rounds', '0'], 'at least 1, got 0'),
        (['--bare', '--compare', 'nowhere.json'], 'nowhere.json'),
    ],
)
def test_command_refuses_before_it_measures(arguments, words, capsys):
    assert main(['benchmark', *arguments]) == 2
    assert words in capsys.readouterr().err


def test_options_name_what_there_is():
    assert SpeedOptions().subjects[0] == 'superpoint'
    with pytest.raises(BenchError, match='there are superpoint, flownet_s'):
        SpeedOptions(subjects=('sift',))
