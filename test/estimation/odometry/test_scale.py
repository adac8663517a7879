"""The filter of scale: what averages out and what does not, which source counts, what is said."""

from __future__ import annotations

import numpy as np
import pytest

from dlcv.estimation.odometry.scale import BIASES, TRUST, ScaleFilter, as_share

SECOND = 1_000_000_000


def fed(choice='auto', source='wheels', count=40, log=0.5, stddev=0.03, start=0, filter_=None):
    """A filter after measurements of one source, five a second, and what it said."""
    found = filter_ or ScaleFilter(choice)
    said = [
        found.measure(source, log, stddev, start + i * SECOND // 5) for i in range(count)
    ]  # fmt: skip
    return found, [text for text in said if text]


def test_nothing_is_known_at_first():
    """The true length may be several times the one of the guess."""
    found = ScaleFilter()
    assert (found.scale, found.source) == (1.0, 'none')
    assert 2.5 < found.stddev < 3.5


@pytest.mark.parametrize('deviation', [1e-3, 0.1, 0.7])
def test_a_deviation_of_the_logarithm_as_a_share(deviation):
    factors = np.exp(deviation * np.random.default_rng(0).standard_normal(400_000))
    drawn = np.sqrt(np.mean(np.square(factors - 1)))
    assert as_share(deviation) == pytest.approx(drawn, rel=0.02)


@pytest.mark.parametrize('source', BIASES)
def test_the_bias_of_a_source_does_not_average_out(source):
    found, said = fed(source=source, count=2000)
    assert found.scale == pytest.approx(np.exp(0.5), rel=1e-3)
    assert found.stddev >= 0.99 * as_share(BIASES[source])
    assert found.stddev < as_share(BIASES[source] + 0.02)
    assert said == [f'the scale is that of {source}']


def test_noise_averages_out():
    spreads = [fed(count=count, stddev=0.3)[0].stddev for count in (1, 4, 100)]
    assert spreads[0] > 1.8 * spreads[1] > 3 * spreads[2]


def test_what_is_stated_is_what_is_found():
    """NEES over worlds: each with a bias of its source, a scale that walks, and noise."""
    off = []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        found = ScaleFilter()
        truth, bias = 0.4 * rng.standard_normal(), 0.015 * rng.standard_normal()
        for i in range(60):
            truth += 0.005 * np.sqrt(0.2) * rng.standard_normal()
            seen = truth + bias + 0.05 * rng.standard_normal()
            found.measure('camera_height', seen, 0.05, i * SECOND // 5)
        off.append((np.log(found.scale) - truth) / found.stddev)
    assert 0.8 < np.mean(np.square(off)) < 1.25
    assert abs(np.mean(off)) < 0.2


@pytest.mark.parametrize('times', [1.0, 3.0, 6.0])
def test_a_source_that_is_noisier_than_it_says_is_seen_through(times):
    off = []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        found = ScaleFilter()
        truth, bias = 0.4 * rng.standard_normal(), 0.005 * rng.standard_normal()
        for i in range(100):
            truth += 0.005 * np.sqrt(0.2) * rng.standard_normal()
            seen = truth + bias + times * 0.008 * rng.standard_normal()
            found.measure('depth', seen, 0.008, i * SECOND // 5)
        off.append((np.log(found.scale) - truth) / found.stddev)
    assert 0.5 < np.mean(np.square(off)) < 1.6


def test_two_sources_after_each_other_are_both_remembered():
    """What the surer of two sources said stays, within its bias, when only the other is heard."""
    found, _ = fed(source='stereo', log=0.5, stddev=0.01)
    sure = found.stddev
    fed(source='network', log=0.6, stddev=0.05, count=50, start=12 * SECOND, filter_=found)
    assert found.source == 'network'
    assert np.log(found.scale) == pytest.approx(0.5, abs=0.02)
    assert sure < found.stddev < 0.05


def test_a_wild_measurement_is_not_believed_and_five_in_a_row_are():
    found, _ = fed(log=0.5)
    before = found.scale
    start = 8 * SECOND
    _, said = fed(log=1.2, count=4, start=start, filter_=found)
    assert said == []
    assert found.scale == before
    fed(log=0.5, count=1, start=start + SECOND, filter_=found)
    _, said = fed(log=1.2, count=20, start=start + 2 * SECOND, filter_=found)
    assert said == ['the scale by wheels is 2.01 times what it was']
    assert found.scale == pytest.approx(np.exp(1.2), rel=0.02)


def test_a_better_source_is_changed_to_once_it_has_arrived():
    found, _ = fed(source='network')
    start = 8 * SECOND
    _, said = fed(source='stereo', count=2, start=start, filter_=found)
    assert (said, found.source) == ([], 'network')
    _, said = fed(source='stereo', count=1, start=start + SECOND // 2, filter_=found)
    assert said == ['the scale is that of stereo, not of network any more']
    _, said = fed(source='network', count=3, log=3.0, start=start + SECOND, filter_=found)
    assert (said, found.source) == ([], 'stereo')
    assert found.scale == pytest.approx(np.exp(0.5), rel=0.02)


def test_a_source_that_comes_now_and_then_does_not_win():
    found, _ = fed(source='wheels')
    for i in range(5):
        fed(source='wheels', count=15, start=(10 + 3 * i) * SECOND, filter_=found)
        _, said = fed(source='stereo', count=2, start=(12 + 3 * i) * SECOND, filter_=found)
        assert said == []
    assert found.source == 'wheels'


def test_a_source_that_stopped_is_left_for_the_best_that_is_heard():
    found = ScaleFilter()
    said = []
    for i in range(40):
        now = i * SECOND // 5
        for source in ('network', 'camera_height', 'stereo'):
            if source != 'stereo' or i < 20:
                said.append(found.measure(source, 0.5, 0.03, now))
    assert [text for text in said if text] == [
        'the scale is that of network',
        'the scale is that of camera_height, not of network any more',
        'the scale is that of stereo, not of camera_height any more',
        'the scale is that of camera_height, not of stereo any more',
    ]
    before, stddev = found.scale, found.stddev
    assert found.advance(11 * SECOND) == (
        'nothing measures the scale any more; it stays at that of camera_height'
    )
    assert (found.source, found.scale) == ('none', before)
    assert found.stddev > stddev
    assert found.advance(12 * SECOND) == ''


def test_only_what_is_chosen_counts():
    found, said = fed('depth', source='stereo')
    assert (said, found.source, found.stddev) == ([], 'none', ScaleFilter().stddev)
    _, said = fed(source='depth', start=8 * SECOND, filter_=found)
    assert said == ['the scale is that of depth']
    found, said = fed('none')
    assert (said, found.scale) == ([], 1.0)


def test_another_unit_is_another_scale_of_the_same_certainty():
    found, _ = fed()
    scale, stddev = found.scale, found.stddev
    found.rescale(2.0)
    assert found.scale == pytest.approx(2 * scale)
    assert found.stddev == stddev


def test_the_spread_of_a_way_grows_with_it():
    found, _ = fed()
    shift = np.array((3.0, 0.0, 4.0))
    spread = found.spread(shift)
    assert np.sqrt(shift @ spread @ shift) / 5 == pytest.approx(5 * found.stddev)
    np.testing.assert_allclose(found.spread(10 * shift), 100 * spread)
    assert np.linalg.matrix_rank(spread) == 1


def test_strange_choices_and_values_are_refused():
    assert TRUST[0] == 'stereo'
    with pytest.raises(ValueError, match="no source of scale 'gps'"):
        ScaleFilter('gps')
    with pytest.raises(ValueError, match="no source of measurements 'none'"):
        ScaleFilter().measure('none', 0.0, 1.0, 0)
    with pytest.raises(ValueError, match='finite values, got nan'):
        ScaleFilter().measure('depth', np.nan, 1.0, 0)


def test_what_is_off_in_units_is_off_by_more_where_the_unit_is():
    """The mean square of a log-normal factor, by draws."""
    scale = ScaleFilter()
    assert scale.growth == 1.0
    scale.measure('network', 0.0, 1e-3, 0)
    factors = np.exp(BIASES['network'] * np.random.default_rng(0).standard_normal(200_000))
    assert scale.growth == pytest.approx(np.sqrt(np.mean(factors**2)), rel=0.02)
