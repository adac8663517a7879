from __future__ import annotations

import cv2
import numpy as np
import pytest

from dlcv.cli.main import main
from dlcv.data.bags import Bag
from dlcv.data.world import MOTIONS, SCENES, SENSORS, Extras, WorldRecording, ideal_camera


def test_a_bag_and_pictures_are_written(tmp_path, capsys):
    out, images = tmp_path / 'w.mcap', tmp_path / 'png'
    arguments = [
        '--frames',
        '2',
        '--size',
        '48x36',
        '--fov',
        '80',
        '--rate',
        '5',
        '--seed',
        '3',
        '--stereo',
    ]
    assert main(['world', str(out), *arguments, '--images', str(images)]) == 0
    said = capsys.readouterr().out
    assert f'wrote {out}: 2 pictures over 0.200 s, 2 true poses' in said
    assert f'dlcv play {out} --clock' in said

    camera = ideal_camera(48, 36, 80)
    expected = list(WorldRecording(seed=3, camera=camera, frames=2, rate_hz=5, baseline=0.12))
    for i, snapshot in enumerate(expected):
        for side, frame in (('left', snapshot.frame), ('right', snapshot.right)):
            picture = cv2.imread(str(images / side / f'{i:06d}.png'))
            assert np.array_equal(picture[..., ::-1], frame.image)
    with Bag(out) as bag:
        counts = {topic.name: topic.count for topic in bag.topics}
    assert counts['/camera/image_raw'] == counts['/camera_right/image_raw'] == 2
    assert counts['/ground_truth/odometry'] == counts['/ground_truth/depth'] == 2


def test_a_bag_that_is_there_is_kept(tmp_path, capsys):
    out = tmp_path / 'w.mcap'
    out.write_bytes(b'mine')
    assert main(['world', str(out), '--frames', '1', '--size', '16x12', '--seed', '3']) == 2
    assert 'w.mcap' in capsys.readouterr().err
    assert out.read_bytes() == b'mine'


@pytest.mark.parametrize('size', ['640', '640x', 'axb', '-1x5'])
def test_a_malformed_size_is_explained(size, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(['world', str(tmp_path / 'w.mcap'), f'--size={size}'])
    assert 'WIDTHxHEIGHT such as 640x480' in capsys.readouterr().err


def test_a_bad_field_of_view_is_named(tmp_path, capsys):
    assert main(['world', str(tmp_path / 'w.mcap'), '--fov', '200']) == 2
    assert 'between 1 and 170 degrees, got 200' in capsys.readouterr().err


def test_motion_way_sensor_and_baseline_can_be_chosen(tmp_path):
    out, images = tmp_path / 'w.mcap', tmp_path / 'png'
    arguments = [
        '--motion',
        'drone',
        '--way',
        '2',
        '--still',
        '--flyers',
        '1',
        '--sensor',
        'poor',
        '--baseline',
        '0.2',
        '--frames',
        '1',
        '--size',
        '48x36',
        '--seed',
        '3',
    ]
    assert main(['world', str(out), *arguments, '--images', str(images)]) == 0
    (expected,) = WorldRecording(
        seed=3,
        motion='drone',
        way=2,
        camera=ideal_camera(48, 36),
        frames=1,
        baseline=0.2,
        sensor=SENSORS['poor'],
        extras=Extras(traffic=False, flyers=1),
    )
    for side, frame in (('left', expected.frame), ('right', expected.right)):
        picture = cv2.imread(str(images / side / '000000.png'))
        assert np.array_equal(picture[..., ::-1], frame.image)


def test_a_motion_without_room_is_explained(tmp_path, capsys):
    assert main(['world', str(tmp_path / 'w.mcap'), '--motion', 'car']) == 2
    said = capsys.readouterr().err
    assert "no motion 'car' in the scene 'room'; there are walk, robot, drone" in said


def test_the_help_lists_scenes_motions_and_sensors(capsys):
    with pytest.raises(SystemExit):
        main(['world', '--help'])
    said = capsys.readouterr().out
    for name in (*SCENES, *MOTIONS, *SENSORS):
        assert name in said
