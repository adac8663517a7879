"""Write the page: one HTML file that needs nothing else, and the same numbers as JSON."""

from __future__ import annotations

import base64
import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from importlib import resources
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from dlcv import __version__
from dlcv.report.collect import NodeSummary, Summary
from dlcv.types import ByteImage

SCHEMA = 'dlcv-report/1'
HEAD = ('node', 'answered', 'rate Hz', 'inference ms', 'latency ms', 'dropped', 'weights')


def write_report(summary: Summary, folder: Path, *, title: str, command: str = '') -> Path:
    """Write ``index.html`` and ``report.json`` and return the path of the page.

    Args:
        summary: What to show.
        folder: Where; made when missing.
        title: Headline.
        command: The command that made the recording.
    """
    from jinja2 import Environment

    folder.mkdir(parents=True, exist_ok=True)
    facts = _facts(summary, command)
    source = resources.files('dlcv.report').joinpath('page.html').read_text()
    page = Environment(autoescape=True).from_string(source)
    html = page.render(
        title=title,
        facts=facts,
        head=HEAD,
        rows=rows(summary.nodes),
        untrained=summary.untrained,
        trajectory=_trajectory_picture(summary),
        samples=[
            {
                'time': f'{(s.stamp_ns - summary.samples[0].stamp_ns) / 1e9:+.2f} s',
                'pictures': [{'name': name, 'data': _jpeg(image)} for name, image in s.pictures],
            }
            for s in summary.samples
        ],
        messages=[(node.name, node.message) for node in summary.nodes],
    )
    (folder / 'index.html').write_text(html)
    (folder / 'report.json').write_text(json.dumps(_json(summary, facts), indent=2) + '\n')
    return folder / 'index.html'


def rows(nodes: Sequence[NodeSummary]) -> list[tuple[str, ...]]:
    """Return the table's rows as text, in the order of `HEAD`."""
    weights = {True: 'trained', False: 'UNTRAINED', None: '?'}
    return [
        (
            node.name,
            f'{node.answered} of {node.images}',
            f'{node.hertz:.2f}',
            _times(node.inference_ms),
            _times(node.latency_ms),
            str(node.dropped),
            weights[node.trained],
        )
        for node in nodes
    ]


def table(summary: Summary) -> str:
    """Return the table as plain text with aligned columns."""
    lines = [HEAD, *rows(summary.nodes)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEAD))]
    return '\n'.join(
        '  '.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _times(values: Sequence[float]) -> str:
    return ' / '.join('-' if np.isnan(value) else f'{value:.0f}' for value in values)


def _facts(summary: Summary, command: str) -> dict[str, str]:
    facts = {
        'recording': str(summary.bag),
        'images': f'{summary.image_topic}, {summary.seconds:.1f} s',
        'written': datetime.now(timezone.utc).strftime('%Y-%m-%d %H:%M UTC'),
        'dlcv': __version__,
        'python': platform.python_version(),
        'host': f'{platform.system()} {platform.machine()}, {os.cpu_count()} cores',
    }
    if command:
        facts['command'] = command
    if any(node.name == 'dsac' for node in summary.nodes):
        facts['relocalized'] = f'{summary.poses} poses accepted'
        if (error := summary.relocalization_error) is not None:
            facts['relocalized'] += f', median {error:.2f} m from the truth'
    return facts


def _json(summary: Summary, facts: dict[str, str]) -> dict[str, Any]:
    nodes = [asdict(node) for node in summary.nodes]
    for node in nodes:
        for key in ('inference_ms', 'latency_ms'):
            node[key] = [None if np.isnan(value) else value for value in node[key]]
    return {'schema': SCHEMA, 'facts': facts, 'nodes': nodes, 'untrained': summary.untrained}


def _jpeg(image: ByteImage) -> str:
    """Return an RGB or grey image as the body of a data URL."""
    import cv2

    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR if image.ndim == 3 else cv2.COLOR_GRAY2BGR)
    data = cv2.imencode('.jpg', bgr, [cv2.IMWRITE_JPEG_QUALITY, 88])[1]
    return base64.b64encode(data.tobytes()).decode()


def _trajectory_picture(summary: Summary) -> str:
    """Return an SVG of the paths seen from above; empty without any."""
    estimate, truth = summary.estimate, summary.truth
    if estimate is None and truth is None:
        return ''
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 5), layout='constrained')
    axes = figure.add_subplot()
    for name, path, style in (('truth', truth, '--'), ('DeepVO', estimate, '-')):
        if path is not None:
            x, y = path.world_from_body[:, 0, 3], path.world_from_body[:, 1, 3]
            axes.plot(x, y, style, label=name, linewidth=2)
            axes.plot(x[-1:], y[-1:], 'o', color=axes.lines[-1].get_color(), markersize=5)
    if truth is not None and summary.relocalized is not None:  # else they are in other frames
        x, y = summary.relocalized.world_from_body[:, :2, 3].T
        axes.plot(x, y, 'x', color='tab:green', label='relocalized', markersize=5)
    axes.plot([0], [0], 'k+', markersize=10, label='start')
    axes.set_xlabel('x forward [m]')
    axes.set_ylabel('y left [m]')
    axes.set_aspect('equal', adjustable='datalim')
    axes.grid(alpha=0.3)
    axes.legend()
    out = BytesIO()
    canvas: Any = FigureCanvasSVG(figure)  # untyped
    canvas.print_svg(out, metadata={'Date': None})
    text = out.getvalue().decode()
    return text[text.index('<svg') :]
