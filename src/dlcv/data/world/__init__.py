"""The generated world: exact depth, pose, flow and stereo of rooms, corridors and streets."""

from dlcv.data.world.recording import (
    BASELINES,
    NATURAL,
    SCENES,
    WorldRecording,
    WorldSnapshot,
    ideal_camera,
    motions_in,
)
from dlcv.data.world.samples import GaitShares, SampleConfig, WorldPairs, WorldSamples
from dlcv.data.world.scene import Photos, WorldError
from dlcv.data.world.sensor import SENSORS, SensorConfig
from dlcv.data.world.stage import GAITS, MOTIONS, Extras

__all__ = [
    'BASELINES',
    'GAITS',
    'MOTIONS',
    'NATURAL',
    'SCENES',
    'SENSORS',
    'Extras',
    'GaitShares',
    'Photos',
    'SampleConfig',
    'SensorConfig',
    'WorldError',
    'WorldPairs',
    'WorldRecording',
    'WorldSamples',
    'WorldSnapshot',
    'ideal_camera',
    'motions_in',
]
