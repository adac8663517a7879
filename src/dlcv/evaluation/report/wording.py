"""How the numbers of an evaluation are said, on the page and in the terminal."""

from __future__ import annotations

from math import isfinite, nan

from dlcv.evaluation.scoring.model import Evaluation, Metric, NodeResult

NOTHING = '\N{EN DASH}'
MODES = {
    'lock-step': 'Lock-step: each image waited until every node had answered the last one.',
    'real-time': 'Real time: the images came at their own rate, whether nodes kept up or not.',
    'in-process': 'In process: the estimators alone, without ROS.',
    'recording': 'A recording of outputs: nothing was run again.',
}
ARROWS = {'high': '\N{UPWARDS ARROW}', 'low': '\N{DOWNWARDS ARROW}', '': ''}
TRAINED = {True: 'trained', False: 'UNTRAINED', None: 'not told'}


def short(value: float | None) -> str:
    """Return about three digits of a number: ``0.41``, ``12.3``, ``1234``."""
    if value is None or not isfinite(value):
        return NOTHING
    size = abs(value)
    return f'{value:.{0 if size >= 100 else 1 if size >= 10 else 2}f}'


def percent(share: float) -> str:
    """Return a share of 1; only all is ``100 %``, and only nothing is ``0 %``."""
    if not isfinite(share):
        return NOTHING
    if share in {0.0, 1.0}:
        return f'{share:.0%}'.replace('%', ' %')
    return f'{min(max(100 * share, 0.1), 99.9):.1f} %'


def availability(node: NodeResult) -> float:
    """Return which share of its images a node answered; NaN where it was shown none."""
    return node.answered / node.images if node.images else nan


def has_value(metric: Metric) -> bool:
    """Return whether a metric has a number to show."""
    return metric.value is not None and isfinite(metric.value)


def value(metric: Metric) -> str:
    """Return a metric's number without its unit; why there is none where there is none."""
    if metric.value is not None and isfinite(metric.value):
        return f'{metric.value:.{metric.digits}f}'
    return metric.why or 'not computed'


def definition(metric: Metric) -> str:
    """Return what a metric is, who said so, and of how many numbers its value is."""
    basis = (
        f'n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{len(metric.samples):,}' if metric.samples else ''
    )
    return ' \N{MIDDLE DOT} '.join(filter(None, (metric.doc, metric.source, basis)))


def untrained(evaluation: Evaluation) -> list[str]:
    """Return the names of the nodes that ran untrained networks."""
    return [node.name for node in evaluation.nodes if node.trained is False]


def outcomes(evaluation: Evaluation) -> list[str]:
    """Return all that became of images, in the order in which the nodes name it."""
    return list(dict.fromkeys(name for node in evaluation.nodes for name in node.outcomes))


def headline(metrics: tuple[Metric, ...]) -> Metric | None:
    """Return the metric that stands for a section: its first with a value, else its first."""
    return next(filter(has_value, metrics), metrics[0] if metrics else None)


def verdict(evaluation: Evaluation) -> str:
    """Return in a sentence how many nodes answered, and which of them least."""
    nodes = evaluation.nodes
    if not nodes:
        return 'No node took part.'
    silent = [node.name for node in nodes if not node.answered]
    heard = f'{len(nodes) - len(silent)} of {len(nodes)} nodes answered'
    if silent:
        return f'{heard}; no answer from {", ".join(silent)}.'
    least = min(nodes, key=availability)
    if least.answered >= least.images:
        return f'{heard} every image.'
    return f'{heard}; least: {least.name}, {percent(availability(least))} of {least.images} images.'
