"""Relocalization without a network: what a map that was learned is measured beside."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from dlcv.geometry.camera import pixel_rays, reprojection_errors, undistort_points
from dlcv.geometry.trajectory import rigid
from dlcv.metrics.baselines.features import Classical
from dlcv.types import Camera, FloatArray, Frame, Snapshot

_POINTS = 1000  # of a picture, at most
_RATIO = 0.8  # of the distances to the nearest and the second nearest descriptor (Lowe 2004)
_NEIGHBOURS = 5  # points of the whole map that vote for the views they are of
_VIEWS = 10  # with most votes, which a picture is matched with
_PIXELS = 3.0  # RANSAC's threshold
_TRIES = 1000  # of RANSAC, at most
_LEAST = 30  # points of a picture that must agree on its pose
_APART = (2, 5, 10, 20)  # how many views lie between those that points are triangulated from
_PARALLAX = 2.0  # degrees between two rays to a point, at least
_REPROJECTION = 2.0  # pixels by which the point may be off in both views

Indices = npt.NDArray[np.intp]


class Relocalizer(Protocol):
    """Something that knows a place."""

    @property
    def nbytes(self) -> int:
        """Size of what it keeps."""

    def locate(self, frame: Frame) -> FloatArray | None:
        """Return ``map_from_camera`` ``(4, 4)`` in metres; None where nothing is recognised."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Seen:
    """The points of a view.

    Attributes:
        camera: Of the view.
        world_from_camera: ``(4, 4)`` its pose.
        xy: ``(N, 2)`` pixels.
        rays: ``(N, 3)`` unit vectors in the map's axes.
        descriptors: ``(N, 128)``; those of SIFT are whole numbers.
        points: ``(N, 3)`` where they are in the map; NaN where that is not known.
    """

    camera: Camera
    world_from_camera: FloatArray
    xy: FloatArray
    rays: FloatArray
    descriptors: npt.NDArray[np.uint8]
    points: FloatArray


class PointMap:
    """SIFT points of views with known poses; PnP of those that a picture shows again.

    The points of the map that are nearest to those of a picture vote for the views they are of. The
    picture is matched with the ten views that have most votes, and RANSAC finds the pose on which
    most matches agree. Poses on which fewer than 30 points of the picture agree are not believed.

    Args:
        views: With camera and pose, in the order in which they were taken. Their points are where
            the depth says; those of views without depth are triangulated from views nearby.
    """

    def __init__(self, views: Iterable[Snapshot]) -> None:
        self._features = Classical('SIFT')
        self._points: list[FloatArray] = []
        self._descriptors: list[npt.NDArray[np.uint8]] = []
        seen = [self._seen(view) for view in views]
        for one, points in zip(seen, _located(seen), strict=True):
            known = np.isfinite(points[:, 0])
            if known.any():
                self._points.append(points[known].astype(np.float32))
                self._descriptors.append(one.descriptors[known])
        self._matcher: Any = cv2.FlannBasedMatcher({'algorithm': 1, 'trees': 4}, {'checks': 64})
        if self._descriptors:
            self._matcher.add([one.astype(np.float32) for one in self._descriptors])
            cv2.setRNGSeed(0)  # it decides the trees
            self._matcher.train()

    def __len__(self) -> int:
        return sum(map(len, self._points))

    @property
    def nbytes(self) -> int:
        """See `Relocalizer`: points and descriptors."""
        return sum(array.nbytes for array in (*self._points, *self._descriptors))

    def locate(self, frame: Frame) -> FloatArray | None:
        """See `Relocalizer`.

        Args:
            frame: With its camera.
        """
        camera = frame.camera
        assert camera is not None
        found = self._features.detect(frame.image, _POINTS)
        if len(found.xy) < _LEAST or len(self) < _NEIGHBOURS:
            return None
        rows, points = [], []
        for view in self._similar(found.descriptors):
            matches = _matches(found.descriptors, self._descriptors[view])
            rows.append(matches[:, 0])
            points.append(self._points[view][matches[:, 1]])
        index = np.concatenate(rows)
        xy = undistort_points(camera, found.xy)[index]
        return _pose(np.concatenate(points), xy, camera.undistorted(), index)

    def _seen(self, view: Snapshot) -> _Seen:
        camera, pose = view.frame.camera, view.world_from_camera
        assert camera is not None
        assert pose is not None
        found = self._features.detect(view.frame.image, _POINTS)
        rays = pixel_rays(camera, found.xy) @ pose[:3, :3].T
        points = np.full(rays.shape, np.nan)
        if view.depth is not None:
            column, row = np.rint(found.xy).astype(int).T
            depth = view.depth[row.clip(0, camera.height - 1), column.clip(0, camera.width - 1)]
            points = rays * np.where(np.isfinite(depth), depth, np.nan)[:, None] + pose[:3, 3]
        return _Seen(
            camera=camera,
            world_from_camera=pose,
            xy=found.xy,
            rays=rays / np.linalg.norm(rays, axis=1, keepdims=True),
            descriptors=found.descriptors.astype(np.uint8),
            points=points,
        )

    def _similar(self, descriptors: npt.NDArray[Any]) -> Indices:
        """Return the views with most votes."""
        found = self._matcher.knnMatch(descriptors, k=_NEIGHBOURS)
        votes = np.bincount([match.imgIdx for near in found for match in near])
        return np.argsort(-votes, kind='stable')[:_VIEWS]


def _located(seen: list[_Seen]) -> list[FloatArray]:
    """Return the points ``(N, 3)`` of all views, where they have none from views nearby.

    Of several places for a point, that of the greatest parallax is taken.
    """
    points = [one.points.copy() for one in seen]
    best = [np.where(np.isnan(one.points[:, 0]), _PARALLAX, np.inf) for one in seen]
    for apart in _APART:
        for first in range(len(seen) - apart):
            second = first + apart
            if np.isinf(best[first]).all() and np.isinf(best[second]).all():
                continue
            matches = _matches(seen[first].descriptors, seen[second].descriptors)
            places, parallax = _triangulated(seen[first], seen[second], matches)
            for view, index in ((first, matches[:, 0]), (second, matches[:, 1])):
                better = parallax > best[view][index]
                points[view][index[better]] = places[better]
                best[view][index[better]] = parallax[better]
    return points


def _triangulated(first: _Seen, second: _Seen, matches: Indices) -> tuple[FloatArray, FloatArray]:
    """Return where the rays of matched points meet.

    Returns:
        ``(K, 3)`` the middle between two rays where they are nearest, and ``(K,)`` the degrees
        between them; 0 where the point is behind a view or not where the view shows it.
    """
    a, b = first.rays[matches[:, 0]], second.rays[matches[:, 1]]
    begin, end = first.world_from_camera[:3, 3], second.world_from_camera[:3, 3]
    along_a, along_b = a @ (end - begin), b @ (end - begin)
    cosine = np.clip((a * b).sum(1), -1, 1)
    squared_sine = np.maximum(1 - cosine**2, 1e-12)
    from_a = begin + ((along_a - cosine * along_b) / squared_sine)[:, None] * a
    from_b = end + ((cosine * along_a - along_b) / squared_sine)[:, None] * b
    places = (from_a + from_b) / 2
    believed = np.ones(len(places), np.bool_)
    for view, index in ((first, matches[:, 0]), (second, matches[:, 1])):
        camera_from_world = np.linalg.inv(view.world_from_camera)
        off = reprojection_errors(view.camera, camera_from_world, places, view.xy[index])
        believed &= off < _REPROJECTION  # NaN, behind the camera, is not
    return places, np.where(believed, np.degrees(np.arccos(cosine)), 0.0)


def _matches(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> Indices:
    """Return ``(K, 2)`` which are each other's nearest, and much nearer than the second nearest."""
    if not len(first) or len(second) < 2:
        return np.zeros((0, 2), np.intp)
    a, b = first.astype(np.float32), second.astype(np.float32)
    between = np.square(a).sum(1)[:, None] + np.square(b).sum(1) - 2 * (a @ b.T)  # (N, M)
    rows, back = np.arange(len(a)), np.argmin(between, axis=0)
    nearest = np.argmin(between, axis=1)
    distance = between[rows, nearest].copy()
    between[rows, nearest] = np.inf
    kept = (distance < _RATIO**2 * between.min(axis=1)) & (back[nearest] == rows)
    return np.stack((rows[kept], nearest[kept]), axis=1)


def _pose(points: FloatArray, xy: FloatArray, camera: Camera, index: Indices) -> FloatArray | None:
    """Return ``world_from_camera`` ``(4, 4)`` on which most matches agree, if enough do.

    Args:
        points: ``(K, 3)`` in the map.
        xy: ``(K, 2)`` where the picture shows them.
        camera: The picture's, without distortion.
        index: ``(K,)`` which of its points each match is of; one may be of several.
    """
    if len(np.unique(index)) < _LEAST:
        return None
    points, xy = points.astype(np.float64), xy.astype(np.float64)
    params = cv2.UsacParams()
    params.threshold, params.maxIterations, params.confidence = _PIXELS, _TRIES, 0.9999
    params.sampler, params.score = cv2.SAMPLING_UNIFORM, cv2.SCORE_METHOD_MSAC
    params.loMethod = cv2.LOCAL_OPTIM_INNER_LO
    good, _, turn, shift, chosen = cv2.solvePnPRansac(
        points, xy, camera.matrix, None, params=params
    )
    if not good or chosen is None:
        return None
    agree = np.asarray(chosen.ravel(), np.intp)
    for _ in range(3):  # those that agree with the refined pose are others
        if len(np.unique(index[agree])) < _LEAST:
            return None
        turn, shift = cv2.solvePnPRefineLM(
            points[agree], xy[agree], camera.matrix, None, turn, shift
        )
        rotation = np.asarray(cv2.Rodrigues(turn)[0], np.float64)
        camera_from_world = rigid(rotation, np.asarray(shift[:, 0], np.float64))
        off = reprojection_errors(camera, camera_from_world, points, xy)
        agree = np.flatnonzero(off < _PIXELS)
    return np.asarray(np.linalg.inv(camera_from_world), np.float64)
