"""The log of a replay: what is written comes back, what is cut short is left out."""

from __future__ import annotations

import pytest

from dlcv.evaluation.replay.log import FrameLog, Handled, ReplayLogError, read_log
from dlcv.interface.handled import Outcome

LINES = [
    Handled('superpoint', 17, Outcome('processed', 12.25, ('~/keypoints', 'depth/image_rect'))),
    Handled('flownet', 17, Outcome('processed', 0.5)),
    Handled('flownet', 18, Outcome('rejected_order'), 3.125),
]


def test_what_is_written_is_read(tmp_path):
    with FrameLog(tmp_path / 'log') as log:
        for line in LINES:
            log.add(line)
    assert list(read_log(tmp_path / 'log')) == LINES


def test_a_line_is_on_the_disk_as_soon_as_it_is_added(tmp_path):
    with FrameLog(tmp_path / 'log') as log:
        log.add(LINES[0])
        assert list(read_log(tmp_path / 'log')) == LINES[:1]


def test_a_log_cut_anywhere_gives_its_whole_lines(tmp_path):
    path = tmp_path / 'log'
    with FrameLog(path) as log:
        for line in LINES:
            log.add(line)
    whole = path.read_bytes()
    for size in range(len(whole) + 1):
        path.write_bytes(whole[:size])
        assert list(read_log(path)) == LINES[: whole[:size].count(b'\n')]


@pytest.mark.parametrize(
    'line', ['nonsense', '{}', '[]', '{"node": "a", "stamp_ns": 1, "outcome": "two words"}']
)
def test_a_wrong_line_is_named(tmp_path, line):
    (tmp_path / 'log').write_text(f'{line}\n')
    with pytest.raises(ReplayLogError, match=r'log: line 1: '):
        list(read_log(tmp_path / 'log'))


def test_a_log_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ReplayLogError, match=r'nope: No such file'):
        list(read_log(tmp_path / 'nope'))
