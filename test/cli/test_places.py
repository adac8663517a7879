"""`dlcv places`: which pictures become places, and what stands in the file."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from dlcv.cli.main import main
from dlcv.estimation.places import read_places
from dlcv.networks.netvlad import NetVLAD, NetVLADConfig
from dlcv.networks.weights import save_network

ALONG = (0.0, 0.1, 0.3, 0.4, 0.9)  # metres


@pytest.fixture
def walk(tmp_path):
    root = tmp_path / 'walk'
    (root / 'rgb').mkdir(parents=True)
    for i in range(len(ALONG)):
        image = np.random.default_rng(i).integers(0, 255, (48, 64, 3), np.uint8)
        cv2.imwrite(str(root / 'rgb' / f'{i}.png'), image)
    lines = [f'{0.1 * i:.1f} {x} 0 0 0 0 0 1' for i, x in enumerate(ALONG)]
    (root / 'groundtruth.txt').write_text('\n'.join(lines) + '\n')
    return root


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    config = NetVLADConfig(encoder='superpoint', width=1 / 16, clusters=3, whitened=6)
    return save_network(NetVLAD(config), tmp_path / 'tiny.safetensors')


def test_pictures_become_places_when_the_camera_has_moved(walk, weights, tmp_path, capsys):
    out = tmp_path / 'places.safetensors'
    command = ['places', str(walk), '-o', str(out), '--weights', str(weights), '--device', 'cpu']
    assert main([*command, '--distance', '0.25', '--frame', 'hall']) == 0
    found = read_places(out)
    np.testing.assert_allclose(found.poses[:, 0, 3], (0.0, 0.3, 0.9), atol=1e-6)
    assert found.info.frame == 'hall'
    assert len(found.info.weights_sha256) == 64
    assert found.names[0].startswith('walk ')
    assert '3 places of 5 pictures with poses' in capsys.readouterr().out
    assert main(command) == 2
    assert 'is there already; --overwrite replaces it' in capsys.readouterr().err
    assert main([*command, '--overwrite', '--distance', '0']) == 2
    assert '--distance and --angle must be positive' in capsys.readouterr().err
