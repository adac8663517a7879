"""Pairs are mixed, eased and turned round by their numbers."""

from __future__ import annotations

import numpy as np

from dlcv.data.augment.flow import FlowAugmentConfig
from dlcv.data.augment.photometric import OFF
from dlcv.training.flow_samples import Eased, FlowSamples, Mixed, backwards
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
