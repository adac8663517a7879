"""The TF buffer."""

from __future__ import annotations

from threading import Timer
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dlcv.geometry.frames import (
    BODY_FROM_OPTICAL,
    KEEP_NS,
    Mount,
    TransformBuffer,
    TransformError,
    inverse,
)


def _pose(x: float = 0, y: float = 0, z: float = 0, yaw: float = 0) -> Any:
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_euler('z', yaw).as_matrix()
    pose[:3, 3] = x, y, z
    return pose


def test_chains_up_and_down_the_tree() -> None:
    buffer = TransformBuffer()
    base_mast, mast_camera, base_laser = _pose(1, 2, 3, 0.4), _pose(z=1, yaw=1), _pose(0, 5, yaw=-2)
    buffer.add('base', 'mast', base_mast)
    buffer.add('mast', 'camera', mast_camera)
    buffer.add('base', 'laser', base_laser)
    np.testing.assert_allclose(buffer.lookup('base', 'camera'), base_mast @ mast_camera)
    np.testing.assert_allclose(
        buffer.lookup('camera', 'laser'), inverse(base_mast @ mast_camera) @ base_laser, atol=1e-12
    )
    np.testing.assert_array_equal(buffer.lookup('camera', 'camera'), np.eye(4))
    np.testing.assert_array_equal(buffer.lookup('unheard', 'unheard'), np.eye(4))


def test_moving_frames_are_interpolated() -> None:
    buffer = TransformBuffer()
    buffer.add('odom', 'base', _pose(x=0), 1000, static=False)
    buffer.add('odom', 'base', _pose(x=2, yaw=1.0), 2000, static=False)
    np.testing.assert_allclose(
        buffer.lookup('odom', 'base', 1250), _pose(x=0.5, yaw=0.25), atol=1e-12
    )
    np.testing.assert_allclose(buffer.lookup('odom', 'base', 2000), _pose(x=2, yaw=1.0))


@pytest.mark.parametrize(('stamp', 'words'), [(0, 'before the first'), (10**9, 'after the last')])
def test_nothing_is_extrapolated(stamp: int, words: str) -> None:
    buffer = TransformBuffer()
    for at in (1000, 2000):
        buffer.add('odom', 'base', _pose(), at, static=False)
    with pytest.raises(TransformError, match=f'odom -> base.*{words}'):
        buffer.lookup('odom', 'base', stamp)


def test_order_of_arrival_does_not_matter() -> None:
    buffer = TransformBuffer()
    for at in (3000, 1000, 2000, 2000):
        buffer.add('odom', 'base', _pose(x=at), at, static=False)
    assert buffer.lookup('odom', 'base', 1500)[0, 3] == pytest.approx(1500)


def test_old_ones_are_forgotten() -> None:
    buffer = TransformBuffer()
    for second in range(20):
        buffer.add('odom', 'base', _pose(), second * 10**9, static=False)
    buffer.lookup('odom', 'base', 19 * 10**9 - KEEP_NS)
    with pytest.raises(TransformError):
        buffer.lookup('odom', 'base', 19 * 10**9 - KEEP_NS - 1)


def test_the_error_names_what_is_known() -> None:
    buffer = TransformBuffer()
    with pytest.raises(TransformError, match='known frames are: none'):
        buffer.lookup('base_link', 'camera')
    buffer.add('base_link', 'laser', _pose())
    with pytest.raises(TransformError, match=r"'base_link' and 'camera'.*base_link, laser"):
        buffer.lookup('base_link', 'camera')


def test_a_ring_ends_in_an_error_and_not_never() -> None:
    buffer = TransformBuffer()
    buffer.add('a', 'b', _pose())
    buffer.add('b', 'a', _pose())
    with pytest.raises(TransformError):
        buffer.lookup('a', 'elsewhere')


def test_a_new_parent_replaces_the_old() -> None:
    buffer = TransformBuffer()
    buffer.add('base', 'camera', _pose(x=1))
    buffer.add('mast', 'camera', _pose(x=2))
    assert buffer.lookup('mast', 'camera')[0, 3] == 2
    with pytest.raises(TransformError):
        buffer.lookup('base', 'camera')


def test_a_time_jump_leaves_what_stands_still() -> None:
    buffer = TransformBuffer()
    buffer.add('base', 'camera', _pose(x=1))
    buffer.add('odom', 'base', _pose(), 5, static=False)
    buffer.clear_moving()
    buffer.lookup('base', 'camera')
    with pytest.raises(TransformError):
        buffer.lookup('odom', 'base', 5)


def test_untold_the_camera_looks_forward_and_that_is_said_once() -> None:
    said: list[str] = []
    mount = Mount(TransformBuffer(), said.append)
    for _ in range(3):
        turn = mount.base_from_camera('base_link', 'camera', 0)
    np.testing.assert_array_equal(turn[:3, :3] @ (0, 0, 1), (1, 0, 0))  # forward
    np.testing.assert_array_equal(turn[:3, :3] @ (1, 0, 0), (0, -1, 0))  # right
    np.testing.assert_array_equal(turn[:3, :3] @ (0, 1, 0), (0, 0, -1))  # down
    assert len(said) == 1
    assert 'looking forward' in said[0]


def test_told_the_camera_sits_where_it_is_told() -> None:
    buffer, said = TransformBuffer(), list[str]()
    mount = Mount(buffer, said.append)
    buffer.add('base_link', 'camera', _pose(x=1) @ BODY_FROM_OPTICAL)
    assert mount.base_from_camera('base_link', 'camera', 0)[0, 3] == 1
    assert not said


def test_the_newest_moment_is_that_of_the_slowest_link() -> None:
    buffer = TransformBuffer()
    buffer.add('map', 'odom', _pose(), 100, static=False)
    for stamp in (1000, 2000):
        buffer.add('odom', 'foot', _pose(stamp), stamp, static=False)
    buffer.add('foot', 'base', _pose(), 1500, static=False)
    buffer.add('base', 'mast', _pose())
    assert buffer.newest('odom', 'foot') == 2000
    assert buffer.newest('odom', 'mast') == buffer.newest('mast', 'odom') == 1500
    assert buffer.newest('map', 'mast') == 100
    assert buffer.newest('base', 'mast') == buffer.newest('odom', 'odom') == 0
    with pytest.raises(TransformError, match='elsewhere'):
        buffer.newest('odom', 'elsewhere')


def test_outside_of_what_is_known_the_nearest_counts_where_asked_for() -> None:
    buffer = TransformBuffer()
    for second in (1, 2):
        matrix = np.eye(4)
        matrix[0, 3] = second
        buffer.add('base', 'head', matrix, second * 10**9, static=False)
    for stamp, x in ((0, 1), (15 * 10**8, 1.5), (9 * 10**9, 2)):
        assert buffer.lookup('base', 'head', stamp, nearest=True)[0, 3] == pytest.approx(x)
    with pytest.raises(TransformError, match='after the last'):
        buffer.lookup('base', 'head', 9 * 10**9)


def test_what_moves_is_not_fixed() -> None:
    buffer = TransformBuffer()
    buffer.add('base', 'mast', np.eye(4))
    buffer.add('mast', 'head', np.eye(4), 10**9, static=False)
    assert buffer.fixed('base', 'mast')
    assert not buffer.fixed('base', 'head')
    assert not buffer.fixed('base', 'nowhere')


def test_after_a_jump_back_of_time_what_was_before_is_forgotten() -> None:
    buffer = TransformBuffer()
    for second in (50, 51, 7, 8):
        matrix = np.eye(4)
        matrix[0, 3] = second
        buffer.add('base', 'head', matrix, second * 10**9, static=False)
    assert buffer.lookup('base', 'head', 75 * 10**8)[0, 3] == pytest.approx(7.5)
    assert buffer.newest('base', 'head') == 8 * 10**9


def test_who_waits_is_told_of_what_arrives() -> None:
    buffer = TransformBuffer()
    Timer(0.05, buffer.add, ('base', 'head', np.eye(4))).start()
    buffer.wait_for(lambda: buffer.connected('base', 'head'), 60.0)
    assert buffer.connected('base', 'head')
    assert not buffer.connected('base', 'foot')
