"""Rotations and rigid motions in PyTorch: batched, differentiable, safe at zero.

Every function takes any leading shape ``...`` and keeps the device and the dtype (float32 or
float64) of its input. Gradients are finite everywhere but at a turn of exactly pi, where the
logarithm itself jumps. Angles are radians.
"""

from __future__ import annotations

import torch
from torch import Tensor


def hat(w: Tensor) -> Tensor:
    """Return the skew matrix of each vector, so that ``hat(w) @ x = cross(w, x)``.

    Args:
        w: ``(..., 3)`` vectors.

    Returns:
        ``(..., 3, 3)``.
    """
    x, y, z = w.unbind(-1)
    o = torch.zeros_like(x)
    return torch.stack((o, -z, y, z, o, -x, -y, x, o), dim=-1).reshape(*w.shape, 3)


def so3_exp(w: Tensor) -> Tensor:
    """Turn by ``|w|`` radians about the axis ``w`` (Rodrigues' formula).

    Args:
        w: ``(..., 3)`` rotation vectors.

    Returns:
        ``(..., 3, 3)`` rotation matrices.
    """
    a, b, _ = _coefficients(w)
    k = hat(w)
    return torch.eye(3, dtype=w.dtype, device=w.device) + a * k + b * (k @ k)


def so3_log(rotation: Tensor) -> Tensor:
    """Return the shortest rotation vector of each rotation, ``|w| <= pi``; undoes ``so3_exp``.

    Goes by way of the quaternion, which stays exact near a half turn where the usual
    ``acos((trace - 1) / 2)`` loses half of its digits.

    Args:
        rotation: ``(..., 3, 3)`` rotation matrices.

    Returns:
        ``(..., 3)`` rotation vectors.
    """
    x, y, z, w = _quaternion(rotation).unbind(-1)
    flip = torch.where(w < 0, -1.0, 1.0).to(w.dtype)  # q and -q turn alike; take the short way
    v, w = torch.stack((x, y, z), dim=-1) * flip[..., None], w * flip
    squared = v.square().sum(-1)
    small = squared < _tiny(v)
    sine = torch.where(small, torch.ones_like(squared), squared).sqrt()
    near_zero = torch.where(small, w, torch.ones_like(w))
    series = 2 / near_zero * (1 - squared / (3 * near_zero.square()))
    scale = torch.where(small, series, 2 * torch.atan2(sine, w) / sine)
    return v * scale[..., None]


def se3_exp(xi: Tensor) -> Tensor:
    """Return the rigid motion of each twist; the translation part comes FIRST.

    Args:
        xi: ``(..., 6)`` as [x y z (m), rx ry rz (rad)].

    Returns:
        ``(..., 4, 4)`` homogeneous matrices.
    """
    rho, w = xi[..., :3], xi[..., 3:]
    a, b, c = _coefficients(w)
    k = hat(w)
    k2 = k @ k
    eye = torch.eye(3, dtype=xi.dtype, device=xi.device)
    left_jacobian = eye + b * k + c * k2
    translation = (left_jacobian @ rho[..., None])[..., 0]
    return from_parts(eye + a * k + b * k2, translation)


def from_parts(rotation: Tensor, translation: Tensor) -> Tensor:
    """Put rotations ``(..., 3, 3)`` and translations ``(..., 3)`` into ``(..., 4, 4)``."""
    top = torch.cat((rotation, translation[..., None]), dim=-1)  # (..., 3, 4)
    bottom = torch.zeros_like(top[..., :1, :])
    bottom[..., 3] = 1
    return torch.cat((top, bottom), dim=-2)


def invert(b_from_a: Tensor) -> Tensor:
    """Return ``a_from_b`` of rigid motions ``(..., 4, 4)``, without a general inverse."""
    rotation = b_from_a[..., :3, :3].transpose(-1, -2)
    translation = -(rotation @ b_from_a[..., :3, 3:])[..., 0]
    return from_parts(rotation, translation)


def transform(b_from_a: Tensor, points: Tensor) -> Tensor:
    """Carry points in frame a to frame b.

    Args:
        b_from_a: ``(..., 4, 4)`` rigid motions.
        points: ``(..., N, 3)`` points in frame a; leading sizes broadcast with the motions'.

    Returns:
        ``(..., N, 3)`` points in frame b.
    """
    turned = points @ b_from_a[..., :3, :3].transpose(-1, -2)
    return turned + b_from_a[..., None, :3, 3]


def _tiny(x: Tensor) -> float:
    """Squared angle below which the series is exact to the dtype's last digit."""
    return 1e-4 if x.dtype == torch.float32 else 1e-8


def _coefficients(w: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return sin(t)/t, (1-cos t)/t^2 and (t-sin t)/t^3 of ``t = |w|``, each ``(..., 1, 1)``."""
    t2 = w.square().sum(-1)[..., None, None]
    small = t2 < _tiny(w)
    t2_safe = torch.where(small, torch.ones_like(t2), t2)  # keeps 0/0 out of the gradient too
    t = t2_safe.sqrt()
    a = torch.where(small, 1 - t2 / 6 * (1 - t2 / 20), t.sin() / t)
    b = torch.where(small, 0.5 - t2 / 24 * (1 - t2 / 30), 2 * (t / 2).sin().square() / t2_safe)
    near = t2 < 0.25  # t - sin(t) cancels much earlier than the others
    tail = 1 - t2 / 20 * (1 - t2 / 42 * (1 - t2 / 72 * (1 - t2 / 110)))
    c = torch.where(near, tail / 6, (t - t.sin()) / (t2_safe * t))
    return a, b, c


def _quaternion(rotation: Tensor) -> Tensor:
    """Return a quaternion xyzw ``(..., 4)`` of each matrix; its sign is arbitrary.

    Row k of the symmetric matrix below is ``4 q_k q``; the row of the largest component divides
    by the largest number (Shepperd 1978).
    """
    r = rotation
    d0, d1, d2 = r[..., 0, 0], r[..., 1, 1], r[..., 2, 2]
    xy, xz, yz = (
        r[..., 0, 1] + r[..., 1, 0],
        r[..., 0, 2] + r[..., 2, 0],
        r[..., 1, 2] + r[..., 2, 1],
    )
    xw, yw, zw = (
        r[..., 2, 1] - r[..., 1, 2],
        r[..., 0, 2] - r[..., 2, 0],
        r[..., 1, 0] - r[..., 0, 1],
    )
    rows = torch.stack(
        (
            torch.stack((1 + d0 - d1 - d2, xy, xz, xw), dim=-1),
            torch.stack((xy, 1 - d0 + d1 - d2, yz, yw), dim=-1),
            torch.stack((xz, yz, 1 - d0 - d1 + d2, zw), dim=-1),
            torch.stack((xw, yw, zw, 1 + d0 + d1 + d2), dim=-1),
        ),
        dim=-2,
    )  # (..., 4, 4)
    best = rows.diagonal(dim1=-2, dim2=-1).argmax(-1)[..., None, None].expand(*r.shape[:-2], 1, 4)
    row: Tensor = rows.gather(-2, best)[..., 0, :]
    return row / row.square().sum(-1, keepdim=True).sqrt()
