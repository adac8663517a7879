"""What changed between evaluations, and whether chance could have done it.

Each number of an evaluation is set against the same number of a baseline. Where both have samples,
`bootstrap` tells how sure the difference is; a verdict is made of nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Literal

from dlcv.evaluation.comparison.bootstrap import (
    DEFAULTS,
    LEAST,
    Bootstrap,
    Interval,
    difference,
    interval,
)
from dlcv.evaluation.scoring.model import Evaluation, Metric, NodeResult
from dlcv.evaluation.scoring.node_metrics import node_metrics

Kind = Literal['task', 'node']
Key = tuple[Kind, str]
Verdict = Literal['better', 'worse', 'changed', 'unclear', 'same', '']

UNFAIR = {
    'bag': 'numbers are of other pictures',
    'frames': 'numbers are of other pictures',
    'images': 'numbers are of other pictures',
    'truth': 'errors are against another truth',
    'rate': 'drops and ages are of another rate',
    'host': 'times, CPU and memory are of other machines',
}
"""Facts that must agree, and what is wrong where they do not."""

_OF_A_RUN = {'command', 'date', 'started', 'finished', 'duration', 'output', 'replay'}
"""Facts that differ between any two runs."""


class ComparisonError(ValueError):
    """Evaluations cannot be compared; the message says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One number of two evaluations.

    Attributes:
        name: Of the metric.
        unit: Of all numbers here but ``relative``.
        better: Which direction is; empty when neither is.
        digits: Printed after the decimal point.
        baseline: Its value there; None where it has none, and in every row without a baseline.
        other: Its value in the other evaluation.
        difference: ``other - baseline``.
        relative: The difference as a share of the baseline's absolute value; None of zero.
        interval: Of the difference; of ``other`` itself where there is no baseline.
        verdict: ``better`` or ``worse`` where the interval excludes zero (``changed`` where neither
            direction is better), ``unclear`` where it does not, ``same`` where nothing differs at
            all, empty where there is no interval to judge by.
        why: Why a value, the difference or the interval is missing, or what it leaves out.
    """

    name: str
    unit: str
    better: Literal['high', 'low', '']
    digits: int
    baseline: float | None
    other: float | None
    difference: float | None = None
    relative: float | None = None
    interval: Interval | None = None
    verdict: Verdict = ''
    why: str = ''


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """The rows of one task or node."""

    kind: Kind
    name: str
    title: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """Something that is not a number and differs; empty where it was not told."""

    name: str
    baseline: str
    other: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Against:
    """One evaluation against the baseline.

    Attributes:
        label: Of the evaluation.
        groups: Tasks, then nodes.
        changes: Facts and weights that differ.
        warnings: What makes the comparison unfair, and what the evaluations themselves warn of.
    """

    label: str
    groups: tuple[Group, ...]
    changes: tuple[Change, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """Evaluations against one of them.

    Attributes:
        baseline: Its label; empty where there is none.
        level: Of the intervals.
        others: One for each other evaluation.
    """

    baseline: str
    level: float
    others: tuple[Against, ...]


def compare(
    baseline: Evaluation | None,
    others: Sequence[Evaluation],
    *,
    labels: Sequence[str] = (),
    how: Bootstrap = DEFAULTS,
) -> Comparison:
    """Set evaluations against a baseline.

    Args:
        baseline: What the others are compared with; None lists their values alone.
        others: At least one.
        labels: Of the baseline, if there is one, and of the others; their titles by default.
        how: How intervals are made.

    Raises:
        ComparisonError: There is nothing to compare, or not as many labels as evaluations.
    """
    everyone = [one for one in (baseline, *others) if one is not None]
    names = list(labels) or [one.title for one in everyone]
    if not others:
        raise ComparisonError('expected at least one evaluation beside the baseline')
    if len(names) != len(everyone):
        raise ComparisonError(f'expected {len(everyone)} labels, got {names}')
    base_label = '' if baseline is None else names.pop(0)
    return Comparison(
        baseline=base_label,
        level=how.level,
        others=tuple(
            _alone(label, one, how)
            if baseline is None
            else _against(base_label, baseline, label, one, how)
            for label, one in zip(names, others, strict=True)
        ),
    )


def _alone(label: str, evaluation: Evaluation, how: Bootstrap) -> Against:
    groups = tuple(
        Group(kind=key[0], name=key[1], title=title, rows=tuple(_value(m, how) for m in metrics))
        for key, (title, metrics) in _groups(evaluation).items()
    )
    return Against(label=label, groups=groups, warnings=evaluation.warnings)


def _against(
    base_label: str, baseline: Evaluation, label: str, other: Evaluation, how: Bootstrap
) -> Against:
    old, new = _groups(baseline), _groups(other)
    same_bag = _told('bag', baseline) == _told('bag', other)
    groups = []
    for key in {**old, **new}:
        title = (new.get(key) or old[key])[0]
        metrics, others = ({m.name: m for m in side.get(key, ('', ()))[1]} for side in (old, new))
        rows = (
            _row(metrics.get(name), others.get(name), same_bag, how)
            for name in {**metrics, **others}
        )
        groups.append(Group(kind=key[0], name=key[1], title=title, rows=tuple(rows)))
    return Against(
        label=label,
        groups=tuple(groups),
        changes=tuple(_changes(baseline, other)),
        warnings=(
            *_unfair(baseline, other),
            *(f'{base_label}: {text}' for text in baseline.warnings),
            *(f'{label}: {text}' for text in other.warnings),
        ),
    )


def _groups(evaluation: Evaluation) -> dict[Key, tuple[str, tuple[Metric, ...]]]:
    """Return title and metrics of each task and node."""
    tasks: dict[Key, tuple[str, tuple[Metric, ...]]] = {
        ('task', section.name): (section.title, section.metrics) for section in evaluation.sections
    }
    return tasks | {
        ('node', node.name): (f'node {node.name}', node_metrics(node)) for node in evaluation.nodes
    }


def _value(metric: Metric, how: Bootstrap) -> Row:
    """Return the row of a metric that is compared with nothing."""
    value = _number(metric)
    found = interval(metric.statistic, metric.samples, how) if _draws(metric) else None
    return _make(metric, None, value, interval=found, why=_absent(metric) or _no_interval(metric))


def _row(old: Metric | None, new: Metric | None, same_bag: bool, how: Bootstrap) -> Row:
    either = new or old
    assert either is not None
    before, after = _number(old), _number(new)
    if old is None or new is None or before is None or after is None:
        return _make(either, before, after, why=_one_sided(old, new))
    if old.unit != new.unit:
        why = f'units differ: {old.unit or "none"} and {new.unit or "none"}'
        return _make(either, before, after, why=why)
    change = after - before
    found, why = _interval(old, new, same_bag, how)
    verdict = _verdict(new.better, change, found)
    return _make(
        either,
        before,
        after,
        difference=change,
        relative=change / abs(before) if before else None,
        interval=found,
        verdict=verdict,
        why=_left_out(new, change, found) if found else why * (verdict != 'same'),
    )


def _make(
    metric: Metric,
    baseline: float | None,
    other: float | None,
    *,
    difference: float | None = None,
    relative: float | None = None,
    interval: Interval | None = None,
    verdict: Verdict = '',
    why: str = '',
) -> Row:
    return Row(
        name=metric.name,
        unit=metric.unit,
        better=metric.better,
        digits=metric.digits,
        baseline=baseline,
        other=other,
        difference=difference,
        relative=relative,
        interval=interval,
        verdict=verdict,
        why=why,
    )


def _interval(
    old: Metric, new: Metric, same_bag: bool, how: Bootstrap
) -> tuple[Interval | None, str]:
    """Return the interval of the difference, and why there is none."""
    if not (_draws(old) and _draws(new)):
        return None, 'no samples'
    if old.statistic != new.statistic:
        return None, f'one is the {old.statistic} of its samples, the other the {new.statistic}'
    paired = same_bag and len(old.samples) == len(new.samples)
    found = difference(old.statistic, old.samples, new.samples, how, paired=paired)
    return found, '' if found else f'fewer than {LEAST} samples'


def _verdict(better: str, change: float, found: Interval | None) -> Verdict:
    if not change and (found is None or found.low == found.high == 0):
        return 'same'
    if found is None:
        return ''
    if not found.excludes_zero:
        return 'unclear'
    if not better:
        return 'changed'
    return 'better' if (found.low > 0) == (better == 'high') else 'worse'


def _left_out(metric: Metric, change: float, found: Interval) -> str:
    """Return what the samples of both say where it is not what the values say."""
    if abs(found.estimate - change) < 0.5 * 10.0**-metric.digits:
        return ''
    return f'the samples differ by {found.estimate:+.{metric.digits}f}'


def _number(metric: Metric | None) -> float | None:
    value = metric.value if metric else None
    return value if value is not None and isfinite(value) else None


def _draws(metric: Metric) -> bool:
    return bool(metric.statistic and metric.samples)


def _absent(metric: Metric | None) -> str:
    """Return why a value is missing; empty where it is not."""
    if metric is None:
        return 'not there'
    return '' if _number(metric) is not None else metric.why or 'not computed'


def _one_sided(old: Metric | None, new: Metric | None) -> str:
    before, after = _absent(old), _absent(new)
    if before == after:
        return before
    parts = (f'baseline: {before}' if before else '', f'other: {after}' if after else '')
    return '; '.join(filter(None, parts))


def _no_interval(metric: Metric) -> str:
    if not _draws(metric):
        return 'no samples'
    count = sum(map(isfinite, metric.samples))
    return '' if count >= LEAST else f'fewer than {LEAST} samples'


def _told(name: str, evaluation: Evaluation) -> str:
    """Return a fact; of a bag its name, as another machine keeps it in another folder."""
    text = _lowered(evaluation.facts).get(name, '')
    return text.rstrip('/').rpartition('/')[2] if name == 'bag' else text


def _lowered(facts: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): text for name, text in facts.items()}


def _unfair(baseline: Evaluation, other: Evaluation) -> Iterator[str]:
    """Yield what makes a comparison unfair."""
    if baseline.mode != other.mode:
        yield f'modes differ: {baseline.mode} and {other.mode}; drops and times are not comparable'
    for name, wrong in UNFAIR.items():
        old, new = _told(name, baseline), _told(name, other)
        if old != new:
            yield f'{name} differs: {old or "not told"} and {new or "not told"}; {wrong}'
    for before, after in _both(baseline, other):
        if before.images != after.images:
            yield f'{after.name} was shown {before.images} images and {after.images}'
        if before.device != after.device:
            yield (
                f'{after.name} ran on {before.device or "a device not told"} and on '
                f'{after.device or "a device not told"}; its times are of other machines'
            )


def _changes(baseline: Evaluation, other: Evaluation) -> Iterator[Change]:
    """Yield facts and weights that differ and may explain the numbers."""
    old, new = _lowered(baseline.facts), _lowered(other.facts)
    for name in {**old, **new}:
        before, after = old.get(name, ''), new.get(name, '')
        if before != after and name not in _OF_A_RUN | UNFAIR.keys():
            yield Change(name=name, baseline=before, other=after)
    for one, two in _both(baseline, other):
        if _weights(one) != _weights(two):
            yield Change(name=f'weights of {two.name}', baseline=_weights(one), other=_weights(two))


def _both(baseline: Evaluation, other: Evaluation) -> Iterator[tuple[NodeResult, NodeResult]]:
    old = {node.name: node for node in baseline.nodes}
    return ((old[node.name], node) for node in other.nodes if node.name in old)


def _weights(node: NodeResult) -> str:
    name = node.weights.rpartition('/')[2]
    return f'{name} {node.weights_sha256[:12]}'.strip()
