"""The suite in one table: each network's figure beside the classical method's, from the reports.

A figure stands here for what a user would do with the network; the model cards have all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dlcv.evaluation.bench.report import Table, printed, read_json
from dlcv.metrics.quantity import Quantity

LENGTHS = 'is given every true length'
HEAD = ('what', 'on', 'figure', 'ours', 'classical')


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One comparison.

    Attributes:
        what: The task, for a reader who knows none of the networks.
        on: The pictures.
        report: File among the reports.
        table: Of that report.
        column: Of that table.
        ours: Row of the network.
        classical: Row of what a user would take instead.
        note: What a reader must know of the classical row; empty for nothing.
    """

    what: str
    on: str
    report: str
    table: str
    column: str
    ours: str
    classical: str
    note: str = ''


def _line(what: str, on: str, place: str, ours: str, classical: str, note: str = '') -> Line:
    report, table, column = place.split('|')
    return Line(
        what=what,
        on=on,
        report=f'{report}.json',
        table=table,
        column=column,
        ours=ours,
        classical=classical,
        note=note,
    )


LINES = (
    _line('features', '120 pairs of photos', 'superpoint|photos|NN mAP', 'SuperPoint', 'SIFT'),
    _line('features', 'the same', 'superpoint|photos|H@3', 'SuperPoint', 'SIFT'),
    _line(
        'features',
        'the 60 with another viewpoint',
        'superpoint|photos/viewpoint|H@3',
        'SuperPoint',
        'SIFT',
    ),
    _line('flow', '60 layered scenes', 'flownet|layers|EPE', 'flownet_s+v', 'DIS'),
    _line('flow', '40 pairs of generated worlds', 'flownet|world|EPE', 'flownet_s+v', 'DIS'),
    _line('depth', 'pictures of worlds', 'monodepth|world|Abs Rel', 'monodepth+pp', 'mean depth'),
    _line(
        'depth, scaled',
        'KITTI raw 0001',
        'monodepth|kitti_raw_0001_416x128|Abs Rel',
        'monodepth+pp, scaled',
        'mean depth, scaled',
    ),
    _line(
        'odometry, stereo',
        'a generated walk',
        'odometry|world-walk|t_rel',
        'visual_odometry, stereo',
        'SIFT, five points',
        LENGTHS,
    ),
    _line(
        'odometry, stereo',
        'a generated street',
        'odometry|world-car|t_rel',
        'visual_odometry, stereo',
        'SIFT, five points',
        LENGTHS,
    ),
    _line(
        "odometry, the camera's height",
        'KITTI raw 0001',
        'odometry|kitti_raw_0001_416x128|t_rel',
        'visual_odometry, camera_height',
        'SIFT, five points',
        LENGTHS,
    ),
    _line(
        'odometry by one network',
        'KITTI raw 0001',
        'odometry|kitti_raw_0001_416x128|t_rel',
        'deepvo',
        'SIFT, five points',
        LENGTHS,
    ),
    _line(
        'relocalization',
        'another walk through a generated room',
        'relocalization|world-room|5 cm, 5 deg',
        'landmarks, PnP',
        'SIFT, PnP',
    ),
    _line(
        'relocalization',
        'a part of the red kitchen of 7-Scenes',
        'relocalization|7scenes_redkitchen|5 cm, 5 deg',
        'landmarks, PnP',
        'SIFT, PnP',
    ),
    _line(
        'labels of pixels', 'pictures of worlds', 'fcn|world|mean IoU', 'fcn', 'nearest neighbours'
    ),
    _line(
        'boxes around things',
        'pictures of worlds',
        'fcos|world|mAP@.5',
        'fcos',
        "HOG, OpenCV's people",
        'knows people alone',
    ),
)


def summary(folder: Path) -> str:
    """Return the table in Markdown, the better of two figures bold.

    Args:
        folder: Where the reports lie.

    Raises:
        BenchError: A report, table, row or column is not there.
    """
    reports = {name: read_json(folder / name) for name in {line.report for line in LINES}}
    rows: list[tuple[str, ...]] = [HEAD, ('---',) * 3 + ('---:',) * 2]
    rows += [_row(line, reports[line.report].table(line.table)) for line in LINES]
    return '\n'.join(f'| {" | ".join(row)} |' for row in rows)


def _row(line: Line, table: Table) -> tuple[str, ...]:
    (column,) = (c for c in table.columns if c.name == line.column)
    values = [table.value(row, line.column) for row in (line.ours, line.classical)]
    ours, classical = _marked(column, values)
    note = f' ({line.note})' if line.note else ''
    named = f'{classical} {line.classical}{note}'
    return line.what, line.on, column.title, f'{ours} {line.ours}', named


def _marked(column: Quantity, values: list[float | None]) -> list[str]:
    texts = [printed(column, value) for value in values]
    known = [float(text) for text in texts if text != '-']
    best = max(known, default=0) if column.better == 'high' else min(known, default=0)
    return [f'**{text}**' if text != '-' and float(text) == best else text for text in texts]
