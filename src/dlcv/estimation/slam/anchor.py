"""Where odometry's frame is in a map, by fixes of which some are wrong.

A filter over the camera's pose: odometry moves it, fixes correct it. A fix that contradicts it is
not believed, however good it looks, before others in a row say the same: then the robot was carried
away, or was never where it was believed to be.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from dlcv.estimation.body import compounded, orthonormal
from dlcv.estimation.odometry.perturbation import moved_by
from dlcv.estimation.slam.graph import GATE
from dlcv.estimation.slam.mapping import Tie
from dlcv.geometry.frames import inverse
from dlcv.geometry.trajectory import between, extent
from dlcv.types import FloatArray

Matrix = npt.NDArray[np.float64]

_OVERCONFIDENT = 3.0  # times what odometry states, by which it may be off
_SHARE = np.repeat((0.02, 0.004), 3)  # of a metre and of a radian, by a metre of the way
_MAP = np.repeat((0.03, 0.01), 3)  # m and rad by which a map may be bent within itself
_SAME = 1e-7  # m by which roundings move a frame
_NEAR = np.array((0.3, 0.1))  # m and rad within which two fixes say the same


@dataclass(frozen=True, kw_only=True, slots=True)
class AnchorSettings:
    """When fixes are believed.

    Attributes:
        confirmations: Fixes in a row that must agree before any is believed.
        elsewhere: The same, where they say that the robot is not where it is believed to be.
    """

    confirmations: int = 3
    elsewhere: int = 5


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Fix:
    """Where a picture is in the map, by what it shows.

    Attributes:
        stamp_ns: Of the picture.
        map_from_camera: ``(4, 4)`` metres.
        covariance: ``(6, 6)`` of it as (x, y, z, rx, ry, rz) in the map's axes.
        keyframe: In which it was recognised.
    """

    stamp_ns: int
    map_from_camera: Matrix
    covariance: Matrix
    keyframe: int


class Anchor:
    """Says where the camera, and with it odometry's frame, is in the map.

    Args:
        settings: When fixes are believed.

    Attributes:
        map_from_camera: ``(4, 4)`` now; None while nobody knows.
        covariance: ``(6, 6)`` of it in the map's axes.
        sure: Whether that is more than what it was before odometry was lost.
        fixed_ns: Time of the last fix that was believed; None for none.
        keyframe: In which the robot was recognised last; -1 for none.
        jumps: How often the robot was found elsewhere than it was believed to be.
    """

    def __init__(self, settings: AnchorSettings | None = None) -> None:
        self.settings = settings or AnchorSettings()
        self.jumps = 0
        self.clear()

    def clear(self) -> None:
        """Know nothing any more."""
        self.map_from_camera: Matrix | None = None
        self.covariance: Matrix = np.zeros((6, 6))
        self.sure = False
        self.fixed_ns: int | None = None
        self.keyframe = -1
        self._odom: Matrix | None = None
        self._doubted: list[tuple[Fix, Matrix]] = []  # in a row, with where odometry had them

    @property
    def map_from_odom(self) -> Matrix | None:
        """``(4, 4)``; None while nobody knows."""
        if self.map_from_camera is None or self._odom is None:
            return None
        return np.asarray(self.map_from_camera @ inverse(self._odom))

    @property
    def guesses(self) -> list[Matrix]:
        """Where the camera may be, ``(4, 4)`` each: as it is believed, and by a doubted fix."""
        found = [self.map_from_camera] if self.sure and self.map_from_camera is not None else []
        if self._doubted and self._odom is not None:
            last, odom = self._doubted[-1]
            found.append(last.map_from_camera @ inverse(odom) @ self._odom)
        return found

    @property
    def tie(self) -> Tie | None:
        """What a session of mapping that begins here hangs on."""
        if not self.sure or self.keyframe < 0:
            return None
        return Tie(keyframe=self.keyframe, covariance=self.covariance)

    def put(self, map_from_camera: Matrix, covariance: Matrix, odom_from_camera: Matrix) -> None:
        """Take a pose from somebody who knows."""
        self._odom = np.asarray(odom_from_camera, np.float64)
        self.map_from_camera, self.covariance = map_from_camera, covariance
        self.sure, self._doubted = True, []

    def doubt(self, odom_from_camera: Matrix) -> None:
        """Take note that odometry was lost, and goes on from anywhere."""
        self.sure, self._doubted = False, []
        self._odom = np.asarray(odom_from_camera, np.float64)

    def move(self, odom_from_camera: Matrix, spread: FloatArray) -> None:
        """Follow odometry.

        Args:
            odom_from_camera: ``(4, 4)``.
            spread: ``(6, 6)`` of the motion since the last picture, in that one's axes.
        """
        before, self._odom = self._odom, np.asarray(odom_from_camera, np.float64)
        if before is None or self.map_from_camera is None:
            return
        motion = inverse(before) @ self._odom
        length = float(np.linalg.norm(motion[:3, 3]))
        wide = _OVERCONFIDENT**2 * np.asarray(spread) + np.diag(np.square(_SHARE * length))
        pose, self.covariance = compounded(self.map_from_camera, self.covariance, motion, wide)
        self.map_from_camera = orthonormal(pose)

    def take(self, fix: Fix) -> str:
        """Take a fix of the picture that odometry was followed to last.

        Returns:
            Why it is not believed yet; empty where it is.
        """
        assert self._odom is not None
        known = self.map_from_camera if self.sure else None
        if known is not None and self._corrected(known, fix):
            self._doubted = []
            return ''
        if self._doubted and not self._agrees(fix):
            self._doubted = []
        self._doubted.append((fix, self._odom))
        s = self.settings
        wanted = s.confirmations if known is None else s.elsewhere
        if len(self._doubted) < wanted:
            return f'{self._apart(fix)}{len(self._doubted)} of {wanted} fixes that must agree'
        self.jumps += known is not None
        self.put(fix.map_from_camera, fix.covariance + np.diag(np.square(_MAP)), self._odom)
        self.fixed_ns, self.keyframe = fix.stamp_ns, fix.keyframe
        return ''

    def _corrected(self, known: Matrix, fix: Fix) -> bool:
        """Move the pose toward a fix; whether that does not contradict it."""
        error = np.empty(6)
        error[:3] = fix.map_from_camera[:3, 3] - known[:3, 3]
        turn = fix.map_from_camera[:3, :3] @ known[:3, :3].T
        error[3:] = Rotation.from_matrix(turn).as_rotvec()
        total = self.covariance + fix.covariance + np.diag(np.square(_MAP))
        if error @ np.linalg.solve(total, error) > GATE[6]:
            return False
        gain = np.linalg.solve(total, self.covariance).T
        self.map_from_camera = orthonormal(moved_by(known, gain @ error))
        after = self.covariance - gain @ self.covariance
        self.covariance = np.asarray((after + after.T) / 2)
        self.fixed_ns, self.keyframe = fix.stamp_ns, fix.keyframe
        return True

    def _agrees(self, fix: Fix) -> bool:
        """Whether a fix is where the last doubted one and odometry have the camera."""
        last, odom = self._doubted[-1]
        assert self._odom is not None
        motion = inverse(odom) @ self._odom
        apart = extent(inverse(last.map_from_camera @ motion) @ fix.map_from_camera)
        way = float(np.linalg.norm(motion[:3, 3]))
        return bool((apart < _NEAR + _SHARE[[0, 3]] * way).all())

    def _apart(self, fix: Fix) -> str:
        if self.map_from_camera is None or not self.sure:
            return ''
        shift, turn = extent(inverse(self.map_from_camera) @ fix.map_from_camera)
        return f'{shift:.2f} m and {np.rad2deg(turn):.0f} deg from where it should be; '


class Correction:
    """Lets a correction of ``map_from_odom`` come slowly, so that a controller is not startled.

    What is moved evenly is the robot, not the origin of odometry, which may be far away.
    """

    def __init__(self) -> None:
        self._now: tuple[Matrix, Matrix, Matrix, int, int] | None = None

    def clear(self) -> None:
        """Forget everything."""
        self._now = None

    def to(self, map_from_odom: Matrix, odom_from_body: Matrix, now_ns: int, for_ns: int) -> None:
        """Be there after a while.

        Args:
            map_from_odom: ``(4, 4)`` where.
            odom_from_body: ``(4, 4)`` the robot.
            now_ns: The time.
            for_ns: How long it may take; 0 for at once.
        """
        known, begun = self._now, self.at(now_ns)
        if begun is None or known is None or for_ns <= 0:
            begun, for_ns = map_from_odom, 0
        elif np.allclose(known[1], map_from_odom, atol=_SAME):
            return  # on its way already
        self._now = begun, map_from_odom, odom_from_body, now_ns, for_ns

    def at(self, now_ns: int) -> Matrix | None:
        """Return ``map_from_odom`` at a time; None before the first."""
        known = self._now
        if known is None:
            return None
        begun, target, body, since, for_ns = known
        if not for_ns or now_ns >= since + for_ns:
            return target
        share = max(now_ns - since, 0) / for_ns
        return between(begun @ body, target @ body, share) @ inverse(body)
