from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dlcv.data.world import GaitShares, SampleConfig, WorldError, WorldPairs, WorldSamples
from dlcv.data.world import recording as worlds

SMALL = SampleConfig(scenes=('room',), size=(48, 32), stereo=True, per_world=2)


class _Gradients:
    """Photos of slopes, as a stand-in."""

    def crop(self, rng, height, width):
        slope = np.linspace(0, rng.integers(100, 255), width).astype(np.uint8)
        return np.broadcast_to(slope[None, :, None], (height, width, 3)).copy()


def test_a_sample_is_a_function_of_its_number(monkeypatch):
    samples = WorldSamples(SMALL, 5)
    in_order = [samples[i] for i in (0, 1)]
    monkeypatch.setattr(worlds, 'renderer_of', worlds.renderer_of.__wrapped__)  # nothing remembered
    (_, again) = WorldSamples(SMALL, 5)[1]
    before, after = in_order[1]
    assert after.frame.image.tobytes() == again.frame.image.tobytes()
    assert after.right.image.tobytes() == again.right.image.tobytes()
    assert after.flow.tobytes() == again.flow.tobytes()
    assert before.frame.image.tobytes() != in_order[0][0].frame.image.tobytes()
    assert before.frame.camera != in_order[0][0].frame.camera


def test_neighbours_share_a_world_and_the_next_block_does_not():
    samples = WorldSamples(SMALL, 5)
    first, second, third = (samples.recording(i) for i in (0, 1, 2))
    assert first.name.split('-')[:2] == second.name.split('-')[:2]
    assert second.name.split('-')[:2] != third.name.split('-')[:2]
    assert not np.array_equal(first.world_from_camera, second.world_from_camera)


def test_seeds_and_worlds():
    one, other = (WorldSamples(SMALL, seed).recording(0).name for seed in (1, 2))
    assert one.split('-')[1] != other.split('-')[1]
    few = WorldSamples(SampleConfig(worlds=2, per_world=1), 1)
    names = [few.recording(i).name.split('-')[:2] for i in range(6)]
    assert names[0] == names[2] == names[4] != names[1]


def test_configurations_say_what_is_drawn():
    config = SampleConfig(
        frames=5, rate_hz=(10.0, 10.0), fov=(60.0, 80.0), motions=('robot', 'car'), stereo=True,
        per_world=1, baseline=(1.0, 1.0),
    )  # fmt: skip
    recordings = [WorldSamples(config, 3).recording(i) for i in range(60)]
    assert {recording.scene for recording in recordings} == {'room', 'corridor', 'street'}
    assert {recording.motion for recording in recordings} == {'robot', 'car'}
    for recording in recordings:
        assert len(recording) == 5
        assert np.diff(recording.stamps_ns).tolist() == [100_000_000] * 4
        fov = 2 * np.degrees(np.arctan(160 / recording.camera.fx))
        assert 60 <= fov <= 80
        assert recording.baseline == pytest.approx(worlds.BASELINES[recording.scene])


def test_pairs_are_clips_as_flow_pairs():
    samples = WorldSamples(SMALL, 5)
    before, after = samples[0]
    pair = WorldPairs(samples)[0]
    assert np.array_equal(pair.first, before.frame.image)
    assert np.array_equal(pair.second, after.frame.image)
    assert np.array_equal(pair.flow, after.flow, equal_nan=True)
    assert np.array_equal(pair.backward, after.backward, equal_nan=True)
    assert np.array_equal(pair.occluded, after.hidden)
    with pytest.raises(WorldError, match='clips of 2 frames, got 1'):
        WorldPairs(WorldSamples(SampleConfig(frames=1)))


def test_a_long_clip_gives_all_its_pairs():
    pairs = WorldPairs(WorldSamples(replace(SMALL, frames=3), 5))
    first, second, other = (pairs[i] for i in range(3))
    assert np.array_equal(first.second, second.first)
    assert not np.array_equal(second.second, other.first)
    assert len({first.name, second.name, other.name}) == 3


def test_photos_hang_on_the_walls():
    plain = WorldSamples(SMALL, 5)
    photos = WorldSamples(SMALL, 5, photos=_Gradients())
    scenes = [
        worlds.stage_of(
            'room', int(s.recording(0).name.split('-')[1]), s.recording(0)._extras
        ).scene
        for s in (plain, photos)
    ]
    assert len(scenes[0]) == len(scenes[1])  # the same room
    slopes = [
        sum(np.ptp(t.astype(int), axis=0).max() == 0 for t in scene.textures) for scene in scenes
    ]
    assert slopes[0] == 0
    assert slopes[1] >= 3  # every row the same: a gradient


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'scenes': ('moon',)}, 'moon'),
        ({'scenes': ()}, 'there are room, corridor, street'),
        ({'scenes': ('room',), 'motions': ('car',)}, "scene 'room'; there are walk, robot, drone"),
        ({'frames': 0}, 'frames=0'),
        ({'fov': (80.0, 60.0)}, 'fov needs'),
    ],
)
def test_a_senseless_configuration_is_refused(options, message):
    with pytest.raises(WorldError, match=message):
        SampleConfig(**options)


def test_numbers_start_at_zero():
    with pytest.raises(IndexError, match='from 0, got -1'):
        WorldSamples(SMALL)[-1]


def test_gaits_have_their_shares_and_change_nothing_else():
    shares = GaitShares(still=0.2, turning=0.2, halting=0.3)
    plain, gone = (WorldSamples(SampleConfig(gaits=g), 3) for g in (GaitShares(), shares))
    pairs = [(plain.recording(i), gone.recording(i)) for i in range(200)]
    assert {before.gait for before, _ in pairs} == {'steady'}
    for before, after in pairs:
        assert (before.motion, before.camera, before.scene) == (
            after.motion,
            after.camera,
            after.scene,
        )
        assert after.name.replace(f'-{after.gait}', '') == before.name
    found = [after.gait for _, after in pairs]
    for gait, share in {'steady': 0.3, 'still': 0.2, 'turning': 0.2, 'halting': 0.3}.items():
        assert found.count(gait) / 200 == pytest.approx(share, abs=0.1)


def test_a_camera_stands_while_things_move():
    config = SampleConfig(
        scenes=('room',), frames=4, rate_hz=(2, 2), gaits=GaitShares(still=1), flyers=3
    )
    recording = WorldSamples(config, 1).recording(0)
    assert not np.ptp(recording.world_from_camera, axis=0).any()
    assert np.ptp(recording.world_from_rest, axis=0).any()


@pytest.mark.parametrize('shares', [{'still': -0.1}, {'still': 0.6, 'halting': 0.6}])
def test_gaits_of_no_share_are_refused(shares):
    with pytest.raises(WorldError, match='still, turning and halting >= 0 of at most 1'):
        GaitShares(**shares)
