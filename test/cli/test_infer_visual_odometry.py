"""`dlcv infer visual_odometry`: bags, folders and pictures in; paths and overlays out."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dlcv.cli.main import main
from dlcv.data.bags import write_recording
from dlcv.data.world import WorldRecording, ideal_camera
from dlcv.geometry.camera import write_camera

FRAMES = 4
CAMERA = ideal_camera(32, 24, 70)


@pytest.fixture(scope='module')
def walk():
    return list(
        WorldRecording('room', seed=3, frames=FRAMES, camera=CAMERA, workers=1, baseline=0.1)
    )


@pytest.fixture(scope='module')
def bag(walk, recording_of, tmp_path_factory):
    path = tmp_path_factory.mktemp('bag') / 'walk.mcap'
    recording = recording_of(walk)
    recording.baseline = 0.1
    write_recording(recording, path)
    return path


@pytest.fixture
def follow(drive, monkeypatch, tmp_path):
    """Run the command with an estimator that needs no pictures; return code, estimator, output."""

    def run(*arguments, output='path.tum', lost=()):
        made = drive(*lost)

        def load(settings, **_):
            made.settings = settings
            return made

        monkeypatch.setattr('dlcv.estimation.load.load_visual_odometry', load)
        target = tmp_path / output
        given = map(str, arguments)
        code = main(['infer', 'visual_odometry', *given, '-o', str(target), '--device', 'cpu'])
        return code, made, target

    return run


@pytest.fixture
def pictures(walk, tmp_path):
    """The same pictures in files, without times; and their calibration."""
    folder = tmp_path / 'pictures'
    folder.mkdir()
    for index, snapshot in enumerate(walk):
        cv2.imwrite(str(folder / f'{index}.png'), snapshot.frame.image)
    write_camera(CAMERA, tmp_path / 'camera.yaml')
    return folder, tmp_path / 'camera.yaml'


def _tum(path):
    return np.atleast_2d(np.loadtxt(path))


def test_a_bag_becomes_a_trajectory_of_tum(follow, bag, walk, capsys):
    code, estimator, path = follow(bag)
    assert code == 0
    rows = _tum(path)
    stamps = [snapshot.frame.stamp_ns / 1e9 for snapshot in walk]
    np.testing.assert_allclose(rows[:, 0], stamps, atol=1e-6)
    np.testing.assert_allclose(rows[:, 3], 0.5 * np.arange(FRAMES), atol=1e-9)
    assert '4 poses over 1.50 m, lost in 0 of 4 images; the metre comes from: wheels' in (
        capsys.readouterr().out
    )
    assert [aids.right for aids in estimator.aids] == [None] * FRAMES


def test_arrays_have_covariances(follow, bag):
    _, _, path = follow(bag, output='path.npz')
    arrays = dict(np.load(path))
    assert {name: array.shape for name, array in arrays.items()} == {
        'poses': (FRAMES, 4, 4), 'covariances': (FRAMES, 6, 6), 'stamps': (FRAMES,),
    }  # fmt: skip
    assert arrays['covariances'][-1, 0, 0] > 0


def test_images_where_it_is_lost_are_left_out_and_told(follow, bag, capsys):
    _, _, path = follow(bag, lost=(2,))
    assert len(_tum(path)) == FRAMES - 1
    said = capsys.readouterr()
    assert 'image 2: lost: fog' in said.err
    assert 'lost in 1 of 4 images' in said.out


def test_right_images_of_a_bag_have_their_baseline(follow, bag, walk):
    _, estimator, _ = follow(bag, '--right', '/camera_right/image_raw')
    assert [aids.baseline for aids in estimator.aids] == pytest.approx([0.1] * FRAMES)
    for aids, snapshot in zip(estimator.aids, walk, strict=True):
        np.testing.assert_array_equal(aids.right.image, snapshot.right.image)


def test_depth_of_a_bag_is_used_when_it_is_the_scale(follow, bag):
    arguments = (bag, '--depth', '/ground_truth/depth')
    _, estimator, _ = follow(*arguments)
    assert [aids.depth for aids in estimator.aids] == [None] * FRAMES
    _, estimator, _ = follow(*arguments, '--scale-source', 'depth')
    for aids in estimator.aids:
        assert (aids.depth_source, aids.depth.depth.shape) == ('camera', (24, 32))
        assert aids.depth.camera == CAMERA


def test_a_folder_of_pictures_has_the_camera_that_is_given(follow, pictures):
    folder, camera = pictures
    code, estimator, path = follow(folder, '--camera', camera, '--rate', 4)
    assert code == 0
    assert estimator.frames[0].camera.undistorted() == CAMERA
    np.testing.assert_allclose(np.diff(_tum(path)[:, 0]), 0.25)


def test_files_may_be_named(follow, pictures):
    folder, camera = pictures
    files = sorted(folder.glob('*.png'))
    code, estimator, path = follow(*files[:3], '--camera', camera)
    assert code == 0
    assert len(estimator.frames) == len(_tum(path)) == 3


def test_what_is_followed_is_drawn(follow, bag, tmp_path):
    tracks = tmp_path / 'tracks'
    tracks.mkdir()
    follow(bag, '--tracks', tracks, '--view', tmp_path / 'view.png')
    assert [p.name for p in sorted(tracks.iterdir())] == [f'{k:06d}.png' for k in range(FRAMES)]
    assert cv2.imread(str(tracks / '000001.png')).shape == (24, 32, 3)
    assert (tmp_path / 'view.png').exists()


def test_a_mask_is_handed_on(follow, bag, tmp_path):
    pixels = np.full((24, 32), 255, np.uint8)
    pixels[:5] = 0
    cv2.imwrite(str(tmp_path / 'mask.png'), pixels)
    _, estimator, _ = follow(bag, '--mask', tmp_path / 'mask.png')
    np.testing.assert_array_equal(estimator.aids[0].mask, pixels != 0)


def test_settings_reach_the_estimator(follow, bag):
    _, estimator, _ = follow(bag, '--scale-source', 'camera_height', '--camera-height', 1.5)
    assert (estimator.settings.scale_source, estimator.settings.camera_height) == (
        'camera_height', 1.5,
    )  # fmt: skip


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (('--scale-source', 'camera_height'), 'scale_source camera_height needs it, got 0.0 m'),
        (('--scale-source', 'stereo'), 'the recording has no right images; --right names those'),
        (('--scale-source', 'depth'), 'the recording has no depth; --depth names that of a bag'),
        (('--right', '/camera/image_raw'), r'P[3] of the right camera_info is'),
        (('--right', '/nowhere'), 'no CameraInfo beside /nowhere'),
        (('--topic', '/nowhere'), 'no topic /nowhere; there are'),
        (('--window', 1), 'window: 1 is outside 2..50'),
        (('--tracks', '/nowhere'), '--tracks: there is no folder /nowhere'),
        (('--mask', '/nowhere.png'), 'mask: /nowhere.png: no such file'),
    ],
)
def test_what_cannot_be_done_is_said(follow, bag, capsys, arguments, words):
    code, _, path = follow(bag, *arguments)
    assert (code, path.exists()) == (2, False)
    assert words in capsys.readouterr().err


def test_pictures_without_a_camera_are_refused(follow, pictures, capsys):
    folder, _ = pictures
    assert follow(*sorted(folder.glob('*.png')))[0] == 2
    assert 'visual_odometry needs --camera' in capsys.readouterr().err
    assert follow(folder)[0] == 2


def test_other_names_of_files_are_refused(follow, bag, capsys):
    assert follow(bag, output='path.txt')[0] == 2
    assert 'arrays go to a file named .npz or .tum' in capsys.readouterr().err
