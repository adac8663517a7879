"""Monodepth: disparity, and depth in metres, of each picture."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np

from dlcv.cli.infer.parts import (
    Outcome,
    add_confidence,
    beside,
    loading,
    option,
    settings_of,
    stack,
    warn_untrained,
)
from dlcv.interface.parameters import MonodepthParameters
from dlcv.types import Frame

TASK = 'disparity, and with a camera depth in metres'
ARRAYS = (
    'disparity (H,W), a fraction of the image width, and with --camera depth (H,W) in metres '
    '(NaN unknown, -inf nearer, +inf farther than the limits), both of the rectified image. '
    'With --confidence also confidence. Of several images they are stacked, (T,H,W).'
)
OPTIONS = (
    option('min_depth', float, 'nearer is -inf, m (0.1)'),
    option('max_depth', float, 'farther is +inf, m (80)'),
    option(
        'scale_mode', str, 'where the scale comes from (metric)',
        'metric', 'fixed', 'camera_height',
    ),
    option('scale', float, 'factor on the depth; means --scale-mode fixed (1)'),
    option(
        'camera_height', float,
        'metres over the ground; means --scale-mode camera_height (1.5)',
    ),
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what is no setting of the estimator."""
    add_confidence(parser)
    parser.add_argument(
        '--pp',
        action=argparse.BooleanOptionalAction,
        default=MonodepthParameters().pp,
        help='blend with the disparity of the mirrored image, as the node does',
    )


def infer(args: argparse.Namespace, frames: Sequence[Frame]) -> Outcome:
    """Run the network on pictures."""
    from dlcv.estimation.load import load_depth
    from dlcv.estimation.monodepth import DepthSettings
    from dlcv.view.depth import depth_colours, disparity_colours

    estimator = load_depth(settings=DepthSettings(**settings_of(args), pp=args.pp), **loading(args))
    warn_untrained(args, estimator)
    outcome = Outcome()
    maps = [estimator.push(frame, confidence=args.confidence) for frame in frames]
    outcome.arrays['disparity'] = stack([m.disparity for m in maps])
    depths = [m.depth for m in maps if m.depth is not None]
    if depths:
        outcome.arrays['depth'] = stack(depths)
    confidences = [m.confidence for m in maps if m.confidence is not None]
    if confidences:
        outcome.arrays['confidence'] = stack(confidences)
    for i, (frame, found) in enumerate(zip(frames, maps, strict=True)):
        if found.depth is None:
            said = f'disparity {np.nanmedian(found.disparity):.4f} of the width in the median'
            drawn = disparity_colours(found.disparity)
        else:
            finite = found.depth[np.isfinite(found.depth)]
            middle = f'{np.median(finite):.2f} m' if finite.size else 'unknown'
            said, drawn = f'depth {middle} in the median', depth_colours(found.depth)
        outcome.lines.append(f'image {i}: {said}')
        outcome.pictures.append(beside(frame.image, drawn))
    return outcome
