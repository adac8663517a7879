"""Changes of clips: pictures and poses stay those of one camera."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dlcv.data.augment.clips import ClipChanges, change_clip
from dlcv.data.augment.photometric import PhotometricConfig

STILL = ClipChanges(mirror=0, reverse=0, narrow=0)
SIZE, FOCAL = (24, 40), 30.0
POINT = np.array((0.3, -0.2, 3.0, 1.0))


def pixel(world_from_camera, world_point):
    x, y, z, _ = np.linalg.inv(world_from_camera) @ world_point
    return np.array((FOCAL * x / z + (SIZE[1] - 1) / 2, FOCAL * y / z + (SIZE[0] - 1) / 2))


@pytest.fixture
def clip():
    """Three frames of one white point before a camera that moves and turns."""
    poses = np.tile(np.eye(4), (3, 1, 1))
    for i in range(3):
        poses[i, :3, :3] = Rotation.from_euler('yxz', (0.03 * i, 0.02 * i, 0.1 * i)).as_matrix()
        poses[i, :3, 3] = (0.05 * i, 0.02 * i, 0.2 * i)
    frames = np.zeros((3, *SIZE, 3), np.uint8)
    for frame, pose in zip(frames, poses, strict=True):
        u, v = np.rint(pixel(pose, POINT)).astype(int)
        frame[v, u] = 255
    return frames, poses


def changed(clip, seed=1, **changes):
    return change_clip(*clip, np.random.default_rng(seed), replace(STILL, **changes))


def test_nothing_changes_when_all_is_off(clip):
    for got, before in zip(changed(clip), clip, strict=True):
        assert np.array_equal(got, before)


def test_a_mirrored_clip_shows_the_mirrored_world(clip):
    frames, poses = changed(clip, mirror=1)
    mirrored = POINT * (-1, 1, 1, 1)
    for frame, pose in zip(frames, poses, strict=True):
        assert np.linalg.det(pose[:3, :3]) == pytest.approx(1)
        u, v = pixel(pose, mirrored)
        bright = np.argwhere(frame[..., 0] == 255)
        assert np.abs(bright - (v, u)).max() <= 0.5 + 1e-6


def test_a_reversed_clip_takes_its_poses_along(clip):
    frames, poses = changed(clip, reverse=1)
    assert np.array_equal(frames, clip[0][::-1])
    assert np.array_equal(poses, clip[1][::-1])


def test_the_same_margins_turn_black_in_all_frames(clip):
    white = np.full_like(clip[0], 200)
    frames, _ = changed((white, clip[1]), narrow=1, visible=(0.5, 0.5))
    visible = frames[0, ..., 0] == 200
    assert np.array_equal(frames[1], frames[0])
    rows, columns = np.flatnonzero(visible.any(1)), np.flatnonzero(visible.any(0))
    assert visible.sum() == len(rows) * len(columns)  # a rectangle
    assert len(rows) >= 12
    assert len(columns) >= 20
    assert len(rows) * len(columns) < visible.size


def test_the_light_changes_alike_in_all_frames(clip):
    grey = np.full_like(clip[0], 100)
    light = PhotometricConfig(probability=1, noise=0, speckle=0, motion_blur=1)
    frames, _ = changed((grey, clip[1]), light=light)
    assert not np.array_equal(frames, grey)
    assert np.array_equal(frames[0], frames[2])


def test_one_seed_one_clip(clip):
    config = ClipChanges()
    first, same = (change_clip(*clip, np.random.default_rng(5), config) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, same, strict=True))
    others = [change_clip(*clip, np.random.default_rng(seed), config)[1] for seed in range(8)]
    assert not all(np.array_equal(other, first[1]) for other in others)


@pytest.mark.parametrize(
    ('changes', 'word'), [({'mirror': 2}, 'mirror'), ({'visible': (0.5, 0)}, 'visible')]
)
def test_impossible_changes_are_refused(changes, word):
    with pytest.raises(ValueError, match=word):
        ClipChanges(**changes)


def test_grain_is_of_each_frame_on_its_own() -> None:
    frames = np.full((3, 16, 24, 3), 128, np.uint8)
    poses = np.tile(np.eye(4), (3, 1, 1))
    config = ClipChanges(mirror=0, reverse=0, narrow=0, grain=8.0)
    lit, _ = change_clip(frames, poses, np.random.default_rng(1), config)
    noise = lit.astype(float) - 128
    assert 0.5 < noise.std() < 8
    flat = noise.reshape(3, -1)
    assert np.abs(np.corrcoef(flat)[np.triu_indices(3, 1)]).max() < 0.2
    with pytest.raises(ValueError, match='grain >= 0'):
        ClipChanges(grain=-1.0)
