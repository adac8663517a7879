"""Which Python the nodes run in, as seen from `ros2 launch`.

``ros2`` is a script of the system's Python. What pip installed (torch, rosbags) lives, on a system
whose pip refuses to install into it, in the virtual environment that the package was built in; the
scripts that colcon wrote name that environment's Python.
"""

from __future__ import annotations

import os
import site
import sys
from pathlib import Path

SCRIPT = Path('lib', 'dlcv_bringup', 'dlcv')
"""Of an install prefix: the first that has it decides."""


def interpreter() -> str:
    """Return the Python that the package was built in; the running one where nobody tells."""
    for prefix in filter(None, os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep)):
        python = _named_by(Path(prefix) / SCRIPT)
        if python is not None:
            return str(python)
    return sys.executable


def see_its_packages() -> None:
    """Let the running Python import what the one of the package has, where their versions agree."""
    environment = Path(interpreter()).parent.parent
    version = f'python{sys.version_info.major}.{sys.version_info.minor}'
    packages = environment / 'lib' / version / 'site-packages'
    if environment != Path(sys.executable).parent.parent and packages.is_dir():
        site.addsitedir(str(packages))


def _named_by(script: Path) -> Path | None:
    """Return the interpreter in the first line of a script; None where there is none."""
    try:
        with script.open(encoding='utf-8', errors='replace') as file:
            first = file.readline()
    except OSError:
        return None
    python = Path(first.removeprefix('#!').strip())
    return python if first.startswith('#!') and python.is_file() else None
