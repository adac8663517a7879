"""How far a map is off as a whole, by keyframes that are left out of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dlcv.estimation.slam.accuracy import common_error
from dlcv.estimation.slam.files import load_place, save_place


def test_a_map_whose_poses_are_off_says_so_in_its_file_too(lab, tmp_path):
    place = lab.mapper.place
    exact = common_error(place)
    moved = place.poses.copy()
    moved[:, :3, 3] += np.random.default_rng(0).normal(0, 0.12, (len(place), 3))
    bent = replace(place, poses=moved)
    bent.common = common_error(bent)
    assert 0 < exact < 0.02
    assert bent.common > 1.5 * exact
    save_place(bent, tmp_path / 'bent.safetensors')
    assert load_place(tmp_path / 'bent.safetensors').common == bent.common


def test_of_few_keyframes_nothing_is_known(lab):
    place = lab.mapper.place
    few = replace(place, keyframes=place.keyframes[:6], poses=place.poses[:6])
    few.log_scale = place.log_scale[:6]
    assert common_error(few) == 0
