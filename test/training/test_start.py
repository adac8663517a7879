"""Weights to start from: of a run, of a weight file, of neither."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from dlcv.networks.superpoint import SuperPoint, SuperPointConfig
from dlcv.networks.weights import SHIPPED_CONFIGS, load_network, save_network, shipped
from dlcv.training.recipe import TrainError
from dlcv.training.start import filled, located


def tiny(variant='vgg', width=0.125, seed=0):
    torch.manual_seed(seed)
    return SuperPoint(SuperPointConfig(variant=variant, width=width))


def same(first, second):
    others = second.state_dict()
    return all(torch.equal(value, others[key]) for key, value in first.state_dict().items())


@pytest.mark.parametrize('averaged', [True, False])
def test_a_checkpoint_gives_the_average_where_there_is_one(tmp_path, averaged):
    network, average = tiny('unet_bn', seed=1), tiny('unet_bn', seed=2)
    content = {
        'network': network.state_dict(),
        'average': average.state_dict() if averaged else None,
        'step': 3,
    }
    torch.save(content, tmp_path / 'checkpoint.pt')
    started = filled(tiny('unet_bn'), tmp_path / 'checkpoint.pt', 'superpoint')
    assert same(started, average if averaged else network)


def test_a_weight_file_gives_its_values(tmp_path):
    network = tiny(seed=1)
    path = save_network(network, tmp_path / 'a.safetensors', half=False)
    started = tiny()
    assert not same(started, network)
    assert same(filled(started, path, 'superpoint'), network)


def test_what_does_not_fit_is_refused(tmp_path):
    with pytest.raises(TrainError, match='no weights to start from at'):
        filled(tiny(), tmp_path / 'none.pt', 'superpoint')
    path = save_network(tiny(), tmp_path / 'a.safetensors', half=False)
    with pytest.raises(TrainError, match='another variant or width of superpoint'):
        filled(tiny('unet_bn'), path, 'superpoint')
    with pytest.raises(TrainError, match='another variant or width of superpoint'):
        filled(tiny(width=0.25), path, 'superpoint')


def test_shipped_weights_are_meant_by_their_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = located(Path('superpoint'))
    assert file == shipped('superpoint')
    network = SuperPoint(SHIPPED_CONFIGS['superpoint'])
    assert same(filled(network, Path('superpoint'), 'superpoint'), load_network('superpoint', file))
    (tmp_path / 'superpoint').write_bytes(b'a file of that name')
    assert located(Path('superpoint')) == Path('superpoint')
    with pytest.raises(TrainError, match=r'at nothing; the names.*are superpoint, flownet_s'):
        located(Path('nothing'))
