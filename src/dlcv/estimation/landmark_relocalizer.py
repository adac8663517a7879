"""A frame to the camera's pose on landmarks: by scene coordinates where there are, else by places.

A map of landmarks in the place of one of scene coordinates, for whoever relocalizes.
"""

from __future__ import annotations

import numpy as np

from dlcv.estimation.base import Origin
from dlcv.estimation.dsac import (
    RelocalizationError,
    RelocalizationEstimator,
    RelocalizationSettings,
)
from dlcv.estimation.slam.locate import Localizer, Located
from dlcv.estimation.slam.place import PlaceMap
from dlcv.estimation.slam.places import Describer
from dlcv.estimation.superpoint import FeatureEstimator
from dlcv.networks.place import Place
from dlcv.types import Camera, FloatArray, Frame, Localization

_FOCAL = 1.5  # times shorter or longer than the map's cameras, within which points look alike


class LandmarkRelocalizer:
    """Finds frames in a map of landmarks.

    Args:
        known: The map.
        features: Finds keypoints as the map has them.
        describer: Says what pictures look like as wholes, as the map's were described.
        settings: May be replaced between two frames; those of the consensus are the head's.
        head: Scene coordinates of the same place, whose pose is tried first; None for none.

    Attributes:
        place: Where the map is, and for which cameras.
        origin: Its file.
    """

    def __init__(
        self,
        known: PlaceMap,
        features: FeatureEstimator,
        describer: Describer,
        settings: RelocalizationSettings | None = None,
        head: RelocalizationEstimator | None = None,
    ) -> None:
        self._features, self._describer, self._head = features, describer, head
        self._localizer = Localizer(known)
        self._settings = settings or RelocalizationSettings()
        self.place = extent_of(known)
        self.device = features.device
        self.origin = Origin()

    @property
    def settings(self) -> RelocalizationSettings:
        """How a pose is searched and which poses are believed."""
        return self._settings

    @settings.setter
    def settings(self, settings: RelocalizationSettings) -> None:
        self._settings = settings
        if self._head is not None:
            self._head.settings = settings

    def misfit(self, camera: Camera) -> str:
        """Say why the map is not one for a camera; empty if it is."""
        return self.place.camera_misfit(camera)

    def push(self, frame: Frame, *, prior: FloatArray | None = None) -> Localization:
        """Find the camera's pose in the map.

        Args:
            frame: The picture, with its camera.
            prior: ``(4, 4)`` map_from_camera where the camera is believed to be, for the gate.

        Returns:
            The pose, or why there is none.

        Raises:
            RelocalizationError: If the frame has no camera, or one that the head is not for.
        """
        if frame.camera is None:
            raise RelocalizationError('a pose needs the camera: the frame has no calibration')
        if problem := self.misfit(frame.camera):
            raise RelocalizationError(problem)
        keypoints = self._features.push(frame)
        looks = self._describer.describe(frame, keypoints)
        guess = None if self._head is None else self._head.push(frame)
        near = None if guess is None else guess.accepted_pose
        beliefs = [] if near is None else [near]
        found = self._localizer.locate(keypoints, frame.camera, looks, beliefs)
        how = 'by places' if near is None else 'from scene coordinates'
        return self._answer(frame, found, how, guess, prior)

    def reset(self) -> None:
        """Nothing to do: frames are independent of each other."""

    def warm_up(self, width: int, height: int, camera: Camera | None = None) -> None:
        """Run on made-up pictures of the size to come: the first real one is as fast as any."""
        self._features.warm_up(width, height, camera)
        if self._head is not None:
            self._head.warm_up(width, height, camera)

    def _answer(
        self,
        frame: Frame,
        found: Located,
        how: str,
        guess: Localization | None,
        prior: FloatArray | None,
    ) -> Localization:
        pose, refusal = found.map_from_camera, ''
        if pose is None:
            refusal = found.reason
        elif prior is not None and self.settings.prior_gate_distance > 0:
            away = float(np.linalg.norm(pose[:3, 3] - prior[:3, 3]))
            if away > self.settings.prior_gate_distance:
                refusal = (
                    f'{away:.2f} m from where the camera was believed to be; '
                    f'{self.settings.prior_gate_distance:g} m are allowed'
                )
        if refusal and guess is not None and not guess.accepted:
            refusal = f'{refusal}; scene coordinates: {guess.reason}'
        none = np.empty((0, 0, 3), np.float32)
        return Localization(
            stamp_ns=frame.stamp_ns,
            accepted=not refusal,
            reason=refusal or f'{found.reason}, {how}',
            map_from_camera=pose,
            covariance=found.covariance,
            inliers=found.inliers,
            inlier_ratio=found.inliers / max(1, found.matches),
            scene_coordinates=none if guess is None else guess.scene_coordinates,
            hypotheses=np.empty((0, 4, 4)) if pose is None else pose[None],
            scores=np.full(0 if pose is None else 1, float(found.inliers)),
            tries=0 if guess is None else guess.tries,
        )


def extent_of(known: PlaceMap) -> Place:
    """Return where a map is, and for which cameras: those that made it, and the like.

    Raises:
        ValueError: The map has no keyframes.
    """
    if not len(known):
        raise ValueError('the map has no keyframes')
    focal = [one.camera.fy / one.camera.height for one in known.keyframes]
    at = known.poses[:, :3, 3]
    low, high = at.min(axis=0).tolist(), at.max(axis=0).tolist()
    return Place(
        frame=known.frame,
        focal=(min(focal) / _FOCAL, max(focal) * _FOCAL),
        low=(low[0], low[1], low[2]),
        high=(high[0], high[1], high[2]),
        pictures=len(known),
        source=known.source,
    )
