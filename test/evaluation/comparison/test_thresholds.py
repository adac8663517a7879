"""Limits hold or do not, in words that name the number; a slip in the file is never passed over."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest

from dlcv.evaluation.comparison.compare import compare
from dlcv.evaluation.comparison.thresholds import Limit, ThresholdError, check, read_thresholds
from dlcv.evaluation.scoring.model import Evaluation, Metric, NodeResult, Section, summary
from dlcv.evaluation.scoring.node_metrics import node_metrics

NODE = NodeResult(name='monodepth', images=10, answered=9, longest_gap=0.0, inference_ms=(1.0, 2.0))
BASE = np.abs(np.random.default_rng(0).normal(0.5, 0.1, 100))


def evaluation(ate=BASE, **more: float | None) -> Evaluation:
    """Return one with an ATE of samples, and with other metrics that have none."""
    metrics = [
        Metric(
            name='ATE (SE3)', value=summary('rms', ate), unit='m', better='low', statistic='rms',
            samples=tuple(ate),
        ),
        *(
            Metric(name=name, value=value, unit='%', digits=1, why='' if value else 'no truth')
            for name, value in more.items()
        ),
    ]  # fmt: skip
    return Evaluation(
        title='drive',
        mode='lock-step',
        facts={},
        nodes=(NODE,),
        sections=(Section(name='odometry', title='Odometry', metrics=tuple(metrics)),),
    )


@pytest.fixture
def limits(tmp_path):
    def write(text: str):
        path = tmp_path / 'limits.yaml'
        path.write_text(text)
        return read_thresholds(path)

    return write


def violations(thresholds, other, baseline=None):
    first = evaluation() if baseline is None else baseline
    return list(check(thresholds, compare(first, [other])).violations)


def test_a_file_becomes_limits(limits):
    found = limits("""
      missing: ignore
      odometry:
        ATE (SE3): {max: 0.5}
        t_rel: {max_increase: 10%, significant: true}
      nodes:
        monodepth:
          answered: {min: 0.95}
          inference 95 %: {max: 200, max_increase: 1e1}
    """)
    assert found.missing == 'ignore'
    assert found.limits['task', 'odometry'] == {
        'ATE (SE3)': Limit(max=0.5),
        't_rel': Limit(max_increase='10%', significant=True),
    }
    assert found.limits['node', 'monodepth'] == {
        'answered': Limit(min=0.95),
        'inference 95 %': Limit(max=200.0, max_increase=10.0),
    }


def test_the_file_that_the_documents_show_is_read(limits):
    document = Path(__file__).parents[3].joinpath('docs/compare.md').read_text(encoding='utf-8')
    text = document.split('```yaml\n')[1].split('```')[0]
    found = limits(text)
    assert text.startswith('# limits.yaml')
    assert found.limits['task', 'depth']['<1.25'] == Limit(min=0.6)
    assert set(found.limits['node', 'monodepth']) <= {m.name for m in node_metrics(NODE)}


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('', 'expected sections with limits, got None'),
        ('[]', 'expected sections with limits, got []'),
        ('a: {b: [', 'no YAML'),
        ('missing: maybe', "missing: 'maybe' is none of ['fail', 'ignore']"),
        ('mising: ignore', "expected metrics with limits, got 'ignore'; did you mean 'missing'?"),
        ('nodes:', 'nodes: expected a mapping, got None'),
        ('nodes: {deepvo: 3}', 'nodes.deepvo: expected metrics with limits, got 3'),
        ('depth: {Abs Rel: 0.3}', 'depth.Abs Rel: expected a mapping, got 0.3'),
        ('depth: {Abs Rel: {maxx: 1}}', "depth.Abs Rel: unknown key 'maxx'; known are ['max', "),
        ('depth: {Abs Rel: {}}', 'depth.Abs Rel: nothing is limited; give one of min, max, '),
        ('depth: {Abs Rel: {max: 3%}}', "depth.Abs Rel.max: expected float, got '3%'"),
        ('depth: {Abs Rel: {max: .nan}}', 'depth.Abs Rel: expected a finite number, got nan'),
        ('depth: {Abs Rel: {max_increase: ten}}', "number or a percentage such as 10%, got 'ten'"),
        ('depth: {Abs Rel: {max_increase: "3"}}', "number or a percentage such as 10%, got '3'"),
        ('depth: {Abs Rel: {max_decrease: -3}}', 'number or a percentage such as 10%, got -3'),
        ('depth: {Abs Rel: {max_decrease: x%}}', "number or a percentage such as 10%, got 'x%'"),
        ('depth: {Abs Rel: {max: 1, significant: true}}', 'significant is of max_increase or'),
        ('depth: {a: {max: 1}}\ndepth: {b: {max: 1}}', 'given twice: depth'),
        ('depth: {a: {max: 1, max: 2}}', 'given twice: depth.a.max'),
    ],
)  # fmt: skip
def test_a_file_of_another_form_is_refused(limits, text, words):
    with pytest.raises(ThresholdError, match=re.escape(words)) as caught:
        limits(text)
    assert 'limits.yaml: ' in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ThresholdError, match=r'none\.yaml: No such file'):
        read_thresholds(tmp_path / 'none.yaml')


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('odometri: {a: {max: 1}}', "no section 'odometri'; did you mean 'odometry'? there are"),
        ('odometry: {ate (se3): {max: 1}}', "no metric 'ate (se3)'; did you mean 'ATE (SE3)'? "),
        ('nodes: {monodeth: {cpu: {max: 1}}}', "no node 'monodeth'; did you mean 'monodepth'?"),
        ('nodes: {monodepth: {cpus: {max: 1}}}', "node monodepth: no metric 'cpus'; did you mean"),
    ],
)  # fmt: skip
@pytest.mark.parametrize('missing', ['fail', 'ignore'])
def test_a_name_that_nobody_knows_is_refused(limits, text, words, missing):
    with pytest.raises(ThresholdError, match=re.escape(words)):
        violations(limits(f'missing: {missing}\n{text}'), evaluation())


@pytest.mark.parametrize(
    ('limit', 'value', 'words'),
    [
        ('max: 0.5', 0.62, '0.620 m is over max 0.5 m'),
        ('max: 0.5', 0.50001, '0.50001 m is over max 0.5 m'),
        ('max: 0.5', 0.5, None),
        ('min: 0.5', 0.25, '0.250 m is under min 0.5 m'),
        ('min: 0.5', 0.5, None),
        ('max_increase: 10%', 1.25, '1.000 m -> 1.250 m (+25.0%) is over max_increase 10%'),
        ('max_increase: 30%', 1.25, None),
        ('max_increase: 0.25', 1.25, None),
        ('max_increase: 0.2', 1.25, '1.000 m -> 1.250 m (+25.0%) is over max_increase 0.2 m'),
        ('max_increase: 0', 0.5, None),
        ('max_decrease: 10%', 0.5, '1.000 m -> 0.500 m (-50.0%) is over max_decrease 10%'),
        ('max_decrease: 0', 1.5, None),
    ],
)
def test_each_limit_holds_up_to_its_value(limits, limit, value, words):
    thresholds = limits(f'odometry: {{ATE (SE3): {{{limit}}}}}')
    found = violations(thresholds, evaluation([value] * 3), evaluation([1.0] * 3))
    assert found == ([] if words is None else [f'odometry, ATE (SE3): {words}'])


def test_what_may_be_chance_is_no_significant_increase(limits):
    """The RMSE rises by 1 % in both; in one of them in every frame."""
    everywhere = BASE * 1.01
    by_chance = np.roll(BASE, 31) * 1.01
    significant = limits('odometry: {ATE (SE3): {max_increase: 0, significant: true}}')
    assert len(violations(significant, evaluation(everywhere))) == 1
    assert violations(significant, evaluation(by_chance)) == []
    strict = limits('odometry: {ATE (SE3): {max_increase: 0}}')
    assert len(violations(strict, evaluation(by_chance))) == 1


def test_a_significant_decrease_is_one_too(limits):
    thresholds = limits('odometry: {ATE (SE3): {max_decrease: 0, significant: true}}')
    assert len(violations(thresholds, evaluation(BASE * 0.99))) == 1


def test_without_an_interval_an_increase_is_not_excused(limits):
    thresholds = limits('odometry: {t_rel: {max_increase: 10%, significant: true}}')
    (text,) = violations(thresholds, evaluation(t_rel=3.4), evaluation(t_rel=2.8))
    assert text == (
        'odometry, t_rel: 2.8 % -> 3.4 % (+21.4%) is over max_increase 10%; '
        'no samples: whether by chance is not known'
    )


@pytest.mark.parametrize(
    ('limit', 'other', 'text'),
    [
        ('odometry: {t_rel: {max: 1}}', None, 'odometry, t_rel: no value: no truth'),
        ('odometry: {t_rel: {max_increase: 1}}', 2.0,
         'odometry, t_rel: no difference: baseline: no truth'),
        ('depth: {Abs Rel: {max: 1}}', 2.0, 'depth, Abs Rel: no value: not evaluated'),
        ('nodes: {deepvo: {cpu: {max: 1}}}', 2.0, 'deepvo, cpu: no value: not evaluated'),
        ('nodes: {monodepth: {cpu: {max: 1}}}', 2.0, 'monodepth, cpu: no value: not told'),
    ],
)  # fmt: skip
def test_what_is_missing_fails_or_is_told(limits, limit, other, text):
    comparison = compare(evaluation(t_rel=None), [evaluation(t_rel=other)])
    failed = check(limits(limit), comparison)
    assert [text] == [v.replace('baseline: no truth; other: ', '') for v in failed.violations]
    ignored = check(limits(f'missing: ignore\n{limit}'), comparison)
    assert (ignored.violations, ignored.held) == ((), 0)
    assert ignored.skipped == failed.violations


def test_a_broken_maximum_counts_although_the_baseline_is_missing(limits):
    thresholds = limits('missing: ignore\nodometry: {t_rel: {max: 1, max_increase: 1}}')
    (text,) = violations(thresholds, evaluation(t_rel=2.0), evaluation(t_rel=None))
    assert text == 'odometry, t_rel: 2.0 % is over max 1 %'


def test_numbers_of_nodes_have_limits(limits):
    thresholds = limits("""
      nodes:
        monodepth: {answered: {min: 0.95}, inference 95 %: {max: 200}}
    """)
    checked = check(thresholds, compare(evaluation(), [evaluation()]))
    assert checked.violations == ('monodepth, answered: 0.900 is under min 0.95',)
    assert checked.held == 1


def test_of_several_evaluations_each_is_named(limits):
    comparison = compare(
        evaluation(), [evaluation(), evaluation(BASE + 9), evaluation(BASE + 8)], labels='abcd'
    )
    checked = check(limits('odometry: {ATE (SE3): {max: 1}}'), comparison)
    assert checked.held == 1
    assert [text[:14] for text in checked.violations] == ['c: odometry, A', 'd: odometry, A']


def test_one_evaluation_is_checked_by_itself(limits):
    alone = compare(None, [evaluation(BASE + 9)])
    (text,) = check(limits('odometry: {ATE (SE3): {max: 1}}'), alone).violations
    assert text.endswith('is over max 1 m')
    with pytest.raises(ThresholdError, match='max_increase and max_decrease need a base'):
        check(limits('odometry: {ATE (SE3): {max_increase: 1}}'), alone)


def test_a_value_that_is_no_number_is_missing(limits):
    thresholds = limits('odometry: {t_rel: {max: 1}}')
    (text,) = violations(thresholds, evaluation(t_rel=math.nan))
    assert 'no value' in text
