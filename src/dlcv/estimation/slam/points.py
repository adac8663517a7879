"""Where the landmarks of a map are, by all that its keyframes saw of them.

Each is the point that is nearest to all its rays and to the depths that were measured along them
(Gauss-Newton with Cauchy's weights), given where the keyframes are. Letters in this file: M
observations of L landmarks.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt
import torch

from dlcv.estimation.odometry.robust import GATE, weights
from dlcv.estimation.slam.place import Keyframe, Landmarks, PlaceMap
from dlcv.geometry.camera import pixel_rays
from dlcv.geometry.frames import inverse
from dlcv.networks.layers.keypoints import match_mutual
from dlcv.types import FloatArray

Matrix = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

NOISE = 1.0
"""Standard deviation in pixels of where a keypoint is."""

_STEPS = 5
_CHUNK = 50_000  # landmarks that are located together, of a few sightings each
_SURE = 0.3  # of its depth, that a landmark may be off by to be one
_LEAST = 1e-9  # information that keeps what is unknown from being singular
_NEAREST = 0.05  # metres before a camera
_PIXELS = 4.0  # by which a point may be off where the map says it is
_RATIO = 0.9  # of distances to the nearest and the second nearest descriptor


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Observations:
    """What some keyframes saw of landmarks.

    Attributes:
        names: ``(L,)`` of the landmarks, rising.
        landmark: ``(M,)`` which of them.
        keyframe: ``(M,)`` which keyframe of the map.
        rays: ``(M, 2)`` x/z and y/z.
        focal: ``(M,)`` pixels per unit of those.
        inverse_depth: ``(M,)`` measured, NaN where nothing was.
        inverse_stddev: ``(M,)`` of that.
    """

    names: Indices
    landmark: Indices
    keyframe: Indices
    rays: Matrix
    focal: Matrix
    inverse_depth: Matrix
    inverse_stddev: Matrix

    @classmethod
    def of(cls, place: PlaceMap, keyframes: Indices, only: Indices | None = None) -> Observations:
        """Collect those by some keyframes, of all landmarks or only some, by their names."""
        rays, names, which, focal, depth, stddev = [], [], [], [], [], []
        for k in keyframes:
            one = place.keyframes[k]
            seen = one.landmark >= 0
            if only is not None:
                seen &= np.isin(one.landmark, only)
            rays.append(rays_of(one)[seen])
            names.append(one.landmark[seen])
            which.append(np.full(len(names[-1]), k))
            focal.append(np.full(len(names[-1]), one.camera.focal))
            depth.append(one.inverse_depth[seen])
            stddev.append(one.inverse_stddev[seen])
        if not names:
            rays, names = [np.empty((0, 2))], [np.empty(0, np.int64)]
            which, focal, depth, stddev = ([np.empty(0)] for _ in range(4))
        every, index = np.unique(np.concatenate(names), return_inverse=True)
        return cls(
            names=every,
            landmark=index,
            keyframe=np.concatenate(which).astype(np.int64),
            rays=np.concatenate(rays),
            focal=np.concatenate(focal),
            inverse_depth=np.concatenate(depth).astype(np.float64),
            inverse_stddev=np.concatenate(stddev).astype(np.float64),
        )


def rays_of(keyframe: Keyframe) -> Matrix:
    """Return ``(N, 2)`` x/z and y/z of a keyframe's keypoints."""
    return np.asarray(pixel_rays(keyframe.camera, keyframe.xy)[:, :2], np.float64)


def matches(
    first: FloatArray, second: FloatArray, ratio: float = _RATIO
) -> tuple[Indices, Indices]:
    """Return which descriptors are each other's nearest, and nearer than the second nearest.

    Args:
        first: ``(N, D)``.
        second: ``(M, D)``.
        ratio: Of the distances to the nearest and the second nearest, at most.
    """
    pairs, _ = match_mutual(torch.from_numpy(first), torch.from_numpy(second), ratio=ratio)
    one, other = pairs.numpy().T
    return one.astype(np.int64), other.astype(np.int64)


def plausible(
    place: PlaceMap, before: int, newest: int, a: Indices, b: Indices
) -> npt.NDArray[np.bool_]:
    """Return which matches are where the map says, along their rays where depth is unknown.

    Args:
        place: Where both keyframes are.
        before: One of them.
        newest: The other.
        a: ``(M,)`` keypoints of the one.
        b: ``(M,)`` keypoints of the other.
    """
    old, new = place.keyframes[before], place.keyframes[newest]
    motion = inverse(place.poses[newest]) @ place.poses[before]
    motion[:3, 3] /= np.exp(place.log_scale[newest])
    rays = np.column_stack((rays_of(old)[a], np.ones(len(a))))
    there = rays_of(new)[b]
    far = rays @ motion[:3, :3].T
    depth = old.inverse_depth[a].astype(np.float64)
    known = np.isfinite(depth)
    toward = np.where(known, depth, 1.0)[:, None] * motion[:3, 3]
    seen = far + toward
    ahead = seen[:, 2] > 1e-3
    xy = seen[:, :2] / np.where(ahead, seen[:, 2], 1.0)[:, None]
    off = xy - there
    axis = far[:, :2] / np.maximum(far[:, 2:], 1e-3) - xy  # along which depth moves it
    length = np.linalg.norm(axis, axis=1, keepdims=True)
    axis = axis / np.maximum(length, 1e-9)
    across = np.abs(axis[:, 0] * off[:, 1] - axis[:, 1] * off[:, 0])
    near = np.linalg.norm(off, axis=1)
    focal = new.camera.focal
    miss = np.where(known | (length[:, 0] < 1e-6), near, across)
    return np.asarray(ahead & (miss * focal < _PIXELS))


def located(place: PlaceMap, keyframes: Indices, only: Indices | None = None) -> Landmarks:
    """Find where landmarks are.

    Args:
        place: Where the keyframes are, and what they saw.
        keyframes: Those that count.
        only: Names of the landmarks that are wanted; None for all.

    Returns:
        Those that are known well enough to be of use.
    """
    seen = Observations.of(place, keyframes, only)
    count = len(seen.names)
    if not count:
        return Landmarks.none()
    turn = place.poses[seen.keyframe, :3, :3]
    centre = place.poses[seen.keyframe, :3, 3]
    unit = np.exp(place.log_scale[seen.keyframe])
    points = _begun(seen, turn, centre, unit, count)
    information: Matrix = np.zeros((count, 3, 3))
    squared: Matrix = np.zeros(0)
    for step in range(_STEPS + 1):
        error, slope, ahead = _errors(seen, points, turn, centre, unit)
        squared = np.where(ahead, np.square(error).sum(1), 2 * GATE)
        weight = np.where(ahead, weights(squared, 'cauchy'), 0.0)
        information = _summed(
            seen.landmark, (slope * weight[:, None, None]).swapaxes(1, 2) @ slope, count
        )
        information += _LEAST * np.eye(3)
        if step == _STEPS:
            break
        pull = np.einsum('mki,mk,m->mi', slope, error, weight)
        gradient = _summed(seen.landmark, pull, count)
        points = points - np.linalg.solve(information, gradient[..., None])[..., 0]
    covariance = np.asarray(np.linalg.inv(information), np.float64)
    good = _useful(seen, points, covariance, squared, turn, centre)
    return Landmarks(
        name=seen.names[good],
        points=points[good],
        covariance=covariance[good],
        sightings=np.bincount(seen.landmark, minlength=count)[good],
    )


def every_landmark(place: PlaceMap, chunk: int = _CHUNK) -> Landmarks:
    """Find where all landmarks of a map are, so many at a time that memory stays small."""
    frames = place.keyframes
    seen = np.concatenate([np.empty(0, np.int64), *(one.landmark for one in frames)])
    by = np.repeat(np.arange(len(frames)), [len(one) for one in frames])
    names = np.unique(seen[seen >= 0])
    parts = [Landmarks.none()]
    for begin in range(0, len(names), chunk):
        some = names[begin : begin + chunk]
        keyframes = np.unique(by[(seen >= some[0]) & (seen <= some[-1])])
        parts.append(located(place, keyframes, some))
    together = {
        one.name: np.concatenate([getattr(part, one.name) for part in parts])
        for one in fields(Landmarks)
    }
    return Landmarks(**together)


def with_landmarks(place: PlaceMap) -> PlaceMap:
    """Return a map with all its landmarks, as it is saved; the given one stays as it is."""
    return replace(place, landmarks=every_landmark(place))


def in_camera(
    marks: Landmarks, rows: Indices, map_from_camera: Matrix, log_scale: float
) -> tuple[Matrix, Matrix]:
    """Return landmarks in a camera's axes and unit.

    Returns:
        ``(N, 3)`` points, and ``(N,)`` the variance of their inverse depths.
    """
    turn, unit = map_from_camera[:3, :3], np.exp(log_scale)
    points = (marks.points[rows] - map_from_camera[:3, 3]) @ turn / unit
    axis = turn[:, 2]
    along = np.einsum('i,nij,j->n', axis, marks.covariance[rows], axis) / unit**2
    return points, along / np.maximum(points[:, 2], _NEAREST) ** 4


def _begun(seen: Observations, turn: Matrix, centre: Matrix, unit: Matrix, count: int) -> Matrix:
    """Return points ``(L, 3)`` to start from: by the best depth, else nearest to all rays."""
    rays = np.column_stack((seen.rays, np.ones(len(seen.rays))))
    bearing = np.einsum('mij,mj->mi', turn, rays)
    direction = bearing / np.linalg.norm(bearing, axis=1, keepdims=True)
    across = np.eye(3) - direction[:, :, None] * direction[:, None]
    left = _summed(seen.landmark, across, count) + 1e-6 * np.eye(3)
    right = _summed(seen.landmark, np.einsum('mij,mj->mi', across, centre), count)
    middle = _summed(seen.landmark, centre, count)
    middle /= np.bincount(seen.landmark, minlength=count)[:, None]
    points = np.linalg.solve(left, (right + 1e-6 * middle)[..., None])[..., 0]
    known = np.flatnonzero(np.isfinite(seen.inverse_depth) & (seen.inverse_depth > 1e-4))
    known = known[np.argsort(-seen.inverse_stddev[known], kind='stable')]  # the best comes last
    depth = unit[known] / seen.inverse_depth[known]
    points[seen.landmark[known]] = centre[known] + bearing[known] * depth[:, None]
    return np.asarray(points)


def _errors(
    seen: Observations, points: Matrix, turn: Matrix, centre: Matrix, unit: Matrix
) -> tuple[Matrix, Matrix, npt.NDArray[np.bool_]]:
    """Return normalised errors ``(M, 3)``, derivatives ``(M, 3, 3)``, and what is ahead."""
    there = np.einsum('mji,mj->mi', turn, points[seen.landmark] - centre) / unit[:, None]
    z = np.maximum(there[:, 2], _NEAREST)
    xy = there[:, :2] / z[:, None]
    back = np.swapaxes(turn, 1, 2) / unit[:, None, None]
    sharp = seen.focal / NOISE
    slope = np.empty((len(z), 3, 3))
    slope[:, :2] = (back[:, :2] - xy[:, :, None] * back[:, 2:]) * (sharp / z)[:, None, None]
    error = np.empty((len(z), 3))
    error[:, :2] = (xy - seen.rays) * sharp[:, None]
    known = np.isfinite(seen.inverse_depth)
    certain = np.where(known, 1 / np.maximum(seen.inverse_stddev, 1e-9), 0.0)
    error[:, 2] = np.where(known, 1 / z - np.nan_to_num(seen.inverse_depth), 0.0) * certain
    slope[:, 2] = -back[:, 2] * (certain / z**2)[:, None]
    return error, slope, there[:, 2] > _NEAREST


def _useful(
    seen: Observations,
    points: Matrix,
    covariance: Matrix,
    squared: Matrix,
    turn: Matrix,
    centre: Matrix,
) -> npt.NDArray[np.bool_]:
    """Return which landmarks are where most of their observations say, and known well enough."""
    count = len(seen.names)
    views = np.bincount(seen.landmark, minlength=count)
    agree = np.bincount(seen.landmark, squared < GATE, minlength=count)
    ray = points[seen.landmark] - centre
    distance = np.full(count, np.inf)
    np.minimum.at(distance, seen.landmark, np.einsum('mi,mi->m', turn[:, :, 2], ray))
    spread = np.sqrt(np.linalg.eigvalsh(covariance)[:, 2])
    return np.asarray((2 * agree > views) & (spread < _SURE * distance))


def _summed(index: Indices, values: Matrix, count: int) -> Matrix:
    """Return sums ``(L, ...)`` of values ``(M, ...)`` by landmark."""
    flat = values.reshape(len(values), -1)
    columns = [np.bincount(index, flat[:, k], minlength=count) for k in range(flat.shape[1])]
    return np.asarray(np.stack(columns, 1).reshape(count, *values.shape[1:]), np.float64)
