"""What a command needs beyond a plain installation, asked for before it begins its work."""

from __future__ import annotations

from importlib.util import find_spec

from dlcv.cli.main import CommandError

_EXTRAS = {
    'jinja2': 'eval',
    'lightning_fabric': 'train',
    'matplotlib': 'eval',
    'ray': 'ray',
    'rclpy': 'ros',
    'rosbags': 'bags',
}


def need(*modules: str) -> None:
    """Return if all ``modules`` are installed.

    Raises:
        CommandError: One is not; the message says how to get all that are missing.
    """
    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        extras = ','.join(sorted({_EXTRAS[module] for module in missing}))
        source = 'source ROS 2, or ' if 'rclpy' in missing else ''
        raise CommandError(
            f'{" and ".join(missing)} needed but not installed: {source}'
            f'pip install ".[{extras}]" in a clone of dlcv'
        )
