"""What light does to a picture moves no patch of it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dlcv.estimation.odometry.fitting import fitted
from dlcv.estimation.odometry.flat import flat

SHIFT = np.array([0.4, -0.3])


@pytest.fixture
def plaster():
    """A wall with hardly any grain, and the same moved by a part of a pixel."""
    grain = cv2.GaussianBlur(np.random.default_rng(0).normal(size=(160, 220)), (0, 0), 2)
    wall = 120 + 5 * grain / grain.std()
    move = np.float32([[1, 0, SHIFT[0]], [0, 1, SHIFT[1]]])
    return wall, cv2.warpAffine(wall, move, (220, 160), flags=cv2.INTER_CUBIC)


def lit(wall, left, right):
    """Its picture under light that goes from left to right."""
    return np.rint((wall * np.linspace(left, right, wall.shape[1])).clip(0, 255)).astype(np.uint8)


@pytest.mark.parametrize('light', [(1.3, 0.9), (1.1, 1.1), (1.0, 1.0)])
def test_patches_move_with_the_wall_and_not_with_the_light(plaster, light):
    spots = np.random.default_rng(1).uniform((20, 20), (200, 140), (150, 2)).astype(np.float32)
    there = (spots + SHIFT).astype(np.float32)
    before, after = lit(plaster[0], 1.0, 1.0), lit(plaster[1], *light)

    def off(first, second):
        found, good = fitted(first, second, spots, there, away=3.0)
        return np.abs((found - there)[good]).mean(), good.mean()

    error, share = off(flat(before), flat(after))
    assert error < 0.08
    assert share > 0.95
    plain, share = off(before, after)
    assert light == (1.0, 1.0) or plain > 3 * error or share < 0.8
