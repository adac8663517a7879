"""A recording without poses to a map of its place: odometry, loops, landmarks.

What `dlcv map` runs where nobody else says where the camera was. Where the recording has poses they
take the place of odometry: its steps are theirs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dlcv.estimation.load import load_features, load_visual_odometry
from dlcv.estimation.slam.accuracy import common_error
from dlcv.estimation.slam.mapping import Mapper, MapSettings
from dlcv.estimation.slam.place import PlaceMap
from dlcv.estimation.slam.places import Describer
from dlcv.estimation.slam.views import view_of
from dlcv.estimation.superpoint import FeatureEstimator, FeatureSettings
from dlcv.estimation.visual_odometry import VisualOdometry, VisualOdometrySettings
from dlcv.geometry.frames import BODY_FROM_OPTICAL
from dlcv.training.maps.learning import Report
from dlcv.training.recipe import TrainError
from dlcv.types import Aids, DepthMap, FloatArray, Keypoints, Lost, Recording, Snapshot, Trajectory

Matrix = npt.NDArray[np.float64]

_GIVEN = np.repeat((0.005, 0.002), 3)  # m and rad by which a step of given poses is off
_FEWEST = 6  # keyframes that make a map
_DENSER = 0.93, 0.05  # overlap and shift of keyframes where each pose has an error of its own


@dataclass(frozen=True, kw_only=True, slots=True)
class SurveyConfig:
    """How a recording becomes a map.

    Attributes:
        frame: Name that the map's frame is given.
        every: Every how many-th picture is looked at.
        max_keypoints: Strongest points of a picture.
        camera_height: Of the camera over flat ground, metres; 0 where it is not known.
        given: Whether poses of the recording are used where it has any.
        keyframes: When a picture becomes one.
    """

    frame: str = 'map'
    every: int = 1
    max_keypoints: int = 800
    camera_height: float = 0.0
    given: bool = True
    keyframes: MapSettings = field(default_factory=MapSettings)

    def __post_init__(self) -> None:
        if not self.frame or self.every < 1 or self.max_keypoints < 50:
            raise TrainError(
                'a map needs the name of its frame, every >= 1 and max_keypoints >= 50, got '
                f'{self.frame!r}, {self.every} and {self.max_keypoints}'
            )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Survey:
    """What came of a recording.

    Attributes:
        place: The map.
        path: Where the pictures were, by the map.
        odometry: ``(T, 4, 4)`` where odometry had them.
        pictures: How many there were.
        lost: Why odometry was lost -> in how many pictures.
        refused: Why candidates for loops were none -> how many.
        metre: What the metre comes from.
    """

    place: PlaceMap
    path: Trajectory
    odometry: FloatArray
    pictures: int
    lost: dict[str, int]
    refused: dict[str, int]
    metre: str


def survey(
    recording: Recording,
    describer: Describer,
    config: SurveyConfig | None = None,
    report: Report = lambda _what, _done, _of: None,
    *,
    place: PlaceMap | None = None,
    device: str = 'cpu',
    weights: str | Path = '',
) -> Survey:
    """Make a map of a recording.

    Args:
        recording: Pictures with a camera; with right pictures, depth or poses where there are any.
        describer: Says what pictures look like as wholes.
        config: How.
        report: Told how far it is.
        place: A map to go on with, which is changed; a new one by default.
        device: Where networks run.
        weights: Of SuperPoint; the shipped ones by default.

    Raises:
        TrainError: Too little of it could be followed.
    """
    config = config or SurveyConfig()
    walk = begun(
        describer, config, baseline=recording.baseline, place=place, device=device, weights=weights
    )
    for number, snapshot in enumerate(recording):
        if number % config.every == 0:
            walk.take(snapshot)
        report(f'follow {recording.name}', number + 1, len(recording))
    return walk.result(recording.name)


def begun(
    describer: Describer,
    config: SurveyConfig,
    *,
    baseline: float = 0.0,
    place: PlaceMap | None = None,
    device: str = 'cpu',
    weights: str | Path = '',
) -> Walk:
    """Return what makes a map of one picture after the other; see `survey`.

    Args:
        describer: Says what pictures look like as wholes.
        config: How.
        baseline: Of the right pictures, metres.
        place: A map to go on with, which is changed; a new one by default.
        device: Where networks run.
        weights: Of SuperPoint; the shipped ones by default.

    Raises:
        TrainError: The map to go on with describes places by something else.
    """
    if place is not None and place.described != describer.name:
        raise TrainError(
            f'the map describes places by {place.described}, which cannot be compared with '
            f'{describer.name}'
        )
    features = load_features(
        weights, FeatureSettings(max_keypoints=config.max_keypoints), device=device
    )
    settings = VisualOdometrySettings(
        max_keypoints=config.max_keypoints,
        max_frame_interval=np.inf,
        camera_height=config.camera_height,
    )
    follower = _Follower(
        lambda: load_visual_odometry(weights, settings, device=device), given=config.given
    )
    return Walk(config, features, follower, describer, baseline, place)


class _Follower:
    """Where the camera is: by poses that are given, else by visual odometry."""

    def __init__(self, load: Callable[[], VisualOdometry], *, given: bool) -> None:
        self._load, self._wanted = load, given
        self.given: bool | None = None  # whether the poses are those of the recording

    @cached_property
    def odometry(self) -> VisualOdometry:
        """Visual odometry, for recordings without poses."""
        return self._load()

    @property
    def metre(self) -> str:
        """What lengths come from."""
        return 'poses' if self.given else self.odometry.tracking.scale_source

    def follow(self, snapshot: Snapshot, aids: Aids) -> tuple[Matrix, Matrix] | str:
        """Return pose and covariance of the step to a picture; or why there is none."""
        pose = snapshot.world_from_camera
        if self.given is None:
            self.given = self._wanted and pose is not None
        if self.given:
            if pose is None:
                return 'the recording has no pose of it'
            return np.asarray(pose, np.float64), np.diag(np.square(_GIVEN))
        answer = self.odometry.push(snapshot.frame, aids)
        if isinstance(answer, Lost):
            return answer.reason
        # z of a map is up, as the node slam has it: the camera is taken to be level at first
        at = BODY_FROM_OPTICAL @ np.array(self.odometry.odom_from_camera, np.float64)
        if answer is None:
            return at, np.zeros((6, 6))
        return at, np.asarray(answer.covariance, np.float64)


class Walk:
    """Makes a map of one picture after the other."""

    def __init__(
        self,
        config: SurveyConfig,
        features: FeatureEstimator,
        follower: _Follower,
        describer: Describer,
        baseline: float,
        place: PlaceMap | None,
    ) -> None:
        self.place = place
        self.config, self.features, self.follower = config, features, follower
        self.describer, self.baseline = describer, baseline
        self.mapper: Mapper | None = None
        self.poses: list[Matrix] = []
        self.lost: Counter[str] = Counter()
        self.pictures = 0

    def take(self, snapshot: Snapshot, keypoints: Keypoints | None = None) -> None:
        """Take the next picture, with what was measured beside it.

        Args:
            snapshot: The picture; with a right one, depth or a pose where there are any.
            keypoints: Of the picture, where they are known already.

        Raises:
            TrainError: It has no camera.
        """
        self.pictures += 1
        frame = snapshot.frame
        if frame.camera is None:
            raise TrainError('a map needs pictures of a calibrated camera')
        keypoints = self.features.push(frame) if keypoints is None else keypoints
        aids = self._aids(snapshot, keypoints)
        found = self.follower.follow(snapshot, aids)
        if isinstance(found, str):
            self.lost[found] += 1
            return
        if self.mapper is None:
            settings = self._settings(aids)
            place = self.place or PlaceMap(
                frame=self.config.frame, described=self.describer.name, scaled=settings.scaled
            )
            self.mapper = Mapper(settings, place)
        pose, covariance = found
        self.poses.append(pose)
        if self.mapper.step(frame.stamp_ns, pose, covariance):
            self.mapper.keep(view_of(frame, keypoints, aids, self.describer))

    def result(self, name: str) -> Survey:
        """Return the map of all pictures, which come from something of that name.

        Raises:
            TrainError: Too little could be followed.
        """
        mapper = self.mapper
        if mapper is None or len(mapper.place) < _FEWEST:
            keyframes = 0 if mapper is None else len(mapper.place)
            why = max(self.lost, key=lambda one: self.lost[one], default='the camera hardly moved')
            raise TrainError(
                f'{name}: {keyframes} keyframes in {self.pictures} pictures; a map needs {_FEWEST} '
                f'({why})'
            )
        place = mapper.finish()
        place.common = common_error(place)
        if not mapper.joined:
            raise TrainError(f'{name}: none of it was recognised in the map that it is added to')
        source = f'{name} ({self.pictures} pictures)'
        place.source = f'{place.source}, {source}' if place.source else source
        return Survey(
            place=place,
            path=mapper.path(),
            odometry=np.stack(self.poses),
            pictures=self.pictures,
            lost=dict(self.lost),
            refused=dict(mapper.refused),
            metre=self.follower.metre,
        )

    def _settings(self, aids: Aids) -> MapSettings:
        """Let each keyframe have a unit of its own where nothing measures one for all."""
        kept = self.config.keyframes
        held = bool(self.follower.given) and self.place is None
        if held:
            kept = replace(
                kept, overlap=max(kept.overlap, _DENSER[0]), shift=min(kept.shift, _DENSER[1])
            )
        measured = aids.right is not None or aids.depth is not None or self.config.camera_height > 0
        return replace(
            kept,
            loops=replace(kept.loops, likeness=self.describer.likeness),
            scaled=not (measured or self.follower.given),
            held=held,
        )

    def _aids(self, snapshot: Snapshot, keypoints: Keypoints) -> Aids:
        camera, depth = snapshot.frame.camera, None
        assert camera is not None
        stereo = snapshot.right is not None and self.baseline > 0
        if snapshot.depth is not None:
            height, width = snapshot.depth.shape
            depth = DepthMap(
                stamp_ns=snapshot.frame.stamp_ns,
                disparity=np.broadcast_to(np.float32(np.nan), snapshot.depth.shape),
                depth=snapshot.depth,
                camera=camera.scaled(width, height).undistorted(),
            )
        return Aids(
            keypoints=keypoints,
            right=snapshot.right if stereo else None,
            baseline=self.baseline if stereo else 0.0,
            depth=None if stereo else depth,
        )
