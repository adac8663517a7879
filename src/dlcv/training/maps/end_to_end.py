"""The last stage of DSAC: a map learns through the sample consensus that it will be used with.

What is minimised is the expected loss of the pose when a hypothesis is drawn by its score, after
its refinement (Brachmann et al., CVPR 2017, section 3; Brachmann and Rother, TPAMI 2021, 3.4):
coordinates that spoil poses are mended, and those that no hypothesis needs are left alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from dlcv.estimation.consensus import ConsensusSettings, pose_expectation
from dlcv.estimation.device import to_tensor
from dlcv.networks.dsac import SceneCoordinateNet, cell_centres
from dlcv.networks.layers.folding import optimise
from dlcv.networks.losses.dsac import expected_loss, weighted_pose_loss
from dlcv.training.maps.learning import Report, endless
from dlcv.training.maps.looks import KnownView, LookConfig, look
from dlcv.training.recipe import TrainError


@dataclass(frozen=True, kw_only=True, slots=True)
class EndToEndConfig:
    """How a map is trained end to end.

    Attributes:
        steps: Pictures looked at.
        learning_rate: Of Adam; falls to zero as a half cosine.
        clamp: Greatest gradient of any weight, as in the paper.
        consensus: The hypotheses that are drawn.
        rotation_weight: Loss of a degree.
        translation_weight: Loss of a metre.
        limit: Where the loss bends from linear to a root.
        looks: How pictures are looked at.
        seed: Decides everything.
    """

    steps: int = 1000
    learning_rate: float = 1e-5
    clamp: float = 0.1
    consensus: ConsensusSettings = field(default_factory=ConsensusSettings)
    rotation_weight: float = 1.0
    translation_weight: float = 100.0
    limit: float = 100.0
    looks: LookConfig = field(default_factory=LookConfig)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.steps < 1 or not self.learning_rate > 0 or not self.clamp > 0:
            raise TrainError(
                'end to end needs steps >= 1, learning_rate > 0 and clamp > 0, got '
                f'{self.steps}, {self.learning_rate} and {self.clamp}'
            )


def train_end_to_end(
    network: SceneCoordinateNet,
    views: Sequence[KnownView],
    config: EndToEndConfig | None = None,
    report: Report = lambda _what, _done, _of: None,
    device: torch.device | str = 'cpu',
) -> SceneCoordinateNet:
    """Train a map's head through the sample consensus, in place; return it.

    Args:
        network: A map of the place, from `make_map`.
        views: What it was made of.
        config: How.
        report: Told how far it is.
        device: Where the network runs, which comes back on the CPU; the consensus always runs
            there.

    Raises:
        TrainError: If there are no views.
    """
    config = config or EndToEndConfig()
    if not views:
        raise TrainError('training end to end needs pictures with a known pose, got none')
    place = torch.device(device)
    network.to(place)
    features = optimise(network).features
    parameters = network.head_parameters()
    optimiser = torch.optim.Adam(parameters, lr=config.learning_rate)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, config.steps)
    rng = np.random.default_rng([config.seed, 2])
    generator = torch.Generator().manual_seed(config.seed)
    for step, index in enumerate(islice(endless(len(views), rng), config.steps), start=1):
        seen_from = look(views[index], rng, config.looks)
        with torch.no_grad():
            seen = features(to_tensor(seen_from.image, place))
        centres = cell_centres(network.config, *seen.shape[2:]).reshape(-1, 2)
        points = network.head(seen.clone())[0].flatten(1).T.cpu()  # (N, 3)
        at = centres.long().clamp(max=torch.tensor(seen_from.image.shape[::-1]) - 1).numpy()
        shown = torch.from_numpy(seen_from.valid[at[:, 1], at[:, 0]])
        points = points.masked_fill(~shown[:, None], float('nan'))
        found = pose_expectation(
            points, centres, seen_from.camera, config.consensus, generator=generator
        )
        if found is not None:
            truth = torch.from_numpy(seen_from.world_from_camera)
            loss = _loss(found.world_from_camera, found.scores, truth, config)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_value_(parameters, config.clamp)
            if all(bool(p.grad.isfinite().all()) for p in parameters if p.grad is not None):
                optimiser.step()
        falling.step()
        report('end to end', step, config.steps)
    return network.cpu().eval()


def _loss(poses: Tensor, scores: Tensor, truth: Tensor, config: EndToEndConfig) -> Tensor:
    losses = weighted_pose_loss(
        poses,
        truth,
        rotation_weight=config.rotation_weight,
        translation_weight=config.translation_weight,
        limit=config.limit,
    )
    return expected_loss(losses, scores)
