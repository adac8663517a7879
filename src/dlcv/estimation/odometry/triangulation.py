"""Inverse depths of points that cameras of known poses see."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dlcv.estimation.odometry.reprojection import BLIND, along, by_vector, reproject
from dlcv.estimation.odometry.robust import GATE
from dlcv.types import FloatArray

Matrix = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]
_STEPS = 4  # of Gauss-Newton after the linear solution


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Triangulated:
    """Inverse depths, and what speaks for them.

    Attributes:
        inverse_depth: ``(L,)`` 1/m along z of the anchor; about zero or slightly negative for
            points beyond what the baseline measures.
        stddev: ``(L,)`` of it; `BLIND` at most.
        parallax: ``(L,)`` largest angle in rad between the anchor's ray and another one.
        error: ``(L,)`` squared residuals over their variance and degrees of freedom; about 1.
        accepted: ``(L,)`` bool: parallax enough, before all cameras, residuals as stated.
    """

    inverse_depth: Matrix
    stddev: Matrix
    parallax: Matrix
    error: Matrix
    accepted: npt.NDArray[np.bool_]


def triangulate(
    odom_from_camera: FloatArray,
    *,
    anchor: Indices,
    rays: FloatArray,
    keyframe: Indices,
    landmark: Indices,
    xy: FloatArray,
    stddev: FloatArray | float,
    ray_stddev: FloatArray | float = 0.0,
    least_parallax: float = 0.01,
) -> Triangulated:
    """Find the depth of landmarks by least squares over all that see them.

    The linear solution (Hartley and Zisserman 12.2) starts Gauss-Newton on the image points.

    Args:
        odom_from_camera: ``(K, 4, 4)`` known poses, metres.
        anchor: ``(L,)`` camera in which the landmark's ray is held.
        rays: ``(L, 2)`` x/z and y/z there.
        keyframe: ``(M,)`` camera of each observation.
        landmark: ``(M,)`` landmark of each observation.
        xy: ``(M, 2)`` normalised image coordinates of it.
        stddev: ``(M,)`` of ``xy``, normalised.
        ray_stddev: ``(L,)`` of ``rays``, normalised; it widens what is said, and weighs nothing.
        least_parallax: In rad; with less a landmark is not accepted.

    Returns:
        Of every landmark; of one that nobody else sees a standard deviation of `BLIND`.
    """
    poses, rays, xy = (np.asarray(a, np.float64) for a in (odom_from_camera, rays, xy))
    count = len(rays)
    deviation = np.broadcast_to(np.asarray(stddev, np.float64), (len(xy),))
    turn = np.ascontiguousarray(np.moveaxis(poses[keyframe, :3, :3], 0, -1))  # (3, 3, M)
    homogeneous = np.column_stack((rays, np.ones(count)))
    bearing = np.einsum('lij,lj->il', poses[anchor, :3, :3], homogeneous)[:, landmark]  # (3, M)
    offset = (poses[anchor[landmark], :3, 3] - poses[keyframe, :3, 3]).T  # (3, M)

    def total(values: Matrix) -> Matrix:
        return np.asarray(np.bincount(landmark, values, count), np.float64)

    def solved(slope: Matrix, residual: Matrix) -> tuple[Matrix, Matrix]:
        information = total((slope**2).sum(0)) + BLIND**-2
        return -total((slope * residual).sum(0)) / information, information

    start = np.einsum('ijm,im->jm', turn, bearing)
    change = np.einsum('ijm,im->jm', turn, offset)
    scale = deviation * np.maximum(np.abs(start[2]), 0.1)
    inverse_depth, _ = solved(
        (change[:2] - xy.T * change[2]) / scale, (start[:2] - xy.T * start[2]) / scale
    )
    information = total(np.zeros(len(landmark)))
    for step in range(_STEPS + 1):
        seen = reproject(turn, bearing, offset, inverse_depth[landmark])
        gradient = by_vector(turn, seen)
        residual = (seen.xy - xy.T) / deviation
        slope = along(gradient, offset) / deviation
        change, information = solved(slope, residual)
        if step < _STEPS:
            inverse_depth = inverse_depth + change
    # What the anchor's own noise does to the estimate is the same in all observations.
    axes = np.moveaxis(poses[anchor[landmark], :3, :2], 0, -1)  # (3, 2, M)
    pull = [total((slope * along(gradient, axes[:, i]) / deviation).sum(0)) for i in range(2)]
    shared = np.square(np.stack(pull) * ray_stddev / information).sum(0)
    error = total((residual**2).sum(0)) / np.maximum(
        2 * np.bincount(landmark, minlength=count) - 1, 1
    )
    behind = total((~seen.ahead).astype(np.float64)) > 0
    spread = np.minimum(np.sqrt(1 / information + shared), BLIND)
    parallax = np.zeros(count)
    np.maximum.at(parallax, landmark, _angles(turn, bearing, xy))
    return Triangulated(
        inverse_depth=inverse_depth,
        stddev=spread,
        parallax=parallax,
        error=error,
        accepted=(parallax >= least_parallax)
        & ~behind
        & (inverse_depth > -2 * spread)
        & (error <= GATE),
    )


def _angles(turn: Matrix, bearing: Matrix, xy: Matrix) -> Matrix:
    """Return the angle ``(M,)`` between rays of the anchors and rays of the observations."""
    other = turn[:, 0] * xy[:, 0] + turn[:, 1] * xy[:, 1] + turn[:, 2]
    crossed = np.cross(bearing, other, axis=0)
    return np.asarray(np.arctan2(np.linalg.norm(crossed, axis=0), (bearing * other).sum(0)))
