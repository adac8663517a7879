"""Plots: round ticks, known places, gaps, and no peak lost."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcv.evaluation.report.plots import (
    SIZE,
    Axis,
    axis_of,
    draw,
    path_of,
    round_step,
    thinned,
    ticks,
)
from dlcv.evaluation.scoring.model import Plot, Series

UNIT = Axis(low=0.0, high=1.0)
NAN = float('nan')


def series(x, y, style='line', name='one'):
    return Series(name=name, x=np.array(x, float), y=np.array(y, float), style=style)


def plot(*all_series, equal=False):
    return Plot(title='errors', x='time (s)', y='error (m)', series=all_series, equal=equal)


def points(path):
    return [(float(u), float(v)) for u, v in re.findall(r'[ML](-?[\d.]+) (-?[\d.]+)', path)]


def test_a_line_goes_from_corner_to_corner_with_y_upwards():
    path = path_of(series([0, 0.5, 1], [0, 0.5, 1]), UNIT, UNIT)
    assert path == 'M0.0 10000.0L5000.0 5000.0L10000.0 0.0'


@pytest.mark.parametrize('gap', [NAN, float('inf'), -float('inf')])
def test_what_is_not_finite_is_a_gap(gap):
    path = path_of(series([0, 0.25, 0.5, 0.75, 1], [0, 0, gap, 1, 1]), UNIT, UNIT)
    assert path == 'M0.0 10000.0L2500.0 10000.0M7500.0 0.0L10000.0 0.0'


def test_a_point_between_gaps_is_a_dot():
    path = path_of(series([0, 0.5, 1], [NAN, 0.5, NAN]), UNIT, UNIT)
    assert path == 'M5000.0 5000.0h0'


def test_points_are_dots_and_have_no_gaps_to_draw():
    path = path_of(series([0, 0.5, 1], [0, NAN, 1], style='points'), UNIT, UNIT)
    assert path == 'M0.0 10000.0h0M10000.0 0.0h0'


@pytest.mark.parametrize(
    ('x', 'y'),
    [([], []), ([NAN], [1]), ([1, 2], [NAN, NAN])],
)
def test_nothing_is_said_to_be_nothing(x, y):
    drawing = draw(plot(series(x, y)))
    assert drawing.empty
    assert drawing.description.endswith('one: nothing.')


def test_a_plot_without_series_is_empty():
    assert draw(plot()).empty


@pytest.mark.parametrize('value', [0.0, 3.0, -2e9, 1e-12])
@pytest.mark.parametrize('equal', [False, True])
def test_one_point_is_in_the_middle_and_has_ticks_beside_it(value, equal):
    drawing = draw(plot(series([value], [value]), equal=equal))
    assert points(drawing.lines[0].path) == [(SIZE / 2, SIZE / 2)]
    assert len(drawing.x_ticks) >= 2
    assert len(drawing.y_ticks) >= 2


def test_errors_begin_at_zero_and_offsets_do_not():
    assert axis_of([np.array([0.1, 1.0])], from_zero=True).low == 0
    assert axis_of([np.array([9.0, 10.0])], from_zero=True).low > 8
    assert axis_of([np.array([-0.1, 1.0])], from_zero=True).low < -0.1


def test_equal_axes_have_one_scale_and_hold_everything():
    drawing = draw(plot(series([0, 100], [0, 1]), equal=True))
    assert drawing.aspect is not None
    assert drawing.x.span / drawing.y.span == pytest.approx(drawing.aspect)
    assert all(0 <= u <= SIZE and 0 <= v <= SIZE for u, v in points(drawing.lines[0].path))


def test_ticks_are_round_numbers_in_their_places():
    found = ticks(Axis(low=-0.1, high=1.1), 5)
    assert [t.text for t in found] == ['0.0', '0.5', '1.0']
    assert [t.place for t in found] == pytest.approx([100 / 12, 50, 1100 / 12])


def test_ticks_below_zero_have_a_true_minus():
    assert ticks(Axis(low=-25, high=5), 3)[0].text == '\N{MINUS SIGN}20'


@given(st.floats(-1e9, 1e9), st.floats(1e-3, 1e9), st.integers(2, 10))
def test_ticks_lie_inside_and_are_neither_few_nor_many(low, span, count):
    found = ticks(Axis(low=low, high=low + span), count)
    assert count / 2.5 - 1 <= len(found) <= count + 1
    assert all(-1e-3 <= tick.place <= 100 + 1e-3 for tick in found)


@given(st.floats(1e-12, 1e12))
def test_a_step_is_one_two_or_five_and_the_least_such(least):
    step = round_step(least)
    assert least * (1 - 1e-6) <= step <= 2.5 * least * (1 + 1e-6)
    assert f'{step:e}'.startswith(('1.000', '2.000', '5.000'))


def test_few_points_all_stay():
    assert thinned(np.arange(10.0), np.zeros(10), buckets=2) == list(range(10))


def test_many_points_lose_no_peak():
    y = np.zeros(50_000)
    y[[12_345, 33_333]] = 7, -7
    kept = thinned(np.arange(50_000.0), y)
    assert {0, 12_345, 33_333, 49_999} <= set(kept)
    assert len(kept) < 3500
    assert kept == sorted(kept)


def test_many_points_keep_their_gap():
    y = np.ones(50_000)
    y[20_000:20_010] = NAN
    drawing = draw(plot(series(np.arange(50_000), y)))
    assert drawing.lines[0].path.count('M') == 2


def test_a_thinned_path_keeps_its_shape():
    angles = np.linspace(0, 6 * np.pi, 20_000)
    x, y = angles * np.cos(angles), angles * np.sin(angles)
    kept = thinned(x, y)
    chords = np.hypot(np.diff(x[kept]), np.diff(y[kept])).sum()
    assert len(kept) < 3000
    assert chords == pytest.approx(np.hypot(np.diff(x), np.diff(y)).sum(), rel=1e-3)


def test_the_truth_is_drawn_first_in_a_colour_of_its_own():
    drawing = draw(
        plot(
            series([0], [1], name='a'),
            series([0], [1], 'truth', name='true'),
            *(series([0], [1], name=n) for n in 'bcdefg'),
        )
    )
    assert [line.name for line in drawing.lines] == ['true', *'abcdefg']
    assert [line.color for line in drawing.lines] == [0, 1, 2, 3, 4, 5, 6, 1]


def test_the_description_says_what_there_is():
    drawing = draw(plot(series([0, 1, 2], [3, NAN, 5.25], name='deepvo')))
    assert drawing.description == 'error (m) over time (s). deepvo: 2 points, 3 to 5.25.'
