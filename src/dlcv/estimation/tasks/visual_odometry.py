"""Visual odometry: images and what is measured beside them in, odometry of the body out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dlcv.estimation.body import BodyState, swung
from dlcv.estimation.tasks.aids import KEYPOINTS, AidReader, Mask, of_use
from dlcv.estimation.tasks.base import Estimator, Host, Level, settings
from dlcv.estimation.tasks.odometry import Matrix, OdometryTask
from dlcv.geometry.frames import inverse
from dlcv.interface.messages import Composer
from dlcv.interface.nodes import VISUAL_ODOMETRY, Topic
from dlcv.interface.odometry_parameters import VisualOdometryParameters
from dlcv.types import Aids, FloatArray, Frame, Lost, Motion, Tracking

if TYPE_CHECKING:
    from dlcv.estimation.monodepth import DepthEstimator

INFO, TRACKS, LANDMARKS = '~/info', '~/tracks', '~/landmarks'
QUIET_NS = 5_000_000_000  # between two words about what the metre comes from
_LANDMARK = np.dtype([(name, '<f4') for name in ('x', 'y', 'z', 'stddev')])


class VisualOdometryTask(OdometryTask[VisualOdometryParameters]):
    """Odometry by features and geometry, with the help of what is measured beside the images."""

    spec = VISUAL_ODOMETRY

    def __init__(self, host: Host, compose: Composer) -> None:
        super().__init__(host, compose)
        self._reader = AidReader(
            self.beside, self.frames, self.mount, lambda: self.parameters, host.complain
        )
        self._aids = Aids()
        self._network: DepthEstimator | None = None
        self._last_ns: int | None = None
        self._passed_by = 0
        self._said = 'none', 0  # what the metre comes from, and when that was said

    def load(self, device: str, precision: str) -> Estimator:
        """Build the estimator."""
        from dlcv.estimation.load import load_depth, load_visual_odometry

        p, loading = self.parameters, self.loading(device, precision)
        own = p.depth_source == 'own' and p.uses_depth
        how = {key: loading[key] for key in ('device', 'precision', 'engine')}
        self._network = load_depth(**how) if own else None
        made = load_visual_odometry(settings=self._estimator_settings(), **loading)
        made.points_come = p.keypoints != 'own'
        return made

    def configure(self) -> None:
        """Start at the origin; read the mask."""
        super().configure()
        path = self.parameters.mask
        self._reader.mask = read_mask(Path(path).expanduser()) if path else None

    def retune(self) -> None:
        """Hand changed settings on."""
        self.estimator.settings = self._estimator_settings()

    def listens(self, topic: Topic) -> bool:
        """Whether an input beside the images is of use under the present parameters."""
        return of_use(topic, self.parameters)

    @property
    def chooses(self) -> bool:
        """Whether keypoints come from another node, which may pass pictures by."""
        return self.parameters.keypoints != 'own'

    def choose(self, waiting: Sequence[int], seconds: float) -> int | None:
        """Return the newest picture whose keypoints have come.

        Which of them another node looks at is not known before: one that is slower than the camera
        passes most by. Where it has been silent for long, the newest is next, as without it.
        """
        if seconds >= self.parameters.network_patience:
            return len(waiting) - 1
        return self.beside.newest_of(KEYPOINTS, waiting)

    def gather(self, frame: Frame) -> None:
        """Wait for what is measured beside the image, and for where the camera is."""
        super().gather(frame)
        self._aids = self._reader.read(frame, self._last_ns)

    def infer(self, frame: Frame) -> BodyState | None:
        """Estimate the camera's motion and move the body by it; None while lost."""
        if self._aids.keypoints is None and self.parameters.keypoints == 'topic':
            self._passed_by += 1
            return None
        return super().infer(frame)

    def estimate(self, frame: Frame) -> Motion | Lost | None:
        """Run the estimator."""
        if self._network is not None and self._reader.depth_is_old(frame):
            self._reader.note_depth(frame)
            self._aids = replace(self._aids, depth=self._network.push(frame))
        found: Motion | Lost | None = self.estimator.push(frame, self._aids)
        self._last_ns = frame.stamp_ns
        if self.estimator.tracking.state == 'standing':
            self._reader.gyroscope.stands()
        self._say_scale(frame, self.estimator.tracking)
        return found

    def placed(self, frame: Frame, base_from_camera: Matrix) -> None:
        """Put the estimator where the camera is on the body, so that both have one odom frame."""
        pose, covariance = self.body.pose
        lever = pose[:3, :3] @ base_from_camera[:3, 3]
        self.estimator.set_pose(pose @ base_from_camera, swung(covariance, lever))

    def pose_covariance(self, answer: Motion | Lost, base_from_camera: Matrix) -> Matrix:
        """Return that of the estimator, which knows which of its errors stay the same."""
        covariance: FloatArray = self.estimator.pose_covariance
        if isinstance(answer, Lost):
            covariance = answer.pose_covariance
        lever = answer.odom_from_camera[:3, :3] @ inverse(base_from_camera)[:3, 3]
        return swung(covariance, lever)

    def reset(self) -> None:
        """Start anew at the origin."""
        super().reset()
        self._last_ns = None

    def interrupt(self) -> None:
        """Go on from the last pose."""
        super().interrupt()
        self._last_ns = None

    def values(self) -> dict[str, str]:
        """Return how it tracks, and what became of what was measured beside the images."""
        tracking: Tracking = self.estimator.tracking
        told = _described(tracking)
        return {
            **{key: told[key] for key in ('tracking', 'scale_source', 'scale', 'scale_stddev')},
            'passed_by': str(self._passed_by),
            **super().values(),
        }

    def tell(self, frame: Frame) -> None:
        """Send what is listened to of the state, found or lost."""
        tracking: Tracking = self.estimator.tracking
        if tracking.stamp_ns != frame.stamp_ns:  # the image was passed by
            return
        make, header = self.compose, self.compose.header(frame.stamp_ns, frame.frame_id)
        if self.wanted(INFO):
            level = Level.ERROR if tracking.state == 'lost' else Level.OK
            told = {
                'stamp': f'{frame.stamp_ns // 10**9}.{frame.stamp_ns % 10**9:09d}',
                'state': tracking.state,
                **_described(tracking),
                'reason': tracking.reason,
                'used': ' '.join(self._reader.used),
            }
            del told['tracking']
            text = ': '.join(filter(None, (tracking.state, tracking.reason)))
            self.send(INFO, make.diagnostic_status(level, self.spec.doc, text, told))
        if self.wanted(TRACKS):
            self.send(TRACKS, make.image(header, _drawn(frame, tracking)))
        if self.wanted(LANDMARKS):
            in_odom = make.header_in(self.parameters.odom_frame, header.stamp)
            self.send(LANDMARKS, make.cloud(in_odom, self._landmarks(frame, tracking)))

    def _say_scale(self, frame: Frame, tracking: Tracking) -> None:
        """Say that the metre comes from elsewhere, but not again and again."""
        before, at = self._said
        known = tracking.state not in ('starting', 'lost')
        if not known or tracking.scale_source == before or 0 <= frame.stamp_ns - at < QUIET_NS:
            return
        self._said = tracking.scale_source, frame.stamp_ns
        self.host.warn(f'the metre comes from: {tracking.scale_source} (before: {before})')

    def _landmarks(self, frame: Frame, tracking: Tracking) -> Any:
        """Return the landmarks where the published pose sees them: two_d_mode moves it."""
        pose, _ = self.body.pose
        mount = self.base_from_camera(frame)
        ours = pose @ mount @ inverse(self.estimator.odom_from_camera)
        points = np.empty(len(tracking.landmarks), _LANDMARK)
        moved: FloatArray = tracking.landmarks @ ours[:3, :3].T + ours[:3, 3]
        points['x'], points['y'], points['z'] = moved.T
        points['stddev'] = tracking.landmark_stddev
        return points

    def _estimator_settings(self) -> Any:
        from dlcv.estimation.visual_odometry import VisualOdometrySettings

        return settings(VisualOdometrySettings, self.parameters)


def read_mask(path: Path) -> Mask:
    """Return where a picture is not black, ``(H, W)``.

    Raises:
        ValueError: There is no such picture.
    """
    import cv2

    pixels = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) if path.is_file() else None
    if pixels is None:
        why = 'is no image that OpenCV can read' if path.is_file() else 'no such file'
        raise ValueError(f'mask: {path}: {why}')
    return np.asarray(pixels != 0)


def _described(tracking: Tracking) -> dict[str, str]:
    return {
        'tracking': tracking.state,
        'matches': str(tracking.matches),
        'inliers': str(tracking.inliers),
        'scale_source': tracking.scale_source,
        'scale': f'{tracking.scale:.6g}',
        'scale_stddev': f'{tracking.scale_stddev:.4g}',
    }


def _drawn(frame: Frame, tracking: Tracking) -> Any:
    from dlcv.view.features import draw_tracks
    from dlcv.view.panel import as_rgb

    if tracking.tracks is None:
        return as_rgb(frame.image)
    return draw_tracks(frame.image, tracking.tracks.previous_xy, tracking.tracks.xy)
