"""What is remembered of a place: keyframes, landmarks that they share, and the graph between them.

Letters in this file: K keyframes, N keypoints of one, D numbers of a descriptor, L landmarks.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace

import numpy as np
import numpy.typing as npt

from dlcv.estimation.odometry.landmarks import rows_among
from dlcv.estimation.slam.equations import Edges
from dlcv.types import Camera, FloatArray

Matrix = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int8]

ASIDE = 2.0
"""Metres that another direction of sight counts as, for each 1 of its cosine: what a keyframe there
shows is as different."""

_CODE = 127  # the greatest number of a descriptor


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Keyframe:
    """A picture that is remembered, by its keypoints.

    Attributes:
        stamp_ns: When it was taken.
        session: Of the recordings or runs that the map was made of, which one.
        camera: What took it.
        odom_from_camera: ``(4, 4)`` where odometry had it, metres.
        xy: ``(N, 2)`` float32 pixels.
        codes: ``(N, D)`` int8 descriptors; see `encoded`.
        inverse_depth: ``(N,)`` float32 measured beside the picture, 1/m; NaN where nothing was.
        inverse_stddev: ``(N,)`` float32 of that.
        landmark: ``(N,)`` which landmark each is of, -1 for none; changes as landmarks merge.
        place: ``(P,)`` float32 what the picture looks like as a whole, of length one.
    """

    stamp_ns: int
    session: int
    camera: Camera
    odom_from_camera: Matrix
    xy: FloatArray
    codes: Codes
    inverse_depth: FloatArray
    inverse_stddev: FloatArray
    landmark: Indices
    place: FloatArray

    def __len__(self) -> int:
        return len(self.xy)

    @property
    def descriptors(self) -> FloatArray:
        """``(N, D)`` float32, of length one."""
        return decoded(self.codes)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Edge:
    """A measurement between two keyframes; see `Edges`.

    Attributes:
        older: Keyframe.
        newer: Keyframe.
        motion: ``(4, 4)`` older_from_newer.
        log_scale: Logarithm of the newer one's unit over the older one's.
        covariance: ``(7, 7)``.
        loop: Whether it was recognised, not driven: it may be wrong.
    """

    older: int
    newer: int
    motion: Matrix
    log_scale: float
    covariance: Matrix
    loop: bool


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Landmarks:
    """Points of the scene.

    Attributes:
        name: ``(L,)`` rising; keypoints of keyframes say these.
        points: ``(L, 3)`` in the map, metres.
        covariance: ``(L, 3, 3)`` of them, given the keyframes.
        sightings: ``(L,)`` how many keyframes see each.
    """

    name: Indices
    points: Matrix
    covariance: Matrix
    sightings: Indices

    def __len__(self) -> int:
        return len(self.name)

    @classmethod
    def none(cls) -> Landmarks:
        """Return no landmarks."""
        whole = np.empty(0, np.int64)
        points, covariance = np.empty((0, 3)), np.empty((0, 3, 3))
        return cls(name=whole, points=points, covariance=covariance, sightings=whole)

    def only(self, rows: Indices) -> Landmarks:
        """Return some of them, by their rows."""
        return Landmarks(**{one.name: getattr(self, one.name)[rows] for one in fields(self)})

    def rows_of(self, names: Indices) -> tuple[Indices, npt.NDArray[np.bool_]]:
        """Return ``(N,)`` the rows of some names, and which of them are there."""
        return rows_among(self.name, names)


@dataclass(kw_only=True, slots=True, eq=False)
class PlaceMap:
    """A map of a place.

    Attributes:
        frame: Name of its frame.
        source: What it was made of, in words.
        described: Name of what says how pictures look as wholes.
        scaled: Whether each keyframe has a unit of its own: nothing measured the metre.
        keyframes: In the order in which they were taken.
        poses: ``(K, 4, 4)`` map_from_camera, metres.
        log_scale: ``(K,)`` of their units.
        edges: What was measured between them.
        trusted: For each edge, whether the graph believes it.
        landmarks: What they see.
        named: How many landmarks were named so far.
        common: Share of their distance by which landmarks are off together, as was measured on
            keyframes that were left out; 0 where that was not done.
        head: Bytes of a weight file of scene coordinates of the place; empty for none.
    """

    frame: str = 'map'
    source: str = ''
    described: str = ''
    scaled: bool = False
    keyframes: list[Keyframe] = field(default_factory=list)
    poses: Matrix = field(default_factory=lambda: np.empty((0, 4, 4)))
    log_scale: Matrix = field(default_factory=lambda: np.empty(0))
    edges: list[Edge] = field(default_factory=list)
    trusted: list[bool] = field(default_factory=list)
    landmarks: Landmarks = field(default_factory=Landmarks.none)
    named: int = 0
    common: float = 0.0
    head: bytes = b''

    def __len__(self) -> int:
        return len(self.keyframes)

    @property
    def loops(self) -> list[Edge]:
        """The edges that closed loops, of those that are believed."""
        return [e for e, good in zip(self.edges, self.trusted, strict=True) if e.loop and good]

    @property
    def sessions(self) -> int:
        """How many recordings or runs it was made of."""
        return 1 + max((one.session for one in self.keyframes), default=-1)

    def add(self, keyframe: Keyframe, map_from_camera: FloatArray, log_scale: float = 0.0) -> int:
        """Remember a keyframe; return its number."""
        pose = np.asarray(map_from_camera, np.float64)[None]
        self.keyframes.append(keyframe)
        self.poses = np.concatenate((self.poses, pose))
        self.log_scale = np.append(self.log_scale, log_scale)
        return len(self.keyframes) - 1

    def connect(self, edge: Edge) -> None:
        """Remember what was measured between two keyframes."""
        self.edges.append(edge)
        self.trusted.append(True)

    def graph(self) -> Edges:
        """Return the edges as the solver takes them."""
        return Edges(
            older=np.array([e.older for e in self.edges], np.int64),
            newer=np.array([e.newer for e in self.edges], np.int64),
            motion=np.array([e.motion for e in self.edges]).reshape(-1, 4, 4),
            log_scale=np.array([e.log_scale for e in self.edges], np.float64),
            covariance=np.array([e.covariance for e in self.edges]).reshape(-1, 7, 7),
            doubted=np.array([e.loop for e in self.edges], np.bool_),
        )

    def links(self) -> dict[str, Indices]:
        """Return the ends ``(E, 2)`` of each kind of edge: ``way``, ``loops`` and ``refused``."""
        ends: dict[str, list[tuple[int, int]]] = {'way': [], 'loops': [], 'refused': []}
        for edge, good in zip(self.edges, self.trusted, strict=True):
            kind = ('loops' if good else 'refused') if edge.loop else 'way'
            ends[kind].append((edge.older, edge.newer))
        return {kind: np.array(pairs, np.int64).reshape(-1, 2) for kind, pairs in ends.items()}

    def places(self) -> FloatArray:
        """Return ``(K, P)`` float32 what the keyframes look like as wholes."""
        return np.array([one.place for one in self.keyframes], np.float32)

    def copied(self) -> PlaceMap:
        """Return a map that stays as it is when this one goes on growing."""
        return replace(
            self,
            keyframes=[replace(one, landmark=one.landmark.copy()) for one in self.keyframes],
            poses=self.poses.copy(),
            log_scale=self.log_scale.copy(),
            edges=list(self.edges),
            trusted=list(self.trusted),
        )


class Looks:
    """What the keyframes of a growing map look like as wholes, without collecting them each time.

    Numbers of one map; a keyframe that is no longer where it was lets it collect all again.
    """

    def __init__(self) -> None:
        self._last: Keyframe | None = None
        self._count = 0
        self._rows: FloatArray = np.empty((0, 0), np.float32)

    def of(self, place: PlaceMap) -> FloatArray:
        """Return ``(K, P)`` float32, not to be changed; see `PlaceMap.places`."""
        frames = place.keyframes
        if not frames:
            return np.empty((0, 0), np.float32)
        count = self._count
        if count > len(frames) or not count or frames[count - 1] is not self._last:
            count = 0
        if len(frames) > len(self._rows):
            grown = np.empty((2 * len(frames), len(frames[0].place)), np.float32)
            if count:
                grown[:count] = self._rows[:count]
            self._rows = grown
        for k in range(count, len(frames)):
            self._rows[k] = frames[k].place
        self._count, self._last = len(frames), frames[-1]
        return self._rows[: self._count]


class EdgeTable:
    """The edges of a growing map as the solver takes them, without collecting them each time."""

    def __init__(self) -> None:
        self._last: Edge | None = None
        self._count = 0
        self._rows = _rows(0)

    def of(self, place: PlaceMap) -> Edges:
        """Return what `PlaceMap.graph` does; views that are not to be changed."""
        edges, count = place.edges, self._count
        if count > len(edges) or (count and edges[count - 1] is not self._last):
            count = 0
        if len(edges) > len(self._rows):
            grown = _rows(2 * len(edges))
            for one in fields(grown):
                getattr(grown, one.name)[:count] = getattr(self._rows, one.name)[:count]
            self._rows = grown
        rows = self._rows
        for k, e in enumerate(edges[count:], count):
            rows.older[k], rows.newer[k] = e.older, e.newer
            rows.motion[k], rows.log_scale[k] = e.motion, e.log_scale
            rows.covariance[k], rows.doubted[k] = e.covariance, e.loop
        self._count, self._last = len(edges), edges[-1] if edges else None
        return Edges(**{one.name: getattr(rows, one.name)[: len(edges)] for one in fields(rows)})


def _rows(count: int) -> Edges:
    return Edges(
        older=np.zeros(count, np.int64),
        newer=np.zeros(count, np.int64),
        motion=np.zeros((count, 4, 4)),
        log_scale=np.zeros(count),
        covariance=np.zeros((count, 7, 7)),
        doubted=np.zeros(count, np.bool_),
    )


def encoded(descriptors: FloatArray) -> Codes:
    """Return descriptors ``(N, D)`` as whole numbers: a quarter of the bytes, the same matches."""
    high = np.abs(descriptors).max(axis=1, keepdims=True, initial=1e-12)
    return np.asarray(np.rint(descriptors * (_CODE / high)), np.int8)


def decoded(codes: Codes) -> FloatArray:
    """Return codes ``(N, D)`` as descriptors of length one, float32."""
    whole = codes.astype(np.float32)
    length = np.linalg.norm(whole, axis=1, keepdims=True)
    return np.asarray(whole / np.maximum(length, 1))
