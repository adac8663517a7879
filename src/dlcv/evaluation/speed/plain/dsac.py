"""A sample consensus of one hypothesis after another (Brachmann et al., CVPR 2017)."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from dlcv.types import Camera, FloatArray

_REFINED = 100  # most inliers that a pose is fitted to, and
_STEPS = 8  # most times that it is fitted


def one_by_one(
    points: FloatArray,
    pixels: FloatArray,
    camera: Camera,
    *,
    hypotheses: int,
    threshold: float,
    seed: int,
    max_tries: int = 100_000,
) -> FloatArray | None:
    """Find the pose that most points agree on.

    Args:
        points: ``(N, 3)`` float64, metres.
        pixels: ``(N, 2)`` float64 that see them.
        camera: An ideal one.
        hypotheses: That are drawn and scored.
        threshold: Of an inlier, pixels.
        seed: Of the draws.
        max_tries: Minimal sets that are drawn at most.

    Returns:
        ``(4, 4)`` camera_from_world; None where no minimal set agreed with itself.
    """
    rng = np.random.default_rng(seed)
    best, best_score, found = None, -1.0, 0
    for _ in range(max_tries):
        if found == hypotheses:
            break
        four = rng.choice(len(points), 4, replace=False)
        good, turn, shift = cv2.solvePnP(
            points[four], pixels[four], camera.matrix, None, flags=cv2.SOLVEPNP_P3P
        )
        if not good or (_errors(points[four], pixels[four], camera, turn, shift) > threshold).any():
            continue
        found += 1
        errors = _errors(points, pixels, camera, turn, shift)
        score = float((1 / (1 + np.exp(5 / threshold * np.clip(errors, 0, 100) - 5))).sum())
        if score > best_score:
            best, best_score = (turn, shift), score
    return None if best is None else _refined(points, pixels, camera, best, threshold, rng)


def _refined(
    points: FloatArray,
    pixels: FloatArray,
    camera: Camera,
    pose: tuple[Any, Any],
    threshold: float,
    rng: np.random.Generator,
) -> FloatArray:
    """Fit the pose to its inliers again and again, until these become no more."""
    turn, shift = pose
    count = 0
    for _ in range(_STEPS):
        inliers = np.flatnonzero(_errors(points, pixels, camera, turn, shift) < threshold)
        if len(inliers) <= max(count, 3):
            break
        count = len(inliers)
        some = rng.permutation(inliers)[:_REFINED]
        _, turn, shift = cv2.solvePnP(
            points[some], pixels[some], camera.matrix, None, turn.copy(), shift.copy(),
            useExtrinsicGuess=True, flags=cv2.SOLVEPNP_ITERATIVE,
        )  # fmt: skip
    result = np.eye(4)
    result[:3, :3], result[:3, 3] = cv2.Rodrigues(turn)[0], shift[:, 0]
    return result


def _errors(
    points: FloatArray, pixels: FloatArray, camera: Camera, turn: Any, shift: Any
) -> FloatArray:
    """Return the reprojection errors ``(N,)`` in pixels."""
    projected, _ = cv2.projectPoints(points, turn, shift, camera.matrix, None)
    return np.asarray(np.linalg.norm(projected[:, 0] - pixels, axis=1))
