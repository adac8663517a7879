"""What holds for all tests."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from dlcv.estimation.visual_odometry import VisualOdometrySettings
from dlcv.types import (
    Aids,
    FloatArray,
    Frame,
    Lost,
    Matches,
    Motion,
    Snapshot,
    Tracking,
    TrackingState,
)

# converted networks and measured speeds are kept from test to test, but not among the user's
os.environ['DLCV_CACHE'] = str(Path(tempfile.gettempdir()) / f'dlcv-test-cache-{os.getuid()}')
DOMAINS = 99  # above 101 their ports meet those that the kernel gives away
TURN = count(os.getpid())  # the last test's domain may still be saying goodbye


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makemodule(
    module_path: Path, parent: pytest.Collector
) -> pytest.Module | None:
    """Collect a test file as pytest does, unless it is a launch test.

    With launch_testing installed every test file would be imported a second time under its bare
    name, which files in two folders may share: an error at collection.
    """
    if 'def generate_test_description' in module_path.read_text():
        return None
    module: pytest.Module = pytest.Module.from_parent(parent, path=module_path)
    return module


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Turn a skipped ROS test into a failed one where ROS must be there."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    required = os.environ.get('DLCV_REQUIRE_ROS') == '1' and item.get_closest_marker('ros')
    if report.skipped and required:
        report.outcome = 'failed'
        report.longrepr = f'DLCV_REQUIRE_ROS=1, but this was skipped: {report.longrepr}'


@pytest.fixture
def domain(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A ROS domain that no other test on this machine uses meanwhile."""
    folder = Path(tempfile.gettempdir())
    for _ in range(DOMAINS):
        number = 1 + next(TURN) % DOMAINS
        with (folder / f'dlcv-test-domain-{number}-{os.getuid()}').open('w') as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            monkeypatch.setenv('ROS_DOMAIN_ID', str(number))
            yield number
            return
    pytest.fail(f'all ROS domains from 1 to {DOMAINS} are in use')


class _Recording:
    """Snapshots as a recording."""

    name, baseline = 'given', 0.0

    def __init__(self, snapshots: Sequence[Snapshot]) -> None:
        self._snapshots = snapshots
        self.camera = snapshots[0].frame.camera

    def __len__(self) -> int:
        return len(self._snapshots)

    def __iter__(self) -> Iterator[Snapshot]:
        return iter(self._snapshots)


@pytest.fixture(scope='session')
def recording_of() -> type[_Recording]:
    """Make a recording of snapshots."""
    return _Recording


class _Drive:
    """A visual odometry that goes half a metre ahead with each frame, but is lost at some.

    Attributes:
        aids: What it was given beside the frames.
    """

    device = 'cpu'
    step = 0.5
    spread = np.diag((1, 2, 3, 4, 5, 6)) * 1e-4

    def __init__(self, *lost: int, state: TrackingState = 'tracking') -> None:
        self.origin = SimpleNamespace(path=None, sha256='ab' * 32, trained=True)
        self.settings = VisualOdometrySettings()
        self.frames: list[Frame] = []
        self.aids: list[Aids] = []
        self._lost, self._state = lost, state
        self.reset()

    def reset(self) -> None:
        self.tracking = Tracking(stamp_ns=0, state='starting')
        self._last: Frame | None = None
        self.set_pose(np.eye(4))

    def warm_up(self, width: int, height: int) -> None:
        pass

    def set_pose(self, odom_from_camera: FloatArray, covariance: FloatArray | None = None) -> None:
        self.odom_from_camera = np.array(odom_from_camera)
        self.pose_covariance = np.zeros((6, 6)) if covariance is None else np.array(covariance)

    def push(self, frame: Frame, aids: Aids | None = None) -> Motion | Lost | None:
        last, self._last = self._last, frame
        self.frames.append(frame)
        self.aids.append(aids or Aids())
        lost = len(self.frames) - 1 in self._lost
        self.tracking = self._tracked(frame, lost=lost, first=last is None)
        if last is None:
            return None
        if lost:
            return Lost(
                stamp_ns=frame.stamp_ns,
                previous_stamp_ns=last.stamp_ns,
                reason='fog',
                odom_from_camera=self.odom_from_camera,
                pose_covariance=self.pose_covariance + np.eye(6),
            )
        motion = np.eye(4)
        motion[2, 3] = self.step
        self.odom_from_camera = self.odom_from_camera @ motion
        self.pose_covariance = self.pose_covariance + self.spread
        return Motion(
            stamp_ns=frame.stamp_ns,
            previous_stamp_ns=last.stamp_ns,
            previous_from_current=motion,
            odom_from_camera=self.odom_from_camera,
            covariance=self.spread,
        )

    def _tracked(self, frame: Frame, *, lost: bool, first: bool) -> Tracking:
        xy = np.array([[10, 10], [20, 30]], np.float32)
        tracks = Matches(
            stamp_ns=frame.stamp_ns,
            previous_stamp_ns=frame.stamp_ns - 1,
            previous_xy=xy,
            xy=xy + 1,
            scores=np.ones(2, np.float32),
        )
        return Tracking(
            stamp_ns=frame.stamp_ns,
            state='lost' if lost else 'starting' if first else self._state,
            reason='fog' if lost else '',
            matches=120,
            inliers=0 if lost else 90,
            scale_source='wheels',
            scale=1.25,
            scale_stddev=0.02,
            tracks=tracks,
            landmarks=np.array([[1, 2, 3]], np.float32),
            landmark_stddev=np.array([0.1], np.float32),
        )


@pytest.fixture(scope='session')
def drive() -> type[_Drive]:
    """A visual odometry without pictures; see `_Drive`."""
    return _Drive
