"""The pose that outlives a process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dlcv.estimation.body import BodyState
from dlcv.ros.last_pose import LastPose

FRAMES = {'odom_frame': 'odom', 'base_frame': 'base_link'}


def _state(x: float = 1.0) -> BodyState:
    pose = np.eye(4)
    pose[0, 3] = x
    return BodyState(
        stamp_ns=17 * 10**17 + 1,
        odom_from_base=pose,
        covariance=np.eye(6) * 0.1,
        twist=np.arange(6.0),
        twist_covariance=np.eye(6) * 0.2,
    )


def test_what_one_keeps_the_next_one_finds(tmp_path: Path) -> None:
    LastPose('/robot/deepvo', 7, tmp_path).save(_state(1), FRAMES)
    one = LastPose('/robot/deepvo', 7, tmp_path)
    one.save(_state(2), FRAMES)
    found = LastPose('/robot/deepvo', 7, tmp_path).load(FRAMES)
    assert found is not None
    assert found.stamp_ns == _state().stamp_ns
    for name in ('odom_from_base', 'covariance', 'twist', 'twist_covariance'):
        np.testing.assert_array_equal(getattr(found, name), getattr(_state(2), name))
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ('node', 'domain', 'frames'),
    [
        ('/other/deepvo', 7, FRAMES),
        ('/robot/deepvo', 8, FRAMES),
        ('/robot/deepvo', 7, FRAMES | {'odom_frame': 'other'}),
    ],
)
def test_another_nodes_pose_is_none(
    tmp_path: Path, node: str, domain: int, frames: dict[str, str]
) -> None:
    LastPose('/robot/deepvo', 7, tmp_path).save(_state(), FRAMES)
    assert LastPose(node, domain, tmp_path).load(frames) is None


def _broken() -> list[Any]:
    good = {
        'stamp_ns': 1,
        'frames': FRAMES,
        'odom_from_base': np.eye(4).tolist(),
        'covariance': np.eye(6).tolist(),
        'twist': [0.0] * 6,
        'twist_covariance': np.eye(6).tolist(),
    }
    return [
        '',
        '{"stamp_ns": 1',
        [],
        good | {'covariance': [[1.0]]},
        good | {'twist': [float('nan')] * 6},
        good | {'twist': 'fast'},
        good | {'stamp_ns': None},
        {name: value for name, value in good.items() if name != 'odom_from_base'},
    ]


@pytest.mark.parametrize('content', _broken())
def test_a_broken_file_is_none(tmp_path: Path, content: Any) -> None:
    LastPose('/deepvo', 7, tmp_path).save(_state(), FRAMES)
    (path,) = tmp_path.iterdir()
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    assert LastPose('/deepvo', 7, tmp_path).load(FRAMES) is None


def test_a_folder_that_others_may_write_to_is_not_believed(tmp_path: Path) -> None:
    LastPose('/deepvo', 7, tmp_path).save(_state(), FRAMES)
    tmp_path.chmod(0o777)
    assert LastPose('/deepvo', 7, tmp_path).load(FRAMES) is None


def test_what_cannot_be_written_is_kept_in_memory(tmp_path: Path) -> None:
    last = LastPose('/deepvo', 7, tmp_path / 'nowhere')
    with pytest.raises(OSError, match='nowhere'):
        last.save(_state(), FRAMES)
    assert last.load(FRAMES) is not None
