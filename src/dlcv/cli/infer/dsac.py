"""DSAC: where in a known scene each picture was taken."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from time import perf_counter

import numpy as np

from dlcv.cli.infer.parts import (
    Outcome,
    beside,
    enlarged,
    loading,
    option,
    settings_of,
    stack,
    warn_untrained,
)
from dlcv.types import ByteImage, FloatArray, Frame, Localization

TASK = 'the pose of the camera in a known scene, which the weights are the map of'
ARRAYS = (
    'scene_coordinates (h,w,3) in metres, pose (4,4) camera to world (NaN for none), accepted, '
    'inliers, covariance (6,6). Of several images they are stacked.'
)
OPTIONS = (
    option('hypotheses', int, 'poses sampled from minimal sets (64)'),
    option('inlier_threshold', float, 'reprojection error of an inlier, px (10)'),
    option('min_inliers', int, 'a pose with fewer is rejected (100)'),
    option('min_inlier_ratio', float, 'a pose with a smaller share is rejected (0.1)'),
    option('max_tries', int, 'most minimal sets drawn for an image (10000)'),
    option('time_budget', float, 'seconds after which no more are drawn (1)'),
    option('seed', int, 'of the sampling (0)'),
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what is no setting of the estimator: nothing."""


def infer(args: argparse.Namespace, frames: Sequence[Frame]) -> Outcome:
    """Run the network on pictures."""
    from dlcv.estimation.dsac import RelocalizationSettings
    from dlcv.estimation.load import load_relocalization

    settings = RelocalizationSettings(**settings_of(args))
    estimator = load_relocalization(settings=settings, **loading(args))
    warn_untrained(args, estimator)
    outcome = Outcome()
    began = perf_counter()
    found = [estimator.push(frame) for frame in frames]
    seconds = perf_counter() - began
    outcome.arrays = {
        'scene_coordinates': stack([f.scene_coordinates for f in found]),
        'pose': stack([_or_nan(f.map_from_camera, 4) for f in found]),
        'covariance': stack([_or_nan(f.covariance, 6) for f in found]),
        'accepted': stack([np.array(f.accepted) for f in found]),
        'inliers': stack([np.array(f.inliers) for f in found]),
    }
    for i, (frame, answer) in enumerate(zip(frames, found, strict=True)):
        verdict = 'accepted' if answer.accepted else 'rejected'
        outcome.lines.append(f'image {i}: {verdict}: {answer.reason}')
        drawn = enlarged(_coordinate_colours(answer.scene_coordinates), frame)
        outcome.pictures.append(beside(frame.image, drawn))
    outcome.lines.append(_summary(found, seconds))
    return outcome


def _summary(found: Sequence[Localization], seconds: float) -> str:
    """Return in words how many pictures have a pose, by how many points, and how long it took."""
    inliers = [answer.inliers for answer in found if answer.accepted]
    agreed = f', {np.median(inliers):.0f} inliers in the median' if inliers else ''
    return (
        f'relocalized {len(inliers)} of {len(found)} images '
        f'({100 * len(inliers) / len(found):.0f} %){agreed}; {1e3 * seconds / len(found):.0f} ms '
        'an image'
    )


def _or_nan(matrix: FloatArray | None, size: int) -> FloatArray:
    return np.full((size, size), np.nan) if matrix is None else matrix


def _coordinate_colours(coordinates: FloatArray) -> ByteImage:
    """Return scene coordinates as colours: x red, y green, z blue, each over its own range."""
    flat = coordinates[np.isfinite(coordinates).all(axis=-1)]
    low, high = np.percentile(flat, (2, 98), axis=0) if len(flat) else (np.zeros(3), np.ones(3))
    level = (coordinates - low) / np.maximum(high - low, 1e-9)
    return np.asarray(np.nan_to_num(np.clip(level, 0, 1)) * 255, np.uint8)
