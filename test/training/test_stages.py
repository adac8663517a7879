"""Stages: shares follow the knots, nothing of a source is left out or taken twice."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcv.training.recipe import Sample, TrainError
from dlcv.training.stages import Knot, Staged


class Row:
    """Samples that say where they are from."""

    def __init__(self, source: int) -> None:
        self.source = source

    def __getitem__(self, index: int) -> Sample:
        return {'from': np.asarray((self.source, index))}


def staged(knots: list[Knot], length: int, seed: int = 0) -> Staged:
    return Staged([Row(i) for i in range(len(knots[0].shares))], knots, length, seed)


def places(rows: Staged, count: int, start: int = 0) -> np.ndarray:
    return np.array([rows[i]['from'] for i in range(start, start + count)])


LONG = [
    Knot(at=0.0, shares=(0.7, 0.3, 0.0)),
    Knot(at=0.5, shares=(0.0, 1.0, 1.0)),
    Knot(at=1.0, shares=(0.0, 0.25, 0.75)),
]


def test_shares_follow_the_knots() -> None:
    found = places(staged(LONG, 6400), 8000)[:, 0]

    def shares(start: int, stop: int) -> np.ndarray:
        return np.bincount(found[start:stop], minlength=3) / (stop - start)

    assert shares(0, 320) == pytest.approx((0.7, 0.3, 0.0), abs=0.06)
    assert shares(3000, 3400) == pytest.approx((0.0, 0.5, 0.5), abs=0.06)
    assert shares(6000, 6400) == pytest.approx((0.0, 0.25, 0.75), abs=0.06)
    assert shares(6400, 8000) == pytest.approx((0.0, 0.25, 0.75), abs=0.02)  # as at the end
    assert not np.any(found[:64] == 2)


knots = st.lists(
    st.tuples(*[st.floats(0, 1, width=16)] * 3).filter(lambda shares: sum(shares) > 0.01),
    min_size=1,
    max_size=4,
)


@given(shares=knots, length=st.integers(1, 700), seed=st.integers(0, 3))
def test_each_source_is_taken_without_gaps(
    shares: list[tuple[float, float, float]], length: int, seed: int
) -> None:
    steps = [Knot(at=i / len(shares), shares=each) for i, each in enumerate(shares)]
    rows = staged(steps, length, seed)
    found = places(rows, 900)
    for source in range(3):
        numbers = found[found[:, 0] == source, 1]
        assert sorted(numbers) == list(range(len(numbers)))
        if not any(each[source] for each in shares):
            assert not len(numbers)
    for index in (0, 63, 64, 500, 900):
        assert rows.taken(index) == tuple(np.bincount(found[:index, 0], minlength=3))


def test_a_small_share_is_not_rounded_away() -> None:
    rows = staged([Knot(at=0.0, shares=(0.996, 0.004))], 64_000)
    assert rows.taken(64_000)[1] == pytest.approx(256, abs=2)


def test_a_place_is_a_function_of_seed_and_number() -> None:
    one, same, other = (staged(LONG, 640, seed) for seed in (1, 1, 2))
    numbers = [500, 3, 640, 64, 3]
    assert [one.place(i) for i in numbers] == [same.place(i) for i in reversed(numbers)][::-1]
    assert [one.place(i) for i in range(64)] != [other.place(i) for i in range(64)]


@pytest.mark.parametrize(
    ('steps', 'length', 'message'),
    [
        ([], 5, r'times in \[0, 1\].*got \[\] and 5'),
        ([(0.5, (1.0,)), (0.5, (1.0,))], 5, 'each after the one before'),
        ([(0.0, (1.0,)), (1.5, (1.0,))], 5, '1.5'),
        ([(0.0, (1.0,))], 0, 'samples >= 1'),
        ([(0.0, (1.0, 2.0))], 5, r'1 shares.*got \[1.0, 2.0\] at 0.0'),
        ([(0.2, (-1.0,))], 5, r'-1.0\] at 0.2'),
        ([(0.0, (0.0,))], 5, 'not all of them 0'),
    ],
)
def test_senseless_stages_are_refused(
    steps: list[tuple[float, tuple[float, ...]]], length: int, message: str
) -> None:
    with pytest.raises(TrainError, match=message):
        Staged([Row(0)], [Knot(at=at, shares=shares) for at, shares in steps], length, 0)
