"""Counters, rates, percentiles and the verdict."""

import pytest

from dlcv.estimation.tasks.base import Level
from dlcv.ros.health import COUNTERS, Health


class Time:
    """A clock that stands until it is moved."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def health(time: Time) -> Health:
    return Health(time)


def _receive(health: Health, time: Time, count: int, step: float = 0.1) -> None:
    for _ in range(count):
        time.now += step
        health.count('received')


def test_rates_are_those_of_the_last_seconds(health: Health, time: Time) -> None:
    _receive(health, time, 200, 0.1)
    assert float(health.values()['input_hz']) == pytest.approx(10, rel=0.01)
    time.now += 60
    assert health.values()['input_hz'] == '0.00'


def test_percentiles(health: Health) -> None:
    assert health.values()['inference_ms_p50'] == 'nan'
    for ms in range(1, 101):
        health.done(inference_ms=ms, latency_ms=2 * ms)
    values = health.values()
    assert float(values['inference_ms_p50']) == pytest.approx(50, abs=1)
    assert float(values['inference_ms_p95']) == pytest.approx(95, abs=1)
    assert float(values['latency_ms_max']) == 200
    assert values['processed'] == '100'


def test_every_counter_is_reported_and_no_other_exists(health: Health) -> None:
    for name in COUNTERS:
        health.count(name, 3)
        assert health.values()[name] == '3'
    with pytest.raises(KeyError, match='no counter'):
        health.count('misspelt')


def test_silence_is_an_error(health: Health, time: Time) -> None:
    _receive(health, time, 5)
    assert health.verdict(1.0, 0.5).level is Level.OK
    time.now += 1.5
    verdict = health.verdict(1.0, 0.5)
    assert verdict.level is Level.ERROR
    assert 'no image for 1.5 s' in verdict.text


def test_silence_counts_from_the_start(health: Health, time: Time) -> None:
    time.now += 2
    assert health.verdict(1.0, 0.5).level is Level.ERROR


@pytest.mark.parametrize('reason', ['superseded', 'rejected_age', 'lost_by_middleware', 'failed'])
def test_many_drops_are_a_warning(health: Health, time: Time, reason: str) -> None:
    _receive(health, time, 100)
    health.count(reason, 4)
    assert health.verdict(1.0, 0.5).level is Level.OK
    health.count(reason, 4)
    verdict = health.verdict(1.0, 0.5)
    assert verdict.level is Level.WARN
    assert verdict.text.startswith('8 of 10')


def test_late_results_are_a_warning(health: Health, time: Time) -> None:
    _receive(health, time, 3)
    health.done(10, 700)
    assert health.verdict(1.0, 0.5).level is Level.WARN
    assert health.verdict(1.0, 0).level is Level.OK


def test_clear_forgets_everything(health: Health, time: Time) -> None:
    _receive(health, time, 5)
    health.done(1, 1)
    health.clear()
    assert health.values() == Health(time).values()
