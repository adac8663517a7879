"""FlowNet: optical flow from picture to picture."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np

from dlcv.cli.infer.parts import (
    Outcome,
    add_confidence,
    beside,
    enlarged,
    loading,
    option,
    settings_of,
    stack,
    warn_untrained,
)
from dlcv.types import Frame

TASK = 'optical flow between two images or more'
ARRAYS = (
    'flow (H,W,2): u right, v down, in pixels, from the first image to the second; of T > 2 '
    'images (T-1,H,W,2), each from the one before. With --confidence also confidence.'
)
OPTIONS = (
    option('resize_long_side', int, 'larger images are shrunk to this, px; 0 never (0)'),
    option('output_stride', int, 'pixels between two samples of the flow (1)', 1, 2, 4),
    option(
        'consistency_threshold', float,
        'forward-backward difference at which confidence is one half, px (1)',
    ),
    option(
        'refinement', str, 'what follows the network (none)', 'none', 'variational'
    ),
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what is no setting of the estimator."""
    add_confidence(parser)
    parser.add_argument(
        '--max-displacement', type=float, default=0.0, metavar='PX',
        help='displacement of full colour in the picture; 0 takes the longest (0)',
    )  # fmt: skip


def infer(args: argparse.Namespace, frames: Sequence[Frame]) -> Outcome:
    """Run the network on pictures."""
    from dlcv.estimation.flownet import FlowSettings
    from dlcv.estimation.load import load_flow
    from dlcv.view.flow import colour_wheel, flow_colours

    estimator = load_flow(settings=FlowSettings(**settings_of(args)), **loading(args))
    warn_untrained(args, estimator)
    outcome = Outcome()
    flows, confidences = [], []
    for i, frame in enumerate(frames):
        field = estimator.push(frame, confidence=args.confidence)
        if field is None:
            continue
        flows.append(field.flow)
        if field.confidence is not None:
            confidences.append(field.confidence)
        length = np.linalg.norm(field.flow, axis=-1)
        outcome.lines.append(
            f'image {i - 1} to {i}: flow of {np.nanmedian(length):.1f} px in the median, '
            f'{np.nanmax(length):.1f} px at most'
        )
        drawn = enlarged(flow_colours(field.flow, args.max_displacement), frame)
        legend = colour_wheel(max(16, min(drawn.shape[:2]) // 5))
        if min(drawn.shape[:2]) >= len(legend):
            corner = drawn[-legend.shape[0] :, -legend.shape[1] :]
            corner[legend.any(axis=-1)] = legend[legend.any(axis=-1)]
        outcome.pictures.append(beside(frame.image, drawn))
    outcome.arrays['flow'] = stack(flows)
    if confidences:
        outcome.arrays['confidence'] = stack(confidences)
    return outcome
