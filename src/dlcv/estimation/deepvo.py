"""Frames to camera motion and its sum, with a stated uncertainty, and a word for being lost.

DeepVO answers with ``[a0 a1 a2 (rad), x y z (m)]``: the newer camera in the older one's optical
axes (KITTI's camera axes: x right, y down, z forward), ``R = Ry(a0) Rx(a1) Rz(a2)``.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dlcv.estimation.base import Estimator, to_array
from dlcv.estimation.body import compounded, orthonormal
from dlcv.estimation.odometry.plausible import excess, interruption
from dlcv.estimation.odometry.speechless import silence
from dlcv.estimation.pictures import Fit, View, colour, size_of
from dlcv.geometry.euler import euler_to_matrix
from dlcv.geometry.trajectory import extent
from dlcv.networks.deepvo import DeepVO, Spread, codes
from dlcv.networks.layers.recurrent import Memory
from dlcv.networks.losses.deepvo import motions
from dlcv.types import ByteImage, Camera, FloatArray, Frame, Lost, Motion

Matrix = npt.NDArray[np.float64]

_UNMEASURED = 0.05  # of a motion: how far off it is taken to be where nobody measured
_LEAST = 1e-12  # m/s and rad/s: no motion is certain


@dataclass(frozen=True, kw_only=True, slots=True)
class OdometrySettings:
    """How motions are estimated, believed and doubted.

    Attributes:
        inference_mode: ``stateful`` keeps the network's memory from frame to frame; ``windowed``
            starts it anew for each frame, over the last ``sequence_length`` frame pairs; None
            does what the weights were trained for.
        sequence_length: Frame pairs of a window; there are fewer at the start of a drive.
        scale: Factor on all translations.
        max_frame_interval: A longer pause in seconds loses the odometry.
        max_linear_speed: A faster motion, in m/s, is not believed.
        max_angular_speed: A faster turn, in rad/s, is not believed.
        pose_stddev_per_meter: Standard deviation of a motion as a share of itself: metres per
            metre moved, radians per radian turned. 0 for what was measured of the weights, and
            where nobody measured, a twentieth.
        twist_stddev: Standard deviation that even rest has: x y z (m/s), rx ry rz (rad/s), in
            camera axes; of motions only where the measured one does not count.
    """

    inference_mode: Literal['stateful', 'windowed'] | None = None
    sequence_length: int = 5
    scale: float = 1.0
    max_frame_interval: float = 0.5
    max_linear_speed: float = 40.0
    max_angular_speed: float = 3.5
    pose_stddev_per_meter: float = 0.0
    twist_stddev: tuple[float, ...] = (0.1, 0.1, 0.1, 0.05, 0.05, 0.05)


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """The last frame: its time, what it was taken with, and its pixels for the network."""

    stamp_ns: int
    source: tuple[tuple[int, int], Camera | None]
    tensor: Tensor


class OdometryEstimator(Estimator[DeepVO]):
    """DeepVO on a stream of frames; remembers the last frame, the memory and the pose.

    The covariance of a motion of length t and angle a over dt seconds is diagonal: as `Spread`
    tells it of the weights, or as the settings do, in each axis
    ``(pose_stddev_per_meter t)^2 + (twist_stddev dt)^2``, and with a for t in the turns. After a
    gap, the first motion's also has ``(v gap)^2``, v being the greater of the speeds before and
    after (and the same for turns): what may have happened unseen.

    Args:
        network: The network; its configuration names the conventions of its weights.
        settings: May be replaced between two frames.
        device: See `Estimator`.
        precision: See `Estimator`.

    Attributes:
        odom_from_camera: ``(4, 4)`` the pose so far, in metres.
        pose_covariance: ``(6, 6)`` of that pose as (x, y, z, rx, ry, rz), in odom axes, m and rad:
            the motions' covariances, carried along the path.
    """

    part = staticmethod(codes)

    pairs = True

    proven = frozenset({'bf16'})

    def __init__(
        self,
        network: DeepVO,
        settings: OdometrySettings | None = None,
        device: str = 'auto',
        precision: str = 'fp32',
    ) -> None:
        super().__init__(network, device, precision)
        self.settings = settings or OdometrySettings()
        self._view = View()
        self.reset()

    def reset(self) -> None:
        """Forget the drive so far; the next frame is the origin."""
        self._last: _Seen | None = None
        self.set_pose(np.eye(4))
        self._speed: Matrix = np.zeros(2)  # m/s, rad/s of the last motion
        self._gap = 0.0  # seconds that no motion covers, since the last one
        self._forget()

    def set_pose(self, odom_from_camera: FloatArray, covariance: FloatArray | None = None) -> None:
        """Go on from this pose, with this ``(6, 6)`` covariance (default zero)."""
        self.odom_from_camera: Matrix = np.array(odom_from_camera, np.float64)
        self.pose_covariance: Matrix = (
            np.zeros((6, 6)) if covariance is None else np.array(covariance, np.float64)
        )

    def push(self, frame: Frame) -> Motion | Lost | None:
        """Take the next frame and estimate the camera's motion since the last one.

        Args:
            frame: The picture. With a camera it is rectified and, if the weights know the focal
                length of their training camera, seen through that; else it is resized.

        Returns:
            The motion; None for the first frame; Lost after a pause, a jump of time, a change of
            camera, or when the network's answer is not to be believed; and for a picture that
            says nothing, which is as if none had come: what follows goes on from the last that
            spoke.
        """
        last = self._last
        if reason := silence(frame.image):
            since = frame.stamp_ns if last is None else last.stamp_ns
            unseen = self._gap + max(frame.stamp_ns - since, 0) * 1e-9
            return self._lost(since, frame.stamp_ns, reason, unseen)
        tensor = self._tensor(self._input(frame))
        self._last = seen = _Seen(frame.stamp_ns, (size_of(frame), frame.camera), tensor)
        if last is None:
            return None
        pause = (frame.stamp_ns - last.stamp_ns) * 1e-9
        same = last.source == seen.source
        reason = interruption(last.stamp_ns, seen.stamp_ns, same_camera=same, limits=self.settings)
        if not reason:
            motion = self._motion(last.tensor, tensor)
            finite = bool(np.isfinite(motion).all())
            unheard = "the network's answer is not finite"
            reason = excess(motion, pause, self.settings) if finite else unheard
        if not reason:
            return self._moved(last, seen, motion, pause)
        self._forget()
        self._gap += max(pause, 0.0)
        return self._lost(last.stamp_ns, seen.stamp_ns, reason, self._gap)

    def _input(self, frame: Frame) -> ByteImage:
        """Return the picture in the network's size, through the training camera if it is known."""
        height, width = self.network.config.input_size
        focal = self.network.config.focal
        if frame.camera is None or focal is None:
            image, _, _ = self._view.rectified(frame)
            return Fit.exact((image.shape[1], image.shape[0]), width, height).image(colour(image))
        target = Camera(
            width=width,
            height=height,
            fx=focal[0] * width,
            fy=focal[1] * height,
            cx=(width - 1) / 2,
            cy=(height - 1) / 2,
        )
        return self._through(frame, frame.camera, target)

    def _through(self, frame: Frame, camera: Camera, target: Camera) -> ByteImage:
        """Return the picture that ``target`` takes; black where ``camera`` sees nothing."""
        shrink = min(1.0, target.fx / camera.fx), min(1.0, target.fy / camera.fy)
        width, height = (
            max(1, round(side * s)) for side, s in zip(size_of(frame), shrink, strict=True)
        )
        fit = Fit.exact(size_of(frame), width, height)  # by area: remapping alone would alias
        return self._view.rectifier(fit.camera(camera), target)(fit.image(colour(frame.image)))

    def _forget(self) -> None:
        """Forget what came before the last frame."""
        self._memory: Memory | None = None
        self._codes: deque[Tensor] = deque()

    @property
    def _windowed(self) -> bool:
        mode = self.settings.inference_mode or self.network.config.sequence
        return mode == 'windowed'

    def _motion(self, older: Tensor, newer: Tensor) -> Matrix:
        """Return ``older_from_newer`` in metres; NaN where the network says so."""
        with self._inference():
            (code,) = self.runner(torch.stack((older, newer), dim=1))  # (1, 1, F)
            if not self._windowed:
                vectors, self._memory = self.network.recall(code, self._memory)
            else:
                self._codes.append(code)
                while len(self._codes) > self.settings.sequence_length:
                    self._codes.popleft()
                vectors, _ = self.network.recall(torch.cat(tuple(self._codes), dim=1))
        answer = to_array(vectors[0]).astype(np.float64)  # (T, 6)
        if not np.isfinite(answer).all():
            return np.full((4, 4), np.nan)
        in_window = self._windowed and self.network.config.labels == 'window'
        motion = last_of_window(answer) if in_window else motions(answer[-1])
        motion[:3, 3] *= self.settings.scale
        return motion

    def _lost(self, since_ns: int, stamp_ns: int, reason: str, unseen: float) -> Lost:
        """Return the pose so far, grown by the ``unseen`` seconds that no motion covers."""
        grown = self._unseen(self._speed, unseen)
        return Lost(
            stamp_ns=stamp_ns,
            previous_stamp_ns=since_ns,
            reason=reason,
            odom_from_camera=self.odom_from_camera,
            pose_covariance=compounded(
                self.odom_from_camera, self.pose_covariance, np.eye(4), grown
            )[1],
        )

    def _moved(self, last: _Seen, seen: _Seen, motion: Matrix, pause: float) -> Motion:
        size = extent(motion)
        speed = size / pause
        (variance,) = self._spread().variances(size[None], np.array([pause]))
        unseen = self._unseen(np.maximum(self._speed, speed), self._gap)
        covariance = np.diag(variance) + unseen
        pose, self.pose_covariance = compounded(
            self.odom_from_camera, self.pose_covariance, motion, covariance
        )
        self.odom_from_camera = orthonormal(pose)
        self._speed, self._gap = speed, 0.0
        return Motion(
            stamp_ns=seen.stamp_ns,
            previous_stamp_ns=last.stamp_ns,
            previous_from_current=motion,
            odom_from_camera=self.odom_from_camera,
            covariance=covariance,
        )

    def _spread(self) -> Spread:
        """Return the measured spread of the weights, or that of the settings."""
        share, measured = self.settings.pose_stddev_per_meter, self.network.config.spread
        if measured is not None and share == 0:
            return measured
        least = np.maximum(self.settings.twist_stddev, _LEAST)
        return Spread.of(np.full(6, share or _UNMEASURED), least)

    def _unseen(self, speed: Matrix, seconds: float) -> Matrix:
        """Return the ``(6, 6)`` covariance of what may have happened in so many seconds."""
        if seconds == 0:
            return np.zeros((6, 6))
        deviation = (np.repeat(speed, 3) + self.settings.twist_stddev) * seconds
        return np.diag(np.square(deviation))


def last_of_window(vectors: FloatArray) -> Matrix:
    """Return the last motion of a window whose labels stand in its first frame.

    There, translations are expressed in the first camera's axes and angles are differences of
    Euler angles; with the window's first camera as the world, the sums of the angles are the
    cameras' Euler angles.

    Args:
        vectors: ``(T, 6)`` answers for the window, oldest first.

    Returns:
        ``(4, 4)`` the newest camera in the one before it.
    """
    first_from_older = euler_to_matrix(vectors[:-1, :3].sum(axis=0))
    first_from_newer = euler_to_matrix(vectors[:, :3].sum(axis=0))
    older_from_newer = np.eye(4)
    older_from_newer[:3, :3] = first_from_older.T @ first_from_newer
    older_from_newer[:3, 3] = first_from_older.T @ vectors[-1, 3:]
    return older_from_newer
