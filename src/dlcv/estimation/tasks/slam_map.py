"""The map of a node: online, with its file and its occupancy grid."""

from __future__ import annotations

from collections.abc import Callable

from dlcv.estimation.slam.anchor import AnchorSettings
from dlcv.estimation.slam.grid import GridSettings, Occupancy
from dlcv.estimation.slam.locate import LocateSettings
from dlcv.estimation.slam.loops import LoopSettings
from dlcv.estimation.slam.mapping import MapSettings, View
from dlcv.estimation.slam.online import Online
from dlcv.estimation.slam.online_settings import OnlineSettings
from dlcv.estimation.slam.places import Describer
from dlcv.estimation.tasks.map_file import MapFile, grid_file
from dlcv.estimation.tasks.map_grid import MapGrid
from dlcv.interface.slam_parameters import SlamParameters
from dlcv.types import Aids

CLEAR = 0.3  # m over the ground, below which rays pass where nothing stands


class SlamMap:
    """Reads, makes and writes a map; every method may be called in any thread.

    Args:
        parameters: Give them as they are now.
        describer: Says what pictures look like as wholes.
        say: Told what people should know.

    Attributes:
        online: The map.

    Raises:
        PlaceError: The map cannot be read, or is of no use.
    """

    def __init__(
        self,
        parameters: Callable[[], SlamParameters],
        describer: Describer,
        say: Callable[[str], None],
    ) -> None:
        self._parameters, self._say = parameters, say
        p = parameters()
        self._file = MapFile(describer.name)
        place = self._file.open(p)
        self.online = Online(_settings(p, describer), place, localize_only=p.localize_only)
        self._grid = MapGrid(_grid_settings(p)) if p.publish_grid else None
        self._begin_grid(beside=bool(len(place)))

    def close(self) -> None:
        """Give it back."""
        self.online.close()

    @property
    def unsaved(self) -> bool:
        """Whether there is a file for what was mapped since it was written."""
        return bool(self._parameters().map_file) and self._file.differs(self.online)

    def save(self) -> str:
        """Write the map, and the grid beside it; return what was written, in words.

        Raises:
            PlaceError: It has no file, or is empty.
            OSError: It cannot be written.
        """
        p, online = self._parameters(), self.online
        said = self._file.save(online, p)
        if self._grid is not None and not online.localize_only:
            self._grid.save(online, grid_file(p))
        return said

    def open(self) -> str:
        """Go on with the map of the file; return what it holds, in words.

        Raises:
            PlaceError: It cannot be read, or is of no use.
        """
        place = self._file.open(self._parameters(), must=True)
        self.online.renew(place, localize_only=self.online.localize_only)
        self._begin_grid(beside=True)
        return f'{len(place)} keyframes of {self._parameters().map_file}'

    def renew(self) -> None:
        """Forget all that was mapped; with localize_only, where the robot is in the map."""
        online = self.online
        if online.localize_only:
            online.renew(online.place, localize_only=True)
        else:
            online.renew(self._file.empty(self._parameters()))
        self._begin_grid(beside=online.localize_only)

    def show(self, view: View, aids: Aids) -> None:
        """Take what a picture shows, and the depth that was measured beside it."""
        self.online.show(view)
        if self._grid is not None:
            self._grid.add(aids, self.online)

    def grid(self) -> Occupancy | None:
        """Return the grid if it has changed; None else, and where there is none."""
        return None if self._grid is None else self._grid.render(self.online)

    def _begin_grid(self, *, beside: bool) -> None:
        """Show nothing of an earlier map; with what is beside this one's file."""
        if self._grid is None:
            return
        p = self._parameters()
        problem = self._grid.begin(grid_file(p) if beside and p.map_file else None)
        if problem:
            self._say(problem)


def _grid_settings(p: SlamParameters) -> GridSettings:
    return GridSettings(
        resolution=p.grid_resolution,
        lowest=p.grid_lowest,
        highest=p.grid_highest,
        clear=max(p.grid_lowest, CLEAR),
        furthest=p.grid_range,
        camera_height=p.camera_height,
    )


def _settings(p: SlamParameters, describer: Describer) -> OnlineSettings:
    loops = LoopSettings(likeness=describer.likeness, inliers=p.loop_inliers, votes=p.loop_votes)
    return OnlineSettings(
        keyframes=MapSettings(
            overlap=p.keyframe_overlap,
            shift=p.keyframe_shift,
            loops=loops,
            scaled=p.scale_drifts,
        ),
        found=LocateSettings(inliers=p.localization_inliers),
        anchor=AnchorSettings(confirmations=p.confirmations, elsewhere=p.elsewhere_confirmations),
        rate=p.localization_rate,
        lost_after=p.lost_after,
        max_speed=p.max_linear_speed,
        max_keyframes=p.max_keyframes,
        lockstep=p.lockstep,
    )
