"""Smooth paths of cameras and of things: on foot, in a car, on a robot's base, in the air.

Position and attitude are twice continuously differentiable in time, so that velocity, acceleration
and turn rates are those of a body with mass. They are functions of time, known at any instant.

T: instants
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.interpolate import BSpline, CubicSpline, make_interp_spline

from dlcv.data.world.noise import Rng
from dlcv.data.world.scene import Array

GRAVITY = 9.81  # m/s^2
_PEAK = 3.2  # a wobble stays within this many of its standard deviations


class Path(Protocol):
    """A camera's motion: seconds in, poses out."""

    def world_from_camera(self, seconds: Array) -> Array:
        """Return the poses ``(T, 4, 4)`` at the given times ``(T,)``, metres."""


class Wobble:
    """A smooth random function of time: a sum of sines of incommensurate frequencies.

    Args:
        rng: Source of randomness.
        deviation: Standard deviation of the values; none exceeds 3.2 of it.
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


class Course:
    """A closed smooth line on the floor plan, with free space on both sides.

    It is a periodic quintic spline: four times differentiable, and so is its tangent thrice.

    Args:
        points: ``(K, 2)`` along the line, in order, metres, about evenly spaced.
        clearance: Free space on either side, metres.
    """

    def __init__(self, points: Array, clearance: float) -> None:
        closed = np.concatenate((points, points[:1]))
        gaps = np.linalg.norm(np.diff(closed, axis=0), axis=1)
        chord = np.concatenate(([0.0], np.cumsum(gaps)))
        self._points, self.clearance, self.length = points, clearance, float(chord[-1])
        self._line: BSpline = make_interp_spline(chord, closed, k=5, bc_type='periodic')

    def reversed(self) -> Course:
        """Return the same line, run the other way round."""
        return Course(self._points[::-1], self.clearance)

    def at(self, s: Array, side: Array | float = 0.0) -> tuple[Array, Array]:
        """Return position ``(T, 2)`` and direction ``(T,)`` in radians.

        Args:
            s: ``(T,)`` metres along the line; any number of rounds.
            side: Metres to the left of the line, ``(T,)`` or one for all.
        """
        tangent = self._line(s, 1)
        yaw = np.arctan2(tangent[:, 1], tangent[:, 0])
        left = np.stack((-np.sin(yaw), np.cos(yaw)), 1)
        return self._line(s) + np.asarray(side)[..., None] * left, yaw

    def curvature(self, s: Array) -> Array:
        """Return the absolute curvature ``(T,)`` in 1/m."""
        velocity, bend = self._line(s, 1), self._line(s, 2)
        cross = velocity[:, 0] * bend[:, 1] - velocity[:, 1] * bend[:, 0]
        return np.asarray(np.abs(cross) / np.linalg.norm(velocity, axis=1) ** 3)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Space:
    """Where in a scene cameras can go.

    Attributes:
        path: For people and robots.
        pace: Slowest and fastest walk, m/s.
        floor: Height of the ground they are on, metres.
        road: For cars; None where there is none. Its z is 0.
        air: For drones.
        heights: Lowest and highest flight, metres.
        speeds: Slowest and fastest flight, m/s.
    """

    path: Course
    pace: tuple[float, float]
    floor: float = 0.0
    road: Drive | None = None
    air: Course
    heights: tuple[float, float]
    speeds: tuple[float, float]


class Walk:
    """Rounds on foot, camera in the hand, looking to and fro."""

    def __init__(self, rng: Rng, space: Space) -> None:
        self._course = space.path if rng.random() < 0.5 else space.path.reversed()
        self._start = rng.uniform(0, self._course.length)
        self._speed = rng.uniform(*space.pace)
        self._hurry = Wobble(rng, 0.1, 0.05, 0.2)
        self._sway = Wobble(rng, max(self._course.clearance - 0.35, 0.05) / _PEAK, 0.03, 0.15)
        self._height = space.floor + rng.uniform(1.25, 1.65)
        self._bob = Wobble(rng, 0.008, 1.5, 2.0)  # steps
        self._lift = Wobble(rng, 0.06, 0.05, 0.2)
        self._aside = rng.normal(0, 0.25)
        self._glance = Wobble(rng, 0.45, 0.04, 0.14)
        self._nod = Wobble(rng, 0.1, 0.06, 0.25)
        self._tilt = Wobble(rng, 0.025, 0.2, 0.8)
        self._shake = [Wobble(rng, 0.004, 1.0, 3.0) for _ in range(3)]

    def world_from_camera(self, seconds: Array) -> Array:
        """Return the poses ``(T, 4, 4)`` at the given times ``(T,)``, metres."""
        seconds = np.asarray(seconds, np.float64)
        s = self._start + self._speed * seconds + self._hurry(seconds)
        position, ahead = self._course.at(s, self._sway(seconds))
        z = self._height + self._lift(seconds) + self._bob(seconds)
        yaw = ahead + self._aside + self._glance(seconds) + self._shake[0](seconds)
        pitch = self._nod(seconds) - 0.12 + self._shake[1](seconds)
        roll = self._tilt(seconds) + self._shake[2](seconds)
        return poses(np.column_stack((position, z)), yaw, pitch, roll)


class Drive:
    """Laps of a vehicle on a closed lane, slower in the bends; position and heading on the plan.

    Args:
        lane: Where it drives.
        speeds: Least and greatest speed, m/s.
        start: Where on its lap it is at time 0, as a share of the lap.
    """

    def __init__(self, lane: Course, speeds: tuple[float, float], start: float = 0.0) -> None:
        self._lane = lane
        s = np.asarray(np.linspace(0, lane.length, 2048), np.float64)
        curvature = lane.curvature(s)
        window = np.hanning(161)  # the driver brakes before the bend
        padded = np.concatenate((curvature[-81:-1], curvature, curvature[1:81]))
        foreseen = np.convolve(padded, window / window.sum(), 'valid')
        slow = foreseen / foreseen.max()
        pace = 1 / (speeds[1] - (speeds[1] - speeds[0]) * slow)  # seconds per metre
        clock = np.concatenate(([0.0], np.cumsum((pace[1:] + pace[:-1]) / 2 * np.diff(s))))
        self.lap = float(clock[-1])
        self._start, self._mean = start * self.lap, lane.length / self.lap
        lead = s - self._mean * clock  # on the steady driver; the same at the end of a lap
        lead[-1] = lead[0]
        self._lead = CubicSpline(clock, lead, bc_type='periodic')

    def at(self, seconds: Array) -> tuple[Array, Array]:
        """Return position ``(T, 2)`` and heading ``(T,)`` at times ``(T,)``; seconds repeat."""
        now = np.asarray(seconds, np.float64) + self._start
        return self._lane.at(self._mean * now + self._lead(now))


class Car:
    """A camera behind the windscreen of a car."""

    def __init__(self, rng: Rng, drive: Drive) -> None:
        self._drive = drive
        self._height = rng.uniform(1.35, 1.75)
        self._pitch = rng.uniform(-0.05, 0.01)
        self._heave = Wobble(rng, 0.006, 0.8, 2.0)
        self._dive = Wobble(rng, 0.004, 0.5, 1.5)
        self._lean = Wobble(rng, 0.004, 0.4, 1.2)

    def world_from_camera(self, seconds: Array) -> Array:
        """Return the poses ``(T, 4, 4)`` at the given times ``(T,)``, metres."""
        seconds = np.asarray(seconds, np.float64)
        position, yaw = self._drive.at(seconds)
        z = self._height + self._heave(seconds)
        pitch = self._pitch + self._dive(seconds)
        return poses(np.column_stack((position, z)), yaw, pitch, self._lean(seconds))


class Robot:
    """A robot with differential drive: it rolls, stops, turns in place, and rolls on.

    Every leg and every turn is a minimum-jerk move, at rest at both ends, so that all of them
    together are as smooth as each. The plan of some minutes repeats.
    """

    def __init__(self, rng: Rng, space: Space) -> None:
        self._course = space.path if rng.random() < 0.5 else space.path.reversed()
        reach = max(self._course.clearance - 0.35, 0.0)
        self._side = rng.uniform(-reach, reach)
        self._start = rng.uniform(0, self._course.length)
        self._height = space.floor + rng.uniform(0.25, 0.6)
        self._pitch = rng.uniform(-0.02, 0.15)
        self._plan = _Plan(np.array(_moves(rng)))  # (M, 3): seconds, metres, radians

    def world_from_camera(self, seconds: Array) -> Array:
        """Return the poses ``(T, 4, 4)`` at the given times ``(T,)``, metres."""
        seconds = np.asarray(seconds, np.float64)
        made = self._plan(seconds)
        position, ahead = self._course.at(self._start + made[:, 0], self._side)
        z = np.full(len(seconds), self._height)
        pitch, roll = np.full(len(seconds), self._pitch), np.zeros(len(seconds))
        return poses(np.column_stack((position, z)), ahead + made[:, 1], pitch, roll)


def _moves(rng: Rng) -> list[tuple[float, float, float]]:
    """Return moves (seconds, metres forward, radians) that end facing ahead."""
    speed, turn = rng.uniform(0.35, 0.8), rng.uniform(0.5, 1.1)
    moves: list[tuple[float, float, float]] = []
    for _ in range(24):
        metres = rng.uniform(0.8, 4.5)
        moves.append((1.875 * metres / speed, metres, 0.0))  # the peak is 1.875 times the mean
        if rng.random() < 0.5:
            moves.append((rng.uniform(0.3, 1.5), 0.0, 0.0))
        angle = rng.uniform(0.4, 1.6) * rng.choice((-1.0, 1.0))
        pause = (rng.uniform(0.2, 1.0), 0.0, 0.0)
        kind = rng.random()
        if kind < 0.5:  # it looks to a side and back
            seconds = 1.875 * abs(angle) / turn
            moves += [(seconds, 0.0, angle), pause, (seconds, 0.0, -angle)]
        elif kind < 0.6:  # it turns once around
            moves.append((1.875 * 2 * np.pi / turn, 0.0, np.sign(angle) * 2 * np.pi))
        elif kind < 0.75:  # it goes back a little and comes again
            back, half = rng.uniform(0.3, 1.0), 1.875 * np.pi / turn
            there = (1.875 * back / speed, -back, 0.0)
            moves += [(half, 0.0, np.pi), there, pause, (half, 0.0, np.pi)]
    return moves


class Drone:
    """A fast flight: it climbs and sinks, leans into bends and looks around."""

    def __init__(self, rng: Rng, space: Space) -> None:
        self._course = space.air if rng.random() < 0.5 else space.air.reversed()
        self._start = rng.uniform(0, self._course.length)
        self._speed = rng.uniform(*space.speeds)
        self._hurry = Wobble(rng, 0.25 * self._speed, 0.05, 0.15)
        self._sway = Wobble(rng, max(self._course.clearance - 0.4, 0.05) / _PEAK, 0.05, 0.25)
        self._heights = space.heights
        self._climb = Wobble(rng, 1.0, 0.03, 0.12)
        self._look = Wobble(rng, 0.3, 0.05, 0.25)
        self._pitch = rng.uniform(-0.3, 0.0)
        self._nod = Wobble(rng, 0.08, 0.1, 0.4)
        self._shake = [Wobble(rng, 0.006, 1.0, 4.0) for _ in range(3)]

    def _position(self, seconds: Array) -> tuple[Array, Array]:
        s = self._start + self._speed * seconds + self._hurry(seconds)
        flat, ahead = self._course.at(s, self._sway(seconds))
        low, high = self._heights
        z = (low + high) / 2 + (high - low) / 2 * np.tanh(self._climb(seconds))
        return np.column_stack((flat, z)), ahead

    def world_from_camera(self, seconds: Array) -> Array:
        """Return the poses ``(T, 4, 4)`` at the given times ``(T,)``, metres."""
        seconds = np.asarray(seconds, np.float64)
        step = 0.05
        position, ahead = self._position(seconds)
        before, after = (self._position(seconds + shift)[0] for shift in (-step, step))
        pull = (after - 2 * position + before) / step**2  # as smooth as the position itself
        right = np.stack((np.sin(ahead), -np.cos(ahead)), 1)
        front = np.stack((np.cos(ahead), np.sin(ahead)), 1)
        bank, lean = (np.arctan((pull[:, :2] * axis).sum(1) / GRAVITY) for axis in (right, front))
        yaw = ahead + self._look(seconds) + self._shake[0](seconds)
        pitch = self._pitch - 0.7 * lean + self._nod(seconds) + self._shake[1](seconds)
        return poses(position, yaw, pitch, bank + self._shake[2](seconds))


class Still:
    """A camera at rest where a path has it at one time."""

    def __init__(self, path: Path, at_s: float) -> None:
        self._pose = path.world_from_camera(np.array([at_s]))[0]

    def world_from_camera(self, seconds: Array) -> Array:
        """Return the poses ``(T, 4, 4)`` at the given times ``(T,)``, metres."""
        return np.tile(self._pose, (len(seconds), 1, 1))


class Pivot:
    """A camera that turns on the spot about the vertical, with pauses.

    It stands where a path has it at one time. Each turn is a minimum-jerk move, at rest at both
    ends; the plan of some minutes repeats.
    """

    def __init__(self, rng: Rng, path: Path, at_s: float) -> None:
        self._pose = path.world_from_camera(np.array([at_s]))[0]
        moves = []
        for _ in range(48):
            angle = rng.uniform(0.3, 3.0) * rng.choice((-1.0, 1.0))
            moves.append((1.875 * abs(angle) / rng.uniform(0.3, 1.2), angle))
            if rng.random() < 0.5:
                moves.append((rng.uniform(0.2, 1.0), 0.0))
        order = rng.permutation(len(moves))  # a clip may begin with a pause, too
        self._plan = _Plan(np.array(moves)[order])

    def world_from_camera(self, seconds: Array) -> Array:
        """Return the poses ``(T, 4, 4)`` at the given times ``(T,)``, metres."""
        angle = self._plan(np.asarray(seconds, np.float64))[:, 0]
        turned = _placed(np.zeros((len(angle), 2)), angle) @ self._pose
        turned[:, :3, 3] = self._pose[:3, 3]
        return np.asarray(turned)


class Halting:
    """A path that is gone in stretches: it stops, stands, and starts again where it stopped.

    Time is warped: the clock of the path runs, stands still, and runs on, with speed-ups and
    slow-downs that are as smooth as the path. The plan of some minutes repeats.
    """

    def __init__(self, rng: Rng, path: Path) -> None:
        self._path = path
        moves = []
        for _ in range(48):
            moves += [(seconds := rng.uniform(1.0, 4.0), 0.6 * seconds), (rng.uniform(0.3, 2), 0.0)]
        self._plan = _Plan(np.array(moves))

    def world_from_camera(self, seconds: Array) -> Array:
        """Return the poses ``(T, 4, 4)`` at the given times ``(T,)``, metres."""
        return self._path.world_from_camera(self._plan(np.asarray(seconds, np.float64))[:, 0])


class _Plan:
    """Moves one after the other, each a minimum-jerk one (Flash and Hogan, 1985), again and again.

    Args:
        moves: ``(M, 1 + K)``: seconds of a move, and by how much it changes each of K values.
    """

    def __init__(self, moves: Array) -> None:
        self._seconds = moves[:, 0]
        self._begin = np.concatenate(([0.0], np.cumsum(moves[:, 0])))
        zero = np.zeros((1, moves.shape[1] - 1))
        self._done = np.concatenate((zero, np.cumsum(moves[:, 1:], 0)))

    def __call__(self, seconds: Array) -> Array:
        """Return the values ``(T, K)`` at times ``(T,)``; 0 at time 0."""
        rounds, now = np.divmod(seconds, self._begin[-1])
        move = np.clip(np.searchsorted(self._begin, now, 'right') - 1, 0, len(self._seconds) - 1)
        share = (now - self._begin[move]) / self._seconds[move]
        part = share**3 * (10 - 15 * share + 6 * share**2)
        made = self._done[move] + part[:, None] * (self._done[move + 1] - self._done[move])
        return np.asarray(made + rounds[:, None] * self._done[-1])


# -- things that move by themselves ----------------------------------------------------------------


class BodyMotion(Protocol):
    """How a thing moves: seconds in, world_from_rest ``(T, 4, 4)`` out; see ``Scene.body``."""

    def world_from_rest(self, seconds: Array) -> Array:
        """Return how far the thing is from where the scene has it, ``(T, 4, 4)``."""


class Ride:
    """A vehicle on a lane, at rest at the origin and heading along +x.

    Args:
        drive: The lane and its timetable.
        ahead: Seconds by which the vehicle is ahead of the timetable.
        rest: ``(4, 4)`` pose at which the scene has it.
    """

    def __init__(self, drive: Drive, ahead: float, rest: Array) -> None:
        self._drive, self._ahead, self._from_world = drive, ahead, np.linalg.inv(rest)

    def world_from_rest(self, seconds: Array) -> Array:
        """Return how far the thing is from where the scene has it, ``(T, 4, 4)``."""
        position, yaw = self._drive.at(np.asarray(seconds, np.float64) + self._ahead)
        return _placed(position, yaw) @ self._from_world


class Spin:
    """A thing that turns steadily about the z axis of a frame: a fan, a display."""

    def __init__(self, world_from_axis: Array, rate: float) -> None:
        self._axis, self._rate = world_from_axis, rate

    def world_from_rest(self, seconds: Array) -> Array:
        """Return how far the thing is from where the scene has it, ``(T, 4, 4)``."""
        seconds = np.asarray(seconds, np.float64)
        turn = _placed(np.zeros((len(seconds), 2)), self._rate * seconds)
        return np.asarray(self._axis @ turn @ np.linalg.inv(self._axis))


class Shuttle:
    """A thing that slides to and fro about its rest, turning a little.

    Args:
        rng: Source of randomness.
        reach: ``(2,)`` farthest it comes from its rest along x and y, metres.
        rest: ``(4, 4)`` pose at which the scene has it.
        period: Seconds there and back.
    """

    def __init__(self, rng: Rng, reach: Array, rest: Array, period: float) -> None:
        self._reach, self._rest = reach, rest
        self._rate, self._phase = 2 * np.pi / period, rng.uniform(0, 2 * np.pi)
        self._turn = Wobble(rng, 0.2, 0.3 / period, 1 / period)

    def world_from_rest(self, seconds: Array) -> Array:
        """Return how far the thing is from where the scene has it, ``(T, 4, 4)``."""
        seconds = np.asarray(seconds, np.float64)
        slide = np.sin(self._rate * seconds + self._phase)[:, None] * self._reach
        move = _placed(np.zeros_like(slide), self._turn(seconds))
        moved = self._rest @ move @ np.linalg.inv(self._rest)
        moved[:, :2, 3] += slide
        return np.asarray(moved)


class Tumble:
    """A thing that floats about a point and turns about a slowly changing axis.

    Args:
        rng: Source of randomness.
        centre: ``(3,)`` about which it floats, and at which the scene has it, metres.
        radius: Farthest from the centre, metres.
    """

    def __init__(self, rng: Rng, centre: Array, radius: float) -> None:
        self._centre = centre
        part = radius / (_PEAK * np.sqrt(3))
        self._drift = [Wobble(rng, part, 0.04, 0.3) for _ in range(3)]
        self._turn = [Wobble(rng, 1.0, 0.03, 0.2) for _ in range(3)]

    def world_from_rest(self, seconds: Array) -> Array:
        """Return how far the thing is from where the scene has it, ``(T, 4, 4)``."""
        seconds = np.asarray(seconds, np.float64)
        zero = np.zeros((len(seconds), 3))
        angles = (turn(seconds) for turn in self._turn)
        motion = poses(zero, *angles)
        motion[:, :3, 3] = -(motion[:, :3, :3] @ self._centre) + self._centre
        motion[:, :3, 3] += np.stack([drift(seconds) for drift in self._drift], 1)
        return motion


def _placed(position: Array, yaw: Array) -> Array:
    """Return poses ``(T, 4, 4)`` of things upright on the ground."""
    c, s = np.cos(yaw), np.sin(yaw)
    pose = np.tile(np.eye(4), (len(yaw), 1, 1))
    pose[:, 0, 0], pose[:, 0, 1], pose[:, 1, 0], pose[:, 1, 1] = c, -s, s, c
    pose[:, :2, 3] = position
    return pose


# -- lines on the plan -----------------------------------------------------------------------------


def ellipse(half: tuple[float, float], count: int = 24) -> Array:
    """Return points ``(count, 2)`` of an ellipse about the origin, counter-clockwise."""
    angle = 2 * np.pi * np.arange(count) / count
    return np.stack((half[0] * np.cos(angle), half[1] * np.sin(angle)), 1)


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
