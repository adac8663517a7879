"""Random homographies, and pictures, points and masks seen through them.

Pixel ``(0, 0)`` is the centre of the first pixel. ``second_from_first`` maps homogeneous pixels of
the first picture to the second; sizes are (height, width).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.floating[Any]] | npt.NDArray[np.integer[Any]]
Matrix = npt.NDArray[np.float64]

_TRIES = 50  # of finding a view that fits


@dataclass(frozen=True, kw_only=True, slots=True)
class HomographyConfig:
    """Which views of a flat picture are drawn; the defaults are those of SuperPoint's training.

    The second picture shows a quadrilateral of the first. It starts as a centred copy of the frame
    that is ``patch`` times as large, its corners are moved (perspective), it is scaled, shifted and
    turned about its centre (DeTone et al., CVPRW 2018, sec. 5.2).

    Attributes:
        patch: Side of the quadrilateral before all else, as a share of the frame's.
        perspective: How far corners move along x and y, as a share of the frame; two standard
            deviations of a normal distribution cut there.
        scale: Change of size: lengths change by factors of up to ``1 + scale`` or down to
            ``1 / (1 + scale)``, drawn as the perspective is, in the logarithm.
        stretch: Foreshortening, as of a plane that leans away: lengths along a random direction
            change by a factor of up to ``1 + stretch``, shared between that direction and the one
            across; drawn evenly.
        rotation: Largest angle in radians, drawn evenly from both directions.
        translation: Largest shift as a share of the frame, beyond what keeps the quadrilateral
            inside, drawn evenly.
        inside: Ask for views that lie in the first picture as a whole, as far as there are any.
        overlap: Least share of the second picture that the first one shows.
        area: Least area of the quadrilateral, as a share of the frame's.
    """

    patch: float = 0.8
    perspective: tuple[float, float] = (0.2, 0.2)
    scale: float = 0.2
    stretch: float = 0.0
    rotation: float = 1.57
    translation: float = 0.0
    inside: bool = False
    overlap: float = 0.5
    area: float = 0.1

    def __post_init__(self) -> None:
        amounts = (*self.perspective, self.scale, self.stretch, self.rotation, self.translation)
        if min(amounts) < 0 or not self.patch > 0 or max(self.perspective) >= 0.5:
            raise ValueError(
                f'homographies need patch > 0, amounts >= 0 and a perspective under 0.5, got {self}'
            )
        if not (0 <= self.overlap < 1 and 0 < self.area < self.patch**2):
            raise ValueError(
                'homographies need an overlap in [0, 1) and an area between 0 and patch^2, '
                f'got {self}'
            )


# The viewpoint changes of HPatches (Balntas et al., CVPR 2017) as they look: strong perspective and
# changes of scale up to about two, the camera kept roughly upright, part of the first out of sight.
HPATCHES_LIKE = HomographyConfig(
    patch=0.75,
    perspective=(0.25, 0.25),
    scale=0.6,
    stretch=0.8,
    rotation=0.45,
    translation=0.1,
    overlap=0.5,
    area=0.08,
)
# What is left of all of it when nothing may move.
IDENTITY = HomographyConfig(patch=1.0, perspective=(0.0, 0.0), scale=0.0, rotation=0.0)


def sample_homography(
    rng: np.random.Generator, size: tuple[int, int], config: HomographyConfig
) -> Matrix:
    """Draw the homography of a random view.

    Args:
        rng: Decides all there is to decide.
        size: (height, width) of both pictures.
        config: Which views are drawn.

    Returns:
        ``second_from_first`` ``(3, 3)``, invertible, without mirroring, its last entry 1. If none
        of fifty draws fits, the middle ``patch`` of the picture.
    """
    frame = _corners(size)
    centred = (frame - frame.mean(0)) * config.patch + frame.mean(0)
    for _ in range(_TRIES):
        view = _draw_view(rng, size, config)
        if _fits(view, frame, config):
            found = _between(view, frame)
            if _far_from_horizon(found, frame):
                return found
    return _between(centred, frame)


def warp_points(xy: Numbers, second_from_first: Numbers) -> Matrix:
    """Map pixel positions ``(..., 2)`` by a homography.

    Points that it sends to infinity or behind the camera give NaN.
    """
    points = np.asarray(xy, np.float64)
    mapped = points @ second_from_first[:, :2].T + second_from_first[:, 2]  # (..., 3)
    depth = np.where(mapped[..., 2:] > 1e-12, mapped[..., 2:], np.nan)
    return np.asarray(mapped[..., :2] / depth, np.float64)


def warp_image(
    image: npt.NDArray[Any], second_from_first: Numbers, size: tuple[int, int]
) -> npt.NDArray[Any]:
    """Return the second picture, bilinearly read from the first; black where it shows nothing.

    Args:
        image: ``(H, W)`` or ``(H, W, C)``, bytes or float32.
        second_from_first: ``(3, 3)``.
        size: (height, width) of the second picture.
    """
    warped = cv2.warpPerspective(
        image, second_from_first, (size[1], size[0]), flags=cv2.INTER_LINEAR
    )
    return np.asarray(warped)


def valid_mask(
    second_from_first: Numbers,
    size: tuple[int, int],
    erode: int = 0,
    *,
    first_size: tuple[int, int] | None = None,
) -> npt.NDArray[np.bool_]:
    """Tell which pixels of the second picture show the first one.

    Args:
        second_from_first: ``(3, 3)``.
        size: (height, width) of the second picture.
        erode: Pixels this near to one that shows nothing count as showing nothing; the frame of
            the second picture itself takes nothing away.
        first_size: (height, width) of the first picture; the same as the second's if not given.

    Returns:
        ``(H, W)`` bool.
    """
    mask = cv2.warpPerspective(
        np.ones(first_size or size, np.uint8),
        second_from_first,
        (size[1], size[0]),
        flags=cv2.INTER_NEAREST,
    )
    if erode:
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * erode + 1, 2 * erode + 1))
        mask = cv2.erode(mask, disc, borderType=cv2.BORDER_CONSTANT, borderValue=1)
    return np.asarray(mask, bool)


def _corners(size: tuple[int, int]) -> Matrix:
    """Return the frame's outer corners ``(4, 2)``, clockwise from the upper left."""
    height, width = size
    return np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64) - 0.5


def _draw_view(rng: np.random.Generator, size: tuple[int, int], config: HomographyConfig) -> Matrix:
    """Return the quadrilateral ``(4, 2)`` of the first picture that the second shows."""
    frame = _corners(size)
    extent = np.array([size[1], size[0]], np.float64)
    view = (frame - frame.mean(0)) * config.patch
    # As a camera that tilts: one shift along y for all corners with opposite signs left and right,
    # and one along x for each side.
    along_x, along_y = np.array(config.perspective) * extent
    left, right, tilt = (_cut_normal(rng) for _ in range(3))
    view += np.array(
        [
            [left * along_x, tilt * along_y],
            [right * along_x, -tilt * along_y],
            [-right * along_x, tilt * along_y],
            [-left * along_x, -tilt * along_y],
        ]
    )
    view *= (1 + config.scale) ** _cut_normal(rng)
    lean = _turn(rng.uniform(0, np.pi))
    factor = np.sqrt(1 + rng.uniform(0, config.stretch))
    view = view @ (lean @ np.diag((factor, 1 / factor)) @ lean.T)
    view = view @ _turn(rng.uniform(-config.rotation, config.rotation)).T + frame.mean(0)
    room_low = np.minimum(frame.min(0) - view.min(0), 0)
    room_high = np.maximum(frame.max(0) - view.max(0), 0)
    more = config.translation * extent
    return np.asarray(view + rng.uniform(room_low - more, room_high + more), np.float64)


def _turn(angle: float) -> Matrix:
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def _cut_normal(rng: np.random.Generator) -> float:
    """Draw from a normal distribution of deviation 1/2 cut at -1 and 1."""
    while True:
        value = 0.5 * rng.standard_normal()
        if abs(value) <= 1:
            return float(value)


def _fits(view: Matrix, frame: Matrix, config: HomographyConfig) -> bool:
    area, whole = _area(view), _area(frame)
    if not _convex(view) or area < config.area * whole:
        return False
    if config.inside:
        return bool(np.all(view >= frame.min(0)) and np.all(view <= frame.max(0)))
    # The share of the view's area, not of the second picture's pixels; near enough for a bound.
    common = cv2.intersectConvexConvex(view.astype(np.float32), frame.astype(np.float32))[0]
    return bool(common >= config.overlap * area)


def _far_from_horizon(second_from_first: Matrix, frame: Matrix) -> bool:
    """Tell whether all of the first picture is in front of the camera, and none far behind."""
    depth = frame @ second_from_first[2, :2] + second_from_first[2, 2]
    return bool(depth.min() > depth.max() / 8)


def _area(quadrilateral: Matrix) -> float:
    x, y = quadrilateral.T
    return float(0.5 * np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)))  # positive if clockwise


def _convex(quadrilateral: Matrix) -> bool:
    edges = np.roll(quadrilateral, -1, axis=0) - quadrilateral
    following = np.roll(edges, -1, axis=0)
    return bool(np.all(edges[:, 0] * following[:, 1] - edges[:, 1] * following[:, 0] > 0))


def _between(view: Matrix, frame: Matrix) -> Matrix:
    """Return the homography that maps the corners of a view to those of the frame."""
    matrix = cv2.getPerspectiveTransform(view.astype(np.float32), frame.astype(np.float32))
    return np.asarray(matrix / matrix[2, 2], np.float64)
