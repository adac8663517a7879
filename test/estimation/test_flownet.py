"""FlowEstimator: which frames make a pair, units, strides, confidence."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from dlcv.estimation.flownet import FlowEstimator, FlowSettings, checked, grid_camera
from dlcv.networks.flownet import FlowNet, FlowNetConfig


class Brightness(nn.Module):
    """u is the difference of mean brightness in grey levels, v a ramp along x in pixels."""

    def __init__(self, multiple=1, ramp=0.0):
        super().__init__()
        self.multiple, self.ramp, self.passes = multiple, ramp, []
        self.config = SimpleNamespace(div_flow=20.0)

    def stack(self, first, second):
        return torch.cat((first, second), 1)

    def pyramid(self, stacked):
        self.passes.append(len(stacked))
        b, _, height, width = stacked.shape
        h, w = -(-height // 4), -(-width // 4)
        u = 255 * (stacked[:, 3:].mean((1, 2, 3)) - stacked[:, :3].mean((1, 2, 3)))
        v = self.ramp * (4 * torch.arange(w) + 1.5)  # the pixel in the middle of each cell
        shape = (b, h, w)
        flow = torch.stack((u[:, None, None].expand(shape), v.expand(shape)), 1)
        return (flow / self.config.div_flow,)


def flat(level, height=30, width=42):
    return np.full((height, width, 3), level, np.uint8)


@pytest.fixture
def estimator():
    return FlowEstimator(Brightness(), FlowSettings(output_stride=1), 'cpu')


def test_flow_runs_from_the_last_frame_to_this_one(estimator, frame):
    assert estimator.push(frame(1.0, flat(50))) is None
    field = estimator.push(frame(1.1, flat(53)))
    assert (field.previous_stamp_ns, field.stamp_ns) == (1_000_000_000, 1_100_000_000)
    assert field.flow.shape == (30, 42, 2)
    assert field.flow.dtype == np.float32
    np.testing.assert_allclose(field.flow[..., 0], 3, atol=1e-3)
    assert field.confidence is None
    assert field.camera is None


@pytest.mark.parametrize(
    'second', [(1.6, flat(2)), (0.9, flat(2)), (1.0, flat(2)), (1.1, flat(2, height=31))]
)
def test_pauses_jumps_and_new_sizes_start_anew(estimator, frame, second):
    estimator.push(frame(1.0, flat(1)))
    assert estimator.push(frame(*second)) is None
    assert estimator.push(frame(second[0] + 0.1, second[1])) is not None


def test_reset_forgets_the_last_frame(estimator, frame):
    estimator.push(frame(1.0, flat(1)))
    estimator.reset()
    assert estimator.push(frame(1.1, flat(1))) is None


@pytest.mark.parametrize(('stride', 'shape'), [(1, (30, 42)), (2, (15, 21)), (4, (8, 11))])
@pytest.mark.parametrize('multiple', [1, 64])
def test_strides_sample_the_same_flow(frame, stride, shape, multiple):
    """Values stay full-size pixels, and each sample stands for the middle of its cell."""
    network = Brightness(multiple, ramp=0.1)
    estimator = FlowEstimator(network, FlowSettings(output_stride=stride), 'cpu')
    estimator.push(frame(0, flat(0)))
    field = estimator.push(frame(0.1, flat(0)))
    assert field.flow.shape == (*shape, 2)
    assert field.stride == stride
    middle = stride * np.arange(shape[1]) + (stride - 1) / 2
    inner = slice(4 // stride, -(4 // stride))
    np.testing.assert_allclose(field.flow[3, inner, 1], 0.1 * middle[inner], atol=1e-3)


@pytest.mark.parametrize('stride', [1, 2, 4])
@pytest.mark.parametrize('multiple', [1, 64])
@pytest.mark.parametrize(
    ('size', 'limit', 'resized'),
    [
        ((101, 67), 64, (64, 42)),  # two scales: .634 and .627
        ((67, 101), 64, (42, 64)),
        ((200, 31), 64, (64, 10)),
        ((128, 96), 64, (64, 48)),
        ((256, 256), 64, (64, 64)),
    ],
)
def test_a_shrunk_picture_has_the_flow_of_the_large_one(
    frame, size, limit, resized, multiple, stride
):
    """Pixels of the picture in each direction, and at its cells, whatever the network saw."""
    width, height = size
    network = Brightness(multiple, ramp=0.1)
    settings = FlowSettings(output_stride=stride, resize_long_side=limit)
    estimator = FlowEstimator(network, settings, 'cpu')
    estimator.push(frame(0, flat(50, height, width)))
    field = estimator.push(frame(0.1, flat(53, height, width)), confidence=True)
    assert field.stride == stride
    assert field.flow.shape == (-(-height // stride), -(-width // stride), 2)
    assert field.confidence.shape == field.flow.shape[:2]
    across, down = resized[0] / width, resized[1] / height
    np.testing.assert_allclose(field.flow[..., 0], 3 / across, atol=2e-3)
    middle = stride * np.arange(field.flow.shape[1]) + (stride - 1) / 2
    seen = (middle + 0.5) * across - 0.5  # where the network saw it
    inner = (seen > 1.5) & (seen < resized[0] - 2.5)
    np.testing.assert_allclose(
        field.flow[1, inner, 1], 0.1 * seen[inner] / down, rtol=1e-3, atol=2e-3
    )


def test_a_smaller_picture_is_not_changed(frame):
    plain, limited = (
        FlowEstimator(Brightness(64, ramp=0.1), FlowSettings(resize_long_side=limit), 'cpu')
        for limit in (0, 64)
    )
    for estimator in (plain, limited):
        estimator.push(frame(0, flat(1)))
    fields = [estimator.push(frame(0.1, flat(2))) for estimator in (plain, limited)]
    np.testing.assert_array_equal(fields[0].flow, fields[1].flow)


def test_the_network_sees_the_shrunk_picture(frame):
    network = Brightness(8)
    sizes = []
    network.stack = lambda first, second: (
        sizes.append(tuple(first.shape[2:])) or torch.cat((first, second), 1)
    )
    estimator = FlowEstimator(network, FlowSettings(resize_long_side=640), 'cpu')
    for i in range(2):
        estimator.push(frame(0.1 * i, flat(0, 720, 1280)))
    assert sizes == [(360, 640)]


def test_another_size_of_input_starts_anew(frame):
    estimator = FlowEstimator(Brightness(), FlowSettings(), 'cpu')
    estimator.push(frame(0, flat(0, 96, 128)))
    estimator.settings = FlowSettings(resize_long_side=64)
    assert estimator.push(frame(0.1, flat(0, 96, 128))) is None
    assert estimator.push(frame(0.2, flat(0, 96, 128))) is not None


def test_the_camera_is_that_of_the_grid(frame, lens):
    estimator = FlowEstimator(Brightness(), FlowSettings(output_stride=4), 'cpu')
    image = flat(0, lens.height, lens.width)
    estimator.push(frame(0, image, lens))
    camera = estimator.push(frame(0.1, image, lens)).camera
    assert (camera.width, camera.height) == (24, 16)
    assert camera.fx == lens.fx / 4
    assert camera.cx == (lens.cx + 0.5) / 4 - 0.5
    assert camera.distortion == lens.distortion


def test_a_grid_of_a_size_that_does_not_divide_keeps_its_scale(ideal):
    camera = grid_camera(ideal.cropped(0, 0, 95, 61), 4)
    assert (camera.width, camera.height) == (24, 16)
    assert (camera.fx, camera.fy) == (20.0, 20.0)


def test_the_backward_pass_is_run_only_for_confidence(estimator, frame):
    estimator.push(frame(0, flat(0)))
    estimator.push(frame(0.1, flat(0)))
    estimator.push(frame(0.2, flat(0)), confidence=True)
    estimator.settings = FlowSettings(consistency_threshold=0)
    field = estimator.push(frame(0.3, flat(0)), confidence=True)
    assert estimator.network.passes == [1, 2, 1]
    assert (field.confidence == 1).all()


def test_consistent_flow_is_trusted_but_where_it_leaves_the_picture(estimator, frame):
    estimator.push(frame(0, flat(0)))
    field = estimator.push(frame(0.1, flat(5)), confidence=True)  # 5 px right, and 5 back
    np.testing.assert_allclose(field.confidence[:, :37], 1, atol=1e-4)
    assert (field.confidence[:, 37:] == 0).all()


def test_flow_that_misses_by_the_threshold_is_half_trusted(frame):
    """v = 0.5 px both ways: going there and back misses by 1 px."""

    class Biased(Brightness):
        def pyramid(self, stacked):
            (flow,) = super().pyramid(stacked)
            flow[:, 1] = 0.5 / self.config.div_flow
            return (flow,)

    estimator = FlowEstimator(Biased(), FlowSettings(consistency_threshold=1.0), 'cpu')
    estimator.push(frame(0, flat(0)))
    field = estimator.push(frame(0.1, flat(0)), confidence=True)
    np.testing.assert_allclose(field.confidence[:-1], 0.5, atol=1e-3)
    assert not np.isnan(field.flow).any()
    assert not np.isnan(checked(field, 0.4).flow[:-1]).any()
    assert np.isnan(checked(field, 0.6).flow).all()


def test_a_flow_without_confidence_passes_the_check_unchanged(estimator, frame):
    estimator.push(frame(0, flat(0)))
    field = estimator.push(frame(0.1, flat(0)))
    assert checked(field) is field


def test_not_finite_flow_is_not_trusted(frame):
    class Broken(Brightness):
        def pyramid(self, stacked):
            (flow,) = super().pyramid(stacked)
            flow[:, 0, 0, 0] = torch.nan
            return (flow,)

    estimator = FlowEstimator(Broken(), FlowSettings(output_stride=4), 'cpu')
    estimator.push(frame(0, flat(0)))
    field = estimator.push(frame(0.1, flat(0)), confidence=True)
    assert np.isnan(field.flow[0, 0, 0])
    assert field.confidence[0, 0] == 0
    assert field.confidence[4, 4] == 1


@pytest.mark.parametrize('variant', ['s', 'c'])
def test_the_real_network_gives_its_own_flow(variant, frame, picture):
    network = FlowNet(FlowNetConfig(variant=variant, width=0.0625)).eval()
    estimator = FlowEstimator(network, FlowSettings(), 'cpu')
    first, second = picture(1), picture(2)
    estimator.push(frame(0, first))
    field = estimator.push(frame(0.1, second))
    a, b = (torch.from_numpy(p).permute(2, 0, 1)[None] / 255 for p in (first, second))
    with torch.inference_mode():
        want = network(a, b)[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(field.flow, want, atol=1e-4)
