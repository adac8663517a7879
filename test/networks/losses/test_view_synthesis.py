"""View synthesis: loops over pixels, worlds whose depth and motion are known, laws, derivatives."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from dlcv.data.world import Extras, WorldRecording
from dlcv.networks.layers.shapes import ShapeError
from dlcv.networks.losses.view_synthesis import (
    ViewSynthesisConfig,
    curvature,
    explainability_term,
    motion_matrices,
    photometric_term,
    reproject,
    resized_intrinsics,
    smoothness_term,
    synthesise,
    view_synthesis_loss,
)
from dlcv.types import Camera

CAMERA = Camera(width=96, height=64, fx=70.0, fy=80.0, cx=45.0, cy=33.0)


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def scene(batch: int = 2, sources: int = 2, height: int = 8, width: int = 12) -> dict[str, Tensor]:
    """Anything that could be: sources see most of the target, and some of it they do not."""
    vectors = 0.3 * (draw(batch, sources, 6, seed=1) - 0.5)
    camera = torch.tensor(((9.0, 0, 5.2), (0, 8.0, 3.6), (0, 0, 1)), dtype=torch.float64)
    return {
        'depth': 1 + 2 * draw(batch, 1, height, width, seed=2),
        'source_from_target': motion_matrices(vectors),
        'target': draw(batch, 3, height, width, seed=3),
        'sources': draw(batch, sources, 3, height, width, seed=4),
        'intrinsics': camera.repeat(batch, 1, 1),
    }


def slow_lookup(image, x, y):
    """Return the four neighbours of (x, y), weighed; what lies outside is 0."""
    height, width = image.shape[1:]
    found = np.zeros(image.shape[0])
    for row in (math.floor(y), math.floor(y) + 1):
        for column in (math.floor(x), math.floor(x) + 1):
            if 0 <= row < height and 0 <= column < width:
                found += (1 - abs(y - row)) * (1 - abs(x - column)) * image[:, row, column].numpy()
    return found


def slow_photometric(depth, source_from_target, target, sources, intrinsics, mask=None):
    batch, count, channels, height, width = sources.shape
    total = 0.0
    for b in range(batch):
        k = intrinsics[b].numpy()
        for s in range(count):
            t = source_from_target[b, s].numpy()
            for y in range(height):
                for x in range(width):
                    point = float(depth[b, 0, y, x]) * np.linalg.inv(k) @ (x, y, 1)
                    u, v, z = k @ (t[:3, :3] @ point + t[:3, 3])
                    u, v = u / max(z, 1e-3), v / max(z, 1e-3)
                    if not (0 <= u <= width - 1 and 0 <= v <= height - 1):
                        continue
                    apart = target[b, :, y, x].numpy() - slow_lookup(sources[b, s], u, v)
                    weight = 1 if mask is None else float(mask[b, s, y, x])
                    total += weight * np.abs(apart).sum()
    return total / (batch * channels * height * width)


@pytest.mark.parametrize('masked', [False, True])
def test_the_photometric_term_equals_the_loops(masked):
    mask = draw(2, 2, 8, 12, seed=5) if masked else None
    got = photometric_term(**scene(), mask=mask)
    assert float(got) == pytest.approx(slow_photometric(**scene(), mask=mask), rel=1e-9)


def test_some_of_the_loops_pixels_are_not_seen():
    """Or the test above would not test it."""
    s = scene()
    flat = s['sources'].flatten(0, 1), s['depth'].repeat_interleave(2, 0)
    _, seen = synthesise(
        *flat, s['source_from_target'].flatten(0, 1), s['intrinsics'].repeat_interleave(2, 0)
    )
    assert 0.3 < float(seen.mean()) < 0.95


def test_motions_turn_about_z_then_y_then_x():
    vectors = 2 * draw(5, 6) - 1
    got = motion_matrices(vectors)
    for vector, matrix in zip(vectors, got, strict=True):
        turn = Rotation.from_euler('XYZ', vector[3:].numpy()).as_matrix()
        assert np.allclose(matrix[:3, :3], turn, atol=1e-12)
        assert torch.equal(matrix[:3, 3], vector[:3])
        assert matrix[3].tolist() == [0, 0, 0, 1]
    rest = motion_matrices(torch.zeros(2, 3, 6))
    assert torch.equal(rest, torch.eye(4).expand(2, 3, 4, 4))


def test_a_camera_at_rest_sees_the_same():
    s = scene(sources=1)
    rest = torch.eye(4, dtype=torch.float64).repeat(2, 1, 1)
    picture, seen = synthesise(s['sources'][:, 0], s['depth'], rest, s['intrinsics'])
    torch.testing.assert_close(picture, s['sources'][:, 0])
    # to the last digit it may be that a border pixel is no longer inside
    assert float(seen[:, :, 1:-1, 1:-1].mean()) == 1


def test_a_step_aside_moves_near_things_by_f_t_over_z():
    s = scene()
    step = torch.eye(4, dtype=torch.float64).repeat(2, 1, 1)
    step[:, 0, 3] = -0.4  # the source stands 0.4 to the right: the target's points are at its left
    xy = reproject(s['depth'], step, s['intrinsics'])
    columns = torch.arange(12, dtype=torch.float64)
    torch.testing.assert_close(xy[:, :1], columns - 9.0 * 0.4 / s['depth'])


def test_what_is_behind_a_source_counts_as_nothing():
    s = scene(sources=1)
    back = torch.eye(4, dtype=torch.float64).repeat(2, 1, 1)
    back[:, 2, 3] = -10  # all is behind the source
    s['source_from_target'] = back[:, None]
    s['depth'].requires_grad_()
    term = photometric_term(**s)
    term.backward()
    assert float(term.detach()) == 0
    assert s['depth'].grad.isfinite().all()


def test_depth_and_motion_are_known_up_to_one_factor():
    s, loss = scene(), []
    for factor in (1.0, 7.0):
        motion = s['source_from_target'].clone()
        motion[..., :3, 3] *= factor
        s_scaled = {**s, 'depth': factor * s['depth'], 'source_from_target': motion}
        loss.append(float(photometric_term(**s_scaled)))
    assert loss[0] == pytest.approx(loss[1], rel=1e-9)


class TestKnownWorld:
    """A room that stands still, through a camera whose principal point is off the middle."""

    @pytest.fixture(scope='class')
    def recording(self):
        return WorldRecording(
            'room', seed=1, camera=CAMERA, frames=3, rate_hz=3, workers=1, finest=2,
            extras=Extras(traffic=False, flyers=0),
        )  # fmt: skip

    @pytest.fixture(scope='class')
    def views(self, recording):
        return list(recording)

    @pytest.fixture(scope='class')
    def clip(self, recording, views):
        pictures = torch.from_numpy(np.stack([v.frame.image for v in views])).permute(0, 3, 1, 2)
        world_from = recording.world_from_camera
        motion = np.stack([np.linalg.inv(world_from[i]) @ world_from[1] for i in (0, 2)])
        return {
            'depth': torch.from_numpy(views[1].depth)[None, None].double(),
            'source_from_target': torch.from_numpy(motion)[None],
            'target': pictures[1:2].double() / 255,
            'sources': pictures[None, ::2].double() / 255,
            'intrinsics': torch.from_numpy(CAMERA.matrix)[None],
        }

    def test_points_go_where_the_worlds_flow_says(self, clip, views):
        to_last = clip['source_from_target'][:, 1]
        xy = reproject(clip['depth'], to_last, clip['intrinsics'])[0].permute(1, 2, 0).numpy()
        grid = np.stack(np.meshgrid(np.arange(96), np.arange(64)), axis=-1)
        assert np.nanmedian(np.linalg.norm(views[2].flow, axis=-1)) > 2
        assert np.nanmax(np.abs(xy - grid - views[2].flow)) < 0.02

    def test_the_truth_draws_the_target(self, clip):
        mean = torch.full_like(clip['depth'], float(clip['depth'].mean()))
        rest = torch.eye(4, dtype=torch.float64).expand(1, 2, 4, 4)
        backwards = torch.linalg.inv(clip['source_from_target'])
        right = float(photometric_term(**clip))
        flat = float(photometric_term(**{**clip, 'depth': mean}))
        still = float(photometric_term(**{**clip, 'source_from_target': rest}))
        inverted = float(photometric_term(**{**clip, 'source_from_target': backwards}))
        assert right < 0.012  # 1.5 grey levels for each source
        assert right < 0.7 * flat
        assert right < 0.2 * min(still, inverted)

    @pytest.mark.parametrize('factor', [0.5, 2])
    @pytest.mark.parametrize('level', range(4))
    def test_other_depths_are_dearer_at_every_scale(self, clip, level, factor):
        size = (64 // 2**level, 96 // 2**level)
        near = torch.nn.functional.adaptive_avg_pool2d(1 / clip['depth'], size)
        right = float(photometric_term(**{**clip, 'depth': 1 / near}))
        assert float(photometric_term(**{**clip, 'depth': factor / near})) > 1.1 * right


def test_intrinsics_are_resized_as_the_camera_is():
    wanted = CAMERA.scaled(24, 32).matrix
    got = resized_intrinsics(torch.from_numpy(CAMERA.matrix), 32 / 64, 24 / 96)
    assert np.allclose(got, wanted, atol=1e-12)


def test_curvature_equals_the_loops():
    values = draw(2, 1, 5, 6)
    v = values[:, 0].numpy()
    along_x, along_y, mixed = [], [], []
    for b in range(2):
        for y in range(5):
            for x in range(6):
                if 0 < x < 5:
                    along_x.append(abs(v[b, y, x - 1] - 2 * v[b, y, x] + v[b, y, x + 1]))
                if 0 < y < 4:
                    along_y.append(abs(v[b, y - 1, x] - 2 * v[b, y, x] + v[b, y + 1, x]))
                if x < 5 and y < 4:
                    twist = v[b, y, x] - v[b, y, x + 1] - v[b, y + 1, x] + v[b, y + 1, x + 1]
                    mixed.append(abs(twist))
    wanted = np.mean(along_x) + np.mean(along_y) + 2 * np.mean(mixed)
    assert float(curvature(values)) == pytest.approx(wanted)


def test_a_slope_is_smooth_and_a_step_is_not():
    slope = torch.arange(6.0).expand(1, 1, 5, 6) + torch.arange(5.0)[:, None]
    assert float(curvature(slope)) == 0
    step = (torch.arange(6) >= 3).float().expand(1, 1, 5, 6)
    assert float(curvature(step)) == pytest.approx(2 / 4)  # two of the four along x


def test_what_is_to_be_smooth_is_said():
    picture = torch.zeros(1, 3, 5, 6)
    inverse_slope = 1 / (1 + torch.arange(6.0).expand(1, 1, 5, 6))  # a slope of disparity
    depth = ViewSynthesisConfig()
    disparity = ViewSynthesisConfig(smooth_of='disparity')
    assert float(smoothness_term(inverse_slope, picture, disparity)) == pytest.approx(0, abs=1e-6)
    assert float(smoothness_term(inverse_slope, picture, depth)) > 0.1


def test_normalised_smoothness_does_not_shrink_things():
    depth, picture = 1 + draw(2, 1, 5, 6), draw(2, 3, 5, 6)
    for config in (ViewSynthesisConfig(), ViewSynthesisConfig(smooth_of='disparity')):
        term = float(smoothness_term(depth, picture, replace(config, normalised=True)))
        larger = float(smoothness_term(9 * depth, picture, replace(config, normalised=True)))
        assert larger == pytest.approx(term)
        assert float(smoothness_term(9 * depth, picture, config)) != pytest.approx(term, rel=0.5)


def test_edges_of_the_picture_forgive_steps():
    config = ViewSynthesisConfig(smooth_by='edges')
    step = (torch.arange(6) >= 3).float().expand(1, 1, 4, 6)
    blank = torch.zeros(1, 3, 4, 6)
    at_edge = 5 * step.expand(1, 3, 4, 6)
    assert float(smoothness_term(step, blank, config)) == pytest.approx(1 / 5)
    assert float(smoothness_term(step, at_edge, config)) == pytest.approx(math.exp(-5) / 5)


def test_masks_pay_the_logarithm_of_what_they_leave_out():
    masks = [0.1 + 0.8 * draw(2, 2, 8 // 2**i, 12 // 2**i) for i in range(3)]
    wanted = sum(-np.log(m.numpy()).mean() for m in masks)
    assert float(explainability_term(masks)) == pytest.approx(wanted)
    assert float(explainability_term([torch.ones(1, 2, 4, 4)])) == 0


def pyramid_of(s: dict[str, Tensor], levels: int = 2) -> list[Tensor]:
    return [s['depth'][:, :, :: 2**i, :: 2**i] for i in range(levels)]


def loss_of(s: dict[str, Tensor], depths: list[Tensor], **more):
    rest = {name: value for name, value in s.items() if name != 'depth'}
    return view_synthesis_loss(depths, **rest, **more)


def test_the_total_is_the_weighted_sum_over_the_scales():
    s = scene()
    depths = pyramid_of(s)
    masks = [0.2 + 0.6 * draw(2, 2, *d.shape[2:], seed=i) for i, d in enumerate(depths)]
    config = ViewSynthesisConfig(smooth=0.3, smooth_decay=2.0, explain=0.4)
    loss = loss_of(s, depths, masks=masks, config=config)
    photometric = smooth = 0.0
    for i, (depth, mask) in enumerate(zip(depths, masks, strict=True)):
        photometric += float(photometric_term(**{**s, 'depth': depth}, mask=mask))
        smooth += float(curvature(depth)) / 2**i
    explain = float(explainability_term(masks))
    assert float(loss.photometric) == pytest.approx(photometric)
    assert float(loss.smooth) == pytest.approx(smooth)
    assert float(loss.total) == pytest.approx(photometric + 0.3 * smooth + 0.4 * explain)


def test_without_masks_all_pixels_count():
    s = scene()
    depths = pyramid_of(s)
    bare = loss_of(s, depths)
    full = loss_of(s, depths, masks=[torch.ones(2, 2, *d.shape[2:]).double() for d in depths])
    assert float(bare.total) == pytest.approx(float(full.total))
    assert float(bare.explain) == 0


@pytest.mark.parametrize('by', ['curvature', 'edges'])
def test_derivatives_are_those_of_finite_differences(by):
    s = scene(batch=1)
    vectors = (0.1 * (draw(1, 2, 6, seed=7) - 0.5)).requires_grad_()
    depths = [d.clone().requires_grad_() for d in pyramid_of(s)]
    masks = [(0.2 + 0.6 * draw(1, 2, *d.shape[2:])).requires_grad_() for d in depths]
    config = ViewSynthesisConfig(smooth_of='disparity', smooth_by=by, normalised=True)

    def total(vectors, *maps):
        moved = {**s, 'source_from_target': motion_matrices(vectors)}
        return loss_of(moved, list(maps[:2]), masks=maps[2:], config=config).total

    inputs = (vectors, *depths, *masks)
    assert torch.autograd.gradcheck(total, inputs, eps=1e-7, atol=1e-4, fast_mode=True)


@pytest.mark.parametrize(
    ('wrong', 'said'),
    [
        ({'sources': torch.zeros(2, 2, 3, 8, 10)}, r'sources: .*\(2, 2, 3, 8, 10\)'),
        ({'source_from_target': torch.zeros(2, 1, 4, 4)}, r'source_from_target: .*2, 2, 4, 4'),
        ({'intrinsics': torch.zeros(2, 4, 4)}, r'intrinsics: .*2, 3, 3'),
        ({'target': torch.zeros(2, 3, 8)}, r'target: .*\(2, 3, 8\)'),
        ({'masks': [torch.zeros(2, 2, 8, 12)]}, '2 scales of depth, but 1 of masks'),
        ({'masks': [torch.zeros(2, 1, 8, 12)] * 2}, r'mask: .*2, 2, 8, 12'),
    ],
)
def test_misfits_are_named(wrong, said):
    s = scene()
    with pytest.raises(ShapeError, match=said):
        loss_of({**s, **wrong}, pyramid_of(s))


def test_maps_too_small_for_second_differences_are_refused():
    with pytest.raises(ShapeError, match='3 x 3 or more, got 2 x 6'):
        curvature(torch.zeros(1, 1, 2, 6))


@pytest.mark.parametrize('wrong', [{'smooth': -1.0}, {'explain': -0.1}, {'smooth_decay': 0.0}])
def test_impossible_weights_are_refused(wrong):
    with pytest.raises(ValueError, match='weights >= 0 and smooth_decay above 0'):
        ViewSynthesisConfig(**wrong)
