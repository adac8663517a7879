"""Random changes of a pair of pictures that keep its flow true: crop, mirror, motion, light.

The geometric part follows FlowNet (Fischer et al., ICCV 2015, sec. 4.3, and its public training
code): one rotation, zoom and translation for both pictures, and a small one between them on top.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from dlcv.data.augment.photometric import OFF, PhotometricConfig, photometric
from dlcv.types import ByteImage, FloatArray, FlowPair

Affine = npt.NDArray[np.float64]
Rng = np.random.Generator

_TRIES = 20  # to draw a view that lies inside both pictures
_EDGE = 0.5  # pixels by which interpolated flow may differ from that of the nearest pixel

SHARED_LIGHT = PhotometricConfig(
    brightness=51,
    contrast=(0.5, 1.4),
    gamma=(0.7, 1.5),
    colour_gain=0.4,
    noise=0,
    speckle=0,
    motion_blur=1,
    shade=(0, 0),
    vignetting=0,
)
OWN_LIGHT = PhotometricConfig(
    brightness=8,
    contrast=(0.93, 1.07),
    gamma=(0.93, 1.07),
    colour_gain=0.03,
    noise=10,
    speckle=0,
    motion_blur=1,
    shade=(0, 0),
    vignetting=0,
)


class FlowAugmentError(ValueError):
    """A pair cannot be changed as asked; the message names what was asked and what there is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FlowAugmentConfig:
    """What may be changed, and how much.

    Attributes:
        crop: Rows and columns of the result; (0, 0) keeps the size.
        mirror: Probability of left and right being exchanged.
        upend: Probability of top and bottom being exchanged.
        geometry: Probability that the next five apply.
        rotation: Largest rotation of both pictures, degrees.
        zoom: Smallest and largest zoom of both pictures.
        relative_translation: Largest shift between the pictures along x and y, pixels.
        relative_rotation: Largest rotation between the pictures, degrees.
        relative_zoom: Largest relative zoom between the pictures.
        shared_light: Change of light that both pictures share.
        own_light: Change of light and noise of each picture for itself.
    """

    crop: tuple[int, int] = (0, 0)
    mirror: float = 0.5
    upend: float = 0.5
    geometry: float = 1.0
    rotation: float = 10.0
    zoom: tuple[float, float] = (0.9, 1.5)
    relative_translation: float = 10.0
    relative_rotation: float = 5.0
    relative_zoom: float = 0.03
    shared_light: PhotometricConfig = SHARED_LIGHT
    own_light: PhotometricConfig = OWN_LIGHT

    def __post_init__(self) -> None:
        chances = (self.mirror, self.upend, self.geometry)
        amounts = (self.rotation, self.relative_translation, self.relative_rotation)
        if not all(0 <= p <= 1 for p in chances) or min(amounts) < 0:
            raise FlowAugmentError(
                'augmentation of flow needs probabilities in [0, 1] and amounts >= 0, got '
                f'{chances} and {amounts}'
            )
        if not 0 < self.zoom[0] <= self.zoom[1] or not 0 <= self.relative_zoom < 1:
            raise FlowAugmentError(
                'augmentation of flow needs 0 < lowest <= highest zoom and relative_zoom in '
                f'[0, 1), got {self.zoom} and {self.relative_zoom}'
            )


def augment(pair: FlowPair, rng: Rng, config: FlowAugmentConfig) -> FlowPair:
    """Change a pair at random.

    Args:
        pair: Left as it is.
        rng: Decides all there is to decide.
        config: What may be changed.

    Returns:
        A new pair. Flow that is not known any more is NaN.

    Raises:
        FlowAugmentError: If the pair is smaller than the crop.
    """
    height, width = pair.flow.shape[:2]
    size = config.crop if any(config.crop) else (height, width)
    if height < size[0] or width < size[1]:
        raise FlowAugmentError(
            f'cannot cut {size[1]}x{size[0]} pixels from a pair of {width}x{height}'
        )
    views = (
        _draw_views(rng, config, (height, width), size) if rng.random() < config.geometry else None
    )
    if views is not None:
        pair = warp_pair(pair, views[0], views[1], size)
    else:
        top, left = (
            int(rng.integers(a - b + 1)) for a, b in zip((height, width), size, strict=True)
        )
        pair = crop_pair(pair, top, left, size)
    if rng.random() < config.mirror:
        pair = mirror_pair(pair)
    if rng.random() < config.upend:
        pair = upend_pair(pair)
    return light_pair(pair, rng, config.shared_light, config.own_light)


def crop_pair(pair: FlowPair, top: int, left: int, size: tuple[int, int]) -> FlowPair:
    """Cut ``size`` rows and columns out; what leaves the second picture becomes occluded."""
    rows, columns = slice(top, top + size[0]), slice(left, left + size[1])
    flow = pair.flow[rows, columns]
    occluded = None
    if pair.occluded is not None:
        occluded = pair.occluded[rows, columns] | _outside(flow + _positions(size), size)
    return replace(
        pair,
        first=pair.first[rows, columns],
        second=pair.second[rows, columns],
        flow=flow,
        backward=None if pair.backward is None else pair.backward[rows, columns],
        occluded=occluded,
    )


def mirror_pair(pair: FlowPair) -> FlowPair:
    """Exchange left and right; u changes its sign."""
    return _flipped(pair, axis=1)


def upend_pair(pair: FlowPair) -> FlowPair:
    """Exchange top and bottom; v changes its sign."""
    return _flipped(pair, axis=0)


def _flipped(pair: FlowPair, axis: int) -> FlowPair:
    return replace(
        pair,
        first=np.flip(pair.first, axis),
        second=np.flip(pair.second, axis),
        flow=_flipped_flow(pair.flow, axis),
        backward=None if pair.backward is None else _flipped_flow(pair.backward, axis),
        occluded=None if pair.occluded is None else np.flip(pair.occluded, axis),
    )


def _flipped_flow(flow: FloatArray, axis: int) -> FloatArray:
    flipped = np.flip(flow, axis).copy()
    along = flipped[..., 1 - axis]  # u changes along the columns, v along the rows
    np.negative(along, out=along)
    return flipped


def warp_pair(
    pair: FlowPair, new_from_first: Affine, new_from_second: Affine, size: tuple[int, int]
) -> FlowPair:
    """Move each picture by an affine map of its own, and the flow with them.

    Args:
        pair: The pair.
        new_from_first: ``(2, 3)``, pixels of the first picture to those of the new first one.
        new_from_second: The same of the second picture.
        size: Rows and columns of the new pictures.

    Returns:
        The new pair; its flow is NaN, and it is occluded, where the old picture does not reach.
    """
    backward = None
    if pair.backward is not None:
        backward = _moved(pair.backward, new_from_second, new_from_first, size)
    flow = _moved(pair.flow, new_from_first, new_from_second, size)
    occluded = None
    if pair.occluded is not None:
        hidden = _warped(pair.occluded.astype(np.uint8), new_from_first, size, cv2.INTER_NEAREST)
        occluded = (hidden > 0) | np.isnan(flow[..., 0]) | _outside(flow + _positions(size), size)
    return replace(
        pair,
        first=_warped(pair.first, new_from_first, size, cv2.INTER_LINEAR),
        second=_warped(pair.second, new_from_second, size, cv2.INTER_LINEAR),
        flow=flow,
        backward=backward,
        occluded=occluded,
    )


def light_pair(
    pair: FlowPair, rng: Rng, shared: PhotometricConfig, own: PhotometricConfig
) -> FlowPair:
    """Change the light of both pictures alike, then of each for itself.

    Only what does not depend on the place is the same in both pictures: ``shared`` should have no
    noise and no speckle.
    """
    pictures: list[ByteImage] = [np.ascontiguousarray(p) for p in (pair.first, pair.second)]
    if shared != OFF:
        seed = int(rng.integers(2**63))
        pictures = [photometric(p, np.random.default_rng(seed), shared) for p in pictures]
    if own != OFF:
        pictures = [photometric(p, rng, own) for p in pictures]
    return replace(pair, first=pictures[0], second=pictures[1])


def _draw_views(
    rng: Rng, config: FlowAugmentConfig, old: tuple[int, int], new: tuple[int, int]
) -> tuple[Affine, Affine] | None:
    """Draw the maps of both pictures so that the new ones lie inside; None if that fails."""
    for _ in range(_TRIES):
        turn = np.deg2rad(rng.uniform(-config.rotation, config.rotation))
        zoom = np.exp(rng.uniform(*np.log(config.zoom)))
        half = np.deg2rad(rng.uniform(-config.relative_rotation, config.relative_rotation)) / 2
        ratio = np.sqrt(1 + rng.uniform(-config.relative_zoom, config.relative_zoom))
        shift = rng.uniform(-config.relative_translation, config.relative_translation, 2) / 2
        room = np.maximum(0, np.array(old[::-1]) - np.array(new[::-1]) / zoom) / 2
        centre = (np.array(old[::-1]) - 1) / 2 + rng.uniform(-room, room)
        first = _view(turn - half, zoom / ratio, centre, -shift, new)
        second = _view(turn + half, zoom * ratio, centre, shift, new)
        if _inside(first, old, new) and _inside(second, old, new):
            return first, second
    return None


def _view(
    turn: float, zoom: float, centre: FloatArray, shift: FloatArray, new: tuple[int, int]
) -> Affine:
    """Return the map that turns and zooms about a centre, which it puts in the middle + shift."""
    c, s = zoom * np.cos(turn), zoom * np.sin(turn)
    linear = np.array([(c, -s), (s, c)])
    middle = (np.array(new[::-1]) - 1) / 2
    return np.column_stack([linear, middle + shift - linear @ centre])


def _inside(new_from_old: Affine, old: tuple[int, int], new: tuple[int, int]) -> bool:
    """Return whether the old picture has all of what the new one shows."""
    bottom, right = new[0] - 1, new[1] - 1
    corners = np.array([(0, 0, 1), (right, 0, 1), (0, bottom, 1), (right, bottom, 1)], np.float64)
    at = corners @ np.asarray(cv2.invertAffineTransform(new_from_old), np.float64).T
    return bool(np.all(at >= 0) and np.all(at <= (old[1] - 1, old[0] - 1)))


def _moved(
    flow: FloatArray, new_from_a: Affine, new_from_b: Affine, size: tuple[int, int]
) -> FloatArray:
    """Return the flow from a to b in the new pictures."""
    places = _positions(size)
    a_from_new = cv2.invertAffineTransform(new_from_a)
    sources = np.asarray(cv2.transform(places, a_from_new), np.float32)
    x, y = cv2.split(sources)
    known = np.asarray(flow, np.float32)
    nearest = cv2.remap(
        known, x, y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=(np.nan,) * 4
    )
    between = cv2.remap(known, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    smooth = np.abs(between - nearest).max(axis=-1, keepdims=True) < _EDGE
    taken = np.where(smooth, between, nearest)  # across an edge, in-between flow is nobody's
    moved = cv2.transform(sources + taken, np.asarray(new_from_b, np.float64)) - places
    return np.asarray(moved, np.float32)


def _warped(picture: ByteImage, new_from_old: Affine, size: tuple[int, int], way: int) -> ByteImage:
    warped = cv2.warpAffine(
        picture, new_from_old, (size[1], size[0]), flags=way, borderMode=cv2.BORDER_REFLECT_101
    )
    return np.asarray(warped, np.uint8)


def _outside(points: FloatArray, size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    x, y = points[..., 0], points[..., 1]
    beyond = (x < -0.5) | (y < -0.5) | (x >= size[1] - 0.5) | (y >= size[0] - 0.5)
    return np.asarray(beyond, np.bool_)


def _positions(size: tuple[int, int]) -> FloatArray:
    x, y = np.meshgrid(np.arange(size[1], dtype=np.float32), np.arange(size[0], dtype=np.float32))
    return np.stack([x, y], axis=-1)
