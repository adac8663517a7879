"""DeepVO: the path of the camera through pictures."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np

from dlcv.cli.infer.parts import (
    Outcome,
    loading,
    note,
    option,
    positive,
    settings_of,
    warn_untrained,
)
from dlcv.types import Frame

TASK = 'the path of the camera through a sequence of images'
ARRAYS = (
    'poses (T,4,4), first camera from each camera, and motions (T-1,4,4), older camera from '
    'newer, in metres, optical axes (x right, y down, z forward). A motion that is not to be '
    'believed is NaN, and the pose stays. stamps (T,) are in nanoseconds.'
)
OPTIONS = (
    option('scale', float, 'factor on all translations (1)'),
    option(
        'inference_mode', str, "keep the memory or run windows (the weights' own)",
        'stateful', 'windowed',
    ),
    option('sequence_length', int, 'frame pairs of a window (5)'),
    option('max_linear_speed', float, 'a faster motion is not believed, m/s (40)'),
    option('max_angular_speed', float, 'a faster turn is not believed, rad/s (3.5)'),
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what is no setting of the estimator."""
    parser.add_argument(
        '--rate', type=positive, metavar='HZ',
        help='images in a second, for the speed limits (what their names say, else 10)',
    )  # fmt: skip


def infer(args: argparse.Namespace, frames: Sequence[Frame]) -> Outcome:
    """Run the network on pictures."""
    from dlcv.estimation.deepvo import OdometrySettings
    from dlcv.estimation.load import load_odometry
    from dlcv.types import Lost, Motion
    from dlcv.view.trajectory import path_length, trajectory_plot

    stamps = np.array([frame.stamp_ns for frame in frames], np.int64)
    # images are taken to be neighbours, however far apart
    limit = 1.5e-9 * float(np.diff(stamps).max())
    settings = OdometrySettings(**settings_of(args), max_frame_interval=limit)
    estimator = load_odometry(settings=settings, **loading(args))
    warn_untrained(args, estimator)
    motions, poses = [], []
    for i, frame in enumerate(frames):
        found = estimator.push(frame)
        poses.append(estimator.odom_from_camera)
        if isinstance(found, Motion):
            motions.append(found.previous_from_current)
        elif i > 0:  # also the first that is not lost: no motion leads to it
            motions.append(np.full((4, 4), np.nan))
        if isinstance(found, Lost):
            note(f'image {i}: lost: {found.reason}')
    path = np.stack(poses)
    lost = sum(bool(np.isnan(motion).any()) for motion in motions)
    return Outcome(
        arrays={'poses': path, 'motions': np.stack(motions), 'stamps': stamps},
        pictures=[trajectory_plot({'DeepVO': path})] if args.view else [],
        lines=[f'{len(poses)} poses over {path_length(path):.2f} m, lost {lost} times'],
    )
