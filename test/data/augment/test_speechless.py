"""Pictures that say nothing: nothing of the scene is left, and a clip is mute for one reason."""

from __future__ import annotations

import numpy as np
import pytest

from dlcv.data.augment.speechless import speechless, speechless_clip


def blocks(frames: np.ndarray) -> np.ndarray:
    """Return means of 8 x 8 pixels, (T, 8, 12, 3)."""
    return frames.astype(float).reshape(len(frames), 8, 8, 12, 8, 3).mean(axis=(2, 4))


@pytest.mark.parametrize('seed', range(12))
def test_nothing_of_the_scene_is_left_and_frames_are_mute_alike(seed: int) -> None:
    scene = np.zeros((4, 64, 96, 3), np.uint8)
    scene[:, :, 48:] = 255
    before = scene.copy()
    shown = speechless_clip(np.random.default_rng(seed), scene)
    assert np.array_equal(scene, before)
    assert shown.shape == scene.shape
    assert shown.dtype == np.uint8
    assert np.abs(np.diff(blocks(shown), axis=2)).max() < 60  # the edge of 255 is gone
    assert np.abs(np.diff(blocks(shown), axis=0)).max() < 60


def test_one_picture_is_a_clip_of_one() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    for seed in range(6):
        one = speechless(np.random.default_rng(seed), picture)
        clip = speechless_clip(np.random.default_rng(seed), picture[None])
        assert np.array_equal(one, clip[0])


def test_all_reasons_occur_and_noise_differs_from_frame_to_frame() -> None:
    scene = np.full((2, 64, 96, 3), 200, np.uint8)
    clips = [speechless_clip(np.random.default_rng(seed), scene) for seed in range(30)]
    deviations = np.array([clip.std(axis=(1, 2)).mean() for clip in clips])
    assert (deviations > 60).any()  # noise alone
    assert (deviations < 5).any()
    assert any(np.any(clip[0] != clip[1]) for clip in clips if clip.std() > 1)
