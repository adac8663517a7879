"""What ``dlcv bench slam`` measures on: walks through generated worlds that meet themselves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dlcv.data.world import BASELINES, SENSORS, WorldRecording, ideal_camera
from dlcv.evaluation.bench.odometry_ways import INDOORS, OUTDOORS, DepthCamera


@dataclass(frozen=True, kw_only=True, slots=True)
class LoopSet:
    """Walks of which each comes back to where it began.

    Attributes:
        name: Short, for tables.
        title: What they are, for people.
        scene: Of the worlds.
        seeds: Of the worlds, one for each walk; no recipe has them.
        frames: Pictures of a walk.
        rate_hz: Of them.
        asked: Pictures of another walk in the same world, that are looked up in the map.
        injected: False loops that are told to the map, one after the other.
    """

    name: str
    title: str
    scene: str
    seeds: tuple[int, ...]
    frames: int
    rate_hz: float
    asked: int = 0
    injected: int = 0

    @property
    def depth(self) -> DepthCamera:
        """What a depth camera makes of the true depth."""
        return OUTDOORS if self.scene == 'street' else INDOORS

    def walk(self, seed: int, *, stereo: bool = False) -> WorldRecording:
        """Return the walk that the map is made of."""
        return self._recording(seed, 0, self.frames, stereo=stereo)

    def other(self, seed: int) -> WorldRecording:
        """Return the pictures that are asked: of the first other way the same way round."""
        ways = (self._recording(seed, way, self.asked) for way in range(_WAYS))
        first = next(ways)
        return next((one for one in ways if _turned(one) * _turned(first) > 0), first)

    def _recording(
        self, seed: int, way: int, frames: int, *, stereo: bool = False
    ) -> WorldRecording:
        return WorldRecording(
            self.scene,
            seed=seed,
            way=way,
            camera=ideal_camera(*SIZE),
            frames=frames,
            rate_hz=self.rate_hz * frames / self.frames,
            baseline=BASELINES[self.scene] if stereo else 0.0,
            sensor=SENSORS['good'],
            workers=1,  # those that render ahead would be in the way of what is timed
        )


def _turned(recording: WorldRecording) -> float:
    """Return by how much a way goes round the middle of its world, radians."""
    at = recording.world_from_camera[:, :2, 3]
    around = np.unwrap(np.arctan2(at[:, 1], at[:, 0]))
    return float(around[-1] - around[0])


SIZE = 320, 240
_WAYS = 8  # that are looked at for one that goes the same way round
LOOPS = {
    one.name: one
    for one in (
        LoopSet(
            name='world-room',
            title='a walk round a generated room, and on',
            scene='room',
            seeds=(41017,),
            frames=300,
            rate_hz=10.0,
            asked=100,
            injected=20,
        ),
        LoopSet(
            name='world-block',
            title='a drive once around a block of streets, and on',
            scene='street',
            seeds=(41017,),
            frames=480,
            rate_hz=10.0,
            asked=60,
            injected=20,
        ),
        LoopSet(
            name='ten-rooms',
            title='walks round ten generated rooms, by few pictures',
            scene='room',
            seeds=tuple(range(41021, 41031)),
            frames=160,
            rate_hz=5.0,
        ),
    )
}
SETS = {name: one.title for name, one in LOOPS.items()}
