"""Panels, captions, files and plots."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dlcv.view.panel import ViewError, as_rgb, caption, side_by_side, stacked, write_picture
from dlcv.view.trajectory import path_length, trajectory_plot

RED = np.zeros((4, 6, 3), np.uint8)
RED[..., 0] = 255
GREY = np.full((8, 2), 9, np.uint8)


def test_side_by_side_pads_the_shorter():
    row = side_by_side(RED, GREY)
    assert row.shape == (8, 8, 3)
    np.testing.assert_array_equal(row[:4, :6], RED)
    assert (row[4:, :6] == 0).all()
    assert (row[:, 6:] == 9).all()


def test_stacked_pads_the_narrower():
    column = stacked(RED, GREY)
    assert column.shape == (12, 6, 3)
    assert (column[4:, :2] == 9).all()
    assert (column[4:, 2:] == 0).all()


def test_caption_writes_at_the_top_and_copies():
    image = np.full((60, 200, 3), 100, np.uint8)
    drawn = caption(image, 'flow')
    assert drawn.max() > 200
    assert (drawn[30:] == 100).all()
    assert (image == 100).all()


@pytest.mark.parametrize('shape', [(4,), (4, 4, 4), (1, 4, 4, 3)])
def test_what_is_no_picture_is_refused(shape):
    with pytest.raises(ViewError, match=r'a picture is \(H, W\)'):
        as_rgb(np.zeros(shape, np.uint8))


def test_written_pictures_keep_their_colours(tmp_path):
    write_picture(tmp_path / 'red.png', RED)
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / 'red.png'))[..., ::-1], RED)


@pytest.mark.parametrize('name', ['picture.txt', 'picture'])
def test_an_unknown_picture_format_is_refused(name, tmp_path):
    with pytest.raises(ViewError, match='is no picture format'):
        write_picture(tmp_path / name, RED)


def poses(count, step):
    result = np.tile(np.eye(4), (count, 1, 1))
    result[:, 2, 3] = np.arange(count) * step
    return result


def test_path_length():
    assert path_length(poses(5, 2.0)) == 8.0
    assert path_length(poses(1, 2.0)) == 0.0


def test_trajectories_are_drawn():
    plot = trajectory_plot({'estimate': poses(9, 1.0)}, width=300, height=200)
    assert plot.shape == (200, 300, 3)
    assert plot.dtype == np.uint8
    empty = trajectory_plot({}, width=300, height=200)
    assert (plot != empty).any()
