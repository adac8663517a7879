"""``dlcv map`` from a bag to a map that the relocalizer takes, and what it says otherwise."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from dlcv.cli.main import main
from dlcv.data.bags import write_recording
from dlcv.data.world import WorldRecording, ideal_camera
from dlcv.estimation.load import load_relocalization
from dlcv.networks.dsac import DsacConfig, SceneCoordinateNet
from dlcv.networks.weights import save_network

QUICK = ['--set', 'map.cells=900', '--set', 'map.batch=128', '--set', 'map.epochs=2',
         '--set', 'map.per_view=60', '--threads', '1']  # fmt: skip


@pytest.fixture(scope='module')
def walk():
    camera = ideal_camera(96, 64, 70)
    return WorldRecording('room', seed=5, frames=12, rate_hz=5, camera=camera, workers=1)


@pytest.fixture(scope='module')
def bag(walk, tmp_path_factory):
    path = tmp_path_factory.mktemp('bags') / 'kitchen.mcap'
    write_recording(walk, path)
    return path


@pytest.fixture(scope='module')
def encoder(tmp_path_factory):
    torch.manual_seed(0)
    network = SceneCoordinateNet(DsacConfig(variant='ace', width=1 / 16, input_height=64))
    return save_network(network, tmp_path_factory.mktemp('weights') / 'encoder.safetensors')


def test_a_bag_becomes_a_map(bag, walk, encoder, tmp_path, capsys):
    out = tmp_path / 'kitchen.safetensors'
    options = ['--encoder', str(encoder), '--frame', 'kitchen', '--hold-out', '0.2', *QUICK]
    assert main(['map', str(bag), '-o', str(out), '--end-to-end', '2', *options]) == 0
    said = capsys.readouterr().out
    assert 'made of 10 pictures in ' in said
    assert 'of 2 held out: ' in said
    assert f'wrote {out}, kitchen.json and kitchen.png' in said
    assert json.loads(out.with_suffix('.json').read_text())['source'] == 'kitchen (12 pictures)'
    assert out.with_suffix('.png').is_file()
    estimator = load_relocalization(out, device='cpu')
    assert estimator.place.frame == 'kitchen'
    assert estimator.push(next(iter(walk)).frame).hypotheses.shape[1:] == (4, 4)


@pytest.mark.parametrize(
    ('arguments', 'said'),
    [
        (['nowhere', '-o', 'OUT/a.safetensors'], 'nowhere: there is no such bag or folder'),
        (['BAG', '-o', 'OUT/a.pt'], 'the name of a map ends in .safetensors'),
        (['BAG', '-o', 'OUT/no/a.safetensors'], 'there is no folder'),
        (['BAG', '-o', 'ENCODER'], 'is there already; --overwrite replaces it'),
        (['BAG', '-o', 'OUT/a.safetensors', '--hold-out', '1'], 'hold_out in [0, 1)'),
        (['BAG', '-o', 'OUT/a.safetensors', '--every', '4'], 'needs 8 pictures'),
        (['BAG', '-o', 'OUT/a.safetensors', '--set', 'map.turns=1'], "unknown key 'turns'"),
        (['BAG', '-o', 'OUT/a.safetensors', '--truth', '/odom'], 'no topic /odom; there are'),
    ],
)
def test_what_cannot_be_done_is_said(bag, encoder, tmp_path, capsys, arguments, said):
    names = {'BAG': str(bag), 'ENCODER': str(encoder)}
    words = [names.get(word, word.replace('OUT', str(tmp_path))) for word in arguments]
    assert main(['map', *words, '--encoder', str(encoder), *QUICK]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / 'a.safetensors').exists()


def test_weights_that_are_no_encoder_are_refused(bag, tmp_path, capsys):
    tiny = SceneCoordinateNet(DsacConfig(variant='tiny', width=1 / 16))
    file = save_network(tiny, tmp_path / 'tiny.safetensors')
    assert (
        main(['map', str(bag), '-o', str(tmp_path / 'a.safetensors'), '--encoder', str(file)]) == 2
    )
    assert "maps are made with an encoder, that is dsac of variant 'ace'" in capsys.readouterr().err


def test_a_bag_without_poses_makes_no_map(walk, encoder, tmp_path, capsys):
    blind = [replace(snapshot, world_from_camera=None) for snapshot in walk]

    class Blind:
        name, baseline, camera = 'blind', 0.0, walk.camera

        def __len__(self):
            return len(blind)

        def __iter__(self):
            return iter(blind)

    write_recording(Blind(), tmp_path / 'blind.mcap')
    words = ['map', str(tmp_path / 'blind.mcap'), '-o', str(tmp_path / 'a.safetensors')]
    assert main([*words, '--encoder', str(encoder), *QUICK]) == 2
    assert '12 lack the pose' in capsys.readouterr().err
