"""A window whose depths nothing measures, until the motion of its camera has told them.

While points do not move but for a turn, the camera is taken to turn on the spot: depths would be
made of noise. Then they are those of the best explanation of all pictures so far, which may be
another one with every picture, until it is clear (see `dlcv.estimation.odometry.beginning`).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from dlcv.estimation.odometry.adjustment import GUESSED
from dlcv.estimation.odometry.beginning import PARALLAX, Beginning, Pictures
from dlcv.estimation.odometry.keyframes import Keyframes
from dlcv.estimation.odometry.landmarks import LEAST
from dlcv.estimation.odometry.resection import FEWEST, Location, Resection
from dlcv.geometry.trajectory import scaled

Matrix = npt.NDArray[np.float64]

_NEAR = 5 * PARALLAX  # pixels by which near points may move before depths are told
_FADED, _LEAST = 0.5, 0.25  # share of the points that are left, for another start and for an end


class Start:
    """Finds the camera until depths are known, and gives the window the poses and depths it finds.

    Args:
        window: Its newest keyframe is where the way begins.
        focal: Pixels per unit of x/z.

    Attributes:
        over: Whether the depths are known for sure.
        last: ``(4, 4)`` window_from_camera of the picture before the newest, if the newest one made
            the window another; None if not.
        ambiguity: ``(6, 6)`` covariance of the newest pose by how else it may be understood, as
            (x, y, z, rx, ry, rz) in the window's axes: another of two motions, or a shift that was
            taken for a turn.
    """

    def __init__(self, window: Keyframes, focal: float) -> None:
        self._window, self._focal = window, focal
        self.over = self._understood = False
        self.last: Matrix | None = None
        self.ambiguity: Matrix = np.zeros((6, 6))
        self._pictures = self._begun()

    @classmethod
    def where_needed(cls, window: Keyframes, focal: float) -> Start | None:
        """Return one from the newest keyframe on; None where the depths are measured."""
        measured = np.count_nonzero(np.isfinite(window.landmarks.prior_stddev))
        return None if measured >= FEWEST else cls(window, focal)

    def watch(self) -> None:
        """Let go of a first picture whose points are seen no more, before a picture is searched.

        If it told no depths, another start begins with the newest keyframe, which stays alone.
        """
        first, last = self._window.frames[0].number, self._window.frames[-1].number
        gone, left = first > self._pictures.number, self._pictures.left
        if self._understood:
            self.over = gone or left < _LEAST
        elif gone or (left < _FADED and last > first):
            self._pictures = self._begun()

    def locate(self, search: Resection, predicted: Matrix, pose: Matrix, last: int) -> Location:
        """Find the camera of the newest picture.

        Args:
            search: For it.
            predicted: ``(4, 4)`` window_from_camera as it is thought to be.
            pose: ``(4, 4)`` that of the picture before it.
            last: Number of that.
        """
        self.last = None
        if self.over:
            return search.locate(predicted)
        pictures, seen, number = self._pictures, search.seen, search.points.number
        names = self._window.landmarks.name[seen.rows]
        turn = pictures.note(number, names, seen.xy, seen.stddev)
        if pictures.tell():
            found = pictures.understood({one.number for one in self._window.frames} | {last})
            if found is not None and last in found.poses:
                poses = self._understand(found, pose, last)
                self.last, predicted = poses[last], poses[number]
                self.ambiguity = found.ambiguity(last, number, poses)
                self.over = found.decided
        if self._understood or turn is None:
            return search.locate(predicted)
        shift = pictures.parallax / self._focal  # which a turn may have been taken for, or be
        self.ambiguity = np.diag(np.square(np.repeat((0.0, shift), 3)))
        turned = self._origin().copy()
        turned[:3, :3] = turned[:3, :3] @ turn
        return self._with_near(search, search.turned(turned))

    def _with_near(self, search: Resection, found: Location) -> Location:
        """Return it with what a turn leaves somewhat beside it: what is near moves most."""
        there = self._window.seen_from(found.pose.odom_from_camera)[search.seen.rows]
        beside = np.linalg.norm(there - search.seen.xy, axis=1) < _NEAR / self._focal
        return replace(found, pose=replace(found.pose, inliers=found.pose.inliers | beside))

    def _begun(self) -> Pictures:
        """Begin with the newest keyframe, which stays alone."""
        self._window.forget_oldest(1)
        marks, number = self._window.landmarks, self._window.frames[0].number
        return Pictures(number, marks.name.copy(), marks.rays.copy(), self._focal)

    def _origin(self) -> Matrix:
        """Return ``(4, 4)`` window_from_camera of the first picture."""
        return self._window.frames[0].window_from_camera

    def _understand(self, found: Beginning, pose: Matrix, last: int) -> dict[int, Matrix]:
        """Take over how the pictures are understood.

        Args:
            found: That.
            pose: ``(4, 4)`` window_from_camera of the picture before the newest, as it was.
            last: Number of that.

        Returns:
            ``{number: (4, 4)}`` window_from_camera.
        """
        window, marks, origin = self._window, self._window.landmarks, self._origin()
        rows, there = marks.rows_of(found.names)
        there[there] = marks.anchor[rows[there]] == self._pictures.number
        rows, depths, variance = rows[there], found.inverse_depth[there], found.variance[there]
        if self._understood:  # the way so far stays as long as it was
            length = np.linalg.norm((pose - origin)[:3, 3])
            unit = float(length / np.linalg.norm(found.poses[last][:3, 3]))
        else:
            unit = float(np.median(depths / marks.inverse_depth[rows]))
        poses = {key: origin @ scaled(one, unit) for key, one in found.poses.items()}
        window.move(
            np.stack([poses.get(one.number, one.window_from_camera) for one in window.frames])
        )
        guess = float(np.median(depths)) / unit
        guessed = np.isinf(marks.prior_stddev)
        marks.inverse_depth[guessed], marks.variance[guessed] = guess, (GUESSED * guess) ** 2
        marks.inverse_depth[rows] = np.maximum(depths / unit, LEAST)
        marks.variance[rows] = variance / unit**2
        self._understood = True
        return poses
