"""One picture of an evaluation, whatever of it there is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dlcv.evaluation.report.overview import overview
from dlcv.evaluation.scoring.model import Evaluation, Moment, Plot, Section, Series

SIZE = 60, 80
INPUT = np.full((*SIZE, 3), 40, np.uint8)
RED = np.zeros((15, 20, 3), np.uint8) + np.array([200, 0, 0], np.uint8)


def moment(**pictures):
    return Moment(stamp_ns=0, title='0 s', pictures=(('input', INPUT), *pictures.items()))


def evaluation(*samples, paths=()):
    plots = tuple(Plot(title='Path', x='x (m)', y='y (m)', series=p, equal=True) for p in paths)
    section = Section(name='odometry', title='Odometry', metrics=(), plots=plots)
    return Evaluation(
        title='', mode='in-process', facts={}, nodes=(), samples=samples, sections=(section,)
    )


def test_what_is_smaller_is_shown_in_the_size_of_the_input():
    drawn = overview(evaluation(moment(tracks=INPUT, flow=RED)))
    assert drawn.shape == (60, 160, 3)
    assert (drawn[40:, 90:] == (200, 0, 0)).all()


def test_the_moment_with_most_answers_is_shown():
    drawn = overview(
        evaluation(moment(), moment(tracks=INPUT, depth=RED, flow=RED), moment(flow=RED))
    )
    assert drawn.shape == (120, 160, 3)


def test_what_is_tracked_goes_before_matches():
    tracked = overview(evaluation(moment(matches=INPUT, tracks=RED, flow=RED)))
    assert tracked.shape == (60, 160, 3)
    assert (tracked[40:, 20:80] == (200, 0, 0)).all()
    assert overview(evaluation(moment(matches=INPUT))).shape == (60, 80, 3)


@pytest.mark.parametrize('style', ['line', 'points', 'truth'])
def test_the_path_stands_beside_them(style):
    there = Series(name='p', x=np.arange(4.0), y=np.arange(4.0), style=style)
    one = evaluation(moment(tracks=INPUT), paths=[(there,)])
    drawn = overview(one)
    assert drawn.shape == (60, 160, 3)
    assert drawn[:, 80:].max() == 255
    assert overview(replace(one, samples=())).shape == (360, 640, 3)
    below = overview(evaluation(moment(tracks=INPUT, flow=RED), paths=[(there,)]))
    assert below.shape == (120, 160, 3)
    assert (below[60, :] == 255).all()  # in a row of its own it takes all of that


def test_of_nothing_there_is_no_picture():
    assert overview(evaluation()) is None
    assert overview(evaluation(moment())) is None
