"""Limits that numbers must keep: a YAML file, and what of it does not hold.

The file names sections and their metrics as the report prints them, nodes below ``nodes``::

    missing: fail                # a number that is not there; or: ignore
    odometry:
      ATE (SE3): {max: 0.5}      # in the metric's unit
      t_rel: {max_increase: 10%, significant: true}  # against the baseline
    nodes:
      monodepth:
        answered: {min: 0.95}
        inference 95 %: {max: 200, max_increase: 20}
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from math import isfinite
from pathlib import Path
from typing import Any, Literal

import yaml

from dlcv.config import ConfigError, convert, load_yaml
from dlcv.evaluation.comparison.compare import Against, Comparison, Key, Kind, Row
from dlcv.files import TextError, read_text
from dlcv.interface.nodes import NODES

TASKS = ('odometry', 'odometry_deepvo', 'depth', 'flow', 'features', 'relocalization')
"""Sections that may be named although no evaluation has them."""


class ThresholdError(ValueError):
    """Thresholds cannot be read or used; the message names the file, the key and what is known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limit:
    """What must hold of one number. At least one of the first four is given.

    Attributes:
        min: The number is at least this.
        max: The number is at most this.
        max_increase: It is above the baseline's by at most this: a number in the metric's unit, or
            a percentage of the baseline's value, ``10%``.
        max_decrease: It is below the baseline's by at most this.
        significant: Whether an increase or decrease counts only where its interval excludes zero.
    """

    min: float | None = None
    max: float | None = None
    max_increase: float | str | None = None
    max_decrease: float | str | None = None
    significant: bool = False

    def __post_init__(self) -> None:
        given = {f.name: getattr(self, f.name) for f in fields(self) if f.name != 'significant'}
        if all(value is None for value in given.values()):
            raise ValueError(f'nothing is limited; give one of {", ".join(given)}')
        if self.significant and not self.relative:
            raise ValueError('significant is of max_increase or max_decrease; neither is given')
        for value in (self.min, self.max):
            if value is not None and not isfinite(value):
                raise ValueError(f'expected a finite number, got {value}')
        for amount in (self.max_increase, self.max_decrease):
            if amount is not None:
                _amount(amount, 1.0)

    @property
    def relative(self) -> bool:
        """Whether it needs a baseline."""
        return self.max_increase is not None or self.max_decrease is not None


Limits = Mapping[str, Limit]


@dataclass(frozen=True, kw_only=True, slots=True)
class Thresholds:
    """What must hold.

    Attributes:
        path: The file, for messages.
        limits: (task or node, its name) -> metric -> limit.
        missing: What a number that is not there is: a violation, or nothing to check.
    """

    path: Path
    limits: Mapping[Key, Limits] = field(default_factory=dict)
    missing: Literal['fail', 'ignore'] = 'fail'


@dataclass(frozen=True, kw_only=True, slots=True)
class Checked:
    """What became of the limits.

    Attributes:
        held: How many numbers kept theirs.
        violations: Numbers that did not, in words.
        skipped: Numbers that are missing and may be.
    """

    held: int
    violations: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()


def read_thresholds(path: Path) -> Thresholds:
    """Read a file of limits.

    Raises:
        ThresholdError: There is none, or it is not of the form above.
    """
    data = _read(path)
    missing = data.pop('missing', 'fail')
    nodes = data.pop('nodes', {})
    try:
        return Thresholds(
            path=path,
            limits={
                **_limits('task', data, ''),
                **_limits('node', convert(nodes, dict[str, Any], 'nodes'), 'nodes.'),
            },
            missing=convert(missing, Literal['fail', 'ignore'], 'missing'),
        )
    except ConfigError as err:
        raise ThresholdError(f'{path}: {err}') from None


def check(thresholds: Thresholds, comparison: Comparison) -> Checked:
    """Return which limits hold; of the baseline itself nothing is asked.

    Raises:
        ThresholdError: A section, node or metric is named that nobody knows, or a limit needs a
            baseline and there is none.
    """
    _check_names(thresholds, comparison)
    held, violations, skipped = 0, [], []
    for other in comparison.others:
        rows = {(g.kind, g.name, row.name): row for g in other.groups for row in g.rows}
        for key, name, limit in _each(thresholds):
            row = rows.get((*key, name))
            texts, absent = _outcome(row, limit)
            lines = [f'{_place(other, comparison)}{key[1]}, {name}: {text}' for text in texts]
            if not lines:
                held += 1
            elif absent and thresholds.missing == 'ignore':
                skipped += lines
            else:
                violations += lines
    return Checked(held=held, violations=tuple(violations), skipped=tuple(skipped))


def _read(path: Path) -> dict[str, Any]:
    try:
        text = read_text(path)
        data = load_yaml(text)
        twice = list(_twice(yaml.compose(text, Loader=yaml.SafeLoader)))
    except OSError as err:
        raise ThresholdError(f'{path}: {err.strerror}') from None
    except TextError:
        raise ThresholdError(f'{path}: is no text') from None
    except yaml.YAMLError as err:
        raise ThresholdError(f'{path}: no YAML: {" ".join(str(err).split())}') from None
    if twice:  # PyYAML takes the last and forgets the others
        raise ThresholdError(f'{path}: given twice: {", ".join(twice)}')
    if not isinstance(data, dict) or not data:
        raise ThresholdError(f'{path}: expected sections with limits, got {data!r}')
    return dict(data)


def _twice(node: yaml.Node | None, where: str = '') -> Iterator[str]:
    """Yield the dotted places of keys that a mapping has more than once."""
    if not isinstance(node, yaml.MappingNode):
        return
    seen = set()
    for key, value in node.value:
        place = f'{where}{key.value}'
        if key.value in seen:
            yield place
        seen.add(key.value)
        yield from _twice(value, f'{place}.')


def _limits(kind: Kind, data: Mapping[Any, Any], where: str) -> dict[Key, Limits]:
    result: dict[Key, Limits] = {}
    for name, limits in data.items():
        place = f'{where}{name}'
        if not isinstance(limits, dict) or not limits:
            hint = _hint(str(name), ('missing', 'nodes')) if kind == 'task' else ''
            text = f'{place}: expected metrics with limits, got {limits!r}'
            raise ConfigError(f'{text}; {hint}' if hint else text)
        result[kind, str(name)] = convert(limits, dict[str, Limit], place)
    return result


def _check_names(thresholds: Thresholds, comparison: Comparison) -> None:
    """Refuse a name that is nowhere: with ``missing: ignore`` a slip would never be seen."""
    known: dict[Key, dict[str, None]] = {('task', name): {} for name in TASKS}
    known |= {('node', name): {} for name in NODES}
    for other in comparison.others:
        for group in other.groups:
            metrics = dict.fromkeys(row.name for row in group.rows)
            known.setdefault((group.kind, group.name), {}).update(metrics)
    for key, name, limit in _each(thresholds):
        kind, owner = key
        word = 'section' if kind == 'task' else 'node'
        if key not in known:
            there = [n for k, n in known if k == kind]
            raise ThresholdError(f'{thresholds.path}: {_unknown(word, owner, there)}')
        if known[key] and name not in known[key]:
            text = _unknown('metric', name, known[key])
            raise ThresholdError(f'{thresholds.path}: {word} {owner}: {text}')
        if limit.relative and not comparison.baseline:
            raise ThresholdError(
                f'{thresholds.path}: {owner}: {name}: max_increase and max_decrease need a '
                'baseline; give two evaluations, the baseline first'
            )


def _each(thresholds: Thresholds) -> Iterator[tuple[Key, str, Limit]]:
    for key, limits in thresholds.limits.items():
        for name, limit in limits.items():
            yield key, name, limit


def _outcome(row: Row | None, limit: Limit) -> tuple[list[str], bool]:
    """Return what does not hold, and whether that is for want of a number."""
    if row is None or row.other is None:
        return [f'no value: {row.why if row else "not evaluated"}'], True
    broken = [*_absolute(row, row.other, limit), *_against_baseline(row, limit)]
    if broken or not limit.relative or row.difference is not None:
        return broken, False
    return [f'no difference: {row.why}'], True


def _absolute(row: Row, value: float, limit: Limit) -> Iterator[str]:
    if limit.max is not None and value > limit.max:
        yield f'{_text(row, value, limit.max)} is over max {_amount_text(row, limit.max)}'
    if limit.min is not None and value < limit.min:
        yield f'{_text(row, value, limit.min)} is under min {_amount_text(row, limit.min)}'


def _against_baseline(row: Row, limit: Limit) -> Iterator[str]:
    if row.difference is None or row.baseline is None or row.other is None:
        return
    for word, amount, change in (
        ('increase', limit.max_increase, row.difference),
        ('decrease', limit.max_decrease, -row.difference),
    ):
        if amount is None or change <= _amount(amount, row.baseline):
            continue
        if limit.significant and _may_be_chance(row, word):
            continue
        share = '' if row.relative is None else f' ({row.relative:+.1%})'
        sure = f'; {row.why}: whether by chance is not known' if _unsure(row, limit) else ''
        yield (
            f'{_text(row, row.baseline, row.other)} -> '
            f'{_text(row, row.other, row.baseline)}{share} is over '
            f'max_{word} {_amount_text(row, amount)}{sure}'
        )


def _may_be_chance(row: Row, word: str) -> bool:
    """Return whether the interval of a difference reaches zero; one that is not there does not."""
    if row.interval is None:
        return False
    return row.interval.low <= 0 if word == 'increase' else row.interval.high >= 0


def _unsure(row: Row, limit: Limit) -> bool:
    return limit.significant and row.interval is None


def _amount(amount: float | str, baseline: float) -> float:
    """Return an amount of change in the metric's unit.

    Raises:
        ValueError: It is neither a number nor a percentage, or it is negative.
    """
    try:
        share = isinstance(amount, str) and amount.endswith('%')
        number = float(amount[:-1]) / 100 if share else float(amount)  # type: ignore[index]
    except ValueError:
        number = -1.0
    if not (isfinite(number) and number >= 0) or (isinstance(amount, str) and not share):
        raise ValueError(f'expected a number or a percentage such as 10%, got {amount!r}')
    return number * abs(baseline) if share else number


def _text(row: Row, value: float, beside: float) -> str:
    """Return a value as it is printed, with more digits where it would read like ``beside``."""
    digits = row.digits
    while digits < 12 and float(f'{value:.{digits}f}') == round(beside, digits):
        digits += 1
    return f'{value:.{digits}f}{_unit(row)}'


def _amount_text(row: Row, amount: float | str) -> str:
    return amount if isinstance(amount, str) else f'{amount:g}{_unit(row)}'


def _unit(row: Row) -> str:
    return f' {row.unit}' if row.unit else ''


def _place(other: Against, comparison: Comparison) -> str:
    """Return a label where there are several."""
    return f'{other.label}: ' if len(comparison.others) > 1 else ''


def _unknown(word: str, name: str, known: Iterable[str]) -> str:
    names = list(known)
    parts = (_hint(name, names), f'there are {", ".join(map(repr, names))}')
    return f'no {word} {name!r}; {" ".join(filter(None, parts))}'


def _hint(name: str, known: Iterable[str]) -> str:
    lowered = {one.lower(): one for one in known}
    close = difflib.get_close_matches(name.lower(), lowered, 1)
    return f'did you mean {lowered[close[0]]!r}?' if close else ''
