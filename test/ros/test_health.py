"""Counters, rates, percentiles and the verdict."""

import pytest

from dlcv.estimation.tasks.base import Level
from dlcv.ros.health import BAD, COUNTERS, MISSED, Health


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


@pytest.mark.parametrize('seconds', [1.5, 5.6, 31.4, 3600.0])
def test_silence_counts_from_the_last_image(health: Health, time: Time, seconds: float) -> None:
    _receive(health, time, 300)
    time.now += seconds
    for _ in range(2):  # looking must not change it
        health.values()
        assert f'no image for {seconds:.1f} s' in health.verdict(1.0, 0.5).text


@pytest.mark.parametrize('reason', [*BAD, *MISSED])
def test_many_drops_are_a_warning(health: Health, time: Time, reason: str) -> None:
    _receive(health, time, 90)
    health.count(reason, 4)
    assert health.verdict(1.0, 0.5).level is Level.OK
    health.count(reason, 4)
    verdict = health.verdict(1.0, 0.5)
    assert verdict.level is Level.WARN
    assert verdict.text.startswith('8 of 9')
    assert f'8 {reason}' in verdict.text


@pytest.mark.parametrize('reason', BAD)
def test_when_every_image_is_dropped_it_is_an_error(
    health: Health, time: Time, reason: str
) -> None:
    for _ in range(7):
        _receive(health, time, 1)
        health.count(reason, why='K is zero')
    verdict = health.verdict(1.0, 0.5)
    assert verdict.level is Level.ERROR
    assert verdict.text == f'7 of 7 images dropped in 10 s (7 {reason}): K is zero'
    health.done(1, 1)
    assert health.verdict(1.0, 0.5).level is Level.WARN


def test_the_reason_is_that_of_the_most(health: Health, time: Time) -> None:
    _receive(health, time, 20)
    health.count('superseded', 10)
    health.count('rejected_invalid', 2, why='no data')
    health.count('rejected_encoding', 8, why='a strange encoding')
    text = health.verdict(1.0, 0.5).text
    assert '(10 superseded, 8 rejected_encoding, 2 rejected_invalid): a strange' in text


def test_a_few_drops_at_the_start_are_none(health: Health, time: Time) -> None:
    _receive(health, time, 5)
    health.count('superseded', 3)
    health.done(1, 1)
    assert health.verdict(1.0, 0.5).level is Level.OK


def test_images_that_nobody_asks_for_are_not_dropped(health: Health, time: Time) -> None:
    _receive(health, time, 50)
    health.count('not_asked_for', 50)
    assert health.verdict(1.0, 0.5).level is Level.OK
    _receive(health, time, 1)
    health.count('rejected_camera', why='K is zero')  # the one that was asked for
    assert health.verdict(1.0, 0.5).level is Level.ERROR


def test_what_was_dropped_long_ago_is_forgiven(health: Health, time: Time) -> None:
    _receive(health, time, 100)
    health.count('rejected_encoding', 50, why='a strange encoding')
    health.count('superseded', 50)
    for _ in range(110):
        _receive(health, time, 1)
        health.done(1, 1)
    assert health.verdict(1.0, 0.5).text == 'running'
    values = health.values()
    assert (values['rejected_encoding'], values['recent_dropped']) == ('50', '0')
    assert values['received'] == '210'
    assert int(values['recent_received']) == pytest.approx(100, abs=5)


def test_what_was_late_long_ago_is_forgiven(health: Health, time: Time) -> None:
    health.done(10, 5600)
    _receive(health, time, 110)
    assert health.verdict(1.0, 0.5).text == 'running'


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
