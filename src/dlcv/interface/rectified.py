"""Whether pictures are rectified already: what is asked for, else what the topic's name says.

A CameraInfo describes the camera before and after rectification at once: K and D are of the raw
pictures, P is of the rectified ones (REP 104). image_proc leaves the same message beside both, so
only the topic of the pictures tells which of them holds.
"""

from __future__ import annotations

import re

CHOICES = ('auto', 'always', 'never')
"""By the name of the topic; whatever it is called; the pictures are as the lens made them."""
_RECTIFIED = {'rect', 'rectify', 'rectified', 'undistort', 'undistorted', 'undist'}
_RAW = {'raw', 'distorted', 'unrectified'}
_NOT = {'not', 'non', 'un'}
_TRANSPORTS = {
    'compressed', 'theora', 'ffmpeg', 'zstd', 'draco', 'h264', 'h265', 'jpeg', 'png', 'avif',
    'foxglove',
}  # fmt: skip


def is_rectified(topic: str, choice: str = 'auto') -> bool:
    """Return whether the pictures of a topic are rectified.

    Args:
        topic: Full name of the image topic; image_transport's suffixes do not matter. The last
            part of the name that says anything counts: ``/left/image_rect_color`` and
            ``/left_rectified/image`` are rectified, ``/left/image_raw`` and ``/image`` are not.
        choice: One of `CHOICES`.
    """
    if choice != 'auto':
        return choice == 'always'
    parts = [part for part in topic.split('/') if part]
    while len(parts) > 1 and parts[-1].lower() in _TRANSPORTS:
        parts.pop()
    for part in reversed(parts):
        words = [word.lower() for word in re.findall(r'[A-Z]?[a-z]+|[A-Z]+(?![a-z])', part)]
        said = [i for i, word in enumerate(words) if word in _RECTIFIED]
        if said:
            return not any(i and words[i - 1] in _NOT for i in said)
        if not _RAW.isdisjoint(words):
            return False
    return False


def note(topic: str) -> str:
    """Return the sentence for people where the rule makes a difference."""
    return (
        f'the pictures of {topic} are taken as rectified: P of their camera_info holds, its '
        'distortion does not (parameter rectified)'
    )
