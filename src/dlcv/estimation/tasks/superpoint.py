"""Interest points: images in; keypoints with descriptors, and matches to the last image, out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dlcv.estimation.tasks.base import Estimator, Task, settings
from dlcv.interface.nodes import SUPERPOINT
from dlcv.interface.parameters import SuperPointParameters
from dlcv.types import ByteImage, Frame, Keypoints, Matches

KEYPOINTS, MATCHES, MARKERS, OVERLAY = '~/keypoints', '~/matches', '~/markers', '~/overlay'


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """What is published for one image; no matches where there was no image before."""

    keypoints: Keypoints
    matches: Matches | None


class FeatureTask(Task[SuperPointParameters, Features]):
    """Finds keypoints; remembers the last ones to match with."""

    spec = SUPERPOINT
    needs_camera = False

    _previous: Keypoints | None = None

    def load(self, device: str, precision: str) -> Estimator:
        """Build the estimator."""
        from dlcv.estimation.load import load_features
        from dlcv.estimation.superpoint import FeatureSettings

        return load_features(
            settings=settings(FeatureSettings, self.parameters), **self.loading(device, precision)
        )

    def infer(self, frame: Frame) -> Features:
        """Detect, and match when somebody wants to see it."""
        keypoints = self.estimator.push(frame)
        previous, self._previous = self._previous, keypoints
        if previous is None or not (self.wanted(MATCHES) or self.wanted(OVERLAY)):
            return Features(keypoints, None)
        return Features(keypoints, self.estimator.match(previous, keypoints))

    def publish(self, frame: Frame, header: Any, result: Features) -> None:
        """Send what is listened to."""
        keypoints, matches, make = result.keypoints, result.matches, self.compose
        if self.wanted(KEYPOINTS) and self.host.hand(KEYPOINTS, header, keypoints):
            kind = self.parameters.descriptor_format
            self.send(KEYPOINTS, make.keypoint_cloud(header, keypoints, kind))
        if self.wanted(MATCHES) and matches is not None:
            self.send(MATCHES, make.match_cloud(header, matches))
        if self.wanted(MARKERS):
            self.send(MARKERS, make.keypoint_marker(header, keypoints.xy))
        if self.wanted(OVERLAY):
            self.send(OVERLAY, make.image(header, _drawn(frame, result)))

    def reset(self) -> None:
        """Forget the last keypoints."""
        self._previous = None


def _drawn(frame: Frame, result: Features) -> ByteImage:
    from dlcv.view.features import draw_keypoints, draw_tracks

    picture = draw_keypoints(frame.image, result.keypoints.xy, result.keypoints.scores)
    if result.matches is None:
        return picture
    return draw_tracks(picture, result.matches.previous_xy, result.matches.xy)
