"""Metrics of samples, the worst frames, and truth found by time."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dlcv.data.bags import Bag, BagWriter
from dlcv.data.bags.vocabulary import COMPOSER, IMAGE
from dlcv.data.recordings.bag import APART_NS, Beside
from dlcv.evaluation.scoring.parts import Kind, Worst

MS = 1_000_000


@pytest.mark.parametrize(
    ('statistic', 'value'),
    [('mean', 4.0), ('rms', math.sqrt((1 + 9 + 64) / 3)), ('median', 3.0), ('share', 4.0)],
)
def test_a_metric_of_samples(statistic, value):
    kind = Kind(name='EPE', unit='px', better='low', digits=1, doc='how', statistic=statistic)
    found = kind.of([1.0, 3.0, 8.0])
    assert found.value == pytest.approx(value)
    assert (found.name, found.unit, found.better, found.why) == ('EPE', 'px', 'low', '')
    assert found.samples == (1.0, 3.0, 8.0)


def test_what_is_unknown_does_not_count_but_keeps_its_place():
    found = Kind(name='AE').of([math.nan, 2.0, 4.0, math.inf])
    assert found.value == 3.0
    assert len(found.samples) == 4


@pytest.mark.parametrize('samples', [[], [math.nan], [math.inf, math.nan]])
def test_of_nothing_known_there_is_a_reason_and_no_zero(samples):
    found = Kind(name='AE').of(samples)
    assert found.value is None
    assert found.text == 'no truth'
    assert Kind(name='AE').of(samples, 'none sent').text == 'none sent'


def test_a_number_without_samples():
    kind = Kind(name='scale', digits=2)
    assert kind.value(0.5).text == '0.50'
    assert kind.value(0.5).samples == ()
    for unknown in (None, math.nan, math.inf):
        assert kind.value(unknown, 'no way').text == 'no way'


def test_the_three_worst_come_worst_first():
    worst = Worst('EPE', 'px')
    for stamp, error in enumerate([1.0, 5.0, math.nan, 3.0, 5.0, 0.5, math.inf]):
        worst.add(error, stamp)
    assert worst.frames() == [(5.0, 1), (5.0, 4), (3.0, 3)]
    assert worst.titles()[1] == 'worst EPE: 5 px'
    assert Worst().frames() == []


@pytest.fixture
def numbers(tmp_path):
    """A bag with images of a number, each the milliseconds of its time."""
    path = tmp_path / 'numbers.mcap'
    with BagWriter(path) as bag:
        bag.add_topic('/depth', IMAGE)
        for time in (100, 200, 250, 400):
            image = COMPOSER.image(
                COMPOSER.header(time * MS, 'camera'), np.full((1, 1), time, np.float32)
            )
            bag.write('/depth', time * MS, image)
    with Bag(path) as bag:
        yield bag


def test_truth_is_that_of_the_nearest_time(numbers):
    beside = Beside(numbers, '/depth')
    asked = (0, 100, 119, 150, 181, 224, 226, 250, 250, 400, 421)
    found = [beside.at(time * MS) for time in asked]
    times = [None if one is None else int(one[0, 0]) for one in found]
    assert times == [None, 100, 100, None, 200, None, None, 250, 250, 400, None]
    assert APART_NS == 20 * MS


def test_without_a_topic_there_is_no_truth(numbers):
    assert Beside(numbers, '').at(100 * MS) is None
