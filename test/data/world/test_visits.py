"""Worlds visited again: the same things from elsewhere, in another light, and what both show."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dlcv.data.world import visits
from dlcv.data.world.scene import Light, WorldError
from dlcv.data.world.stage import Stage
from dlcv.data.world.trajectory import Course, Space, ellipse
from dlcv.data.world.visits import (
    VisitConfig,
    WorldVisits,
    other_light,
    other_season,
    shown_by,
    through_air,
)

CONFIG = VisitConfig(scenes=('room',), motions=('walk',), size=(48, 32), visits=2, views=3)


@pytest.fixture
def walled(make_scene, monkeypatch):
    """A box of four walls instead of the room."""
    quads = [
        ((3, -3, 3), (-6, 0, 0), (0, 0, -3), {'tile': 1.0, 'unlit': False}),
        ((-3, 3, 3), (6, 0, 0), (0, 0, -3), {'tile': 1.0, 'unlit': False}),
        ((3, 3, 3), (0, -6, 0), (0, 0, -3), {'texture': 'fine', 'tile': 1.0, 'unlit': False}),
        ((-3, -3, 3), (0, 6, 0), (0, 0, -3), {'texture': 'fine', 'tile': 1.0, 'unlit': False}),
    ]
    lamps = np.array([[1.0, 0.0, 2.5], [-1.0, 0.0, 2.5]])
    scene = make_scene(*quads, light=Light(lamps=lamps, lamp_colour=(2.0, 2.0, 2.0)))
    way = Course(ellipse((1.5, 1.2)), 0.5)
    space = Space(path=way, pace=(0.4, 0.7), air=way, heights=(1.0, 2.0), speeds=(0.6, 1.2))
    monkeypatch.setattr(visits, 'stage_of', lambda *_: Stage(scene=scene, space=space))
    return scene


@pytest.fixture
def views(walled):
    return WorldVisits(CONFIG, seed=4)[0]


def test_a_visit_is_a_function_of_seed_world_and_number(views):
    again = list(WorldVisits(CONFIG, seed=4).visit(0, 1))
    assert [view.visit for view in views] == [0, 0, 0, 1, 1, 1]
    for view, same in zip(views[3:], again, strict=True):
        assert np.array_equal(view.frame.image, same.frame.image)
        assert np.array_equal(view.world_from_camera, same.world_from_camera)
        assert view.depth.shape == view.still.shape == (4, 6)
    other = next(WorldVisits(CONFIG, seed=5).visit(0, 1))
    assert not np.array_equal(other.frame.image, again[0].frame.image)


def test_pictures_are_a_piece_of_way_apart(views):
    for first, second in ((0, 1), (1, 2), (3, 4)):
        a, b = views[first].world_from_camera, views[second].world_from_camera
        turned = np.arccos(np.clip((a[:3, 2] * b[:3, 2]).sum(), -1, 1))
        assert np.linalg.norm(a[:3, 3] - b[:3, 3]) > 0.05 or turned > 0.1


def test_a_view_shows_what_it_shows_and_nothing_of_what_is_behind_it(views):
    view = views[0]
    behind = view.world_from_camera @ np.diag([-1.0, 1.0, -1.0, 1.0])  # turned about its y axis
    back = replace(view, world_from_camera=behind)
    elsewhere = replace(view, world=1)
    shares = shown_by([view], [view, back, elsewhere])
    assert shares[0, 0] > 0.99
    assert shares[0, 1] == shares[0, 2] == 0


def test_half_as_far_away_half_is_seen(views):
    flat = replace(
        views[0],
        world_from_camera=np.eye(4),
        depth=np.full_like(views[0].depth, 2.0),
        still=np.ones_like(views[0].still),
    )
    nearer = np.eye(4)
    nearer[2, 3] = 1.0  # a metre ahead: the wall is a metre away, a quarter of its area is left
    close = replace(flat, world_from_camera=nearer, depth=np.full_like(flat.depth, 1.0))
    shares = shown_by([flat, close], [flat, close])
    assert shares[1, 0] > 0.99
    assert 0.1 < shares[0, 1] < 0.4


def test_light_and_season_leave_the_geometry_as_it_is(walled):
    scene = walled
    rng = np.random.default_rng(1)
    changed = other_season(other_light(scene, rng), rng)
    assert np.array_equal(changed.origin, scene.origin)
    assert not np.array_equal(changed.tint, scene.tint)
    assert not np.array_equal(changed.lamp_colour, scene.lamp_colour)
    ratio = changed.tint / np.maximum(scene.tint, 1e-9)
    for texture in np.unique(scene.texture):  # a material changes as a whole
        of_it = ratio[(scene.texture == texture) & (scene.tint > 1e-6).all(1)]
        assert np.allclose(of_it, of_it[:1])


def test_an_overcast_place_without_lamps_has_another_light_too(walled):
    scene = replace(
        walled,
        sun=np.zeros(3),
        lamps=np.zeros((0, 3)),
        lamp_colour=np.zeros((0, 3)),
        sky_colour=np.ones(3),
    )
    changed = other_light(scene, np.random.default_rng(0))
    assert len(changed.lamps) == 0
    assert not np.array_equal(changed.sky_colour, scene.sky_colour)


def test_fog_takes_contrast_with_distance():
    image = np.zeros((1, 3, 3), np.uint8)
    seen = through_air(image, np.array([[0.0, 50.0, np.inf]]), 50.0)[0, :, 0]
    assert seen.tolist() == [0, 120, 190]


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        ({'scenes': ('moon',)}, "no scene \\['moon'\\]"),
        ({'motions': ('car',)}, 'has room in the scene'),
        ({'size': (50, 32)}, 'multiples of 8'),
    ],
)
def test_what_cannot_be_visited_is_refused(change, words):
    with pytest.raises(WorldError, match=words):
        replace(CONFIG, **change)
