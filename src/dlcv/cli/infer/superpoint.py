"""SuperPoint: keypoints, descriptors, and matches from picture to picture."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np

from dlcv.cli.infer.parts import Outcome, loading, option, settings_of, warn_untrained
from dlcv.types import Frame

TASK = 'keypoints and descriptors, and matches between images'
ARRAYS = (
    'keypoints (N,2) x y in pixels, scores (N,), descriptors (N,256); with --camera also rays '
    '(N,3), z = 1. Of several images each has its own, keypoints_0, keypoints_1, ..., and '
    'matches_1 (M,4) holds x y in image 0 and x y in image 1.'
)
OPTIONS = (
    option('max_keypoints', int, 'most keypoints of an image (1024)'),
    option('detection_threshold', float, 'smallest score (0.005)'),
    option('nms_radius', int, 'distance within which only the strongest stays, px (4)'),
    option('remove_borders', int, 'margin without keypoints, px (4)'),
    option('resize_long_side', int, 'larger images are shrunk to this, px; 0 never (640)'),
    option('match_ratio', float, 'largest ratio of best to second-best distance (0.9)'),
    option('pipeline', str, 'how keypoints are picked (dense)', 'dense', 'demo'),
    option('subpixel', str, 'between the pixels; auto: as published', 'auto', 'on', 'off'),
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what is no setting of the estimator: nothing."""


def infer(args: argparse.Namespace, frames: Sequence[Frame]) -> Outcome:
    """Run the network on pictures."""
    from dlcv.estimation.load import load_features
    from dlcv.estimation.superpoint import FeatureSettings
    from dlcv.view.features import draw_keypoints, draw_tracks

    estimator = load_features(settings=FeatureSettings(**settings_of(args)), **loading(args))
    warn_untrained(args, estimator)
    outcome = Outcome()
    last = None
    for i, frame in enumerate(frames):
        tail = f'_{i}' if len(frames) > 1 else ''
        found = estimator.push(frame)
        outcome.arrays |= {
            f'keypoints{tail}': found.xy,
            f'scores{tail}': found.scores,
            f'descriptors{tail}': found.descriptors,
        }
        if found.rays is not None:
            outcome.arrays[f'rays{tail}'] = found.rays
        said = f'image {i}: {len(found.xy)} keypoints'
        picture = draw_keypoints(frame.image, found.xy, found.scores)
        if last is not None:
            matches = estimator.match(last, found)
            pairs = np.concatenate((matches.previous_xy, matches.xy), axis=1)
            outcome.arrays[f'matches{tail}'] = pairs
            said += f', {len(pairs)} matches with image {i - 1}'
            picture = draw_tracks(picture, matches.previous_xy, matches.xy)
        last = found
        outcome.lines.append(said)
        outcome.pictures.append(picture)
    return outcome
