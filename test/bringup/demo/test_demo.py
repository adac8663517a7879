"""The demo end to end, small: running nodes, a recording, a page; and what a failure says."""

from __future__ import annotations

import sys

import pytest

from dlcv.cli.main import main
from dlcv.interface.nodes import NODES


@pytest.fixture
def options(tmp_path):
    from dlcv.bringup.demo import DemoOptions

    return DemoOptions(out=tmp_path, scene='room', seed=1, frames=8, speed=0.2, size=(160, 96))


@pytest.mark.ros
@pytest.mark.usefixtures('domain')
def test_every_node_answers_and_is_compared_with_the_truth(options):
    from dlcv.bringup.demo import run_demo

    told = []
    written = run_demo(options, told.append)
    found = written.evaluation
    assert not written.failed
    assert [node.name for node in found.nodes] == options.nodes
    others = (
        'netvlad',
        'slam',
        'stereo',
        'localization',
        'caption',
        'dsac',
    )  # no map of this room is known
    assert options.nodes == [name for name in NODES if name not in others]
    assert [node.name for node in found.nodes if not node.answered or not node.age_ms] == []
    assert [node.name for node in found.nodes if not node.trained] == []
    for section, metric in (
        ('odometry', 'ATE (SE3)'),
        ('odometry_deepvo', 'ATE (SE3)'),
        ('depth', 'Abs Rel'),
        ('flow', 'EPE'),
        ('features', 'repeatability'),
    ):
        assert found.metric(section, metric).value is not None
    assert written.page == options.out / 'index.html'
    assert written.page.is_file()
    assert any('dsac is left out' in line for line in told)
    assert any('showing them 4 s' in line for line in told)


@pytest.mark.slow
@pytest.mark.ros
@pytest.mark.usefixtures('domain')
def test_the_shipped_map_knows_the_room_that_is_shown(tmp_path):
    from dlcv.bringup.demo import DemoOptions, run_demo

    options = DemoOptions(out=tmp_path, frames=8)
    found = run_demo(options, lambda _: None).evaluation
    late = [node.name for node in found.nodes if node.outcomes != {'processed': 8}]
    assert late == []  # nothing is dropped, however slow the machine
    assert found.metric('odometry', 'ATE (SE3)').value < 0.05
    others = ('netvlad', 'slam', 'stereo')
    assert options.nodes == [name for name in NODES if name not in others]
    assert found.metric('relocalization', 'answered').value > 50
    assert found.metric('relocalization', 'median distance').value < 0.25
    assert [node.name for node in found.nodes if not node.trained] == []


def test_a_failure_shows_the_end_of_the_nodes_log(options, monkeypatch):
    from dlcv.bringup.demo import DemoError, run_demo

    monkeypatch.setattr(sys, 'executable', '/bin/false')
    with pytest.raises(DemoError, match=r'(?s)no node answered.*ends with.*exit code 1'):
        run_demo(options, lambda _: None)


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
