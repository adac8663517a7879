"""What ``dlcv bench slam`` does with a walk: maps it by pictures alone, and judges the map."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from time import process_time
from typing import Literal

import numpy as np
import numpy.typing as npt

from dlcv.estimation.slam.graph import solve
from dlcv.estimation.slam.locate import Localizer
from dlcv.estimation.slam.place import Edge
from dlcv.estimation.slam.places import HashedVlad
from dlcv.evaluation.bench.odometry_methods import seen
from dlcv.evaluation.bench.odometry_ways import DepthCamera
from dlcv.metrics.trajectory import PosePairs, Similarity, absolute_errors, align, motion_error
from dlcv.training.maps.survey import Survey, SurveyConfig, begun
from dlcv.types import FloatArray, Keypoints, Snapshot
from dlcv.view.trajectory import path_length

Matrix = npt.NDArray[np.float64]
Aid = Literal['depth', 'stereo']

AIDS: tuple[Aid, ...] = ('depth', 'stereo')
WRONG = 1.0, 15.0
"""Metres or degrees from which on a loop is of another place, not of one that is seen vaguely."""

_FAR = 10  # keyframes, at least, between the two that a false loop takes for one place
_APART = 1.0  # metres, at least, likewise


class Mapping:
    """Maps a walk, of which it is told nothing but pictures and what measures the metre.

    Args:
        aid: What that is.
        depth: What a depth camera makes of the true depth.
        baseline: Of the right pictures, metres.
    """

    def __init__(self, aid: Aid, depth: DepthCamera, baseline: float) -> None:
        self.aid = aid
        self._depth, self._noise = depth, np.random.default_rng(0)
        config = SurveyConfig(given=False)
        self._describer = HashedVlad()
        self._walk = begun(self._describer, config, baseline=baseline)
        self._truth: dict[int, FloatArray] = {}
        self.seconds: list[float] = []

    def take(self, view: Snapshot, keypoints: Keypoints) -> None:
        """Take the next picture."""
        assert view.world_from_camera is not None
        self._truth[view.frame.stamp_ns] = view.world_from_camera
        told = replace(view, world_from_camera=None, flow=None)
        if self.aid == 'depth':
            assert view.depth is not None
            told = replace(told, right=None, depth=seen(view.depth, self._depth, self._noise))
        begin = process_time()
        self._walk.take(told, keypoints)
        self.seconds.append(process_time() - begin)

    def result(self, name: str) -> Mapped:
        """Return what came of it.

        Raises:
            TrainError: Too little of it could be followed.
        """
        return Mapped(self._walk.result(name), self._truth, self._describer)


class Mapped:
    """A map of a walk, beside the truth.

    Args:
        survey: The map and the way.
        truth: Stamp -> ``(4, 4)`` world_from_camera.
        describer: Of its places.
    """

    def __init__(self, survey: Survey, truth: dict[int, FloatArray], describer: HashedVlad) -> None:
        self.survey, self.truth = survey, truth
        self._describer = describer

    @cached_property
    def _localizer(self) -> Localizer:
        return Localizer(self.survey.place)

    @property
    def way(self) -> float:
        """Length of the true way, metres."""
        return path_length(np.stack(list(self.truth.values())))

    @property
    def off(self) -> tuple[float, float]:
        """ATE of odometry and of the map, metres, each after the best rigid motion."""
        survey, stamps = self.survey, self.survey.path.stamps_ns
        both = survey.odometry, survey.path.world_from_body
        odometry, path = (absolute_errors(self._pairs(stamps, poses), 'se3').rmse for poses in both)
        return odometry, path

    @cached_property
    def world_from_map(self) -> Similarity:
        """The best rigid motion of the map's path onto the true one."""
        path = self.survey.path
        return align(self._pairs(path.stamps_ns, path.world_from_body), 'se3')

    @property
    def false_loops(self) -> int:
        """How many of the loops that are believed are `WRONG`."""
        errors = [
            motion_error(edge.motion, self._between(edge.older, edge.newer))
            for edge in self.survey.place.loops
        ]
        metres, degrees = WRONG
        return sum(
            bool(np.linalg.norm(one[:3]) > metres or np.degrees(np.linalg.norm(one[3:])) > degrees)
            for one in errors
        )

    @property
    def keyframes_off(self) -> float:
        """ATE of the keyframes, metres."""
        poses = self.survey.place.poses
        return absolute_errors(self._pairs(self._keyframe_stamps, poses), 'se3').rmse

    def injected(self, count: int) -> list[tuple[bool, float]]:
        """Tell the map false loops, each by itself: two places are said to be one.

        As exact as its own loops say that they are, and past all guards but the graph's.

        Returns:
            Of each, whether it was believed, and the ATE of the keyframes afterwards in metres.
        """
        place, rng = self.survey.place, np.random.default_rng(0)
        whole = np.diag(np.square((*(0.02,) * 3, *(0.005,) * 3, 1.0)))
        if place.loops:
            own = sorted(place.loops, key=lambda edge: float(np.trace(edge.covariance[:3, :3])))
            whole = own[len(own) // 2].covariance
        stamps = self._keyframe_stamps
        found: list[tuple[bool, float]] = []
        while len(found) < count:
            older, newer = sorted(rng.integers(0, len(place), 2).tolist())
            apart = np.linalg.norm(place.poses[older, :3, 3] - place.poses[newer, :3, 3])
            if newer - older < _FAR or apart < _APART:
                continue
            wrong = Edge(
                older=older,
                newer=newer,
                motion=np.eye(4),
                log_scale=0.0,
                covariance=whole,
                loop=True,
            )
            told = replace(place, edges=[*place.edges, wrong])
            solved = solve(place.poses, told.graph())
            off = absolute_errors(self._pairs(stamps, solved.poses), 'se3').rmse
            found.append((bool(solved.weights[-1] > 0), off))
        return found

    def locate(
        self, view: Snapshot, keypoints: Keypoints
    ) -> tuple[FloatArray | None, FloatArray | None, float]:
        """Look a picture of another walk up.

        Returns:
            ``(4, 4)`` world_from_camera and its ``(6, 6)`` covariance, None where it was refused;
            and seconds of the CPU that it took.
        """
        camera = view.frame.camera
        assert camera is not None
        begin = process_time()
        looks = self._describer.describe(view.frame, keypoints)
        found = self._localizer.locate(keypoints, camera, looks)
        took = process_time() - begin
        if found.map_from_camera is None or found.covariance is None:
            return None, None, took
        pose = self.world_from_map(found.map_from_camera[None])[0]
        turn = np.kron(np.eye(2), self.world_from_map.rotation)
        return pose, turn @ found.covariance @ turn.T, took

    @property
    def _keyframe_stamps(self) -> npt.NDArray[np.int64]:
        return np.array([one.stamp_ns for one in self.survey.place.keyframes], np.int64)

    def _between(self, older: int, newer: int) -> FloatArray:
        frames = self.survey.place.keyframes
        first, last = (self.truth[frames[k].stamp_ns] for k in (older, newer))
        return np.asarray(np.linalg.inv(first) @ last)

    def _pairs(self, stamps: npt.NDArray[np.int64], poses: FloatArray) -> PosePairs:
        truth = np.stack([self.truth[stamp] for stamp in stamps.tolist()])
        return PosePairs(stamps_ns=stamps, estimate=poses, truth=truth)
