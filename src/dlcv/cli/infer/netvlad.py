"""NetVLAD: which known place each picture shows, or which picture of a folder it is like."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np

from dlcv.cli.infer.parts import Outcome, loading, option, settings_of, stack, warn_untrained
from dlcv.types import Frame, Recognition

TASK = 'a descriptor of the place, and the known places that are like it'
ARRAYS = (
    'descriptor (N,) of length 1. With --places also places (K,) numbers, similarity (K,) cosines, '
    'poses (K,4,4) camera to map. Of several images descriptors are stacked, and the others are '
    'places_0, places_1, ...'
)
OPTIONS = (
    option('candidates', int, 'most places that are named (5)'),
    option('min_similarity', float, 'cosine that each must have (0)'),
    option('resize_long_side', int, 'larger images are shrunk to this, px; else as trained (0)'),
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what is no setting of the estimator."""
    parser.add_argument(
        '--places', default='', metavar='PLACES', help='known places, of `dlcv places`'
    )


def infer(args: argparse.Namespace, frames: Sequence[Frame]) -> Outcome:
    """Run the network on pictures."""
    from dlcv.estimation.load import load_places
    from dlcv.estimation.netvlad import PlaceSettings
    from dlcv.estimation.places import read_places
    from dlcv.view.panel import as_rgb

    estimator = load_places(settings=PlaceSettings(**settings_of(args)), **loading(args))
    warn_untrained(args, estimator)
    if args.places:
        estimator.know(read_places(args.places))
    found = [estimator.push(frame) for frame in frames]
    outcome = Outcome(pictures=[as_rgb(frame.image) for frame in frames])
    outcome.arrays['descriptor'] = stack([answer.descriptor for answer in found])
    for i, answer in enumerate(found):
        tail = f'_{i}' if len(found) > 1 else ''
        if estimator.places is not None:
            outcome.arrays |= {
                f'places{tail}': answer.places,
                f'similarity{tail}': answer.similarity,
                f'poses{tail}': answer.map_from_camera,
            }
        said = _said(answer, found[:i], known=estimator.places is not None)
        outcome.lines.append(f'image {i}: {said}')
    return outcome


def _said(answer: Recognition, before: Sequence[Recognition], *, known: bool) -> str:
    """Return in words what an image is like: known places, or the images before it."""
    if known:
        each = zip(answer.places, answer.names, answer.similarity, strict=True)
        named = [f'place {i} {name} ({value:.3f})' for i, name, value in each]
        return f'like {", ".join(named)}' if named else 'like no known place'
    if not before:
        return f'a descriptor of {len(answer.descriptor)} values'
    cosine = np.stack([other.descriptor for other in before]) @ answer.descriptor
    best = int(cosine.argmax())
    return f'most like image {best} of those before ({cosine[best]:.3f})'
