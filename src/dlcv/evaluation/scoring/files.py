"""An evaluation as JSON, and back."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dlcv.config import ConfigError, from_dict
from dlcv.evaluation.scoring.model import SCHEMA, Evaluation, Metric, NodeResult, Section
from dlcv.files import TextError, read_text, write_whole

DIGITS = 7  # significant, of samples


class EvaluationError(ValueError):
    """An evaluation cannot be made or read; the message says why."""


def write_json(evaluation: Evaluation, path: Path) -> None:
    """Write all but pictures, plots and paths.

    A number that is none (a NaN, an infinity) is null.
    """
    data = {
        'schema': SCHEMA,
        'title': evaluation.title,
        'mode': evaluation.mode,
        'facts': dict(evaluation.facts),
        'warnings': list(evaluation.warnings),
        'nodes': [asdict(node) for node in evaluation.nodes],
        'sections': [
            {
                'name': section.name,
                'title': section.title,
                'notes': list(section.notes),
                'metrics': [asdict(metric) for metric in section.metrics],
            }
            for section in evaluation.sections
        ],
    }
    text = json.dumps(_plain(data), indent=1, ensure_ascii=False, allow_nan=False)
    write_whole(path, text + '\n')


def read_json(path: Path) -> Evaluation:
    """Read what `write_json` wrote.

    Raises:
        EvaluationError: There is no such file, or it is of another schema.
    """
    try:
        data = json.loads(read_text(path))
    except (OSError, TextError, json.JSONDecodeError) as err:
        raise EvaluationError(f'{path}: {err}') from err
    schema = data.get('schema') if isinstance(data, dict) else None
    if schema != SCHEMA:
        raise EvaluationError(f'{path}: schema {schema!r}; read is {SCHEMA!r}')
    try:
        return Evaluation(
            title=data['title'],
            mode=data['mode'],
            facts=data['facts'],
            nodes=tuple(from_dict(_known(node), NodeResult) for node in data['nodes']),
            sections=tuple(
                Section(
                    name=section['name'],
                    title=section['title'],
                    notes=tuple(section['notes']),
                    metrics=tuple(from_dict(_known(m), Metric) for m in section['metrics']),
                )
                for section in data['sections']
            ),
            warnings=tuple(data['warnings']),
        )
    except (KeyError, TypeError, ConfigError) as err:
        raise EvaluationError(f'{path}: it is not what its schema says: {err}') from err


def _plain(value: Any) -> Any:
    """Return a value as JSON knows it."""
    if isinstance(value, float):
        return float(f'{value:.{DIGITS}g}') if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _known(data: dict[str, Any]) -> dict[str, Any]:
    """Return data with NaN where a list of numbers has null."""
    return {
        key: [math.nan if item is None else item for item in value]
        if isinstance(value, list)
        else value
        for key, value in data.items()
    }
