"""LIFT's three networks, one after another, on points that generated worlds show twice.

In the paper's order (Yi et al., ECCV 2016, sec. 3.5): the descriptor on patches that SIFT places
and orients; then the orientation, judged by the descriptor; then the detector, judged by both. What
is learned before stays as it is.

Letters in this file: B samples, N points of a sample, P points of a batch, D descriptor length.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn

from dlcv.data.augment.photometric import OFF
from dlcv.data.world import SampleConfig, WorldPairs
from dlcv.files import expanded
from dlcv.networks.lift import LIFT, PATCH, SEARCHED, LIFTConfig, small, softargmax
from dlcv.networks.losses import lift as losses
from dlcv.training.lift_patches import Cut, PatchConfig, PatchPairs
from dlcv.training.recipe import Batch, Sample, Samples, TrainError
from dlcv.training.shards import kept_of_worlds
from dlcv.training.start import filled, located
from dlcv.training.world_places import GreyPairs
from dlcv.types import ByteImage

Stage = Literal['descriptor', 'orientation', 'detector']

_CUTS: dict[Stage, Cut] = {
    'descriptor': 'oriented', 'orientation': 'upright', 'detector': 'shifted',
}  # fmt: skip
_HELD_OUT = 20161011  # seed of the validation's worlds; no run has it
_MIDDLE = (SEARCHED - 1) / 2


@dataclass(frozen=True, kw_only=True, slots=True)
class MiningConfig:
    """How hard pairs are mined.

    Attributes:
        every: Steps after which the share of a batch's pairs that is learned from is halved, at
            first all: the paper doubles the pairs that it looks at every 5000.
        most: Greatest ratio of pairs that are looked at to those that are learned from.
        others: Wrong pairs that are looked at for each right one; the paper has one.
    """

    every: int = 5000
    most: int = 8
    others: int = 1

    def __post_init__(self) -> None:
        if min(self.every, self.most, self.others) < 1:
            raise TrainError(f'mining needs every, most and others >= 1, got {self}')

    def ratio(self, step: int) -> int:
        """Return the ratio at a step."""
        return int(min(self.most, 2 ** min(step // self.every, 16)))


@dataclass(frozen=True, kw_only=True)
class LIFTRecipe:
    """One of LIFT's networks; build it from ``config/train/lift*.yaml``.

    Attributes:
        stage: Which of them learns.
        lift: All of them.
        start: Weights or ``checkpoint.pt`` of the stage before; empty for random ones.
        worlds: Whose pairs of pictures are looked at.
        pairs: How many pairs of pictures there are.
        worlds_folder: Where they are kept; empty for pairs that never repeat.
        photos: Folders of photos for the walls; without, they are painted.
        patches: Which points, and in which light.
        mining: For the descriptor.
        overlap_steps: Steps of the detector at the beginning in which the overlap of patches stands
            for the distance of their descriptors.
        class_weight: Gamma, of the detector's class loss beside the pair loss.
        validation_pairs: Pairs of pictures of held-out worlds for the figures.
    """

    stage: Stage = 'descriptor'
    lift: LIFTConfig = field(default_factory=small)
    start: str = ''
    worlds: SampleConfig = field(default_factory=SampleConfig)
    pairs: int = 448
    worlds_folder: str = ''
    photos: tuple[str, ...] = ()
    patches: PatchConfig = field(default_factory=PatchConfig)
    mining: MiningConfig = field(default_factory=MiningConfig)
    overlap_steps: int = 1000
    class_weight: float = 1.0
    validation_pairs: int = 48

    def __post_init__(self) -> None:
        if self.stage not in get_args(Stage) or self.lift.descriptor_only:
            raise TrainError(
                f'LIFT has the stages {", ".join(get_args(Stage))} of all three networks, got '
                f'{self.stage!r} and descriptor_only={self.lift.descriptor_only}'
            )
        if self.class_weight < 0 or min(self.pairs, self.validation_pairs) < 1:
            raise TrainError(
                'LIFT needs class_weight >= 0, pairs and validation_pairs >= 1, got '
                f'{self.class_weight}, {self.pairs} and {self.validation_pairs}'
            )

    @property
    def name(self) -> str:
        """Name of the weights."""
        return 'lift'

    def network(self) -> LIFT:
        """Return the networks, of which one learns.

        Raises:
            TrainError: If ``start`` does not fit.
        """
        network = LIFT(self.lift)
        if self.start:
            network = filled(network, located(expanded(self.start)), self.name)
        network.requires_grad_(False)
        getattr(network, self.stage).requires_grad_(True)
        return network

    def samples(self, seed: int) -> Samples:
        """Return patches as the stage wants them; see `PatchPairs`."""
        kept = kept_of_worlds(
            lambda samples: GreyPairs(WorldPairs(samples)),
            self.worlds,
            [expanded(folder) for folder in self.photos],
            seed,
            count=self.pairs,
            per_shard=self.worlds.per_world * (self.worlds.frames - 1),
            folder=str(expanded(self.worlds_folder) / str(seed)) if self.worlds_folder else '',
        )
        return PatchPairs(kept, self.patches, _CUTS[self.stage], seed)

    def loss(self, network: nn.Module, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return the loss of the stage and its parts."""
        lift = getattr(network, 'module', network)  # of Lightning Fabric
        assert isinstance(lift, LIFT)
        match self.stage:
            case 'descriptor':
                return self._descriptor(lift, batch, step)
            case 'orientation':
                first, second = _both(batch)
                both = torch.cat((first, second))
                middle = both.new_full((len(both), 2), _MIDDLE)
                found = lift.describe(both, middle, lift.orient(both, middle))
                return {'loss': _mean(losses.distances(*found.chunk(2)), found)}
        lift.orientation.eval()  # or what it drops would move the patches
        return self._detector(lift, batch, step)

    def _descriptor(self, lift: LIFT, batch: Batch, step: int) -> dict[str, Tensor]:
        first, second = _both(batch)
        count = len(first)
        i = torch.arange(count, device=first.device)
        right = torch.stack((i, i), dim=1)
        shifts = range(1, min(self.mining.others, count - 1) + 1)
        wrong = torch.cat([right[:0], *(torch.stack((i, i.roll(k)), 1) for k in shifts)])
        kept = math.ceil(count / self.mining.ratio(step))
        there, again = lift.descriptor(torch.cat((first, second))).chunk(2)
        parts = {}
        for name, pairs in (('positive', right), ('negative', wrong)):
            distance = losses.distances(there[pairs[:, 0]], again[pairs[:, 1]])
            same = torch.full_like(distance, name == 'positive', dtype=torch.bool)
            each = losses.descriptor_losses(distance, same)
            parts[name] = _mean(each[losses.hardest(each, kept)], there)
        return {'loss': parts['positive'] + parts['negative'], **parts}

    def _detector(self, lift: LIFT, batch: Batch, step: int) -> dict[str, Tensor]:
        first, second = _both(batch)
        both, empty = torch.cat((first, second)), _chosen(batch, 'empty')
        if step < self.overlap_steps:
            scores = lift.search(both)
            xy = softargmax(scores)
            pair = losses.overlap_losses(*_aligned(xy, batch), PATCH)
        else:
            found = lift(both)
            scores = found.scores
            pair = losses.distances(*found.descriptors.chunk(2))
        shows = torch.arange(len(both) + len(empty), device=both.device) < len(both)
        told = losses.class_losses(torch.cat((scores, lift.search(empty))), shows)
        # P3 is the patch of another point: over a batch its share is that of P1 and of P2.
        kinds = (_mean(told[shows], told) + _mean(told[~shows], told)) / 2
        pairs = _mean(pair, told)
        return {'loss': pairs + self.class_weight * kinds, 'pair': pairs, 'class': kinds}

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Return figures on points of held-out worlds, beside those that learned before.

        ``matched`` is the share of points whose nearest descriptor in the second pictures is the
        right one; ``turn_off`` the median error of the turn between both angles in degrees, and
        ``place_off`` that of the found places in scales.
        """
        assert isinstance(network, LIFT)
        samples = _held_out(self)
        parts = {
            name: torch.from_numpy(np.stack([s[name] for s in samples])) for name in samples[0]
        }
        device = next(network.parameters()).device
        batch = {name: value.to(device) for name, value in parts.items()}
        first, second = _both(batch)
        found: dict[str, float] = {}
        both = torch.cat((first, second))
        if self.stage == 'descriptor':
            described = _piecewise(network.descriptor, both)
        else:
            places = _MIDDLE + both.new_zeros((len(both), 2))
            if self.stage == 'detector':
                places = softargmax(_piecewise(network.search, both))
                off = torch.stack(_aligned(places, batch)).diff(dim=0)[0].norm(dim=1)
                found['place_off'] = float(off.median()) * 24 / SEARCHED
            angles = _piecewise(network.orient, both, places)
            one, other = angles.chunk(2)
            turned = other - one - _chosen(batch, 'turn')
            found['turn_off'] = float(
                torch.atan2(turned.sin(), turned.cos()).abs().median().rad2deg()
            )
            described = _piecewise(network.describe, both, places, angles)
        there, again = described.chunk(2)
        nearest = torch.cdist(there, again).argmin(dim=1)
        right = nearest == torch.arange(len(nearest), device=nearest.device)
        return {'matched': float(right.float().mean()), **found}

    def pictures(self, network: nn.Module, batch: Batch) -> dict[str, ByteImage]:
        """Return patches of one sample, first above second."""
        del network
        rows = [np.hstack(list(batch[name][0, :12].cpu().numpy())) for name in ('first', 'second')]
        grey = np.vstack(rows).astype(np.uint8)
        return {'patches': np.repeat(grey[..., None], 3, axis=2)}

    def smoke(self) -> LIFTRecipe:
        """Return a version with narrow networks, and some points of a small room."""
        return replace(
            self,
            lift=LIFTConfig(width=0.125, orientation_width=0.1),
            start='',
            worlds=SampleConfig(
                scenes=('room',), size=(160, 120), rate_hz=(20, 20), per_world=4, worlds=1
            ),
            worlds_folder='',
            photos=(),
            patches=PatchConfig(points=12, limit=200, wide=0, photometric=OFF),
            validation_pairs=2,
        )

    def export(self, network: nn.Module) -> LIFT:
        """Return the networks."""
        assert isinstance(network, LIFT)
        return network.eval()


def _chosen(batch: Batch, name: str) -> Tensor:
    """Return what stands in a batch for each point that both pictures show, patches in [0, 1]."""
    values = batch[name].flatten(0, 1)[batch['seen'].flatten()]
    return values[:, None].float() / 255 if values.dtype == torch.uint8 else values


def _both(batch: Batch) -> tuple[Tensor, Tensor]:
    return _chosen(batch, 'first'), _chosen(batch, 'second')


def _aligned(xy: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """Return found places ``(2P, 2)`` from where their points are, the first turned as the second.

    Both are ``(P, 2)``, in pixels of the second's patches.
    """
    first, second = xy.chunk(2)
    first = first - _MIDDLE - _chosen(batch, 'first_off')
    second = second - _MIDDLE - _chosen(batch, 'second_off')
    turn = _chosen(batch, 'turn')
    c, s = turn.cos(), turn.sin()
    x, y = first.unbind(1)
    return torch.stack((c * x - s * y, s * x + c * y), dim=1), second


def _piecewise(part: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    """Return what a part gives for many patches, 64 at a time."""
    pieces = [range(i, min(i + 64, len(inputs[0]))) for i in range(0, len(inputs[0]), 64)]
    return torch.cat([part(*(one[some.start : some.stop] for one in inputs)) for some in pieces])


def _mean(each: Tensor, like: Tensor) -> Tensor:
    """Return the mean; 0, with a gradient of 0, where there is nothing."""
    return each.mean() if len(each) else 0 * like.sum()


@lru_cache(maxsize=2)
def _held_out(recipe: LIFTRecipe) -> list[Sample]:
    samples = replace(recipe, pairs=recipe.validation_pairs).samples(_HELD_OUT)
    return [samples[i] for i in range(recipe.validation_pairs)]
