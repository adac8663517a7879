from __future__ import annotations

from dataclasses import fields
from itertools import pairwise

import numpy as np
import pytest

from dlcv.data.world import SCENES, Extras, WorldError, WorldRecording, ideal_camera, motions_in
from dlcv.data.world import recording as worlds
from dlcv.data.world.scene import Scene
from dlcv.types import Camera


def _pixels(shape):
    y, x = np.indices(shape).astype(np.float64)
    return x, y


def _project(camera, points):
    return np.stack(
        (
            camera.fx * points[..., 0] / points[..., 2] + camera.cx,
            camera.fy * points[..., 1] / points[..., 2] + camera.cy,
        ),
        -1,
    )


def _lift(camera, depth):
    x, y = _pixels(depth.shape)
    return np.stack(
        ((x - camera.cx) / camera.fx * depth, (y - camera.cy) / camera.fy * depth, depth), -1
    )


def _same_patch_corners(patch, there, index):
    """Where all four pixels around ``there`` see the patch of the pixel itself; and the weights."""
    height, width = patch.shape
    whole = np.floor(there)
    x, y = whole[..., 0].astype(int), whole[..., 1].astype(int)
    ok = (x >= 0) & (y >= 0) & (x < width - 1) & (y < height - 1)
    x, y = np.clip(x, 0, width - 2), np.clip(y, 0, height - 2)
    for dy in (0, 1):
        for dx in (0, 1):
            ok &= patch[y + dy, x + dx] == index
    return ok, x, y, there - whole


def _bilinear(values, x, y, part):
    fx, fy = part[..., 0], part[..., 1]
    upper = values[y, x] * (1 - fx) + values[y, x + 1] * fx
    lower = values[y + 1, x] * (1 - fx) + values[y + 1, x + 1] * fx
    return upper * (1 - fy) + lower * fy


def _expected_flow(recording, here, there, numbers):
    """The flow by the schoolbook: lift by depth, move with the thing, project."""
    first, second = numbers
    body = recording_scene(recording).body[here.patch]
    near = np.isfinite(here.depth)
    points = _lift(recording.camera, np.where(near, here.depth, 1.0).astype(np.float64))
    pose = here.world_from_camera
    points = points @ pose[:3, :3].T + pose[:3, 3]
    carried = recording.world_from_rest
    moves = np.stack([np.eye(4), *(carried[second] @ np.linalg.inv(carried[first]))])[body]
    points = (moves[..., :3, :3] @ points[..., None])[..., 0] + moves[..., :3, 3]
    pose = np.linalg.inv(there.world_from_camera)
    moved = points @ pose[:3, :3].T + pose[:3, 3]
    return _project(recording.camera, moved) - np.stack(_pixels(near.shape), -1), near


def recording_scene(recording):
    return worlds.stage_of(recording.scene, 3, Extras()).scene


def test_depth_poses_and_motions_reproduce_the_flow_both_ways(clip):
    recording, snapshots = clip
    for i, (before, after) in enumerate(pairwise(snapshots)):
        for here, there, numbers, flow in (
            (before, after, (i, i + 1), after.flow),
            (after, before, (i + 1, i), after.backward),
        ):
            expected, near = _expected_flow(recording, here, there, numbers)
            valid = near & np.isfinite(flow).all(-1)
            assert valid.mean() > 0.5
            assert np.abs(flow - expected)[valid].max() < 1e-3


def test_the_moving_mask_covers_what_does_not_follow_the_camera(clip):
    recording, (before, after, *_) = clip
    body = recording_scene(recording).body
    for snapshot in (before, after):
        assert np.array_equal(snapshot.moving, (snapshot.patch >= 0) & (body[snapshot.patch] > 0))
    still = np.linalg.inv(after.world_from_camera) @ before.world_from_camera
    near = np.isfinite(before.depth) & np.isfinite(after.flow).all(-1)
    points = _lift(recording.camera, np.where(near, before.depth, 1.0).astype(np.float64))
    points = points @ still[:3, :3].T + still[:3, 3]
    expected = _project(recording.camera, points) - np.stack(_pixels(near.shape), -1)
    off = np.abs(after.flow - expected).max(-1)
    assert off[near & ~before.moving].max() < 1e-3


def test_cars_move_in_the_street():
    recording = WorldRecording('street', seed=3, camera=ideal_camera(80, 60), frames=12, rate_hz=1)
    assert recording.world_from_rest.shape == (12, 10, 4, 4)
    seen = [snapshot.moving.mean() for snapshot in recording]
    assert max(seen) > 0.005
    still = WorldRecording('street', seed=3, frames=2, extras=Extras(traffic=False))
    assert still.world_from_rest.shape == (2, 0, 4, 4)


def test_what_the_flow_arrives_at_has_the_predicted_depth(clip):
    # Inverse depth is linear in the pixel on a plane, so bilinear interpolation is exact there;
    # the depth of the second picture was computed without knowledge of the first.
    recording, (before, after, *_) = clip
    after_from_before = np.linalg.inv(after.world_from_camera) @ before.world_from_camera
    there = np.stack(_pixels(before.depth.shape), -1) + after.flow
    ok, x, y, part = _same_patch_corners(after.patch, there, before.patch)
    ok &= np.isfinite(before.depth) & ~before.moving
    points = _lift(recording.camera, np.where(ok, before.depth, 1.0).astype(np.float64))
    predicted = (points @ after_from_before[:3, :3].T + after_from_before[:3, 3])[..., 2]
    met = _bilinear(1 / after.depth.astype(np.float64), x, y, part)
    assert ok.mean() > 0.4
    assert np.abs(met * predicted - 1)[ok].max() < 1e-5
    assert not after.hidden[ok].any()


def test_hidden_pixels_lie_behind_what_is_seen_there(clip):
    recording, (before, after, *_) = clip
    height, width = before.depth.shape
    there = np.stack(_pixels(before.depth.shape), -1) + after.flow
    out = ~((there >= -0.001) & (there <= (width - 0.999, height - 0.999))).all(-1)
    assert after.hidden[out].all()
    inside = after.hidden & ~out & ~before.moving
    assert 0.0002 < inside.mean() < 0.2
    after_from_before = np.linalg.inv(after.world_from_camera) @ before.world_from_camera
    points = (
        _lift(recording.camera, np.minimum(before.depth, 1e6))[inside] @ after_from_before[:3, :3].T
    )
    predicted = (points @ after_from_before[:3, :3].T + after_from_before[:3, 3])[:, 2]
    column, row = np.floor(there[inside]).astype(int).T
    around = [
        after.depth[np.minimum(row + dy, height - 1), np.minimum(column + dx, width - 1)]
        for dy in (0, 1)
        for dx in (0, 1)
    ]
    assert (np.min(around, 0) < predicted).mean() > 0.93


def test_the_flow_brings_the_pictures_together(clip):
    _, (before, after, *_) = clip
    there = np.stack(_pixels(before.depth.shape), -1) + after.flow
    ok, x, y, part = _same_patch_corners(after.patch, there, before.patch)
    grey = [s.frame.image.mean(2) for s in (before, after)]
    still = np.abs(grey[0] - grey[1])[ok].mean()
    moved = np.abs(grey[0] - _bilinear(grey[1], x, y, part))[ok].mean()
    assert moved < 4.0
    assert moved < 0.75 * still


def test_disparity_is_focal_length_times_baseline_over_depth(clip):
    recording, (snapshot, *_) = clip
    # The right view again, as the left view of a camera that stands there: depth and patches.
    pose = snapshot.world_from_camera.copy()
    pose[:3, 3] += recording.baseline * pose[:3, 0]
    renderer = worlds.renderer_of(recording.scene, 3, Extras(), 'cpu', 0)
    view = renderer.render(recording.camera, pose[None], recording.world_from_rest[:1])
    assert np.array_equal(view.image[0].numpy(), snapshot.right.image)
    assert np.array_equal((1 / view.inverse_depth[0]).float().numpy(), snapshot.right_depth)
    x, y = _pixels(snapshot.depth.shape)
    disparity = recording.camera.fx * recording.baseline / snapshot.depth.astype(np.float64)
    there = np.stack((x - disparity, y), -1)
    ok, column, row, part = _same_patch_corners(view.patch[0].numpy(), there, snapshot.patch)
    ok &= np.isfinite(snapshot.depth)
    met = _bilinear(view.inverse_depth[0].numpy(), column, row, part)
    assert ok.mean() > 0.4
    assert (
        np.abs(met[ok] * snapshot.depth[ok] - 1).max() < 1e-6
    )  # same plane, same depth: z is shared
    assert not snapshot.right_hidden[ok].any()
    assert snapshot.right_hidden[(there[..., 0] < -0.001)].all()
    # And the renderer's own motion from the left view to the right one is minus the disparity.
    left = renderer.render(recording.camera, pose_of(snapshot), recording.world_from_rest[:1])
    motion, hidden = (part[0].numpy() for part in renderer.flow(left, view))
    assert np.abs(motion[..., 0] + disparity)[np.isfinite(snapshot.depth)].max() < 1e-3
    assert np.abs(motion[..., 1]).max() < 1e-9
    assert np.array_equal(hidden, snapshot.right_hidden)


def pose_of(snapshot):
    return snapshot.world_from_camera[None]


def test_the_right_picture_shows_the_left_one_shifted(clip):
    recording, (snapshot, *_) = clip
    x, y = _pixels(snapshot.depth.shape)
    disparity = recording.camera.fx * recording.baseline / snapshot.depth
    there = np.stack((x - disparity, y), -1)
    ok = (there[..., 0] >= 0) & (disparity > 1)
    column = np.clip(np.floor(there[..., 0]).astype(int), 0, x.shape[1] - 2)
    part = np.stack((there[..., 0] - column, np.zeros_like(x)), -1)
    left, right = (f.image.mean(2) for f in (snapshot.frame, snapshot.right))
    rows = np.clip(y.astype(int), 0, x.shape[0] - 2)
    ok &= y < x.shape[0] - 1
    shifted = np.abs(left - _bilinear(right, column, rows, part))[ok]
    assert np.median(shifted) < 0.5 * np.median(np.abs(left - right)[ok])


def test_one_seed_gives_one_recording_to_the_byte(room, monkeypatch):
    recording, first = room
    monkeypatch.setattr(worlds, 'renderer_of', worlds.renderer_of.__wrapped__)  # build it anew
    monkeypatch.setattr(worlds, 'stage_of', worlds.stage_of.__wrapped__)
    second = list(WorldRecording('room', seed=3, camera=recording.camera, frames=2, workers=1))
    for a, b in zip(first, second, strict=True):
        assert a.frame.image.tobytes() == b.frame.image.tobytes()
        assert a.depth.tobytes() == b.depth.tobytes()
        assert a.world_from_camera.tobytes() == b.world_from_camera.tobytes()
    for name in ('flow', 'backward', 'hidden', 'backward_hidden', 'moving'):
        assert getattr(first[1], name).tobytes() == getattr(second[1], name).tobytes()


@pytest.mark.parametrize('scene', ['corridor', 'street'])
def test_one_seed_gives_one_world_to_the_byte(scene):
    first, second = worlds.stage_of(scene, 3, Extras()).scene, SCENES[scene](3, Extras()).scene
    for field in fields(Scene):
        a, b = getattr(first, field.name), getattr(second, field.name)
        for x, y in zip(a, b, strict=True) if field.name == 'textures' else ((a, b),):
            assert np.asarray(x).tobytes() == np.asarray(y).tobytes()


def test_seeds_and_ways_differ():
    here, there = (worlds.stage_of('room', seed, Extras()).scene for seed in (3, 1))
    assert len(here) != len(there) or np.abs(here.origin - there.origin).max() > 0.1
    one, other = (WorldRecording('room', seed=3, way=way, frames=1) for way in (0, 1))
    assert np.abs(one.world_from_camera - other.world_from_camera).max() > 0.1


def test_a_way_can_be_entered_later():
    whole = WorldRecording('room', seed=3, frames=30, rate_hz=10)
    rest = WorldRecording('room', seed=3, frames=10, rate_hz=10, start_s=2.0)
    assert np.allclose(rest.world_from_camera, whole.world_from_camera[20:])
    assert np.allclose(rest.world_from_rest, whole.world_from_rest[20:])


@pytest.mark.parametrize('scene', SCENES)
def test_every_motion_with_room_can_be_chosen(scene):
    names = set()
    for motion in motions_in(scene):
        recording = WorldRecording(scene, seed=3, motion=motion, frames=2)
        assert recording.motion == motion
        assert recording.world_from_camera.shape == (2, 4, 4)
        names.add(recording.name)
    assert len(names) == len(motions_in(scene))


def test_an_unfinished_recording_can_be_left(room):
    recording, (first, _) = room
    long = WorldRecording('room', seed=3, camera=recording.camera, frames=1000)
    for snapshot in long:
        assert snapshot.frame.image.tobytes() == first.frame.image.tobytes()
        break


def test_the_same_noise_every_time(room):
    options = {'seed': 3, 'camera': room[0].camera, 'frames': 1, 'noise': 2.0, 'baseline': 0.1}
    (a,), (b,) = WorldRecording('room', **options), WorldRecording('room', **options)
    assert a.frame.image.tobytes() == b.frame.image.tobytes()
    assert a.right.image.tobytes() == b.right.image.tobytes()


def test_noise_has_the_asked_for_deviation(room):
    recording, (clean, *_) = room
    noisy = next(iter(WorldRecording('room', seed=3, camera=recording.camera, frames=2, noise=2.0)))
    middle = (clean.frame.image > 20) & (clean.frame.image < 235)
    difference = (noisy.frame.image.astype(float) - clean.frame.image)[middle]
    assert abs(difference.std() - 2.0) < 0.1
    assert abs(difference.mean()) < 0.1


def test_stamps_follow_the_rate():
    recording = WorldRecording(frames=4, rate_hz=30.0, start_ns=5)
    assert recording.stamps_ns.tolist() == [5, 33333338, 66666672, 100000005]
    assert len(recording) == 4


def test_pictures_use_their_range(clip):
    _, (snapshot, *_) = clip
    image = snapshot.frame.image
    assert image.shape == (109, 150, 3)
    assert image.dtype == np.uint8
    assert 70 < image.mean() < 190
    assert image.mean(2).std() > 25
    assert (image == 255).mean() < 0.15


def test_the_sky_is_infinitely_far_and_turns_with_the_camera():
    recording = WorldRecording('street', seed=3, camera=ideal_camera(80, 60), frames=2)
    before, after = recording
    sky = np.isinf(before.depth)
    assert 0.02 < sky.mean() < 0.9
    rotation = (np.linalg.inv(after.world_from_camera) @ before.world_from_camera)[:3, :3]
    rays = _lift(recording.camera, np.ones(sky.shape)) @ rotation.T
    expected = _project(recording.camera, rays) - np.stack(_pixels(sky.shape), -1)
    assert np.abs(after.flow - expected)[sky].max() < 1e-3


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'scene': 'moon'}, "no scene 'moon'; there are room, corridor, street"),
        ({'motion': 'car'}, "no motion 'car' in the scene 'room'; there are walk, robot, drone"),
        ({'way': -1}, 'way=-1'),
        ({'frames': 0}, 'frames=0'),
        ({'rate_hz': 0.0}, 'rate_hz=0'),
        ({'baseline': -1.0}, 'baseline=-1'),
    ],
)
def test_a_senseless_recording_is_refused_by_name(options, message):
    with pytest.raises(WorldError, match=message):
        WorldRecording(**options)


def test_lens_distortion_is_refused():
    camera = Camera(width=8, height=6, fx=5, fy=5, cx=4, cy=3, distortion=(0.1, 0, 0, 0))
    with pytest.raises(WorldError, match='undistorted'):
        WorldRecording(camera=camera)


def test_field_of_view():
    camera = ideal_camera(640, 480, 90)
    assert camera.fx == pytest.approx(320)
    assert (camera.cx, camera.cy) == (319.5, 239.5)
    with pytest.raises(WorldError, match='between 1 and 170'):
        ideal_camera(640, 480, 180)
