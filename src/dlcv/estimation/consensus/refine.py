"""Iterative PnP, refinement on growing inlier sets, and how refined poses depend on the points.

Poses are changed from the left, ``exp(xi) @ camera_from_world``, with the twist xi = (translation,
rotation) in the camera's axes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dlcv.estimation.consensus.correspondences import NEAREST, Correspondences
from dlcv.estimation.consensus.score import reprojection_errors
from dlcv.estimation.consensus.single import fit_one
from dlcv.geometry.rotation import invert, se3_exp, transform

_RAYLEIGH_MEDIAN = 1.1774  # median length of a 2-D normal vector of unit deviation
_OUTLYING = 3.5  # deviations; a 2-D normal vector is longer once in 460 times
_SETTLED = 1e-6  # share of the cost: less is far below a deviation of the pose
_GUARD = 10.0  # DSAC*: a derivative with a larger entry comes from a degenerate set


@dataclass(frozen=True, kw_only=True, slots=True)
class RefineSettings:
    """How a chosen hypothesis is refined; the defaults are those of DSAC*.

    Attributes:
        steps: Most rounds of {find inliers, iterative PnP}.
        min_inliers: A round with fewer inliers than this stops the refinement.
        max_inliers: Use at most so many inliers, drawn at random; None for all.
        until_stable: Stop as soon as the number of inliers no longer grows.
        polish: Finish on the inliers of a tighter threshold, 3.5 robust deviations of the error.
    """

    steps: int = 100
    min_inliers: int = 5
    max_inliers: int | None = None
    until_stable: bool = True
    polish: bool = True

    def __post_init__(self) -> None:
        if self.steps < 0 or self.min_inliers < 3:
            raise ValueError(
                'refinement needs steps >= 0 and min_inliers >= 3, got '
                f'steps={self.steps} min_inliers={self.min_inliers}'
            )

    @classmethod
    def dsac2017(cls) -> RefineSettings:
        """Return the first paper's: 8 rounds on 100 random inliers, not below 50."""
        return cls(steps=8, min_inliers=50, max_inliers=100, until_stable=False, polish=False)


def refine(
    camera_from_world: Tensor,
    matches: Correspondences,
    settings: RefineSettings,
    *,
    threshold: float,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Refine poses on their own inliers.

    Args:
        camera_from_world: ``(K, 4, 4)`` float64.
        matches: float64 correspondences.
        settings: When to stop.
        threshold: Inlier threshold in pixels.
        generator: Source of randomness for ``settings.max_inliers``.

    Returns:
        ``(K, 4, 4)`` refined poses, and ``(K, N)`` bool the correspondences each was fitted to:
        none for poses that were never refined.
    """
    poses, used = (
        camera_from_world,
        matches.usable.new_zeros(len(camera_from_world), len(matches.usable)),
    )
    best = torch.full_like(used[:, 0], settings.min_inliers - 1, dtype=torch.int64)
    active = torch.ones_like(used[:, 0])
    for _ in range(settings.steps):
        inliers = reprojection_errors(poses, matches, 2 * threshold) < threshold
        count = inliers.sum(1)
        active = active & (count > best if settings.until_stable else count >= settings.min_inliers)
        if not active.any():
            break
        best = torch.where(active, count, best)
        inliers = _some(inliers, settings.max_inliers, generator)
        poses, used = _fit(poses, used, inliers, active, matches)
    return _polish(poses, used, matches, threshold) if settings.polish else (poses, used)


def _some(inliers: Tensor, most: int | None, generator: torch.Generator) -> Tensor:
    """Keep at most ``most`` random inliers of each row."""
    if most is None or inliers.shape[1] <= most:
        return inliers
    keys = torch.rand(inliers.shape, generator=generator, device=generator.device)
    keys = torch.where(inliers, keys.to(inliers.device), 2.0)
    chosen = torch.zeros_like(inliers).scatter_(1, keys.topk(most, largest=False).indices, True)
    return inliers & chosen


def _fit(
    poses: Tensor, used: Tensor, inliers: Tensor, active: Tensor, matches: Correspondences
) -> tuple[Tensor, Tensor]:
    """Fit the active poses to their inliers, leave the others."""
    index = active.nonzero()[:, 0]
    fitted = iterative_pnp(poses[index], matches, inliers[index])
    return poses.index_copy(0, index, fitted), used.index_copy(0, index, inliers[index])


def _polish(
    poses: Tensor, used: Tensor, matches: Correspondences, threshold: float
) -> tuple[Tensor, Tensor]:
    """Refit poses to what lies within 3.5 deviations, when the noise is less than the threshold.

    The threshold of the consensus must be wide enough for coarse hypotheses to attract their
    inliers. With a pixel of noise, ten pixels then also admit coordinates that are a little wrong,
    and least squares believe them; where a third are off by 5 cm this halves the error.
    """
    for _ in range(3):
        errors = reprojection_errors(poses, matches, 2 * threshold)
        within = torch.where(errors < threshold, errors, torch.nan)
        deviation = within.nanmedian(1).values / _RAYLEIGH_MEDIAN
        limit = (_OUTLYING * deviation).clamp(0.05 * threshold, threshold)
        inliers = errors < limit[:, None]
        active = used.any(1) & (inliers.sum(1) > 4) & (inliers != used).any(1)
        if not active.any():
            break
        poses, used = _fit(poses, used, inliers, active, matches)
    return poses, used


def iterative_pnp(
    camera_from_world: Tensor, matches: Correspondences, inliers: Tensor, *, steps: int = 20
) -> Tensor:
    """Minimise the squared reprojection error over inliers by Levenberg and Marquardt's method.

    Args:
        camera_from_world: ``(K, 4, 4)`` float64 starting poses.
        matches: float64 correspondences.
        inliers: ``(K, N)`` bool, which correspondences count for which pose.
        steps: Most steps; each pose stops when its step is negligible.

    Returns:
        ``(K, 4, 4)``; a pose whose error cannot be lowered is returned as it came.
    """
    subset, weights = _compact(matches, inliers)
    if len(camera_from_world) == 1 and not camera_from_world.is_cuda:
        return _fit_one(camera_from_world, subset, steps)
    pose, damping = camera_from_world, camera_from_world.new_full((len(camera_from_world),), 1e-6)
    hessian, gradient, cost = normal_equations(pose, subset, weights)
    for _ in range(steps):
        diagonal = damping[:, None] * hessian.diagonal(dim1=-2, dim2=-1)
        step = -_solve(hessian + torch.diag_embed(diagonal), gradient)
        trial = se3_exp(step) @ pose
        trial_hessian, trial_gradient, trial_cost = normal_equations(trial, subset, weights)
        better = trial_cost <= cost  # False for NaN
        pose = torch.where(better[:, None, None], trial, pose)
        hessian = torch.where(better[:, None, None], trial_hessian, hessian)
        gradient = torch.where(better[:, None], trial_gradient, gradient)
        settled = (cost - trial_cost).abs() <= _SETTLED * cost
        cost = torch.where(better, trial_cost, cost)
        damping = torch.where(better, damping / 10, damping * 10)
        if bool((settled | (damping > 1e6)).all()):
            break
    return pose


def _fit_one(camera_from_world: Tensor, matches: Correspondences, steps: int) -> Tensor:
    """Fit one pose ``(1, 4, 4)`` to all matches."""
    fitted = fit_one(
        camera_from_world[0].numpy(),
        matches.points.numpy(),
        matches.pixels.numpy(),
        matches.focal.numpy(),
        matches.centre.numpy(),
        steps=steps,
        settled=_SETTLED,
    )
    return torch.from_numpy(fitted)[None]


def _compact(matches: Correspondences, inliers: Tensor) -> tuple[Correspondences, Tensor]:
    """Leave out what no pose counts as an inlier."""
    index = inliers.any(0).nonzero()[:, 0]
    return matches.chosen(index), inliers[:, index].to(matches.points.dtype)


def normal_equations(
    camera_from_world: Tensor, matches: Correspondences, weights: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return J'WJ ``(K, 6, 6)``, J'Wr ``(K, 6)`` and r'Wr ``(K,)`` of the reprojection error r.

    Args:
        camera_from_world: ``(K, 4, 4)``.
        matches: N correspondences.
        weights: ``(K, N)`` weight of each correspondence, zero or more.
    """
    # Row by row, as in the score: no tensor has a trailing size of three.
    x, y, z = (
        torch.addmm(row[:, 3:], row[:, :3], matches.points.T)
        for row in camera_from_world[:, :3].unbind(1)
    )  # (K, N) each
    jacobian = pose_jacobian(x, y, z, matches.focal).flatten(2)  # (K, 6, 2N)
    inverse = z.clamp_min(NEAREST).reciprocal()
    target = ((matches.pixels - matches.centre) / matches.focal).T  # (2, N)
    residual = torch.cat(
        (
            (x * inverse - target[0]) * matches.focal[0],
            (y * inverse - target[1]) * matches.focal[1],
        ),
        1,
    )  # (K, 2N)
    both = weights.repeat(1, 2)
    weighted = jacobian * both[:, None]
    hessian = weighted @ jacobian.transpose(-1, -2)
    gradient = (weighted @ residual[..., None])[..., 0]
    return hessian, gradient, (both * residual.square()).sum(1)


def pose_jacobian(x: Tensor, y: Tensor, z: Tensor, focal: Tensor) -> Tensor:
    """Return d(u, v) / d twist, ``(K, 6, 2, N)``, of points x y z ``(K, N)`` in the camera."""
    inverse = z.clamp_min(NEAREST).reciprocal()
    a, b = x * inverse, y * inverse
    fx, fy = focal[0], focal[1]
    found = torch.zeros(len(x), 6, 2, x.shape[1], dtype=x.dtype, device=x.device)
    across, down, product = inverse * fx, inverse * fy, a * b
    found[:, 0, 0], found[:, 1, 1] = across, down
    found[:, 2, 0], found[:, 2, 1] = -a * across, -b * down
    found[:, 3, 0], found[:, 3, 1] = -product * fx, (b * b + 1) * -fy
    found[:, 4, 0], found[:, 4, 1] = (a * a + 1) * fx, product * fy
    found[:, 5, 0], found[:, 5, 1] = b * -fx, a * fy
    return found


def _solve(hessian: Tensor, gradient: Tensor) -> Tensor:
    """Solve positive definite systems ``(K, 6, 6)``; zero where they are not."""
    factor, failed = torch.linalg.cholesky_ex(hessian)
    solution = torch.cholesky_solve(gradient[..., None], factor)[..., 0]
    return torch.where(failed[:, None] == 0, solution, 0.0)


def attach(camera_from_world: Tensor, points: Tensor, weights: Tensor, focal: Tensor) -> Tensor:
    """Give least-squares poses their derivative with respect to the points they were fitted to.

    By the implicit function theorem with Gauss and Newton's Hessian, ``d pose / d point =
    -(J'WJ)^-1 J'W dr/dpoint``: exact where the residuals vanish, as in a minimal set, and DSAC*'s
    formula elsewhere. A pose with an entry above 10 (per metre) gets no derivative at all.

    Args:
        camera_from_world: ``(K, 4, 4)`` poses, taken as constants.
        points: ``(K, n, 3)`` or ``(n, 3)`` points they were fitted to, with their graph.
        weights: ``(K, n)`` what each point counted.
        focal: ``(2,)`` pixels.

    Returns:
        ``(K, 4, 4)`` the same values, differentiable in ``points``.
    """
    with torch.no_grad():
        seen = transform(camera_from_world, points)
        x, y, z = seen.unbind(-1)
        jacobian = pose_jacobian(x, y, z, focal).transpose(1, 2)  # (K, 2, 6, n)
        weighted = jacobian * weights[:, None, None]
        hessian = (weighted @ jacobian.transpose(-1, -2)).sum(1)  # (K, 6, 6)
        # dr/dpoint is the translation's part of the Jacobian, turned into the world.
        by_point = torch.einsum('kuin,kij->kunj', jacobian[:, :, :3], camera_from_world[:, :3, :3])
        pulled = torch.einsum('kuin,kunj->kinj', weighted, by_point)  # (K, 6, n, 3)
        derivative = -_solve_many(hessian, pulled.flatten(2)).reshape(pulled.shape)
        largest = derivative.abs().amax((1, 2, 3))
        derivative = torch.where((largest <= _GUARD)[:, None, None, None], derivative, 0.0)
    offset = points - points.detach()
    if offset.ndim == 2:
        step = torch.einsum('kinj,nj->ki', derivative, offset)
    else:
        step = torch.einsum('kinj,knj->ki', derivative, offset)
    return se3_exp(step) @ camera_from_world.detach()


def _solve_many(hessian: Tensor, right: Tensor) -> Tensor:
    """Solve ``(K, 6, 6) x = (K, 6, m)``; NaN where singular, which the guard then catches."""
    solution, failed = torch.linalg.solve_ex(hessian, right)
    return torch.where(failed[:, None, None] == 0, solution, torch.nan)


def pose_covariance(camera_from_world: Tensor, matches: Correspondences, inliers: Tensor) -> Tensor:
    """Return the covariance of a pose fitted to inliers with equal, independent pixel noise.

    ``sigma^2 (J'J)^-1`` with sigma from the residuals themselves, carried from the camera's twist
    to the pose of the camera in the world.

    Args:
        camera_from_world: ``(4, 4)`` the fitted pose.
        matches: float64 correspondences.
        inliers: ``(N,)`` bool, what it was fitted to; four or more.

    Returns:
        ``(6, 6)`` of ``world_from_camera`` as (x, y, z, rx, ry, rz) in world axes: position of the
        camera in metres, fixed-axis rotation in radians. NaN where the inliers do not fix a pose.
    """
    weights = inliers[None].to(matches.points.dtype)
    hessian, _, cost = normal_equations(camera_from_world[None], matches, weights)
    variance = cost[0] / (2 * inliers.sum() - 6).clamp_min(1)
    inverse = _solve_many(hessian, torch.eye(6).to(hessian)[None])[0]
    # To first order the camera's centre moves by -R'v and turns by -R'w for a twist (v, w).
    turn = invert(camera_from_world)[:3, :3]
    turns = torch.zeros_like(inverse)
    turns[:3, :3] = turns[3:, 3:] = turn
    covariance: Tensor = variance * turns @ inverse @ turns.T
    return (covariance + covariance.T) / 2
