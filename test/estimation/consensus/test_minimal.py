"""Minimal sets: how they are drawn, when they are accepted, when drawing stops."""

from __future__ import annotations

import math
import time

import pytest
import torch

from dlcv.estimation.consensus.correspondences import correspondences
from dlcv.estimation.consensus.minimal import draw_distinct, sample_poses
from dlcv.geometry.rotation import transform


def sample(v, **changes):
    numbers = {
        'count': 50,
        'threshold': 10.0,
        'fourths': 4,
        'max_tries': 2000,
        'deadline': math.inf,
        'generator': torch.Generator().manual_seed(0),
    }
    return sample_poses(correspondences(v.coordinates, v.pixels, v.camera), **(numbers | changes))


@pytest.mark.parametrize('population', [4, 5, 40])
def test_the_cells_of_a_set_are_distinct(population):
    drawn = draw_distinct(population, 3000, 2, torch.Generator().manual_seed(0))
    assert drawn.min() == 0
    assert drawn.max() == population - 1
    for fourth in (3, 4):
        cells = drawn[:, [0, 1, 2, fourth]].sort(1).values
        assert (cells.diff(dim=1) > 0).all()


def test_every_cell_is_as_likely_as_any_other_in_every_place():
    drawn = draw_distinct(8, 20_000, 1, torch.Generator().manual_seed(1))
    for column in drawn.T:
        share = column.bincount(minlength=8) / len(column)
        assert (share - 1 / 8).abs().max() < 0.015  # five deviations


def test_all_four_cells_of_an_accepted_set_reproject_within_the_threshold(view):
    v = view(0, size=500, outliers=0.5, noise=2.0)
    found = sample(v, threshold=6.0)
    seen = transform(found.camera_from_world, v.coordinates[found.cells])
    focal = v.pixels.new_tensor((v.camera.fx, v.camera.fy))
    centre = v.pixels.new_tensor((v.camera.cx, v.camera.cy))
    error = seen[..., :2] / seen[..., 2:] * focal + centre - v.pixels[found.cells]
    assert len(found.cells) == 50
    assert error[:, :3].norm(dim=-1).max() < 1e-5  # P3P is exact
    assert error[:, 3].norm(dim=-1).max() < 6.0


def test_more_fourth_cells_find_more_sets_in_as_many_tries(view):
    v = view(1, size=500, outliers=0.7)
    one, eight = (len(sample(v, count=10_000, fourths=fourths).cells) for fourths in (1, 8))
    assert eight > 1.5 * one > 0


def test_unusable_cells_are_never_drawn(view):
    v = view(2, size=40)
    v.coordinates[::2] = torch.nan
    assert (sample(v).cells % 2 == 1).all()


def test_the_same_seed_draws_the_same_and_another_does_not(view):
    v = view(3, size=200, outliers=0.5)
    one, same = sample(v), sample(v)
    other = sample(v, generator=torch.Generator().manual_seed(7))
    assert torch.equal(one.camera_from_world, same.camera_from_world)
    assert torch.equal(one.cells, same.cells)
    assert not torch.equal(one.cells, other.cells)


def test_drawing_stops_when_there_is_enough(view):
    found = sample(view(4, size=200))
    assert (len(found.cells), found.stopped_by) == (50, 'enough')
    assert found.tries < 2000


@pytest.mark.parametrize('max_tries', [1, 63, 3000])
def test_drawing_stops_at_the_most_tries(view, max_tries):
    found = sample(view(5, size=200, outliers=1.0), max_tries=max_tries, threshold=0.01)
    assert (found.tries, found.stopped_by) == (max_tries, 'tries')


def test_drawing_stops_after_one_round_when_time_is_up(view):
    v = view(6, size=200, outliers=1.0)
    found = sample(v, max_tries=10**9, threshold=0.01, deadline=time.monotonic() - 1)
    assert found.stopped_by == 'time'
    assert 0 < found.tries < 10**4
