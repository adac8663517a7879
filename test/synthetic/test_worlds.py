"""Pairs of the generated world carry its truth, and depend on seed and number only."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dlcv.synthetic.worlds import WorldPairs, WorldPairsConfig, WorldPairsError

CONFIG = WorldPairsConfig(height=60, width=80, length=2)


def test_the_flow_leads_to_the_same_colour() -> None:
    pairs = WorldPairs(CONFIG, 3)
    better = 0
    for index in range(4):
        pair = pairs[index]
        assert pair.first.shape == pair.second.shape == (60, 80, 3)
        x, y = np.meshgrid(np.arange(80), np.arange(60))
        at = (np.stack([x, y], -1) + np.nan_to_num(pair.flow, nan=-99)).astype(np.float32)
        fetched = cv2.remap(pair.second.astype(np.float32), at, None, cv2.INTER_LINEAR)
        seen = ~pair.occluded & np.isfinite(pair.flow).all(-1)
        along = np.abs(fetched - pair.first)[seen].mean()
        still = np.abs(pair.second.astype(np.float32) - pair.first)[seen].mean()
        better += along < still
    assert better >= 3  # where next to nothing moves, noise decides


def test_pairs_of_a_recording_follow_each_other_and_recordings_differ() -> None:
    pairs, again = WorldPairs(CONFIG, 3), WorldPairs(CONFIG, 3)
    first, second, other = (pairs[i] for i in range(3))
    assert np.array_equal(first.second, second.first)
    assert not np.array_equal(second.second, other.first)
    assert first.name != other.name
    assert np.array_equal(again[1].flow, second.flow, equal_nan=True)
    assert np.array_equal(again[1].second, second.second)


def test_impossible_pairs_are_refused() -> None:
    with pytest.raises(WorldPairsError, match='length >= 1'):
        WorldPairsConfig(length=0)
