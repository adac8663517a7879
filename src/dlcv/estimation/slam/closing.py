"""Loops of the newest keyframe: found, solved with the whole map, and believed or dropped.

The solver may run in a thread beside the pictures: it takes the map as it was when it began, and
keyframes that came since move with the last one that it knew.
"""

from __future__ import annotations

from collections import Counter
from concurrent.futures import Executor, Future
from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt

from dlcv.estimation.slam.equations import Edges
from dlcv.estimation.slam.graph import GATE, solve, surprises
from dlcv.estimation.slam.loops import (
    Candidates,
    Found,
    LoopSettings,
    agreed,
    edge_of,
    find,
    merge,
    same,
)
from dlcv.estimation.slam.place import Edge, EdgeTable, Landmarks, PlaceMap
from dlcv.geometry.frames import inverse
from dlcv.geometry.trajectory import scaled

Matrix = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

_OVERCONFIDENT = 3.0  # times the deviations that odometry states, by which a loop may contradict it


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Loop:
    """A loop that the map has not been solved with.

    Attributes:
        edge: Number of its edge in the map.
        candidate: Keyframe that saw the place before.
        newest: Keyframe that sees it again.
        seen: How.
    """

    edge: int
    candidate: int
    newest: int
    seen: Found


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Agreement:
    """The map, solved.

    Attributes:
        poses: ``(K, 4, 4)`` map_from_keyframe.
        log_scale: ``(K,)`` of their units.
        weights: ``(E,)`` 0 for edges that were found wrong.
        covariance: ``(6, 6)`` of the last keyframe, in the map's axes, given the first.
    """

    poses: Matrix
    log_scale: Matrix
    weights: Matrix
    covariance: Matrix


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Run:
    """A solution that is on its way, for the loops that asked for it."""

    answer: Future[Agreement]
    keyframes: int
    loops: list[_Loop]


class Closing:
    """Closes the loops of a map.

    Args:
        place: The map, which is changed.
        settings: When a place counts as seen again.
        beside: Runs the solver; at once by default, before the loops are told.
        measured: Whether keyframes stay where they are: loops must agree with that, and only merge
            landmarks.

    Attributes:
        refused: Why candidates were no loops -> how often.
        reason: What became of the last candidate, in words for a person.
        joined: Whether it is known how what is mapped now lies in the rest of the map.
        held: Whether no other solution is to be begun.
        solved: Number of the last keyframe of the last solution, and its ``(6, 6)`` covariance in
            the map's axes; None before the first.
    """

    def __init__(
        self,
        place: PlaceMap,
        settings: LoopSettings,
        beside: Executor | None = None,
        *,
        measured: bool = False,
    ) -> None:
        self.place, self.settings = place, settings
        self.refused: Counter[str] = Counter()
        self.reason, self.held = '', False
        self.solved: tuple[int, Matrix] | None = None
        self._beside, self._measured = beside, measured
        self._table = EdgeTable()
        self._run: _Run | None = None
        self._waiting: list[_Loop] = []
        self.begin(place.sessions, joined=not place.sessions)

    def begin(self, session: int, *, joined: bool) -> None:
        """Close loops of another session of the map from now on."""
        self._session, self.joined = session, joined
        self._candidates = Candidates(self.settings, len(self.place))

    @property
    def busy(self) -> bool:
        """Whether a solution is on its way: numbers of keyframes and edges must stay."""
        return self._run is not None

    def renumber(self, keyframes: Indices, edges: Indices) -> None:
        """Take note that keyframes and edges have other numbers now.

        Args:
            keyframes: The new ones by the old ones; -1 for those that are gone.
            edges: The same.
        """
        own = (k for k, one in enumerate(self.place.keyframes) if one.session == self._session)
        self._candidates = Candidates(self.settings, next(own, len(self.place)))
        self.solved = None
        self._waiting = [
            replace(
                loop,
                edge=int(edges[loop.edge]),
                candidate=int(keyframes[loop.candidate]),
                newest=int(keyframes[loop.newest]),
            )
            for loop in self._waiting
            if edges[loop.edge] >= 0
        ]

    def look(self, newest: int) -> list[Edge]:
        """Look for the newest keyframe elsewhere in the map; return loops that are closed now."""
        place = self.place
        for candidate in self._candidates.of(place, newest).tolist():
            seen = self._seen(candidate, newest)
            if isinstance(seen, str):
                self.refused[seen] += 1
                self.reason = seen
                continue
            edge = edge_of(place, candidate, newest, seen)
            place.connect(edge)
            if not self.joined and place.keyframes[candidate].session != self._session:
                self._join(edge)
            loop = _Loop(edge=len(place.edges) - 1, candidate=candidate, newest=newest, seen=seen)
            self._waiting.append(loop)
        return self.settle()

    def settle(self, *, wait: bool = False) -> list[Edge]:
        """Take what was solved, and begin with what waits for it; return the loops it believes.

        Args:
            wait: Until nothing waits.
        """
        closed: list[Edge] = []
        if self._measured:
            loops, self._waiting = self._waiting, []
            return self._believe(loops)
        while self._run is not None or (self._waiting and not self.held):
            if self._run is None:
                self._run = self._begin()
            if not (wait or self._run.answer.done()):
                break
            run, self._run = self._run, None
            closed += self._take(run)
        return closed

    # ---------------------------------------------------------------------------------------

    def _seen(self, candidate: int, newest: int) -> Found | str:
        """Return where a candidate sees the newest keyframe, if every guard lets it pass."""
        place, settings = self.place, self.settings
        frame = place.keyframes[newest]
        found = find(place, candidate, frame, settings)
        if isinstance(found, str):
            return 'too few landmarks agree on a pose'
        if not agreed(place, candidate, found, frame, settings):
            return 'the keyframe beside it does not see the same'
        if self._measured:
            given = inverse(place.poses[candidate]) @ place.poses[newest]
            if not same(found.motion, given, found.covariance):
                return 'the poses that are given rule it out'
        elif not self._possible(edge_of(place, candidate, newest, found)):
            return 'odometry rules it out'
        return found

    def _possible(self, edge: Edge) -> bool:
        """Whether odometry allows a loop, if it is off by a few times what it states."""
        place, graph = self.place, self._table.of(self.place)
        size = 7 if place.scaled else 6
        steps = np.flatnonzero(~graph.doubted & (graph.newer == graph.older + 1))
        edges = Edges(
            older=np.append(graph.older[steps], edge.older),
            newer=np.append(graph.newer[steps], edge.newer),
            motion=np.concatenate((graph.motion[steps], edge.motion[None])),
            log_scale=np.append(graph.log_scale[steps], edge.log_scale),
            covariance=np.concatenate(
                (_OVERCONFIDENT**2 * graph.covariance[steps], edge.covariance[None])
            ),
            doubted=np.append(graph.doubted[steps], True),
        )
        return bool(surprises(place.poses, place.log_scale, edges, size)[-1] < GATE[size])

    def _join(self, edge: Edge) -> None:
        """Move what is mapped now to where the first loop with the rest of the map has it."""
        place = self.place
        own = [k for k, one in enumerate(place.keyframes) if one.session == self._session]
        motion = scaled(edge.motion, np.exp(place.log_scale[edge.older]))
        target = place.poses[edge.older] @ motion
        grown = place.log_scale[edge.older] + edge.log_scale - place.log_scale[edge.newer]
        self._carry(np.array(own), edge.newer, target, float(grown))
        self.joined = True
        if self._run is not None:  # it knows nothing of this: what it was for waits again
            self._waiting = [*self._run.loops, *self._waiting]
            self._run = None

    def _begin(self) -> _Run:
        place = self.place
        graph = self._table.of(place)
        graph = Edges(**{one.name: getattr(graph, one.name).copy() for one in fields(graph)})
        given = place.poses.copy(), graph, place.log_scale.copy(), place.scaled
        if self._beside is None:
            answer: Future[Agreement] = Future()
            answer.set_result(_agreement(*given))
        else:
            answer = self._beside.submit(_agreement, *given)
        loops, self._waiting = self._waiting, []
        return _Run(answer=answer, keyframes=len(place), loops=loops)

    def _take(self, run: _Run) -> list[Edge]:
        """Let the map be as it was solved; return the loops that are believed."""
        place = self.place
        solved, last = run.answer.result(), run.keyframes - 1
        session = place.keyframes[last].session
        since = [k for k in range(last + 1, len(place)) if place.keyframes[k].session == session]
        grown = float(solved.log_scale[last] - place.log_scale[last])
        self._carry(np.array([*since, last], np.int64), last, solved.poses[last], grown)
        place.poses = np.concatenate((solved.poses, place.poses[last + 1 :]))
        place.log_scale = np.concatenate((solved.log_scale, place.log_scale[last + 1 :]))
        place.trusted[: len(solved.weights)] = [bool(weight > 0) for weight in solved.weights]
        place.landmarks = Landmarks.none()  # they are where they were
        self.solved = last, solved.covariance
        return self._believe(run.loops)

    def _believe(self, loops: list[_Loop]) -> list[Edge]:
        """Merge landmarks of the loops that are trusted; return these."""
        place, closed = self.place, []
        for loop in loops:
            if place.trusted[loop.edge]:
                merge(place, loop.candidate, loop.newest, loop.seen)
                closed.append(place.edges[loop.edge])
                self.reason = 'a loop was closed'
            else:
                self.reason = 'the rest of the map contradicts it'
                self.refused[self.reason] += 1
        return closed

    def _carry(self, keyframes: Indices, leader: int, target: Matrix, grown: float) -> None:
        """Move keyframes with one of them, and lengthen what is between them.

        Args:
            keyframes: Which.
            leader: The one.
            target: ``(4, 4)`` where it is to be.
            grown: Logarithm of the factor.
        """
        place = self.place
        change = target @ inverse(place.poses[leader])
        middle = place.poses[leader][:3, 3].copy()
        poses = place.poses[keyframes].copy()
        poses[:, :3, 3] = middle + np.exp(grown) * (poses[:, :3, 3] - middle)
        place.poses[keyframes] = change @ poses
        place.log_scale[keyframes] += grown


def _agreement(poses: Matrix, edges: Edges, log_scale: Matrix, scaled: bool) -> Agreement:
    """Solve the map.

    What SciPy factorised must end in the thread that it began in: its memory is that thread's own
    business, and would never be given back from another.
    """
    solved = solve(poses, edges, log_scale=log_scale, scaled=scaled)
    return Agreement(
        poses=solved.poses,
        log_scale=solved.log_scale,
        weights=solved.weights,
        covariance=solved.covariance(np.array([len(poses) - 1]))[:6, :6],
    )
