from __future__ import annotations

import numpy as np
import pytest

from dlcv.data.world import WorldError, WorldRecording, ideal_camera
from dlcv.data.world.sensor import SENSORS, Sensor, SensorConfig

GREY = np.full((60, 80, 3), 120, np.uint8)
STEPS = np.broadcast_to(np.arange(80, dtype=np.uint8)[None, :, None] * 3, (60, 80, 3))


def _develop(image, seconds=1.0, number=(0, 0), streak=None, seed=(1, 2), **options):
    return Sensor(SensorConfig(**options), seed).develop(image, seconds, number, streak)


def test_an_ideal_sensor_changes_nothing():
    assert _develop(STEPS) is STEPS


@pytest.mark.parametrize('name', ['good', 'poor'])
def test_one_seed_gives_one_picture(name):
    one, again, other = (Sensor(SENSORS[name], (seed, 0)) for seed in (3, 3, 4))
    pictures = [sensor.develop(STEPS, 2.0, (5, 0), None) for sensor in (one, again, other)]
    assert np.array_equal(pictures[0], pictures[1])
    assert not np.array_equal(pictures[0], pictures[2])
    assert not np.array_equal(pictures[0], one.develop(STEPS, 2.0, (6, 0), None))  # other noise


def test_light_drifts_smoothly_over_time():
    sensor = Sensor(SensorConfig(drift=0.4), (1,))
    means = [sensor.develop(GREY, t, (0, 0), None).mean() for t in np.arange(0, 20, 0.1)]
    assert np.std(means) > 5
    assert np.abs(np.diff(means)).max() < 0.3 * np.ptp(means)


def test_flicker_makes_bands_of_rows_that_wander():
    first, second = (
        _develop(GREY, seconds, flicker=0.2, readout=0.02).astype(float)[:, 0, 0]
        for seconds in (1.0, 1.0033)
    )
    assert _develop(GREY, flicker=0.2).std(1).max() == 0  # the same along a row
    turns = np.flatnonzero(np.diff(np.sign(first - first.mean())))
    assert len(turns) in (3, 4, 5)  # two periods of 10 ms within the readout
    assert np.abs(first - second).max() > 5


def test_corners_are_darker_than_the_middle():
    corner = [_develop(GREY, vignetting=0.9, seed=(seed,))[0, 0, 0] for seed in range(5)]
    middle = [_develop(GREY, vignetting=0.9, seed=(seed,))[30, 40, 0] for seed in range(5)]
    assert min(corner) < 100
    assert min(middle) >= 118


def test_gamma_keeps_black_and_white():
    image = np.concatenate((np.zeros((4, 8, 3)), GREY[:4, :8], np.full((4, 8, 3), 255)))
    result = _develop(image.astype(np.uint8), gamma=(1.5, 1.5))
    assert result[0].max() == 0
    assert result[-1].min() == 255
    assert result[5, 0, 0] == pytest.approx(255 * (120 / 255) ** 1.5, abs=1)


def test_photon_noise_grows_with_the_light():
    noise = {'shot_noise': 12.0, 'read_noise': 1.0}
    dark, bright = (
        _develop(np.full((200, 200, 3), value, np.uint8), **noise).astype(float).std()
        for value in (40, 200)
    )
    light = (200 / 255) ** 2.2
    assert bright == pytest.approx(np.sqrt(1 + 144 * light), rel=0.05)
    assert dark < 0.4 * bright


def test_motion_blurs_along_the_streak_only():
    lines = np.zeros((60, 80, 3), np.uint8)
    lines[:, 40] = 255  # upright
    along, across = np.zeros((60, 80, 2)), np.zeros((60, 80, 2))
    along[..., 1], across[..., 0] = 6.0, 6.0
    assert np.array_equal(_develop(lines, streak=along, shutter=0.01)[10:50], lines[10:50])
    wide = _develop(lines, streak=across, shutter=0.01)[30, :, 0]
    assert 5 <= (wide > 20).sum() <= 9
    assert wide[40] < 200
    light = (wide / 255.0) ** 2.2
    assert light.sum() == pytest.approx(1, abs=0.1)  # no light is lost


def test_blur_ignores_what_has_no_motion():
    streak = np.full((60, 80, 2), np.nan)
    assert np.array_equal(_develop(STEPS, streak=streak, shutter=0.01), STEPS)


def test_only_pictures_change():
    options = {
        'seed': 3,
        'camera': ideal_camera(96, 72),
        'frames': 2,
        'baseline': 0.1,
        'rate_hz': 4,
    }
    clean = list(WorldRecording('room', **options))
    poor = list(WorldRecording('room', sensor=SENSORS['poor'], **options))
    for a, b in zip(clean, poor, strict=True):
        assert (a.frame.image != b.frame.image).mean() > 0.3
        assert (a.right.image != b.right.image).mean() > 0.3
        assert np.array_equal(a.depth, b.depth)
        assert np.array_equal(a.world_from_camera, b.world_from_camera)
    assert np.array_equal(clean[1].flow, poor[1].flow)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'drift': -1.0}, 'amounts >= 0'),
        ({'vignetting': 1.0}, r'vignetting in \[0, 1\)'),
        ({'gamma': (1.2, 0.8)}, 'lowest <= highest'),
    ],
)
def test_a_senseless_sensor_is_refused(options, message):
    with pytest.raises(WorldError, match=message):
        SensorConfig(**options)
