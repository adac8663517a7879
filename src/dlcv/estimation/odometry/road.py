"""The height of the camera over the ground from two pictures of it, by every pixel of the road.

Roads and floors have few corners, but they are planes: a plane ``m . X = 1`` (see `ground`) in the
axes of the newer camera takes its picture to that of the older one by the homography
``K (R + t m') K^-1`` (Hartley and Zisserman 13.1). The plane that aligns both pictures best is
looked for over heights and tilts, then by Gauss-Newton on the grey levels, with a gain and an
offset for the exposure (Baker and Matthews, "Lucas-Kanade 20 years on", 2004). The motion is not
certain: it may give way as far as its covariance says, and what that leaves open of the height is
in the height's deviation.

Letters in this file: N pixels of road, S planes that are tried.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from dlcv.estimation.odometry.ground import UP, Ground, ground_from, level_axes, plane_prior
from dlcv.geometry.camera import grid_rays
from dlcv.types import ByteImage, Camera, FloatArray

Matrix = npt.NDArray[np.float64]

_AHEAD = 2.0, 10.0  # how far ahead the road is looked at, in heights of the camera
_ASIDE = 1.0  # and how far to each side
_PIXELS = 1500  # about, for the fit; more see the same grain again
_FEW = 600  # for the search
_LEAST = 200  # pixels of road that are enough
_HEIGHTS = np.geomspace(0.25, 40, 60)  # in lengths of the motion
_TILTS = np.radians((-2.5, 0.0, 2.5))  # forward and back
_COARSE, _FINE = 2.0, 1.0  # pixels of blur of the search, and of the fit
_STEPS = 10
_SETTLED = 1e-4  # share of the height that a last step may change
_ALIKE = 0.6  # correlation of the two pictures of the road
_SEEN = 0.5  # share of the road that the older picture must show too
_TUKEY = 4.685  # standard deviations
_DARKEST = 0.5  # grey levels: noise is never less


def ground_of_views(
    older: ByteImage,
    newer: ByteImage,
    camera: Camera,
    older_from_newer: FloatArray,
    covariance: FloatArray,
    *,
    up: npt.ArrayLike = UP,
    tilt: float = 0.02,
    guess: float = 0.0,
) -> Ground | str:
    """Find the ground as the plane that takes the road in one picture to the other.

    Args:
        older: ``(H, W)`` grey.
        newer: ``(H, W)`` grey.
        camera: Of both, without distortion.
        older_from_newer: ``(4, 4)`` motion in units of the odometry.
        covariance: ``(6, 6)`` of it as (x, y, z, rx, ry, rz) in the older camera's axes, units and
            rad; positive definite.
        up: About where up is, in the newer camera's axes.
        tilt: Standard deviation in rad of the ground about ``up``.
        guess: The height as it was, in the same units: only what is near is searched; 0 for all.

    Returns:
        The ground in the axes of the newer camera, or why there is none, in words for a person.
    """
    length = float(np.linalg.norm(older_from_newer[:3, 3]))
    if length == 0:
        return 'the camera did not move'
    down = -np.asarray(up, np.float64) / np.linalg.norm(up)
    xy, rays = _road(camera, down)
    if len(xy) < _LEAST:
        return f'{len(xy)} pixels show the road; {_LEAST} are needed'
    heights = guess * np.geomspace(0.7, 1.4, 21) if guess > 0 else _HEIGHTS * length
    few = slice(None, None, max(1, len(xy) // _FEW))
    coarse = _Road.of(older, newer, camera, xy[few], rays[few], _COARSE)
    plane, alike = coarse.search(_planes(down, heights), older_from_newer)
    if not alike >= _ALIKE:
        return f'the two pictures of the road are alike to {max(alike, 0):.2f} only'
    fine = _Road.of(older, newer, camera, xy, rays, _FINE)
    return fine.fit(plane, older_from_newer, covariance, down, tilt)


def _road(camera: Camera, down: Matrix) -> tuple[Matrix, Matrix]:
    """Return pixels ``(N, 2)`` where the road is looked for, and their rays ``(N, 3)``."""
    rays = grid_rays(camera).astype(np.float64)
    drop, along, aside = np.moveaxis(rays @ level_axes(down).T, -1, 0)
    road = (drop * _AHEAD[0] < along) & (along < drop * _AHEAD[1])
    road &= np.abs(aside) < _ASIDE * drop
    y, x = np.nonzero(road)
    step = max(1, len(x) // _PIXELS)
    return np.stack((x, y), axis=1)[::step].astype(np.float64), rays[road][::step]


def _planes(down: Matrix, heights: FloatArray) -> Matrix:
    """Return planes ``(S, 3)`` of all heights and tilts."""
    tilted = np.cos(_TILTS)[:, None] * down + np.sin(_TILTS)[:, None] * level_axes(down)[1]
    return np.asarray((tilted[:, None] / heights[:, None]).reshape(-1, 3))


@dataclass(frozen=True, slots=True, eq=False)
class _Road:
    """The road in the newer picture, to be found in the older one.

    Attributes:
        grey: ``(N,)`` of the road in the newer picture.
        rays: ``(N, 3)`` of these pixels.
        older: ``(H, W, 3)`` the older picture and its derivatives along x and y.
        matrix: ``(3, 3)`` calibration.
        blur: Pixels, of both pictures.
    """

    grey: Matrix
    rays: Matrix
    older: FloatArray
    matrix: Matrix
    blur: float

    @classmethod
    def of(
        cls,
        older: ByteImage,
        newer: ByteImage,
        camera: Camera,
        xy: Matrix,
        rays: Matrix,
        blur: float,
    ) -> _Road:
        """Blur the pictures and take what is needed of them."""
        before, after = (
            cv2.GaussianBlur(image.astype(np.float32), (0, 0), blur) for image in (older, newer)
        )
        slopes = [cv2.Scharr(before, -1, *axis, scale=1 / 32) for axis in ((1, 0), (0, 1))]
        x, y = xy.astype(np.intp).T
        grey = after[y, x].astype(np.float64)
        return cls(grey, rays, np.dstack((before, *slopes)), camera.matrix, blur)

    def search(self, planes: Matrix, older_from_newer: FloatArray) -> tuple[Matrix, float]:
        """Return the plane ``(3,)`` whose pictures are most alike, and their correlation."""
        inverse = planes @ self.rays.T  # (S, N)
        turned = self.rays @ older_from_newer[:3, :3].T @ self.matrix.T
        seen = turned + inverse[..., None] * (self.matrix @ older_from_newer[:3, 3])
        found = _sampled(self.older[..., 0], _pixels(seen))  # (S, N)
        known = np.isfinite(found)
        count = np.maximum(known.sum(1), 1)[:, None]
        one, other = (np.where(known, values, 0) for values in (found, self.grey))
        one, other = (np.where(known, v - v.sum(1, keepdims=True) / count, 0) for v in (one, other))
        energy = np.square(one).sum(1) * np.square(other).sum(1)
        alike = (one * other).sum(1) / np.sqrt(np.maximum(energy, 1e-9))
        alike[count[:, 0] < _SEEN * len(self.grey)] = -1
        best = int(alike.argmax())
        return planes[best], float(alike[best])

    def fit(
        self,
        plane: Matrix,
        older_from_newer: FloatArray,
        covariance: FloatArray,
        down: Matrix,
        tilt: float,
    ) -> Ground | str:
        """Refine a plane, and with it the motion, the gain and the offset (11 unknowns)."""
        height = 1 / np.linalg.norm(plane)
        state = np.concatenate((plane, np.zeros(6), (1.0, 0.0)))
        prior = np.zeros((11, 11))
        rows, deviation = plane_prior(down, plane, tilt)
        prior[:3, :3] = (rows / deviation[:, None] ** 2).T @ rows
        prior[3:9, 3:9] = np.linalg.inv(covariance)
        for _ in range(_STEPS):
            off, jacobian, known = self._residuals(state, older_from_newer)
            if np.count_nonzero(known) < max(_LEAST, _SEEN * len(known)):
                return 'the road has left the picture'
            sigma = max(1.4826 * float(np.median(np.abs(off))), _DARKEST)
            weight = np.square(np.clip(1 - np.square(off / (_TUKEY * sigma)), 0, None))
            # what is blurred together is one measurement
            scaled = jacobian * (weight / (sigma**2 * (1 + 4 * np.pi * self.blur**2)))[:, None]
            hessian = scaled.T @ jacobian + prior
            free = np.concatenate((state[:9], (0.0, 0.0)))
            state = state - np.linalg.solve(hessian, scaled.T @ off + prior @ free)
            if not np.isfinite(state).all() or state[:3] @ down <= 0:
                return 'the fit of the road went astray'
            last, height = height, 1 / np.linalg.norm(state[:3])
            if abs(height - last) < _SETTLED * height:
                break
        alike = float(np.corrcoef(off + self.grey[known], self.grey[known])[0, 1])
        if not alike >= _ALIKE:
            return f'the two pictures of the road are alike to {max(alike, 0):.2f} only'
        support = int(np.count_nonzero(weight > 0.5))
        return ground_from(state[:3], np.linalg.inv(hessian)[:3, :3], support, down, tilt)

    def _residuals(
        self, state: Matrix, older_from_newer: FloatArray
    ) -> tuple[Matrix, Matrix, npt.NDArray[np.bool_]]:
        """Return grey levels too bright ``(M,)``, their Jacobian ``(M, 11)``, which of N they are.

        The state is the plane, what the motion gives way by (shift and turn in the older camera's
        axes), gain and offset.
        """
        turn = Rotation.from_rotvec(state[6:9]).as_matrix() @ older_from_newer[:3, :3]
        shift = older_from_newer[:3, 3] + state[3:6]
        turned, inverse = self.rays @ turn.T, self.rays @ state[:3]
        seen = (turned + inverse[:, None] * shift) @ self.matrix.T
        uv = _pixels(seen)
        found = _sampled(self.older, uv[None])[0]  # (N, 3)
        known = np.isfinite(found).all(1)
        grey, sx, sy = found[known].T
        rays, turned, inverse = self.rays[known], turned[known], inverse[known]
        slope = np.column_stack((sx, sy, -(sx * uv[known, 0] + sy * uv[known, 1])))
        by_point = slope @ self.matrix / seen[known, 2:]  # d grey / d point in the older camera
        jacobian = np.column_stack(
            (
                (by_point @ shift)[:, None] * rays,
                by_point * inverse[:, None],
                np.cross(turned, by_point),
                -self.grey[known],
                -np.ones(len(grey)),
            )
        )
        return grey - state[9] * self.grey[known] - state[10], jacobian, known


def _pixels(seen: Matrix) -> FloatArray:
    """Return pixels ``(..., 2)`` of ``(..., 3)`` in homogeneous form; far out where behind."""
    depth = seen[..., 2:]
    return np.where(depth > 0, seen[..., :2] / np.where(depth > 0, depth, 1), -1e4).astype(
        np.float32
    )


def _sampled(image: FloatArray, uv: FloatArray) -> Matrix:
    """Return a picture ``(H, W[, C])`` at pixels ``(S, N, 2)``, bilinearly; NaN outside."""
    found = cv2.remap(
        image, uv[..., 0], uv[..., 1], cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT, borderValue=(float('nan'),) * 4,
    )  # fmt: skip
    return np.asarray(found, np.float64)
