"""An occupancy grid of what pictures of depth show, which moves with the keyframes of its map.

Pictures are gathered in submaps, small grids that each belong to a keyframe (as in Hess et al.,
"Real-time loop closure in 2D LIDAR SLAM", ICRA 2016). A loop that moves keyframes moves their
submaps, by where they are and the direction that they look in; nothing has to be seen again.
Odds of submaps that overlap are multiplied. z of the map is up.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from dlcv.estimation.slam.sheet import (
    STILL,
    Patch,
    Rectangle,
    Sheet,
    apart,
    composed,
    inverted,
    reached,
    snapped,
    united,
)
from dlcv.estimation.slam.sweep import Sweeper, SweepSettings, log_odds, probability
from dlcv.geometry.frames import inverse
from dlcv.types import Camera, FloatArray

Matrix = npt.NDArray[np.float64]

UNKNOWN = -1
"""Value of a cell of which nothing is known."""

_NARROWEST = 128  # cells of a grid's side
_PAIRS = 8  # of submaps that are nearest to each other, of which one pair may become one
_WASTE = 1.5  # times the cells of both that two submaps may have when they are one
_SPARE = 0.5  # of half the grid's side, by which the part of the map that it shows moves


@dataclass(frozen=True, kw_only=True, slots=True)
class GridSettings(SweepSettings):
    """How a grid is made.

    Attributes:
        spacing: Metres between keyframes of which each has a submap of its own.
        least: Probability below which no cell of a submap falls, however often it is seen free.
        most: The same above.
        submaps: How many there may be; beyond, two that are near each other become one, or
            the furthest is forgotten.
        side: Cells of the grid in x and in y, at most; those around the newest keyframe.
        decided: Whether values are 0, 100 and unknown, as Nav2's static layer wants; else they are
            probabilities.
    """

    spacing: float = 1.0
    least: float = 0.05
    most: float = 0.97
    submaps: int = 400
    side: int = 4000
    decided: bool = True

    def __post_init__(self) -> None:
        SweepSettings.__post_init__(self)
        if not 0 < self.least < 0.5 < self.most < 1:
            raise ValueError(
                f'0 < least < 0.5 < most < 1 is needed, got {self.least} and {self.most}'
            )
        if self.submaps < 2 or self.side < _NARROWEST or self.spacing < 0:
            raise ValueError(
                f'submaps >= 2, side >= {_NARROWEST} and spacing >= 0 are needed, got '
                f'{self.submaps}, {self.side} and {self.spacing}'
            )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Occupancy:
    """A grid as nav_msgs/OccupancyGrid has it.

    Attributes:
        values: ``(H, W)`` int8: -1 for unknown, else 0 to 100; rows rise with y, columns with x.
        resolution: Side of a cell, metres.
        origin: x and y of the corner of the first cell, metres in the map.
    """

    values: npt.NDArray[np.int8]
    resolution: float
    origin: tuple[float, float]


@dataclass(kw_only=True, slots=True, eq=False)
class _Submap:
    """What some pictures say.

    Attributes:
        keyframe: To which it belongs.
        pose: ``(4, 4)`` where that was in the map when the submap was begun.
        patch: On the lattice of the map as it was then.
        drawn: The move by which it is on the sheet; None where it is not.
    """

    keyframe: int
    pose: Matrix
    patch: Patch
    drawn: Matrix | None = field(default=None)

    def move(self, poses: FloatArray, resolution: float) -> Matrix:
        """Return by what its keyframe was moved on the ground since the submap was begun."""
        now = np.asarray(poses[self.keyframe], np.float64)
        turned = now[:3, :3] @ self.pose[:3, :3].T
        # of all turns about z the nearest to it
        turn = np.arctan2(turned[1, 0] - turned[0, 1], turned[0, 0] + turned[1, 1])
        to_origin = np.array((0.0, *-self.pose[:2, 3])) / resolution
        move = composed(np.array((turn, *now[:2, 3] / resolution)), to_origin)
        return snapped(self.patch, move)


class GridMapper:
    """Makes a grid of pictures of depth.

    Args:
        settings: How.
    """

    def __init__(self, settings: GridSettings | None = None) -> None:
        self.settings = settings or GridSettings()
        self._limits = log_odds(self.settings.least), log_odds(self.settings.most)
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._sweeper = Sweeper(self.settings)
        self._submaps: list[_Submap] = []
        self._sheet = Sheet()  # with all submaps but the newest, which still changes

    def __len__(self) -> int:
        """Return the number of submaps."""
        return len(self._submaps)

    @property
    def nbytes(self) -> int:
        """Memory of all submaps and of the sheet that they are drawn on."""
        return self._sheet.cells.nbytes + sum(one.patch.cells.nbytes for one in self._submaps)

    @property
    def camera_height(self) -> float:
        """Of the camera over the ground, metres, as it was given or found last; 0 for not yet."""
        return self._sweeper.height

    def add(
        self,
        depth: FloatArray,
        camera: Camera,
        keyframe: int,
        keyframe_from_camera: FloatArray,
        poses: FloatArray,
        stddev: FloatArray | None = None,
    ) -> bool:
        """Take a picture of depth.

        Args:
            depth: ``(H, W)`` metres along z; NaN or infinite where unknown.
            camera: Of the size of the depth.
            keyframe: Number of one that was taken nearby, such as the newest.
            keyframe_from_camera: ``(4, 4)`` metres; the identity for the keyframe's own picture.
            poses: ``(K, 4, 4)`` map_from_keyframe of all keyframes, metres, with z up.
            stddev: ``(H, W)`` metres, of the depth.

        Returns:
            Whether it showed anything.

        Raises:
            CameraError: The depth is of another size than the camera.
            ValueError: There is no such keyframe.
        """
        if not 0 <= keyframe < len(poses):
            raise ValueError(f'keyframe must be one of {len(poses)}, got {keyframe}')
        newest = self._newest(keyframe, poses)
        anchor = np.asarray(poses[newest.keyframe], np.float64)
        anchor_from_camera = inverse(anchor) @ poses[keyframe] @ keyframe_from_camera
        patch = self._sweeper.sweep(depth, camera, newest.pose @ anchor_from_camera, stddev)
        if patch is None or not patch.cells.size:
            return False
        newest.patch = newest.patch.added(patch, *self._limits)
        return True

    def render(self, poses: FloatArray) -> Occupancy | None:
        """Return the grid with the keyframes where they are now; None before anything was seen.

        Args:
            poses: ``(K, 4, 4)`` map_from_keyframe of all keyframes, metres.
        """
        size = self.settings.resolution
        shown = [(one, one.move(poses, size)) for one in self._submaps if one.patch.cells.size]
        if not shown:
            return None
        if not self._sheet.cover(self._extent(shown, poses), self.settings.side):
            for one, _ in shown:
                one.drawn = None
        for one, move in shown:
            here = one.drawn is not None and apart(one.patch, one.drawn, move) < STILL
            if one is not self._submaps[-1] and not here:
                self._take_off(one)
                self._sheet.draw(one.patch, move)
                one.drawn = move
        sheet = self._sheet
        if shown[-1][0] is self._submaps[-1]:
            sheet = sheet.copy()
            sheet.draw(shown[-1][0].patch, shown[-1][1])
        x, y = sheet.rectangle[:2]
        return Occupancy(
            values=self._values(sheet.cells), resolution=size, origin=(x * size, y * size)
        )

    # submaps --------------------------------------------------------------------------------

    def _newest(self, keyframe: int, poses: FloatArray) -> _Submap:
        """Return the submap that a keyframe's pictures belong to; a new one where it is away."""
        if self._submaps:
            newest = self._submaps[-1]
            away = poses[keyframe][:3, 3] - poses[newest.keyframe][:3, 3]
            if keyframe == newest.keyframe or np.linalg.norm(away) < self.settings.spacing:
                return newest
        if len(self._submaps) == self.settings.submaps:
            self._make_room(poses)
        nothing = Patch(corner=(0, 0), cells=np.zeros((0, 0), np.int8))
        pose = np.array(poses[keyframe], np.float64)
        self._submaps.append(_Submap(keyframe=keyframe, pose=pose, patch=nothing))
        return self._submaps[-1]

    def _make_room(self, poses: FloatArray) -> None:
        """Make one of two submaps that are near each other, else forget the furthest."""
        at = np.array([poses[one.keyframe][:2, 3] for one in self._submaps])
        older, newer = np.triu_indices(len(at), k=1)
        apart = np.linalg.norm(at[older] - at[newer], axis=1)
        size = self.settings.resolution
        for pair in np.argsort(apart, kind='stable')[:_PAIRS]:
            gone, kept = self._submaps[older[pair]], self._submaps[newer[pair]]
            move = composed(inverted(kept.move(poses, size)), gone.move(poses, size))
            x, y, right, top = united(reached(gone.patch, move), kept.patch.rectangle)
            cells = gone.patch.cells.size + kept.patch.cells.size
            if (right - x) * (top - y) <= _WASTE * cells:
                self._take_off(gone)
                self._take_off(kept)
                self._submaps.remove(gone)
                there = Sheet()
                there.cover((x, y, right, top), self.settings.side)
                there.draw(gone.patch, snapped(gone.patch, move))
                alone = Patch.cropped(there.cells.astype(np.int8), there.rectangle[:2])
                kept.patch = kept.patch.added(alone, *self._limits)
                return
        furthest = int(np.argmax(np.linalg.norm(at - at[-1], axis=1)))
        self._take_off(self._submaps.pop(furthest))

    def _take_off(self, one: _Submap) -> None:
        if one.drawn is not None:
            self._sheet.draw(one.patch, one.drawn, -1)
            one.drawn = None

    # the grid -------------------------------------------------------------------------------

    def _extent(self, shown: list[tuple[_Submap, Matrix]], poses: FloatArray) -> Rectangle:
        """Return where the grid has to be: around all, or all that is near the newest keyframe."""
        half = self.settings.side // 2
        step = max(1, int(_SPARE * half))  # in which the window moves, so that it does so seldom
        at = np.asarray(poses[self._submaps[-1].keyframe][:2, 3]) / self.settings.resolution
        x, y = np.floor(at).astype(int).tolist()
        whole = (x, y, x + 1, y + 1)
        for one, move in shown:
            whole = united(whole, reached(one.patch, move))
        middle = [round(float(one) / step) * step for one in at]
        spans: list[tuple[int, int]] = []
        for axis in (0, 1):
            low, high = whole[axis], whole[axis + 2]
            if high - low > 2 * half:
                low, high = max(low, middle[axis] - half), min(high, middle[axis] + half)
            spans.append((low, high))
        return spans[0][0], spans[1][0], spans[0][1], spans[1][1]

    def _values(self, summed: npt.NDArray[np.int32]) -> npt.NDArray[np.int8]:
        s = self.settings
        if s.decided:
            values = np.full(summed.shape, UNKNOWN, np.int8)
            values[summed <= log_odds(s.free)] = 0
            values[summed >= log_odds(s.occupied)] = 100
            return values
        likely = np.rint(100 * probability(summed)).astype(np.int8)
        return np.where(summed == 0, np.int8(UNKNOWN), likely)
