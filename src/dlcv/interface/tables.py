"""The contract as Markdown, for the README and ``dlcv nodes``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dlcv.interface.arguments import ARGUMENTS
from dlcv.interface.nodes import NODES, QOS_TEXT, NodeSpec, Topic
from dlcv.interface.parameters import TYPE_NAMES, CommonParameters, Parameter, describe

BEGIN, END = '<!-- tables: begin, written by `make docs` -->', '<!-- tables: end -->'


def markdown() -> str:
    """Return all tables: common parameters, then each node, then the launch arguments."""
    common = list(describe(CommonParameters))
    parts = ['### Parameters of every node', '', _parameters(common)]
    for spec in NODES.values():
        parts += ['', f'### `{spec.name}`', '', *_node(spec, {p.name for p in common})]
    parts += ['', '### Launch arguments', '', _arguments()]
    return '\n'.join(parts) + '\n'


def insert(document: str) -> str:
    """Return ``document`` with the tables between its two marks renewed.

    Raises:
        ValueError: If a mark is missing.
    """
    if BEGIN not in document or END not in document:
        raise ValueError(f'the document has no place for the tables: {BEGIN} ... {END}')
    before, rest = document.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    return f'{before}{BEGIN}\n\n{markdown()}\n{END}{after}'


def _node(spec: NodeSpec, common: set[str]) -> list[str]:
    own = [p for p in describe(spec.parameters) if p.name not in common]
    services = [(f'`{s.name}`', s.type, s.doc) for s in spec.services]
    return [
        f'{spec.doc} `ros2 run dlcv_bringup {spec.executable}`',
        *_weights(spec),
        '',
        _topics('subscribes', spec.inputs),
        '',
        _topics('publishes', spec.outputs),
        '',
        _table(('service', 'type', 'what it does'), services),
        '',
        _parameters(own),
    ]


def _weights(spec: NodeSpec) -> list[str]:
    """Return what `weights` may name, where there is a choice."""
    first, *others = (f'`{name}`' for name in spec.weights)
    return ['', f'Shipped weights: {first} (default), {", ".join(others)}.'] if others else []


def _topics(verb: str, topics: Iterable[Topic]) -> str:
    rows = [
        (f'`{t.name}`', t.type, QOS_TEXT[t.qos], t.doc + (f' When: {t.when}.' if t.when else ''))
        for t in topics
    ]
    return _table((verb, 'type', 'QoS', 'content'), rows)


def _parameters(parameters: Iterable[Parameter]) -> str:
    rows = [
        (
            f'`{p.name}`',
            TYPE_NAMES.get(type(p.default), 'double[]'),
            f'`{_default(p)}`',
            p.range_text,
            'yes' if p.dynamic else '',
            p.doc,
        )
        for p in parameters
    ]
    return _table(('parameter', 'type', 'default', 'range', 'live', 'what it does'), rows)


def _default(p: Parameter) -> str:
    if isinstance(p.default, bool):
        return str(p.default).lower()
    if isinstance(p.default, tuple):
        return str(list(p.default))
    return str(p.default) or '""'


def _arguments() -> str:
    rows = [(f'`{a.name}`', f'`{a.default or chr(34) * 2}`', a.doc) for a in ARGUMENTS]
    return _table(('argument', 'default', 'what it does'), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ['---'] * len(head), *rows]
    return '\n'.join(f'| {" | ".join(cell.replace("|", "/") for cell in line)} |' for line in lines)
