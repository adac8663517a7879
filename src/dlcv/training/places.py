"""Pictures of places to learn from: which show the same, and what a network last made of them.

Letters in this file: n pictures, N values of a descriptor, D channels of a feature.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from dlcv.data.world.visits import WorldVisits, shown_by
from dlcv.networks.losses.netvlad import hardest
from dlcv.networks.netvlad import NetVLAD
from dlcv.training.recipe import Sample, Samples, TrainError
from dlcv.types import FloatArray

_FEATURES = 20_000  # local features that clusters and axes are made of
_TRIES, _ROUNDS = 3, 40  # of k-means
_AT_ONCE = 16  # pictures

Frozen = Callable[[Tensor], Tensor]
"""Pictures ``(B, C, H, W)`` in [0, 1] to what the part of a network says that does not learn."""


class VisitedWorlds:
    """All views of a world as arrays that can be kept in files, world after world.

    A sample has ``images``, ``(V, H, W, 3)`` uint8; ``shown``, ``(V, V)`` float32, how much of
    what the first shows the second shows too; and ``visit``, ``(V,)`` int64.
    """

    def __init__(self, visits: WorldVisits) -> None:
        self._visits = visits

    def __getitem__(self, index: int) -> Sample:
        """Return the views of the world of that number."""
        views = self._visits[index]
        return {
            'images': np.stack([view.frame.image for view in views]),
            'shown': shown_by(views, views),
            'visit': np.array([view.visit for view in views], np.int64),
        }


@dataclass(kw_only=True, slots=True, eq=False)
class PlacePool:
    """Pictures of several worlds.

    Attributes:
        images: ``(n, H, W, 3)`` uint8.
        near: ``(n, n)`` bool: of another visit, and they show the same.
        far: ``(n, n)`` bool: they show nothing in common.
        visit: ``(n,)`` number of the visit within its world.
        frozen: What the part of the network that does not learn says of each; empty before.
        descriptors: ``(n, N)`` what the network last made of them; empty before.
        renewed: Step at which that was.
    """

    images: npt.NDArray[np.uint8]
    near: Tensor
    far: Tensor
    visit: npt.NDArray[np.int64]
    frozen: list[Tensor] = field(default_factory=list)
    descriptors: Tensor = field(default_factory=lambda: torch.zeros(0, 0))
    renewed: int = -1

    @property
    def queries(self) -> npt.NDArray[np.intp]:
        """Numbers of the pictures whose place another visit shows too."""
        return np.flatnonzero(self.near.any(1).numpy())

    def freeze(self, part: Frozen, channels: int) -> None:
        """Run the part that does not learn over all pictures, once, and keep what it says."""
        if self.frozen:
            return
        with torch.no_grad():
            for image in self.images:
                said = part(pictures_tensor(image[None], channels))[0]
                self.frozen.append(said.half())

    def inputs(self, numbers: Sequence[int]) -> Tensor:
        """Return what a network that learns is given of some pictures."""
        return torch.stack([self.frozen[i] for i in numbers]).float()

    def renew(self, network: Callable[[Tensor], Tensor], step: int) -> None:
        """Describe all pictures with the network as it is now."""
        found = []
        with torch.no_grad():
            for first in range(0, len(self.frozen), _AT_ONCE):
                numbers = range(first, min(first + _AT_ONCE, len(self.frozen)))
                found.append(network(self.inputs(numbers)).float())
        self.descriptors, self.renewed = torch.cat(found), step

    def triplets(
        self, queries: Tensor, near: int, far: int, seen: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return what queries learn from, by the descriptors as they last were.

        Args:
            queries: ``(B,)`` numbers of pictures.
            near: How many that show the same; the nearest.
            far: How many that do not; the nearest too, which are the hardest.
            seen: ``(B, n)`` bool: among which the latter are looked for; all of them without it.

        Returns:
            Numbers ``(B, near)`` and ``(B, far)``; -1 where there are not so many.
        """
        apart = 2 - 2 * self.descriptors[queries] @ self.descriptors.T
        others = self.far[queries] if seen is None else self.far[queries] & seen
        return hardest(apart, self.near[queries], near), hardest(apart, others, far)


def pool_of(worlds: Samples, count: int, near: float, far: float) -> PlacePool:
    """Return the pictures of the first worlds as one pool.

    Args:
        worlds: `VisitedWorlds`.
        count: How many worlds.
        near: Two pictures are near when each shows at least so much of the other.
        far: And far when neither shows more than this of the other.

    Raises:
        TrainError: If no two visits show the same.
    """
    images, shares, visits = [], [], []
    for index in range(count):
        world = worlds[index]
        images.append(np.asarray(world['images'], np.uint8))
        shares.append(np.asarray(world['shown'], np.float32))
        visits.append(np.asarray(world['visit'], np.int64))
    same, shown = (_blocks(parts) for parts in ([np.ones_like(s) for s in shares], shares))
    visit = np.concatenate(visits)
    least, most = np.minimum(shown, shown.T), np.maximum(shown, shown.T)
    another = (same > 0) & (visit[:, None] != visit)
    pool = PlacePool(
        images=np.concatenate(images),
        near=torch.from_numpy(another & (least >= near)),
        far=torch.from_numpy((same == 0) | (most <= far)),
        visit=visit,
    )
    if not len(pool.queries):
        raise TrainError(
            f'no two visits of {count} worlds show the same: take more worlds, visits or views'
        )
    return pool


def begin(network: NetVLAD, encoded: Sequence[Tensor], seed: int) -> float:
    """Give a network a beginning: axes, clusters and a whitening of what its encoder says.

    Args:
        network: Its encoder stays as it is.
        encoded: ``(C, h, w)`` of each picture.
        seed: Decides what is drawn.

    Returns:
        The sharpness of the assignment.
    """
    rng = np.random.default_rng(seed)
    each = -(-_FEATURES // len(encoded))
    drawn = []
    for features in encoded:
        flat = features.float().flatten(1).T
        drawn.append(flat[rng.permutation(len(flat))[:each]])
    with torch.no_grad():
        features = torch.cat(drawn)
        if isinstance(network.reduce, torch.nn.Conv2d):
            unit = F.normalize(features, dim=1)
            _, axes = torch.linalg.eigh(torch.cov(unit.T))
            kept = axes.flip(1)[:, : network.config.reduced].T
            network.reduce.weight.copy_(kept[:, :, None, None])
        local = F.normalize(network.reduce(features[:, :, None, None])[:, :, 0, 0], dim=1)
        centres = clusters(local.numpy(), network.config.clusters, seed)
        alpha = network.pool.initialise_from(torch.from_numpy(centres), local)
        if network.config.whitened:
            pooled = [network.pooled(one[None].float()) for one in encoded]
            network.set_whitening(torch.cat(pooled))
    return alpha


def clusters(features: FloatArray, count: int, seed: int) -> FloatArray:
    """Return the centres ``(count, D)`` of k-means on features ``(M, D)``."""
    cv2.setRNGSeed(seed)
    stop = (cv2.TERM_CRITERIA_COUNT + cv2.TERM_CRITERIA_EPS, _ROUNDS, 1e-4)
    data = np.ascontiguousarray(features, np.float32)
    none = np.zeros((len(data), 1), np.int32)
    _, _, centres = cv2.kmeans(data, count, none, stop, _TRIES, cv2.KMEANS_PP_CENTERS)
    return np.asarray(centres, np.float32)


def pictures_tensor(images: npt.NDArray[np.uint8], channels: int) -> Tensor:
    """Return RGB pictures ``(B, H, W, 3)`` as ``(B, channels, H, W)`` float32 in [0, 1]."""
    if channels == 1:
        grey = np.stack([cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in images])
        return torch.from_numpy(grey)[:, None].float() / 255
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))).float() / 255


def _blocks(parts: Sequence[FloatArray]) -> FloatArray:
    """Return matrices along a diagonal, zero elsewhere."""
    size = sum(len(part) for part in parts)
    whole, first = np.zeros((size, size), np.float32), 0
    for part in parts:
        whole[first : first + len(part), first : first + len(part)] = part
        first += len(part)
    return whole
