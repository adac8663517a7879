"""What the stamps of images alone decide."""

from __future__ import annotations

from typing import Any

import pytest

from dlcv.interface.parameters import CommonParameters
from dlcv.ros.faults import Rejections
from dlcv.ros.health import Health
from dlcv.ros.screening import Screening

SECOND = 10**9


class Bench:
    """A screening whose time stands still."""

    def __init__(self, now: float = 1000.0, **parameters: Any) -> None:
        self.health = Health()
        self.said: list[str] = []
        self.rejections = Rejections(self.health, self.said.append)
        self.jumps, self.warned = 0, []
        self.now = now
        self.screening = Screening(
            self.health,
            self.rejections,
            lambda: CommonParameters(**parameters),
            lambda: int(self.now * SECOND),
            self._jump,
            self.warned.append,
        )

    def _jump(self) -> None:
        self.jumps += 1

    def refusal(self, age: float) -> str:
        return self.screening.refusal(int((self.now - age) * SECOND))

    def lateness(self, age: float) -> str:
        return self.screening.lateness(int((self.now - age) * SECOND))

    def count(self, name: str) -> int:
        return int(self.health.values()[name])


@pytest.mark.parametrize(
    ('age', 'verdict'), [(0.4, ''), (0.6, 'rejected_age'), (7200.0, 'rejected_age'), (-3.0, '')]
)
def test_images_are_taken_up_to_an_age(age: float, verdict: str) -> None:
    bench = Bench()
    assert bench.refusal(age) == verdict
    hint = 'use_sim_time' if age > 3600 else 'synchronise the clocks'
    assert not verdict or hint in bench.rejections.last


@pytest.mark.parametrize(
    ('age', 'parameters', 'late'),
    [
        (1.9, {}, False),
        (2.1, {}, True),
        (5.6, {}, True),
        (5.6, {'max_input_age': 10.0}, False),
        (5.6, {'max_input_age': 0.0}, False),
        (5.6, {'max_output_age': 0.0}, False),
        (0.6, {'max_output_age': 0.1}, True),
        (0.4, {'max_output_age': 0.1}, False),  # such images are taken, to be answered
        (-3.0, {}, False),
    ],
)
def test_results_are_published_up_to_an_age(
    age: float, parameters: dict[str, Any], late: bool
) -> None:
    said = Bench(**parameters).lateness(age)
    assert bool(said) == late
    assert not late or said.startswith(f'late: a result is {age:.2f} s old')


@pytest.mark.parametrize('ahead', [0.6, 3.0, 1e6])
def test_stamps_ahead_of_the_clock_are_counted_and_told_once(ahead: float) -> None:
    bench = Bench()
    for step in range(3):
        assert bench.refusal(-ahead - step) == ''
    assert bench.count('from_future') == 3
    (line,) = bench.warned
    assert f'{ahead:.2f} s ahead' in line


@pytest.mark.parametrize('ahead', [0.0, 0.05, 0.4])
def test_clocks_need_not_be_quite_the_same(ahead: float) -> None:
    bench = Bench()
    bench.refusal(-ahead)
    assert bench.count('from_future') == 0


def test_before_simulated_time_begins_nothing_has_an_age() -> None:
    bench = Bench(now=0.0)
    assert bench.screening.refusal(5 * SECOND) == ''
    assert bench.screening.lateness(5 * SECOND) == ''
    assert bench.count('from_future') == 0


def test_a_jump_back_is_told_and_the_image_taken() -> None:
    bench = Bench(max_input_age=0.0)
    assert [bench.refusal(age) for age in (1, 1, 100)] == ['', 'rejected_order', '']
    assert (bench.jumps, bench.count('time_jumps')) == (1, 1)
