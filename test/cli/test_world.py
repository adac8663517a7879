from __future__ import annotations

import cv2
import numpy as np
import pytest

from dlcv.bags import Bag
from dlcv.cli.main import main
from dlcv.world import WorldRecording, ideal_camera


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
