"""A world of flat patches, and the builder that furnishes it.

A patch is a parallelogram ``origin + u * edge_u + v * edge_v`` with u and v in [0, 1]. It is seen
from the side from which u runs right and v runs down, like a picture on a wall, so its outward
normal is ``edge_v x edge_u``. Planes make everything that is known about the world exact: the
inverse depth of a patch is an affine function of the pixel.

Patches stand still, or belong to one of the rigid bodies that move; a scene holds these at rest,
where their light was computed, which travels with them.

The world frame has z up; lengths are metres.

N: patches  T: things  M: cutouts  S: side of a texture
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import wraps
from typing import ParamSpec, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from dlcv.classes import NUMBER
from dlcv.data.world.noise import Image, Rng, grid
from dlcv.data.world.textures import PLAIN, SIZE, Painter
from dlcv.things import KIND_NUMBER
from dlcv.types import ByteImage

Array = npt.NDArray[np.float64]
Vector = Array | tuple[float, float, float]
Colour = tuple[float, float, float]
WHITE: Colour = (1.0, 1.0, 1.0)
CUTOUT_SIZE = 64

_Given = ParamSpec('_Given')
_Back = TypeVar('_Back')


class WorldError(ValueError):
    """A world was asked for that cannot be built."""


class Photos(Protocol):
    """Photos to cut pieces from; equal ones give equal pieces."""

    def crop(self, rng: Rng, height: int, width: int) -> ByteImage:
        """Return a random piece ``(height, width, 3)`` of a random photo, RGB."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Scene:
    """Everything that a renderer must know.

    Attributes:
        origin: ``(N, 3)`` corner of each patch where u = v = 0, metres.
        edge_u: ``(N, 3)`` edge along u.
        edge_v: ``(N, 3)`` edge along v.
        texture: ``(N,)`` index into ``textures``.
        uv_scale: ``(N, 2)`` repeats of the texture along u and v.
        uv_offset: ``(N, 2)`` where in the texture the corner lies.
        tint: ``(N, 3)`` linear colour that multiplies the texture.
        cutout: ``(N,)`` index into ``cutouts``, -1 for the whole parallelogram.
        two_sided: ``(N,)`` seen from behind as well.
        infinite: ``(N,)`` moves with the camera: the sky.
        unlit: ``(N,)`` shines by itself.
        body: ``(N,)`` 0 for what stands still, k for the k-th moving body.
        label: ``(N,)`` uint8 number of the class in `dlcv.classes`.
        thing: ``(N,)`` index into ``kinds`` of the thing it belongs to, -1 for none.
        kinds: ``(T,)`` uint8 number in `dlcv.things` of each thing.
        textures: ``(S, S, 3)`` uint8 sRGB pictures; S is a power of two.
        cutouts: ``(M, 64, 64)`` stencils; a patch exists where its stencil is above 0.5.
        sun: Unit vector towards the sun; zero for none.
        sun_colour: Linear light of the sun.
        sky_colour: Linear light from everywhere above.
        lamps: ``(L, 3)`` positions of lamps.
        lamp_colour: Linear light of a lamp at 1 metre.
        light_spacing: Least distance of two light samples on a patch, metres.
        ambient_reach: Distance at which a surface no longer darkens another, metres.
    """

    origin: Array
    edge_u: Array
    edge_v: Array
    texture: npt.NDArray[np.int64]
    uv_scale: Array
    uv_offset: Array
    tint: Array
    cutout: npt.NDArray[np.int64]
    two_sided: npt.NDArray[np.bool_]
    infinite: npt.NDArray[np.bool_]
    unlit: npt.NDArray[np.bool_]
    body: npt.NDArray[np.int64]
    label: ByteImage
    thing: npt.NDArray[np.int64]
    kinds: ByteImage
    textures: tuple[ByteImage, ...]
    cutouts: Image
    sun: Array
    sun_colour: Array
    sky_colour: Array
    lamps: Array
    lamp_colour: Array
    light_spacing: float
    ambient_reach: float

    def __len__(self) -> int:
        return len(self.origin)

    @property
    def bodies(self) -> int:
        """Number of moving bodies, K."""
        return int(self.body.max(initial=0))

    @property
    def normal(self) -> Array:
        """Outward unit normals, ``(N, 3)``."""
        normal = np.cross(self.edge_v, self.edge_u)
        unit: Array = normal / np.linalg.norm(normal, axis=1, keepdims=True)
        return unit


@dataclass(frozen=True, kw_only=True, slots=True)
class Surface:
    """How a patch looks.

    Attributes:
        texture: Name of the material.
        tile: Metres per repeat of the texture; 0 spreads it once over the patch.
        tint: Linear colour that multiplies it.
        cutout: Name of a stencil, or ''.
        two_sided: Seen from behind as well.
        unlit: Shines by itself.
        offset: Where in the texture the corner lies; None is anywhere, for tiled textures.
    """

    texture: str
    tile: float = 0.0
    tint: Colour = WHITE
    cutout: str = ''
    two_sided: bool = False
    unlit: bool = False
    offset: tuple[float, float] | None = None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Light:
    """Light of a scene; see :class:`Scene`."""

    sun: Vector = (0.0, 0.0, 0.0)
    sun_colour: Vector = (0.0, 0.0, 0.0)
    sky_colour: Vector = (0.5, 0.5, 0.5)
    lamps: Array = field(default_factory=lambda: np.zeros((0, 3)))
    lamp_colour: Vector = (0.0, 0.0, 0.0)
    light_spacing: float = 0.22
    ambient_reach: float = 1.6


def any_colour(rng: Rng, low: float, high: float) -> Colour:
    """Return a random linear colour with each channel in [low, high)."""
    red, green, blue = rng.uniform(low, high, 3).tolist()
    return red, green, blue


def place(x: float, y: float, z: float = 0.0, yaw: float = 0.0) -> Array:
    """Return world_from_object ``(4, 4)`` of a thing standing upright, yaw in radians."""
    c, s = np.cos(yaw), np.sin(yaw)
    return np.array([[c, -s, 0, x], [s, c, 0, y], [0, 0, 1, z], [0, 0, 0, 1]], np.float64)


class SceneBuilder:
    """Collects patches and hands out a :class:`Scene`.

    Args:
        materials: Painters by name; only those that are used are painted.
        seed: Seed of the textures and of ``rng``, the builder's source of randomness.
        photos: Where posters and some plain materials come from instead; None paints them all.
    """

    def __init__(
        self, materials: Mapping[str, Painter], seed: int, photos: Photos | None = None
    ) -> None:
        self.rng: Rng = np.random.default_rng([seed, 1])
        self._materials = materials
        self._seed = seed
        self._photos = photos
        self._pictures: dict[str, Image] = {}
        self._names: list[str] = []
        self._cutouts: dict[str, int] = {}
        self._stencils: list[Image] = []
        self._rows: list[tuple[Array, Array, Array]] = []
        self._looks: list[tuple[Surface, Array, Array, bool]] = []
        self._bodies: list[int] = []
        self._body = 0
        self._labels: list[int] = []
        self._label = NUMBER['other']
        self._things: list[int] = []
        self._thing = -1
        self._kinds: list[int] = []

    @contextmanager
    def body(self) -> Iterator[int]:
        """Make what is added meanwhile a body that moves by itself; yields its number, from 1."""
        self._body = max(self._bodies, default=0) + 1
        yield self._body
        self._body = 0

    @contextmanager
    def label(self, name: str) -> Iterator[None]:
        """Make what is added meanwhile, and not labelled within, one of the class ``name``."""
        before, self._label = self._label, NUMBER[name]
        yield
        self._label = before

    @contextmanager
    def thing(self, kind: str) -> Iterator[None]:
        """Make what is added meanwhile one thing of a kind of `dlcv.things`, or of none for ''.

        A thing within, a screen on a desk, is one of its own.
        """
        before, self._thing = self._thing, len(self._kinds) if kind else -1
        if kind:
            self._kinds.append(KIND_NUMBER[kind])
        yield
        self._thing = before

    def add_picture(self, name: str, picture: Image) -> None:
        """Make a ready picture usable as the texture ``name``."""
        self._pictures[name] = picture

    def add_cutout(self, name: str, stencil: Image) -> None:
        """Make a stencil ``(64, 64)`` usable as ``Surface.cutout``."""
        self._cutouts[name] = len(self._stencils)
        self._stencils.append(stencil.astype(np.float32))

    def quad(self, origin: Vector, edge_u: Vector, edge_v: Vector, surface: Surface) -> None:
        """Add one patch; seen from its front, u runs right and v runs down."""
        corner, u, v = (np.asarray(value, np.float64) for value in (origin, edge_u, edge_v))
        if surface.tile:
            scale = np.array([np.linalg.norm(u), np.linalg.norm(v)]) / surface.tile
            anywhere = self.rng.random(2)  # so that two walls of one material differ
            offset = anywhere if surface.offset is None else np.array(surface.offset)
        else:
            scale, offset = np.ones(2), np.zeros(2)
        self._rows.append((corner, u, v))
        self._looks.append((surface, scale, offset, False))
        self._bodies.append(self._body)
        self._labels.append(self._label)
        self._things.append(self._thing)

    def sky(self, origin: Vector, edge_u: Vector, edge_v: Vector, surface: Surface) -> None:
        """Add a patch at infinity; its corner is given relative to the camera."""
        row = tuple(np.asarray(value, np.float64) for value in (origin, edge_u, edge_v))
        self._rows.append((row[0], row[1], row[2]))
        self._looks.append((surface, np.ones(2), np.zeros(2), True))
        self._bodies.append(0)
        self._labels.append(NUMBER['sky'])
        self._things.append(-1)

    def field(
        self, origin: Vector, edge_u: Vector, edge_v: Vector, surface: Surface, largest: float
    ) -> None:
        """Add a big patch as a grid of smaller ones, each at most ``largest`` metres wide.

        Light is stored per patch with a limited number of samples, so floors are divided.
        """
        corner, u, v = (np.asarray(value, np.float64) for value in (origin, edge_u, edge_v))
        columns = int(np.ceil(np.linalg.norm(u) / largest))
        rows = int(np.ceil(np.linalg.norm(v) / largest))
        start = len(self._looks)
        phase = self.rng.random(2)
        for row in range(rows):
            for column in range(columns):
                self.quad(
                    corner + u * column / columns + v * row / rows, u / columns, v / rows, surface
                )
        if surface.tile:  # the picture runs on from one patch to the next
            for i, (look, scale, _, _) in enumerate(self._looks[start:]):
                step = np.array([i % columns, i // columns])
                self._looks[start + i] = (look, scale, phase + scale * step, False)

    def box(
        self,
        pose: Array,
        size: tuple[float, float, float],
        surface: Surface,
        **faces: Surface | None,
    ) -> None:
        """Add a box that stands on the origin of ``pose``, centred in x and y.

        Args:
            pose: world_from_box ``(4, 4)``.
            size: Extent along x, y, z.
            surface: Look of every face but those named in ``faces``.
            **faces: ``front`` (+x), ``back`` (-x), ``left`` (+y), ``right`` (-y), ``top``,
                ``bottom``; None leaves the face out.
        """
        for name, (corner, u, v) in _box_faces(size).items():
            look = faces.get(name, None if name == 'bottom' else surface)
            if look is not None:
                self.quad(*_moved(pose, corner, u, v), look)

    def local(self, pose: Array, corner: Vector, u: Vector, v: Vector, surface: Surface) -> None:
        """Add one patch given in the axes of ``pose``."""
        moved = _moved(pose, *(np.asarray(value, np.float64) for value in (corner, u, v)))
        self.quad(*moved, surface)

    def build(self, light: Light) -> Scene:
        """Paint the textures and return the scene."""
        self._names = sorted({look.texture for look, *_ in self._looks})
        index = {name: i for i, name in enumerate(self._names)}
        looks = self._looks
        return Scene(
            origin=np.array([row[0] for row in self._rows]),
            edge_u=np.array([row[1] for row in self._rows]),
            edge_v=np.array([row[2] for row in self._rows]),
            texture=np.array([index[look.texture] for look, *_ in looks], np.int64),
            uv_scale=np.array([scale for _, scale, _, _ in looks]),
            uv_offset=np.array([offset for _, _, offset, _ in looks]),
            tint=np.array([look.tint for look, *_ in looks], np.float64),
            cutout=np.array([self._cutouts.get(look.cutout, -1) for look, *_ in looks], np.int64),
            two_sided=np.array([look.two_sided for look, *_ in looks]),
            infinite=np.array([infinite for *_, infinite in looks]),
            unlit=np.array([look.unlit for look, *_ in looks]),
            body=np.array(self._bodies, np.int64),
            label=np.array(self._labels, np.uint8),
            thing=np.array(self._things, np.int64),
            kinds=np.array(self._kinds, np.uint8),
            textures=tuple(self._painted(name) for name in self._names),
            cutouts=np.array(self._stencils or [disc()], np.float32),
            sun=np.asarray(light.sun, np.float64),
            sun_colour=np.asarray(light.sun_colour, np.float64),
            sky_colour=np.asarray(light.sky_colour, np.float64),
            lamps=light.lamps,
            lamp_colour=np.asarray(light.lamp_colour, np.float64),
            light_spacing=light.light_spacing,
            ambient_reach=light.ambient_reach,
        )

    def _painted(self, name: str) -> ByteImage:
        picture = self._pictures.get(name)
        if picture is None:
            rng = np.random.default_rng([self._seed, zlib.crc32(name.encode())])
            if self._photos is not None and (photo := _photo(self._photos, rng, name)) is not None:
                return photo
            picture = self._materials[name](rng)
        return (picture.clip(0, 1) * 255 + 0.5).astype(np.uint8)


def shows(
    label: str = '', thing: str | None = None
) -> Callable[[Callable[_Given, _Back]], Callable[_Given, _Back]]:
    """Let a function that adds something to its first argument, a builder, say what it is.

    Args:
        label: Its class; '' for that of whatever it is added to.
        thing: See `SceneBuilder.thing`; None if it is part of whatever it is added to.
    """

    def labelling(add: Callable[_Given, _Back]) -> Callable[_Given, _Back]:
        @wraps(add)
        def labelled(*args: _Given.args, **kwargs: _Given.kwargs) -> _Back:
            builder = args[0]
            assert isinstance(builder, SceneBuilder)
            with ExitStack() as within:
                if label:
                    within.enter_context(builder.label(label))
                if thing is not None:
                    within.enter_context(builder.thing(thing))
                return add(*args, **kwargs)

        return labelled

    return labelling


def _photo(photos: Photos, rng: Rng, name: str) -> ByteImage | None:
    """Return a photo to be used as the material of that name, or None to have it painted.

    Posters are photos; two in five plain materials are a photo continued by its mirror images.
    """
    if name.startswith('poster'):
        return photos.crop(rng, SIZE, SIZE)
    if name not in PLAIN or rng.random() > 0.4:
        return None
    quarter = photos.crop(rng, SIZE // 2, SIZE // 2)
    half = np.concatenate((quarter, quarter[:, ::-1]), 1)
    return np.concatenate((half, half[::-1]), 0)


def _moved(pose: Array, corner: Array, u: Array, v: Array) -> tuple[Array, Array, Array]:
    rotation = pose[:3, :3]
    return rotation @ corner + pose[:3, 3], rotation @ u, rotation @ v


def _box_faces(size: tuple[float, float, float]) -> dict[str, tuple[Array, Array, Array]]:
    """Return (corner, u, v) of each face, so that it is seen upright from outside."""
    x, y, z = size
    faces = {
        'front': ((x / 2, -y / 2, z), (0, y, 0), (0, 0, -z)),
        'back': ((-x / 2, y / 2, z), (0, -y, 0), (0, 0, -z)),
        'left': ((x / 2, y / 2, z), (-x, 0, 0), (0, 0, -z)),
        'right': ((-x / 2, -y / 2, z), (x, 0, 0), (0, 0, -z)),
        'top': ((-x / 2, y / 2, z), (x, 0, 0), (0, -y, 0)),
        'bottom': ((-x / 2, -y / 2, 0), (x, 0, 0), (0, y, 0)),
    }
    return {
        name: (np.array(corner, float), np.array(u, float), np.array(v, float))
        for name, (corner, u, v) in faces.items()
    }


def disc() -> Image:
    """Return the stencil of a disc that touches the borders."""
    x, y = grid(CUTOUT_SIZE)
    return _stencil(CUTOUT_SIZE * (0.49 - np.hypot(x - 0.5, y - 0.5)))


def trapezoid(left: float, right: float) -> Image:
    """Return the stencil of a trapezoid: full below, from ``left`` to ``right`` on top."""
    x, y = grid(CUTOUT_SIZE)
    inside = np.minimum(x - left * (1 - y), 1 - (1 - right) * (1 - y) - x)
    return _stencil(CUTOUT_SIZE * inside)


def tuft(rng: Rng) -> Image:
    """Return the stencil of a bunch of leaves: a ragged, star-shaped blob."""
    x, y = grid(CUTOUT_SIZE)
    angle, radius = np.arctan2(y - 0.5, x - 0.5), np.hypot(x - 0.5, y - 0.5)
    outline = np.full_like(x, 0.36)
    for order in (2, 3, 5, 8, 11):
        outline += rng.uniform(0.02, 0.05) * np.cos(order * angle + rng.uniform(0, 2 * np.pi))
    return _stencil(24 * (np.minimum(outline, 0.48) - radius))


def foliage(rng: Rng) -> Image:
    """Return the stencil of a spray of leaves with gaps between them."""
    x, y = grid(CUTOUT_SIZE)
    inside = np.full_like(x, -1.0)
    for _ in range(90):
        radius, angle, turn = 0.44 * np.sqrt(rng.random()), *rng.uniform(0, 2 * np.pi, 2)
        dx, dy = x - 0.5 - radius * np.cos(angle), y - 0.5 - radius * np.sin(angle)
        along, across = dx * np.cos(turn) + dy * np.sin(turn), dy * np.cos(turn) - dx * np.sin(turn)
        length = rng.uniform(0.05, 0.085)
        inside = np.maximum(inside, 1 - np.hypot(along / length, across / (0.5 * length)))
    return _stencil(2 * inside)


def blades(rng: Rng) -> Image:
    """Return the stencil of tall grass: bent blades that taper upwards."""
    x, y = grid(CUTOUT_SIZE)
    up = 1 - y
    inside = np.full_like(x, -1.0)
    for foot in rng.uniform(0.06, 0.94, 26):
        height, bend = rng.uniform(0.45, 0.98), rng.uniform(-0.35, 0.35)
        middle = foot + bend * up**2
        inside = np.maximum(inside, 0.022 * (1 - up / height) - np.abs(x - middle))
    return _stencil(CUTOUT_SIZE * inside)


def railing() -> Image:
    """Return the stencil of an iron fence: bars between two rails."""
    x, y = grid(CUTOUT_SIZE)
    bars = 0.02 - np.abs((x * 8) % 1 - 0.5) / 8
    rails = 0.03 - np.minimum(np.abs(y - 0.14), np.abs(y - 0.9))
    return _stencil(CUTOUT_SIZE * np.maximum(bars, rails).astype(np.float32))


def _stencil(inside: Image) -> Image:
    """Return 0.5 on the outline, where ``inside`` is 0, with soft flanks."""
    soft: Image = np.clip(0.5 + inside, 0, 1).astype(np.float32)
    return soft
