"""Monodepth that is shown the depth of generated worlds, beside the losses of the paper.

The unit is that of `dlcv.training.recipes.monodepth`: of a thing at depth Z the network is to say
``phi b0 / Z``, phi being the focal length over the width and b0 the baseline of its configuration.
It also learns how far its answer may be off: `dlcv.networks.losses.depth_supervised`.

Letters in this file: B pairs, H W picture size in pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from dlcv.data.world import SampleConfig
from dlcv.metrics.depth import sparsification
from dlcv.networks.losses.depth_supervised import mean_of, spread_loss, supervised_loss
from dlcv.networks.losses.monodepth import MonodepthLossConfig, monodepth_loss
from dlcv.networks.monodepth import Monodepth, MonodepthConfig
from dlcv.training.depth import DepthJudge, finest, shown_pairs, with_small_disparity
from dlcv.training.depth_pairs import PairChanges, depth_samples
from dlcv.training.recipe import Batch, Samples, TrainError
from dlcv.training.start import filled
from dlcv.types import ByteImage


@dataclass(frozen=True, kw_only=True, slots=True)
class SupervisedMonodepthRecipe:
    """Depth with its truth; build it from ``config/train/monodepth_supervised.yaml``.

    Attributes:
        monodepth: The network, with a spread.
        worlds: The stereo pairs, single frames in the network's size; ``per_world`` is how many
            are rendered of each world.
        window: Worlds that samples are mixed from at a time; see `RenewedSamples`.
        uses: How often a pair is taken on average before its world is given up.
        shards_folder: Where the pairs of the window are kept, 330 KB each at 256x128; empty for
            pairs that never repeat, each rendered when it is needed.
        changes: How the pairs are changed.
        value: Weight of the logarithm's error.
        gradient: Weight of the error of its gradients.
        stereo: Weight of the paper's three losses together.
        spread: Weight of the likelihood of the expected error.
        terms: Weights within the paper's losses.
        photos: Folders of photos for the walls; without, they are painted.
        start: Weights or ``checkpoint.pt`` to go on from, with or without a spread.
        validation_pictures: How many pictures of held-out worlds it is validated on.
    """

    monodepth: MonodepthConfig
    worlds: SampleConfig = field(default_factory=lambda: SampleConfig(frames=1, stereo=True))
    window: int = 64
    uses: int = 4
    shards_folder: str = ''
    changes: PairChanges = field(default_factory=PairChanges)
    value: float = 1.0
    gradient: float = 1.0
    stereo: float = 0.2
    spread: float = 0.1
    terms: MonodepthLossConfig = field(default_factory=MonodepthLossConfig)
    photos: tuple[Path, ...] = ()
    start: Path | None = None
    validation_pictures: int = 64

    def __post_init__(self) -> None:
        if not self.monodepth.spread:
            raise TrainError('monodepth_supervised needs a network with monodepth.spread: true')
        if min(self.value, self.gradient, self.stereo, self.spread) < 0 or not self.value:
            raise TrainError(
                'monodepth_supervised needs value > 0 and gradient, stereo and spread >= 0, got '
                f'{self.value}, {self.gradient}, {self.stereo} and {self.spread}'
            )
        self._judge()  # its checks are those of this recipe

    @property
    def name(self) -> str:
        """Name of the weights."""
        return 'monodepth'

    def network(self) -> Monodepth:
        """Return the network to train.

        Raises:
            TrainError: If ``start`` does not fit.
        """
        if self.start is None:
            return with_small_disparity(Monodepth(self.monodepth))
        return filled(Monodepth(self.monodepth), self.start, self.name, new='spread')

    def samples(self, seed: int) -> Samples:
        """Return stereo pairs with their depth; see `DepthSamples`."""
        return depth_samples(
            self.worlds,
            self.photos,
            seed,
            self.changes,
            window=self.window,
            uses=self.uses,
            folder=self.shards_folder,
        )

    def loss(self, network: nn.Module, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return the weighted sum and its unweighted terms."""
        del step
        maps = [m.float() for m in network(batch['left'].float() / 255)]
        disparities = [m[:, :2] for m in maps]
        speaks = batch['speaks'][:, None, None, None]  # (B, 1, 1, 1) bool
        truth = self.monodepth.baseline * batch['inverse'].float()  # (B, 2, H, W)
        known = speaks & torch.isfinite(truth)
        truth = truth.where(known, truth.new_ones(()))
        found = supervised_loss(disparities, truth, known)
        loss = self.value * found.value + self.gradient * found.gradient
        terms = {'value': found.value.detach(), 'gradient': found.gradient.detach()}
        if self.spread:
            expected, answer = maps[0][:, 2], disparities[0][:, 0]
            unsure = spread_loss(expected, answer, truth[:, 0], known[:, 0])
            # Of a picture that says nothing: a factor of e or more, whatever is answered.
            mute = mean_of((1 - expected).clamp(min=0), (~speaks[:, 0]).expand_as(expected))
            loss = loss + self.spread * (unsure + mute)
            terms |= {'spread': unsure.detach(), 'mute': mute.detach()}
        if self.stereo and bool(speaks.any()):
            rows = batch['speaks']
            left, right = (batch[side][rows].float() / 255 for side in ('left', 'right'))
            ratio = batch['baseline'][rows][:, None, None, None] / self.monodepth.baseline
            paper = monodepth_loss([d[rows] * ratio for d in disparities], left, right, self.terms)
            loss = loss + self.stereo * paper.total
            terms['paper'] = paper.total.detach()
        return {'loss': loss, **terms}

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Return errors of metric depth in held-out worlds, and how well the spread ranks them."""
        assert isinstance(network, Monodepth)
        judge = self._judge()
        found, areas = [], []
        for view in judge.held_out():
            maps = finest(network, view.frame.image)
            assert view.depth is not None
            found.append(judge.metric(maps[0], view))
            areas.append(sparsification(found[-1], view.depth, -maps[2]).above_oracle)
        return {**judge.figures(found), 'ause': float(np.nanmean(areas))}

    def pictures(self, network: nn.Module, batch: Batch) -> dict[str, ByteImage]:
        """Return the pairs of the batch, four at most, with the disparity of the left view."""
        assert isinstance(network, Monodepth)
        return shown_pairs(batch, lambda left, _right: finest(network, left)[0])

    def smoke(self) -> SupervisedMonodepthRecipe:
        """Return a version with a tiny network and few pictures of painted worlds."""
        tiny = self._judge().tiny()
        return replace(
            self,
            monodepth=replace(tiny.monodepth, spread=True),
            worlds=replace(tiny.worlds, per_world=4),
            shards_folder='',
            changes=replace(self.changes, speechless=0.25),
            photos=(),
            start=None,
            validation_pictures=tiny.validation_pictures,
        )

    def export(self, network: nn.Module) -> nn.Module:
        """Return the network as it is."""
        return network.eval()

    def _judge(self) -> DepthJudge:
        return DepthJudge(
            monodepth=self.monodepth,
            worlds=self.worlds,
            validation_pictures=self.validation_pictures,
        )
