"""A map of one place from pictures with known poses, in minutes (ACE, Brachmann et al., CVPR 2023).

The encoder belongs to no place and is run over the pictures once; what it says of a few hundred
cells of each, seen turned, nearer and farther, fills a buffer. The head, which is the map, then
learns from cells of all pictures at once where in the place each of them is.

Letters in this file: N cells, D features, h w size of a picture in cells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from dlcv.estimation.device import to_tensor
from dlcv.networks.dsac import ENCODER, SceneCoordinateNet, cell_centres
from dlcv.networks.layers.folding import optimise
from dlcv.networks.losses.reprojection import MappingLossConfig, mapping_loss
from dlcv.training.maps.looks import KnownView, LookConfig, look
from dlcv.training.recipe import TrainError

Report = Callable[[str, int, int], None]
"""Told what is done, how much of it, of how much."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MapConfig:
    """How a map is made.

    Attributes:
        cells: Size N of the buffer.
        per_view: Cells taken of a picture each time it is looked at.
        looks: How it is looked at.
        batch: Cells of one step.
        epochs: How often the buffer is gone through.
        learning_rate: Its peak, of one cycle.
        thresholds: First and last of the robust error, in pixels of the network's input.
        loss: What counts as sensible.
        seed: Decides everything.
    """

    cells: int = 600_000
    per_view: int = 150
    looks: LookConfig = field(default_factory=LookConfig)
    batch: int = 4096
    epochs: int = 48
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
        if not self.learning_rate > 0:
            raise TrainError(f'a map needs learning_rate > 0, got {self.learning_rate}')
        if not self.thresholds[0] >= self.thresholds[1] > 0:
            raise TrainError(f'a map needs falling thresholds > 0, got {self.thresholds}')


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
    measured = any(view.depth is not None for view in views)
    done = 0
    order = endless(len(views), rng)
    while done < config.cells:
        seen_from = look(views[next(order)], rng, config.looks)
        with torch.inference_mode():
            seen = fast.features(to_tensor(seen_from.image, device))[0]
        centres = cell_centres(network.config, *seen.shape[1:]).reshape(-1, 2)  # (h*w, 2)
        at = centres.long().numpy()
        inside = (at < seen_from.image.shape[::-1]).all(axis=1)
        usable = np.flatnonzero(inside)
        usable = usable[seen_from.valid[at[usable, 1], at[usable, 0]]]
        take = rng.permutation(usable)[: min(config.per_view, config.cells - done)]
        if not len(take):
            continue
        chosen = torch.from_numpy(take)
        features.append(seen.flatten(1).T[chosen.to(device)].half())
        pixels.append(centres[chosen])
        counts.append(len(take))
        poses.append(np.linalg.inv(seen_from.world_from_camera)[:3])
        camera = seen_from.camera
        intrinsics.append((camera.fx, camera.fy, camera.cx, camera.cy))
        if measured:
            known.append(seen_from.places(centres[chosen].double().numpy()))
        done += len(take)
        report('buffer', done, config.cells)
    return CellBuffer(
        features=torch.cat(features),
        pixels=torch.cat(pixels).to(device),
        look=torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts)).to(device),
        camera_from_world=torch.from_numpy(np.stack(poses)).float().to(device),
        intrinsics=torch.tensor(intrinsics, dtype=torch.float32, device=device),
        known=torch.from_numpy(np.concatenate(known)).float().to(device) if measured else None,
    )


def _train_head(
    network: SceneCoordinateNet, buffer: CellBuffer, config: MapConfig, report: Report
) -> None:
    parameters = network.head_parameters()
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


def _good_at_16_bits(device: torch.device) -> bool:
    """Whether a step in bfloat16 is the faster one: four times on CPUs that have it."""
    return device.type == 'cuda' or torch.cpu._is_avx512_bf16_supported()  # noqa: SLF001


def endless(count: int, rng: np.random.Generator) -> Iterator[int]:
    """Give the numbers below ``count`` in random order, then again in another, and so on."""
    while True:
        yield from rng.permutation(count).tolist()
