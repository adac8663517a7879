"""The generated world: rooms and streets with exact depth, pose, flow and stereo, from a seed."""

from dlcv.world.recording import (
    BASELINES,
    SCENES,
    WorldRecording,
    WorldSnapshot,
    ideal_camera,
)
from dlcv.world.scene import WorldError

__all__ = [
    'BASELINES',
    'SCENES',
    'WorldError',
    'WorldRecording',
    'WorldSnapshot',
    'ideal_camera',
]
