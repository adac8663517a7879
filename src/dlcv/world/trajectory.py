"""Smooth paths of a camera: a walk with the camera in the hand, and a drive in a car.

Position and attitude are twice continuously differentiable in time, so that velocity, acceleration
and turn rates are those of a body with mass.

T: instants
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from scipy.interpolate import BSpline, CubicSpline, make_interp_spline

from dlcv.world.noise import Rng
from dlcv.world.scene import Array


class Path(Protocol):
    """A motion: seconds in, poses out."""

    def world_from_camera(self, seconds: Array) -> Array:
        """Return the poses ``(T, 4, 4)`` at the given times ``(T,)``, metres."""


class Wobble:
    """A smooth random function of time: a sum of sines of incommensurate frequencies.

    Args:
        rng: Source of randomness.
        deviation: Standard deviation of the values.
        slowest: Lowest frequency in Hz.
        fastest: Highest frequency in Hz.
    """

    def __init__(self, rng: Rng, deviation: float, slowest: float, fastest: float) -> None:
        count = 5
        self._frequency = 2 * np.pi * rng.uniform(slowest, fastest, count)
        self._phase = rng.uniform(0, 2 * np.pi, count)
        self._amplitude = deviation * np.sqrt(2 / count)

    def __call__(self, seconds: Array) -> Array:
        """Return the values ``(T,)`` at the given times."""
        angle = seconds[:, None] * self._frequency + self._phase
        value: Array = self._amplitude * np.sin(angle).sum(1)
        return value


def poses(position: Array, yaw: Array, pitch: Array, roll: Array) -> Array:
    """Return world_from_camera of cameras that look along yaw and pitch.

    Args:
        position: ``(T, 3)`` metres.
        yaw: ``(T,)`` radians about +z; 0 looks along +x.
        pitch: ``(T,)`` radians; positive looks up.
        roll: ``(T,)`` radians about the viewing direction, clockwise as seen by the camera.
    """
    zero = np.zeros_like(yaw)
    forward = np.stack((np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), np.sin(pitch)), 1)
    level = np.stack((np.sin(yaw), -np.cos(yaw), zero), 1)  # to the right
    below = np.cross(forward, level)
    c, s = np.cos(roll)[:, None], np.sin(roll)[:, None]
    matrix = np.zeros((len(yaw), 4, 4))
    matrix[:, :3, 0] = c * level + s * below
    matrix[:, :3, 1] = c * below - s * level
    matrix[:, :3, 2] = forward
    matrix[:, :3, 3] = position
    matrix[:, 3, 3] = 1
    return matrix


class Walk:
    """Rounds through a room, camera in the hand, looking to and fro.

    Args:
        rng: Source of randomness.
        reach: Half axes of the ellipse that is walked, metres.
        height: Mean height of the camera, metres.
    """

    def __init__(self, rng: Rng, reach: tuple[float, float], height: float) -> None:
        self._reach = np.array(reach)
        self._height = height
        self._phase = rng.uniform(0, 2 * np.pi)
        self._turn = rng.choice((-1.0, 1.0)) * rng.uniform(0.45, 0.6) / float(np.mean(reach))
        self._sway = [Wobble(rng, 0.04, 0.1, 0.5), Wobble(rng, 0.04, 0.1, 0.5)]
        self._bob = Wobble(rng, 0.008, 1.5, 2.0)  # steps
        self._lift = Wobble(rng, 0.06, 0.05, 0.2)
        self._glance = Wobble(rng, 0.5, 0.04, 0.14)
        self._nod = Wobble(rng, 0.1, 0.06, 0.25)
        self._tilt = Wobble(rng, 0.025, 0.2, 0.8)
        self._shake = [Wobble(rng, 0.004, 1.0, 3.0) for _ in range(3)]

    def world_from_camera(self, seconds: Array) -> Array:
        """Return the poses ``(T, 4, 4)`` at the given times ``(T,)``, metres."""
        seconds = np.asarray(seconds, np.float64)
        angle = self._phase + self._turn * seconds
        x = self._reach[0] * np.cos(angle) + self._sway[0](seconds)
        y = self._reach[1] * np.sin(angle) + self._sway[1](seconds)
        z = self._height + self._lift(seconds) + self._bob(seconds)
        ahead = angle + np.sign(self._turn) * (np.pi / 2 + 0.5)  # half a turn's glance inwards
        yaw = ahead + self._glance(seconds) + self._shake[0](seconds)
        pitch = self._nod(seconds) - 0.12 + self._shake[1](seconds)
        roll = self._tilt(seconds) + self._shake[2](seconds)
        return poses(np.stack((x, y, z), 1), yaw, pitch, roll)


class Drive:
    """Laps of a car on a closed lane, slower in the bends.

    The lane is a closed quintic spline, whose tangent, and with it the car's yaw, is smooth enough.

    Args:
        rng: Source of randomness.
        lane: ``(K, 2)`` points of the closed lane, in driving order, metres.
        height: Height of the camera above the road, metres.
        speeds: Least and greatest speed, m/s.
    """

    def __init__(
        self, rng: Rng, lane: Array, height: float, speeds: tuple[float, float] = (5.0, 9.5)
    ) -> None:
        self._height = height
        closed = np.concatenate((lane, lane[:1]))
        gaps = np.linalg.norm(np.diff(closed, axis=0), axis=1)
        chord = np.concatenate(([0.0], np.cumsum(gaps)))
        self._lane: BSpline = make_interp_spline(chord, closed, k=5, bc_type='periodic')
        self._clock, self._lap = self._timetable(float(chord[-1]), speeds)
        self._start = rng.uniform(0, self._lap)
        self._heave = Wobble(rng, 0.006, 0.8, 2.0)
        self._dive = Wobble(rng, 0.004, 0.5, 1.5)
        self._lean = Wobble(rng, 0.004, 0.4, 1.2)

    def _timetable(self, length: float, speeds: tuple[float, float]) -> tuple[CubicSpline, float]:
        """Return the position along the lane as a function of time, and the time of a lap."""
        s = np.linspace(0, length, 2048)
        velocity, bend = self._lane(s, 1), self._lane(s, 2)
        curvature = np.abs(velocity[:, 0] * bend[:, 1] - velocity[:, 1] * bend[:, 0])
        window = np.hanning(161)  # the driver brakes before the bend
        padded = np.concatenate((curvature[-81:-1], curvature, curvature[1:81]))
        foreseen = np.convolve(padded, window / window.sum(), 'valid')
        slow = foreseen / foreseen.max()
        speed = speeds[1] - (speeds[1] - speeds[0]) * slow
        pace = np.linalg.norm(velocity, axis=1) / speed  # seconds per unit of s
        clock = np.concatenate(([0.0], np.cumsum((pace[1:] + pace[:-1]) / 2 * np.diff(s))))
        return CubicSpline(clock, s), float(clock[-1])

    def world_from_camera(self, seconds: Array) -> Array:
        """Return the poses ``(T, 4, 4)`` at the given times ``(T,)``, metres."""
        seconds = np.asarray(seconds, np.float64)
        s = self._clock((self._start + seconds) % self._lap)
        position, tangent = self._lane(s), self._lane(s, 1)
        yaw = np.arctan2(tangent[:, 1], tangent[:, 0])
        z = self._height + self._heave(seconds)
        pitch = -0.02 + self._dive(seconds)
        return poses(np.column_stack((position, z)), yaw, pitch, self._lean(seconds))


def rounded_rectangle(half: tuple[float, float], radius: float, step: float) -> Array:
    """Return points ``(K, 2)`` of a rectangle with round corners, counter-clockwise.

    Args:
        half: Half extents along x and y, metres.
        radius: Radius of the corners, metres.
        step: Rough distance between two points, metres.
    """
    x, y = half[0] - radius, half[1] - radius
    points = []
    for corner, start in (((x, y), 0.0), ((-x, y), 0.5), ((-x, -y), 1.0), ((x, -y), 1.5)):
        count = max(int(np.pi / 2 * radius / step), 3)
        angle = np.pi * (start + np.linspace(0, 0.5, count))
        points.append(np.stack((np.cos(angle), np.sin(angle)), 1) * radius + np.array(corner))
    return _evenly(np.concatenate(points), step)


def _evenly(corners: Array, step: float) -> Array:
    """Return points about ``step`` apart along a closed polygon."""
    closed = np.concatenate((corners, corners[:1]))
    length = np.concatenate(([0.0], np.cumsum(np.linalg.norm(np.diff(closed, axis=0), axis=1))))
    at = np.linspace(0, length[-1], int(length[-1] / step), endpoint=False)
    return np.stack([np.interp(at, length, closed[:, i]) for i in (0, 1)], 1)
