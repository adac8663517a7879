"""Changes of snippets: pictures and intrinsics stay those of one camera."""

from __future__ import annotations

import numpy as np
import pytest

from dlcv.data.augment.snippets import SnippetChanges, change_snippet
from dlcv.types import Camera

STILL = SnippetChanges(mirror=0, enlarge=1)
CAMERA = Camera(width=64, height=48, fx=50.0, fy=60.0, cx=29.0, cy=25.5)


def ramps(camera=CAMERA, count=3):
    """Pictures whose red is how far right, and green how far down, a ray with z = 1 points."""
    x = (np.arange(camera.width) - camera.cx) / camera.fx
    y = (np.arange(camera.height) - camera.cy) / camera.fy
    picture = np.zeros((camera.height, camera.width, 3), np.uint8)
    picture[..., 0] = np.round(128 + 100 * x)
    picture[..., 1] = np.round(128 + 100 * y)[:, None]
    return np.stack([picture + np.uint8((0, 0, 10)) * np.uint8(i) for i in range(count)])


def changed(seed=1, **changes):
    config = SnippetChanges(**{'mirror': 0, 'enlarge': 1, **changes})
    return change_snippet(ramps(), CAMERA, np.random.default_rng(seed), config)


def test_nothing_changes_when_all_is_off():
    frames, camera = change_snippet(ramps(), CAMERA, np.random.default_rng(0), STILL)
    assert np.array_equal(frames, ramps())
    assert camera == CAMERA


@pytest.mark.parametrize('seed', range(4))
def test_the_new_camera_sees_the_same_rays(seed):
    frames, camera = changed(seed, enlarge=1.5)
    assert frames.shape == (3, 48, 64, 3)
    assert (camera.width, camera.height) == (64, 48)
    assert camera.fx > CAMERA.fx
    assert camera.fy / camera.fx != pytest.approx(CAMERA.fy / CAMERA.fx, rel=1e-3)
    wanted = ramps(camera)
    assert np.abs(frames.astype(int) - wanted)[:, 1:-1, 1:-1].max() <= 1


def test_a_mirrored_camera_looks_at_a_mirrored_world():
    frames, camera = changed(mirror=1)
    assert np.array_equal(frames, ramps()[:, :, ::-1])
    assert camera.cx == 63 - CAMERA.cx
    mirrored = ramps(camera)
    assert np.abs(frames[..., 0].astype(int) - (256 - mirrored[..., 0].astype(int))).max() <= 1


def test_all_frames_change_alike():
    frames, _ = changed(enlarge=1.5, mirror=1)
    for i in (1, 2):
        assert np.array_equal(frames[i, ..., :2], frames[0, ..., :2])
        assert (frames[i, ..., 2] == 10 * i).all()


def test_windows_lie_anywhere():
    centres = {(c.cx, c.cy) for _, c in (changed(seed, enlarge=1.5) for seed in range(12))}
    assert len(centres) > 8


def test_one_seed_one_snippet():
    first, same, other = (
        change_snippet(ramps(), CAMERA, np.random.default_rng(seed), SnippetChanges())
        for seed in (3, 3, 4)
    )
    assert np.array_equal(first[0], same[0])
    assert first[1] == same[1]
    assert first[1] != other[1]


@pytest.mark.parametrize('wrong', [{'mirror': 1.5}, {'mirror': -0.5}, {'enlarge': 0.9}])
def test_impossible_changes_are_refused(wrong):
    with pytest.raises(ValueError, match=r'mirror in \[0, 1\] and enlarge >= 1'):
        SnippetChanges(**wrong)
