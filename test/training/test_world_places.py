"""Places of generated worlds: what is said to correspond does, hidden things are left out."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dlcv.data.augment.photometric import OFF
from dlcv.training.pairs import PairConfig
from dlcv.training.world_places import GreyPairs, WorldPlaces
from dlcv.types import FlowPair

SIZE = (64, 80)
SHIFT = np.float32((6, -3))


class Moved:
    """A texture that moves by SHIFT, a fifth of which something hides; flow of the top unknown."""

    def __getitem__(self, index: int) -> FlowPair:
        rng = np.random.default_rng(index)
        noise = cv2.GaussianBlur(rng.uniform(0, 255, (*SIZE, 3)), (0, 0), 1.5)
        first = cv2.normalize(noise, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
        second = np.roll(first, (int(SHIFT[1]), int(SHIFT[0])), (0, 1))
        hidden = np.zeros(SIZE, bool)
        hidden[:, :16] = True
        flow = np.tile(SHIFT, (*SIZE, 1))
        flow[:10] = np.nan
        return FlowPair(first=first, second=second, flow=flow, backward=-flow, occluded=hidden)


def places(**changes: object) -> WorldPlaces:
    settings = {'size': SIZE, 'points': 40, 'photometric': OFF, 'jitter': 0.0, **changes}
    return WorldPlaces(GreyPairs(Moved()), PairConfig(**settings), seed=1)


def test_a_pair_follows_from_its_number() -> None:
    one, same, other = (places()[i] for i in (3, 3, 4))
    assert all(np.array_equal(one[name], same[name]) for name in one)
    assert np.any(one['first'] != other['first'])
    assert {name: (v.shape, v.dtype) for name, v in one.items()} == {
        name: (v.shape, v.dtype) for name, v in other.items()
    }


@pytest.mark.parametrize('wide', [0.0, 1.0])
@pytest.mark.parametrize('index', range(4))
def test_places_look_alike_and_are_shown_by_both(index: int, wide: float) -> None:
    sample = places(wide=wide, wide_zoom=1.5)[index]
    seen = sample['seen']
    assert seen.sum() > 10
    xy = sample['first_xy'][seen]
    assert np.all(xy[:, 0] >= 16)
    assert np.all(xy[:, 1] >= 10)
    if not wide:
        assert np.allclose(sample['second_xy'][seen] - xy, SHIFT)
    grey = []
    for name in ('first', 'second'):
        x, y = sample[f'{name}_xy'][seen].T[:, None]
        grey.append(cv2.remap(sample[name][0], x, y, cv2.INTER_LINEAR).ravel())
    assert np.corrcoef(*grey)[0, 1] > 0.9


def test_the_detector_is_taught_nothing() -> None:
    sample = places()[0]
    for name in ('first_valid', 'second_valid', 'first_present', 'second_present'):
        assert sample[name].shape == SIZE
        assert not sample[name].any()


def test_samples_stack_with_those_of_photos() -> None:
    from dlcv.training.adaptation import Labelled
    from dlcv.training.pairs import SuperPointPairs

    piece = Labelled(
        image=np.zeros((90, 120), np.uint8),
        xy=np.full((3, 2), 30, np.int16),
        scores=np.ones(3, np.float32),
    )
    photo = SuperPointPairs([piece], PairConfig(size=SIZE, points=40), 0)[0]
    world = places()[0]
    assert {name: (v.shape, v.dtype) for name, v in photo.items()} == {
        name: (v.shape, v.dtype) for name, v in world.items()
    }


def test_a_picture_without_corners_has_places_all_the_same() -> None:
    class Flat(Moved):
        def __getitem__(self, index: int) -> FlowPair:
            pair = super().__getitem__(index)
            pair.first[:] = 7
            return pair

    config = PairConfig(size=SIZE, points=40, photometric=OFF)
    assert WorldPlaces(GreyPairs(Flat()), config, 0)[0]['seen'].sum() > 20
    bare = PairConfig(size=SIZE, points=40, photometric=OFF, at_labels=0.0)
    assert WorldPlaces(GreyPairs(Moved()), bare, 0)[0]['seen'].sum() > 20
