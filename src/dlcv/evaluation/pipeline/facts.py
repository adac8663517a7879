"""Where and with what an evaluation was made."""

from __future__ import annotations

import platform
from datetime import datetime, timezone

from dlcv.host import command, host, versions

LIBRARIES = ('numpy', 'torch', 'opencv-python-headless', 'rclpy')


def facts() -> dict[str, str]:
    """Return what is needed to make the same evaluation again, but for the bag and the truth."""
    return {
        'command': command(),
        'written': datetime.now(timezone.utc).strftime('%Y-%m-%d %H:%M UTC'),
        'host': f'{host()}, {platform.system()}',
        'python': platform.python_version(),
        **versions(*LIBRARIES),
    }
