"""The height of the camera over the ground, in the unit of the odometry.

With n the unit vector down to the ground in camera axes and d the height over it, the ground is
``m . X = 1`` for ``m = n / d``. What a ray ``r = (x, y, 1)`` sees of it has the inverse depth
``m . r``: linear in m, and triangulation errs evenly in inverse depth. So a plane through points is
a linear least-squares problem, once it is known which of them are ground.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dlcv.types import FloatArray

Matrix = npt.NDArray[np.float64]

UP = (0.0, -1.0, 0.0)
"""Where up is, in the optical axes of a camera that looks ahead, level."""
_SETS = 300  # planes that are tried
_GATE = 3.0  # standard deviations within which a point lies in a plane
_BUMP = 0.02  # share of a point's depth that ground is uneven by
_UNEVEN = 0.04  # share of the height that the ground as a whole is, from keyframe to keyframe
_AHEAD, _ASIDE = 8.0, 1.5  # heights of the camera: where points may be ground; walls are farther
_LEAST = 12  # points that make a ground
_SHARE = 0.35  # of the points where ground may be, that must lie in it
_STEEP = 4.0  # standard deviations of its tilt, at which a plane is no ground
_DOUBT = 0.3  # standard deviation of the height, as a share of it, that is too much
_STEPS = 5


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Ground:
    """The ground below a camera.

    Attributes:
        up: ``(3,)`` unit vector away from the ground, in the camera's optical axes.
        height: Of the camera over it, in units of the odometry.
        stddev: Standard deviation of the height.
        support: Points, or pixels, that lie in it.
    """

    up: Matrix
    height: float
    stddev: float
    support: int


def ground_of_points(
    points: FloatArray,
    stddev: FloatArray,
    *,
    up: npt.ArrayLike = UP,
    tilt: float = 0.02,
    seed: int = 0,
) -> Ground | str:
    """Find the ground among triangulated points.

    Planes through three points below the camera are tried; the one counts that most points lie in,
    less those that lie below it: nothing is under the ground.

    Args:
        points: ``(N, 3)`` in the camera's optical axes, units of the odometry.
        stddev: ``(N,)`` standard deviation of their depth along z, in the same units.
        up: About where up is, in camera axes.
        tilt: Standard deviation in rad of the ground about ``up``.
        seed: Of the draws.

    Returns:
        The ground, or why there is none, in words for a person.
    """
    down = -_unit(up)
    drop, along, aside = level_axes(down) @ points.T
    usable = (points[:, 2] > 0) & (stddev > 0) & np.isfinite(points).all(1)
    usable &= (along < _AHEAD * drop) & (np.abs(aside) < _ASIDE * drop)
    if np.count_nonzero(usable) < _LEAST:
        return f'{np.count_nonzero(usable)} points where ground may be; {_LEAST} are needed'
    depth = points[usable, 2]
    rays, inverse = points[usable] / depth[:, None], 1 / depth
    noise = stddev[usable] / depth**2
    planes = _tried(rays, inverse, down, tilt, seed)
    if not len(planes):
        return 'no three points where ground may be lie in a level plane'
    off = _off(planes, rays, inverse, noise)  # (S, N)
    score = np.clip(1 - np.square(off / _GATE), 0, None).sum(1) - (off < -_GATE).sum(1)
    return _refined(planes[score.argmax()], rays, inverse, noise, down, tilt)


def combined(first: Ground | str, second: Ground | str) -> Ground | str:
    """Return the ground that two ways of finding it agree on, or the surer of the two."""
    if isinstance(first, str):
        return second
    if isinstance(second, str):
        return first
    sure, other = sorted((first, second), key=lambda ground: ground.stddev / ground.height)
    if abs(sure.height - other.height) > _GATE * float(np.hypot(sure.stddev, other.stddev)):
        return sure
    share = other.stddev**2 / (sure.stddev**2 + other.stddev**2)
    return Ground(
        up=_unit(share * sure.up + (1 - share) * other.up),
        height=share * sure.height + (1 - share) * other.height,
        stddev=sure.stddev * float(np.sqrt(share)),
        support=sure.support + other.support,
    )


def up_of_motion(translation: FloatArray, up: npt.ArrayLike = UP) -> Matrix:
    """Return up as it is for what drives on the ground: at right angles to the motion.

    Args:
        translation: ``(3,)`` of the motion, in the camera's axes; not along ``up``.
        up: About where up is.

    Returns:
        ``(3,)`` unit vector.
    """
    along = _unit(translation)
    start = _unit(up)
    return _unit(start - (start @ along) * along)


def level_axes(down: Matrix) -> Matrix:
    """Return the directions down, level ahead and level to the right, ``(3, 3)``, one a row."""
    ahead = np.array((0.0, 0.0, 1.0)) - down[2] * down
    ahead /= np.linalg.norm(ahead)
    return np.stack((down, ahead, np.cross(down, ahead)))


def plane_prior(down: Matrix, plane: Matrix, tilt: float) -> tuple[Matrix, Matrix]:
    """Return what is known of a plane ``m = n / d`` beforehand: its tilt, not its distance.

    Args:
        down: ``(3,)`` unit vector.
        plane: ``(3,)`` about ``m``.
        tilt: Standard deviation in rad.

    Returns:
        ``(2, 3)`` rows and ``(2,)`` deviations of measurements ``row . m = 0``.
    """
    side = np.linalg.svd(down[None])[2][1:]  # two directions across
    return side, np.full(2, tilt * float(np.linalg.norm(plane)))


def ground_from(
    plane: Matrix, covariance: Matrix, support: int, down: Matrix, tilt: float
) -> Ground | str:
    """Return the ground of a plane, unless it is steep or its distance uncertain.

    Args:
        plane: ``(3,)`` m = n / d.
        covariance: ``(3, 3)`` of it.
        support: Points, or pixels, that lie in it.
        down: ``(3,)`` where it was looked for.
        tilt: Standard deviation in rad of the ground about that.
    """
    length = float(np.linalg.norm(plane))
    normal = plane / length
    if normal @ down < np.cos(_STEEP * tilt):
        angle = np.degrees(np.arccos(np.clip(normal @ down, -1, 1)))
        return f'the plane that is seen is {angle:.0f} degrees from level'
    share = float(np.hypot(np.sqrt(normal @ covariance @ normal) / length, _UNEVEN))
    if not share < _DOUBT:
        return f'the height over the ground is known to {100 * share:.0f} % only'
    return Ground(up=-normal, height=1 / length, stddev=share / length, support=support)


def _tried(rays: Matrix, inverse: Matrix, down: Matrix, tilt: float, seed: int) -> Matrix:
    """Return planes ``(S, 3)`` through three points each that are level to four deviations."""
    sets = np.random.default_rng(seed).integers(0, len(rays), (_SETS, 3))
    volume = np.linalg.det(rays[sets])
    good = np.abs(volume) > 1e-6
    planes = np.linalg.solve(rays[sets[good]], inverse[sets[good]][..., None])[..., 0]
    level = planes @ down > np.cos(_STEEP * tilt) * np.linalg.norm(planes, axis=1)
    return np.asarray(planes[level])


def _off(planes: Matrix, rays: Matrix, inverse: Matrix, noise: Matrix) -> Matrix:
    """Return how far points are above planes ``(S, 3)``, ``(S, N)`` in standard deviations.

    Bumps are a share of the depth that the plane has there: of the measured one, they would make
    points count more that seem too far.
    """
    level = planes @ rays.T
    return np.asarray((inverse - level) / np.hypot(noise, _BUMP * level))


def _refined(
    plane: Matrix, rays: Matrix, inverse: Matrix, noise: Matrix, down: Matrix, tilt: float
) -> Ground | str:
    """Fit the plane to what lies in it, weighted by Tukey's function."""
    for _ in range(_STEPS):
        off = _off(plane[None], rays, inverse, noise)[0]
        weight = np.square(np.clip(1 - np.square(off / _GATE), 0, None))
        rows, deviation = plane_prior(down, plane, tilt)
        variance = noise**2 + np.square(_BUMP * (rays @ plane))
        scaled = rays * (weight / variance)[:, None]
        hessian = scaled.T @ rays + (rows / deviation[:, None] ** 2).T @ rows
        plane = np.linalg.solve(hessian, scaled.T @ inverse)
    inside = np.abs(off) < _GATE
    support = int(np.count_nonzero(inside))
    if support < max(_LEAST, _SHARE * len(rays)):
        return f'{support} of {len(rays)} points where ground may be lie in one level plane'
    excess = max(1.0, float(weight @ off**2 / max(weight.sum() - 3, 1.0)))
    return ground_from(plane, excess * np.linalg.inv(hessian), support, down, tilt)


def _unit(vector: npt.ArrayLike) -> Matrix:
    array = np.asarray(vector, np.float64)
    return np.asarray(array / np.linalg.norm(array))
