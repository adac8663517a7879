"""``dlcv map`` from a bag to a map that the relocalizer takes, and what it says otherwise."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import cv2
import pytest
import torch
from scipy.spatial.transform import Rotation

from dlcv.bringup.demo.run import MAP
from dlcv.cli.main import main
from dlcv.data.bags import write_recording
from dlcv.data.world import WorldRecording, ideal_camera
from dlcv.estimation.load import load_relocalization
from dlcv.networks.dsac import DsacConfig, SceneCoordinateNet
from dlcv.networks.weights import load_network, save_network

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
    options += ['--set', 'far.metres=0.02', '--set', 'far.degrees=2']
    assert main(['map', str(bag), '-o', str(out), '--end-to-end', '2', *options]) == 0
    said = capsys.readouterr().out
    assert 'made of 10 pictures in ' in said
    assert 'of 2 held out, in 2 stretches, each beyond 2 cm or 2 deg from every learned' in said
    assert 'that is to be expected of another walk whose pictures lie about ' in said
    assert 'too few poses were accepted to measure how far off they are' in said
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
        (['BAG', '-o', 'OUT/a.safetensors', '--split', 'train'], 'is a bag: --split chooses'),
        (['BAG', '-o', 'OUT/a.safetensors', '--list', 'x.txt'], 'is a bag: --list chooses'),
        (
            ['OUT', '-o', 'OUT/a.safetensors', '--list', 'x', '--split', 'all'],
            'cannot do with --sp',
        ),
        (['BAG', '-o', 'OUT/a.safetensors', '--calibrate', 'ENCODER'], 'this one knows no place'),
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


@pytest.fixture(scope='module')
def folder(walk, tmp_path_factory):
    """The walk as pictures, of which lists leave the last three to tests."""
    root = tmp_path_factory.mktemp('folders') / 'den'
    (root / 'rgb').mkdir(parents=True)
    lines = []
    for n, view in enumerate(walk):
        cv2.imwrite(str(root / 'rgb' / f'{n:03d}.png'), view.frame.image)
        turn = Rotation.from_matrix(view.world_from_camera[:3, :3]).as_quat()
        pose = ' '.join(f'{v:.9f}' for v in (*view.world_from_camera[:3, 3], *turn))
        lines.append(f'{n / 5:.1f} {pose}\n')
    (root / 'groundtruth.txt').write_text(''.join(lines))
    camera = walk.camera
    matrix = [float(v) for v in (camera.fx, 0, camera.cx, 0, camera.fy, camera.cy, 0, 0, 1)]
    (root / 'camera.yaml').write_text(
        f'image_width: {camera.width}\nimage_height: {camera.height}\n'
        f'distortion_model: plumb_bob\ndistortion_coefficients: {{data: [0, 0, 0, 0, 0]}}\n'
        f'camera_matrix: {{data: {matrix}}}\n'
    )
    (root / 'train.txt').write_text(''.join(f'{n:03d}\n' for n in range(9)))
    (root / 'test.txt').write_text('009\n010\n011\n')
    return root


@pytest.mark.parametrize(
    ('options', 'said', 'pictures'),
    [
        ([], 'train.txt: 9 pictures of 12; the 3 pictures of test.txt are left alone', 9),
        (['--split', 'all'], 'all 12 pictures, whatever train.txt and test.txt say of them', 12),
        (['--list', 'MINE'], 'mine.txt: 10 pictures of 12', 10),
    ],
)
def test_the_lists_of_a_folder_say_what_is_learned(
    folder, encoder, tmp_path, capsys, options, said, pictures
):
    mine = tmp_path / 'mine.txt'
    mine.write_text(''.join(f'rgb/{n:03d}.png\n' for n in range(2, 12)))
    out = tmp_path / 'den.safetensors'
    options = [str(mine) if word == 'MINE' else word for word in options]
    words = ['map', str(folder), '-o', str(out), '--hold-out', '0', *options]
    assert main([*words, '--encoder', str(encoder), *QUICK]) == 0
    told = capsys.readouterr().out
    assert f'{folder}: {said}' in told
    assert 'nothing was held out: what the map is worth is not known' in told
    report = json.loads(out.with_suffix('.json').read_text())
    assert report['pictures'] == pictures
    assert report['lists'] == [f'{folder}: {said}']


def test_a_map_that_is_there_is_calibrated(tmp_path, capsys):
    camera = ideal_camera(416, 192)
    again = WorldRecording('room', way=5, camera=camera, frames=16, rate_hz=2.5, workers=1)
    write_recording(again, tmp_path / 'again.mcap')
    out = tmp_path / 'room.safetensors'
    words = ['map', str(tmp_path / 'again.mcap'), '-o', str(out), '--calibrate', str(MAP)]
    options = ['--truth', '/ground_truth/odometry', '--images', '/camera/image_raw']
    assert main([*words, *options, '--threads', '1']) == 0
    said = capsys.readouterr().out
    assert 'of 16 pictures of again (16 pictures): ' in said
    assert 'of the accepted poses ' in said
    before, after = (load_network('dsac', path) for path in (MAP, out))
    assert after.config.place.spread.pictures >= 10
    assert after.config.place.spread != before.config.place.spread
    for one, other in zip(before.parameters(), after.parameters(), strict=True):
        assert torch.equal(one, other)


def test_weights_that_are_no_encoder_are_refused(bag, tmp_path, capsys):
    tiny = SceneCoordinateNet(DsacConfig(variant='tiny', width=1 / 16))
    file = save_network(tiny, tmp_path / 'tiny.safetensors')
    assert (
        main(['map', str(bag), '-o', str(tmp_path / 'a.safetensors'), '--encoder', str(file)]) == 2
    )
    assert "maps are made with an encoder, that is dsac of variant 'ace'" in capsys.readouterr().err


def test_a_bag_without_poses_makes_no_map_where_the_camera_hardly_moved(
    walk, encoder, tmp_path, capsys
):
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
    assert re.search(r'\b[23] keyframes in 12 pictures; a map needs 6', capsys.readouterr().err)
