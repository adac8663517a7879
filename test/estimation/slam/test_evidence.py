"""What a picture must show, if it was taken from a pose."""

from __future__ import annotations

import numpy as np
import pytest

from dlcv.estimation.slam.evidence import shown
from dlcv.types import Camera

CAMERA = Camera(width=320, height=240, fx=200.0, fy=200.0, cx=159.5, cy=119.5)


@pytest.fixture
def sight():
    """Pixels and looks of 400 landmarks all over the picture."""
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(400, 64)).astype(np.float32)
    codes /= np.linalg.norm(codes, axis=1, keepdims=True)
    return rng.uniform((0, 0), (320, 240), (400, 2)), codes


def asked(marks, codes, xy, descriptors):
    return shown(marks, codes, xy, descriptors, CAMERA, 4.0)


def test_everything_that_is_where_it_must_be_counts_and_what_looks_otherwise_does_not(sight):
    xy, codes = sight
    inside = ((xy > 4) & (xy < (315, 235))).all(1)
    assert asked(xy, codes, xy[inside], codes[inside]) == 1
    assert asked(xy, codes, xy, np.roll(codes, 1, axis=0)) < 0.05
    assert asked(xy, codes, xy + 6.0, codes) < 0.05
    half = np.arange(0, 400, 2)
    assert asked(xy[half], codes[half], xy, codes) > 0.9  # of the fewer, all are there


def test_one_thing_that_is_the_same_is_no_place_and_one_that_was_moved_unmakes_none(sight):
    xy, codes = sight
    thing = (np.abs(xy - (80, 120)) < (80, 60)).all(1)  # a quarter of the picture
    other = np.where(thing[:, None], codes, np.roll(codes, 1, axis=0))
    moved = np.where(thing[:, None], np.roll(codes, 1, axis=0), codes)
    assert asked(xy, codes, xy, other) < 0.1
    assert asked(xy, codes, xy, moved) > 0.9


def test_where_nothing_is_known_nothing_is_shown(sight):
    xy, codes = sight
    assert asked(xy + 400, codes, xy, codes) == 0
    assert asked(xy, codes, xy[:0], codes[:0]) == 0
    assert asked(xy[:5], codes[:5], xy, codes) == 0  # too few to say anything
