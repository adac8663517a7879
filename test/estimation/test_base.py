"""What all estimators share, asked of each of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dlcv.estimation.deepvo import OdometryEstimator
from dlcv.estimation.device import DeviceError
from dlcv.estimation.dsac import RelocalizationEstimator
from dlcv.estimation.flownet import FlowEstimator
from dlcv.estimation.monodepth import DepthEstimator
from dlcv.estimation.pictures import MappingError
from dlcv.estimation.superpoint import FeatureEstimator
from dlcv.networks.deepvo import DeepVO, DeepVOConfig
from dlcv.networks.dsac import DsacConfig, SceneCoordinateNet
from dlcv.networks.flownet import FlowNet, FlowNetConfig
from dlcv.networks.monodepth import Monodepth, MonodepthConfig
from dlcv.networks.superpoint import SuperPoint, SuperPointConfig
from dlcv.types import Frame

MAKE = {
    'features': lambda: (FeatureEstimator, SuperPoint(SuperPointConfig(width=0.125))),
    'flow': lambda: (FlowEstimator, FlowNet(FlowNetConfig(width=0.0625, batch_norm=True))),
    'depth': lambda: (
        DepthEstimator,
        Monodepth(MonodepthConfig(width=0.0625, input_size=(128, 128))),
    ),
    'odometry': lambda: (
        OdometryEstimator,
        DeepVO(DeepVOConfig(input_size=(64, 96), width=0.0625, memory=8)),
    ),
    'relocalization': lambda: (
        RelocalizationEstimator,
        SceneCoordinateNet(DsacConfig(variant='tiny', width=0.0625, input_height=64)),
    ),
}


@pytest.fixture(params=MAKE)
def parts(request):
    torch.manual_seed(0)
    return MAKE[request.param]()


def same(a, b):
    if type(a) is not type(b):
        return False
    if a is None:
        return True
    return all(
        np.array_equal(getattr(a, n), getattr(b, n), equal_nan=True)
        for n in a.__dataclass_fields__
        if isinstance(getattr(a, n), np.ndarray)
    )


def test_warming_up_leaves_no_trace(parts, frame, ideal):
    make, network = parts
    fresh, warm = make(network, device='cpu'), make(network, device='cpu')
    warm.warm_up(96, 64, ideal)
    for i in range(3):
        shot = frame(1 + 0.1 * i, camera=ideal, seed=i)
        assert same(fresh.push(shot), warm.push(shot))


def test_a_reset_starts_anew(parts, frame, ideal):
    make, network = parts
    estimator = make(network, device='cpu')
    shots = [frame(1 + 0.1 * i, camera=ideal, seed=i) for i in range(3)]
    first = [estimator.push(shot) for shot in shots]
    estimator.reset()
    assert all(map(same, first, [estimator.push(shot) for shot in shots]))


def test_the_network_handed_in_is_not_changed(parts):
    make, network = parts
    before = {key: value.clone() for key, value in network.state_dict().items()}
    estimator = make(network.train(), device='cpu')
    estimator.warm_up(96, 64)
    assert network.training
    assert all(p.requires_grad for p in network.parameters())
    assert not estimator.network.training
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())


def test_results_carry_no_torch_and_the_frames_own_time(parts, frame, ideal):
    make, network = parts
    estimator = make(network, device='cpu')
    estimator.push(frame(1.0, camera=ideal))
    found = estimator.push(frame(1.1, camera=ideal, seed=1))
    assert found.stamp_ns == 1_100_000_000
    assert not any(isinstance(getattr(found, n), torch.Tensor) for n in found.__dataclass_fields__)


def test_grey_and_read_only_frames_are_taken(parts, frame, ideal):
    make, network = parts
    estimator = make(network, device='cpu')
    grey = frame().image[..., 1].copy()
    grey.flags.writeable = False
    for i in range(2):
        estimator.push(frame(0.1 * i, grey, ideal))


def test_bad_pictures_and_devices_are_refused(parts, ideal):
    make, network = parts
    with pytest.raises(DeviceError):
        make(network, device='cpu', precision='bf16')
    estimator = make(network, device='cpu')
    for image in (np.zeros((64, 96, 4), np.uint8), np.zeros((64, 96), np.float32)):
        with pytest.raises(MappingError, match='a frame needs an image'):
            estimator.push(Frame(stamp_ns=0, image=image, camera=ideal))
