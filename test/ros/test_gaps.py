"""Losses are told from the camera's own pauses and rates."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, count
from random import Random

import pytest

from dlcv.ros.gaps import Gaps, Missing


def _look(stamps: Iterable[float]) -> Missing | None:
    now = 0.0
    gaps = Gaps(lambda: now)
    for now in stamps:
        gaps.add(int(now * 1e9))
    return gaps.missing()


def _at(rate: float, seconds: float, begin: float = 0.0) -> Iterator[float]:
    return (begin + i / rate for i in range(int(rate * seconds)))


@pytest.mark.parametrize('rate', [10, 15, 30, 60])
@pytest.mark.parametrize('arrives', [0.41, 0.49, 0.8])
def test_random_losses_are_counted(rate: int, arrives: float) -> None:
    random = Random(rate)
    sent = list(_at(rate, 9))
    came = [stamp for stamp in sent if random.random() < arrives]
    found = _look(came)
    assert found is not None
    assert found.period == pytest.approx(1 / rate, rel=0.01)
    assert found.images / found.of == pytest.approx(1 - arrives, abs=0.12)


def test_every_third_image_lost_is_a_third() -> None:
    found = _look(stamp for i, stamp in enumerate(_at(30, 5)) if i % 3)
    assert found is not None
    assert found.images == pytest.approx(50, abs=1)


def _triggered() -> Iterator[float]:
    random, now = Random(0), 0.0
    while now < 9:
        now += random.uniform(0.02, 0.5)
        yield now


def _jittering(sigma: float) -> list[float]:
    random = Random(0)
    return sorted(stamp + random.gauss(0, sigma) for stamp in _at(30, 9))


@pytest.mark.parametrize(
    'stamps',
    [
        _at(30, 9),
        _at(1, 9),
        chain(_at(30, 3), _at(30, 3, begin=6.0)),  # a pause of 3 s
        chain(_at(30, 3), _at(15, 6, begin=3.0)),  # half the rate, as in the dark
        chain(_at(15, 3), _at(30, 6, begin=3.0)),
        _triggered(),
        _jittering(0.003),
        _jittering(0.01),
        chain(_at(30, 4), (9.0 - i for i in range(3)), _at(30, 3)),  # time jumps back
        [],
        [1.0],
        [1.0] * 50,
    ],
)
def test_what_a_camera_does_itself_is_no_loss(stamps: Iterable[float]) -> None:
    found = _look(stamps)
    assert found is None or found.gaps < 3


def test_losses_of_long_ago_are_forgiven() -> None:
    lossy = (stamp for i, stamp in enumerate(_at(30, 5)) if i % 3)
    found = _look(chain(lossy, _at(30, 11, begin=5.0)))
    assert found is not None
    assert found.images == 0


def test_only_so_many_stamps_are_kept() -> None:
    gaps = Gaps(lambda: 0.0)
    for stamp, _ in zip(count(), range(10_000), strict=False):
        gaps.add(stamp * 10**6)
    assert len(gaps._arrived) < 1000
