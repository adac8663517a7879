"""What holds for all tests."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path

import pytest

from dlcv.types import Snapshot

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
