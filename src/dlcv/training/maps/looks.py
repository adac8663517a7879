"""What the camera could have seen from where it stood, or from nearby, of a picture that it took.

A map that learned a few pictures by heart knows the place from there alone. Turning a camera about
its centre changes a picture in a way that no depth plays a part in; where depth was measured, the
camera can also be moved.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from dlcv.data.augment.photometric import PhotometricConfig, photometric
from dlcv.estimation.pictures import Fit, View, grey
from dlcv.geometry.camera import grid_rays
from dlcv.geometry.trajectory import moved, rigid
from dlcv.training.recipe import TrainError
from dlcv.types import ByteImage, Camera, FloatArray, Snapshot

_LIGHT = PhotometricConfig(
    probability=0.5, brightness=25, contrast=(0.9, 1.1), gamma=(0.9, 1.1), noise=4, speckle=0,
    motion_blur=1, shade=(0, 0), vignetting=0,
)  # fmt: skip
_NEAREST = 0.2  # of the median depth: nothing comes nearer to a moved camera


@dataclass(frozen=True, kw_only=True, slots=True)
class LookConfig:
    """How far looks at a picture are from the picture.

    Attributes:
        rotation: Greatest turn about the camera's axis, degrees.
        tilt: Greatest turn to a side, and up or down, degrees.
        zoom: Least and greatest size.
        shift: Greatest move of the camera along each axis, as a share of the picture's median
            depth.
        shifted: Share of the looks that move, of pictures whose depth was measured.
        light: How the light changes.
    """

    rotation: float = 30.0
    tilt: float = 20.0
    zoom: tuple[float, float] = (2 / 3, 1.5)
    shift: float = 0.2
    shifted: float = 0.0
    light: PhotometricConfig = field(default_factory=lambda: _LIGHT)

    def __post_init__(self) -> None:
        low, high = self.zoom
        if not 0 < low <= high:
            raise TrainError(f'looks need 0 < lowest <= highest zoom, got {self.zoom}')
        if not (0 <= self.rotation <= 180 and 0 <= self.tilt < 45):
            raise TrainError(
                'looks need rotation from 0 to 180 and tilt from 0 to below 45 degrees, got '
                f'{self.rotation:g} and {self.tilt:g}'
            )
        if not (0 <= self.shift < 1 and 0 <= self.shifted <= 1):
            raise TrainError(
                'looks need shift from 0 to below 1 and shifted from 0 to 1, got '
                f'{self.shift:g} and {self.shifted:g}'
            )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class KnownView:
    """A picture in the network's size, and where it was taken.

    Attributes:
        image: ``(H, W)`` grey.
        camera: Its ideal camera.
        world_from_camera: ``(4, 4)``.
        depth: ``(H, W)`` metres, NaN where unknown; None where nobody measured it.
    """

    image: ByteImage
    camera: Camera
    world_from_camera: FloatArray
    depth: FloatArray | None = None


def known_views(
    snapshots: Iterable[Snapshot], height: int, left_out: Callable[[str], None] = lambda _why: None
) -> list[KnownView]:
    """Return the pictures whose pose and camera are known, undistorted, ``height`` rows high.

    Args:
        snapshots: Pictures with what is known about them.
        height: Rows.
        left_out: Told of each other picture what it lacks.
    """
    view, found = View(), []
    for snapshot in snapshots:
        if snapshot.frame.camera is None or snapshot.world_from_camera is None:
            left_out('calibration' if snapshot.frame.camera is None else 'pose')
            continue
        image, camera, rectifier = view.rectified(snapshot.frame)
        assert camera is not None
        fit = Fit.to_height((camera.width, camera.height), height)
        found.append(
            KnownView(
                image=fit.image(grey(image)),
                camera=fit.camera(camera),
                world_from_camera=np.asarray(snapshot.world_from_camera, np.float64),
                depth=None if rectifier is not None else _depth(snapshot.depth, fit),
            )
        )
    return found


def _depth(depth: FloatArray | None, fit: Fit) -> FloatArray | None:
    """Return the depth of the nearest pixels: what lies between two depths is in the air."""
    if depth is None:
        return None
    known = np.where(np.isfinite(depth), depth, np.nan)  # the sky has no place
    return np.asarray(cv2.resize(known, fit.resized, interpolation=cv2.INTER_NEAREST), np.float32)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Look:
    """A look at a view.

    Attributes:
        image: ``(H, W)`` grey.
        camera: Its ideal camera.
        world_from_camera: ``(4, 4)``.
        valid: ``(H, W)`` where it shows the place.
        view: What it was looked at, from the same spot.
    """

    image: ByteImage
    camera: Camera
    world_from_camera: FloatArray
    valid: npt.NDArray[np.bool_]
    view: KnownView

    def places(self, xy: FloatArray) -> FloatArray:
        """Return the coordinates ``(N, 3)`` of its pixels, metres; NaN where nobody measured."""
        view = self.view
        if view.depth is None:
            return np.full((len(xy), 3), np.nan)
        centre, focal = (self.camera.cx, self.camera.cy), (self.camera.fx, self.camera.fy)
        rays = np.column_stack([(xy - centre) / focal, np.ones(len(xy))])
        rays = rays @ (self.world_from_camera[:3, :3].T @ view.world_from_camera[:3, :3])
        rays /= rays[:, 2:]  # in the view's own axes
        at = rays[:, :2] * (view.camera.fx, view.camera.fy) + (view.camera.cx, view.camera.cy)
        height, width = view.depth.shape
        x, y = np.rint(at).astype(int).T
        depth = view.depth[y.clip(0, height - 1), x.clip(0, width - 1)]
        return moved(view.world_from_camera, rays * depth[:, None])


def look(view: KnownView, rng: np.random.Generator, config: LookConfig) -> Look:
    """Return a view as the camera takes it from nearby, turned, and nearer or farther."""
    usable = np.full(view.image.shape, 255, np.uint8)
    if view.depth is not None and rng.random() < config.shifted:
        view = _shifted(view, rng, config)
        assert view.depth is not None
        usable[np.isnan(view.depth)] = 0
    zoom = float(np.exp(rng.uniform(*np.log(config.zoom))))
    height, width = (round(side * zoom) for side in view.image.shape)
    camera = view.camera.scaled(width, height)
    turn = _turn(rng, config)
    new_from_old = camera.matrix @ turn @ np.linalg.inv(view.camera.matrix)  # of pixels
    image, shown = (
        cv2.warpPerspective(old, new_from_old, (width, height), flags=cv2.INTER_LINEAR)
        for old in (view.image, usable)
    )
    return Look(
        image=photometric(np.asarray(image, np.uint8), rng, config.light),
        camera=camera,
        world_from_camera=view.world_from_camera @ rigid(turn.T, [0.0, 0.0, 0.0]),
        valid=np.asarray(shown == 255),
        view=view,
    )


def _turn(rng: np.random.Generator, config: LookConfig) -> FloatArray:
    """Draw the rotation ``(3, 3)`` of the new camera from the old one."""
    from scipy.spatial.transform import Rotation

    roll = rng.uniform(-config.rotation, config.rotation)
    pan, tilt = rng.uniform(-config.tilt, config.tilt, 2)
    turn: FloatArray = Rotation.from_euler('zyx', (roll, pan, tilt), degrees=True).as_matrix()
    return turn


def _shifted(view: KnownView, rng: np.random.Generator, config: LookConfig) -> KnownView:
    """Return the view from beside where it was taken; its depth is NaN where nothing is known.

    The picture is whole: what was hidden, or has no depth, is painted with what is beside it.
    """
    assert view.depth is not None
    known = np.isfinite(view.depth)
    if not known.any():
        return view
    middle = float(np.median(view.depth[known]))
    offset = rng.uniform(-config.shift, config.shift, 3) * middle  # of the camera, in its axes
    rays = grid_rays(view.camera)
    points = rays * _filled(view.depth, known)[..., None] - offset  # (H, W, 3) in the new axes
    depth, real = _seen(view.camera, points, known, _NEAREST * middle)
    there = rays * _filled(depth, np.isfinite(depth))[..., None] + offset  # in the old axes
    ahead = np.maximum(there[..., 2], 1e-6)
    x = there[..., 0] / ahead * view.camera.fx + view.camera.cx
    y = there[..., 1] / ahead * view.camera.fy + view.camera.cy
    image = cv2.remap(
        view.image,
        x.astype(np.float32),
        y.astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return KnownView(
        image=np.asarray(image, np.uint8),
        camera=view.camera,
        world_from_camera=view.world_from_camera @ rigid(np.eye(3), offset),
        depth=np.where(real, depth, np.nan).astype(np.float32),
    )


def _seen(
    camera: Camera, points: FloatArray, known: npt.NDArray[np.bool_], nearest: float
) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Return the depth ``(H, W)`` that a camera sees of points, and where it was measured.

    Of points in one pixel the nearest is seen. Single pixels between points are closed.
    """
    height, width = points.shape[:2]
    z = points[..., 2]
    ahead = np.maximum(z, nearest)
    x = np.rint(points[..., 0] / ahead * camera.fx + camera.cx).astype(int)
    y = np.rint(points[..., 1] / ahead * camera.fy + camera.cy).astype(int)
    hit = np.flatnonzero((z > nearest) & (x >= 0) & (x < width) & (y >= 0) & (y < height))
    hit = hit[np.argsort(-z.flat[hit], kind='stable')]  # the nearest is written last
    depth, real = np.full((height, width), np.inf, np.float32), np.zeros((height, width), np.bool_)
    at = y.flat[hit], x.flat[hit]
    depth[at], real[at] = z.flat[hit], known.flat[hit]
    around = np.ones((3, 3), np.uint8)
    nearby = cv2.erode(depth, around)
    gap = depth / 1.1 > cv2.dilate(nearby, around)  # also what shows through one
    depth[gap] = nearby[gap]
    real[gap] = cv2.dilate(real.astype(np.uint8), around)[gap] > 0
    real &= np.isfinite(depth)
    depth[np.isinf(depth)] = np.nan
    return depth, real


def _filled(depth: FloatArray, known: npt.NDArray[np.bool_]) -> FloatArray:
    """Give every pixel the depth of the nearest pixel that has one; 1 m if none has."""
    if not known.any():
        return np.ones_like(depth)
    _, label = cv2.distanceTransformWithLabels(
        (~known).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    value = np.zeros(int(label.max()) + 1, depth.dtype)
    value[label[known]] = depth[known]
    return np.asarray(value[label])
