"""Maps that stay small however long they are made: keyframes that say least are left out.

What they measured stays: the steps to and from one that goes become one step. Its landmarks stay
where others see them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from dlcv.estimation.body import compounded
from dlcv.estimation.slam.place import ASIDE, Edge, Landmarks, PlaceMap
from dlcv.geometry.trajectory import scaled

Indices = npt.NDArray[np.int64]
Matrix = npt.NDArray[np.float64]

_BESIDE = 1.0  # metres within which another keyframe shows the same


def superfluous(place: PlaceMap, count: int, recent: int) -> Indices:
    """Return up to so many keyframes that a map can do without, no two of them neighbours.

    Those go first beside which the map has most others, and whose neighbours are nearest to each
    other. The ends of a session stay, and so does a loop that no neighbour has too.

    Args:
        place: The map.
        count: How many are to go.
        recent: Newest keyframes that stay.
    """
    total = len(place)
    before, after = _steps(place)
    looped = np.zeros(total, np.bool_)
    for edge, good in zip(place.edges, place.trusted, strict=True):
        if edge.loop and good:
            looped[[edge.older, edge.newer]] = True
    inner = np.flatnonzero((before >= 0) & (after >= 0))
    inner = inner[inner < total - recent]
    inner = inner[~looped[inner] | looped[before[inner]] | looped[after[inner]]]
    if not len(inner):
        return inner
    at = np.hstack((place.poses[:, :3, 3], ASIDE * place.poses[:, :3, 2]))
    crowd = cKDTree(at).query_ball_point(at[inner], _BESIDE, return_length=True)
    gap = np.linalg.norm(at[after[inner]] - at[before[inner]], axis=1)
    chosen: list[int] = []
    kept = np.zeros(total, np.bool_)
    for k in inner[np.argsort(gap / crowd, kind='stable')].tolist():
        if len(chosen) == count:
            break
        if not kept[k]:
            chosen.append(k)
            kept[[before[k], after[k]]] = True
    return np.array(sorted(chosen), np.int64)


def leave_out(place: PlaceMap, gone: Indices) -> tuple[Indices, Indices]:
    """Take keyframes out of a map, which is changed; the others have other numbers then.

    Args:
        place: The map.
        gone: Of `superfluous`.

    Returns:
        The new numbers of keyframes and of edges, by their old ones; -1 for those that are gone.
    """
    stays = np.ones(len(place), np.bool_)
    stays[gone] = False
    number = np.cumsum(stays) - 1
    into = {edge.newer: edge for edge in place.edges if _is_step(edge)}
    out = {edge.older: edge for edge in place.edges if _is_step(edge)}
    edges: list[Edge] = []
    trusted: list[bool] = []
    edge_number = np.full(len(place.edges), -1, np.int64)
    for k, (edge, good) in enumerate(zip(place.edges, place.trusted, strict=True)):
        step = _is_step(edge)
        if step and not stays[edge.newer]:
            edge = _joined(into[edge.newer], out[edge.newer])
        elif not (stays[edge.older] and stays[edge.newer]):
            continue
        edge_number[k] = len(edges)
        edges.append(_renamed(edge, number))
        trusted.append(good)
    place.keyframes = [one for one, good in zip(place.keyframes, stays, strict=True) if good]
    place.poses, place.log_scale = place.poses[stays], place.log_scale[stays]
    place.edges, place.trusted = edges, trusted
    place.landmarks = Landmarks.none()
    return np.where(stays, number, -1), edge_number


def _is_step(edge: Edge) -> bool:
    return not edge.loop and edge.newer == edge.older + 1


def _steps(place: PlaceMap) -> tuple[Indices, Indices]:
    """Return the keyframes before and after each in its session; -1 for none."""
    before, after = np.full((2, len(place)), -1, np.int64)
    for edge in place.edges:
        sessions = {place.keyframes[k].session for k in (edge.older, edge.newer)}
        if _is_step(edge) and len(sessions) == 1:
            before[edge.newer], after[edge.older] = edge.older, edge.newer
    for edge in place.edges:
        if not edge.loop and not _is_step(edge):  # a session hangs on it
            before[edge.older] = -1
    return before, after


def _joined(first: Edge, second: Edge) -> Edge:
    unit = np.exp(first.log_scale)
    lengths = np.repeat((unit, 1.0), 3)
    covariance = np.zeros((7, 7))
    motion, covariance[:6, :6] = compounded(
        first.motion,
        first.covariance[:6, :6],
        scaled(second.motion, float(unit)),
        second.covariance[:6, :6] * np.outer(lengths, lengths),
    )
    covariance[6, 6] = first.covariance[6, 6] + second.covariance[6, 6]
    return Edge(
        older=first.older,
        newer=second.newer,
        motion=motion,
        log_scale=first.log_scale + second.log_scale,
        covariance=covariance,
        loop=False,
    )


def _renamed(edge: Edge, number: Indices) -> Edge:
    return Edge(
        older=int(number[edge.older]),
        newer=int(number[edge.newer]),
        motion=edge.motion,
        log_scale=edge.log_scale,
        covariance=edge.covariance,
        loop=edge.loop,
    )
