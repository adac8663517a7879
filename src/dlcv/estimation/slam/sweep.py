"""What one picture of depth says of the ground around: where something stands, and where nothing.

The frame is level: z is up. Points between two heights over the ground are obstacles. Free is what
rays swept over near the ground before they met anything, and where ground was seen; a ray that
passes high above says nothing of what lies below it. Letters in this file: N points, B bearings.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dlcv.estimation.slam.sheet import Patch
from dlcv.geometry.camera import CameraError, grid_rays
from dlcv.types import Camera, FloatArray

Matrix = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_UNIT = 20.0  # steps of the whole numbers that hold the logarithm of odds, to each unit of it
_COLUMNS = 320  # of a picture that are looked at, about
_PIXELS = 1.5  # width of a bearing, at least
_JUMP = 0.08  # share of its depth by which a pixel between near and far differs from both
_NEAREST = 0.1  # metres
_UNSURE = 0.2  # of its depth, that a pixel may be off by
_SLOPE = np.deg2rad(10)  # of the ground, at most
_TILT = np.deg2rad(2)  # by which the level may be off
_BAND = 0.08  # metres around the ground in which its points are
_FEWEST = 100  # points that make a ground
_STEPS = 3
_BIN = 0.05  # metres of height over which points are counted
_PEAK = 0.25  # of the most frequent height, that the ground's must have
_PROMINENT = 3.0  # times the usual height, that it must have


@dataclass(frozen=True, kw_only=True, slots=True)
class SweepSettings:
    """How pictures of depth are read.

    Attributes:
        resolution: Side of a cell, metres.
        lowest: Height over the ground from which on something is an obstacle, metres.
        highest: Height up to which it is one: that of what drives below.
        furthest: Metres up to which depth is believed.
        clear: Height below which rays must pass to say that nothing stands there, metres.
        body: Radius around the camera in which nothing can stand but what carries it, metres.
        camera_height: Of the camera over the ground, metres; 0 where it is not known.
        hits: Points that make an obstacle of a cell.
        occupied: Probability that a cell is, which was seen to be once.
        free: The same of one that was seen to be free.
    """

    resolution: float = 0.05
    lowest: float = 0.12
    highest: float = 1.8
    furthest: float = 6.0
    clear: float = 0.3
    body: float = 0.2
    camera_height: float = 0.0
    hits: float = 3.0
    occupied: float = 0.7
    free: float = 0.4

    def __post_init__(self) -> None:
        if not 0 < self.resolution < self.furthest:
            raise ValueError(
                f'0 < resolution < furthest is needed, got {self.resolution} and {self.furthest}'
            )
        if not 0 < self.lowest < self.highest or self.clear < self.lowest:
            raise ValueError(
                '0 < lowest < highest and lowest <= clear are needed, got '
                f'{self.lowest}, {self.highest} and {self.clear}'
            )
        if not 0 < self.free < 0.5 < self.occupied < 1:
            raise ValueError(
                f'0 < free < 0.5 < occupied < 1 is needed, got {self.free} and {self.occupied}'
            )
        if self.camera_height < 0 or self.body < 0:
            raise ValueError(
                'camera_height and body must not be negative, got '
                f'{self.camera_height} and {self.body}'
            )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class GroundPlane:
    """Height of the ground below a camera: ``x slope_x + y slope_y - height`` of its level axes."""

    height: float
    slope: tuple[float, float] = (0.0, 0.0)

    def above(self, points: FloatArray) -> Matrix:
        """Return the height ``(N,)`` of points ``(N, 3)`` over it."""
        below = points[:, :2] @ np.array(self.slope) - self.height
        return np.asarray(points[:, 2] - below, np.float64)


class Sweeper:
    """Reads one picture of depth after the other.

    Args:
        settings: How.

    Attributes:
        height: Of the camera over the ground, as it was known or found last; 0 for not yet.
    """

    def __init__(self, settings: SweepSettings | None = None) -> None:
        self.settings = settings or SweepSettings()
        self.height = self.settings.camera_height
        self._rays: tuple[Camera, int, Matrix] | None = None

    def sweep(
        self,
        depth: FloatArray,
        camera: Camera,
        level_from_camera: FloatArray,
        stddev: FloatArray | None = None,
    ) -> Patch | None:
        """Return what a picture says; None where it shows nothing that is known well enough.

        Args:
            depth: ``(H, W)`` metres along z; NaN or infinite where unknown, as of REP 117.
            camera: Of the size of the depth.
            level_from_camera: ``(4, 4)`` of the camera, in a frame whose z is up, metres.
            stddev: ``(H, W)`` metres, of the depth.

        Raises:
            CameraError: The depth is of another size than the camera or its deviations.
        """
        pose = np.asarray(level_from_camera, np.float64)
        points, doubt = self._points(depth, camera, stddev)
        points = points @ pose[:3, :3].T
        ground = self._ground(points)
        if ground is None:
            return None
        above = ground.above(points)
        self.height = ground.height
        width = max(
            self.settings.resolution / self.settings.furthest,
            _PIXELS * self._stride(camera) / camera.focal,
        )
        return self._patch(points, above, doubt, pose[:2, 3], width)

    # points ---------------------------------------------------------------------------------

    def _points(
        self, depth: FloatArray, camera: Camera, stddev: FloatArray | None
    ) -> tuple[Matrix, Matrix]:
        """Return ``(N, 3)`` points in the camera's axes, and by what ``(N,)`` they may be off."""
        size = (camera.height, camera.width)
        for name, array in (('depth', depth), ('deviation', stddev)):
            if array is not None and array.shape != size:
                raise CameraError(
                    f'the {name} is {array.shape[1]}x{array.shape[0]}, '
                    f'its camera {camera.width}x{camera.height}'
                )
        stride = self._stride(camera)
        if self._rays is None or self._rays[:2] != (camera, stride):
            rays = np.asarray(grid_rays(camera)[::stride, ::stride], np.float64)
            self._rays = camera, stride, rays
        rays = self._rays[2]
        z = np.asarray(depth[::stride, ::stride], np.float64)
        with np.errstate(invalid='ignore'):
            good = (z > _NEAREST) & (z < self.settings.furthest) & ~_between(z)
        doubt = np.zeros_like(z)
        if stddev is not None:
            doubt = np.asarray(stddev[::stride, ::stride], np.float64)
            good &= np.nan_to_num(doubt, nan=np.inf) < _UNSURE * np.where(good, z, 0.0)
        return rays[good] * z[good][:, None], doubt[good]

    @staticmethod
    def _stride(camera: Camera) -> int:
        return max(1, round(camera.width / _COLUMNS))

    def _ground(self, points: Matrix) -> GroundPlane | None:
        """Return the ground below a camera, by its points ``(N, 3)`` in level axes."""
        height = self.settings.camera_height or _frequent_height(points) or self.height
        if not height or not len(points):
            return None
        return fitted_ground(points, height)

    # cells ----------------------------------------------------------------------------------

    def _patch(
        self, points: Matrix, above: Matrix, doubt: Matrix, centre: Matrix, width: float
    ) -> Patch:
        s = self.settings
        reach = int(np.ceil(s.furthest / s.resolution)) + 1
        middle = np.floor(centre / s.resolution).astype(np.int64)
        corner = middle - reach
        side = 2 * reach + 1
        stands = (above > s.lowest) & (above < s.highest)
        cell = np.floor((points[:, :2] + centre) / s.resolution).astype(np.int64) - corner
        inside = ((cell >= 0) & (cell < side)).all(axis=1)
        index = cell[:, 1] * side + cell[:, 0]
        share = np.minimum(1.0, s.resolution / np.maximum(doubt, 1e-9))
        at = stands & inside
        hits = np.bincount(index[at], share[at], minlength=side * side).reshape(side, side)
        ground = np.zeros(side * side, np.bool_)
        ground[index[(np.abs(above) <= s.lowest) & inside]] = True

        near, far = self._clear(points, above, doubt, stands, width)
        steps = (np.arange(side) + corner[:, None] + 0.5) * s.resolution - centre[:, None]
        x, y = np.broadcast_arrays(steps[0][None, :], steps[1][:, None])
        away = np.hypot(x, y)
        bearing = _bearing(x, y, width)
        free = (away > near[bearing]) & (away < far[bearing])
        free |= ground.reshape(side, side) | (away < s.body)
        occupied = hits >= s.hits
        cells = np.zeros((side, side), np.int8)
        cells[free] = log_odds(s.free)
        cells[occupied] = log_odds(s.occupied)
        return Patch.cropped(cells, (int(corner[0]), int(corner[1])))

    def _clear(
        self, points: Matrix, above: Matrix, doubt: Matrix, stands: Mask, width: float
    ) -> tuple[Matrix, Matrix]:
        """Return from where to where ``(B,)`` rays swept near the ground and met nothing."""
        s = self.settings
        count = int(np.ceil(2 * np.pi / width))
        bearing = _bearing(points[:, 0], points[:, 1], width)
        away = np.hypot(points[:, 0], points[:, 1])
        sure = np.maximum(away - 2 * doubt, 0.0)
        start = above - points[:, 2]  # the camera's height over the ground below each
        low = above < s.clear
        # where a ray comes down below that height; at once where the camera is below it
        entry = np.where(start > s.clear, (start - s.clear) / np.maximum(start - above, 1e-6), 0.0)
        near, far, met = np.full(count, np.inf), np.zeros(count), np.full(count, np.inf)
        np.minimum.at(near, bearing[low], (away * entry)[low])
        np.maximum.at(far, bearing[low], sure[low])
        np.minimum.at(met, bearing[stands], sure[stands])
        return near, np.minimum(far, met - s.resolution)


def log_odds(share: float) -> int:
    """Return the logarithm of a probability's odds as the cells of a patch have it."""
    return round(_UNIT * float(np.log(share / (1 - share))))


def probability(odds: npt.NDArray[np.int32]) -> Matrix:
    """Return the probabilities of which cells have the logarithms of odds."""
    return np.asarray(1 / (1 + np.exp(-np.clip(odds / _UNIT, -30, 30))), np.float64)


def fitted_ground(points: Matrix, height: float) -> GroundPlane:
    """Return the plane that the points near the ground lie on; level where they are too few.

    Args:
        points: ``(N, 3)`` metres in level axes, from the camera.
        height: Of the camera over the ground, about.
    """
    plane = GroundPlane(height=height)
    band = _BAND + _TILT * np.hypot(points[:, 0], points[:, 1])
    for _ in range(_STEPS):
        on = points[np.abs(plane.above(points)) < band]
        if len(on) < _FEWEST:
            return GroundPlane(height=height)
        table = np.column_stack((on[:, :2], np.ones(len(on))))
        # held by what is known: a narrow strip of ground tells no slope across it
        prior = len(on) * np.diag((1e-2, 1e-2, 1e-4))
        wanted = table.T @ on[:, 2] + prior @ (0.0, 0.0, -height)
        x, y, down = np.linalg.solve(table.T @ table + prior, wanted)
        if np.hypot(x, y) > np.tan(_SLOPE) or abs(down + height) > 2 * _BAND:
            return GroundPlane(height=height)
        plane = GroundPlane(height=-float(down), slope=(float(x), float(y)))
        band = np.full(len(points), _BAND)
    return plane


def _frequent_height(points: Matrix) -> float:
    """Return the greatest depth below the camera at which strikingly many points are, else 0."""
    below = -points[:, 2]
    below = below[below > _BIN]
    if len(below) < _FEWEST:
        return 0.0
    counts = np.bincount((below / _BIN).astype(np.int64))
    usual = np.median(counts[counts > 0])  # walls show each height about as often
    often = np.flatnonzero(counts >= np.maximum(_PEAK * counts.max(), _PROMINENT * usual))
    if not len(often):
        return 0.0
    lowest = below[np.abs(below - (often[-1] + 0.5) * _BIN) < _BIN]
    return float(np.median(lowest))


def _between(depth: Matrix) -> Mask:
    """Return which pixels lie between a near and a far one: no thing, but a mixture of two."""
    step = np.diff(depth, axis=1) / np.maximum(depth[:, 1:], _NEAREST)
    mixed = np.zeros(depth.shape, np.bool_)
    rising = (step[:, :-1] > _JUMP) & (step[:, 1:] > _JUMP)
    mixed[:, 1:-1] = rising | ((step[:, :-1] < -_JUMP) & (step[:, 1:] < -_JUMP))
    return mixed


def _bearing(x: Matrix, y: Matrix, width: float) -> Indices:
    count = int(np.ceil(2 * np.pi / width))
    return np.minimum(((np.arctan2(y, x) + np.pi) / width).astype(np.int64), count - 1)
