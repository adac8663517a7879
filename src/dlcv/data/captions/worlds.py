"""What is true of a picture of a generated world, as `View`."""

from __future__ import annotations

from collections.abc import Iterator

from dlcv.data.captions.facts import Thing, View
from dlcv.data.world import WorldRecording, WorldSnapshot
from dlcv.things import KINDS

_MOVING = 0.15  # m/s from which on a thing is said to move


def view_of(recording: WorldRecording, snapshot: WorldSnapshot) -> View:
    """Return what is true of a snapshot of a recording that tells its objects."""
    seen = snapshot.objects
    assert seen is not None
    height, width = snapshot.frame.image.shape[:2]
    things = tuple(
        Thing(
            kind=KINDS[seen.kind[i]].name,
            x=float((seen.box[i, 0] + seen.box[i, 2] + 1) / (2 * width)),
            distance=float(seen.distance[i]),
            share=float(seen.pixels[i] / (width * height)),
            seen=float(seen.share[i]),
            moves=bool(seen.speed[i] > _MOVING),
        )
        for i in range(len(seen))
    )
    return View(place=recording.scene, light=_light(recording), things=things)


def views_of(recording: WorldRecording) -> Iterator[tuple[WorldSnapshot, View]]:
    """Yield the snapshots of a recording with what is true of each."""
    for snapshot in recording:
        yield snapshot, view_of(recording, snapshot)


def _light(recording: WorldRecording) -> str:
    """Name the light outdoors; indoors there is nothing to be said of it."""
    if recording.scene != 'street':
        return ''
    return 'sunny' if recording.sunlit else 'overcast'
