"""Bags as recordings: the pictures, and the camera's own poses whatever the bag places."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dlcv.data.bags import BagError, write_recording
from dlcv.data.bags.layout import BagLayout
from dlcv.data.recordings import BagOptions, BagRecording, RecordingError, is_bag, open_recording
from dlcv.data.world import WorldRecording, ideal_camera

FRAMES = 4


@pytest.fixture(scope='module')
def walk():
    camera = ideal_camera(32, 24, 70)
    return list(WorldRecording('room', seed=3, frames=FRAMES, camera=camera, workers=1))


@pytest.fixture(scope='module')
def bag(recording_of, walk, tmp_path_factory):
    path = tmp_path_factory.mktemp('bag') / 'walk.mcap'
    write_recording(recording_of(walk), path)
    return path


def tum(path, snapshots, offset_ns=0):
    from scipy.spatial.transform import Rotation

    lines = ['# stamp x y z qx qy qz qw']
    for snapshot in snapshots:
        pose, stamp = snapshot.world_from_camera, snapshot.frame.stamp_ns + offset_ns
        numbers = [*pose[:3, 3], *Rotation.from_matrix(pose[:3, :3]).as_quat()]
        text = ' '.join(f'{n:.12f}' for n in numbers)
        lines.append(f'{stamp // 10**9}.{stamp % 10**9:09d} {text}')
    path.write_text('\n'.join(lines))
    return path


def poses(snapshots):
    return np.stack([s.world_from_camera for s in snapshots])


def test_pictures_and_the_poses_of_the_camera(bag, walk):
    recording = BagRecording(bag)
    found = list(recording)
    assert len(recording) == len(found) == FRAMES
    assert recording.name == 'walk'
    assert recording.camera.undistorted() == walk[0].frame.camera
    assert recording.frame_id == 'camera_optical'
    for mine, given in zip(found, walk, strict=True):
        assert np.array_equal(mine.frame.image, given.frame.image)
        assert mine.frame.stamp_ns == given.frame.stamp_ns
    assert np.allclose(poses(found), poses(walk), atol=1e-9)


def test_poses_of_a_file_are_those_of_the_camera(bag, walk, tmp_path):
    file = tum(tmp_path / 'poses.txt', walk)
    found = list(BagRecording(bag, BagOptions(truth=str(file))))
    assert np.allclose(poses(found), poses(walk), atol=1e-6)


def test_a_clock_that_is_off_is_mended(bag, walk, tmp_path):
    file = tum(tmp_path / 'late.txt', walk, offset_ns=5 * 10**9)
    late = BagOptions(truth=str(file))
    assert all(s.world_from_camera is None for s in BagRecording(bag, late))
    found = list(BagRecording(bag, replace(late, time_offset=-5.0)))
    assert np.allclose(poses(found), poses(walk), atol=1e-6)


def test_the_frame_that_poses_place_may_be_named(bag, walk):
    layout = BagLayout()
    body = poses(BagRecording(bag, BagOptions(truth_frame='camera')))
    assert np.allclose(body @ np.linalg.inv(layout.camera_from_base), poses(walk), atol=1e-9)
    named = poses(BagRecording(bag, BagOptions(truth_frame='base_link')))
    assert np.allclose(named, poses(walk), atol=1e-9)
    with pytest.raises(BagError, match="no transform between 'lidar' and 'camera_optical'"):
        BagRecording(bag, BagOptions(truth_frame='lidar'))


def test_a_seat_that_the_bag_does_not_tell_is_asked_for(bag):
    with pytest.raises(RecordingError, match=r"ground_truth.*or on body.*or say 'camera'"):
        BagRecording(bag, BagOptions(base_frame='body'))


def test_no_pose_is_taken_across_a_gap(recording_of, walk, tmp_path):
    file = tum(tmp_path / 'gaps.txt', [walk[0], walk[-1]])
    write_recording(recording_of(walk), tmp_path / 'gaps.mcap')
    found = list(BagRecording(tmp_path / 'gaps.mcap', BagOptions(truth=str(file), max_gap=0.05)))
    assert [s.world_from_camera is None for s in found] == [False, *[True] * (FRAMES - 2), False]


def test_depth_is_that_of_the_pictures_time(bag, walk):
    assert all(snapshot.depth is None for snapshot in BagRecording(bag))
    topic = BagLayout().depth
    for mine, given in zip(BagRecording(bag, BagOptions(depth_topic=topic)), walk, strict=True):
        assert np.array_equal(mine.depth, given.depth)


def test_depth_that_comes_seldom_is_there_seldom(recording_of, walk, tmp_path):
    some = [s if i % 2 else replace(s, depth=None) for i, s in enumerate(walk)]
    write_recording(recording_of(some), tmp_path / 'some.mcap')
    found = BagRecording(tmp_path / 'some.mcap', BagOptions(depth_topic=BagLayout().depth))
    assert [s.depth is None for s in found] == [True, False, True, False]


def test_a_bag_without_poses_has_pictures(recording_of, walk, tmp_path):
    blind = [replace(s, world_from_camera=None) for s in walk]
    write_recording(recording_of(blind), tmp_path / 'blind.mcap')
    recording = BagRecording(tmp_path / 'blind.mcap')
    assert recording.trajectory is None
    assert [s.world_from_camera for s in recording] == [None] * FRAMES


def test_a_camera_without_calibration_is_said_when_it_is_asked_for(recording_of, walk, tmp_path):
    raw = [replace(s, frame=replace(s.frame, camera=None)) for s in walk]
    write_recording(recording_of(raw), tmp_path / 'raw.mcap')
    with pytest.raises(RecordingError, match='without calibration'):
        BagRecording(tmp_path / 'raw.mcap').camera  # noqa: B018


def test_the_truth_of_a_folder_may_be_that_of_another_body_and_clock(walk, tmp_path):
    from dlcv.view.panel import write_picture

    (tmp_path / 'folder').mkdir()
    for number, snapshot in enumerate(walk):
        write_picture(tmp_path / 'folder' / f'{number:06d}.png', snapshot.frame.image)
    camera_from_body = np.linalg.inv(BagLayout().camera_from_base)
    truth = tum(tmp_path / 'poses.txt', walk)  # of the camera, taken for those of a body
    first = walk[0].frame.stamp_ns / 1e9
    options = BagOptions(
        truth=str(truth),
        extrinsics=' '.join(map(str, camera_from_body.ravel())),
        time_offset=-first,
    )
    found = open_recording(tmp_path / 'folder', options).items[0].world_from_camera
    assert np.allclose(found, walk[0].world_from_camera @ camera_from_body, atol=1e-6)
    with pytest.raises(RecordingError, match='no pose belongs to a picture'):
        open_recording(tmp_path / 'folder', replace(options, time_offset=1e6))
    with pytest.raises(RecordingError, match=r'nothing\.txt: there is no such file'):
        open_recording(tmp_path / 'folder', replace(options, truth='nothing.txt'))


def test_one_door_for_bags_and_folders(bag, walk, tmp_path):
    from dlcv.view.panel import write_picture

    assert is_bag(bag)
    assert isinstance(open_recording(bag), BagRecording)
    folder = tmp_path / 'folder'
    (folder / 'rgb').mkdir(parents=True)
    for number, snapshot in enumerate(walk):
        write_picture(folder / 'rgb' / f'{number:06d}.png', snapshot.frame.image)
    assert not is_bag(folder)
    assert len(open_recording(folder)) == FRAMES
    with pytest.raises(RecordingError, match='it has no topics: /image'):
        open_recording(folder, BagOptions(image_topic='/image'))
    with pytest.raises(RecordingError, match='there is no such bag or folder'):
        open_recording(tmp_path / 'nothing')
    with pytest.raises(RecordingError, match='greatest gap must be positive, got 0'):
        BagOptions(max_gap=0)
