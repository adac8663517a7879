"""``dlcv map`` of recordings without poses, and what is done with such maps."""

from __future__ import annotations

import json

import pytest

from dlcv.cli.main import main
from dlcv.data.bags import WriteOptions, write_recording
from dlcv.data.world import WorldRecording, ideal_camera
from dlcv.estimation.slam.files import load_place


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    """A bag of a short walk with depth, and the map that was made of it."""
    folder = tmp_path_factory.mktemp('maps')
    camera = ideal_camera(160, 120, 75)
    walk = WorldRecording('room', seed=5, frames=20, rate_hz=2.5, camera=camera, workers=1)
    write_recording(walk, folder / 'walk.mcap', options=WriteOptions(depth=True))
    options = ['--own-odometry', '--depth', '/ground_truth/depth', '--threads', '1']
    out = folder / 'place.safetensors'
    assert main(['map', str(folder / 'walk.mcap'), '-o', str(out), *options]) == 0
    return folder, out


def test_a_bag_without_poses_becomes_a_map_of_landmarks(made):
    _, out = made
    place = load_place(out)
    assert len(place) >= 6
    assert not place.scaled
    assert (place.landmarks.sightings > 2).any()
    said = json.loads(out.with_suffix('.json').read_text())
    assert said['metre'] == 'depth'
    assert said['keyframes'] == len(place)
    assert said['loops'] == []
    assert out.with_suffix('.png').is_file()


def test_what_a_map_holds_is_told_and_what_helps_little_is_left_out(made, capsys):
    folder, out = made
    assert main(['map', 'info', str(out)]) == 0
    said = capsys.readouterr().out
    assert "landmarks in the frame 'map', made of walk (20 pictures)" in said
    assert '0 loops, 0 found wrong; metres' in said
    small = folder / 'small.safetensors'
    assert main(['map', 'prune', str(out), '-o', str(small)]) == 0
    assert ' keypoints and ' in capsys.readouterr().out
    assert small.stat().st_size < out.stat().st_size
    often = load_place(out).landmarks
    kept = load_place(small).landmarks
    assert set(often.name[often.sightings > 1]) <= set(kept.name)


@pytest.mark.parametrize(
    ('arguments', 'said'),
    [
        (['info', 'BAG'], 'damaged or cut short'),
        (['prune', 'PLACE'], '-o names the map'),
        (['BAG', 'BAG', '-o', 'OUT/a.safetensors', '--own-odometry'], '2 recordings without poses'),
        (['BAG', '-o', 'OUT/a.safetensors', '--add-to', 'OUT/no.safetensors'], 'no such map'),
    ],
)
def test_what_cannot_be_is_refused(made, tmp_path, capsys, arguments, said):
    folder, out = made
    names = {'BAG': str(folder / 'walk.mcap'), 'PLACE': str(out)}
    given = [names.get(a, a.replace('OUT', str(tmp_path))) for a in arguments]
    assert main(['map', *given]) == 2
    assert said in capsys.readouterr().err
