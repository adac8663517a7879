"""What a map of scene coordinates is a map of, and which cameras it fits; kept in its file."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dlcv.geometry.frames import frame_name
from dlcv.types import Camera, FloatArray

_MARGIN = 1.0  # metres around the cameras' box that are believed, besides half of its diagonal

Point = tuple[float, float, float]


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
    """

    frame: str
    focal: tuple[float, float]
    low: Point
    high: Point
    pictures: int
    source: str = ''
    least_share: float = 0.0

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
