"""`dlcv bench flow`: which sets and methods there are, and that the tables hold their numbers."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dlcv.data.datasets import DatasetError
from dlcv.evaluation.bench import flow_sets
from dlcv.evaluation.bench.flow import COLUMNS, Options, run
from dlcv.evaluation.bench.flow_methods import classical, networks
from dlcv.evaluation.bench.options import BenchError, BenchOptions, silent
from dlcv.evaluation.bench.report import read_json, write_json
from dlcv.metrics.flow import flow_errors, warp_error
from dlcv.networks.flownet import FlowNet, FlowNetConfig
from dlcv.networks.weights import WeightsError, save_network

SHIFT = (3, -2)
RUNNING = BenchOptions().running


def texture(seed, height=64, width=96):
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 2), None, 0, 255, cv2.NORM_MINMAX)


@pytest.fixture(autouse=True)
def no_pictures_of_the_system(monkeypatch, tmp_path):
    monkeypatch.setattr(flow_sets, '_OPENCV_DOC', tmp_path / 'absent')


@pytest.fixture
def folder(tmp_path):
    """Pairs that move by `SHIFT`, of which some rows are not known, from two places."""
    root = tmp_path / 'mine'
    for i, name in enumerate(('yard_1', 'yard_2', 'hall_1')):
        first = texture(i)
        second = np.roll(first, SHIFT[::-1], axis=(0, 1))
        (root / name).mkdir(parents=True)
        for number, picture in (('1', first), ('2', second)):
            assert cv2.imwrite(str(root / name / f'{number}.png'), picture[..., ::-1])
        flow = np.broadcast_to(np.float32(SHIFT), (64, 96, 2)).copy()
        flow[40:] = np.nan
        np.savez(root / name / 'flow.npz', flow=flow)
    return root


@pytest.fixture
def weights(tmp_path):
    network = FlowNet(FlowNetConfig(width=0.0625))
    return save_network(network, tmp_path / 'tiny.safetensors', trained=True)


def test_the_tables_hold_what_the_metrics_say(folder):
    report = run(Options(data=(folder,), sets=('yard', 'hall')), silent)
    assert [table.name for table in report.tables] == ['yard', 'hall']
    table = report.table('hall')
    assert [row.name for row in table.rows][:3] == ['no motion', 'Farneback', 'DIS']
    (pair,) = flow_sets.find([folder])['hall'].read()
    for method in classical():
        flow = method.flow(pair.first, pair.second)
        errors = flow_errors(flow, pair.flow)
        assert table.value(method.name, 'EPE') == errors.epe.value
        assert table.value(method.name, '0-10') == errors.by_displacement[0].value
        assert table.value(method.name, '10-40') is None
        assert table.value(method.name, 'AE') == errors.angle.value
        assert table.value(method.name, 'Fl-all') == errors.fl_all.value
        warped = warp_error(pair.first, pair.second, flow).warped.value
        assert table.value(method.name, 'warp') == warped
        assert table.value(method.name, 'time') > 0
    assert table.value('no motion', 'EPE') == pytest.approx(13**0.5)
    assert table.value('DIS', 'EPE') < 0.5


def test_pairs_are_averaged_over_pixels(folder):
    report = run(Options(data=(folder,), sets=('yard',)), silent)
    pairs = list(flow_sets.find([folder])['yard'].read())
    dis = classical()[-1]
    errors = [flow_errors(dis.flow(p.first, p.second), p.flow).epe for p in pairs]
    total = sum(e.total for e in errors) / sum(e.count for e in errors)
    assert report.table('yard').value('DIS', 'EPE') == pytest.approx(total, rel=1e-12)
    assert '2 pairs, in which 100 % of the pixels move by less' in report.table('yard').title


def test_a_second_run_gives_the_same_numbers(folder, weights):
    options = Options(data=(folder,), sets=('yard',), weights=(weights,))
    first, again = (run(options, silent).tables[0] for _ in range(2))
    for row, other in zip(first.rows, again.rows, strict=True):
        assert row.values[:-1] == other.values[:-1]  # all but the time


def test_networks_come_with_and_without_refinement(folder, weights, tmp_path):
    report = run(Options(data=(folder,), sets=('hall',), weights=(weights,)), silent)
    table = report.tables[0]
    assert [row.name for row in table.rows[3:]] == ['tiny', 'tiny+v']
    assert table.value('tiny', 'EPE') != table.value('tiny+v', 'EPE')
    assert list(report.environment.files) == ['tiny.safetensors']
    write_json(report, tmp_path / 'report.json')
    assert read_json(tmp_path / 'report.json') == report


def test_weights_are_files_or_names(tmp_path, weights):
    with pytest.raises(WeightsError, match="no flownet weights 'flownet_z'"):
        networks(('flownet_z',), RUNNING)
    copy = tmp_path / 'other' / weights.name
    copy.parent.mkdir()
    copy.write_bytes(weights.read_bytes())
    with pytest.raises(BenchError, match='called tiny; rename'):
        networks((weights, copy), RUNNING)


def test_pictures_without_truth_have_a_warp_error_alone(tmp_path):
    first = texture(5)
    for name, picture in zip(
        ('rubberwhale1.png', 'rubberwhale2.png'), (first, np.roll(first, 2, axis=1)), strict=True
    ):
        assert cv2.imwrite(str(tmp_path / name), picture)
    table = run(Options(data=(tmp_path,), sets=('rubberwhale',)), silent).tables[0]
    assert table.title.endswith('1 pairs, no truth')
    for row in table.rows:
        *errors, warp, _ = row.values
        assert errors == [None] * (len(COLUMNS) - 2)
        assert warp is not None
    assert table.value('DIS', 'warp') < 0.5 * table.value('no motion', 'warp')


def test_a_set_whose_pictures_are_not_here_says_what_it_needs(folder):
    with pytest.raises(BenchError, match=r'rubberwhale needs rubberwhale1\.png and'):
        run(Options(sets=('rubberwhale',)), silent)


def test_unknown_sets_and_folders_are_refused(folder, tmp_path):
    with pytest.raises(
        BenchError, match=r"no set 'sintel'; there are layers, world, .*, hall, yard"
    ):
        run(Options(data=(folder,), sets=('sintel',)), silent)
    with pytest.raises(BenchError, match='already a set hall'):
        run(Options(data=(folder, folder)), silent)
    (tmp_path / 'empty').mkdir()
    with pytest.raises(DatasetError, match='is no flow folder: looked for'):
        run(Options(data=(tmp_path / 'empty',)), silent)


def test_pairs_of_one_place_are_one_set(folder):
    for name in ('hall_1', 'yard_2'):
        for path in (folder / name).iterdir():
            path.unlink()
        (folder / name).rmdir()
    assert list(flow_sets.find([folder])) == ['layers', 'world', 'mine']


def test_a_limit_cuts_every_set(folder, monkeypatch):
    monkeypatch.setattr(flow_sets, 'SIZE', (128, 96))
    steps = []
    report = run(
        Options(data=(folder,), sets=('layers', 'yard'), limit=1), lambda *step: steps.append(step)
    )
    assert steps == [('layers', 0, 1), ('layers', 1, 1), ('yard', 0, 1), ('yard', 1, 1)]
    assert '; 1 pairs' in report.table('layers').title


def test_the_layered_scenes_are_the_same_each_time_and_their_truth_holds(monkeypatch):
    monkeypatch.setattr(flow_sets, 'SIZE', (128, 96))
    layers = flow_sets.find([])['layers']
    assert layers.count == 60
    first, again = (list(layers.cut(2).read()) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.first, other.first)
        np.testing.assert_array_equal(one.flow, other.flow)
        assert one.first.shape == (96, 128, 3)
        explained = warp_error(one.first, one.second, one.flow, ~one.occluded)
        assert explained.warped.value < 0.5 * explained.unwarped.value


@pytest.mark.slow
def test_the_worlds_are_several_and_their_truth_holds(monkeypatch):
    monkeypatch.setattr(flow_sets, 'SIZE', (64, 48))
    monkeypatch.setattr(flow_sets, 'WORLD_TIMES', 2)
    monkeypatch.setattr(flow_sets, 'WORLD_FINEST', 4)  # quick to build, and enough for 64 px
    world = flow_sets.find([])['world']
    assert world.count == 40
    pairs = list(world.cut(3).read())
    places = [pair.name.split('-')[:2] for pair in pairs]  # scene and seed
    assert places[0] == places[1] != places[2]
    for pair in pairs:
        explained = warp_error(pair.first, pair.second, pair.flow, ~pair.occluded)
        assert explained.warped.value < explained.unwarped.value
