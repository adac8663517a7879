"""The Synthetic Shapes that MagicPoint learns corners from (DeTone et al., 2017 and 2018).

Nine kinds of simple drawings whose corners are known exactly: ends of lines, corners of polygons
and cubes, tips and centre of stars, crossings of checkerboards, ends of stripes. Ellipses and noise
have none. Nothing overlaps, so that no corner is hidden and no junction goes unlabelled.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import cv2
import numpy as np
import numpy.typing as npt

from dlcv.types import ByteImage

Kind = Literal[
    'lines', 'polygon', 'polygons', 'ellipses', 'star', 'checkerboard', 'stripes', 'cube', 'noise'
]
KINDS: tuple[Kind, ...] = get_args(Kind)
Points = npt.NDArray[np.floating[Any]]  # (N, 2) x, y in pixels
Rng = np.random.Generator

_FINE = 4  # drawings are made so many times larger, then averaged
_SHIFT = 4  # fractional bits of the coordinates that OpenCV draws at
_TONES = 24  # greys that are tried for one that stands out
_FLATTEST = np.deg2rad(150)  # a wider angle is not called a corner


class ShapesError(ValueError):
    """Drawings cannot be made as asked; the message names what was asked and what there is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ShapesConfig:
    """What is drawn, and how large.

    Attributes:
        height: Of the images in pixels.
        width: Of the images in pixels.
        kinds: Kinds to draw from; one named twice is drawn twice as often.
        contrast: Difference in grey levels between a shape and what is around it.
        blur: Largest standard deviation of the final blur in pixels; 0 for none.
        crowd: How many times as many shapes, stripes and cells there may be; they get smaller. A
            detector that has seen single shapes only takes textures for noise.
        grain: Size of the coarsest noise in pixels.
    """

    height: int = 120
    width: int = 160
    kinds: tuple[Kind, ...] = KINDS
    contrast: int = 35
    blur: float = 1.0
    crowd: float = 1.0
    grain: int = 3

    def __post_init__(self) -> None:
        if min(self.height, self.width) < 32:
            raise ShapesError(f'shapes need at least 32 pixels, got {self.height}x{self.width}')
        unknown = set(self.kinds) - set(KINDS)
        if unknown or not self.kinds:
            raise ShapesError(f'kinds {list(self.kinds)} must be some of {list(KINDS)}')
        if not 0 <= self.contrast <= 100 or self.blur < 0:
            raise ShapesError(
                f'contrast must be in [0, 100] and blur not negative, '
                f'got {self.contrast} and {self.blur}'
            )
        if not 1 <= self.crowd <= 10 or self.grain < 1:
            raise ShapesError(
                f'crowd must be in [1, 10] and grain at least 1, got {self.crowd} and {self.grain}'
            )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Drawing:
    """A picture whose corners are known.

    Attributes:
        kind: What was drawn.
        image: ``(H, W)`` grey.
        points: ``(N, 2)`` corners in pixels, in the image; (0, 0) is the centre of the first pixel.
    """

    kind: Kind
    image: ByteImage
    points: Points


class SyntheticShapes:
    """Endless drawings, each a function of the seed and its index alone."""

    def __init__(self, config: ShapesConfig, seed: int) -> None:
        self.config = config
        self.seed = seed

    def __getitem__(self, index: int) -> Drawing:
        """Return a drawing; its kind is drawn too."""
        rng = np.random.default_rng([self.seed, index])
        kind = self.config.kinds[int(rng.integers(len(self.config.kinds)))]
        return draw(kind, rng, self.config)


def draw(kind: Kind, rng: Rng, config: ShapesConfig | None = None) -> Drawing:
    """Draw one shape.

    Args:
        kind: One of ``KINDS``.
        rng: Decides everything else.
        config: Size, contrast and blur; its kinds do not matter here.

    Raises:
        ShapesError: If the kind is unknown.
    """
    config = config or ShapesConfig()
    if kind not in _PAINTERS:
        raise ShapesError(f'kind {kind!r} is none of {list(KINDS)}')
    canvas = _Canvas(rng, config)
    points = _PAINTERS[kind](rng, canvas).reshape(-1, 2)
    last = (config.width - 1, config.height - 1)
    inside = ((points >= 0) & (points <= last)).all(axis=1)
    return Drawing(kind=kind, image=canvas.developed(rng, config.blur), points=points[inside])


# -- the canvas ------------------------------------------------------------------------------------


class _Canvas:
    """A picture that is drawn ``_FINE`` times larger than it will be; positions are in its pixels.

    Attributes:
        size: Width and height in pixels.
        short: The shorter of the two.
        crowd: Factor of the largest number of shapes.
        along: Factor of the largest number of cells along a line, and divisor of sizes.
        grain: Size of the coarsest noise in pixels.
    """

    def __init__(self, rng: Rng, config: ShapesConfig) -> None:
        self.size = np.array([config.width, config.height], np.float64)
        self.short = float(self.size.min())
        self.pixels = _background(rng, config.height * _FINE, config.width * _FINE)
        self.crowd, self.along, self.grain = config.crowd, config.crowd**0.5, config.grain
        self._contrast = config.contrast

    def fill(self, rng: Rng, polygon: Points) -> None:
        """Fill a polygon with a grey that differs from all that is around it."""
        centre = polygon.mean(axis=0)
        middles = (polygon + np.roll(polygon, 1, axis=0)) / 2
        rim = np.concatenate((polygon, middles)) - centre
        length = np.linalg.norm(rim, axis=1, keepdims=True)
        around = centre + rim * (1 + 2.5 / length.clip(min=1))
        grey = self._tone(rng, around)
        cv2.fillPoly(self.pixels, [_fixed(polygon)], grey, cv2.LINE_8, _SHIFT)

    def stroke(self, rng: Rng, start: Points, end: Points, thickness: float) -> None:
        """Draw a line with a grey that differs from all that is under it."""
        grey = self._tone(rng, start + np.linspace(0, 1, 8)[:, None] * (end - start))
        (a, b), width = _fixed(np.stack((start, end))).tolist(), max(1, round(thickness * _FINE))
        cv2.line(self.pixels, a, b, grey, width, cv2.LINE_8, _SHIFT)

    def ellipse(self, rng: Rng, centre: Points, axes: Points, degrees: float) -> None:
        """Fill an ellipse with a grey that differs from all that is around it."""
        grey = self._tone(rng, centre + 1.2 * axes.max() * _around(np.linspace(0, 6, 8)))
        middle, half = _fixed(centre[None])[0].tolist(), _rounded(axes * _FINE * 2**_SHIFT)
        cv2.ellipse(
            self.pixels, middle, half.tolist(), degrees, 0, 360, grey, -1, cv2.LINE_8, _SHIFT
        )

    def anywhere(self, rng: Rng, margin: float = 0.0) -> Points:
        """Return a position; with a margin, so many pixels away from the border."""
        return rng.uniform(margin, self.size - 1 - margin)

    def developed(self, rng: Rng, blur: float) -> ByteImage:
        """Return the picture in its own size, blurred."""
        width, height = self.size.astype(int).tolist()
        image = cv2.resize(self.pixels, (width, height), interpolation=cv2.INTER_AREA)
        sigma = float(rng.uniform(0, blur))
        if sigma > 0.2:
            image = cv2.GaussianBlur(image, (0, 0), sigma)
        return np.asarray(image, np.uint8)

    def _tone(self, rng: Rng, around: Points) -> int:
        """Return a grey that differs from those at the positions; the best of some if none does."""
        height, width = self.pixels.shape
        x, y = _rounded((around + 0.5) * _FINE - 0.5).T
        seen = self.pixels[y.clip(0, height - 1), x.clip(0, width - 1)].astype(int)
        tones = rng.integers(0, 256, _TONES)
        differences = np.abs(tones[:, None] - seen).min(axis=1)  # (_TONES,)
        enough = np.flatnonzero(differences >= self._contrast)
        return int(tones[enough[0] if len(enough) else differences.argmax()])


def _background(rng: Rng, height: int, width: int) -> ByteImage:
    """Return blurred blobs of similar greys."""
    small = np.full((height // 8, width // 8), rng.integers(20, 236), np.uint8)
    level, spread = int(small[0, 0]), int(rng.integers(5, 60))
    for _ in range(int(rng.integers(5, 30))):
        centre = (int(rng.integers(small.shape[1])), int(rng.integers(small.shape[0])))
        grey = int(np.clip(level + rng.integers(-spread, spread + 1), 0, 255))
        cv2.circle(small, centre, int(rng.integers(2, 8)), grey, -1)
    soft = cv2.GaussianBlur(small, (0, 0), float(rng.uniform(1.0, 3.0)))
    return np.asarray(cv2.resize(soft, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def _fixed(points: Points) -> npt.NDArray[np.int32]:
    """Return positions on the finer canvas, in the fixed point format that OpenCV draws at."""
    return _rounded(((points + 0.5) * _FINE - 0.5) * 2**_SHIFT)


def _rounded(values: Points) -> npt.NDArray[np.int32]:
    return np.asarray(np.rint(values), np.int32)


def _around(angles: Points) -> Points:
    """Return unit vectors at angles: (N, 2)."""
    return np.stack((np.cos(angles), np.sin(angles)), axis=1)


# -- the nine kinds --------------------------------------------------------------------------------


def _lines(rng: Rng, canvas: _Canvas) -> Points:
    """Lines that neither cross nor come near each other; corners are their ends."""
    kept: list[Points] = []
    for _ in range(int(rng.integers(1, round(14 * canvas.crowd)))):
        line = np.stack((canvas.anywhere(rng), canvas.anywhere(rng)))
        long = np.linalg.norm(line[1] - line[0]) > canvas.short / 8 / canvas.along
        if long and all(_apart(line, other, 8.0 / canvas.along) for other in kept):
            canvas.stroke(rng, line[0], line[1], rng.uniform(0.5, canvas.short / 30))
            kept.append(line)
    return np.concatenate(kept) if kept else np.empty((0, 2))


def _polygon(rng: Rng, canvas: _Canvas) -> Points:
    """One polygon, large enough to be seen."""
    margin = canvas.short / 4
    radius = rng.uniform(canvas.short / 5, canvas.short / 1.5)
    return _filled(rng, canvas, canvas.anywhere(rng, margin), radius)


def _polygons(rng: Rng, canvas: _Canvas) -> Points:
    """Several polygons that do not touch."""
    corners = [
        _filled(rng, canvas, centre, radius)
        for centre, radius in _discs(rng, canvas, (3, 16), 1 / 12, 1 / 3)
    ]
    return np.concatenate(corners)


def _ellipses(rng: Rng, canvas: _Canvas) -> Points:
    """Several ellipses that do not touch; they have no corners."""
    for centre, radius in _discs(rng, canvas, (2, 20), 1 / 20, 1 / 3):
        axes = radius * np.array([1.0, rng.uniform(0.4, 1.0)])
        canvas.ellipse(rng, centre, axes, rng.uniform(0, 180))
    return np.empty((0, 2))


def _star(rng: Rng, canvas: _Canvas) -> Points:
    """Lines from one centre; corners are their ends and the centre."""
    count = int(rng.integers(3, 7))
    step = 2 * np.pi / count
    angles = step * (np.arange(count) + rng.uniform(-0.3, 0.3, count)) + rng.uniform(0, 2 * np.pi)
    lengths = rng.uniform(canvas.short / 8, canvas.short / 2, (count, 1))
    centre = canvas.anywhere(rng, canvas.short / 6)
    tips = centre + lengths * _around(angles)
    thickness = rng.uniform(0.5, canvas.short / 30)
    for tip in tips:
        start = centre + (tip - centre) * 0.05  # the tone is chosen off the shared centre
        canvas.stroke(rng, start, tip, thickness)
    return np.concatenate((centre[None], tips))


def _checkerboard(rng: Rng, canvas: _Canvas) -> Points:
    """Cells of differing greys seen at an angle; corners are their crossings."""
    rows, columns = rng.integers(2, round(7 * canvas.along), 2).tolist()
    grid = _grid(rng, canvas, np.linspace(0, 1, rows + 1), np.linspace(0, 1, columns + 1))
    for r in range(rows):
        for c in range(columns):
            cell = grid[[r, r, r + 1, r + 1], [c, c + 1, c + 1, c]]
            canvas.fill(rng, cell)
    return grid


def _stripes(rng: Rng, canvas: _Canvas) -> Points:
    """Stripes of differing greys side by side; corners are where their borders end."""
    count = int(rng.integers(2, round(9 * canvas.along)))
    borders = np.cumsum(rng.uniform(0.5, 2.0, count + 1))
    borders = (borders - borders[0]) / (borders[-1] - borders[0])
    grid = _grid(rng, canvas, np.array([0.0, 1.0]), borders)
    for c in range(count):
        canvas.fill(rng, grid[[0, 0, 1, 1], [c, c + 1, c + 1, c]])
    return grid


def _cube(rng: Rng, canvas: _Canvas) -> Points:
    """A box in space, from far away; corners are the seven that are seen."""
    turn = _view(rng)  # columns: the box's axes; z points away from the eye
    sides = rng.uniform(canvas.short / 6, canvas.short / 1.6, 3)
    x, y, z = (turn * sides)[:2].T  # the sides as they are seen, each from the nearest corner
    near = canvas.anywhere(rng, canvas.short / 4) - rng.uniform(0.2, 0.6) * (x + y + z)
    for a, b in ((x, y), (y, z), (z, x)):
        canvas.fill(rng, near + np.stack((np.zeros(2), a, a + b, b)))
    return np.asarray(near + np.stack((np.zeros(2), x, y, z, x + y, y + z, z + x)))


def _noise(rng: Rng, canvas: _Canvas) -> Points:
    """Gaussian noise, fine or coarse; it has no corners."""
    height, width = canvas.pixels.shape
    coarse = _FINE * int(rng.integers(1, canvas.grain + 1))
    small = rng.normal(
        rng.uniform(60, 196), rng.uniform(10, 60), (height // coarse, width // coarse)
    )
    noise = cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST)
    canvas.pixels = noise.clip(0, 255).astype(np.uint8)
    return np.empty((0, 2))


_PAINTERS: dict[Kind, Callable[[Rng, _Canvas], Points]] = {
    'lines': _lines,
    'polygon': _polygon,
    'polygons': _polygons,
    'ellipses': _ellipses,
    'star': _star,
    'checkerboard': _checkerboard,
    'stripes': _stripes,
    'cube': _cube,
    'noise': _noise,
}


# -- geometry of the kinds -------------------------------------------------------------------------


def _filled(rng: Rng, canvas: _Canvas, centre: Points, radius: float) -> Points:
    """Fill a random polygon in a disc; return its corners that are sharp enough to be seen."""
    count = int(rng.integers(3, 7))
    step = 2 * np.pi / count
    angles = step * (np.arange(count) + rng.uniform(-0.3, 0.3, count)) + rng.uniform(0, 2 * np.pi)
    polygon = centre + radius * rng.uniform(0.5, 1.0, (count, 1)) * _around(angles)
    canvas.fill(rng, polygon)
    before, after = np.roll(polygon, 1, axis=0) - polygon, np.roll(polygon, -1, axis=0) - polygon
    lengths = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
    cosines = (before * after).sum(axis=1) / lengths
    return np.asarray(polygon[cosines > np.cos(_FLATTEST)])


def _discs(
    rng: Rng, canvas: _Canvas, tries: tuple[int, int], smallest: float, largest: float
) -> list[tuple[Points, float]]:
    """Return centres and radii of discs apart.

    Args:
        rng: Decides.
        canvas: What they lie on.
        tries: Least and largest number of discs that are tried, before crowding.
        smallest: Radius as a share of the shorter side of the canvas, before crowding.
        largest: The same.
    """
    kept: list[tuple[Points, float]] = []
    for _ in range(int(rng.integers(tries[0], round(tries[1] * canvas.crowd)))):
        centre = canvas.anywhere(rng)
        radius = canvas.short / canvas.along * float(rng.uniform(smallest, largest))
        if all(np.linalg.norm(centre - c) > radius + r + 5 for c, r in kept):
            kept.append((centre, radius))
    return kept


def _grid(rng: Rng, canvas: _Canvas, rows: Points, columns: Points) -> Points:
    """Return a rectangle's grid lines' crossings, seen from somewhere: (rows, columns, 2)."""
    size = rng.uniform(0.5, 1.2, 2) * canvas.short
    square = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])
    (cosine, sine), centre = (
        _around(rng.uniform(0, 2 * np.pi, 1))[0],
        canvas.anywhere(rng, canvas.short / 4),
    )
    turn = np.array([[cosine, -sine], [sine, cosine]])
    corners = (square + rng.uniform(-0.15, 0.15, (4, 2))) * size @ turn.T + centre
    plane = (square + 0.5).astype(np.float32)
    seen_from_plane = cv2.getPerspectiveTransform(plane, corners.astype(np.float32))
    flat = np.stack(np.meshgrid(columns, rows), axis=-1)  # (rows, columns, 2)
    return np.asarray(cv2.perspectiveTransform(flat, seen_from_plane), np.float64)


def _view(rng: Rng) -> Points:
    """Return a rotation by which all three axes of a box lead well away from the eye."""
    while True:
        turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        turn = turn * np.sign(turn[2])  # each axis away from the eye; the box has no handedness
        if turn[2].min() > 0.25:
            return np.asarray(turn, np.float64)


def _apart(first: Points, second: Points, distance: float) -> bool:
    """Tell whether two segments keep a distance in pixels from each other."""
    along = np.linspace(0, 1, 24)[:, None]
    ours = first[0] + along * (first[1] - first[0])
    theirs = second[1] - second[0]
    share = ((ours - second[0]) @ theirs / (theirs @ theirs)).clip(0, 1)[:, None]
    return bool(np.linalg.norm(ours - second[0] - share * theirs, axis=1).min() > distance)
