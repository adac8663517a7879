"""The pose of a calibrated camera from three points (P3P), for a batch of triples at once.

The three distances along the rays lie on two conics (each the difference of two laws of cosines).
One member of their pencil is a pair of lines; each line cuts the conics twice, which gives up to
four solutions, as in Persson and Nordberg, "Lambda Twist" (ECCV 2018). Ours differs in three
ways: the lines come from the adjugate of the degenerate conic instead of its eigenvectors, a line
is cut in an orthonormal basis of its plane, and all solutions are polished by Newton steps.

Dimension letters in this file: B triples, S solutions of all triples together. All numbers are
float64.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize, one_hot, pad

from dlcv.geometry.rotation import from_parts

_PAIRS = ((0, 1), (0, 2), (1, 2))
_NEWTON_STEPS = 3
_FLAT = 1e-10  # squared sine of a triangle's angle below which its points count as collinear
_EXACT = 1e-9  # largest error of a law of cosines, relative to the triangle's size squared
_DOUBLE = -1e-12  # a discriminant down to here is a double root with rounding


def rays_of(pixels: Tensor, focal: Tensor, centre: Tensor) -> Tensor:
    """Return the unit viewing rays ``(..., 3)`` of pixels ``(..., 2)`` of a pinhole camera."""
    return normalize(pad((pixels - centre) / focal, (0, 1), value=1.0), dim=-1)


def solve_p3p(rays: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """Find every pose from which three points are seen along three rays, in front of the camera.

    A triple has up to four such poses, 1.8 on average; collinear points have none.

    Args:
        rays: ``(B, 3, 3)`` float64 unit vectors in the camera, one per row.
        points: ``(B, 3, 3)`` float64 the points they hit, in the world, in metres.

    Returns:
        ``(S, 4, 4)`` float64 ``camera_from_world`` and ``(S,)`` int64 the triple each belongs to.
    """
    sides = torch.stack([(points[:, i] - points[:, j]).square().sum(-1) for i, j in _PAIRS])
    cosines = torch.stack([(rays[:, i] * rays[:, j]).sum(-1) for i, j in _PAIRS])  # (3, B)
    size = sides.sum(0)  # (B,)
    distances, owner = _distances(sides / size, cosines)  # (3, S), (S,)
    error = _law_of_cosines(distances, (sides / size)[:, owner], cosines[:, owner])
    good = (error.abs().amax(0) < _EXACT) & (distances > 0).all(0)
    good &= ~_collinear(points, sides)[owner]
    distances, owner = distances[:, good], owner[good]
    metres = (distances * size[owner].sqrt()).T[..., None]  # (S, 3, 1)
    return _align(metres * rays[owner], points[owner]), owner


def _distances(sides: Tensor, cosines: Tensor) -> tuple[Tensor, Tensor]:
    """Return ``(3, S)`` distances for squared sides ``(3, B)`` of sum one, and their triples."""
    first, second = _conics(sides, cosines)
    gamma, near, far = _degenerate(first, second)
    lines = _split(near + gamma[:, None, None] * far)  # (B, 2, 3)
    # On such a line the two conics differ by the factor -gamma; cut the larger of them.
    directions, real = _cut(lines, torch.where((gamma.abs() > 1)[:, None, None], near, far))
    one_sided = (directions > 0).all(-1) | (directions < 0).all(-1)  # (B, 4)
    owner, which = torch.nonzero(real & one_sided, as_tuple=True)
    x, y, z = d = directions[owner, which].T.abs().contiguous()  # (3, S)
    c12, c13, c23 = cosines = cosines[:, owner]
    total = 2 * (x * x + y * y + z * z - c12 * x * y - c13 * x * z - c23 * y * z)
    return _polish(d * total.rsqrt(), sides[:, owner], cosines), owner


def _conics(sides: Tensor, cosines: Tensor) -> tuple[Tensor, Tensor]:
    """Return the two conics ``(B, 3, 3)`` that vanish at every solution."""
    a12, a13, a23 = sides
    c12, c13, c23 = cosines
    zero = torch.zeros_like(a12)
    first = (a23, -a23 * c12, zero, -a23 * c12, a23 - a12, a12 * c23, zero, a12 * c23, -a12)
    second = (a23, zero, -a23 * c13, zero, -a13, a13 * c23, -a23 * c13, a13 * c23, a23 - a13)
    return _matrix(first), _matrix(second)


def _matrix(entries: tuple[Tensor, ...]) -> Tensor:
    """Put nine entries ``(B,)``, row by row, into ``(B, 3, 3)``."""
    return torch.stack(entries, -1).reshape(-1, 3, 3)


def _degenerate(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return ``gamma, near, far`` so that ``near + gamma * far`` has no full rank."""
    adj1, adj2 = _adjugate(first), _adjugate(second)
    det1 = (adj1[:, 0] * first[:, 0]).sum(-1)
    det2 = (adj2[:, 0] * second[:, 0]).sum(-1)
    mixed1, mixed2 = (adj1 * second).sum((-2, -1)), (adj2 * first).sum((-2, -1))
    swap = det1.abs() > det2.abs()  # the leading coefficient must not be the small one
    lead = torch.where(swap, det1, det2)
    c2 = torch.where(swap, mixed1, mixed2) / lead
    c1 = torch.where(swap, mixed2, mixed1) / lead
    c0 = torch.where(swap, det2, det1) / lead
    swap = swap[:, None, None]
    near, far = torch.where(swap, second, first), torch.where(swap, first, second)
    return _cubic_root(c2, c1, c0), near, far


def _adjugate(m: Tensor) -> Tensor:
    """Return the adjugate of symmetric matrices ``(B, 3, 3)``."""
    return torch.stack(
        [torch.linalg.cross(m[:, i], m[:, j]) for i, j in ((1, 2), (2, 0), (0, 1))], 1
    )


def _cubic_root(c2: Tensor, c1: Tensor, c0: Tensor) -> Tensor:
    """Return the real root of ``x^3 + c2 x^2 + c1 x + c0`` that lies farthest from the others."""
    p = c1 - c2 * c2 / 3
    q = c2 * (2 * c2 * c2 / 27 - c1 / 3) + c0
    discriminant = q * q / 4 + p * p * p / 27
    sign = torch.where(q > 0, -1.0, 1.0)
    u = (q.abs() / 2 + discriminant.clamp_min(0).sqrt()).pow(1 / 3)
    one = sign * (u - p / (3 * u))
    radius = (-p / 3).clamp_min(0).sqrt()
    cosine = (q.abs() / 2 / radius.pow(3)).clamp(max=1)
    three = sign * 2 * radius * (cosine.acos() / 3).cos()
    x = torch.where(discriminant > 0, one, three) - c2 / 3
    for _ in range(2):
        slope = (3 * x + 2 * c2) * x + c1
        step = (((x + c2) * x + c1) * x + c0) / slope
        x = torch.where(step.isfinite(), x - step, x)
    return x


def _split(conic: Tensor) -> Tensor:
    """Split rank-two conics ``(B, 3, 3)`` into two lines ``(B, 2, 3)`` of unit length.

    With ``p`` the crossing of the lines l and m, ``l m' = conic + [p]_x`` up to scale, and ``p``
    is read from the adjugate, which is ``-p p'`` (Richter-Gebert, Perspectives on Projective
    Geometry, 11.1). Lines that are not real come out as some other line and die later.
    """
    minus = -_adjugate(conic)
    diagonal = minus.diagonal(dim1=1, dim2=2)
    best = diagonal.argmax(1)[:, None, None]
    column = minus.gather(2, best.expand(-1, 3, 1))[..., 0]
    x, y, z = (column / diagonal.amax(1, keepdim=True).clamp_min(1e-300).sqrt()).unbind(-1)
    o = torch.zeros_like(x)
    product = conic + _matrix((o, -z, y, z, o, -x, -y, x, o))
    largest = product.flatten(1).abs().argmax(1)
    row = product.gather(1, (largest // 3)[:, None, None].expand(-1, 1, 3))[:, 0]
    column = product.gather(2, (largest % 3)[:, None, None].expand(-1, 3, 1))[..., 0]
    return normalize(torch.stack((row, column), 1), dim=-1)


def _cut(lines: Tensor, conic: Tensor) -> tuple[Tensor, Tensor]:
    """Return the directions ``(B, 4, 3)`` where two lines ``(B, 2, 3)`` meet a conic; if real."""
    axis = one_hot(lines.abs().argmin(-1), 3).to(lines.dtype)
    u = normalize(torch.linalg.cross(lines, axis), dim=-1)
    v = torch.linalg.cross(lines, u)
    cu, cv = u @ conic, v @ conic  # (B, 2, 3)
    a, b, c = (cu * u).sum(-1), (cu * v).sum(-1), (cv * v).sum(-1)
    discriminant = b * b - a * c  # (B, 2)
    root = discriminant.clamp_min(0).sqrt()
    w = (b + torch.where(b < 0, -root, root))[..., None]
    directions = torch.cat((a[..., None] * v - w * u, c[..., None] * u - w * v), 1)
    return directions, (discriminant > _DOUBLE).repeat(1, 2)


def _law_of_cosines(distances: Tensor, sides: Tensor, cosines: Tensor) -> Tensor:
    """Return the errors ``(3, S)`` of the laws of cosines of the pairs 12, 13, 23."""
    x, y, z = distances
    c12, c13, c23 = cosines
    xx, yy, zz = distances * distances
    pairs = (xx + yy - 2 * c12 * x * y, xx + zz - 2 * c13 * x * z, yy + zz - 2 * c23 * y * z)
    return torch.stack(pairs) - sides


def _polish(distances: Tensor, sides: Tensor, cosines: Tensor) -> Tensor:
    """Sharpen the distances ``(3, S)`` by Newton steps on the three laws of cosines."""
    c12, c13, c23 = cosines
    for _ in range(_NEWTON_STEPS):
        x, y, z = distances
        r1, r2, r3 = _law_of_cosines(distances, sides, cosines)
        # Half the Jacobian is [[a, b, 0], [c, 0, d], [0, e, f]]; Cramer's rule.
        a, b = x - c12 * y, y - c12 * x
        c, d = x - c13 * z, z - c13 * x
        e, f = y - c23 * z, z - c23 * y
        g, de, cf = r2 * f - d * r3, d * e, c * f
        step = torch.stack((r1 * de + b * g, r1 * cf - a * g, a * e * r2 + c * (b * r3 - r1 * e)))
        step = step * (0.5 / (a * de + b * cf))
        distances = distances - torch.where(step.isfinite(), step, 0.0)
    return distances


def _collinear(points: Tensor, sides: Tensor) -> Tensor:
    """Return which triangles ``(B, 3, 3)``, of squared sides ``(3, B)``, have no area."""
    normal = torch.linalg.cross(points[:, 1] - points[:, 0], points[:, 2] - points[:, 0])
    has_area: Tensor = normal.square().sum(-1) > _FLAT * sides.amax(0).square()
    return ~has_area  # NaN is collinear too


def _align(seen: Tensor, points: Tensor) -> Tensor:
    """Return the motions ``(..., 4, 4)`` that carry triangles in the world to the camera's."""
    rotation = _axes(seen) @ _axes(points).transpose(-1, -2)
    moved = (rotation @ points.mean(-2)[..., None])[..., 0]
    return from_parts(rotation, seen.mean(-2) - moved)


def _axes(triangle: Tensor) -> Tensor:
    """Return a right-handed orthonormal frame, in columns, fixed to triangles ``(..., 3, 3)``."""
    along = normalize(triangle[..., 1, :] - triangle[..., 0, :], dim=-1)
    normal = torch.linalg.cross(along, triangle[..., 2, :] - triangle[..., 0, :])
    normal = normalize(normal, dim=-1)
    return torch.stack((along, torch.linalg.cross(normal, along), normal), -1)
