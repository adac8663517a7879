"""Where and with what a trial was made."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path

from dlcv import __version__

LIBRARIES = ('numpy', 'torch', 'opencv-python-headless', 'rclpy')


def facts() -> dict[str, str]:
    """Return what is needed to make the same trial again, but for the bag and the truth."""
    program, *arguments = sys.argv
    name = 'dlcv' if Path(program).name in ('dlcv', '__main__.py') else program
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
    versions = {name: version for name in LIBRARIES if (version := _version(name))}
    return {
        'command': shlex.join([name, *arguments]),
        'written': datetime.now(timezone.utc).strftime('%Y-%m-%d %H:%M UTC'),
        'host': f'{platform.system()} {platform.machine()}, {cores} cores',
        'python': platform.python_version(),
        'dlcv': __version__,
        **versions,
    }


def _version(library: str) -> str:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return ''
