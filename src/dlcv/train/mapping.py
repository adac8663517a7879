"""A map of one place from pictures with known poses, in minutes (ACE, Brachmann et al., CVPR 2023).

The encoder belongs to no place and is run over the pictures once; what it says of a few hundred
cells of each, seen turned, nearer and farther, fills a buffer. The head, which is the map, then
learns from cells of all pictures at once where in the place each of them is.

Letters in this file: N cells, D features, h w size of a picture in cells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dlcv.augment.photometric import PhotometricConfig, photometric
from dlcv.geometry.trajectory import rigid
from dlcv.inference.mapping import Fit, View, grey
from dlcv.losses.mapping import MappingLossConfig, mapping_loss
from dlcv.models.dsac import ENCODER, SceneCoordinateNet, cell_centres
from dlcv.nn.inference import optimise
from dlcv.train.recipe import TrainError
from dlcv.types import ByteImage, Camera, FloatArray, Snapshot

Report = Callable[[str, int, int], None]
"""Told what is done, how much of it, of how much."""

_LIGHT = PhotometricConfig(
    probability=0.5, brightness=25, contrast=(0.9, 1.1), gamma=(0.9, 1.1), noise=4, speckle=0,
    motion_blur=1, shade=(0, 0), vignetting=0,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class MapConfig:
    """How a map is made.

    Attributes:
        cells: Size N of the buffer.
        per_view: Cells taken of a picture each time it is looked at.
        rotation: Greatest turn of a look about the camera's axis, degrees.
        tilt: Greatest turn to a side, and up or down, degrees.
        zoom: Least and greatest size of a look.
        light: How the light of a look changes.
        batch: Cells of one step.
        epochs: How often the buffer is gone through.
        learning_rate: Its peak, of one cycle.
        thresholds: First and last of the robust error, in pixels of the network's input.
        loss: What counts as sensible.
        seed: Decides everything.
    """

    cells: int = 600_000
    per_view: int = 150
    rotation: float = 30.0
    tilt: float = 20.0
    zoom: tuple[float, float] = (2 / 3, 1.5)
    light: PhotometricConfig = field(default_factory=lambda: _LIGHT)
    batch: int = 4096
    epochs: int = 24
    learning_rate: float = 3e-3
    thresholds: tuple[float, float] = (50.0, 1.0)
    loss: MappingLossConfig = field(default_factory=MappingLossConfig)
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.cells, self.per_view, self.batch, self.epochs) < 1:
            raise TrainError(
                'a map needs cells, per_view, batch and epochs >= 1, got '
                f'{self.cells}, {self.per_view}, {self.batch} and {self.epochs}'
            )
        low, high = self.zoom
        if not 0 < low <= high or not self.learning_rate > 0:
            raise TrainError(
                'a map needs 0 < lowest <= highest zoom and learning_rate > 0, got '
                f'{self.zoom} and {self.learning_rate}'
            )
        if not (0 <= self.rotation <= 180 and 0 <= self.tilt < 45):
            raise TrainError(
                'a map needs rotation from 0 to 180 and tilt from 0 to below 45 degrees, got '
                f'{self.rotation:g} and {self.tilt:g}'
            )
        if not self.thresholds[0] >= self.thresholds[1] > 0:
            raise TrainError(f'a map needs falling thresholds > 0, got {self.thresholds}')


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


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CellBuffer:
    """Cells of many looks.

    Attributes:
        features: ``(N, D)`` float16.
        pixels: ``(N, 2)`` of the look's picture.
        look: ``(N,)`` which look.
        camera_from_world: ``(L, 3, 4)`` of each look.
        intrinsics: ``(L, 4)`` fx, fy, cx, cy of each look.
        known: ``(N, 3)`` true coordinates in metres, NaN where unknown; None where all are.
    """

    features: Tensor
    pixels: Tensor
    look: Tensor
    camera_from_world: Tensor
    intrinsics: Tensor
    known: Tensor | None = None

    def __len__(self) -> int:
        return len(self.features)


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
        image, camera, rectifier = view.rectified(snapshot.frame)
        if snapshot.world_from_camera is None or camera is None:
            left_out('pose' if camera is not None else 'calibration')
            continue
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


def make_map(
    views: Sequence[KnownView],
    encoder: SceneCoordinateNet,
    config: MapConfig | None = None,
    report: Report = lambda _what, _done, _of: None,
    device: torch.device | str = 'cpu',
) -> SceneCoordinateNet:
    """Return a map of the place that the views show.

    Args:
        views: From `known_views`, of the height in the encoder's configuration.
        encoder: Of variant ``ace``; it is not changed.
        config: How.
        report: Told how far it is.
        device: Where the work is done; the map comes back on the CPU.

    Raises:
        TrainError: If there are no views.
    """
    config = config or MapConfig()
    if not views:
        raise TrainError('a map needs pictures with a known pose and camera, got none')
    torch.manual_seed(config.seed)
    network = SceneCoordinateNet(encoder.config)
    known = {k: v for k, v in encoder.state_dict().items() if k.startswith(ENCODER)}
    network.load_state_dict(known, strict=False)
    centre = np.mean([view.world_from_camera[:3, 3] for view in views], axis=0)
    network.mean.copy_(torch.from_numpy(centre).reshape(network.mean.shape))
    network.to(device)
    buffer = fill_buffer(views, network, config, report)
    _train_head(network, buffer, config, report)
    return network.cpu().eval()


def fill_buffer(
    views: Sequence[KnownView], network: SceneCoordinateNet, config: MapConfig, report: Report
) -> CellBuffer:
    """Look at the views, each as often as any other, until the buffer is full."""
    fast, device = optimise(network), network.mean.device
    rng = np.random.default_rng([config.seed, 1])
    features, pixels, counts, poses, intrinsics, known = [], [], [], [], [], []
    done = 0
    order = endless(len(views), rng)
    while done < config.cells:
        view = views[next(order)]
        image, camera, pose, valid = look(view, rng, config)
        with torch.inference_mode():
            seen = fast.features(torch.from_numpy(image)[None, None].to(device).float() / 255)[0]
        centres = cell_centres(network.config, *seen.shape[1:]).reshape(-1, 2)  # (h*w, 2)
        at = centres.long().numpy()
        inside = (at[:, 0] < image.shape[1]) & (at[:, 1] < image.shape[0])
        usable = np.flatnonzero(inside)
        usable = usable[valid[at[usable, 1], at[usable, 0]]]
        take = rng.permutation(usable)[: min(config.per_view, config.cells - done)]
        if not len(take):
            continue
        chosen = torch.from_numpy(take)
        features.append(seen.flatten(1).T[chosen.to(device)].half())
        pixels.append(centres[chosen])
        counts.append(len(take))
        poses.append(np.linalg.inv(pose)[:3])
        intrinsics.append((camera.fx, camera.fy, camera.cx, camera.cy))
        known.append(_known(view, pose, camera, centres[chosen].double().numpy()))
        done += len(take)
        report('buffer', done, config.cells)
    return CellBuffer(
        features=torch.cat(features),
        pixels=torch.cat(pixels).to(device),
        look=torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts)).to(device),
        camera_from_world=torch.from_numpy(np.stack(poses)).float().to(device),
        intrinsics=torch.tensor(intrinsics, dtype=torch.float32, device=device),
        known=torch.from_numpy(np.concatenate(known)).float().to(device)
        if any(view.depth is not None for view in views)
        else None,
    )


def _known(view: KnownView, pose: FloatArray, camera: Camera, xy: FloatArray) -> FloatArray:
    """Return the true coordinates ``(N, 3)`` of pixels of a look; NaN where nobody measured."""
    if view.depth is None:
        return np.full((len(xy), 3), np.nan)
    rays = np.column_stack(
        [(xy - (camera.cx, camera.cy)) / (camera.fx, camera.fy), np.ones(len(xy))]
    )
    rays = rays @ (pose[:3, :3].T @ view.world_from_camera[:3, :3])  # in the view's own axes
    rays /= rays[:, 2:]
    at = rays[:, :2] * (view.camera.fx, view.camera.fy) + (view.camera.cx, view.camera.cy)
    height, width = view.depth.shape
    x, y = np.rint(at).astype(int).T
    points = rays * view.depth[y.clip(0, height - 1), x.clip(0, width - 1)][:, None]
    return np.asarray(points @ view.world_from_camera[:3, :3].T + view.world_from_camera[:3, 3])


def _train_head(
    network: SceneCoordinateNet, buffer: CellBuffer, config: MapConfig, report: Report
) -> None:
    parameters = [
        parameter for name, parameter in network.named_parameters() if not name.startswith(ENCODER)
    ]
    batch = min(config.batch, len(buffer))
    per_epoch = len(buffer) // batch
    steps = config.epochs * per_epoch
    optimiser = torch.optim.AdamW(parameters, lr=config.learning_rate, fused=True)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimiser, config.learning_rate, total_steps=steps)
    generator = torch.Generator().manual_seed(config.seed)
    first, last = config.thresholds
    half = _good_at_16_bits(buffer.features.device)
    for step in range(steps):
        if step % per_epoch == 0:
            order = torch.randperm(len(buffer), generator=generator).to(buffer.look.device)
        taken = order[step % per_epoch * batch :][:batch]
        look = buffer.look[taken]
        features = buffer.features[taken].T[None, :, :, None]  # (1, D, n, 1)
        with torch.autocast(features.device.type, torch.bfloat16, enabled=half):
            inner = network.trunk(features if half else features.float())
        points = network.points(inner.float())  # (1, 3, n, 1)
        done = step / steps
        loss = mapping_loss(
            points[0, :, :, 0].T,
            buffer.pixels[taken],
            buffer.camera_from_world[look],
            buffer.intrinsics[look],
            threshold=last + (first - last) * (1 - done**2) ** 0.5,  # a quarter of a circle
            known=None if buffer.known is None else buffer.known[taken],
            config=config.loss,
        )
        optimiser.zero_grad()
        loss.total.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        cycle.step()
        report('map', step + 1, steps)


def look(
    view: KnownView, rng: np.random.Generator, config: MapConfig
) -> tuple[ByteImage, Camera, FloatArray, npt.NDArray[np.bool_]]:
    """Return a view as the camera takes it from the same spot, turned, and nearer or farther.

    Turning about the camera's centre changes a picture in a way that no depth plays a part in.

    Returns:
        The picture, its camera, its pose, and where it shows something.
    """
    zoom = float(np.exp(rng.uniform(*np.log(config.zoom))))
    height, width = (round(side * zoom) for side in view.image.shape)
    camera = view.camera.scaled(width, height)
    turn = _turn(rng, config)
    new_from_old = camera.matrix @ turn @ np.linalg.inv(view.camera.matrix)  # of pixels
    size = (width, height)
    image = cv2.warpPerspective(view.image, new_from_old, size, flags=cv2.INTER_LINEAR)
    everywhere = np.full(view.image.shape, 255, np.uint8)
    shown = cv2.warpPerspective(everywhere, new_from_old, size, flags=cv2.INTER_LINEAR)
    return (
        photometric(np.asarray(image, np.uint8), rng, config.light),
        camera,
        view.world_from_camera @ rigid(turn.T, [0.0, 0.0, 0.0]),
        np.asarray(shown == 255),
    )


def _turn(rng: np.random.Generator, config: MapConfig) -> FloatArray:
    """Draw the rotation ``(3, 3)`` of the new camera from the old one."""
    from scipy.spatial.transform import Rotation

    roll = rng.uniform(-config.rotation, config.rotation)
    pan, tilt = rng.uniform(-config.tilt, config.tilt, 2)
    turn: FloatArray = Rotation.from_euler('zyx', (roll, pan, tilt), degrees=True).as_matrix()
    return turn


def _good_at_16_bits(device: torch.device) -> bool:
    """Whether a step in bfloat16 is the faster one: four times on CPUs that have it."""
    return device.type == 'cuda' or torch.cpu._is_avx512_bf16_supported()  # noqa: SLF001


def endless(count: int, rng: np.random.Generator) -> Iterator[int]:
    """Give the numbers below ``count`` in random order, then again in another, and so on."""
    while True:
        yield from rng.permutation(count).tolist()
