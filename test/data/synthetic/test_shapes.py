"""Synthetic Shapes: laws of the drawings and of their corners."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dlcv.data.synthetic.shapes import KINDS, ShapesConfig, ShapesError, SyntheticShapes, draw

CORNERLESS = ('ellipses', 'noise')
CORNERED = tuple(kind for kind in KINDS if kind not in CORNERLESS)
SHARP = ShapesConfig(blur=0)


def drawings(kind, count=12, config=SHARP):
    return [draw(kind, np.random.default_rng([3, i]), config) for i in range(count)]


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('size', [(120, 160), (97, 64)])
def test_points_lie_in_an_image_of_the_asked_size(kind, size):
    config = ShapesConfig(height=size[0], width=size[1])
    for drawing in drawings(kind, config=config):
        assert drawing.image.shape == size
        assert drawing.image.dtype == np.uint8
        assert drawing.points.shape[1:] == (2,)
        assert (drawing.points >= 0).all()
        assert (drawing.points <= (size[1] - 1, size[0] - 1)).all()


@pytest.mark.parametrize('kind', KINDS)
def test_only_ellipses_and_noise_have_no_corners(kind):
    corners = sum(len(drawing.points) for drawing in drawings(kind))
    assert (corners == 0) == (kind in CORNERLESS)


@pytest.mark.parametrize('kind', CORNERED)
def test_the_image_has_a_corner_where_a_point_is(kind):
    """The smaller eigenvalue of the structure tensor is large near a corner, small elsewhere."""
    for drawing in drawings(kind):
        cornerness = cv2.cornerMinEigenVal(drawing.image, 3)
        nearby = cv2.dilate(cornerness, np.ones((7, 7), np.uint8))
        x, y = np.rint(drawing.points).astype(int).T
        inner = (np.minimum(x, 159 - x) > 3) & (np.minimum(y, 119 - y) > 3)
        ordinary = np.quantile(cornerness, 0.8) + 1e-7
        assert (nearby[y, x][inner] > 3 * ordinary).all()


@pytest.mark.parametrize('kind', ['polygon', 'polygons', 'cube', 'checkerboard', 'stripes'])
def test_points_are_exact(kind):
    """A sharp drawing's corners, found to sub-pixel precision, lie at the points, unbiased."""
    offsets = []
    for drawing in drawings(kind, 30):
        start = drawing.points.astype(np.float32).reshape(-1, 1, 2)
        if len(start):
            found = cv2.cornerSubPix(drawing.image, start.copy(), (3, 3), (-1, -1), (3, 40, 1e-3))
            offsets.append((found - start)[:, 0])
    offsets = np.concatenate(offsets)
    assert np.median(np.linalg.norm(offsets, axis=1)) < 0.45
    assert np.abs(np.median(offsets, axis=0)).max() < 0.15


@pytest.mark.parametrize('kind', CORNERED)
def test_shapes_stand_out(kind):
    """What is drawn differs from what is around it by about the contrast that was asked for."""
    for drawing in drawings(kind):
        for x, y in np.rint(drawing.points).astype(int):
            patch = drawing.image[max(0, y - 4) : y + 5, max(0, x - 4) : x + 5]
            assert int(patch.max()) - int(patch.min()) >= 20


@pytest.mark.parametrize('kind', ['lines', 'polygons', 'checkerboard', 'stripes'])
def test_crowds_have_more_corners(kind):
    few = sum(len(drawing.points) for drawing in drawings(kind))
    many = sum(len(d.points) for d in drawings(kind, config=ShapesConfig(crowd=4.0)))
    assert many > 1.4 * few


def test_a_drawing_is_a_function_of_seed_and_index():
    shapes, again = SyntheticShapes(SHARP, seed=7), SyntheticShapes(SHARP, seed=7)
    late = again[5]
    for index in range(6):
        drawing = shapes[index]
    np.testing.assert_array_equal(drawing.image, late.image)
    np.testing.assert_array_equal(drawing.points, late.points)
    other = SyntheticShapes(SHARP, seed=8)[5]
    assert not np.array_equal(other.image, late.image)


def test_every_kind_comes_up():
    shapes = SyntheticShapes(SHARP, seed=0)
    assert {shapes[i].kind for i in range(80)} == set(KINDS)
    only = SyntheticShapes(ShapesConfig(kinds=('star',)), seed=0)
    assert {only[i].kind for i in range(5)} == {'star'}


def test_what_cannot_be_drawn_is_refused_by_name():
    with pytest.raises(ShapesError, match=r"\['circle'\] must be some of \['lines'"):
        ShapesConfig(kinds=('circle',))
    with pytest.raises(ShapesError, match='at least 32 pixels, got 16x160'):
        ShapesConfig(height=16)
    with pytest.raises(ShapesError, match='got 200 and 1'):
        ShapesConfig(contrast=200)
    with pytest.raises(ShapesError, match=r'got 0\.5 and 3'):
        ShapesConfig(crowd=0.5)
    with pytest.raises(ShapesError, match="kind 'circle' is none of"):
        draw('circle', np.random.default_rng(0))
