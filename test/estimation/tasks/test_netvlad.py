"""The task of place recognition: which messages an image gives, and which places are refused."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from dlcv.data.bags.vocabulary import COMPOSER
from dlcv.estimation.places import PlaceIndex, PlacesError, PlacesInfo
from dlcv.estimation.tasks.netvlad import CANDIDATES, DESCRIPTOR, INFO, PlaceTask
from dlcv.interface.parameters import NetVLADParameters
from dlcv.networks.netvlad import NetVLAD, NetVLADConfig
from dlcv.networks.weights import save_network


class Host(SimpleNamespace):
    """Listens to everything and keeps it."""

    def wanted(self, name):
        return True

    def send(self, name, message):
        self.sent[name] = message


@pytest.fixture
def task(tmp_path):
    torch.manual_seed(0)
    config = NetVLADConfig(encoder='superpoint', width=1 / 16, clusters=3, whitened=6)
    weights = save_network(NetVLAD(config), tmp_path / 'tiny.safetensors')

    def make(**parameters):
        parameters = NetVLADParameters(weights=str(weights), **parameters)
        host = Host(parameters=parameters, sent={})
        made = PlaceTask(host, COMPOSER)
        made.estimator = made.load('cpu', 'fp32')
        return made

    return make


def places(descriptor, path, **info):
    known = PlaceIndex(len(descriptor), PlacesInfo(**info))
    for sign, name in ((1, 'here'), (-1, 'there')):
        pose = np.eye(4)
        pose[1, 3] = sign
        known.add(sign * descriptor, pose, name)
    known.save(path)
    return str(path)


def test_an_image_gives_poses_of_the_map_and_its_descriptor(task, frame, tmp_path):
    seen = frame(seconds=12.5)
    descriptor = task().infer(seen).descriptor
    file = places(descriptor, tmp_path / 'places.safetensors')
    made = task(places=file, candidates=2, min_similarity=-1.0)
    header = COMPOSER.header(seen.stamp_ns, 'camera')
    made.publish(seen, header, made.infer(seen))
    sent = made.host.sent
    assert sent[CANDIDATES].header.frame_id == 'map'
    assert sent[CANDIDATES].header.stamp == header.stamp
    assert [pose.position.y for pose in sent[CANDIDATES].poses] == [1, -1]
    np.testing.assert_allclose(sent[DESCRIPTOR].data, descriptor, atol=1e-6)
    assert sent[DESCRIPTOR].layout.dim[0].size == 6
    told = {value.key: value.value for value in sent[INFO].values}
    assert told == {
        'stamp': '12.500000000',
        'places': '0 1',
        'names': 'here there',
        'similarities': '1.0000 -1.0000',
    }
    assert made.values()['places'] == '2'


def test_without_places_there_are_descriptors_alone(task, frame):
    made, seen = task(), frame()
    made.publish(seen, COMPOSER.header(seen.stamp_ns, 'camera'), made.infer(seen))
    assert len(made.host.sent[CANDIDATES].poses) == 0
    assert made.host.sent[INFO].message == 'like no known place'


def test_places_of_another_frame_or_other_weights_are_refused(task, frame, tmp_path):
    descriptor = task().infer(frame()).descriptor
    file = places(descriptor, tmp_path / 'hall.safetensors', frame='hall')
    with pytest.raises(PlacesError, match=r"poses are in 'hall', not in 'map' \(parameter"):
        task(places=file)
    file = places(descriptor, tmp_path / 'other.safetensors', weights_sha256='a' * 64)
    with pytest.raises(PlacesError, match='described by other weights'):
        task(places=file)
