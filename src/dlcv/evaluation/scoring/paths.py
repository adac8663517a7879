"""Paths as plots: from above, of one odometry or of several beside each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from dlcv.evaluation.scoring.model import Plot, Series
from dlcv.metrics.trajectory import PosePairs, align
from dlcv.types import FloatArray


def from_above(paths: Sequence[tuple[str, FloatArray, bool]]) -> Plot:
    """Return paths in the plane in which the first of them extends most: some worlds have no up.

    Args:
        paths: Of each its name, ``(N, 4, 4)`` poses, and whether it is the truth.
    """
    extents = np.ptp(paths[0][1][:, :3, 3], axis=0)
    first, second = sorted(np.argsort(-extents, kind='stable')[:2].tolist())
    return Plot(
        title='Path from above' if (first, second) == (0, 1) else 'Path',
        x=f'{"xyz"[first]} (m)',
        y=f'{"xyz"[second]} (m)',
        equal=True,
        series=tuple(
            Series(
                name=name,
                x=poses[:, first, 3],
                y=poses[:, second, 3],
                style='truth' if true else 'line',
            )
            for name, poses, true in paths
        ),
    )


def beside_each_other(found: Mapping[str, PosePairs]) -> Plot | None:
    """Return the paths of several odometries from one first pose; None of fewer than two.

    Args:
        found: Name -> its poses with the true ones; the truth is drawn once, that of the first.
    """
    usable = {name: pairs for name, pairs in found.items() if len(pairs) > 1}
    if len(usable) < 2:
        return None
    truth = next(iter(usable.values())).truth
    ways = [(name, align(p, 'origin')(p.estimate), False) for name, p in usable.items()]
    plot = from_above([('truth', truth, True), *ways])
    return replace(plot, title=f'{plot.title}, all odometries')
