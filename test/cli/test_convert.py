from __future__ import annotations

import subprocess
import sys

import cv2
import numpy as np
import pytest

from dlcv.cli.main import main
from dlcv.data.bags import Bag
from dlcv.data.datasets.files import read_picture
from dlcv.geometry.camera import write_camera
from dlcv.types import Camera

CAMERA = Camera(width=30, height=20, fx=25.0, fy=26.0, cx=14.5, cy=9.5)


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / 'source'
    for name in ('rgb', 'depth'):
        (root / name).mkdir(parents=True)
    rows = []
    for i in range(5):
        pixels = np.random.default_rng(i).integers(0, 256, (20, 30, 3), np.uint8)
        cv2.imwrite(str(root / 'rgb' / f'{i:06d}.png'), pixels)
        cv2.imwrite(str(root / 'depth' / f'{i:06d}.png'), np.full((20, 30), 512, np.uint16))
        rows.append(f'{i / 10:.6f} {i} 0 0 0 0 0 1')
    (root / 'groundtruth.txt').write_text('\n'.join(rows))
    write_camera(CAMERA, tmp_path / 'camera.yaml')
    return root


@pytest.mark.parametrize('out', ['bag', 'bag.mcap'])
def test_a_folder_becomes_a_bag(tmp_path, folder, capsys, out):
    arguments = ['convert', 'images', str(folder), str(tmp_path / out), '--depth-scale', '256']
    assert main([*arguments, '--camera', str(tmp_path / 'camera.yaml')]) == 0
    text = capsys.readouterr().out
    assert '5 pictures over 0.400 s, 5 true poses' in text
    assert f'dlcv play {tmp_path / out}' in text
    assert 'not calibrated' not in text
    with Bag(tmp_path / out) as bag:
        frames = list(bag.frames())
        assert [f.stamp_ns for f in frames] == [i * 100_000_000 for i in range(5)]
        assert frames[0].camera.matrix.tolist() == CAMERA.matrix.tolist()
        assert {float(d.mean()) for _, d in bag.arrays('/ground_truth/depth')} == {2.0}
        poses = bag.trajectory().world_from_body @ bag.static_transform(
            'base_link', 'camera_optical'
        )
        np.testing.assert_allclose(poses[:, 0, 3], range(5), atol=1e-12)


def test_depth_of_unknown_units_is_left_out_and_said(tmp_path, folder, capsys):
    assert main(['convert', 'tum', str(folder), str(tmp_path / 'b')]) == 0
    assert '--depth-scale says its units' in capsys.readouterr().out
    assert main(['convert', 'tum', str(folder), str(tmp_path / 'c'), '--no-depth']) == 0
    assert '--depth-scale' not in capsys.readouterr().out


def test_every_option_reaches_the_bag(tmp_path, folder, capsys):
    options = '--start 1 --count 2 --stride 2 --compressed png --chunks zstd --no-depth'
    arguments = f'{options} --time-offset 10 --optical-world'.split()
    assert main(['convert', 'tum', str(folder), str(tmp_path / 'b'), *arguments]) == 0
    assert 'not calibrated' in capsys.readouterr().out
    with Bag(tmp_path / 'b') as bag:
        names = {t.name for t in bag.topics}
        assert '/camera/image_raw/compressed' in names
        assert not names & {'/camera/image_raw', '/ground_truth/depth'}
        assert [f.stamp_ns for f in bag.frames()] == [10_100_000_000, 10_300_000_000]
        poses = bag.trajectory().world_from_body @ bag.static_transform(
            'base_link', 'camera_optical'
        )
    # x of the old world, the camera's right, is -y of a world with z up
    np.testing.assert_allclose(poses[:, :3, 3], [[0, -1, 0], [0, -3, 0]], atol=1e-12)


@pytest.mark.parametrize(
    ('arguments', 'complaint'),
    [
        (['kitti', '{}', 'out'], 'is no KITTI folder: looked for image_02'),
        (['images', '{}/nowhere', 'out'], 'no such folder'),
        (['images', '{}', 'out', '--rate', '0'], 'rate must be positive'),
        (['images', '{}', 'out', '--camera', 'none.yaml'], 'none.yaml: cannot be read'),
        (['images', '{}', 'out', '--start', '9'], 'has 5 pictures, the start was 9'),
        (['images', '{}', '{}'], 'exists already'),
        (['images', '{}', 'out.db3'], 'bags are written as MCAP: out.mcap for a single file'),
        (['images', '{}', 'out', '--rate', 'inf'], 'positive and finite, got inf Hz'),
        (
            ['images', '{}/groundtruth.txt', 'out'],
            'groundtruth.txt is a file; a picture folder is needed',
        ),
        (['images', '{}', 'out', '--groundtruth', 'none.txt'], 'cannot be read: No such file or'),
        (['images', '{}', 'out', '--jpeg-quality', '0', '--compressed', 'jpeg'], '1 to 100'),
        (['images', '{}', 'out', '--time-offset', '-1'], 'between 1970 and 2038'),
    ],
)
def test_mistakes_are_told_in_a_line(tmp_path, folder, capsys, monkeypatch, arguments, complaint):
    monkeypatch.chdir(tmp_path)
    assert main(['convert', *(a.format(folder) for a in arguments)]) == 2
    error = capsys.readouterr().err
    assert error.startswith('dlcv convert: ')
    assert complaint in error
    assert not (tmp_path / 'out').exists()


def test_an_unreadable_picture_ends_it_but_keeps_what_was_written(tmp_path, folder, capsys):
    (folder / 'rgb' / '000003.png').write_bytes(b'torn')
    assert main(['convert', 'images', str(folder), str(tmp_path / 'b')]) == 2
    error = capsys.readouterr().err
    assert '000003.png: 4 bytes that are no picture' in error
    assert 'keeps the first 3 of 5 pictures' in error
    with Bag(tmp_path / 'b') as bag:
        assert len(list(bag.frames())) == 3
    assert main(['convert', 'images', str(folder), str(tmp_path / 'b'), '--overwrite']) == 2


def test_ctrl_c_leaves_a_whole_bag(tmp_path, folder, capsys, monkeypatch):
    """The third picture is never read: the user has had enough."""
    read = read_picture

    def interrupted(path):
        if path.stem == '000002':
            raise KeyboardInterrupt
        return read(path)

    monkeypatch.setattr('dlcv.data.datasets.folder.read_picture', interrupted)
    assert main(['convert', 'images', str(folder), str(tmp_path / 'b.mcap')]) == 130
    assert 'interrupted' in capsys.readouterr().err
    with Bag(tmp_path / 'b.mcap') as bag:
        assert not bag.damage
        assert len(list(bag.frames())) == 1  # the second waited for its neighbour


def limited(most, *arguments):
    """Run a command that may write files of so many bytes: it fails where a full disk does."""
    code = (
        f'import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({most}, {most}));'
        'import sys; from dlcv.cli.main import main; sys.exit(main(sys.argv[1:]))'
    )
    command = [sys.executable, '-c', code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def large(tmp_path):
    (tmp_path / 'large').mkdir()
    for i in range(8):
        pixels = np.random.default_rng(i).integers(0, 256, (300, 400, 3), np.uint8)
        cv2.imwrite(str(tmp_path / 'large' / f'{i:03d}.png'), pixels)
    return tmp_path / 'large'


@pytest.mark.parametrize('name', ['x.mcap', 'x'])
@pytest.mark.parametrize(('most', 'chunks'), [(1_500_000, 'none'), (2_500_000, 'zstd')])
def test_of_a_bag_that_a_disk_has_no_room_for_it_is_said_what_there_is(
    large, tmp_path, name, most, chunks
):
    out = tmp_path / 'out' / name
    out.parent.mkdir()
    done = limited(most, 'convert', 'images', large, out, '--chunks', chunks)
    assert done.returncode == 2
    assert f'{out} cannot be completed: ' in done.stderr
    assert 'File too large' in done.stderr
    assert [path.name for path in out.parent.iterdir()] == [f'{name}.partial']
    with Bag(out.with_name(f'{name}.partial'), keep_damaged=True) as bag:
        kept = len(list(bag.frames()))
        assert 0 < kept == bag.topic('/camera/image_raw').count < 8
    assert f'{name}.partial keeps the first {kept} of 8 pictures' in done.stderr
    assert f'{name}.partial has its first {bag.message_count} messages' in done.stderr


@pytest.mark.parametrize('name', ['x.mcap', 'x'])
def test_of_a_bag_that_there_is_no_room_for_at_all_nothing_stays(large, tmp_path, name):
    out = tmp_path / 'out' / name
    out.parent.mkdir()
    done = limited(300_000, 'convert', 'images', large, out, '--chunks', 'zstd')
    assert done.returncode == 2
    assert f'nothing is kept of {out}' in done.stderr
    assert 'nothing of it could be kept' in done.stderr
    assert not list(out.parent.iterdir())
    assert limited(9_000_000, 'convert', 'images', large, out).returncode == 0
