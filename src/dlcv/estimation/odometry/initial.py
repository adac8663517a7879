"""Poses from a few points that are drawn at random, for when no prediction holds.

Which of three motions a pair of pictures shows - a turn, a motion before a plane, a motion before a
scene - is told by the criterion of Torr ("Geometric motion segmentation and model selection",
1998): the residuals, plus a price for what each leaves free.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from dlcv.geometry.frames import inverse
from dlcv.geometry.trajectory import rigid
from dlcv.types import FloatArray

Matrix = npt.NDArray[np.float64]

LEAST = 8
"""Points without which there is no pose."""

_TRIES, _CONFIDENCE = 200, 0.999
_POSE = 2.0  # pixels: a pose by three points of uncertain depth is rough
_EPIPOLAR = 0.5  # pixels: more ruins the direction of the translation
_PLANE = 1.5  # pixels
_NOISE = 0.35  # pixels, of a point in two pictures
_FLAT = 1e6  # condition of a homography that takes a plane to a line
_TURN_STEPS = 5


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Pair:
    """The motion that a pair of pictures shows.

    Attributes:
        older_from_newer: ``(4, 4)``, its shift of length one, or zero for a turn.
        kind: What explains the pair best.
    """

    older_from_newer: Matrix
    kind: Literal['turn', 'plane', 'scene']


def pose_of_points(points: FloatArray, xy: FloatArray, focal: float) -> Matrix | None:
    """Return the pose from which points of known depth are seen (P3P in RANSAC), or None.

    Args:
        points: ``(N, 3)`` in the window.
        xy: ``(N, 2)`` x/z and y/z in the camera.
        focal: Pixels per unit of ``xy``.

    Returns:
        ``(4, 4)`` window_from_camera.
    """
    if len(points) < LEAST:
        return None
    cv2.setRNGSeed(0)
    found, turn, shift, inliers = cv2.solvePnPRansac(
        np.ascontiguousarray(points),
        np.ascontiguousarray(xy),
        np.eye(3),
        None,
        iterationsCount=_TRIES,
        reprojectionError=_POSE / focal,
        confidence=_CONFIDENCE,
        flags=cv2.SOLVEPNP_AP3P,
    )
    if not found or inliers is None or len(inliers) < LEAST:
        return None
    return _inverted(_real(cv2.Rodrigues(turn)[0]), _real(shift[:, 0]))


def motions_of_rays(earlier: FloatArray, later: FloatArray, focal: float) -> list[Pair]:
    """Return the motions that two pictures may show, from rays alone: one if it is told apart.

    A plane leaves two, and the five points of the general motion find one of them or another.

    Args:
        earlier: ``(N, 2)`` x/z and y/z in the older camera.
        later: ``(N, 2)`` in the newer one.
        focal: Pixels per unit of them.
    """
    if len(earlier) < LEAST:
        return []
    first, second = _real(earlier), _real(later)
    noise = _NOISE / focal
    turn = turn_of_rays(first, second, noise)
    turned = np.eye(4)
    turned[:3, :3] = turn
    models: list[tuple[float, list[Pair]]] = [
        (
            _criterion(_carried(turn.T, first, second), noise, dimensions=2, free=3),
            [Pair(older_from_newer=turned, kind='turn')],
        )
    ]
    scene, squared = _before_scene(first, second, focal)
    if scene:
        models.append((_criterion(squared, noise, dimensions=3, free=5), scene))
    planes, squared = _before_plane(first, second, focal)
    if len(squared):
        models.append((_criterion(squared, noise, dimensions=2, free=8), [*planes, *scene]))
    return min(models, key=lambda one: one[0])[1]


def possible_motions(earlier: FloatArray, later: FloatArray, focal: float) -> list[Matrix]:
    """Return all motions that two pictures may show, whichever explains them best.

    Those of a plane, that of five points, and one whose turn is the turn that most rays agree with:
    with little parallax, far points tell it better than the others do.

    Args:
        earlier: ``(N, 2)`` x/z and y/z in the older camera.
        later: ``(N, 2)`` in the newer one.
        focal: Pixels per unit of them.

    Returns:
        ``(4, 4)`` older_from_newer, their shifts of length one.
    """
    if len(earlier) < LEAST:
        return []
    first, second = _real(earlier), _real(later)
    turn = turn_of_rays(first, second, _NOISE / focal)
    pairs = [*_before_plane(first, second, focal)[0], *_before_scene(first, second, focal)[0]]
    return [_shifted(turn, first, second), *(one.older_from_newer for one in pairs)]


def turn_of_rays(first: Matrix, second: Matrix, noise: float) -> Matrix:
    """Return the turn ``(3, 3)`` older_from_newer that most rays agree with.

    Args:
        first: ``(N, 2)`` x/z and y/z in the older camera.
        second: ``(N, 2)`` in the newer one.
        noise: Standard deviation of them.
    """
    before, after = (_unit(np.column_stack((xy, np.ones(len(xy))))) for xy in (first, second))
    weight = np.ones(len(before))
    turn = np.eye(3)
    for _ in range(_TURN_STEPS):
        turn = Rotation.align_vectors(before, after, weights=weight)[0].as_matrix()
        off = np.linalg.norm(before - after @ turn.T, axis=1)
        width = max(noise, float(np.median(off)))
        weight = 1 / (1 + np.square(off / width))
    return np.asarray(turn, np.float64)


def _criterion(squared: Matrix, noise: float, *, dimensions: int, free: int) -> float:
    """Return Torr's GRIC of squared residuals ``(N,)``; the least is the best.

    Args:
        squared: Of four measured numbers a point.
        noise: Standard deviation of each.
        dimensions: Of what the model leaves of the four.
        free: Numbers that the model has.
    """
    count = len(squared)
    robust = np.minimum(squared / noise**2, 2 * (4 - dimensions))
    return float(robust.sum() + count * dimensions * np.log(4) + free * np.log(4 * count))


def _carried(newer_from_older: Matrix, first: Matrix, second: Matrix) -> Matrix:
    """Return ``(N,)`` squared distances in both pictures after a homography, halved."""
    back = np.linalg.inv(newer_from_older)
    total = np.zeros(len(first))
    for matrix, source, target in ((newer_from_older, first, second), (back, second, first)):
        there = np.column_stack((source, np.ones(len(source)))) @ matrix.T
        depth = np.where(np.abs(there[:, 2:]) < 1e-9, 1e-9, there[:, 2:])
        total += np.square(there[:, :2] / depth - target).sum(1)
    return np.asarray(total / 2)


def _sampson(essential: Matrix, first: Matrix, second: Matrix) -> Matrix:
    """Return ``(N,)`` squared distances to the epipolar geometry (Hartley and Zisserman 11.9)."""
    x, y = (np.column_stack((xy, np.ones(len(xy)))) for xy in (first, second))
    forth, back = x @ essential.T, y @ essential
    algebraic = np.square((y * forth).sum(1))
    return np.asarray(algebraic / (np.square(forth[:, :2]) + np.square(back[:, :2])).sum(1))


def _before_scene(first: Matrix, second: Matrix, focal: float) -> tuple[list[Pair], Matrix]:
    """Return the motion by five points, if there is one, and ``(N,)`` squared distances to it."""
    cv2.setRNGSeed(0)
    essential, chosen = cv2.findEssentialMat(
        first, second, np.eye(3), cv2.RANSAC, _CONFIDENCE, _EPIPOLAR / focal
    )
    if essential is None or essential.shape != (3, 3):
        return [], np.empty(0)
    count, turn, shift, _ = cv2.recoverPose(essential, first, second, np.eye(3), mask=chosen.copy())
    if count < LEAST:
        return [], np.empty(0)
    motion = _inverted(_real(turn), _real(shift[:, 0]))
    squared = _sampson(_real(essential), first, second)
    return [Pair(older_from_newer=motion, kind='scene')], squared


def _before_plane(first: Matrix, second: Matrix, focal: float) -> tuple[list[Pair], Matrix]:
    """Return motions before a plane, each with a shift of length one.

    Returns:
        Them, and ``(N,)`` squared distances to what the plane does; both empty without one.
    """
    cv2.setRNGSeed(0)
    found, on_plane = cv2.findHomography(first, second, cv2.RANSAC, _PLANE / focal)
    if found is None or on_plane.sum() < LEAST:
        return [], np.empty(0)
    plane = _real(found)
    if np.linalg.cond(plane) >= _FLAT:
        return [], np.empty(0)
    count, turns, shifts, normals = cv2.decomposeHomographyMat(plane, np.eye(3))
    possible = cv2.filterHomographyDecompByVisibleRefpoints(
        turns, normals, first[:, None].astype(np.float32), second[:, None].astype(np.float32),
        pointsMask=on_plane.astype(np.uint8),
    )  # fmt: skip
    pairs = []
    for index in range(count) if possible is None else map(int, possible.ravel()):
        length = float(np.linalg.norm(shifts[index]))
        if length > 1e-9:
            motion = _inverted(_real(turns[index]), _real(shifts[index][:, 0]) / length)
            pairs.append(Pair(older_from_newer=motion, kind='plane'))
    return pairs, _carried(plane, first, second)


def _shifted(turn: Matrix, first: Matrix, second: Matrix) -> Matrix:
    """Return the motion of a turn whose shift of length one agrees with most rays."""
    before, after = (_unit(np.column_stack((xy, np.ones(len(xy))))) for xy in (first, second))
    after = after @ turn.T
    across = np.cross(before, after)  # the shift lies in the plane of both rays
    weight = np.ones(len(across))
    way: npt.NDArray[Any] = np.zeros(3)
    for _ in range(_TURN_STEPS):
        way = np.asarray(np.linalg.eigh((across * weight[:, None]).T @ across)[1][:, 0])
        off = np.abs(across @ way)
        weight = 1 / (1 + np.square(off / max(float(np.median(off)), 1e-9)))
    # s b = way + t a with s, t > 0: a x b has the sense of a x way for points before both cameras
    ahead = np.sign((np.cross(after, before) * np.cross(after, way)).sum(1)).sum()
    return np.asarray(rigid(turn, way if ahead >= 0 else -way), np.float64)


def _inverted(turn: FloatArray, shift: FloatArray) -> Matrix:
    return inverse(_real(rigid(turn, shift)))


def _real(array: npt.NDArray[Any]) -> Matrix:
    return np.ascontiguousarray(array, np.float64)


def _unit(vectors: Matrix) -> Matrix:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
