"""The last pose of an odometry node, for the one that is started after it."""

from __future__ import annotations

import json
import os
import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from dlcv.estimation.body import BodyState

SHARED_MEMORY = Path('/dev/shm')  # noqa: S108 - the folder in it is this user's alone
SHAPES = {
    'odom_from_base': (4, 4),
    'covariance': (6, 6),
    'twist': (6,),
    'twist_covariance': (6, 6),
}


class LastPose:
    """Keeps where the body is, in memory and in a small file that outlives the process.

    The file lies in shared memory where there is any: written for each image it costs no disk, and
    it ends with the computer's run, as the odometry's frame does.
    """

    def __init__(self, node: str, domain: int, folder: Path | None = None) -> None:
        """Keep the pose of a node.

        Args:
            node: Its full name.
            domain: ROS domain.
            folder: Where the file lies; None for one of this user alone.
        """
        name = re.sub(r'\W', '_', node.strip('/'))
        self._folder = _own_folder() if folder is None else folder
        self._path = self._folder / f'last_pose_{domain}_{name}.json'
        self._last: tuple[dict[str, str], BodyState] | None = None

    def save(self, state: BodyState, frames: dict[str, str]) -> None:
        """Keep a pose.

        Args:
            state: Where the body is.
            frames: The frames that it is about, by the name of their parameter.

        Raises:
            OSError: The file cannot be written; the pose is kept in memory all the same.
        """
        self._last = frames, state
        data: dict[str, Any] = {name: getattr(state, name).tolist() for name in SHAPES}
        fresh = self._path.with_suffix('.new')
        with fresh.open('w', encoding='utf-8') as file:
            # `dump` would write it piece by piece, in Python
            file.write(json.dumps({'stamp_ns': state.stamp_ns, 'frames': frames, **data}))
        fresh.replace(self._path)  # a reader never sees half a file

    def load(self, frames: dict[str, str]) -> BodyState | None:
        """Return what was kept last; None if nothing was, or for other frames."""
        kept = self._last or self._read()
        return kept[1] if kept is not None and kept[0] == frames else None

    def _read(self) -> tuple[dict[str, str], BodyState] | None:
        if not _is_ours(self._folder):
            return None
        try:
            data = json.loads(self._path.read_text(encoding='utf-8'))
            arrays = {name: np.array(data[name], np.float64) for name in SHAPES}
            frames, stamp = dict(data['frames']), int(data['stamp_ns'])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        for name, shape in SHAPES.items():
            if arrays[name].shape != shape or not np.isfinite(arrays[name]).all():
                return None
        return frames, BodyState(stamp_ns=stamp, **arrays)


def _own_folder() -> Path:
    """Return this user's folder, made when there is none."""
    shared = SHARED_MEMORY if SHARED_MEMORY.is_dir() else Path(tempfile.gettempdir())
    folder = shared / f'dlcv-{os.getuid()}'
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError:
        return Path(tempfile.mkdtemp(prefix='dlcv-'))
    return folder if _is_ours(folder) else Path(tempfile.mkdtemp(prefix='dlcv-'))


def _is_ours(folder: Path) -> bool:
    """Whether nobody else can have written into a folder."""
    try:
        found = folder.stat(follow_symlinks=False)
    except OSError:
        return False
    return found.st_uid == os.getuid() and not found.st_mode & 0o022
