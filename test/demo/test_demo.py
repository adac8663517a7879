"""The demo end to end, small: five processes, a recording, a page; and what a failure says."""

from __future__ import annotations

import sys

import pytest

from dlcv.cli.main import main
from dlcv.contract.nodes import NODES
from dlcv.weights import shipped


@pytest.fixture
def options(tmp_path, domain):
    from dlcv.demo import DemoOptions

    return DemoOptions(
        out=tmp_path, scene='room', seed=1, frames=8, rate_hz=2.0, size=(160, 96), domain=domain
    )


@pytest.mark.ros
def test_every_node_answers_and_those_without_weights_are_called_untrained(options):
    from dlcv.demo import run_demo

    told = []
    summary, page = run_demo(options, told.append)
    assert [node.name for node in summary.nodes] == options.nodes == list(NODES)[:4]
    assert [node.name for node in summary.nodes if not node.answered] == []
    assert summary.untrained == [name for name in options.nodes if shipped(name) is None]
    assert summary.truth is not None
    assert summary.estimate is not None
    assert all({name for name, _ in s.pictures} >= {'input'} for s in summary.samples)
    assert ('Untrained networks' in page.read_text()) == bool(summary.untrained)
    assert any('dsac is left out' in line for line in told)
    assert any('playing 4 s' in line for line in told)


@pytest.mark.ros
def test_the_shipped_map_knows_the_room_that_is_shown(tmp_path, domain):
    from dlcv.demo import DemoOptions, run_demo

    options = DemoOptions(out=tmp_path, frames=8, rate_hz=2.0, domain=domain)
    summary, _ = run_demo(options, lambda _: None)
    assert [node.name for node in summary.nodes if not node.answered] == []
    assert options.nodes == list(NODES)
    assert summary.poses > 4
    assert summary.relocalization_error < 0.25
    assert 'dsac' not in summary.untrained


def test_a_failure_shows_the_end_of_the_nodes_log(options, monkeypatch):
    from dlcv.demo import DemoError, run

    monkeypatch.setattr(sys, 'executable', '/bin/false')
    with pytest.raises(DemoError, match='exit code 1'):
        run.run_demo(options, lambda _: None)


@pytest.mark.parametrize(
    ('option', 'value', 'message'),
    [
        ('--frames', '1', 'a walk has 2 pictures or more, not 1'),
        ('--rate', '0', 'rate_hz must be positive and finite, got 0.0'),
        ('--speed', 'nan', 'speed must be positive and finite, got nan'),
    ],
)
def test_what_cannot_be_shown_is_said(tmp_path, capsys, option, value, message):
    assert main(['demo', '-o', str(tmp_path / 'demo'), option, value]) == 2
    assert capsys.readouterr().err == f'dlcv demo: {message}\n'
    assert not (tmp_path / 'demo').exists()
