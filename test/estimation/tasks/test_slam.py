"""SLAM as a task: which messages images and their odometry give, and the file of the map."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest

from dlcv.data.bags.vocabulary import COMPOSER
from dlcv.estimation.slam.files import PlaceError, load_place, save_place
from dlcv.estimation.slam.place import PlaceMap
from dlcv.estimation.tasks import map_file
from dlcv.estimation.tasks.beside import Handed
from dlcv.estimation.tasks.slam import GRAPH, GRID, INFO, LANDMARKS, PATH, POSE, TF, SlamTask
from dlcv.geometry.frames import BODY_FROM_OPTICAL
from dlcv.geometry.trajectory import rigid
from dlcv.interface import messages
from dlcv.interface.parameters import ParameterError
from dlcv.interface.slam_parameters import SlamParameters

STEP, START = 10**8, 10**9
SEAT = rigid(np.eye(3), [0.3, 0.0, 0.5]) @ BODY_FROM_OPTICAL
STRIDE = 6  # of the steps of `walked`, from picture to picture


@dataclass
class _Host:
    parameters: SlamParameters
    sent: list = field(default_factory=list)
    verdict: object = None

    def wanted(self, name):
        return True

    def send(self, name, message):
        self.sent.append((name, message))

    def judge(self, condition):
        self.verdict = condition

    def warn(self, text):
        pass

    complain = warn

    def all(self, name):
        return [message for sent, message in self.sent if sent == name]

    def told(self):
        return {pair.key: pair.value for pair in self.all(INFO)[-1].values}


@pytest.fixture
def drive(room, walked):
    """A function that makes a task, and one that shows it a picture of the room."""

    def make(**parameters):
        task = SlamTask(_Host(SlamParameters(lockstep=True, **parameters)), COMPOSER)
        task.estimator = SimpleNamespace(push=lambda _: pytest.fail('keypoints are there'))
        task.frames.add('base_link', 'optical', SEAT)
        task.beside.patient = False
        task.configure()
        task.reset()
        return task

    def show(task, k, odom_from_map=None, odometry=True, at=None, depth=None):
        stamp = START + k * STEP
        pose = walked(STRIDE * (k if at is None else at))
        frame, keypoints = room.look(pose, stamp)
        header = COMPOSER.header(stamp, 'optical')
        if odometry:
            body = SEAT @ pose @ np.linalg.inv(SEAT)  # the map begins at the first picture
            odom = body if odom_from_map is None else odom_from_map @ body
            small = 1e-4 * np.eye(6)
            message = COMPOSER.odometry(
                COMPOSER.header(stamp, 'odom'), 'base_link', odom, small, np.zeros(6), small
            )
            task.beside.put('odometry', message)
        task.beside.put('keypoints', Handed(header, keypoints))
        depth = np.nan_to_num(room.depth(pose).depth) if depth is None else depth
        task.beside.put('depth/image', COMPOSER.image(header, depth.astype(np.float32)))
        object.__setattr__(frame, 'frame_id', 'optical')
        task.gather(frame)
        found = task.infer(frame)
        task.tell(frame)
        if found is not None:
            task.publish(frame, header, found)
        return found

    return SimpleNamespace(make=make, show=show)


def transform(message):
    (one,) = message.transforms
    return messages.transform_matrix(one.transform)


def test_a_walk_is_mapped_told_and_saved_and_the_robot_found_in_it_again(drive, tmp_path):
    file = tmp_path / 'room.safetensors'
    task = drive.make(map_file=str(file))
    for k in range(12):
        drive.show(task, k)
    host = task.host
    told = host.told()
    assert told['state'] == 'mapping'
    assert int(told['keyframes']) >= 3
    assert 'depth/image' in told['used'] or told['wanted'] == 'false'
    assert host.verdict is None
    tf = host.all(TF)
    assert len(tf) == 12
    assert tf[0].transforms[0].header.frame_id == 'map'
    assert tf[0].transforms[0].child_frame_id == 'odom'
    assert messages.stamp_ns(tf[3].transforms[0].header.stamp) == START + 3 * STEP
    np.testing.assert_allclose(transform(tf[-1]), np.eye(4), atol=1e-6)
    assert len(host.all(POSE)) == 12
    deviation = np.sqrt(np.diag(np.reshape(host.all(POSE)[-1].pose.covariance, (6, 6))))
    assert (deviation > 1e-4).all()
    assert (deviation < 0.2).all()
    cloud = messages.points_of(host.all(LANDMARKS)[0])
    assert len(cloud) > 100
    assert cloud['x'].min() > 1.0  # the points are ahead of a body whose x is forward
    kinds = [marker.ns for marker in host.all(GRAPH)[-1].markers]
    assert kinds == ['keyframes', 'way', 'loops', 'refused']
    assert len(host.all(PATH)[-1].poses) >= 2
    assert task.unsaved
    assert f'in {file}' in task.save()
    assert not task.unsaved
    again = drive.make(map_file=str(tmp_path / 'again.safetensors'))
    for k in range(12):
        drive.show(again, k)
    again.save()
    assert (tmp_path / 'again.safetensors').read_bytes() == file.read_bytes()

    found = drive.make(map_file=str(file), localize_only=True)
    away = rigid(np.diag((-1.0, -1.0, 1.0)), [5.0, 2.0, 0.0])
    placed = [drive.show(found, 100 + k, away, at=4 + 0.2 * k) for k in range(6)]
    assert placed[0] is None
    assert found.host.told()['state'] == 'localizing'
    assert found.host.verdict is None
    np.testing.assert_allclose(transform(found.host.all(TF)[-1]), np.linalg.inv(away), atol=0.05)
    assert not found.unsaved
    assert found.open() == f'{found.values()["keyframes"]} keyframes of {file}'
    assert drive.show(found, 110, away, at=5) is None  # it is looked for again


def test_the_ground_that_depth_shows_is_a_grid_on_map_and_is_saved_beside_it(drive, tmp_path):
    file = tmp_path / 'room.safetensors'
    task = drive.make(map_file=str(file), grid_period=0.1, camera_height=0.5)
    below = np.tile(np.arange(240)[:, None] - 119.5, 320)
    floor = np.where(below > 0, 0.5 * 260 / np.abs(below), np.inf)  # 0.5 m below the camera
    depth = np.minimum(floor, 2.52).astype(np.float32)  # and a wall
    drive.show(task, 0, depth=depth)
    (grid,) = task.host.all(GRID)
    assert grid.header.frame_id == 'map'
    size, corner = grid.info.resolution, grid.info.origin.position
    assert size == pytest.approx(0.05)
    values = np.reshape(grid.data, (grid.info.height, grid.info.width))

    def cell(at_x, at_y):
        return values[int((at_y - corner.y) / size), int((at_x - corner.x) / size)]

    ahead = 0.3 + 2.52  # the camera sits 0.3 m before the body
    assert [cell(ahead - 1.0, 0.0), cell(ahead, 0.0)] == [0, 100]
    assert set(np.unique(values).tolist()) == {-1, 0, 100}
    drive.show(task, 1, depth=depth)
    assert len(task.host.all(GRID)) == 1  # nothing is new
    task.save()
    assert (tmp_path / 'room.pgm').is_file()
    found = drive.make(map_file=str(file), localize_only=True)
    drive.show(found, 9, depth=depth)
    (again,) = found.host.all(GRID)
    assert again.info.width == grid.info.width
    assert np.array_equal(again.data, grid.data)
    found.renew()
    drive.show(found, 30)
    assert len(found.host.all(GRID)) == 2
    with pytest.raises(
        ParameterError, match=r'grid_lowest: 2\.0 m is not below grid_highest, 1\.8'
    ):
        SlamParameters(grid_lowest=2.0)


def test_images_without_odometry_are_not_mapped_and_that_is_said(drive):
    task = drive.make()
    drive.show(task, 0)
    assert drive.show(task, 1, odometry=False) is None
    assert task.host.told()['state'] == 'lost'
    assert task.host.told()['reason'] == 'there is no odometry of the image'
    assert 'no odometry' in task.host.verdict.text
    for k in range(40, 44):  # it was silent for four seconds, and goes on
        drive.show(task, k, at=k - 38)
    assert task.host.told()['state'] == 'lost'
    assert 'guess' in task.host.all(INFO)[2].message
    task.renew()
    drive.show(task, 44, at=6)
    assert task.host.told()['keyframes'] == '1'
    assert task.host.told()['state'] == 'mapping'


def test_maps_that_are_of_no_use_are_refused_with_the_reason(drive, tmp_path):
    file = tmp_path / 'hall.safetensors'
    with pytest.raises(PlaceError, match='there is no such map'):
        drive.make(map_file=str(file), localize_only=True)
    with pytest.raises(PlaceError, match='no folder'):
        drive.make(map_file=str(tmp_path / 'none' / 'hall.safetensors'))
    save_place(PlaceMap(frame='hall', described='hashed-vlad'), file)
    with pytest.raises(PlaceError, match=r"in frame 'hall', not in 'map' \(parameter map_frame"):
        drive.make(map_file=str(file))
    save_place(PlaceMap(described='netvlad'), file)
    with pytest.raises(PlaceError, match="by 'netvlad', which cannot be compared"):
        drive.make(map_file=str(file))
    with pytest.raises(ParameterError, match='localize_only needs a map'):
        SlamParameters(localize_only=True)
    with pytest.raises(PlaceError, match='nothing was mapped'):
        drive.make(map_file=str(tmp_path / 'new.safetensors')).save()
    with pytest.raises(PlaceError, match='no file is named'):
        drive.make().save()


def test_how_far_off_a_map_is_is_measured_when_it_is_saved_and_has_grown(
    drive, tmp_path, monkeypatch
):
    asked = []
    monkeypatch.setattr(
        map_file, 'common_error', lambda place: asked.append(len(place)) or 1e-3 * len(place)
    )
    task = drive.make(map_file=str(tmp_path / 'room.safetensors'))
    for k in range(8):
        drive.show(task, k)
    task.save()
    task.save()
    keyframes = len(task.map.online.place)
    assert asked == [keyframes]
    assert load_place(tmp_path / 'room.safetensors').common == 1e-3 * keyframes
    assert task.map.online.place.common == 1e-3 * keyframes
    again = drive.make(map_file=str(tmp_path / 'room.safetensors'))
    again.save()  # it says it already
    task.renew()
    drive.show(task, 9)
    task.save()
    assert asked == [keyframes, 1]


def test_a_save_that_is_cut_short_leaves_the_old_file(drive, tmp_path, monkeypatch):
    file = tmp_path / 'room.safetensors'
    task = drive.make(map_file=str(file))
    drive.show(task, 0)
    task.save()
    before = file.read_bytes()
    for k in range(1, 8):
        drive.show(task, k)
    whole = type(file).write_bytes

    def half(path, data):
        whole(path, data[: len(data) // 2])
        raise KeyboardInterrupt

    monkeypatch.setattr(type(file), 'write_bytes', half)
    with pytest.raises(KeyboardInterrupt):
        task.save()
    assert file.read_bytes() == before
    assert len(load_place(file)) == 1
    assert task.unsaved
