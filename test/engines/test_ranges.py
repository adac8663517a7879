"""Ranges of activations: measured, written, found beside their weights, and used."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dlcv.cli.main import main
from dlcv.engines import EngineError, ranges
from dlcv.engines.building import deviation
from dlcv.engines.quantised import Quantised, measure
from dlcv.engines.ranges import RangesHeader, beside, read_ranges, write_ranges
from dlcv.estimation.load import load_features
from dlcv.estimation.optimise import measure_ranges
from dlcv.estimation.superpoint import FeatureEstimator
from dlcv.networks.superpoint import SuperPoint, SuperPointConfig
from dlcv.networks.weights import WeightsError, describe, save_network
from dlcv.types import Frame


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    network = SuperPoint(SuperPointConfig(width=0.125))
    return save_network(network, tmp_path / 'small.safetensors')


def pictures(count, size=(48, 64)):
    noise = np.random.default_rng(0)
    return [
        Frame(stamp_ns=i * 10**8, image=noise.integers(0, 256, (*size, 3), np.uint8))
        for i in range(count)
    ]


def header(sha256, tolerance=0.3):
    return RangesHeader(
        weights_sha256=sha256, tolerance=tolerance, deviation=0.1, pictures='some noise'
    )


def test_ranges_are_means_over_pictures_but_for_the_pictures_themselves():
    layers = torch.nn.Sequential(
        torch.nn.Conv2d(1, 1, 1, bias=False), torch.nn.MaxPool2d(2), torch.nn.Conv2d(1, 1, 1)
    )
    with torch.no_grad():
        layers[0].weight.fill_(2)
    found = measure(layers, [(torch.full((1, 1, 2, 2), x),) for x in (0.2, 0.6)])
    expected = [[0, 0.6], [0, 0.8], [0, 0.8]]  # the picture, before the pool, after it
    torch.testing.assert_close(found, torch.tensor(expected))


def test_rounding_is_finer_than_a_step_and_costs_little():
    torch.manual_seed(0)
    network = SuperPoint(SuperPointConfig(width=0.125)).eval()
    x = torch.rand(1, 1, 32, 48)
    found = measure(network, [(x,)])
    with torch.no_grad():
        for rounded, exact in zip(Quantised(network, found)(x), network(x), strict=True):
            assert 0 < deviation(rounded, exact) < 0.1
        with pytest.raises(ValueError, match=r'ranges of 14 tensors do not fit .* rounds 15'):
            Quantised(network, found[:-1])(x)


def test_measuring_leaves_the_estimator_as_it_was(weights):
    estimator = load_features(weights, device='cpu')
    runner = estimator.runner
    found = measure_ranges(estimator, [pictures(2), pictures(1)])
    assert estimator.runner is runner
    assert found.inputs == 3
    assert found.ranges.shape == (15, 2)
    assert 0 < found.deviation < found.tolerance
    with pytest.raises(ValueError, match='no pictures to measure on'):
        measure_ranges(estimator, [])


def test_ranges_are_found_beside_their_own_weights_alone(weights, monkeypatch):
    said = []
    monkeypatch.setattr(ranges._LOG, 'warning', lambda *a: said.append(a[0] % a[1:]))
    assert read_ranges(weights, 'ab') is None
    write_ranges(beside(weights), torch.ones(3, 2), header('ab', tolerance=0.25))
    found = read_ranges(weights, 'ab')
    assert found.tolerance == 0.25
    assert torch.equal(found.values, torch.ones(3, 2))
    assert read_ranges(weights, 'cd') is None
    assert 'is of other weights than' in said[0]


def test_a_damaged_file_of_ranges_is_refused(weights):
    write_ranges(beside(weights), torch.ones(3), header('ab'))
    with pytest.raises(WeightsError, match=r'need the shape \(P, 2\), got \(3,\)'):
        read_ranges(weights, 'ab')
    beside(weights).write_bytes(weights.read_bytes())
    with pytest.raises(WeightsError, match='no ranges for int8'):
        read_ranges(weights, 'ab')


def test_optimize_makes_weights_run_in_int8(weights, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv('DLCV_CACHE', str(tmp_path / 'cache'))
    import cv2

    for i, frame in enumerate(pictures(2)):
        cv2.imwrite(str(tmp_path / f'{i}.png'), frame.image)
    photos = [str(tmp_path / f'{i}.png') for i in range(2)]
    assert main(['weights', 'optimize', str(weights), '--calibrate', *photos]) == 0
    assert '15 ranges' in capsys.readouterr().out
    assert read_ranges(weights, describe(weights).sha256).values.shape == (15, 2)
    pytest.importorskip('openvino')
    estimator = load_features(weights, device='cpu', engine='openvino', precision='int8')
    exact = load_features(weights, device='cpu')
    (frame,) = pictures(1)
    found, expected = estimator.push(frame), exact.push(frame)
    assert str(estimator.runner.choice) == 'openvino int8'
    assert isinstance(estimator, FeatureEstimator)
    assert not np.array_equal(found.descriptors, expected.descriptors)
    assert found.descriptors.shape[1] == expected.descriptors.shape[1]


def test_int8_without_ranges_says_how_to_get_them(weights):
    pytest.importorskip('openvino')
    with pytest.raises(EngineError, match='dlcv weights optimize'):
        load_features(weights, device='cpu', engine='openvino', precision='int8')
