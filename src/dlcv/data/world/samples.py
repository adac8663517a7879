"""Training samples: short clips of many generated worlds, each a function of its number alone.

``WorldSamples(config, seed)[index]`` is a tuple of snapshots, with all that is true about them:
pictures, depth, poses, flow both ways, occlusions, moving things, and the right view if wanted. It
depends on ``(seed, index)`` and the configuration only: not on what was asked for before, not on
the process. So a run that is resumed sees what it would have seen.

A world takes seconds to build, a clip milliseconds. Therefore ``per_world`` samples in a row lie in
one world, and a process remembers the worlds that it used last: read the numbers in order (they are
as random as any), or in chunks of ``per_world``; each jump to another chunk builds a world. With
several processes, give each its own chunks.

What recipes need of it::

    SampleConfig(frames=1, stereo=True)               # depth from stereo: left, right
    SampleConfig(frames=3, scenes=('street',))        # depth and motion from video
    SampleConfig(frames=8, rate_hz=(10, 10))          # odometry: clips, world_from_camera
    WorldPairs(WorldSamples(SampleConfig(), seed))    # optical flow: FlowPair
    SampleConfig(worlds=1, per_world=4000)            # relocalization: views of one place
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from dlcv.data.world.recording import (
    BASELINES,
    WorldRecording,
    WorldSnapshot,
    any_camera,
    any_sensor,
    check_kinds,
    motions_in,
)
from dlcv.data.world.scene import Photos, WorldError
from dlcv.data.world.sensor import SensorConfig
from dlcv.data.world.stage import GAITS, MOTIONS, Extras
from dlcv.types import BoxedPicture, FlowPair, LabelledPicture

LONGEST_S = 300.0  # clips begin within so many seconds of a way


@dataclass(frozen=True, kw_only=True, slots=True)
class GaitShares:
    """Shares of the clips whose camera does not go steadily; see `WorldRecording`.

    Attributes:
        still: At rest, while other things may move.
        turning: Turning on the spot.
        halting: Stopping and starting again.
    """

    still: float = 0.0
    turning: float = 0.0
    halting: float = 0.0

    def __post_init__(self) -> None:
        shares = (self.still, self.turning, self.halting)
        if min(shares) < 0 or sum(shares) > 1:
            raise WorldError(
                'gaits need shares still, turning and halting >= 0 of at most 1 together, got '
                f'{shares}'
            )

    def draw(self, rng: np.random.Generator) -> str:
        """Return the gait of a clip."""
        steady = 1 - self.still - self.turning - self.halting
        shares = (max(0.0, steady), self.still, self.turning, self.halting)
        return str(rng.choice(GAITS, p=np.array(shares) / sum(shares)))


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleConfig:
    """What the samples show.

    Attributes:
        scenes: Kinds of world, drawn evenly.
        motions: Motions, drawn evenly among those that the scene has room for.
        gaits: Shares of the clips whose camera stands, turns on the spot, or stops on its way.
        size: Width and height of the pictures.
        fov: Least and greatest horizontal field of view in degrees.
        aspect: Least and greatest vertical focal length over the horizontal one, in pixels; not 1
            for pictures that were stretched to ``size``.
        offset: How far the principal point may be off the middle, as a share of the size.
        frames: Snapshots of a clip.
        rate_hz: Least and greatest rate of a clip's snapshots, drawn evenly in its logarithm.
        stereo: Whether there is a right view.
        baseline: Least and greatest baseline, in multiples of what is usual in the scene.
        labels: Whether the class of each pixel is told.
        objects: Whether the things that are seen are told.
        sensor: What the camera does to its pictures; None draws a sensor for each clip.
        traffic: Things move by themselves.
        flyers: Most boxes that tumble through the air of a world.
        people: Most people of a room; see `Extras`.
        worlds: Number of different worlds; 0 for no end of them.
        per_world: Samples in a row that lie in one world.
        finest: Octaves of detail to leave out of the textures; 1 does for 320 pixels.
    """

    scenes: tuple[str, ...] = ('room', 'corridor', 'street')
    motions: tuple[str, ...] = MOTIONS
    gaits: GaitShares = field(default_factory=GaitShares)
    size: tuple[int, int] = (320, 240)
    fov: tuple[float, float] = (50.0, 95.0)
    aspect: tuple[float, float] = (0.98, 1.02)
    offset: float = 0.05
    frames: int = 2
    rate_hz: tuple[float, float] = (5.0, 30.0)
    stereo: bool = False
    baseline: tuple[float, float] = (0.5, 2.0)
    labels: bool = False
    objects: bool = False
    sensor: SensorConfig | None = None
    traffic: bool = True
    flyers: int = 3
    people: int = 0
    worlds: int = 0
    per_world: int = 128
    finest: int = 1

    def __post_init__(self) -> None:
        check_kinds(self.scenes, self.motions)
        if min(self.frames, self.per_world) < 1 or min(self.worlds, self.flyers, self.people) < 0:
            raise WorldError(
                'samples need frames and per_world >= 1, worlds, flyers and people >= 0; got '
                f'frames={self.frames}, per_world={self.per_world}, worlds={self.worlds}, '
                f'flyers={self.flyers}, people={self.people}'
            )
        if not 0 <= self.offset < 0.5:
            raise WorldError(f'offset must be in [0, 0.5), got {self.offset}')
        for name in ('fov', 'aspect', 'rate_hz', 'baseline'):
            low, high = getattr(self, name)
            if not 0 < low <= high:
                raise WorldError(f'{name} needs 0 < least <= greatest, got {(low, high)}')


class WorldSamples:
    """Clips of generated worlds, numbered without end.

    Args:
        config: What they show.
        seed: Two seeds share no world.
        photos: For the walls; must be the same for the samples to be the same.
        device: Torch device that renders.
    """

    def __init__(
        self,
        config: SampleConfig | None = None,
        seed: int = 0,
        *,
        photos: Photos | None = None,
        device: str = 'cpu',
    ) -> None:
        self.config = config or SampleConfig()
        self._seed, self._photos, self._device = seed, photos, device

    def __getitem__(self, index: int) -> tuple[WorldSnapshot, ...]:
        """Return the clip of that number; see :class:`WorldSnapshot`."""
        return tuple(self.recording(index))

    def recording(self, index: int) -> WorldRecording:
        """Return the clip of that number as a recording, nothing rendered yet.

        Raises:
            IndexError: The number is negative.
        """
        if index < 0:
            raise IndexError(f'samples are numbered from 0, got {index}')
        config = self.config
        world = index // config.per_world
        if config.worlds:
            world %= config.worlds
        place = np.random.default_rng([self._seed, 31, world])
        scene = str(place.choice(config.scenes))
        extras = Extras(
            traffic=config.traffic,
            flyers=int(place.integers(config.flyers + 1)),
            people=int(np.random.default_rng([self._seed, 34, world]).integers(config.people + 1)),
            photos=self._photos,
        )
        world_seed = int(place.integers(2**31))
        rng = np.random.default_rng([self._seed, 32, index])
        motions = [name for name in motions_in(scene) if name in config.motions]
        usual = BASELINES[scene] * np.exp(rng.uniform(*np.log(config.baseline)))
        return WorldRecording(
            scene,
            seed=world_seed,
            motion=str(rng.choice(motions)),
            way=int(rng.integers(2**31)),
            gait=config.gaits.draw(np.random.default_rng([self._seed, 33, index])),
            camera=any_camera(rng, config.size, config.fov, config.aspect, config.offset),
            frames=config.frames,
            rate_hz=float(np.exp(rng.uniform(*np.log(config.rate_hz)))),
            start_s=rng.uniform(0, LONGEST_S),
            baseline=float(usual) if config.stereo else 0.0,
            labels=config.labels,
            objects=config.objects,
            sensor=config.sensor if config.sensor is not None else any_sensor(rng),
            extras=extras,
            device=self._device,
            workers=1,
            finest=config.finest,
        )

    def labelled(self, index: int) -> LabelledPicture:
        """Return the picture of that number with its labels; for clips of one frame with labels."""
        (view,) = self.recording(index)
        assert view.labels is not None
        return LabelledPicture(image=view.frame.image, labels=view.labels, name=f'world/{index}')

    def boxed(self, index: int) -> BoxedPicture:
        """Return the picture of that number with its things; for clips of one frame with them."""
        (view,) = self.recording(index)
        assert view.objects is not None
        return BoxedPicture(image=view.frame.image, objects=view.objects, name=f'world/{index}')


class WorldPairs:
    """Pairs of consecutive pictures with exact optical flow; a clip of F frames gives F-1 of them.

    They are numbered clip by clip. The pairs of a clip are rendered together, and the last clip's
    are kept: read the numbers in order.

    Args:
        samples: The clips, of two or more frames.
    """

    def __init__(self, samples: WorldSamples) -> None:
        if samples.config.frames < 2:
            raise WorldError(f'pairs need clips of 2 frames, got {samples.config.frames}')
        self._samples = samples
        self._last: tuple[int, list[FlowPair]] | None = None

    def __getitem__(self, index: int) -> FlowPair:
        """Return the pair of that number; complete: backward flow and occlusion are known."""
        clip, place = divmod(index, self._samples.config.frames - 1)
        if self._last is None or self._last[0] != clip:
            self._last = (clip, _pairs(self._samples.recording(clip), clip))
        return self._last[1][place]


def _pairs(recording: WorldRecording, clip: int) -> list[FlowPair]:
    pairs = []
    for place, (before, after) in enumerate(pairwise(recording)):
        assert after.flow is not None
        pairs.append(
            FlowPair(
                first=before.frame.image,
                second=after.frame.image,
                flow=after.flow,
                backward=after.backward,
                occluded=after.hidden,
                name=f'{recording.name}-{clip}-{place}',
            )
        )
    return pairs
