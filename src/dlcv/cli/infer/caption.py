"""Description: sentences about what each picture shows."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np

from dlcv.cli.infer.parts import Outcome, loading, option, settings_of, warn_untrained
from dlcv.types import Frame

TASK = 'sentences: the place, what stands where, how far, what moves'
ARRAYS = (
    'captions (T,) sentences and confidence (T,) of each in [0, 1], the geometric mean of its '
    'words; NaN where the image shows nothing.'
)
OPTIONS = (
    option('beams', int, 'beginnings of sentences that are followed (5)'),
    option('longest', int, 'most words (60)'),
    option('length_power', float, 'of the length that log likelihood is divided by; 0: paper (1)'),
    option('min_confidence', float, 'confidence below which nothing is said (0)'),
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """There is nothing besides the settings of the estimator."""


def infer(args: argparse.Namespace, frames: Sequence[Frame]) -> Outcome:
    """Run the network on pictures."""
    from dlcv.estimation.caption import CaptionSettings
    from dlcv.estimation.load import load_captions
    from dlcv.view.panel import caption

    estimator = load_captions(settings=CaptionSettings(**settings_of(args)), **loading(args))
    warn_untrained(args, estimator)
    outcome = Outcome()
    told = [estimator.push(frame) for frame in frames]
    outcome.arrays['captions'] = np.array([one.text for one in told])
    outcome.arrays['confidence'] = np.array([one.confidence for one in told])
    for i, (frame, one) in enumerate(zip(frames, told, strict=True)):
        outcome.lines.append(f'image {i}: {one.text or one.reason}')
        outcome.pictures.append(caption(frame.image, one.text))
    return outcome
