"""Grids as files of Nav2's map_server, and one over another."""

from __future__ import annotations

import numpy as np
import pytest
import yaml

from dlcv.estimation.slam.grid import UNKNOWN, Occupancy
from dlcv.estimation.slam.grid_file import GridFileError, load_grid, over, save_grid


def grid(values, origin=(0.0, 0.0), resolution=0.5):
    return Occupancy(values=np.array(values, np.int8), resolution=resolution, origin=origin)


def test_a_grid_comes_back_and_its_first_row_is_the_last_of_the_picture(tmp_path):
    path = tmp_path / 'room.yaml'
    save_grid(grid([[0, 100, UNKNOWN], [0, 0, 100]], (-1.5, 2.0)), path)
    found = load_grid(path)
    assert found.values.tolist() == [[0, 100, -1], [0, 0, 100]]
    assert (found.resolution, found.origin) == (0.5, (-1.5, 2.0))
    data = (tmp_path / 'room.pgm').read_bytes()
    assert data == b'P5\n3 2\n255\n' + bytes([254, 254, 0, 254, 0, 205])
    told = yaml.safe_load(path.read_text())
    assert told['image'] == 'room.pgm'
    assert told['mode'] == 'trinary'
    assert told['free_thresh'] < 1 - 205 / 255 < told['occupied_thresh']


def test_what_is_no_grid_is_refused(tmp_path):
    path = tmp_path / 'room.yaml'
    with pytest.raises(GridFileError, match='no map of map_server'):
        load_grid(path)
    path.write_text('image: none.pgm')
    with pytest.raises(GridFileError, match='resolution'):
        load_grid(path)


def test_the_lower_grid_shows_where_the_upper_knows_nothing():
    below = grid([[0, 0, 0], [100, 100, 100]], (0.0, 0.0))
    above = grid([[UNKNOWN, 0], [100, UNKNOWN]], (1.0, 0.5))
    found = over(above, below)
    assert found.origin == (0.0, 0.0)
    assert found.values.tolist() == [[0, 0, 0, -1], [100, 100, 100, 0], [-1, -1, 100, -1]]
    with pytest.raises(GridFileError, match=r'0\.25 m do not lie under cells of 0\.5 m'):
        over(above, grid([[0]], resolution=0.25))
