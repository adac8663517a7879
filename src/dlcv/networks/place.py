"""What a map of scene coordinates is a map of, and which cameras it fits; kept in its file."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import numpy as np

from dlcv.geometry.frames import frame_name
from dlcv.types import Camera, FloatArray

_MARGIN = 1.0  # metres around the cameras' box that are believed, besides half of its diagonal

Point = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class PoseSpread:
    """By how much poses in a map are farther off than the agreement of its cells says.

    The consensus takes the errors of cells to be independent of each other. Those of a map are
    not: neighbours are wrong together, so the pose is off by a multiple of what many independent
    errors would leave of each other.

    Attributes:
        translation: Factor of the deviations of the position.
        rotation: Factor of the deviations of the turn.
        pictures: On how many pictures that the map never saw this was measured; 0 where it is the
            default.
    """

    translation: float
    rotation: float
    pictures: int = 0

    def __post_init__(self) -> None:
        if not (0 < self.translation < inf and 0 < self.rotation < inf and self.pictures >= 0):
            raise ValueError(
                'a spread needs finite factors > 0 and pictures >= 0, got '
                f'{self.translation:g}, {self.rotation:g} and {self.pictures}'
            )

    def widened(self, covariance: FloatArray) -> FloatArray:
        """Return a covariance ``(6, 6)`` of (x, y, z, rx, ry, rz) with these deviations."""
        factors = np.repeat((self.translation, self.rotation), 3)
        return covariance * np.outer(factors, factors)


AS_STATED = PoseSpread(translation=1.0, rotation=1.0)
"""Leaves covariances as the consensus states them, for them to be measured."""

UNMEASURED = PoseSpread(translation=8.0, rotation=8.0)
"""Of maps that do not know theirs: the widest of those that were measured; docs/maps.md."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where, with which camera and of what a map was made.

    Attributes:
        frame: Name of the fixed frame of its coordinates.
        focal: Least and greatest focal length of what it was shown, in heights of the picture.
        low: Least x, y and z of the cameras it was made with, metres.
        high: Greatest x, y and z of them.
        pictures: How many it was made of.
        source: Which ones, in words.
        least_share: Of the cells, that must agree with a pose for it to be believed: what wrong
            poses reach was measured when the map was made; 0 where it was not.
        spread: How true the stated deviations of poses are; None where nobody measured.
    """

    frame: str
    focal: tuple[float, float]
    low: Point
    high: Point
    pictures: int
    source: str = ''
    least_share: float = 0.0
    spread: PoseSpread | None = None

    def __post_init__(self) -> None:
        if not self.frame:
            raise ValueError('a place needs the name of its frame')
        if not 0 < self.focal[0] <= self.focal[1]:
            raise ValueError(
                f'a place needs 0 < lowest <= highest focal length, got {list(self.focal)}'
            )
        if any(low > high for low, high in zip(self.low, self.high, strict=True)):
            raise ValueError(f'a place needs low <= high, got {self.low} and {self.high}')
        if not 0 <= self.least_share < 1:
            raise ValueError(f'a place needs least_share in [0, 1), got {self.least_share}')

    @property
    def margin(self) -> float:
        """How far from the cameras' box a pose is still believed, metres."""
        return _MARGIN + 0.5 * float(np.linalg.norm(np.subtract(self.high, self.low)))

    @property
    def size(self) -> float:
        """How far apart two poses that are believed may be, metres."""
        return 2 * self.margin + float(np.linalg.norm(np.subtract(self.high, self.low)))

    def camera_misfit(self, camera: Camera) -> str:
        """Say how far a camera is off those of the map; empty if it is among them."""
        focal = camera.fy / camera.height
        low, high = self.focal
        if low <= focal <= high:
            return ''
        bound, word = (low, 'shorter') if focal < low else (high, 'longer')
        factor = max(bound / focal, focal / bound)
        return (
            f'the camera has a focal length of {focal:.2f} heights of its picture, {factor:.2f} '
            f'times {word} than the map was made for ({low:.2f} to {high:.2f})'
        )

    def frame_misfit(self, frame: str) -> str:
        """Say that a map frame is not the map's; empty if it is."""
        if frame_name(frame) == frame_name(self.frame):
            return ''
        return f'the map is in frame {self.frame!r}, asked for is {frame!r}'

    def pose_misfit(self, map_from_camera: FloatArray) -> str:
        """Say how far a pose ``(4, 4)`` lies beyond the place; empty if it is within."""
        position = map_from_camera[:3, 3]
        outside = float(np.linalg.norm(position - np.clip(position, self.low, self.high)))
        if outside <= self.margin:
            return ''
        return (
            f'{outside:.2f} m from the place where the map was made; '
            f'{self.margin:.2f} m are allowed'
        )
