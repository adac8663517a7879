"""Maps made smaller: what only one keyframe saw helps least to be found by another picture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dlcv.estimation.slam.place import PlaceMap

_LEAST = 150  # keypoints of a keyframe that are kept in any case, where there are as many


def pruned(place: PlaceMap) -> PlaceMap:
    """Return a map without keypoints that are of no landmark, or of one that was seen once.

    The strongest of those stay where a keyframe has few others. Poses and edges stay as they are.
    """
    marks = place.landmarks
    frames = []
    kept = np.zeros(len(marks), np.bool_)
    for one in place.keyframes:
        rows, there = marks.rows_of(one.landmark)
        often = there & (np.where(there, marks.sightings[rows] if len(marks) else 0, 0) > 1)
        spare = np.flatnonzero(there & ~often)[: max(0, _LEAST - int(often.sum()))]
        keep = often.copy()
        keep[spare] = True
        kept[rows[keep]] = True
        frames.append(
            replace(
                one,
                **{
                    name: getattr(one, name)[keep]
                    for name in ('xy', 'codes', 'inverse_depth', 'inverse_stddev', 'landmark')
                },
            )
        )
    return replace(place, keyframes=frames, landmarks=marks.only(np.flatnonzero(kept)))
