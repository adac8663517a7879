"""Landmarks of two visits that are one."""

from __future__ import annotations

import numpy as np

from dlcv.estimation.slam.loops import Found
from dlcv.estimation.slam.place import Indices, PlaceMap


def merge(place: PlaceMap, keyframe: int, newest: int, found: Found) -> int:
    """Let two keyframes see the same landmarks where they agree; return how many became one."""
    older, newer = place.keyframes[keyframe], place.keyframes[newest]
    holders = _holders(place, newer.landmark[found.own])
    merged = 0
    for theirs, own in zip(found.theirs.tolist(), found.own.tolist(), strict=True):
        kept, gone = int(older.landmark[theirs]), int(newer.landmark[own])
        if kept == gone or kept < 0:
            continue
        if gone < 0:
            if not (newer.landmark == kept).any():
                newer.landmark[own] = kept
                merged += 1
            continue
        seen_by = [place.keyframes[k] for k in holders.get(gone, ())]
        if any((one.landmark == kept).any() for one in seen_by):
            continue  # one picture shows both: they are two
        for one in seen_by:
            one.landmark[one.landmark == gone] = kept
        merged += 1
    return merged


def _holders(place: PlaceMap, names: Indices) -> dict[int, list[int]]:
    """Return the keyframes that see each of some landmarks."""
    seen = np.concatenate([one.landmark for one in place.keyframes])
    ends = np.cumsum([len(one) for one in place.keyframes])
    rows = np.flatnonzero(np.isin(seen, names[names >= 0]))
    found: dict[int, list[int]] = {}
    for name, k in zip(
        seen[rows].tolist(), np.searchsorted(ends, rows, side='right').tolist(), strict=True
    ):
        found.setdefault(name, []).append(k)
    return found
