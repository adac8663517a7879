"""Maxima in place and scale: known tops are found, all else is left out."""

from __future__ import annotations

import numpy as np
import pytest

from dlcv.networks.layers.scale_space import ScaleSpaceError, scale_maxima

SIGMAS = 2 ** np.linspace(0, 1.2, 7)


def bumps(tops, shape=(60, 80), stretch=1.0):
    """Return one map for each scale: parabolas about (x, y, place of the scale, height)."""
    maps = []
    for level, sigma in enumerate(SIGMAS):
        size = tuple(round(n / sigma) for n in shape)
        y, x = ((np.arange(n) + 0.5) * m / n - 0.5 for n, m in zip(size, shape, strict=True))
        total = np.full(size, -9.0)
        for cx, cy, cs, height in tops:
            off = ((x - cx) / stretch) ** 2 + (y[:, None] - cy) ** 2 + 9 * (level - cs) ** 2
            total = np.maximum(total, height - off / 40)
        maps.append(total)
    return maps


def test_a_top_is_found_to_a_part_of_a_pixel_and_of_a_scale():
    found = scale_maxima(bumps([(30.3, 25.2, 2.75, 4.0), (60.2, 40.4, 3.2, 5.0)]), SIGMAS)
    assert found.shape == (2, 5)
    assert found[0, :2] * (80, 60) - 0.5 == pytest.approx([60.2, 40.4], abs=0.35)
    assert found[1, :2] * (80, 60) - 0.5 == pytest.approx([30.3, 25.2], abs=0.35)
    assert np.log2(found[:, 2]) / 0.2 == pytest.approx([3.2, 2.75], abs=0.15)
    assert found[:, 3] == pytest.approx([5.0, 4.0], abs=0.03)
    assert found[:, 4].tolist() == [3, 3]


def test_within_a_map_the_parabola_is_exact():
    maps = [one + 0.0 for one in bumps([(30.3, 25.2, 3, 4.0)])]
    same = [maps[3] - abs(level - 3) for level in range(7)]
    (row,) = scale_maxima(same, SIGMAS)
    assert row[:2] * (80, 60) - 0.5 == pytest.approx([30.3, 25.2], abs=1e-3)
    assert row[2] == pytest.approx(SIGMAS[3])
    assert row[3] == pytest.approx(4.0, abs=1e-4)


def test_only_the_higher_of_two_in_one_window_stays():
    found = scale_maxima(bumps([(30, 25.6, 3, 4.0), (33, 25.6, 3, 4.1)]), SIGMAS, radius=3)
    assert found[:, 3] == pytest.approx([4.1], abs=0.05)


def test_tops_of_the_outermost_scales_are_not_known():
    assert len(scale_maxima(bumps([(30, 25, 0.6, 4.0), (60, 40, 5.9, 4.0)]), SIGMAS)) == 0


def test_edges_are_dropped_where_it_is_wished():
    ridge = bumps([(40, 30, 3, 4.0)], stretch=5.0)
    assert len(scale_maxima(ridge, SIGMAS, edge=10)) == 0
    assert len(scale_maxima(ridge, SIGMAS, edge=0)) == 1


def test_nothing_is_found_where_a_window_meets_what_is_not_known():
    maps = bumps([(30, 25, 3, 4.0)])
    for one in maps:
        one[:, : round(0.5 * one.shape[1])] = -np.inf
    assert len(scale_maxima(maps, SIGMAS)) == 0
    assert len(scale_maxima([np.zeros((9, 9))] * 7, SIGMAS)) == 0


def test_scales_that_do_not_fit_are_refused():
    with pytest.raises(ScaleSpaceError, match='as many scales as maps'):
        scale_maxima([np.zeros((9, 9))], SIGMAS)
