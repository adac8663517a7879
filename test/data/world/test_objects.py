from __future__ import annotations

import numpy as np
import pytest

from dlcv.data.world import WorldRecording
from dlcv.data.world.objects import Instant, objects_seen
from dlcv.data.world.recording import stage_of
from dlcv.data.world.render import Renderer
from dlcv.data.world.scene import Light, SceneBuilder, Surface
from dlcv.data.world.stage import Extras
from dlcv.things import KINDS
from dlcv.types import Camera

LIVES = {
    'room': {'vehicle', 'box'},
    'corridor': {'door', 'sign', 'vehicle', 'box'},
    'street': {'vehicle', 'door', 'sign'},
}
CAMERA = Camera(width=40, height=30, fx=20.0, fy=20.0, cx=19.5, cy=14.5)


def wall(left, right, depth, **options):
    """Return a quad that faces a camera at the origin, from y = -1 to 1 metre."""
    return (left, -1, depth), (right - left, 0, 0), (0, 2, 0), options


def see(scene, moved=None, later=None):
    """Return what a camera at the origin sees of a scene."""
    still = np.zeros((scene.bodies, 4, 4)) + np.eye(4)
    moved = still if moved is None else moved
    view = Renderer(scene).render(CAMERA, np.eye(4)[None], moved[None])
    instant = Instant(
        camera=CAMERA,
        world_from_camera=np.eye(4),
        world_from_rest=moved,
        later=moved if later is None else later,
        seconds=0.1,
    )
    depth = (1 / view.inverse_depth[0]).float().numpy()
    return objects_seen(scene, view.patch[0].numpy(), depth, instant)


def test_a_box_holds_what_is_seen(make_scene):
    """A table 2 m wide, whose right half a nearer person hides, who stands at the edge."""
    seen = see(make_scene(wall(-1, 1, 4.0, thing='table'), wall(0, 1, 2.0, thing='person')))
    assert [KINDS[kind].name for kind in seen.kind] == ['table', 'person']
    assert seen.box[0] == pytest.approx([14.5, 9.5, 19.5, 19.5])
    assert seen.box[1] == pytest.approx([19.5, 4.5, 29.5, 24.5])
    assert seen.pixels.tolist() == [50, 200]
    assert seen.share == pytest.approx([0.5, 1.0], abs=0.03)
    assert seen.distance == pytest.approx([4.1, 2.1], abs=0.1)
    assert (seen.speed == 0).all()
    assert len(seen[seen.share > 0.9]) == 1


def test_what_is_out_of_the_picture_is_not_seen(make_scene):
    seen = see(make_scene(wall(0, 6, 2.0, thing='sign')))
    assert seen.box[0, 2] == 39.5
    near, whole = (np.arctan(x / (2 * np.sqrt(x * x + 5))) for x in (2, 6))  # solid angles
    assert float(seen.share[0]) == pytest.approx(near / whole, abs=0.1)
    behind = see(make_scene(wall(0, 1, -2.0, thing='sign'), wall(-1, 1, 5.0)))
    assert len(behind) == 0
    assert behind.box.shape == (0, 4)


def test_it_says_what_moves(make_scene):
    scene = make_scene(wall(-1, 0, 3.0, thing='box', moving=True), wall(0, 1, 3.0, thing='door'))
    before, after = (np.eye(4)[None].copy() for _ in range(2))
    after[0, 0, 3] = 0.2
    assert see(scene, before, after).speed == pytest.approx([2.0, 0.0])


def test_a_thing_within_is_its_own():
    builder = SceneBuilder({'grey': lambda rng: np.ones((8, 8, 3), np.float32)}, 0)
    with builder.thing('table'):
        for inner in ('screen', ''):
            with builder.thing(inner):
                builder.quad((0, 0, 0), (1, 0, 0), (0, 0, 1), Surface(texture='grey'))
        builder.quad((0, 0, 0), (1, 0, 0), (0, 0, 1), Surface(texture='grey'))
    scene = builder.build(Light())
    assert scene.thing.tolist() == [1, -1, 0]
    assert [KINDS[kind].name for kind in scene.kinds] == ['table', 'screen']


def test_worlds_say_what_stands_in_them(clip):
    recording, snapshots = clip
    scene = stage_of(recording.scene, 3, Extras()).scene
    assert {KINDS[kind].name for kind in scene.kinds} >= LIVES[recording.scene]
    assert set(np.unique(scene.thing[scene.thing >= 0])) == set(range(len(scene.kinds)))
    assert all(snapshot.objects is None for snapshot in snapshots)


def test_a_picture_has_objects_if_asked_for(room):
    plain, snapshots = room
    asked = WorldRecording('room', seed=3, camera=plain.camera, frames=2, objects=True, workers=1)
    for before, after in zip(snapshots, asked, strict=True):
        assert (before.frame.image == after.frame.image).all()
        thing = stage_of('room', 3, Extras()).scene.thing[after.patch]
        for number, pixels in zip(after.objects.thing, after.objects.pixels, strict=True):
            assert (thing == number).sum() == pixels
