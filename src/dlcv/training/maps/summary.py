"""What ``dlcv map`` says at its end: what the map is worth, and what the figure means."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from pathlib import Path

from dlcv.metrics.relocalization import BOUNDS, bound_name
from dlcv.networks.place import UNMEASURED, Place, PoseSpread
from dlcv.training.maps.apart import Far
from dlcv.training.maps.calibrate import Calibration
from dlcv.training.maps.figures import Band
from dlcv.training.maps.files import MapReport
from dlcv.training.maps.places import Views


def summary(report: MapReport, far: Far, path: Path) -> str:
    """Return lines for people.

    Args:
        report: What was made.
        far: What is far from what the map learned.
        path: Where the map was written.
    """
    lines = []
    if lacking := ', '.join(f'{n} lacked the {what}' for what, n in report.left_out.items()):
        lines.append(f'pictures that could not be used: {lacking}')
    lines.append(
        f'made of {report.pictures} pictures in {report.minutes:.1f} min; its own pictures show '
        f'{report.covered:.0%} of its coordinates where they are'
    )
    lines += _worth(report, far)
    if report.bands:
        lines += ['by the distance to the nearest learned picture:', *_table(report.bands)]
    if report.refitted:
        lines.append(
            'all this was measured before the map was made again of all pictures, and is what the '
            'map is worth at least'
        )
    lines.append(_spread(report.spread))
    beside = ' and '.join(path.with_suffix(end).name for end in ('.json', '.png'))
    lines.append(f'wrote {path}, {beside}')
    return ''.join(f'{line}\n' for line in lines)


def calibrated(found: Calibration, views: Views, place: Place, path: Path) -> str:
    """Return lines for people about a map that was calibrated.

    Args:
        found: What came of it.
        views: By which pictures.
        place: What the map is of.
        path: Where it was written.
    """
    errors = found.accuracy.errors
    within = {bound_name(*bound): errors.within(*bound) for bound in BOUNDS}
    metres, degrees = errors.medians
    median = ''
    if isfinite(metres):
        median = f'; median {100 * metres:.1f} cm and {degrees:.2f} deg'
    return (
        f'the map was made of {place.source}; if none of these pictures is among them, it is worth '
        'on another walk:\n'
        f'of {len(errors.metres)} pictures of {views.source}: {shares(within)}; '
        f'{errors.answered:.0%} accepted{median}\n'
        f'of the accepted poses {found.before:.0%} lay in the ellipsoid of 95 % that the map '
        f'stated before, {found.after:.0%} do now\n'
        f'{_spread(found.spread)}\n'
        f'wrote {path}\n'
    )


def _worth(report: MapReport, far: Far) -> list[str]:
    """Say what another walk may expect, or why that is not known."""
    if not report.held_out:
        return ['nothing was held out: what the map is worth is not known']
    bound = f'{100 * far.metres:g} cm or {far.degrees:g} deg'
    if not report.far:
        return [
            (
                f'no stretch of the pictures is far enough from all others to measure the map on '
                f'(beyond {bound} from each): what it is worth on another walk is not known, and '
                f'{report.held_out} held out next to learned pictures do not tell'
            )
        ]
    stretches = '1 stretch' if report.stretches == 1 else f'{report.stretches} stretches'
    text = (
        f'of {report.far} held out, in {stretches}, each beyond {bound} from every learned '
        f'picture: {shares(report.within)}; {report.answered:.0%} accepted'
    )
    if report.median_cm is not None and report.median_deg is not None:
        text += f'; median {report.median_cm:.1f} cm and {report.median_deg:.2f} deg'
    return [
        text,
        (
            'about that is to be expected of another walk whose pictures lie about '
            f'{report.far_cm:.0f} cm and {report.far_deg:.0f} deg from the nearest learned one, '
            'as these do in the median; '
            'nearer is better, farther is worse'
        ),
    ]


def shares(within: Mapping[str, float]) -> str:
    """Return the shares of pictures as a list in words."""
    return ', '.join(f'{share:.0%} within {name}' for name, share in within.items())


def _table(bands: tuple[Band, ...]) -> list[str]:
    bounds = [bound_name(*bound) for bound in BOUNDS[:2]]
    rows = [['', 'pictures', *(f'in {name}' for name in bounds), 'accepted', 'median']]
    for band in bands:
        found = band.figure
        median = '-' if found.median_cm is None else f'{found.median_cm:.1f} cm'
        counts = [f'{found.within[name]:.0%}' for name in bounds]
        rows.append([band.name, f'{found.pictures}', *counts, f'{found.answered:.0%}', median])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        f'  {first:<{widths[0]}}  '
        + '  '.join(f'{cell:>{width}}' for cell, width in zip(rest, widths[1:], strict=True))
        for first, *rest in rows
    ]


def _spread(spread: PoseSpread | None) -> str:
    if spread is None:
        return (
            'too few poses were accepted to measure how far off they are: their deviations are '
            f'stated {UNMEASURED.translation:g} times as large as the agreement of cells says'
        )
    return (
        f'deviations of poses are stated {spread.translation:g} times (position) and '
        f'{spread.rotation:g} times (turn) as large as the agreement of cells says, as '
        f'{spread.pictures} poses of pictures that it never saw show'
    )
