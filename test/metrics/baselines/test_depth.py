"""The mean depth: of which pixels."""

from __future__ import annotations

import numpy as np
import pytest

from dlcv.metrics.baselines.depth import mean_depth


def test_it_is_the_mean_of_all_known_pixels_between_the_caps():
    truths = [np.array(((1.0, np.nan), (3.0, 90.0))), np.array(((8.0, np.inf), (0.0, -np.inf)))]
    assert mean_depth(truths, 0.1, 80) == pytest.approx(4)


def test_there_is_none_of_nothing():
    assert np.isnan(mean_depth([np.full((2, 2), np.nan)], 0.1, 80))
