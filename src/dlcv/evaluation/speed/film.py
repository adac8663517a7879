"""The pictures that speed is measured on: few, shown to and fro, so that they move on for ever."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dlcv.config import from_dict, to_dict
from dlcv.evaluation.bench.options import BenchError
from dlcv.types import ByteImage, Camera, Frame

PICTURES = 8
PERIOD_NS = 10**8


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Film:
    """Some pictures of one camera in their order.

    Attributes:
        pictures: ``(N, H, W, 3)`` uint8, RGB; two or more.
        camera: Of all of them.
    """

    pictures: npt.NDArray[np.uint8]
    camera: Camera

    def __post_init__(self) -> None:
        if len(self.pictures) < 2:
            raise BenchError(f'speed is measured on 2 pictures or more, got {len(self.pictures)}')

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.pictures.shape[2], self.pictures.shape[1]

    @property
    def turn(self) -> int:
        """Pictures after which it begins anew: all of them forth, those between back."""
        return 2 * len(self.pictures) - 2

    def picture(self, number: int) -> ByteImage:
        """Return a picture of the endless film: forth, back, forth again."""
        at = number % self.turn
        return np.asarray(self.pictures[min(at, self.turn - at)], np.uint8)

    def frames(self, period_ns: int = PERIOD_NS) -> Iterator[Frame]:
        """Give frames without end."""
        for number in count():
            yield Frame(stamp_ns=number * period_ns, image=self.picture(number), camera=self.camera)

    def save(self, path: Path) -> Path:
        """Write to a ``.npz`` file, for other processes."""
        camera = json.dumps(to_dict(self.camera))
        np.savez(path, pictures=self.pictures, camera=np.array(camera))
        return path

    @classmethod
    def load(cls, path: Path) -> Film:
        """Read what `save` wrote."""
        with np.load(path) as data:
            camera = from_dict(json.loads(data['camera'].item()), Camera)
            return cls(pictures=data['pictures'], camera=camera)


def generated(width: int, height: int, pictures: int = PICTURES) -> Film:
    """Return pictures of a walk through a generated room.

    Raises:
        BenchError: The size is not positive.
    """
    if min(width, height) < 16:
        raise BenchError(f'pictures of 16x16 or more are needed, got {width}x{height}')
    from dlcv.data.world import WorldRecording, ideal_camera

    world = WorldRecording('room', camera=ideal_camera(width, height), frames=pictures)
    shown = [snapshot.frame.image for snapshot in world]
    return Film(pictures=np.stack(shown), camera=world.camera)


def recorded(path: Path, pictures: int = PICTURES) -> Film:
    """Return the first pictures of a recording, as an undistorted camera of its size.

    Raises:
        BenchError: It has less than two pictures.
        BagError: It cannot be read.
    """
    from dlcv.data.recordings import BagOptions, open_recording
    from dlcv.estimation.pictures import View, colour

    recording, view = open_recording(path, BagOptions()), View()
    frames = [snapshot.frame for snapshot in islice(recording, pictures)]
    shown = [colour(view.rectified(frame)[0]) for frame in frames]
    if len(shown) < 2:
        raise BenchError(f'{path}: speed is measured on 2 pictures or more, got {len(shown)}')
    return Film(pictures=np.stack(shown), camera=recording.camera.undistorted())
