"""DeepVO: images in, the pose and the velocity of the body that carries the camera out."""

from __future__ import annotations

from typing import Any

from dlcv.estimation.tasks.base import Estimator, settings
from dlcv.estimation.tasks.odometry import OdometryTask
from dlcv.interface.nodes import DEEPVO
from dlcv.interface.odometry_parameters import DeepVOParameters
from dlcv.types import Frame, Lost, Motion

_BODY_TO_CAMERA = (1, 2, 0, 4, 5, 3)  # deviations: camera x y z lie along body -y -z x


class DeepVOTask(OdometryTask[DeepVOParameters]):
    """Odometry by the motions that a recurrent network reads off pairs of frames."""

    spec = DEEPVO

    def load(self, device: str, precision: str) -> Estimator:
        """Build the estimator."""
        from dlcv.estimation.load import load_odometry

        return load_odometry(settings=self._estimator_settings(), **self.loading(device, precision))

    def retune(self) -> None:
        """Hand changed limits on."""
        self.estimator.settings = self._estimator_settings()

    def estimate(self, frame: Frame) -> Motion | Lost | None:
        """Run the network."""
        found: Motion | Lost | None = self.estimator.push(frame)
        return found

    def _estimator_settings(self) -> Any:
        from dlcv.estimation.deepvo import OdometrySettings

        p = self.parameters
        in_camera = tuple(p.twist_stddev[axis] for axis in _BODY_TO_CAMERA)
        return settings(OdometrySettings, p, twist_stddev=in_camera)
