"""Localization: boxes around the things in each picture."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np

from dlcv.cli.infer.parts import Outcome, beside, loading, option, settings_of, warn_untrained
from dlcv.things import KIND_NUMBER, KINDS
from dlcv.types import Frame

TASK = 'boxes around things: person, vehicle, chair, table, door ...'
ARRAYS = (
    'box (N,4) left, top, right, bottom edge in pixels, kind (N,) uint8, score (N,), image (N,) '
    'the number of the image, and names (C,), names[kind] being what a thing is.'
)
OPTIONS = (
    option('detection_threshold', float, 'least score of a box (0.45)'),
    option('nms_overlap', float, 'overlap at which the weaker of two boxes goes (0.5)'),
    option('max_detections', int, 'most boxes of an image (100)'),
    option('kinds', str, f'only these, between commas, of {", ".join(KIND_NUMBER)}'),
    option('resize_long_side', int, 'shrink larger images to this, pixels; 0 for never (0)'),
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """There is nothing besides the settings of the estimator."""


def infer(args: argparse.Namespace, frames: Sequence[Frame]) -> Outcome:
    """Run the network on pictures."""
    from dlcv.estimation.load import load_localization
    from dlcv.estimation.localization import LocalizationSettings
    from dlcv.view.boxes import draw_boxes

    estimator = load_localization(
        settings=LocalizationSettings(**settings_of(args)), **loading(args)
    )
    warn_untrained(args, estimator)
    outcome = Outcome()
    all_found = [estimator.push(frame) for frame in frames]
    for name in ('box', 'kind', 'score'):
        outcome.arrays[name] = np.concatenate([getattr(found, name) for found in all_found])
    outcome.arrays['image'] = np.repeat(np.arange(len(frames)), [len(found) for found in all_found])
    outcome.arrays['names'] = np.array([one.name for one in KINDS])
    for i, (frame, found) in enumerate(zip(frames, all_found, strict=True)):
        said = ', '.join(
            f'{KINDS[kind].name} {score:.2f}'
            for kind, score in zip(found.kind, found.score, strict=True)
        )
        outcome.lines.append(f'image {i}: {said or found.reason or "nothing found"}')
        drawn = draw_boxes(frame.image, found.kind, found.box, found.score)
        outcome.pictures.append(beside(frame.image, drawn))
    return outcome
