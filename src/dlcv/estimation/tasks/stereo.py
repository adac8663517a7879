"""Depth from a stereo pair: images of two cameras in, disparity and metres of every pixel out."""

from __future__ import annotations

from dataclasses import replace
from time import monotonic
from typing import Any

import numpy as np

from dlcv.estimation.tasks.base import Estimator, Host, Task, settings
from dlcv.estimation.tasks.depth_maps import CONFIDENCE, send_depth
from dlcv.geometry.camera import CameraError
from dlcv.geometry.stereo import RectifiedPair, StereoCamera, StereoError, StereoRectifier
from dlcv.interface import messages
from dlcv.interface.messages import Composer
from dlcv.interface.nodes import STEREO
from dlcv.interface.parameters import StereoParameters
from dlcv.types import Camera, DepthMap, Frame

INFO, RIGHT, RIGHT_INFO = 'camera_info', 'right/image', 'right/camera_info'
DISPARITY = '~/disparity'
EVER_NS = 2**62  # a calibration holds whenever it was said
USUAL_NS = 100_000_000  # time between two pictures of which there was only one yet


class StereoTask(Task[StereoParameters, DepthMap]):
    """Joins images of two cameras by their stamps, carries them to the estimator, and on."""

    spec = STEREO

    def __init__(self, host: Host, compose: Composer) -> None:
        super().__init__(host, compose)
        self._right: Any = None
        self._last_ns: int | None = None
        self._rectifier: StereoRectifier | None = None

    def load(self, device: str, precision: str) -> Estimator:
        """Build the estimator."""
        from dlcv.estimation.load import load_stereo
        from dlcv.estimation.stereo import StereoSettings

        return load_stereo(
            settings=settings(StereoSettings, self.parameters), **self.loading(device, precision)
        )

    def gather(self, frame: Frame) -> None:
        """Wait for the right image of the same moment."""
        p, at, last = self.parameters, frame.stamp_ns, self._last_ns
        every = at - last if last is not None and at > last else USUAL_NS
        within = min(round(1e9 * p.sync_tolerance), every // 2)
        until = monotonic() + p.sync_patience
        self._right = self.beside.moment(RIGHT, at, within, every, until, hoped=last is None)
        if self._right is not None and self.beside.latest(RIGHT_INFO) is None:
            self.beside.moment(RIGHT_INFO, at, EVER_NS, every, until, hoped=True)
        self._last_ns = at

    def infer(self, frame: Frame) -> DepthMap | None:
        """Estimate depth; None, with a word why, without a right image that fits."""
        try:
            pair = self._pair(frame)
        except (messages.MessageError, StereoError, CameraError) as err:
            self.beside.count(RIGHT, 'unusable')
            self.judge_answer('no depth', str(err))
            return None
        if pair is None:
            self.judge_answer('no depth', self._missing())
            return None
        self.beside.count(RIGHT, 'used')
        depth: DepthMap = self.estimator.push(pair, confidence=self.wanted(CONFIDENCE))
        self.judge_answer('no depth', depth.reason)
        return depth

    def reset(self) -> None:
        """Forget the time of the last image, and that there was no depth."""
        self._last_ns = None
        self.host.judge(None)

    def publish(self, frame: Frame, header: Any, result: DepthMap) -> None:
        """Send what is listened to."""
        send_depth(self, header, result)
        if self.wanted(DISPARITY):
            assert result.camera is not None
            pixels = result.disparity * result.camera.width
            reach = 0.0, self.estimator.reach / self.estimator.scale(frame)
            made = self.compose.disparity_image(
                header, pixels, result.camera, result.baseline, reach
            )
            self.send(DISPARITY, made)

    def _missing(self) -> str:
        """Say what is not there for a pair."""
        for name in (RIGHT, RIGHT_INFO):
            if self.beside.latest(name) is None:
                return f'nothing has arrived on {name}'
        tolerance = self.parameters.sync_tolerance
        return f'no right image within {tolerance:g} s of the left one (parameter sync_tolerance)'

    def _pair(self, frame: Frame) -> RectifiedPair | None:
        """Return the pair, rectified; None without a right image or its calibration.

        Raises:
            MessageError: A message cannot be used.
            StereoError: The two are no pair.
            CameraError: A lens of a kind that is not known.
        """
        right_info, left_info = self.beside.latest(RIGHT_INFO), self.beside.latest(INFO)
        if self._right is None or right_info is None:
            return None
        baseline = messages.baseline(right_info)
        left_camera = frame.camera
        if left_info is not None:
            left_camera = messages.camera(left_info, rectified=True)
        right_camera = messages.camera(right_info, rectified=True)
        if left_camera is None or right_camera is None:
            raise StereoError(f'{RIGHT_INFO} has no calibration (K is zero)')
        cameras = _as_it_is(left_info, left_camera), _as_it_is(right_info, right_camera)
        if frame.camera == left_camera or all(camera.ideal for camera in cameras):
            left = replace(frame, camera=left_camera)
            right = messages.frame(self._right, right_camera)
            return RectifiedPair(left=left, right=right, baseline=baseline)
        if self._rectifier is None or not self._rectifier.fits(*cameras):
            self._rectifier = StereoRectifier(*cameras)
        right = messages.frame(self._right, cameras[1].camera)
        return self._rectifier(frame, right, baseline)


def _as_it_is(info: Any, rectified: Camera) -> StereoCamera:
    """Return what a calibration says of a camera whose images are not rectified."""
    camera = None if info is None else messages.camera(info)
    return StereoCamera(
        camera=camera or rectified,
        rotation=np.eye(3) if info is None else messages.rotation(info),
        rectified=rectified,
    )
