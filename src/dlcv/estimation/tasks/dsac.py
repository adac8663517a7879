"""Relocalization: images in, the pose in a known scene out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from dlcv.estimation.body import compounded
from dlcv.estimation.tasks.base import Estimator, Host, Level, Task, Verdict, settings
from dlcv.estimation.tasks.order import Pace
from dlcv.geometry.frames import Mount, TransformBuffer, inverse
from dlcv.interface.messages import Composer
from dlcv.interface.nodes import DSAC
from dlcv.interface.parameters import DsacParameters
from dlcv.types import Camera, Frame, Localization

POSE, HYPOTHESES, INITIALPOSE = '~/pose', '~/hypotheses', 'initialpose'
LEAST_VARIANCE = 1e-9

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Fix:
    """An answer of the relocalizer, for the body instead of the camera.

    Attributes:
        found: The answer.
        map_from_base: ``(4, 4)`` pose of the body in metres; None if there is none.
        covariance: ``(6, 6)`` of it in map axes.
    """

    found: Localization
    map_from_base: Matrix | None = None
    covariance: Matrix | None = None

    @property
    def accepted(self) -> bool:
        """Whether there is a pose that is believed."""
        return (
            self.found.accepted and self.map_from_base is not None and self.covariance is not None
        )


class RelocalizationTask(Task[DsacParameters, Fix]):
    """Carries images to a relocalizer and says where the body is.

    Attributes:
        frames: Where the camera sits; whoever runs the task fills it.
        prior: ``(4, 4)`` map_from_base where the body is believed to be; None for anywhere.
        asked: Whether somebody asked for the pose that is published next; whoever runs the task
            says so.
    """

    spec = DSAC

    def __init__(self, host: Host, compose: Composer) -> None:
        super().__init__(host, compose)
        self.frames = TransformBuffer()
        self.prior: Matrix | None = None
        self.asked = False
        self._seed: Matrix | None = None  # the last pose on initialpose, while somebody listens
        self._mount = Mount(self.frames, host.warn)
        self._pace = Pace()

    def load(self, device: str, precision: str) -> Estimator:
        """Build the estimator; a map of another frame is refused."""
        from dlcv.estimation.dsac import RelocalizationError, RelocalizationSettings
        from dlcv.estimation.load import load_relocalization

        made = load_relocalization(
            settings=settings(RelocalizationSettings, self.parameters),
            **self.loading(device, precision),
        )
        if made.place and (problem := made.place.frame_misfit(self.parameters.map_frame)):
            raise RelocalizationError(f'{made.origin.path}: {problem} (parameter map_frame)')
        return made

    def misfit(self, camera: Camera) -> str:
        """Say that the map was made for other cameras."""
        return str(self.estimator.misfit(camera))

    def due(self, stamp_ns: int) -> bool:
        """In mode continuous, compute at the rate."""
        if self.parameters.mode != 'continuous':
            return False
        return self._pace.due(stamp_ns, self.parameters.rate)

    def infer(self, frame: Frame) -> Fix:
        """Find the pose."""
        mount = self._mount.base_from_camera(
            self.parameters.base_frame, frame.frame_id, frame.stamp_ns
        )
        prior = None if self.prior is None else self.prior @ mount
        found = self.estimator.push(frame, prior=prior)
        if found.map_from_camera is None or found.covariance is None:
            return Fix(found)
        none = np.zeros((6, 6))  # where the camera sits is taken as exact
        pose, spread = compounded(found.map_from_camera, found.covariance, inverse(mount), none)
        lacking = np.maximum(LEAST_VARIANCE - np.diag(spread), 0)
        return Fix(found, pose, spread + np.diag(lacking))

    def publish(self, frame: Frame, header: Any, result: Fix) -> None:
        """Send the pose if it is accepted, the hypotheses anyhow."""
        found, p = result.found, self.parameters
        in_map = self.compose.header_in(p.map_frame, header.stamp)
        if self.wanted(HYPOTHESES):
            finite = [pose for pose in found.hypotheses if np.isfinite(pose).all()]
            self.send(HYPOTHESES, self.compose.pose_array(in_map, finite))
        if not result.accepted:
            self.host.judge(Verdict(Level.WARN, f'rejected: {found.reason}'))
            return
        assert result.map_from_base is not None
        assert result.covariance is not None
        self.host.judge(None)
        message = self.compose.pose_with_covariance(in_map, result.map_from_base, result.covariance)
        self.send(POSE, message)
        if p.publish_initialpose and self._seeds(result.map_from_base):
            self.send(INITIALPOSE, message)

    def reset(self) -> None:
        """Forget the prior and what moves."""
        self.prior, self._pace, self._seed = None, Pace(), None
        self.frames.clear_moving()
        self.host.judge(None)

    def _seeds(self, pose: Matrix) -> bool:
        """Whether a filter is to start anew at a pose: each start throws away what it knew."""
        if not self.wanted(INITIALPOSE):
            self._seed = None  # whoever comes has heard of none
            return False
        p, last = self.parameters, self._seed
        if last is not None and not self.asked:
            apart = inverse(last) @ pose
            turn = Rotation.from_matrix(apart[:3, :3]).magnitude()
            far = np.linalg.norm(apart[:3, 3]) >= p.initialpose_min_distance
            if not far and turn < p.initialpose_min_angle:
                return False
        self._seed = pose
        return True

    def interrupt(self) -> None:
        """Nothing to do: images are independent of each other."""
