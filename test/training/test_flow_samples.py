"""Pairs are mixed, eased and turned round by their numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dlcv.data.augment.flow import FlowAugmentConfig
from dlcv.data.augment.photometric import OFF
from dlcv.training.flow_samples import (
    ChangedPairs,
    Eased,
    FlowSamples,
    Mixed,
    PairArrays,
    backwards,
)
from dlcv.types import FlowPair


class Numbered:
    """Pairs that say their number."""

    def __init__(self, offset: int = 0) -> None:
        self.offset = offset
        self.asked: list[int] = []

    def __getitem__(self, index: int) -> FlowPair:
        self.asked.append(index)
        value = self.offset + index
        return FlowPair(
            first=np.full((4, 5, 3), value, np.uint8),
            second=np.full((4, 5, 3), value + 100, np.uint8),
            flow=np.full((4, 5, 2), value, np.float32),
            backward=np.full((4, 5, 2), -value, np.float32),
            occluded=np.zeros((4, 5), bool),
        )


def test_easy_pairs_come_first() -> None:
    pairs = Eased(Numbered(50), Numbered(), 3)
    assert [int(pairs[i].flow[0, 0, 0]) for i in range(5)] == [50, 51, 52, 3, 4]


def test_every_nth_pair_comes_from_elsewhere() -> None:
    pairs = Mixed(Numbered(), Numbered(50), 3)
    assert [int(pairs[i].flow[0, 0, 0]) for i in range(7)] == [50, 1, 2, 51, 4, 5, 52]


def test_views_of_a_pair_alternate_and_draw_it_once() -> None:
    still = FlowAugmentConfig(geometry=0, mirror=0, upend=0, shared_light=OFF, own_light=OFF)
    pairs = Numbered(1)
    samples = FlowSamples(pairs, still, 4, 0)
    drawn = [samples[i] for i in range(8)]
    assert [int(s['flow'][0, 0, 0]) for s in drawn] == [1, -1, 1, -1, 2, -2, 2, -2]
    assert [int(s['first'][0, 0, 0]) for s in drawn] == [1, 101, 1, 101, 2, 102, 2, 102]
    assert pairs.asked == [0, 1]
    assert drawn[0]['first'].shape == (3, 4, 5)
    assert drawn[0]['flow'].shape == (2, 4, 5)


def test_backwards_exchanges_everything() -> None:
    pair = Numbered(1)[0]
    turned = backwards(pair)
    assert turned.first is pair.second
    assert turned.second is pair.first
    assert turned.flow is pair.backward
    assert turned.backward is pair.flow
    assert turned.occluded is None


def test_pairs_are_kept_as_arrays_and_changed_anew_each_time() -> None:
    still = FlowAugmentConfig(geometry=0, mirror=0, upend=0, shared_light=OFF, own_light=OFF)
    arrays = PairArrays(Numbered(1))
    assert arrays[3]['flow'].dtype == np.float16
    assert arrays[3]['first'].shape == (4, 5, 3)
    samples = ChangedPairs(arrays, still, 0)
    drawn = [samples[i] for i in range(40)]
    forth = 0
    for number, sample in enumerate(drawn, start=1):
        flow = int(sample['flow'][0, 0, 0])
        assert abs(flow) == number
        assert int(sample['first'][0, 0, 0]) == number + (0 if flow > 0 else 100)
        assert int(sample['second'][0, 0, 0]) == number + (100 if flow > 0 else 0)
        forth += flow > 0
    assert 8 < forth < 32
    assert drawn[0]['flow'].shape == (2, 4, 5)
    assert drawn[0]['flow'].dtype == np.float32
    assert np.array_equal(samples[7]['first'], drawn[7]['first'])


def test_a_kept_flow_is_off_by_little() -> None:
    pair = Numbered()[0]
    flow = np.random.default_rng(0).uniform(-64, 64, (4, 5, 2)).astype(np.float32)
    flow[0, 0] = np.nan

    class One:
        def __getitem__(self, index: int) -> FlowPair:
            return replace(pair, flow=flow)

    kept = PairArrays(One())[0]['flow'].astype(np.float32)
    assert np.isnan(kept[0, 0]).all()
    assert np.nanmax(np.abs(kept - flow)) <= 0.03
