"""Scenes of flat layers that move over a photo, after FlyingChairs; all that is known is exact.

The background is a photo that moves by an affine map; before it, from far to near, things cut from
other photos move by affine maps of their own, on top of the background's. The distributions follow
those of Fischer et al., "FlowNet" (arXiv:1504.06852, appendix), where motions are pixels of a
picture that is 512 wide; in a smaller picture they are smaller in proportion.

Maps are ``(2, 3)``: ``x_b = b_from_a[:, :2] @ x_a + b_from_a[:, 2]``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from dlcv.data.synthetic.affine import Affine, compose, inverse, touched
from dlcv.data.synthetic.photos import PhotoPool
from dlcv.data.synthetic.silhouettes import raster, shading, silhouette
from dlcv.types import ByteImage, FlowPair

Mask = npt.NDArray[np.float32]
Rng = np.random.Generator

_REFERENCE_WIDTH = 512  # of FlyingChairs' pictures
_MARGIN = 0.1  # of background on each side that the first picture does not show
_SMALLEST = 8  # side of a layer in pixels


class LayersError(ValueError):
    """Scenes cannot be drawn as asked; the message names what was asked."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MotionConfig:
    """Distribution of a random affine motion: heavy-tailed, mostly small.

    Each parameter is ``sign(g) * abs(g) ** power`` of a normal ``g``, clipped; rotation and zoom
    take place with a probability, translation always.

    Attributes:
        power: Of the translation; 4 as in FlyingChairs, with 1 it is normal.
        translation: Deviation of ``g``, whose power are the pixels in a picture 512 wide.
        translation_limit: Largest shift along x and y in the same pixels.
        rotation: Deviation of ``g``, whose square are the degrees.
        rotation_limit: Largest turn in degrees.
        rotation_share: Probability that it turns.
        zoom: Deviation of ``g``, whose square is the difference of the factor from 1.
        zoom_limit: Largest difference from 1.
        zoom_share: Probability that it grows or shrinks.
    """

    power: float = 4.0
    translation: float = 1.15
    translation_limit: float = 40.0
    rotation: float = 1.3
    rotation_limit: float = 10.0
    rotation_share: float = 0.3
    zoom: float = 0.1
    zoom_limit: float = 0.07
    zoom_share: float = 0.6


_OBJECTS = MotionConfig(
    translation=1.3,
    translation_limit=120.0,
    rotation_limit=30.0,
    rotation_share=0.7,
    zoom=0.18,
    zoom_limit=0.2,
    zoom_share=0.7,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class LayersConfig:
    """What the scenes look like.

    Attributes:
        height: Rows of the pictures.
        width: Columns of the pictures.
        objects: Fewest and most things before the background.
        size: Smallest and largest side of a thing as a share of the picture's width; smaller
            ones are more frequent (uniform in the logarithm).
        plain: Share of things that show almost one colour instead of a photo.
        motion: Factor of all translations.
        motion_spread: The factor of a single scene lies between ``motion`` divided by this and
            ``motion`` times this, evenly in its logarithm.
        background: Motion of the background.
        object_motion: Motion of each thing, on top of the background's.
    """

    height: int = 384
    width: int = 512
    objects: tuple[int, int] = (6, 18)
    size: tuple[float, float] = (0.08, 0.7)
    plain: float = 0.3
    motion: float = 1.0
    motion_spread: float = 1.0
    background: MotionConfig = MotionConfig()
    object_motion: MotionConfig = _OBJECTS

    def __post_init__(self) -> None:
        if min(self.height, self.width) < 2 * _SMALLEST:
            raise LayersError(
                f'layered scenes need {2 * _SMALLEST} pixels at least, got '
                f'{self.width}x{self.height}'
            )
        fewest, most = self.objects
        if not 0 <= fewest <= most <= 254 or not 0 < self.size[0] <= self.size[1]:
            raise LayersError(
                'layered scenes need 0 <= fewest <= most <= 254 objects and 0 < smallest <= '
                f'largest size, got objects {self.objects} and size {self.size}'
            )
        if self.motion < 0 or self.motion_spread < 1:
            raise LayersError(
                'layered scenes need motion >= 0 and motion_spread >= 1, got '
                f'{self.motion} and {self.motion_spread}'
            )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Layer:
    """One flat thing and where it is in both pictures.

    Attributes:
        texture: ``(h, w, 3)`` uint8, on its own pixels.
        alpha: ``(h, w)`` float32 in [0, 1], what of it is there; None for an endless one, which
            goes on beyond its texture as the texture's mirror image.
        first_from_layer: Its own pixels to those of the first picture.
        second_from_layer: The same of the second picture.
    """

    texture: ByteImage
    alpha: Mask | None
    first_from_layer: Affine
    second_from_layer: Affine


class LayeredScenes:
    """Endless pairs of pictures with exact flow; a pair is a function of seed and index."""

    def __init__(self, photos: PhotoPool, config: LayersConfig, seed: int = 0) -> None:
        self._photos = photos
        self._config = config
        self._seed = seed

    def __getitem__(self, index: int) -> FlowPair:
        """Draw the pair of that number, whose truth is complete: backward flow and occlusion."""
        layers = self.layers(np.random.default_rng([self._seed, index]))
        name = f'layers {self._seed}/{index}'
        return draw_pair(layers, self._config.height, self._config.width, name)

    def layers(self, rng: Rng) -> list[Layer]:
        """Return random layers, the background first, the nearest last."""
        pixels = self._pixels(rng)
        background = self._background(rng, pixels)
        moved = compose(background.second_from_layer, inverse(background.first_from_layer))
        count = int(rng.integers(self._config.objects[0], self._config.objects[1] + 1))
        return [background, *(self._thing(rng, moved, pixels) for _ in range(count))]

    def _background(self, rng: Rng, pixels: float) -> Layer:
        height, width = self._config.height, self._config.width
        rows, columns = (round(side * (1 + 2 * _MARGIN)) for side in (height, width))
        centre = np.array([(width - 1) / 2, (height - 1) / 2])
        shift = centre - ((columns - 1) / 2, (rows - 1) / 2) + rng.uniform(-0.5, 0.5, 2)
        motion = _motion(rng, self._config.background, centre, pixels)
        placed = np.column_stack([np.eye(2), shift])
        return Layer(
            texture=self._photos.crop(rng, rows, columns),
            alpha=None,
            first_from_layer=placed,
            second_from_layer=compose(motion, placed),
        )

    def _thing(self, rng: Rng, background: Affine, pixels: float) -> Layer:
        config = self._config
        size = config.width * np.exp(rng.uniform(*np.log(config.size)))
        rows, columns = (max(_SMALLEST, round(size * side)) for side in rng.uniform(0.7, 1, 2))
        outline = silhouette(rng)
        texture = self._photos.crop(rng, rows, columns)
        if rng.random() < config.plain:
            texture = plain(texture, rng)
        if len(outline) > 1:
            shade = shading(outline, rows, columns, rng)
            texture = np.asarray(cv2.multiply(texture, cv2.merge([shade] * 3), scale=1 / 255))
        centre = rng.uniform(0, (config.width, config.height))
        motion = _motion(rng, config.object_motion, centre, pixels)
        placed = np.column_stack([np.eye(2), centre - ((columns - 1) / 2, (rows - 1) / 2)])
        return Layer(
            texture=texture,
            alpha=raster(outline, rows, columns).astype(np.float32) * np.float32(1 / 255),
            first_from_layer=placed,
            second_from_layer=compose(background, compose(motion, placed)),
        )

    def _pixels(self, rng: Rng) -> float:
        """Return pixels of the next picture for one of FlyingChairs'."""
        config = self._config
        factor = config.motion * config.width / _REFERENCE_WIDTH
        if config.motion_spread == 1:  # or scenes without would depend on it
            return factor
        return float(factor * config.motion_spread ** rng.uniform(-1, 1))


def draw_pair(layers: list[Layer], height: int, width: int, name: str = '') -> FlowPair:
    """Draw layers as they lie over each other, twice.

    The flow of a pixel is that of the nearest layer that covers half of it or more. A pixel of the
    first picture is occluded if its point lies beyond the borders of the second, or on a pixel
    there that belongs to a nearer layer.

    Args:
        layers: The background, which is endless, first; the nearest last; 255 at most.
        height: Rows of the pictures.
        width: Columns of the pictures.
        name: Name of the pair.
    """
    first, owners = _draw(layers, [layer.first_from_layer for layer in layers], height, width)
    second, hiders = _draw(layers, [layer.second_from_layer for layer in layers], height, width)
    moves = [compose(la.second_from_layer, inverse(la.first_from_layer)) for la in layers]
    points = _moved(owners, moves)
    flow = points - _positions(height, width)
    return FlowPair(
        first=first,
        second=second,
        flow=flow,
        backward=_moved(hiders, [inverse(m) for m in moves]) - _positions(height, width),
        occluded=_hidden(points, owners, hiders),
        name=name,
    )


def _draw(
    layers: list[Layer], poses: list[Affine], height: int, width: int
) -> tuple[ByteImage, ByteImage]:
    """Return one picture ``(H, W, 3)``, and which layer each pixel belongs to ``(H, W)``."""
    picture = np.asarray(
        cv2.warpAffine(
            layers[0].texture,
            inverse(poses[0]),
            (width, height),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REFLECT,
        ),
        np.uint8,
    )
    owners = np.zeros((height, width), np.uint8)
    for number, (layer, pose) in enumerate(zip(layers[1:], poses[1:], strict=True), start=1):
        _lay(picture, owners, layer, pose, number)
    return picture, owners


def _lay(picture: ByteImage, owners: ByteImage, layer: Layer, pose: Affine, number: int) -> None:
    """Draw one layer over a picture, in place."""
    left, top, right, bottom = touched(layer.texture.shape[:2], pose, owners.shape)
    if left >= right or top >= bottom:
        return
    assert layer.alpha is not None
    size = (right - left, bottom - top)
    layer_from_window = inverse(pose - ((0, 0, left), (0, 0, top)))
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    alpha = cv2.warpAffine(layer.alpha, layer_from_window, size, flags=flags)
    colour = cv2.warpAffine(
        layer.texture, layer_from_window, size, flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
    window = picture[top:bottom, left:right]
    window[:] = cv2.blendLinear(colour, window, alpha, 1 - alpha)
    owners[top:bottom, left:right][alpha >= 0.5] = number


def _moved(owners: ByteImage, moves: list[Affine]) -> Mask:
    """Return where each pixel's layer takes it: ``(H, W, 2)``."""
    table = np.zeros((2, 3, 256), np.float32)
    table[:, :, : len(moves)] = np.stack(moves, axis=-1)
    x, y = _axes(*owners.shape)
    along = [cv2.LUT(owners, a) * x + cv2.LUT(owners, b) * y + cv2.LUT(owners, c)
             for a, b, c in table]  # fmt: skip
    return np.asarray(cv2.merge(along), np.float32)


def _hidden(points: Mask, owners: ByteImage, hiders: ByteImage) -> npt.NDArray[np.bool_]:
    """Return which points cannot be seen in the second picture."""
    height, width = owners.shape
    x, y = cv2.split(points)
    outside = (x < -0.5) | (y < -0.5) | (x >= width - 0.5) | (y >= height - 0.5)
    met = cv2.remap(hiders, x, y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(outside | (met > owners), np.bool_)


def _axes(height: int, width: int) -> tuple[Mask, Mask]:
    return np.arange(width, dtype=np.float32)[None], np.arange(height, dtype=np.float32)[:, None]


def _positions(height: int, width: int) -> Mask:
    return np.stack(np.broadcast_arrays(*_axes(height, width)), axis=-1)


def plain(texture: ByteImage, rng: Rng) -> ByteImage:
    """Leave little of a photo: one colour, a trace of the texture."""
    colour = np.empty_like(texture)
    colour[:] = rng.integers(0, 256, 3)
    trace = float(rng.uniform(0.05, 0.4))
    return np.asarray(cv2.addWeighted(texture, trace, colour, 1 - trace, 0), np.uint8)


def _motion(
    rng: Rng, config: MotionConfig, centre: npt.NDArray[np.float64], scale: float
) -> Affine:
    """Draw an affine motion: zoom and rotation about a centre, then a translation."""
    dx, dy = (
        scale * _tail(g, config.power, config.translation_limit)
        for g in rng.normal(0, config.translation, 2).tolist()
    )
    turn, zoom = 0.0, 1.0
    if rng.random() < config.rotation_share:
        turn = math.radians(_tail(rng.normal(0, config.rotation), 2, config.rotation_limit))
    if rng.random() < config.zoom_share:
        zoom += _tail(rng.normal(0, config.zoom), 2, config.zoom_limit)
    c, s = zoom * math.cos(turn), zoom * math.sin(turn)
    x, y = centre.tolist()
    return np.array([(c, -s, x + dx - c * x + s * y), (s, c, y + dy - s * x - c * y)])


def _tail(g: float, power: float, limit: float) -> float:
    return math.copysign(min(abs(g) ** power, limit), g)
