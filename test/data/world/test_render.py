from __future__ import annotations

import numpy as np
import pytest

from dlcv.data.world import ideal_camera
from dlcv.data.world.recording import renderer_of, stage_of
from dlcv.data.world.render import NEAREST, Renderer
from dlcv.data.world.scene import Light, WorldError, place
from dlcv.data.world.stage import Extras
from dlcv.data.world.trajectory import poses
from dlcv.types import Camera

# A wall 3 m ahead of a camera that looks along +x from the origin, 4 m x 4 m.
WALL = ((3, 2, 2), (0, -4, 0), (0, 0, -4))
EXTRAS = Extras()
AHEAD = poses(np.zeros((1, 3)), np.zeros(1), np.zeros(1), np.zeros(1))


def _rays(camera, world_from_camera):
    y, x = np.indices((camera.height, camera.width)).astype(np.float64)
    rays = np.stack(((x - camera.cx) / camera.fx, (y - camera.cy) / camera.fy, np.ones_like(x)), -1)
    return rays @ world_from_camera[:3, :3].T


def _cast(scene, camera, world_from_camera):
    """Depth and patch by the schoolbook formula, one patch after another."""
    rays, centre = _rays(camera, world_from_camera), world_from_camera[:3, 3]
    best = np.full(rays.shape[:2], np.inf)
    patch = np.full(rays.shape[:2], -1)
    for i in range(len(scene)):
        o, p, q = scene.origin[i], scene.edge_u[i], scene.edge_v[i]
        normal = np.cross(p, q)
        with np.errstate(divide='ignore', invalid='ignore'):
            z = normal @ (o - centre) / (rays @ normal)
            at = centre + rays * z[..., None] - o
        u, v = (np.linalg.pinv(np.stack((p, q), 1)) @ at[..., None])[..., 0].transpose(2, 0, 1)
        inside = (z > 0) & (u >= 0) & (u <= 1) & (v >= 0) & (v <= 1) & (z < best)
        if scene.cutout[i] >= 0:
            size = scene.cutouts.shape[1]
            column = np.clip(np.nan_to_num(u) * size, 0, size - 1).astype(int)
            row = np.clip(np.nan_to_num(v) * size, 0, size - 1).astype(int)
            inside &= scene.cutouts[scene.cutout[i]][row, column] > 0.5
        if not scene.two_sided[i]:
            inside &= rays @ normal > 0
        best, patch = np.where(inside, z, best), np.where(inside, i, patch)
    return best, patch


def test_a_plane_has_the_depth_of_the_formula(make_scene):
    camera = Camera(width=70, height=50, fx=55.0, fy=61.0, cx=30.2, cy=27.7)
    tilted = poses(np.array([[0.1, -0.2, 0.3]]), np.array([0.3]), np.array([-0.2]), np.array([0.1]))
    scene = make_scene(((3, 200, 200), (0, -400, 0), (0, 0, -400), {}))
    view = Renderer(scene).render(camera, tilted)
    rays = _rays(camera, tilted[0])
    expected = (3 - 0.1) / rays[..., 0]  # z at which x = 3 is met
    assert np.abs(1 / view.inverse_depth[0].numpy() - expected).max() < 1e-9
    assert (view.patch == 0).all()


def test_everything_agrees_with_casting_rays_one_by_one():
    scene = stage_of('room', 3, EXTRAS).scene
    camera = Camera(width=53, height=37, fx=34.0, fy=30.0, cx=20.0, cy=19.5)
    pose = poses(np.array([[1.7, 0.3, 1.5]]), np.array([2.2]), np.array([-0.2]), np.array([0.05]))
    view = renderer_of('room', 3, EXTRAS, 'cpu', 0).render(camera, pose)
    depth, patch = _cast(scene, camera, pose[0])
    same = view.patch[0].numpy() == patch
    assert (
        same.mean() > 0.995
    )  # rounding may decide on the very edge, and stencils differ by 1/4 px
    assert np.abs(1 / view.inverse_depth[0].numpy() - depth)[same].max() < 1e-9


def test_a_batch_is_its_views(clip):
    recording, _ = clip
    renderer = renderer_of(recording.scene, 3, EXTRAS, 'cpu', 0)
    camera, eyes, moved = recording.camera, recording.world_from_camera, recording.world_from_rest
    three = renderer.render(camera, eyes, moved)
    singles = [renderer.render(camera, eyes[i : i + 1], moved[i : i + 1]) for i in range(3)]
    for i, one in enumerate(singles):
        assert np.array_equal(one.image[0].numpy(), three.image[i].numpy())
        assert np.array_equal(one.patch[0].numpy(), three.patch[i].numpy())
    flow, hidden = renderer.flow(three[:2], three[1:])
    for i in range(2):
        motion, lost = renderer.flow(singles[i], singles[i + 1])
        assert np.array_equal(motion[0].numpy(), flow[i].numpy(), equal_nan=True)
        assert np.array_equal(lost[0].numpy(), hidden[i].numpy())


def test_the_nearer_patch_hides_the_farther_one(make_scene):
    near = ((2, 0.5, 0.5), (0, -1, 0), (0, 0, -1), {'texture': 'red'})
    for order in (1, -1):
        scene = make_scene(*((*WALL, {'texture': 'white'}), near)[::order])
        view = Renderer(scene).render(ideal_camera(33, 33, 60), AHEAD)
        depth = 1 / view.inverse_depth[0].numpy()
        assert depth[16, 16] == pytest.approx(2)
        assert depth[2, 2] == pytest.approx(3)
        assert view.image[0, 16, 16].tolist()[1:] == [0, 0]


def test_a_patch_is_seen_from_its_front_only_unless_two_sided(make_scene):
    origin, u, v = WALL
    behind = ((3, -2, 2), (0, 4, 0), v)  # the same wall, turned away
    for options, seen in (({}, False), ({'two_sided': True}, True)):
        scene = make_scene((*behind, options))
        view = Renderer(scene).render(ideal_camera(9, 9, 40), AHEAD)
        assert bool((view.patch == 0).all()) is seen
        assert bool((view.patch == -1).all()) is not seen
    assert (
        Renderer(make_scene((origin, u, v, {}))).render(ideal_camera(9, 9), AHEAD).patch == 0
    ).all()


def test_nothing_behind_the_camera_is_seen(make_scene):
    back = ((-3, 2, 2), (0, -4, 0), (0, 0, -4), {'two_sided': True})
    view = Renderer(make_scene(back)).render(ideal_camera(9, 9), AHEAD)
    assert (view.patch == -1).all()
    assert (view.inverse_depth == 0).all()


def test_motion_is_not_told_of_points_that_pass_the_camera_too_near(make_scene):
    renderer = Renderer(make_scene((*WALL, {})))
    camera = ideal_camera(9, 9, 40)
    first = renderer.render(camera, AHEAD)
    depth = 1 / float(first.inverse_depth[0, 4, 4])
    for left, known in ((2 * NEAREST, True), (0.5 * NEAREST, False), (-1.0, False)):
        closer = AHEAD.copy()
        closer[0, :3, 3] += (depth - left) * closer[0, :3, 2]
        flow, hidden = renderer.flow(first, renderer.render(camera, closer))
        assert bool(flow[0].isfinite().all()) is known
        assert known or bool(hidden[0].all())


def test_a_stencil_leaves_part_of_a_patch_away(make_scene):
    scene = make_scene((*WALL, {'cutout': 'left half'}))
    patch = Renderer(scene).render(ideal_camera(40, 8, 40), AHEAD).patch[0]
    assert (patch[:, :19] == 0).all()
    assert (patch[:, 21:] == -1).all()


def test_too_fine_a_texture_turns_grey_instead_of_aliasing(make_scene):
    # A checkerboard of single texels, many of them per pixel: every pixel must be near the mean.
    scene = make_scene((*WALL, {'texture': 'fine', 'tile': 0.5}))
    image = Renderer(scene).render(ideal_camera(32, 32, 40), AHEAD).image[0].float()
    assert image.std() < 3


def test_outlines_are_anti_aliased(make_scene):
    near = ((2, 0.503, 0.5), (0, -1, 0.2), (0, 0, -1), {'texture': 'red'})
    scene = make_scene((*WALL, {'texture': 'white'}), near)
    green = Renderer(scene).render(ideal_camera(64, 64, 60), AHEAD).image[0, ..., 1]
    white = int(green[0, 0])
    between = (green > 0) & (green < white)
    assert between.sum() > 30  # red has no green: these pixels see both


def test_lamps_cast_shadows(make_scene):
    shade = ((1.5, 0.4, -0.6), (0, -0.8, 0), (0.8, 0, 0), {'two_sided': True})
    floor = ((0.2, 2, -1.5), (4, 0, 0), (0, -4, 0), {'texture': 'white', 'unlit': False})
    lamp = Light(
        lamps=np.array([[1.9, 0.0, 1.0]]), lamp_colour=(2, 2, 2), sky_colour=(0, 0, 0),
        light_spacing=0.1,
    )  # fmt: skip
    floor_texels = Renderer(make_scene(floor, shade, light=lamp))
    bare = Renderer(make_scene(floor, light=lamp))
    down = poses(np.array([[-0.5, 0, 0.0]]), np.zeros(1), np.array([-0.5]), np.zeros(1))
    camera = ideal_camera(64, 64, 70)
    with_shade, without = (r.render(camera, down) for r in (floor_texels, bare))
    on_floor = (with_shade.patch[0] == 0) & (without.patch[0] == 0)
    darker = with_shade.image[0].float().mean(-1) < without.image[0].float().mean(-1) - 30
    assert 0.02 < (darker & on_floor).float().mean() < 0.5


def test_poses_of_a_wrong_shape_are_refused(make_scene):
    with pytest.raises(WorldError, match=r'\(B, 4, 4\), got \(4, 4\)'):
        Renderer(make_scene((*WALL, {}))).render(ideal_camera(9, 9), AHEAD[0])


def test_any_size_gives_the_same_picture_where_they_overlap(clip):
    # A crop of the camera is a crop of the picture: tiles start elsewhere, results do not change.
    recording, (snapshot, *_) = clip
    crop = recording.camera.cropped(37, 21, 60, 45)
    eyes, moved = recording.world_from_camera[:1], recording.world_from_rest[:1]
    view = renderer_of(recording.scene, 3, EXTRAS, 'cpu', 0).render(crop, eyes, moved)
    assert (view.patch[0].numpy() == snapshot.patch[21:66, 37:97]).mean() > 0.999
    inner = view.image[0, 1:-1, 1:-1].numpy().astype(int) - snapshot.frame.image[22:65, 38:96]
    assert np.percentile(np.abs(inner), 99.5) <= 1


def test_what_moves_by_itself_flows_as_its_motion_says(make_scene):
    # A board 2 m ahead of a camera that stands still, before a wall 3 m ahead.
    board = ((2, 0.6, 0.5), (0, -1.2, 0), (0, 0, -1), {'moving': True})
    renderer = Renderer(make_scene((*WALL, {}), board))
    camera = Camera(width=90, height=70, fx=60.0, fy=64.0, cx=41.2, cy=36.3)
    motion = place(0.35, 0.2, -0.1, 0.3)  # turned about the world's axis as well as shifted
    rest = np.eye(4)[None, None]
    before, after = (renderer.render(camera, AHEAD, m) for m in (rest, motion[None, None]))
    flow, hidden = (part[0].numpy() for part in renderer.flow(before, after))
    moving = renderer.moving(before.patch)[0].numpy()
    y, x = np.indices(moving.shape).astype(float)
    ahead = 2.0  # depth of the board; the camera looks along x: right is -y, down is -z
    points = np.stack(
        (np.full_like(x, ahead), -(x - camera.cx) / camera.fx * ahead,
         -(y - camera.cy) / camera.fy * ahead), -1,
    )  # fmt: skip
    moved = points @ motion[:3, :3].T + motion[:3, 3]
    there = np.stack(
        (camera.cx - camera.fx * moved[..., 1] / moved[..., 0],
         camera.cy - camera.fy * moved[..., 2] / moved[..., 0]), -1,
    )  # fmt: skip
    assert 0.1 < moving.mean() < 0.6
    assert np.abs(flow - (there - np.stack((x, y), -1)))[moving].max() < 1e-9
    assert np.abs(flow[~moving]).max() < 1e-9
    came = renderer.moving(after.patch)[0].numpy()
    assert (hidden != came)[~moving].mean() < 0.002  # the board now covers this of the wall


def test_a_way_back_is_the_way_there(make_scene):
    board = ((2, 0.6, 0.5), (0, -1.2, 0), (0, 0, -1), {'moving': True})
    renderer = Renderer(make_scene((*WALL, {}), board))
    camera = ideal_camera(80, 60, 60)
    aside = poses(np.array([[0.1, 0.05, 0]]), np.array([0.03]), np.zeros(1), np.array([0.02]))
    first = renderer.render(camera, AHEAD, np.eye(4)[None, None])
    second = renderer.render(camera, aside, place(0, 0.3, 0)[None, None])
    there, hidden = (part[0].numpy() for part in renderer.flow(first, second))
    back, _ = (part[0].numpy() for part in renderer.flow(second, first))
    same = renderer.displacement(first, camera, aside, place(0, 0.3, 0)[None, None])[0].numpy()
    assert np.array_equal(there, same)
    rows, columns = np.nonzero(~hidden)
    to = there[rows, columns] + np.stack((columns, rows), 1)
    whole = np.floor(to).astype(int).clip(0, (78, 58))
    corners = [
        (
            first.patch[0, rows, columns].numpy(),
            second.patch[0, whole[:, 1] + j, whole[:, 0] + i].numpy(),
        )
        for i in (0, 1)
        for j in (0, 1)
    ]
    inner = np.logical_and.reduce([a == b for a, b in corners])
    part = to - whole
    weight = [(1 - part[:, 0]) * (1 - part[:, 1]), (1 - part[:, 0]) * part[:, 1],
              part[:, 0] * (1 - part[:, 1]), part[:, 0] * part[:, 1]]  # fmt: skip
    met = sum(
        w[:, None] * back[whole[:, 1] + j, whole[:, 0] + i]
        for w, (i, j) in zip(weight, ((0, 0), (0, 1), (1, 0), (1, 1)), strict=True)
    )
    assert inner.mean() > 0.6
    assert np.abs(met + there[rows, columns])[inner].max() < 0.02  # between pixels it bends


def test_motions_of_a_wrong_shape_are_refused(make_scene):
    board = ((2, 0.6, 0.5), (0, -1.2, 0), (0, 0, -1), {'moving': True})
    renderer = Renderer(make_scene((*WALL, {}), board))
    with pytest.raises(WorldError, match=r'\(1, 1, 4, 4\), got \(1, 2, 4, 4\)'):
        renderer.render(ideal_camera(9, 9), AHEAD, np.zeros((1, 2, 4, 4)))


def test_coarser_textures_change_little(make_scene):
    scene = make_scene((*WALL, {'tile': 4.0}))
    camera = ideal_camera(64, 48, 60)
    full, coarse = (Renderer(scene, finest=n).render(camera, AHEAD) for n in (0, 1))
    difference = full.image.float() - coarse.image.float()
    assert 0 < difference.abs().mean() < 12
    assert difference.mean().abs() < 2
