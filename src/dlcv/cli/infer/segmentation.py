"""Segmentation: the class of each pixel of each picture."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np

from dlcv.classes import CLASSES
from dlcv.cli.infer.parts import (
    Outcome,
    beside,
    loading,
    option,
    settings_of,
    stack,
    warn_untrained,
)
from dlcv.types import Frame

TASK = 'class of each pixel: road, floor, wall, person, vehicle ...'
ARRAYS = (
    'labels (H,W) uint8 and names (C,), labels[y, x] being the place of its name, 255 where '
    'nothing is known. Of several images labels are stacked, (T,H,W).'
)
OPTIONS = (
    option('resize_long_side', int, 'shrink larger images to this, pixels; 0 for never (0)'),
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """There is nothing besides the settings of the estimator."""


def infer(args: argparse.Namespace, frames: Sequence[Frame]) -> Outcome:
    """Run the network on pictures."""
    from dlcv.estimation.load import load_segmentation
    from dlcv.estimation.segmentation import SegmentationSettings
    from dlcv.view.labels import label_colours

    settings = SegmentationSettings(**settings_of(args))
    estimator = load_segmentation(settings=settings, **loading(args))
    warn_untrained(args, estimator)
    outcome = Outcome()
    maps = [estimator.push(frame) for frame in frames]
    outcome.arrays['labels'] = stack([found.labels for found in maps])
    outcome.arrays['names'] = np.array([one.name for one in CLASSES])
    for i, (frame, found) in enumerate(zip(frames, maps, strict=True)):
        counts = np.bincount(found.labels.ravel(), minlength=256)[: len(CLASSES)]
        share = counts / found.labels.size
        most = [k for k in np.argsort(-share)[:4] if share[k] >= 0.005]
        said = ', '.join(f'{CLASSES[k].name} {100 * share[k]:.0f} %' for k in most)
        outcome.lines.append(f'image {i}: {said or found.reason}')
        outcome.pictures.append(beside(frame.image, label_colours(found.labels, frame.image)))
    return outcome
