"""Stereo pairs of flat things before walls, ground and ceiling; their disparity is exact.

What a rectified pair sees of a plane has a disparity that is affine in the pixel. So a scene is a
few endless planes, of which the nearest is seen at each pixel (a room of convex shape), and things
cut from photos, each on a plane of its own. They are given in pixels of a camera halfway between
the two: of disparity d, a point at x there is at x + d/2 in the left and at x - d/2 in the right
picture. Drawing a pair takes milliseconds, and every pair shows other photos.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from dlcv.data.synthetic.affine import Affine, compose, inverse, touched
from dlcv.data.synthetic.layers import LayersError, plain
from dlcv.data.synthetic.photos import PhotoPool
from dlcv.data.synthetic.silhouettes import raster, shading, silhouette
from dlcv.types import ByteImage, FloatArray, StereoPair

Rng = np.random.Generator
Mask = npt.NDArray[np.float32]

_SMALLEST = 8  # side of a thing in pixels
_STEEPEST = 0.5  # pixels of disparity for a pixel along x or y
_LARGER = 1.3  # texture of an endless plane, in sizes of the picture


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanesConfig:
    """What the scenes look like.

    Attributes:
        height: Rows of the pictures.
        width: Columns of the pictures.
        things: Fewest and most things before the walls.
        size: Smallest and largest side of a thing as a share of the picture's width; smaller ones
            are more frequent (uniform in the logarithm).
        plain: Share of things and walls that show almost one colour instead of a photo.
        back: Least and greatest disparity of the back wall in pixels, uniform in its logarithm.
        nearest: Greatest disparity of anything at its centre, pixels.
        tilt: Deviation of a thing's disparity for a pixel along x and y.
    """

    height: int = 256
    width: int = 384
    things: tuple[int, int] = (4, 16)
    size: tuple[float, float] = (0.06, 0.8)
    plain: float = 0.25
    back: tuple[float, float] = (0.5, 40.0)
    nearest: float = 110.0
    tilt: float = 0.06

    def __post_init__(self) -> None:
        if min(self.height, self.width) < 2 * _SMALLEST:
            raise LayersError(
                f'stereo scenes need {2 * _SMALLEST} pixels at least, got '
                f'{self.width}x{self.height}'
            )
        fewest, most = self.things
        if not 0 <= fewest <= most or not 0 < self.size[0] <= self.size[1]:
            raise LayersError(
                'stereo scenes need 0 <= fewest <= most things and 0 < smallest <= largest size, '
                f'got things {self.things} and size {self.size}'
            )
        if not 0 < self.back[0] <= self.back[1] <= self.nearest or self.tilt < 0:
            raise LayersError(
                'stereo scenes need 0 < least <= greatest back <= nearest and tilt >= 0, got back '
                f'{self.back}, nearest {self.nearest} and tilt {self.tilt}'
            )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Plane:
    """One flat thing, in pixels of the camera in the middle.

    Attributes:
        texture: ``(h, w, 3)`` uint8, on its own pixels.
        alpha: ``(h, w)`` float32 in [0, 1], what of it is there; None for an endless one.
        placed: Its own pixels to those of the camera.
        disparity: ``(3,)``: a, b, c of ``a x + b y + c``, pixels.
    """

    texture: ByteImage
    alpha: Mask | None
    placed: Affine
    disparity: npt.NDArray[np.float64]


class PlaneScenes:
    """Endless stereo pairs, with the truth of both views; each a function of seed and index."""

    def __init__(self, photos: PhotoPool, config: PlanesConfig, seed: int = 0) -> None:
        self._photos, self._config, self._seed = photos, config, seed

    def __getitem__(self, index: int) -> StereoPair:
        """Draw the pair of that number."""
        planes = self.planes(np.random.default_rng([self._seed, index, 41]))
        name = f'planes {self._seed}/{index}'
        return draw_stereo(planes, self._config.height, self._config.width, name)

    def planes(self, rng: Rng) -> list[Plane]:
        """Return random planes: walls, then things from far to near."""
        config = self._config
        back = float(np.exp(rng.uniform(*np.log(config.back))))
        walls = [self._wall(rng, disparity) for disparity in self._room(rng, back)]
        count = int(rng.integers(config.things[0], config.things[1] + 1))
        things = [self._thing(rng, walls) for _ in range(count)]
        middle = np.array([(config.width - 1) / 2, (config.height - 1) / 2, 1.0])
        return walls + sorted(things, key=lambda thing: float(thing.disparity @ middle))

    def _room(self, rng: Rng, back: float) -> list[npt.NDArray[np.float64]]:
        """Return the disparities of a back wall and of some of ground, ceiling and side walls."""
        config = self._config
        size = np.array([config.width, config.height])
        slope = rng.normal(0, 0.2, 2) * back / size
        found = [np.array([*slope, back - slope @ (size - 1) / 2])]
        for axis, sign, often in ((1, 1, 0.6), (1, -1, 0.25), (0, 1, 0.3), (0, -1, 0.3)):
            if rng.random() >= often:
                continue
            begins = rng.uniform(0.3, 0.9) * size[axis]  # pixels from where it leaves the back wall
            room = (size[axis] - 1) - begins
            most = min(_STEEPEST, max(config.nearest - back, 1.0) / max(room, 1.0))
            plane = np.zeros(3)
            plane[axis] = sign * most * rng.uniform(0.1, 1)
            plane[1 - axis] = rng.normal(0, 0.02)  # a camera that is not level
            edge = np.array((size - 1) / 2)
            edge[axis] = begins if sign > 0 else size[axis] - 1 - begins
            plane[2] = back - plane[:2] @ edge
            found.append(plane)
        return found

    def _wall(self, rng: Rng, disparity: npt.NDArray[np.float64]) -> Plane:
        config = self._config
        rows, columns = (round(side * _LARGER) for side in (config.height, config.width))
        texture = self._photos.crop(rng, rows, columns)
        if rng.random() < config.plain:
            texture = plain(texture, rng)
        shift = np.array([config.width - columns, config.height - rows]) / 2
        placed = np.column_stack([np.eye(2), shift + rng.uniform(-0.5, 0.5, 2)])
        return Plane(texture=texture, alpha=None, placed=placed, disparity=disparity)

    def _thing(self, rng: Rng, walls: list[Plane]) -> Plane:
        config = self._config
        side = config.width * np.exp(rng.uniform(*np.log(config.size)))
        rows, columns = (max(_SMALLEST, round(side * part)) for part in rng.uniform(0.7, 1, 2))
        outline = silhouette(rng)
        texture = self._photos.crop(rng, rows, columns)
        if rng.random() < config.plain:
            texture = plain(texture, rng)
        if len(outline) > 1:
            shade = shading(outline, rows, columns, rng)
            texture = np.asarray(cv2.multiply(texture, cv2.merge([shade] * 3), scale=1 / 255))
        centre = rng.uniform(0, (config.width, config.height))
        behind = max(float(wall.disparity @ (*centre, 1)) for wall in walls)
        least = np.log(min(behind + 1, config.nearest))
        near = float(np.exp(rng.uniform(least, np.log(config.nearest))))
        # of a tilted thing the far end is no farther than at half of its disparity
        steepest = min(_STEEPEST, near / (columns + rows))
        slope = rng.normal(0, config.tilt, 2).clip(-steepest, steepest)
        return Plane(
            texture=texture,
            alpha=raster(outline, rows, columns).astype(np.float32) * np.float32(1 / 255),
            placed=np.column_stack([np.eye(2), centre - ((columns - 1) / 2, (rows - 1) / 2)]),
            disparity=np.array([*slope, near - slope @ centre]),
        )


def draw_stereo(planes: list[Plane], height: int, width: int, name: str = '') -> StereoPair:
    """Draw planes as two cameras see them; at each pixel the nearest is seen.

    Args:
        planes: The first is endless; a nearer one comes later, for the softness of its edges.
        height: Rows of the pictures.
        width: Columns of the pictures.
        name: Name of the pair.
    """
    left, disparity = _drawn(planes, 0.5, height, width)
    right, right_disparity = _drawn(planes, -0.5, height, width)
    return StereoPair(
        left=left, right=right, disparity=disparity, right_disparity=right_disparity, name=name
    )


def _drawn(
    planes: list[Plane], side: float, height: int, width: int
) -> tuple[ByteImage, FloatArray]:
    """Return the picture ``(H, W, 3)`` of a camera, ``side`` baselines beside the middle."""
    picture = np.zeros((height, width, 3), np.uint8)
    nearest = np.full((height, width), -np.inf, np.float32)
    for plane in planes:
        _lay(picture, nearest, plane, side)
    return picture, np.maximum(nearest, 0)


def _lay(picture: ByteImage, nearest: FloatArray, plane: Plane, side: float) -> None:
    """Draw one plane where it is nearer than what was drawn, in place."""
    a, b, c = plane.disparity.tolist()
    unit = 1 / (1 + side * a)
    middle_from_view = np.array([(unit, -side * b * unit, -side * c * unit), (0, 1, 0)])
    layer_from_view = compose(inverse(plane.placed), middle_from_view)
    left, top, right, bottom = 0, 0, nearest.shape[1], nearest.shape[0]
    if plane.alpha is not None:
        shape = plane.texture.shape[:2]
        left, top, right, bottom = touched(shape, inverse(layer_from_view), nearest.shape)
        if left >= right or top >= bottom:
            return
    size = (right - left, bottom - top)
    layer_from_window = compose(layer_from_view, np.array([(1, 0, left), (0, 1, top)], np.float64))
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    border = cv2.BORDER_REFLECT if plane.alpha is None else cv2.BORDER_REPLICATE
    colour = cv2.warpAffine(plane.texture, layer_from_window, size, flags=flags, borderMode=border)
    x = np.arange(left, right, dtype=np.float32)
    y = np.arange(top, bottom, dtype=np.float32)[:, None]
    disparity = np.float32(unit) * (np.float32(a) * x + np.float32(b) * y + np.float32(c))
    seen, there = picture[top:bottom, left:right], nearest[top:bottom, left:right]
    nearer = disparity > there
    if plane.alpha is not None:
        alpha = cv2.warpAffine(plane.alpha, layer_from_window, size, flags=flags)
        colour = cv2.blendLinear(colour, seen, alpha, 1 - alpha)
        there[nearer & (alpha >= 0.5)] = disparity[nearer & (alpha >= 0.5)]
    else:
        there[nearer] = disparity[nearer]
    seen[nearer] = colour[nearer]
