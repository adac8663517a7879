from __future__ import annotations

import numpy as np
import pytest

from dlcv.data.world import noise
from dlcv.data.world.scene import blades, disc, foliage, railing, trapezoid
from dlcv.data.world.textures import PLAIN, corridor_materials, room_materials, street_materials

MATERIALS = {**room_materials(), **corridor_materials(), **street_materials()}


@pytest.mark.parametrize('name', MATERIALS)
def test_every_material_is_a_picture_with_detail(name):
    picture = MATERIALS[name](np.random.default_rng(1))
    size = picture.shape[0]
    assert picture.shape == (size, size, 3)
    assert size & (size - 1) == 0
    assert picture.min() >= 0
    assert picture.max() <= 1
    coarse = picture.reshape(16, size // 16, 16, size // 16, 3).mean((1, 3))
    assert np.abs(np.diff(picture, axis=1)).mean() > 0.002  # texel to texel
    assert coarse.std() > 0.005  # and over a sixteenth of the side


@pytest.mark.parametrize('slope', [0.5, 1.0, 1.8])
def test_noise_tiles_and_is_normalised(slope):
    field = noise.fractal(np.random.default_rng(0), 128, slope)
    assert abs(field.mean()) < 1e-4
    assert field.std() == pytest.approx(1, abs=1e-4)
    seam = np.abs(field[:, 0] - field[:, -1]).mean()
    assert seam < 1.5 * np.abs(np.diff(field, axis=1)).mean()


def test_cells_partition_the_picture():
    wall = noise.cells(64, 4, 2)
    assert np.bincount(wall.index.ravel(), minlength=8).tolist() == [512] * 8
    assert wall.edge.max() <= 0.125


def test_letters_come_in_words():
    page = noise.lettering(np.random.default_rng(0), 3, 20)
    assert page.shape == (24, 100)
    assert 0.1 < page.mean() < 0.5
    assert not page[[0, 6, 7]].any()  # space between the lines


def test_stencils():
    assert disc().mean() == pytest.approx(np.pi * 0.49**2, abs=0.01)
    assert trapezoid(0.2, 0.8).mean() == pytest.approx(0.8, abs=0.02)


def test_leaves_blades_and_bars_have_gaps():
    rng = np.random.default_rng(0)
    for stencil, least, most in (
        (foliage(rng), 0.25, 0.6),
        (blades(rng), 0.15, 0.6),
        (railing(), 0.2, 0.6),
    ):
        assert stencil.shape == (64, 64)
        assert least < (stencil > 0.5).mean() < most


def test_plain_materials_are_painted_somewhere():
    assert set(MATERIALS) >= PLAIN
