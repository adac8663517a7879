"""The built-in feature set: photos seen anew through known homographies and in another light.

In the manner of HPatches (Balntas et al., CVPR 2017): each scene has a reference picture and a few
others, some from another viewpoint and some in another light. The scenes are photos and paintings
that no network of this package was trained on (``photos/ATTRIBUTION.md``). The reference is the
middle of a photo, so that the other views can look past its edges.

Everything follows from `SEED` and the name of the scene. What is drawn is rounded before it is
used, so that another machine's last digit does not make another picture.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import cos, exp, log, pi, sin
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from dlcv.data.augment.photometric import (
    light_map,
    motion_blur,
    shade,
    to_bytes,
    tone_curve,
    vignette,
)
from dlcv.data.datasets.files import read_picture
from dlcv.evaluation.bench.options import BenchError
from dlcv.types import ByteImage, HomographyPair

SEED = 2018
PHOTOS = Path(__file__).parent / 'photos'

_MIDDLE = 0.8  # share of a photo's sides that its reference picture shows
_FOCAL = 1.2  # of the camera that looks at the photo, in widths of the picture
_GRID = 16  # corners of a view lie on sixteenths of a pixel
_FINER = 2  # views are drawn this much larger and averaged down, against aliasing
_SHADOWS = 3
_OVERLAP = 0.5  # least share of a view that the reference shows too


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """How a camera looks at a photo on a wall; angles are degrees.

    Attributes:
        tilt: Lowest and highest angle between the wall and the picture.
        roll: Largest turn about the line of sight, either way.
        zoom: Largest change of size, either way.
        shift: Largest move of what is in the middle, as a share of the width.
    """

    tilt: tuple[float, float]
    roll: float
    zoom: float
    shift: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Light:
    """How strongly light and sensor differ from those of the reference.

    Attributes:
        gamma: Largest exponent of the tone curve, or one over it.
        exposure: Largest factor of the light, or one over it.
        colour: Largest relative change of each channel.
        shade: Strength of soft shadows, or of lights.
        shadow: Largest darkening by things with sharp edges between lamp and wall.
        vignette: Largest darkening of the corners.
        noise: Lowest and highest deviation of the noise, of 255.
        blur: Longest motion blur, pixels.
    """

    gamma: float
    exposure: float
    colour: float
    shade: float
    shadow: float
    vignette: float
    noise: tuple[float, float]
    blur: float


VIEWS = (
    View(tilt=(30, 55), roll=20, zoom=1.6, shift=0.05),
    View(tilt=(55, 72), roll=35, zoom=2.2, shift=0.1),
)
LIGHTS = (
    Light(
        gamma=2,
        exposure=1.8,
        colour=0.1,
        shade=0.7,
        shadow=0.6,
        vignette=0.4,
        noise=(4, 12),
        blur=4,
    ),
    Light(
        gamma=4,
        exposure=3,
        colour=0.2,
        shade=0.9,
        shadow=0.85,
        vignette=0.6,
        noise=(15, 35),
        blur=8,
    ),
)
LIGHT_OF_VIEWS = Light(
    gamma=1.5, exposure=1.4, colour=0.1, shade=0.4, shadow=0.4, vignette=0.3, noise=(4, 12), blur=4
)


def scenes() -> tuple[Path, ...]:
    """Return the photos of the set, sorted by name.

    Raises:
        BenchError: They were not installed with the package.
    """
    found = tuple(sorted(PHOTOS.glob('*.jpg')))
    if not found:
        raise BenchError(f'{PHOTOS}: the photos of the bench are not installed (looked for *.jpg)')
    return found


@dataclass(frozen=True, kw_only=True, slots=True)
class PhotoPairs:
    """The pairs of each scene, its viewpoints first, then its lights; made while it is iterated.

    All pairs of a scene share one ``first`` (the same array): it need be looked at only once.

    Attributes:
        photos: The scenes, one file each.
    """

    photos: tuple[Path, ...] = field(default_factory=scenes)

    def __len__(self) -> int:
        return len(self.photos) * (len(VIEWS) + len(LIGHTS))

    def __iter__(self) -> Iterator[HomographyPair]:
        for path in self.photos:
            yield from _scene(read_picture(path), path.stem)


def _scene(photo: ByteImage, name: str) -> Iterator[HomographyPair]:
    if photo.ndim == 2:
        photo = np.repeat(photo[..., None], 3, axis=2)
    height, width = photo.shape[:2]
    size = (round(height * _MIDDLE), round(width * _MIDDLE))
    top, left = (height - size[0]) // 2, (width - size[1]) // 2
    first = np.ascontiguousarray(photo[top : top + size[0], left : left + size[1]])
    for level, view in enumerate(VIEWS, start=1):
        rng = _rng(name, level)
        matrix = draw_view(rng, size, view)
        second = relight(_seen(photo, (left, top), matrix, size), rng, LIGHT_OF_VIEWS)
        yield HomographyPair(
            first=first, second=second, second_from_first=matrix, name=f'{name}/view{level}'
        )
    for level, light in enumerate(LIGHTS, start=1):
        yield HomographyPair(
            first=first,
            second=relight(first, _rng(name, -level), light),
            second_from_first=np.eye(3),
            kind='illumination',
            name=f'{name}/light{level}',
        )


def _rng(name: str, level: int) -> np.random.Generator:
    return np.random.default_rng([SEED, zlib.crc32(name.encode()), level + 100])


def draw_view(
    rng: np.random.Generator, size: tuple[int, int], view: View
) -> npt.NDArray[np.float64]:
    """Draw how a camera that looks at a photo on a wall sees it.

    Args:
        rng: Decides all there is to decide.
        size: (height, width) of the photo and of the picture.
        view: How far it may turn and come.

    Returns:
        ``(3, 3)`` picture from photo; at least half of the picture shows the photo.
    """
    height, width = size
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]]) - 0.5
    while True:
        seen = np.round(_draw_corners(rng, corners, view) * _GRID) / _GRID
        if _common(corners, seen) >= _OVERLAP * width * height:
            return _between(corners, seen)


def _draw_corners(
    rng: np.random.Generator, corners: npt.NDArray[np.float64], view: View
) -> npt.NDArray[np.float64]:
    """Return where the four corners of the photo are in the picture."""
    width = corners[2, 0] - corners[0, 0]
    tilt = rng.uniform(*view.tilt) * pi / 180
    towards = rng.uniform(0, 2 * pi)
    roll = rng.uniform(-view.roll, view.roll) * pi / 180
    zoom = exp(rng.uniform(-log(view.zoom), log(view.zoom)))
    shift = rng.uniform(-view.shift, view.shift, 2) * width
    centred = corners - (corners[0] + corners[2]) / 2
    along = centred @ (cos(towards), sin(towards))  # the wall leans away along this direction
    across = centred @ (-sin(towards), cos(towards))
    focal = _FOCAL * width
    depth = focal + along * sin(tilt)
    u, v = focal * along * cos(tilt) / depth, focal * across / depth
    turned = np.stack(
        (
            u * cos(towards + roll) - v * sin(towards + roll),
            u * sin(towards + roll) + v * cos(towards + roll),
        ),
        axis=1,
    )
    return np.asarray(turned * zoom + shift + (corners[0] + corners[2]) / 2)


def _common(corners: npt.NDArray[np.float64], seen: npt.NDArray[np.float64]) -> float:
    """Return how many pixels of the picture show the photo."""
    area, _ = cv2.intersectConvexConvex(corners.astype(np.float32), seen.astype(np.float32))
    return float(area)


def _between(
    before: npt.NDArray[np.float64], after: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return the homography that carries four points to four others."""
    found = cv2.getPerspectiveTransform(before.astype(np.float32), after.astype(np.float32))
    return np.asarray(found, np.float64)


def _seen(
    photo: ByteImage,
    corner: tuple[int, int],
    second_from_first: npt.NDArray[np.float64],
    size: tuple[int, int],
) -> ByteImage:
    """Return the view of the whole photo; past its edges it goes on as in a mirror.

    Args:
        photo: Of which the reference shows a part.
        corner: (x, y) of the reference's first pixel in the photo.
        second_from_first: View from reference.
        size: (height, width) of the view.
    """
    back = np.array([[1.0, 0, -corner[0]], [0, 1, -corner[1]], [0, 0, 1]])
    offset = (_FINER - 1) / 2  # pixel centres: x' = (x + 0.5) s - 0.5
    finer = np.array([[_FINER, 0, offset], [0, _FINER, offset], [0, 0, 1.0]])
    drawn = cv2.warpPerspective(
        photo,
        finer @ second_from_first @ back,
        (size[1] * _FINER, size[0] * _FINER),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    return np.asarray(cv2.resize(drawn, (size[1], size[0]), interpolation=cv2.INTER_AREA), np.uint8)


def cast_shadow(
    size: tuple[int, int], strength: float, rng: np.random.Generator
) -> npt.NDArray[np.float32]:
    """Return factors ``(h, w)`` of the shadows of a few straight-edged things.

    Args:
        size: (height, width).
        strength: Share of the light that they take.
        rng: Decides where they are.
    """
    height, width = size
    lit = np.ones(size, np.float32)
    for _ in range(_SHADOWS):
        centre = rng.uniform((0, 0), (width, height))
        corners = centre + rng.uniform(-0.4, 0.4, (4, 2)) * width
        cv2.fillConvexPoly(lit, cv2.convexHull(np.rint(corners).astype(np.int32)), 1 - strength)
    blurred = cv2.GaussianBlur(lit, (0, 0), rng.uniform(1, 4))
    return np.asarray(blurred, np.float32)


def relight(image: ByteImage, rng: np.random.Generator, light: Light) -> ByteImage:
    """Return the picture as it would be in another light, with another sensor.

    Args:
        image: ``(H, W, 3)``.
        rng: Decides all there is to decide.
        light: How strong each effect may be.
    """
    size = (image.shape[0], image.shape[1])
    if light.blur > 1:
        image = motion_blur(image, rng.uniform(1, light.blur), rng.uniform(0, pi))
    exposure, gamma = (
        round(exp(rng.uniform(-log(most), log(most))), 3) for most in (light.exposure, light.gamma)
    )
    gains = np.round(exposure * (1 + rng.uniform(-light.colour, light.colour, 3)), 3)
    curve = tone_curve(gamma=gamma)
    factors = light_map(size, shade(size, rng.choice((-0.6, 1)) * light.shade, rng))
    factors = factors * light_map(size, vignette(size, rng.uniform(0, light.vignette)))
    factors = factors * cast_shadow(size, rng.uniform(0, light.shadow), rng)
    values = cv2.LUT(image, np.stack([curve * gain for gain in gains], axis=1)[:, None])
    values = values * factors[..., None]
    values += rng.uniform(*light.noise) * rng.standard_normal(image.shape, np.float32)
    return to_bytes(values)
