"""Where frames are: a small TF buffer without threads."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import takewhile
from threading import Condition

import numpy as np
import numpy.typing as npt

from dlcv.geometry.trajectory import between

Matrix = npt.NDArray[np.float64]
KEEP_NS = 10 * 10**9  # moving transforms are kept this long, as tf2 does

BODY_FROM_OPTICAL: Matrix = np.array(
    [[0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]], np.float64
)
"""REP 103: optical z is forward (body x), optical x is right (body -y), optical y is down."""


class TransformError(ValueError):
    """Nobody told how two frames lie to each other; the message names the frames that are known."""


@dataclass(slots=True)
class _Edge:
    """How one frame lies in its parent, always or at moments in ascending order."""

    parent: str
    static: bool
    stamps: list[int] = field(default_factory=list)
    parent_from_child: list[Matrix] = field(default_factory=list)

    def add(self, stamp_ns: int, matrix: Matrix) -> None:
        if self.static:
            self.stamps, self.parent_from_child = [stamp_ns], [matrix]
            return
        if self.stamps and stamp_ns < self.stamps[-1] - KEEP_NS:  # time has jumped back
            self.stamps, self.parent_from_child = [], []
        at = bisect_left(self.stamps, stamp_ns)
        if at < len(self.stamps) and self.stamps[at] == stamp_ns:
            self.parent_from_child[at] = matrix
            return
        self.stamps.insert(at, stamp_ns)
        self.parent_from_child.insert(at, matrix)
        stale = bisect_left(self.stamps, self.stamps[-1] - KEEP_NS)
        del self.stamps[:stale], self.parent_from_child[:stale]

    def at(self, stamp_ns: int, child: str, *, nearest: bool = False) -> Matrix:
        if self.static:
            return self.parent_from_child[0]
        first, last = self.stamps[0], self.stamps[-1]
        if nearest:
            stamp_ns = min(max(stamp_ns, first), last)
        if not first <= stamp_ns <= last:
            near, word = (
                (first, 'before the first') if stamp_ns < first else (last, 'after the last')
            )
            raise TransformError(
                f'{self.parent} -> {child} is asked for {abs(stamp_ns - near) / 1e9:.3f} s {word} '
                'one that is known'
            )
        after = bisect_left(self.stamps, stamp_ns)
        if self.stamps[after] == stamp_ns:
            return self.parent_from_child[after]
        begin, end = self.stamps[after - 1], self.stamps[after]
        share = (stamp_ns - begin) / (end - begin)
        return between(self.parent_from_child[after - 1], self.parent_from_child[after], share)


def frame_name(text: str) -> str:
    """Return the name of a frame as tf2 has it: without the leading slash of ROS 1."""
    return text.lstrip('/')


def inverse(matrix: Matrix) -> Matrix:
    """Return the inverse of a rigid motion ``(4, 4)``."""
    inverted = np.eye(4)
    inverted[:3, :3] = matrix[:3, :3].T
    inverted[:3, 3] = -matrix[:3, :3].T @ matrix[:3, 3]
    return inverted


class TransformBuffer:
    """A tree of frames; every method may be called from any thread."""

    def __init__(self) -> None:
        self._edges: dict[str, _Edge] = {}
        self._lock = Condition()

    def clear_moving(self) -> None:
        """Forget what moves, as after a jump of time."""
        with self._lock:
            self._edges = {child: edge for child, edge in self._edges.items() if edge.static}

    def add(
        self, parent: str, child: str, matrix: Matrix, stamp_ns: int = 0, *, static: bool = True
    ) -> None:
        """Take ``parent_from_child`` ``(4, 4)``; a frame that changes its parent starts anew."""
        parent, child = frame_name(parent), frame_name(child)
        with self._lock:
            edge = self._edges.get(child)
            if edge is None or edge.parent != parent or edge.static != static:
                edge = self._edges[child] = _Edge(parent, static)
            edge.add(stamp_ns, matrix)
            self._lock.notify_all()

    def wait_for(self, true: Callable[[], bool], seconds: float) -> None:
        """Wait until something holds of the tree, at most so long."""
        with self._lock:
            self._lock.wait_for(true, seconds)

    def merge(self, other: TransformBuffer) -> None:
        """Take all frames of another buffer."""
        with self._lock:
            self._edges |= other._edges

    def knows(self, frame: str) -> bool:
        """Whether a frame is in the tree."""
        with self._lock:
            return frame_name(frame) in self._frames()

    def lookup(
        self, target: str, source: str, stamp_ns: int = 0, *, nearest: bool = False
    ) -> Matrix:
        """Return ``target_from_source`` ``(4, 4)`` at a moment.

        Args:
            target: A frame.
            source: Another one.
            stamp_ns: The moment.
            nearest: Take the first or the last that is known where it lies outside of them.

        Raises:
            TransformError: If the frames are not connected, or not at that moment.
        """
        target, source = frame_name(target), frame_name(source)
        if target == source:
            return np.eye(4)
        with self._lock:
            shared = self._shared(target, source)
            shared_from_source = self._climb(source, shared, stamp_ns, nearest)
            shared_from_target = self._climb(target, shared, stamp_ns, nearest)
        return inverse(shared_from_target) @ shared_from_source

    def connected(self, target: str, source: str) -> bool:
        """Whether it is known how two frames lie to each other, at some moment."""
        try:
            self.newest(frame_name(target), frame_name(source))
        except TransformError:
            return False
        return True

    def fixed(self, target: str, source: str) -> bool:
        """Whether two frames are known never to move against each other."""
        try:
            return self.newest(frame_name(target), frame_name(source)) == 0
        except TransformError:
            return False

    def newest(self, target: str, source: str) -> int:
        """Return the last moment (ns) of which it is known how two frames lie; 0 for always.

        Raises:
            TransformError: If the frames are not connected.
        """
        if target == source:
            return 0
        with self._lock:
            shared = self._shared(target, source)
            between = [
                self._edges[link]
                for frame in (target, source)
                for link in takewhile(lambda link: link != shared, self._to_root(frame))
            ]
        return min((edge.stamps[-1] for edge in between if not edge.static), default=0)

    def _shared(self, target: str, source: str) -> str:
        """Return the nearest frame that two frames are both below."""
        up_target = self._to_root(target)
        for frame in self._to_root(source):
            if frame in up_target:
                return frame
        known = ', '.join(sorted(self._frames())) or 'none'
        raise TransformError(
            f'no transform between {target!r} and {source!r}; known frames are: {known}'
        )

    def _frames(self) -> set[str]:
        return {*self._edges, *(edge.parent for edge in self._edges.values())}

    def _to_root(self, frame: str) -> list[str]:
        """Return the frame and its ancestors; stops where somebody published a ring."""
        chain = [frame]
        while (edge := self._edges.get(chain[-1])) is not None and edge.parent not in chain:
            chain.append(edge.parent)
        return chain

    def _climb(self, frame: str, ancestor: str, stamp_ns: int, nearest: bool) -> Matrix:
        matrix: Matrix = np.eye(4)
        while frame != ancestor:
            edge = self._edges[frame]
            matrix = edge.at(stamp_ns, frame, nearest=nearest) @ matrix
            frame = edge.parent
        return matrix


class Mount:
    """Where the camera sits on the body, as far as anybody has told."""

    def __init__(self, buffer: TransformBuffer, say: Callable[[str], None]) -> None:
        """Look up in ``buffer``; call ``say`` once with a line when an assumption is made."""
        self._buffer, self._say = buffer, say
        self._said: set[tuple[str, str]] = set()

    def base_from_camera(self, base: str, camera: str, stamp_ns: int) -> Matrix:
        """Return ``(4, 4)``; untold, the optical axes turned to REP 103 at the body's origin.

        Of a camera that moves on the body, the nearest moment that is known counts: a joint's
        transform may come after the picture.
        """
        try:
            return self._buffer.lookup(base, camera, stamp_ns, nearest=True)
        except TransformError as err:
            if (base, camera) not in self._said:
                self._said.add((base, camera))
                self._say(f'{err}; the camera is taken to sit in {base}, looking forward')
            return BODY_FROM_OPTICAL
