"""Stereo: disparity of the left picture of each pair, and depth in metres."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dlcv.cli.infer.parts import (
    Outcome,
    add_confidence,
    beside,
    loading,
    note,
    option,
    positive,
    settings_of,
    stack,
    warn_untrained,
)
from dlcv.cli.main import CommandError
from dlcv.types import Frame

TASK = 'disparity of rectified pairs, and with a camera and baseline depth in metres'
ARRAYS = (
    'disparity (H,W) in pixels, and with --camera and --baseline depth (H,W) in metres (NaN '
    'unknown, -inf nearer, +inf farther than the limits), both of the left image. With '
    '--confidence also confidence. Of several pairs they are stacked, (T,H,W). The first half of '
    'the images is of the left camera, the second of the right one: two files, or two folders.'
)
OPTIONS = (
    option('min_depth', float, 'nearer is -inf, m (0.1)'),
    option('max_depth', float, 'farther is +inf, m (80)'),
    option('resize_long_side', int, 'larger images are shrunk to this, px; 0 never (640)'),
    option(
        'confidence_source', str, 'what tells how sure it is (left_right)', 'left_right', 'spread'
    ),
    option(
        'consistency_threshold', float,
        'left-right difference at which confidence is one half, px (1)',
    ),
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what is no setting of the estimator."""
    add_confidence(parser)
    parser.add_argument(
        '--baseline', type=positive, metavar='M', help='metres between the cameras, for depth'
    )


def infer(args: argparse.Namespace, frames: Sequence[Frame]) -> Outcome:
    """Run the network on pairs of pictures."""
    from dlcv.estimation.load import load_stereo
    from dlcv.estimation.stereo import StereoSettings
    from dlcv.geometry.stereo import RectifiedPair
    from dlcv.view.depth import depth_colours, disparity_colours

    estimator = load_stereo(settings=StereoSettings(**settings_of(args)), **loading(args))
    warn_untrained(args, estimator)
    outcome, maps = Outcome(), []
    for left, right in _pairs(args, frames):
        pair = RectifiedPair(left=left, right=right, baseline=args.baseline or 1.0)
        maps.append(estimator.push(pair, confidence=args.confidence))
        found = maps[-1]
        pixels = found.disparity * left.width
        said = f'disparity {np.nanmedian(pixels):.1f} px in the median'
        drawn = disparity_colours(found.disparity)
        if found.depth is not None:
            finite = found.depth[np.isfinite(found.depth)]
            middle = f'{np.median(finite):.2f} m' if finite.size else 'unknown'
            said, drawn = f'{said}, depth {middle}', depth_colours(found.depth)
        outcome.lines.append(f'pair {len(maps) - 1}: {said}')
        outcome.pictures.append(beside(left.image, drawn))
    outcome.arrays['disparity'] = stack([m.disparity * m.disparity.shape[1] for m in maps])
    if depths := [m.depth for m in maps if m.depth is not None]:
        outcome.arrays['depth'] = stack(depths)
    if confidences := [m.confidence for m in maps if m.confidence is not None]:
        outcome.arrays['confidence'] = stack(confidences)
    return outcome


def _pairs(args: argparse.Namespace, frames: Sequence[Frame]) -> list[tuple[Frame, Frame]]:
    """Return the pictures as pairs, without a camera where no depth can be had.

    Raises:
        CommandError: Their number is odd, or they are not rectified.
    """
    half, rest = divmod(len(frames), 2)
    if rest:
        raise CommandError(f'stereo needs as many right images as left ones, got {len(frames)}')
    camera = frames[0].camera
    if camera is not None and camera.distorted:
        raise CommandError(
            f'{args.camera} is of a distorted camera: stereo needs rectified images; with '
            '--rectified its projection_matrix holds'
        )
    known = camera.undistorted() if camera is not None and args.baseline else None
    if known is None:
        note('no --camera with --baseline: disparity only, no depth in metres')
    shown = [replace(frame, camera=known) for frame in frames]
    return list(zip(shown[:half], shown[half:], strict=True))
