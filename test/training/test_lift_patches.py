"""Patches for LIFT: what is said to be one point is one, whatever turns and moves."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from dlcv.data.augment.photometric import OFF
from dlcv.networks.lift import crop
from dlcv.training.lift_patches import PatchConfig, PatchPairs, corresponding, patches
from dlcv.training.recipe import TrainError

SIZE = (120, 160)
SHIFT = np.float16((6, -4))


class Moved:
    """A texture that moves by SHIFT; something hides its left quarter."""

    def __getitem__(self, index):
        noise = np.random.default_rng(index).uniform(0, 255, SIZE).astype(np.float32)
        noise = cv2.GaussianBlur(noise, (0, 0), 3)
        first = cv2.normalize(noise, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
        hidden = np.zeros(SIZE, bool)
        hidden[:, :40] = True
        return {
            'first': first,
            'second': np.roll(first, (int(SHIFT[1]), int(SHIFT[0])), (0, 1)),
            'flow': np.tile(SHIFT, (*SIZE, 1)),
            'hidden': hidden,
        }


def sample(cut, **changes):
    settings = {'points': 16, 'limit': 200, 'wide': 0.0, 'photometric': OFF, **changes}
    return PatchPairs(Moved(), PatchConfig(**settings), cut, seed=1)[3]


def likeness(first, second):
    """Return the correlation of each patch with its partner."""
    a, b = (p.reshape(len(p), -1).astype(float) for p in (first, second))
    a, b = a - a.mean(1, keepdims=True), b - b.mean(1, keepdims=True)
    return (a * b).sum(1) / np.sqrt((a**2).sum(1) * (b**2).sum(1))


@pytest.mark.parametrize('wide', [0.0, 1.0])
def test_oriented_patches_show_the_same(wide):
    one = sample('oriented', wide=wide)
    assert one['first'].shape == (16, 64, 64)
    seen = one['seen']
    assert seen.sum() >= 8
    assert np.median(likeness(one['first'][seen], one['second'][seen])) > 0.9
    wrong = np.roll(one['second'][seen], 1, 0)
    assert np.median(likeness(one['first'][seen], wrong)) < 0.5


def test_a_sample_follows_from_its_number():
    one, same = sample('shifted'), sample('shifted')
    assert all(np.array_equal(one[name], same[name]) for name in one)


def test_upright_patches_are_turned_as_is_said():
    one = sample('upright', wide=1.0, wide_zoom=1.0)
    turn, seen = float(one['turn'][0]), one['seen']
    matrix = cv2.getRotationMatrix2D((63.5, 63.5), -np.degrees(turn), 1.0)
    turned = np.stack([cv2.warpAffine(p, matrix, (128, 128)) for p in one['first'][seen]])
    inner = np.s_[:, 40:88, 40:88]
    assert np.median(likeness(turned[inner], one['second'][seen][inner])) > 0.9
    assert not one['first_off'].any()


def test_shifted_patches_tell_where_their_point_is():
    plain, one = sample('upright'), sample('shifted', shift=2.0)
    assert np.abs(one['first_off']).max() <= 2.0 * 128 / 24 + 1e-4
    moved = []
    for patch, off in zip(one['first'], one['first_off'], strict=True):
        matrix = np.float32([[1, 0, -off[0]], [0, 1, -off[1]]])
        moved.append(cv2.warpAffine(patch, matrix, (128, 128)))
    inner = np.s_[:, 44:84, 44:84]
    assert np.median(likeness(np.stack(moved)[inner], plain['first'][inner])) > 0.95


def test_hidden_points_and_those_too_different_are_left_out():
    first = np.array([[50.0, 50, 2, 0.1], [20, 20, 2, 0.1], [80, 80, 2, 0.1], [90, 20, 2, 0.1]])
    second = first + np.array([[0.5, 0, 0, 0], [0, 0, 0, 0], [0, 0, 2, 0], [0, 0, 0, 2]])
    shown = np.array([True, False, True, True])
    found = corresponding(
        first, second, first[:, :2], shown, ratio=1.0, turn=0.0, config=PatchConfig()
    )
    assert found.tolist() == [[0, 0]]


def test_patches_are_those_of_the_network():
    image = Moved()[0]['first']
    points = np.array([[60.2, 50.7, 3.1, 0.7], [100.0, 80.0, 1.2, -2.0]])
    cut = patches(image, points, 64, 6.0, turned=True)
    at = torch.from_numpy(points).float()
    tensor = torch.from_numpy(image).float()[None, None]
    same = crop(tensor, at[None, :, :2], 6 * at[None, :, 2], at[None, :, 3])
    assert np.abs(cut - same[:, 0].numpy()).mean() < 1.5  # OpenCV's positions have 5 bits


def test_a_picture_without_points_gives_none():
    pairs = PatchPairs(Blank(), PatchConfig(points=4, photometric=OFF), 'shifted', seed=0)
    one = pairs[0]
    assert not one['seen'].any()
    assert one['empty'].shape == (4, 128, 128)


class Blank(Moved):
    """Nothing to see."""

    def __getitem__(self, index):
        zeros = np.zeros(SIZE, np.uint8)
        return {**super().__getitem__(index), 'first': zeros, 'second': zeros}


def test_settings_that_cannot_be_are_named():
    with pytest.raises(TrainError, match='points and limit >= 1'):
        PatchConfig(points=0)
    with pytest.raises(TrainError, match="oriented, upright, shifted, not 'sideways'"):
        PatchPairs(Moved(), PatchConfig(), 'sideways', seed=0)
