"""The pose of a calibrated camera from three points (P3P), for a batch of triples at once.

The three distances along the rays lie on two conics (each the difference of two laws of cosines).
One member of their pencil is a pair of lines; each line cuts the conics twice, which gives up to
four solutions, as in Persson and Nordberg, "Lambda Twist" (ECCV 2018). Ours differs in three
ways: the lines come from the adjugate of the degenerate conic instead of its eigenvectors, a line
is cut in an orthonormal basis of its plane, and all solutions are polished by Newton steps.

It is three hundred small steps over some thousand triples: NumPy takes them in half the time of
PyTorch, whatever the device of the data. The batch is the last size, so that each step runs along
the memory.

Dimension letters in this file: B triples, S solutions of all triples together. All numbers are
float64. A conic is its six entries ``xx xy xz yy yz zz``, ``(6, B)``.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]

_ONE, _OTHER = np.array((0, 0, 1)), np.array((1, 2, 2))  # the pairs 12, 13, 23
_FULL = np.array(((0, 1, 2), (1, 3, 4), (2, 4, 5)))  # where a conic's matrix has its entries
_TWICE = np.array((1.0, 2.0, 2.0, 1.0, 2.0, 1.0))[:, None]  # how often it has them
_MINORS = np.array(((3, 2, 1, 0, 1, 0), (5, 4, 4, 5, 2, 3), (4, 1, 2, 2, 0, 1), (4, 5, 3, 2, 4, 1)))
_NEWTON_STEPS = 3
_FLAT = 1e-10  # squared sine of a triangle's angle below which its points count as collinear
_EXACT = 1e-9  # largest error of a law of cosines, relative to the triangle's size squared
_DOUBLE = -1e-12  # a discriminant down to here is a double root with rounding


def solve_p3p(rays: Array, points: Array) -> tuple[Array, Index]:
    """Find every pose from which three points are seen along three rays, in front of the camera.

    A triple has up to four such poses, 1.8 on average; collinear points have none.

    Args:
        rays: ``(3, 3, B)`` float64: three unit vectors in the camera, x y z of each.
        points: ``(3, 3, B)`` float64: the points they hit, in the world, in metres.

    Returns:
        ``(S, 4, 4)`` float64 ``camera_from_world`` and ``(S,)`` the triple each belongs to,
        ascending.
    """
    with np.errstate(all='ignore'):  # what has no solution divides by zero, and is left out
        return _solve(rays, points)


def _solve(rays: Array, points: Array) -> tuple[Array, Index]:
    sides = np.square(points[_ONE] - points[_OTHER]).sum(1)  # (3, B)
    cosines = (rays[_ONE] * rays[_OTHER]).sum(1)
    size = sides.sum(0)  # (B,)
    relative = sides / size
    distances, owner = _distances(relative, cosines)  # (3, S), (S,)
    error = _law_of_cosines(distances, relative[:, owner], cosines[:, owner])
    good = (np.abs(error).max(0) < _EXACT) & (distances > 0).all(0)
    good &= ~_collinear(points, sides)[owner]
    distances, owner = distances[:, good], owner[good]
    metres = distances * np.sqrt(size[owner])  # (3, S)
    return _align(metres[:, None] * rays[:, :, owner], points[:, :, owner]), owner


def _distances(sides: Array, cosines: Array) -> tuple[Array, Index]:
    """Return ``(3, S)`` distances for squared sides ``(3, B)`` of sum one, and their triples."""
    first, second = _conics(sides, cosines)
    gamma, near, far = _degenerate(first, second)
    lines = _split(near + gamma * far)  # (2, 3, B)
    # On such a line the two conics differ by the factor -gamma; cut the larger of them.
    directions, real = _cut(lines, np.where(np.abs(gamma) > 1, near, far))
    one_sided = (directions > 0).all(1) | (directions < 0).all(1)  # (4, B)
    owner, which = np.nonzero((real & one_sided).T)
    x, y, z = d = np.ascontiguousarray(np.abs(directions[which, :, owner]).T)  # (3, S)
    c12, c13, c23 = cosines = cosines[:, owner]
    total = 2 * (x * x + y * y + z * z - c12 * x * y - c13 * x * z - c23 * y * z)
    return _polish(d / np.sqrt(total), sides[:, owner], cosines), owner


def _conics(sides: Array, cosines: Array) -> tuple[Array, Array]:
    """Return the two conics that vanish at every solution."""
    a12, a13, a23 = sides
    c12, c13, c23 = cosines
    zero = np.zeros_like(a12)
    first = (a23, -a23 * c12, zero, a23 - a12, a12 * c23, -a12)
    second = (a23, zero, -a23 * c13, -a13, a13 * c23, a23 - a13)
    return np.stack(first), np.stack(second)


def _degenerate(first: Array, second: Array) -> tuple[Array, Array, Array]:
    """Return ``gamma, near, far`` so that ``near + gamma * far`` has no full rank."""
    adj1, adj2 = _adjugate(first), _adjugate(second)
    det1, det2 = (adj1[:3] * first[:3]).sum(0), (adj2[:3] * second[:3]).sum(0)
    mixed1, mixed2 = (_TWICE * adj1 * second).sum(0), (_TWICE * adj2 * first).sum(0)
    swap = np.abs(det1) > np.abs(det2)  # the leading coefficient must not be the small one
    lead = np.where(swap, det1, det2)
    c2 = np.where(swap, mixed1, mixed2) / lead
    c1 = np.where(swap, mixed2, mixed1) / lead
    c0 = np.where(swap, det2, det1) / lead
    near, far = np.where(swap, second, first), np.where(swap, first, second)
    return _cubic_root(c2, c1, c0), near, far


def _adjugate(m: Array) -> Array:
    """Return the adjugate of conics' matrices, which is symmetric too."""
    a, b, c, d = _MINORS
    return np.asarray(m[a] * m[b] - m[c] * m[d])


def _cubic_root(c2: Array, c1: Array, c0: Array) -> Array:
    """Return the real root of ``x^3 + c2 x^2 + c1 x + c0`` that lies farthest from the others."""
    p = c1 - c2 * c2 / 3
    q = c2 * (2 * c2 * c2 / 27 - c1 / 3) + c0
    discriminant = q * q / 4 + p * p * p / 27
    sign = np.where(q > 0, -1.0, 1.0)
    u = np.cbrt(np.abs(q) / 2 + np.sqrt(np.maximum(discriminant, 0)))
    one = sign * (u - p / (3 * u))
    radius = np.sqrt(np.maximum(-p / 3, 0))
    cosine = np.minimum(np.abs(q) / 2 / radius**3, 1)
    three = sign * 2 * radius * np.cos(np.arccos(cosine) / 3)
    x = np.where(discriminant > 0, one, three) - c2 / 3
    for _ in range(2):
        slope = (3 * x + 2 * c2) * x + c1
        step = (((x + c2) * x + c1) * x + c0) / slope
        x = np.where(np.isfinite(step), x - step, x)
    return x


def _split(conic: Array) -> Array:
    """Split rank-two conics into two lines ``(2, 3, B)`` of unit length.

    With ``p`` the crossing of the lines l and m, ``l m' = conic + [p]_x`` up to scale, and ``p``
    is read from the adjugate, which is ``-p p'`` (Richter-Gebert, Perspectives on Projective
    Geometry, 11.1). Lines that are not real come out as some other line and die later.
    """
    minus, each = -_adjugate(conic), np.arange(conic.shape[1])
    diagonal = minus[[0, 3, 5]]
    column = minus[_FULL[:, diagonal.argmax(0)], each]
    x, y, z = column / np.sqrt(np.maximum(diagonal.max(0), 1e-300))
    a, b, c, d, e, f = conic
    product = np.stack((a, b - z, c + y, b + z, d, e - x, c - y, e + x, f))  # row by row
    row, column = np.divmod(np.abs(product).argmax(0), 3)
    lines = (
        product[3 * row + np.arange(3)[:, None], each],
        product[column + np.array((0, 3, 6))[:, None], each],
    )
    return _unit(np.stack(lines))


def _cut(lines: Array, conic: Array) -> tuple[Array, npt.NDArray[np.bool_]]:
    """Return the directions ``(4, 3, B)`` where two lines meet a conic, and ``(4, B)`` if real."""
    axis = (np.abs(lines).argmin(1)[:, None] == np.arange(3)[:, None]).astype(np.float64)
    u = _unit(_cross(lines, axis))
    v = _cross(lines, u)
    cu, cv = _times(conic, u), _times(conic, v)  # (2, 3, B)
    a, b, c = (cu * u).sum(1), (cu * v).sum(1), (cv * v).sum(1)
    discriminant = b * b - a * c  # (2, B)
    root = np.sqrt(np.maximum(discriminant, 0))
    w = (b + np.where(b < 0, -root, root))[:, None]
    directions = np.concatenate((a[:, None] * v - w * u, c[:, None] * u - w * v))
    return directions, np.tile(discriminant > _DOUBLE, (2, 1))


def _cross(one: Array, other: Array) -> Array:
    """Return the cross products of vectors along the last size but one."""
    x, y, z = (one[..., i, :] for i in range(3))
    a, b, c = (other[..., i, :] for i in range(3))
    return np.stack((y * c - z * b, z * a - x * c, x * b - y * a), -2)


def _unit(vectors: Array) -> Array:
    """Return vectors along the last size but one with length 1."""
    length = np.sqrt(np.square(vectors).sum(-2, keepdims=True))
    return np.asarray(vectors / np.maximum(length, 1e-12))


def _times(conic: Array, vectors: Array) -> Array:
    """Return the products of conics with vectors ``(2, 3, B)``."""
    x, y, z = (vectors[:, i, None] for i in range(3))  # (2, 1, B) each
    return np.asarray(conic[_FULL[0]] * x + conic[_FULL[1]] * y + conic[_FULL[2]] * z)


def _law_of_cosines(distances: Array, sides: Array, cosines: Array) -> Array:
    """Return the errors ``(3, S)`` of the laws of cosines of the pairs 12, 13, 23."""
    one, other = distances[_ONE], distances[_OTHER]
    return np.asarray(one * (one - 2 * cosines * other) + other * other - sides)


def _polish(distances: Array, sides: Array, cosines: Array) -> Array:
    """Sharpen the distances ``(3, S)`` by Newton steps on the three laws of cosines."""
    for _ in range(_NEWTON_STEPS):
        one, other = distances[_ONE], distances[_OTHER]
        r1, r2, r3 = _law_of_cosines(distances, sides, cosines)
        # Half the Jacobian is [[a, b, 0], [c, 0, d], [0, e, f]]; Cramer's rule.
        a, c, e = one - cosines * other
        b, d, f = other - cosines * one
        g, de, cf = r2 * f - d * r3, d * e, c * f
        step = np.stack((r1 * de + b * g, r1 * cf - a * g, a * e * r2 + c * (b * r3 - r1 * e)))
        step *= 0.5 / (a * de + b * cf)
        distances = distances - np.where(np.isfinite(step), step, 0.0)
    return distances


def _collinear(points: Array, sides: Array) -> npt.NDArray[np.bool_]:
    """Return which triangles ``(3, 3, B)``, of squared sides ``(3, B)``, have no area."""
    normal = _cross(points[1] - points[0], points[2] - points[0])
    has_area = np.square(normal).sum(0) > _FLAT * np.square(sides.max(0))
    return np.asarray(~has_area)  # NaN is collinear too


def _align(seen: Array, points: Array) -> Array:
    """Return the motions ``(S, 4, 4)`` that carry triangles in the world to the camera's."""
    rotation = np.einsum('kis,kjs->ijs', _axes(seen), _axes(points))
    moved = (rotation * points.mean(0)).sum(1)  # (3, S)
    poses = np.zeros((seen.shape[2], 4, 4))
    poses[:, :3, :3] = rotation.transpose(2, 0, 1)
    poses[:, :3, 3] = (seen.mean(0) - moved).T
    poses[:, 3, 3] = 1
    return poses


def _axes(triangle: Array) -> Array:
    """Return right-handed orthonormal axes ``(3, 3, S)``, one a row, fixed to triangles."""
    along = _unit(triangle[1] - triangle[0])
    normal = _unit(_cross(along, triangle[2] - triangle[0]))
    return np.stack((along, _cross(normal, along), normal))
