"""UnFlow's terms: loops over pixels, known answers, laws, derivatives."""

from __future__ import annotations

import math

import pytest
import torch

from dlcv.networks.layers.shapes import ShapeError
from dlcv.networks.losses import unflow
from dlcv.networks.losses.unflow import UnflowLossConfig

TOLERANCE = 1e-4


def rho(x):
    return (x * x + 0.001**2) ** 0.45


def flows(seed, batch=2, height=9, width=11, size=3.0):
    generator = torch.Generator().manual_seed(seed)
    return size * torch.randn(batch, 2, height, width, generator=generator)


def images(seed, batch=2, height=9, width=11):
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(seed))


def masks(seed, batch=2, height=9, width=11):
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(batch, 1, height, width, generator=generator) < 0.7).float()


def slow_warp(image, flow):
    """Take the four neighbours of each pixel's goal, one by one."""
    batch, _, height, width = image.shape
    out = torch.zeros_like(image)
    for b in range(batch):
        for y in range(height):
            for x in range(width):
                u, v = flow[b, :, y, x].tolist()
                for j, wy in ((0, 1 - v + math.floor(v)), (1, v - math.floor(v))):
                    for i, wx in ((0, 1 - u + math.floor(u)), (1, u - math.floor(u))):
                        row = min(max(y + math.floor(v) + j, 0), height - 1)
                        column = min(max(x + math.floor(u) + i, 0), width - 1)
                        out[b, :, y, x] += wy * wx * image[b, :, row, column]
    return out


def slow_census(image, warped, mask, radius):
    batch, _, height, width = image.shape
    grey = [255 * (0.2989 * i[:, 0] + 0.587 * i[:, 1] + 0.114 * i[:, 2]) for i in (image, warped)]
    total = 0.0
    for b in range(batch):
        for y in range(radius, height - radius):
            for x in range(radius, width - radius):
                distance = 0.0
                for j in range(-radius, radius + 1):
                    for i in range(-radius, radius + 1):
                        t = [float(g[b, y + j, x + i] - g[b, y, x]) for g in grey]
                        c = [value / math.sqrt(0.81 + value**2) for value in t]
                        d = (c[0] - c[1]) ** 2
                        distance += d / (0.1 + d)
                total += float(mask[b, 0, y, x]) * rho(distance)
    return total / (batch * height * width)


def slow_photometric(image, warped, mask):
    batch, channels, height, width = image.shape
    total = 0.0
    for b in range(batch):
        for y in range(height):
            for x in range(width):
                for c in range(channels):
                    d = 255 * float(image[b, c, y, x] - warped[b, c, y, x])
                    total += float(mask[b, 0, y, x]) * rho(d)
    return total / (batch * channels * height * width)


def slow_smoothness(flow):
    batch, _, height, width = flow.shape
    total = 0.0
    for b in range(batch):
        for c in range(2):
            for y in range(height):
                for x in range(width):
                    for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
                        if not (dy <= y < height - dy and abs(dx) <= x < width - abs(dx)):
                            continue
                        f = flow[b, c]
                        total += rho(float(f[y - dy, x - dx] - 2 * f[y, x] + f[y + dy, x + dx]))
    return total / (batch * height * width * 4)


def slow_occluded(forward, backward):
    met = slow_warp(backward, forward)
    batch, _, height, width = forward.shape
    out = torch.zeros(batch, 1, height, width)
    for b in range(batch):
        for y in range(height):
            for x in range(width):
                f, w = forward[b, :, y, x], met[b, :, y, x]
                limit = 0.01 * float(f @ f + w @ w) + 0.5
                out[b, 0, y, x] = float((f + w) @ (f + w)) > limit
    return out


def slow_consistency(forward, backward, mask):
    apart = forward + slow_warp(backward, forward)
    total = sum(
        float(mask[b, 0, y, x]) * rho(float(apart[b, c, y, x]))
        for b in range(len(apart))
        for c in range(2)
        for y in range(apart.shape[2])
        for x in range(apart.shape[3])
    )
    return total / apart.numel()


def slow_scale(first, second, forward, backward, border, radius):
    """Every term of one scale in plain loops: census, photo, smooth, consistency, occlusion."""
    totals = [0.0] * 5
    ways = ((first, second, forward, backward), (second, first, backward, forward))
    for image, other, flow, reverse in ways:
        warped = slow_warp(other, flow)
        mask = border * (1 - slow_occluded(flow, reverse))
        totals[0] += slow_census(image, warped, mask, radius)
        totals[1] += slow_photometric(image, warped, mask)
        totals[2] += slow_smoothness(flow)
        totals[3] += slow_consistency(flow, reverse, mask)
        totals[4] += sum(rho(1 - m) for m in mask.flatten().tolist()) / mask.numel()
    return totals


def test_charbonnier_equals_the_formula_and_divides_by_all():
    x, mask = flows(1), masks(2)
    wanted = sum(
        float(mask[b, 0, y, k]) * rho(7 * float(x[b, c, y, k]))
        for b in range(2)
        for c in range(2)
        for y in range(9)
        for k in range(11)
    )
    got = unflow.charbonnier(x, mask, beta=7)
    assert float(got) == pytest.approx(wanted / x.numel(), abs=TOLERANCE)
    half = torch.zeros(1, 1, 2, 2)
    half[..., 0] = 1
    assert float(unflow.charbonnier(torch.ones(1, 1, 2, 2), half)) == pytest.approx(0.5, abs=1e-5)


def test_charbonnier_of_nothing_is_its_floor():
    wanted = (0.001**2) ** 0.45
    assert float(unflow.charbonnier(torch.zeros(1, 2, 3, 3))) == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize('size', [0.4, 3.0, 30.0])
def test_warp_equals_the_loop_inside_and_outside(size):
    image, flow = images(3), flows(4, size=size)
    assert torch.allclose(unflow.warp_clamped(image, flow), slow_warp(image, flow), atol=1e-5)


def test_warp_by_whole_pixels_moves_the_picture_and_repeats_its_edge():
    image = images(5)
    flow = torch.tensor([2.0, -1.0]).view(1, 2, 1, 1).expand(2, 2, 9, 11)
    moved = unflow.warp_clamped(image, flow)
    assert torch.equal(moved[:, :, 1:, :-2], image[:, :, :-1, 2:])
    assert torch.equal(moved[:, :, 1:, -2:], image[:, :, :-1, -1:].expand(-1, -1, -1, 2))
    assert torch.equal(moved[:, :, 0, :-2], image[:, :, 0, 2:])


def test_warp_derivatives():
    image, flow = images(6, 1, 4, 5).double(), flows(7, 1, 4, 5).double()
    inputs = (image.requires_grad_(), flow.requires_grad_())
    assert torch.autograd.gradcheck(unflow.warp_clamped, inputs)


def test_a_flow_that_is_no_number_reaches_the_loss():
    flow = torch.full((1, 2, 4, 4), math.nan)
    assert unflow.warp_clamped(torch.rand(1, 3, 4, 4), flow).isnan().all()
    far = unflow.warp_clamped(torch.rand(1, 3, 4, 4), torch.full((1, 2, 4, 4), 1e30))
    assert far.isfinite().all()


@pytest.mark.parametrize('radius', [1, 2, 3])
def test_census_term_equals_the_loop(radius):
    image, mask = images(8), masks(9)
    warped = (image + 0.02 * torch.randn(2, 3, 9, 11)).clamp(0, 1)
    got = float(unflow.census_term(image, warped, mask, radius))
    assert got == pytest.approx(slow_census(image, warped, mask, radius), abs=TOLERANCE)


def test_census_hardly_sees_a_change_of_light():
    image = images(10)
    brighter, other = 0.8 * image + 0.1, images(11)
    mask = torch.ones(2, 1, 9, 11)
    of_light = unflow.census_term(image, brighter, mask, 3)
    assert float(of_light) < 0.05 * float(unflow.census_term(image, other, mask, 3))


def test_census_is_ternary():
    image = torch.zeros(1, 3, 3, 3)
    image[..., 0], image[..., 2] = 0.25, 0.75
    image[..., 1] = 0.5
    centre = unflow.census(image, 1)[0, :, 1, 1].view(3, 3)
    wanted = torch.tensor([-1.0, 0.0, 1.0]).expand(3, 3)
    assert torch.allclose(centre, wanted, atol=1e-3)


def test_photometric_term_equals_the_loop():
    image, warped, mask = images(12), images(13), masks(14)
    got = float(unflow.photometric_term(image, warped, mask))
    assert got == pytest.approx(slow_photometric(image, warped, mask), rel=1e-5)


@pytest.mark.parametrize(('height', 'width'), [(9, 11), (3, 3), (2, 5), (1, 1)])
def test_smoothness_equals_the_loop(height, width):
    flow = flows(15, 2, height, width)
    got = float(unflow.smoothness_term(flow))
    assert got == pytest.approx(slow_smoothness(flow), abs=TOLERANCE)


def test_an_affine_flow_is_smooth():
    y, x = torch.meshgrid(torch.arange(9.0), torch.arange(11.0), indexing='ij')
    flow = torch.stack((0.3 * x - 0.2 * y + 1, 0.1 * x + 0.25 * y))[None]
    assert float(unflow.smoothness_term(flow)) < 0.01


def test_occlusions_equal_the_loop():
    forward = flows(16, size=1.0)
    backward = -forward + flows(17, size=0.4)
    got = unflow.occluded(forward, backward)
    assert 0.1 < float(got.mean()) < 0.9
    assert torch.equal(got, slow_occluded(forward, backward))


def test_opposite_flows_are_not_occluded_and_cost_nothing():
    forward = torch.tensor([2.0, -1.0]).view(1, 2, 1, 1).expand(1, 2, 9, 11)
    assert not unflow.occluded(forward, -forward).any()
    mask = torch.ones(1, 1, 9, 11)
    floor = (0.001**2) ** 0.45
    cost = unflow.consistency_term(forward, -forward, mask)
    assert float(cost) == pytest.approx(floor, rel=1e-4)


def test_consistency_equals_the_loop():
    forward, backward, mask = flows(18), flows(19), masks(20)
    got = float(unflow.consistency_term(forward, backward, mask))
    assert got == pytest.approx(slow_consistency(forward, backward, mask), abs=TOLERANCE)


def test_border_is_a_tenth_of_the_shorter_side_rounded_up():
    mask = unflow.border_mask(torch.zeros(2, 3, 41, 60))
    wanted = torch.zeros(41, 60)
    wanted[5:36, 5:55] = 1
    assert torch.equal(mask[0, 0], wanted)
    assert not unflow.inner_mask(torch.zeros(1, 1, 3, 9), 2, 2).any()


def test_a_scale_equals_the_loops():
    first, second = images(21), images(22)
    forward = flows(23, size=1.0)
    backward = -forward + flows(24, size=0.5)
    border = torch.rand(1, 1, 9, 11)
    config = UnflowLossConfig(photometric=1.0)
    got = unflow.scale_terms(
        first, second, forward, backward, border=border, radius=2, config=config
    )
    wanted = slow_scale(first, second, forward, backward, border, 2)
    named = (got.census, got.photometric, got.smoothness, got.consistency, got.occlusion)
    assert [float(t) for t in named] == pytest.approx(wanted, rel=1e-5, abs=TOLERANCE)


def pyramid(seed, height=64, width=128):
    return [flows(seed + i, 1, height >> i, width >> i, size=0.2) for i in range(2, 7)]


def test_the_loss_weighs_terms_and_scales():
    first, second = images(25, 1, 64, 128), images(26, 1, 64, 128)
    ahead, back = pyramid(30), pyramid(40)
    border = unflow.border_mask(first)
    config = UnflowLossConfig(photometric=0.5)
    loss, terms = unflow.unflow_loss(ahead, back, first, second, border=border, config=config)
    sums = [0.0] * 5
    for i, (weight, radius) in enumerate(
        zip((12.7, 4.35, 3.9, 3.4, 1.1), (3, 2, 2, 1, 1), strict=True)
    ):
        area = 4 * 2**i
        small = [torch.nn.functional.avg_pool2d(t, area) for t in (first, second, border)]
        unit = 5 / 2**i
        one = unflow.scale_terms(
            *small[:2],
            ahead[i] * unit,
            back[i] * unit,
            border=small[2],
            radius=radius,
            config=config,
        )
        parts = (one.census, one.photometric, one.smoothness, one.consistency, one.occlusion)
        sums = [s + weight * float(p) for s, p in zip(sums, parts, strict=True)]
    named = (terms.census, terms.photometric, terms.smoothness, terms.consistency, terms.occlusion)
    assert [float(t) for t in named] == pytest.approx(sums, rel=1e-5)
    weights = (1, 0.5, 3, 0.2, 12.4)
    total = sum(w * s for w, s in zip(weights, sums, strict=True))
    assert float(loss) == pytest.approx(total, rel=1e-5)


def test_the_true_flow_costs_less_than_none_and_the_loss_points_to_it():
    wide = torch.nn.functional.interpolate(
        images(27, 1, 24, 40), scale_factor=8, mode='bilinear'
    )  # (1, 3, 192, 320)
    first, second = wide[..., 64:320], wide[..., 56:312]  # what is at x in first is at x + 8
    true = torch.tensor([8 / 20, 0.0]).view(1, 2, 1, 1)

    def cost(share):
        ahead = [(share * true).expand(1, 2, 192 >> i, 256 >> i) for i in range(2, 7)]
        back = [-flow for flow in ahead]
        return unflow.unflow_loss(ahead, back, first, second, border=unflow.border_mask(first))[0]

    share = torch.tensor(0.8, requires_grad=True)
    near = cost(share)
    near.backward()
    assert float(cost(1.0)) < near.item() < float(cost(0.0))
    assert float(share.grad) < 0


def test_both_directions_weigh_the_same():
    first, second = images(28, 1, 64, 128), images(29, 1, 64, 128)
    ahead, back = pyramid(50), pyramid(60)
    one, _ = unflow.unflow_loss(ahead, back, first, second)
    other, _ = unflow.unflow_loss(back, ahead, second, first)
    assert float(one) == pytest.approx(float(other), rel=1e-6)


def test_without_a_border_mask_only_flow_that_leaves_the_image_is_masked():
    first = torch.full((1, 3, 64, 64), 0.5)
    still = [torch.zeros(1, 2, 64 >> i, 64 >> i) for i in range(2, 7)]
    floor = (0.001**2) ** 0.45 * sum(unflow.SCALE_WEIGHTS) * 2
    _, terms = unflow.unflow_loss(still, still, first, first)
    assert float(terms.occlusion) == pytest.approx(floor, rel=1e-4)
    leaving = [flow + 100 for flow in still]
    _, terms = unflow.unflow_loss(leaving, leaving, first, first)
    assert float(terms.occlusion) == pytest.approx(2 * sum(unflow.SCALE_WEIGHTS), rel=1e-4)


def test_what_does_not_fit_is_refused():
    image = torch.rand(1, 3, 64, 64)
    with pytest.raises(ShapeError, match='1 forward and 1 backward'):
        unflow.unflow_loss([torch.zeros(1, 2, 16, 16)], [torch.zeros(1, 2, 16, 16)], image, image)
    with pytest.raises(ShapeError, match='flow: expected'):
        unflow.warp_clamped(image, torch.zeros(1, 2, 8, 8))
    with pytest.raises(ValueError, match='as many scale_weights as census_radii'):
        UnflowLossConfig(scale_weights=(1.0,))
