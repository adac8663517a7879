"""Images that came to nothing, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from dlcv.evaluation.replay.log import Handled

# outcomes that tell of something wrong with the images or the node, not of a lack of time
WORDS = {
    'rejected_encoding': 'have an encoding that is not read',
    'rejected_invalid': 'are broken',
    'rejected_camera': 'have no calibration that fits them',
    'rejected_order': 'are not newer than the one before',
    'failed': 'made it fail',
}


def mishaps(log: Iterable[Handled]) -> tuple[str, ...]:
    """Return what went wrong with the images, one line for each kind and number of them.

    Args:
        log: What became of each image.
    """
    images: Counter[str] = Counter()
    wrong: Counter[tuple[str, str]] = Counter()
    for line in log:
        images[line.node] += 1
        if line.outcome.name in WORDS:
            wrong[line.node, line.outcome.name] += 1
    nodes: dict[tuple[int, int, str], list[str]] = {}
    for (node, name), count in wrong.items():
        nodes.setdefault((count, images[node], name), []).append(node)
    return tuple(
        f'{", ".join(names)}: {count} of {all_of_them} images {WORDS[name]} ({name})'
        for (count, all_of_them, name), names in nodes.items()
    )
