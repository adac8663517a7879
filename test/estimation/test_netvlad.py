"""Frames to places: how a picture comes to the network, known places, and the shared forward."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from dlcv.estimation.base import Origin
from dlcv.estimation.netvlad import PlaceEstimator, PlaceSettings
from dlcv.estimation.places import PlaceIndex, PlacesError, PlacesInfo
from dlcv.estimation.superpoint import FeatureEstimator, FeatureSettings
from dlcv.networks.netvlad import NetVLAD, NetVLADConfig
from dlcv.networks.superpoint import SuperPoint, SuperPointConfig

CONFIG = NetVLADConfig(encoder='superpoint', width=1 / 16, reduced=4, clusters=3, whitened=6)


@pytest.fixture
def estimator():
    torch.manual_seed(0)
    return PlaceEstimator(NetVLAD(CONFIG), device='cpu')


def test_a_picture_is_grey_and_padded_to_whole_cells(estimator, frame):
    seen = frame()
    seen = replace(seen, image=seen.image[:45, :61], camera=None)
    found = estimator.push(seen)
    grey = cv2.cvtColor(seen.image, cv2.COLOR_RGB2GRAY)
    padded = cv2.copyMakeBorder(grey, 0, 3, 0, 3, cv2.BORDER_REPLICATE)
    with torch.no_grad():
        wanted = estimator.network(torch.from_numpy(padded)[None, None].float() / 255)[0]
    np.testing.assert_allclose(found.descriptor, wanted, atol=1e-5)
    assert found.stamp_ns == seen.stamp_ns
    assert len(found.places) == len(found.names) == 0


def test_vgg_takes_colours_and_large_pictures_are_shrunk(frame):
    network = NetVLAD(NetVLADConfig(width=1 / 32, clusters=3, whitened=0, resize_long_side=48))
    estimator = PlaceEstimator(network, device='cpu')
    large = frame()
    small = replace(
        large, camera=None, image=cv2.resize(large.image, (48, 32), interpolation=cv2.INTER_AREA)
    )
    np.testing.assert_allclose(estimator.describe(large), estimator.describe(small), atol=1e-5)


def test_known_places_are_named_likeliest_first(estimator, frame):
    seen = frame()
    descriptor = estimator.describe(seen)
    known = PlaceIndex(6)
    for sign, name in ((-1, 'unlike'), (1, 'same')):
        pose = np.eye(4)
        pose[2, 3] = sign
        known.add(sign * descriptor, pose, name)
    estimator.know(known)
    found = estimator.push(seen)
    assert found.names == ('same',)
    assert found.map_from_camera[0, 2, 3] == 1
    assert found.similarity[0] == pytest.approx(1, abs=1e-5)
    estimator.settings = PlaceSettings(min_similarity=-1.0, candidates=2)
    assert estimator.push(seen).names == ('same', 'unlike')


def test_places_of_other_weights_are_refused(estimator):
    with pytest.raises(PlacesError, match='7 values'):
        estimator.know(PlaceIndex(7))
    estimator.origin = Origin(sha256='a' * 64)
    with pytest.raises(PlacesError, match='described by other weights'):
        estimator.know(PlaceIndex(6, PlacesInfo(weights_sha256='b' * 64)))
    estimator.know(PlaceIndex(6, PlacesInfo(weights_sha256='a' * 64)))


def test_one_forward_gives_keypoints_and_the_place(estimator, frame):
    torch.manual_seed(1)
    network = SuperPoint(SuperPointConfig(width=1 / 16))
    points = FeatureEstimator(network, FeatureSettings(detection_threshold=0.0), device='cpu')
    with pytest.raises(ValueError, match='have another one'):
        points.describe_places(estimator.network)
    network.load_state_dict(estimator.network.encoder.state_dict(), strict=False)
    points = FeatureEstimator(network, FeatureSettings(detection_threshold=0.0), device='cpu')
    seen = frame()
    alone = points.push(seen)
    points.describe_places(estimator.network)
    both = points.push(seen)
    assert alone.place is None
    np.testing.assert_array_equal(both.xy, alone.xy)
    np.testing.assert_array_equal(both.descriptors, alone.descriptors)
    np.testing.assert_allclose(both.place, estimator.describe(seen), atol=1e-6)
    points.describe_places(None)
    assert points.push(seen).place is None
