"""Differences, verdicts and what is unfair; nothing that one evaluation has is left out."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from dlcv.evaluation.comparison.compare import ComparisonError, compare
from dlcv.evaluation.scoring.model import Evaluation, Metric, NodeResult, Section, summary
from dlcv.evaluation.scoring.node_metrics import node_metrics

GENERATOR = np.random.default_rng(0)
ERRORS = tuple(np.abs(GENERATOR.normal(0.5, 0.2, 100)).tolist())
WORSE = tuple(error + 0.1 for error in ERRORS)
NODE = NodeResult(
    name='deepvo', images=100, answered=98, longest_gap=0.2, inference_ms=(20.0, 30.0, 40.0, 90.0)
)


def rmse(samples=ERRORS, **changes) -> Metric:
    fields = {'name': 'ATE', 'unit': 'm', 'better': 'low', 'statistic': 'rms'}
    value = summary('rms', [s for s in samples if math.isfinite(s)])
    return Metric(**{**fields, 'value': value, 'samples': samples, **changes})


def evaluation(*metrics: Metric, **changes) -> Evaluation:
    whole = Evaluation(
        title='drive',
        mode='lock-step',
        facts={'bag': '/data/drive.mcap', 'host': 'robot', 'command': 'dlcv evaluate'},
        nodes=(),
        sections=(Section(name='odometry', title='Odometry', metrics=metrics),) if metrics else (),
    )
    return replace(whole, **changes)


def against(baseline: Evaluation, other: Evaluation):
    return compare(baseline, [other], labels=['a', 'b']).others[0]


def only_row(baseline: Metric, other: Metric, **changes):
    (group,) = against(evaluation(baseline), evaluation(other, **changes)).groups
    (row,) = group.rows
    return row


def test_a_difference_is_the_others_less_the_baselines():
    row = only_row(rmse(value=2.0), rmse(value=3.0, samples=WORSE))
    assert (row.baseline, row.other, row.difference, row.relative) == (2.0, 3.0, 1.0, 0.5)


def test_a_negative_baseline_does_not_turn_the_sign():
    row = only_row(rmse(value=-2.0), rmse(value=-1.0))
    assert row.relative == 0.5


def test_nothing_is_relative_to_zero():
    assert only_row(rmse(value=0.0), rmse()).relative is None


@pytest.mark.parametrize(
    ('better', 'other', 'verdict'),
    [
        ('low', WORSE, 'worse'),
        ('high', WORSE, 'better'),
        ('', WORSE, 'changed'),
        ('low', ERRORS, 'same'),
        ('low', tuple(np.roll(ERRORS, 17).tolist()), 'unclear'),
    ],
)
def test_verdicts(better, other, verdict):
    assert only_row(rmse(better=better), rmse(other, better=better)).verdict == verdict


def test_the_same_frames_are_drawn_together():
    row = only_row(rmse(), rmse(WORSE))
    assert (row.interval.pairing, row.interval.samples) == ('paired', (100,))


def test_other_counts_are_drawn_apart():
    row = only_row(rmse(), rmse(WORSE[:60]))
    assert (row.interval.pairing, row.interval.samples) == ('unpaired', (100, 60))


def test_frames_of_another_bag_are_no_pairs():
    row = only_row(rmse(), rmse(WORSE), facts={'bag': '/data/walk.mcap'})
    assert row.interval.pairing == 'unpaired'


def test_what_the_pairs_say_is_told_where_it_is_another_difference():
    """B has only the first half of the frames, in which A is as good."""
    half = ERRORS[:50] + (math.nan,) * 50
    row = only_row(rmse(ERRORS[:50] + WORSE[50:]), rmse(half))
    assert row.difference < -0.03
    assert row.interval.samples == (50,)
    assert row.why == 'the samples differ by +0.000'
    assert row.verdict == 'unclear'


@pytest.mark.parametrize(
    ('baseline', 'other', 'why'),
    [
        (rmse(samples=()), rmse(), 'baseline: not computed'),
        (rmse(value=None, why='no truth'), rmse(value=None, why='no truth'), 'no truth'),
        (rmse(), rmse(value=None, why='no truth'), 'other: no truth'),
        (rmse(), rmse(value=math.nan), 'other: not computed'),
        (rmse(), rmse(unit='cm'), 'units differ: m and cm'),
    ],
)
def test_a_missing_difference_has_a_reason(baseline, other, why):
    row = only_row(baseline, other)
    assert (row.difference, row.interval, row.verdict) == (None, None, '')
    assert row.why == why


@pytest.mark.parametrize(
    ('baseline', 'other', 'why'),
    [
        (rmse(value=1.0, samples=()), rmse(), 'no samples'),
        (rmse(), rmse(statistic=''), 'no samples'),
        (rmse(ERRORS[:5]), rmse(WORSE[:5]), 'fewer than 10 samples'),
        (
            rmse(),
            rmse(WORSE, statistic='mean'),
            'one is the rms of its samples, the other the mean',
        ),
    ],
)
def test_a_missing_interval_has_a_reason_and_leaves_the_difference(baseline, other, why):
    row = only_row(baseline, replace(other, value=2.0))
    assert row.difference == 2.0 - baseline.value
    assert (row.interval, row.verdict, row.why) == (None, '', why)


def test_what_only_one_has_is_listed():
    first = evaluation(rmse(), rmse(name='t_rel'))
    second = evaluation(
        rmse(),
        rmse(name='RPE'),
        nodes=(NODE,),
        sections=(
            Section(name='depth', title='Depth', metrics=(rmse(name='Abs Rel'),)),
            Section(name='odometry', title='Odometry', metrics=(rmse(), rmse(name='RPE'))),
        ),
    )
    rows = {
        (group.name, row.name): row.why
        for group in against(first, second).groups
        for row in group.rows
    }
    assert rows['odometry', 't_rel'] == 'other: not there'
    assert rows['odometry', 'RPE'] == 'baseline: not there'
    assert rows['depth', 'Abs Rel'] == 'baseline: not there'
    assert rows['deepvo', 'answered'] == 'baseline: not there'


def test_numbers_of_nodes_are_compared_without_intervals():
    slower = replace(NODE, answered=49, inference_ms=(25.0, 60.0, 70.0, 80.0), memory_mb=500.0)
    (group,) = against(evaluation(nodes=(NODE,)), evaluation(nodes=(slower,))).groups
    rows = {row.name: row for row in group.rows}
    assert (group.kind, group.name) == ('node', 'deepvo')
    assert rows['answered'].relative == pytest.approx(-0.5)
    assert rows['inference median'].difference == 5.0
    assert rows['inference 95 %'].difference == 30.0
    assert rows['longest gap'].verdict == 'same'
    assert rows['memory'].why == 'baseline: not told'
    assert {row.interval for row in group.rows} == {None}


def test_a_node_without_images_has_no_share_of_them():
    answered = node_metrics(NodeResult(name='deepvo', images=0, answered=0, longest_gap=0.0))[0]
    assert (answered.value, answered.text) == (None, 'no images')


@pytest.mark.parametrize(
    ('changes', 'words'),
    [
        ({'mode': 'real-time'}, 'modes differ: lock-step and real-time'),
        ({'facts': {'bag': 'walk.mcap', 'host': 'robot'}}, 'bag differs: drive.mcap and walk.mcap'),
        ({'facts': {'Bag': '/ci/drive.mcap', 'Host': 'ci'}}, 'host differs: robot and ci'),
        ({'facts': {'bag': 'drive.mcap'}}, 'host differs: robot and not told'),
        ({'nodes': (replace(NODE, images=60),)}, 'deepvo was shown 100 images and 60'),
        ({'nodes': (replace(NODE, device='cuda'),)}, 'deepvo ran on a device not told and on cuda'),
        ({'warnings': ('the bag is truncated',)}, 'b: the bag is truncated'),
    ],
)
def test_what_is_unfair_is_named(changes, words):
    baseline = evaluation(nodes=(NODE,))
    (warning,) = against(baseline, replace(baseline, **changes)).warnings
    assert warning.startswith(words)


def test_the_same_bag_in_another_folder_and_another_command_are_fair():
    other = evaluation(facts={'bag': '/ci/drive.mcap', 'host': 'robot', 'command': 'other'})
    found = against(evaluation(), other)
    assert (found.warnings, found.changes) == ((), ())


def test_what_may_explain_a_difference_is_listed():
    old = evaluation(nodes=(replace(NODE, weights='w/a.safetensors', weights_sha256='0' * 64),))
    new = evaluation(
        facts={**old.facts, 'dlcv': '0.2'},
        nodes=(replace(NODE, weights='w/b.safetensors', weights_sha256='1' * 64),),
    )
    changes = {change.name: (change.baseline, change.other) for change in against(old, new).changes}
    assert changes == {
        'dlcv': ('', '0.2'),
        'weights of deepvo': ('a.safetensors 000000000000', 'b.safetensors 111111111111'),
    }


def test_without_a_baseline_values_have_intervals_of_their_own():
    comparison = compare(None, [evaluation(rmse(), rmse(name='t_rel', value=None, why='short'))])
    ate, drift = comparison.others[0].groups[0].rows
    assert comparison.baseline == ''
    assert ate.interval.low < ate.other < ate.interval.high
    assert (ate.interval.pairing, ate.why) == ('', '')
    assert drift.why == 'short'


def test_labels_are_titles_where_none_are_given():
    comparison = compare(evaluation(), [evaluation(title='walk'), evaluation(title='run')])
    assert comparison.baseline == 'drive'
    assert [other.label for other in comparison.others] == ['walk', 'run']


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(ComparisonError, match='at least one evaluation beside'):
        compare(evaluation(), [])
    with pytest.raises(ComparisonError, match='expected 2 labels'):
        compare(evaluation(), [evaluation()], labels=['a'])
