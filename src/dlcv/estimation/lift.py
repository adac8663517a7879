"""Frames to LIFT's interest points: found at several scales, oriented, described.

Letters in this file: N points, D descriptor length, L scales.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from dlcv.estimation.base import Estimator, to_array
from dlcv.estimation.pictures import grey
from dlcv.geometry.camera import pixel_rays
from dlcv.networks.layers.scale_space import scale_maxima
from dlcv.networks.lift import DETECTED, FILTER, LIFT, REACH, crop
from dlcv.types import ByteImage, FloatArray, Frame, Keypoints

_BATCH = 128  # patches that are described at a time
_FINEST = DETECTED / (4 * REACH)
"""Scale of what the detector finds in a picture as it is: its patch reaches 12 scales."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LiftSettings:
    """Which points are kept, and at which scales they are looked for.

    Attributes:
        max_keypoints: The strongest that are kept.
        octaves: Logarithms to the base 2 of the least and greatest scale in pixels; the paper's
            code takes (0, 4) for pictures of up to 1600 pixels. The first and last ``across``
            scales have no points of their own.
        per_octave: Scales of an octave.
        radius: Half the side of the window in which a point is the highest, in the pixels of its
            scale.
        across: Scales above and below in which it is too.
        edge: See `scale_maxima`.
    """

    max_keypoints: int = 1000
    octaves: tuple[float, float] = (0.0, 4.0)
    per_octave: int = 5
    radius: int = 3
    across: int = 2
    edge: float = 10.0

    def __post_init__(self) -> None:
        low, high = self.octaves
        if min(self.max_keypoints, self.per_octave) < 1 or not low < high:
            raise ValueError(
                'LIFT needs max_keypoints and per_octave >= 1 and octaves that rise, got '
                f'{self.max_keypoints}, {self.per_octave} and {self.octaves}'
            )

    def sigmas(self) -> FloatArray:
        """Return the scales ``(L,)`` in pixels."""
        low, high = self.octaves
        steps = round((high - low) * self.per_octave) + 1
        return np.asarray(2 ** np.linspace(low, high, steps))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LiftPoints:
    """Points of one picture, strongest first.

    Attributes:
        xy: ``(N, 2)`` pixels.
        sigmas: ``(N,)`` scales in pixels.
        angles: ``(N,)`` rad.
        scores: ``(N,)``.
        descriptors: ``(N, D)`` float32, compared by Euclidean distance; their length is not 1.
    """

    xy: FloatArray
    sigmas: FloatArray
    angles: FloatArray
    scores: FloatArray
    descriptors: FloatArray


class LiftEstimator(Estimator[LIFT]):
    """LIFT on one frame at a time.

    Args:
        network: All three networks.
        settings: May be replaced between two frames.
        device: See `Estimator`.
        precision: See `Estimator`.

    Raises:
        ValueError: If the network is the descriptor alone.
    """

    def __init__(
        self,
        network: LIFT,
        settings: LiftSettings | None = None,
        device: str = 'auto',
        precision: str = 'fp32',
    ) -> None:
        if network.config.descriptor_only:
            raise ValueError('these weights of LIFT are the descriptor alone: nothing finds points')
        super().__init__(network, device, precision)
        self.settings = settings or LiftSettings()

    def push(self, frame: Frame) -> Keypoints:
        """Find and describe; see `look`."""
        found = self.look(frame.image)
        return Keypoints(
            stamp_ns=frame.stamp_ns,
            xy=found.xy,
            scores=found.scores,
            descriptors=found.descriptors,
            rays=None if frame.camera is None else pixel_rays(frame.camera, found.xy),
        )

    def look(self, image: ByteImage) -> LiftPoints:
        """Return the points of a picture, ``(H, W)`` or ``(H, W, 3)``; none on a blank one."""
        picture = grey(image)
        height, width = picture.shape
        with self._inference():
            found = self._search(picture)[: self.settings.max_keypoints]
            xy = found[:, :2] * (width, height) - 0.5
            angles, descriptors = self._describe(picture, xy, found[:, 2])
        return LiftPoints(
            xy=xy.astype(np.float32),
            sigmas=found[:, 2].astype(np.float32),
            angles=angles,
            scores=found[:, 3].astype(np.float32),
            descriptors=descriptors,
        )

    def _search(self, picture: ByteImage) -> FloatArray:
        """Return the rows of `scale_maxima`."""
        settings, (height, width) = self.settings, picture.shape
        maps, sigmas = [], []
        for sigma in settings.sigmas().tolist():
            size = round(width * _FINEST / sigma), round(height * _FINEST / sigma)
            if min(size) <= FILTER + 2 * settings.radius:
                break  # no window fits: nor does one at any coarser scale
            # As bilinear as the paper's code where it grows, without aliases where it shrinks.
            shrinks = sigma > _FINEST
            how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
            resized = np.asarray(cv2.resize(picture, size, interpolation=how), np.uint8)
            scores = to_array(self.network.detector(self._tensor(resized))[0])
            maps.append(np.pad(scores, FILTER // 2, constant_values=-np.inf))
            sigmas.append(sigma)
        return scale_maxima(
            maps,
            np.array(sigmas),
            radius=settings.radius,
            across=settings.across,
            edge=settings.edge,
        )

    def _describe(
        self, picture: ByteImage, xy: FloatArray, sigmas: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Return angles ``(N,)`` and descriptors ``(N, D)``."""
        images = self._tensor(picture)
        none = np.zeros((0, self.network.config.descriptor_size), np.float32)
        angles: list[FloatArray] = [none[:, 0]]
        descriptors: list[FloatArray] = [none]
        for i in range(math.ceil(len(xy) / _BATCH)):
            some = slice(i * _BATCH, (i + 1) * _BATCH)
            at = torch.from_numpy(xy[some].astype(np.float32)).to(self.device)[None]
            half = torch.from_numpy((REACH * sigmas[some]).astype(np.float32)).to(self.device)[None]
            turn = self.network.orientation(crop(images, at, half, torch.zeros_like(half)))
            angles.append(to_array(turn))
            described = self.network.descriptor(crop(images, at, half, turn[None]))
            descriptors.append(to_array(described))
        return np.concatenate(angles), np.concatenate(descriptors)
