"""The window of visual odometry: keyframes, and landmarks along the rays of the keyframes.

Lengths are in units of the window, which are metres only where something metric has made them so.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from dlcv.estimation.odometry.landmarks import LEAST, Fresh, LandmarkTable, Sighting
from dlcv.estimation.odometry.view import Points
from dlcv.types import ByteImage, FloatArray

Matrix = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Keyframe:
    """A picture that is kept.

    Attributes:
        number: Of the picture, rising.
        window_from_camera: ``(4, 4)`` its pose.
        grey: ``(H, W)`` its pixels.
        flat: ``(H, W)`` the same for patches; see `Points`.
        landmarks: ``(M,)`` names of the landmarks seen in it, rising.
        xy: ``(M, 2)`` where, as x/z and y/z.
        stddev: ``(M,)`` how exactly.
        pixels: ``(M, 2)`` float32 where, in pixels.
    """

    number: int
    window_from_camera: Matrix
    grey: ByteImage
    flat: ByteImage
    landmarks: Indices
    xy: Matrix
    stddev: Matrix
    pixels: FloatArray


class Keyframes:
    """The last keyframes and what they see; oldest first.

    Args:
        size: How many are kept.
        width: Of the descriptors.

    Attributes:
        frames: The keyframes.
        landmarks: What they see.
    """

    def __init__(self, size: int, width: int) -> None:
        self.size = size
        self.frames: list[Keyframe] = []
        self.landmarks = LandmarkTable.none(width)
        self._named = 0

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def poses(self) -> Matrix:
        """``(K, 4, 4)`` window_from_camera."""
        return np.stack([one.window_from_camera for one in self.frames])

    def up_to(self, number: int) -> list[Keyframe]:
        """Return the keyframes up to that of a number."""
        return [one for one in self.frames if one.number <= number]

    def anchors_of(self, rows: Indices) -> Indices:
        """Return ``(N,)`` which keyframes some landmarks hang on."""
        return np.searchsorted([one.number for one in self.frames], self.landmarks.anchor[rows])

    def points(self) -> Matrix:
        """Return ``(L, 3)`` where the landmarks are in the window."""
        return self.points_of(np.arange(len(self.landmarks)))

    def points_of(self, rows: Indices) -> Matrix:
        """Return ``(N, 3)`` where some landmarks are in the window."""
        marks = self.landmarks
        depth = 1 / np.maximum(marks.inverse_depth[rows], LEAST)
        rays = np.column_stack((marks.rays[rows], np.ones(len(rows))))
        poses = self.poses[self.anchors_of(rows)]
        turned = np.einsum('nij,nj->ni', poses[:, :3, :3], rays * depth[:, None])
        return np.asarray(turned + poses[:, :3, 3])

    def depths_in(self, window_from_camera: Matrix, rows: Indices) -> Matrix:
        """Return ``(N,)`` z of some landmarks before a camera."""
        axis, centre = window_from_camera[:3, 2], window_from_camera[:3, 3]
        return np.asarray((self.points_of(rows) - centre) @ axis, np.float64)

    def seen_from(self, window_from_camera: FloatArray) -> Matrix:
        """Return ``(L, 2)`` x/z and y/z of the landmarks in a camera; NaN of those behind it."""
        marks = self.landmarks
        camera_from_anchor = np.linalg.inv(window_from_camera) @ self.poses  # (K, 4, 4)
        rays = np.column_stack((marks.rays, np.ones(len(marks)), marks.inverse_depth))
        there = camera_from_anchor[self.anchors_of(np.arange(len(marks))), :3]
        x, y, z = np.einsum('lij,lj->il', there, rays)
        depth = np.where(z > 0, z, np.nan)
        return np.column_stack((x / depth, y / depth))

    def add(self, points: Points, window_from_camera: Matrix, seen: Sighting, fresh: Fresh) -> None:
        """Keep a picture; what it sees anew becomes landmarks.

        Args:
            points: The picture.
            window_from_camera: ``(4, 4)`` its pose.
            seen: What it sees again.
            fresh: What it sees for the first time.
        """
        names = np.arange(self._named, self._named + len(fresh.xy))
        self._named += len(names)
        order = np.argsort(seen.rows)
        exact = np.zeros(len(names))  # a patch is where its anchor shows it, by definition
        self.frames.append(
            Keyframe(
                number=points.number,
                window_from_camera=window_from_camera.copy(),
                grey=points.grey,
                flat=points.flat,
                landmarks=np.concatenate((self.landmarks.name[seen.rows[order]], names)),
                xy=np.concatenate((seen.xy[order], fresh.xy)),
                stddev=np.concatenate((seen.stddev[order], exact)),
                pixels=np.concatenate((seen.pixels[order], fresh.pixels)).astype(np.float32),
            )
        )
        count = len(names)
        self.landmarks.append(
            LandmarkTable(
                name=names,
                anchor=np.full(count, points.number),
                rays=fresh.xy,
                inverse_depth=fresh.inverse_depth,
                variance=np.square(fresh.inverse_stddev),
                prior=fresh.inverse_depth,
                prior_stddev=np.where(fresh.measured, fresh.inverse_stddev, np.inf),
                descriptors=fresh.descriptors,
                pixels=fresh.pixels,
                origin=fresh.pixels,
                last_seen=np.full(count, points.number),
                links=np.zeros(count, np.int64),
            )
        )

    def forget_oldest(self, left: int | None = None) -> None:
        """Let go of keyframes until some are left, by default as many as the window takes.

        Their landmarks move on.
        """
        while len(self.frames) > (self.size if left is None else left):
            leaving = self.frames.pop(0)
            self._move_on(leaving)

    def forget_unseen(self, before: int, alone_before: int) -> None:
        """Let go of landmarks not seen for long.

        Args:
            before: Number of a picture; what was last seen before it goes.
            alone_before: The same for landmarks that only one keyframe has seen.
        """
        marks = self.landmarks
        limit = np.where(self.sightings() > 1, before, alone_before)
        marks.keep(marks.last_seen >= limit)

    def sightings(self) -> Indices:
        """Return ``(L,)`` how many keyframes see each landmark."""
        count = np.zeros(len(self.landmarks), np.int64)
        for frame in self.frames:
            count[self.rows_in(frame)[0]] += 1
        return count

    def observations(self) -> tuple[Indices, Indices, Matrix, Matrix]:
        """Return which keyframe sees which landmark, where and how exactly; without the anchors."""
        parts = []
        marks = self.landmarks
        for number, frame in enumerate(self.frames):
            rows, at = self.rows_in(frame)
            other = marks.anchor[rows] != frame.number
            rows, at = rows[other], at[other]
            parts.append((np.full(len(rows), number), rows, frame.xy[at], frame.stddev[at]))
        keyframe, rows, xy, stddev = (np.concatenate(part) for part in zip(*parts, strict=True))
        return keyframe, rows, xy, stddev

    def move(self, poses: Matrix) -> None:
        """Put the keyframes at ``(K, 4, 4)`` poses."""
        self.frames = [
            replace(frame, window_from_camera=pose)
            for frame, pose in zip(self.frames, poses, strict=True)
        ]

    def rescale(self, factor: float) -> None:
        """Make all lengths ``factor`` times as long."""
        marks = self.landmarks
        for index, frame in enumerate(self.frames):
            pose = frame.window_from_camera.copy()
            pose[:3, 3] *= factor
            self.frames[index] = replace(frame, window_from_camera=pose)
        marks.inverse_depth /= factor
        marks.prior /= factor
        marks.variance /= factor**2
        marks.prior_stddev /= factor

    def rows_in(self, frame: Keyframe) -> tuple[Indices, Indices]:
        """Return the rows of what a keyframe sees that is still there, and where it has them."""
        rows, there = self.landmarks.rows_of(frame.landmarks)
        return rows[there], np.flatnonzero(there)

    def _move_on(self, leaving: Keyframe) -> None:
        """Hang the landmarks of a keyframe on the next that sees them."""
        marks = self.landmarks
        homeless = np.flatnonzero(marks.anchor == leaving.number)
        depth = 1 / np.maximum(marks.inverse_depth[homeless], LEAST)
        rays = np.column_stack((marks.rays[homeless], np.ones(len(homeless))))
        pose = leaving.window_from_camera
        points = np.full((len(marks), 3), np.nan)
        points[homeless] = (rays * depth[:, None]) @ pose[:3, :3].T + pose[:3, 3]
        old_depth = np.full(len(marks), np.nan)
        old_depth[homeless] = depth
        gone = np.zeros(len(marks), np.bool_)
        gone[homeless] = True
        for frame in self.frames:
            rows, at = self.rows_in(frame)
            taken = gone[rows]
            rows, at = rows[taken], at[taken]
            axis, centre = frame.window_from_camera[:3, 2], frame.window_from_camera[:3, 3]
            z = (points[rows] - centre) @ axis
            ahead = z > 0
            rows, at, z = rows[ahead], at[ahead], z[ahead]
            # d(1/z')/d(1/z) = a (z / z')^2 with a the depth of the old ray in the new camera
            old_axis = pose[:3, :3].T @ axis
            ray_depth = marks.rays[rows] @ old_axis[:2] + old_axis[2]
            stretch = np.abs(ray_depth) * np.square(old_depth[rows] / z)
            value = 1 / z
            marks.prior[rows] = value + (marks.prior[rows] - marks.inverse_depth[rows]) * stretch
            marks.prior_stddev[rows] *= stretch
            marks.variance[rows] *= stretch**2
            marks.inverse_depth[rows] = value
            marks.rays[rows] = frame.xy[at]
            marks.origin[rows] = frame.pixels[at]
            marks.anchor[rows] = frame.number
            gone[rows] = False
        marks.keep(~gone)
