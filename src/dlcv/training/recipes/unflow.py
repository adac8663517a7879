"""UnFlow: FlowNet learned from pairs of pictures whose flow nobody knows (Meister et al. 2018).

What the pictures are drawn from (layered scenes) does know its flow; only ``validate`` looks at it.

Letters in this file: B pairs, H W picture size in pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from dlcv.data.augment.unflow import PairChanges, change_pair
from dlcv.data.synthetic.layers import LayeredScenes, LayersConfig
from dlcv.data.synthetic.photos import PhotoPool
from dlcv.networks.flownet import FlowNet, FlowNetConfig
from dlcv.networks.losses.unflow import UnflowLossConfig, occluded, unflow_loss
from dlcv.training.flow_samples import channels_first
from dlcv.training.recipe import Batch, Sample, Samples
from dlcv.training.recipes.flownet import FlowNetRecipe
from dlcv.types import ByteImage
from dlcv.view.flow import flow_colours


@dataclass(frozen=True, kw_only=True, slots=True)
class UnFlowRecipe:
    """Unsupervised flow; build it from ``config/train/unflow.yaml``.

    Attributes:
        flownet: The network; batch-norms are folded when it is shipped.
        scenes: The pictures it learns from, in the size it is trained with.
        changes: How pairs are changed.
        terms: Weights of the loss.
        occlusions_from: Step from which occlusions are masked and forward and backward flow must
            agree. Before, the flow is so wrong that almost all would be masked; the paper, too,
            turns both on only after its first 500,000 steps.
        photos: Folders of photos; without, the scenes are made of painted pictures.
        start: Weights or ``checkpoint.pt`` to go on from, as for supervised training.
        validation: The pairs it is validated on.
        validation_pairs: How many of them.
    """

    flownet: FlowNetConfig
    scenes: LayersConfig
    changes: PairChanges = field(default_factory=PairChanges)
    terms: UnflowLossConfig = field(default_factory=UnflowLossConfig)
    occlusions_from: int = 0
    photos: tuple[Path, ...] = ()
    start: Path | None = None
    validation: LayersConfig = field(default_factory=LayersConfig)
    validation_pairs: int = 32

    @property
    def name(self) -> str:
        """Name of the weights."""
        return 'unflow'

    def network(self) -> FlowNet:
        """Return the network to train, begun as a supervised one is."""
        return self.supervised.network()

    def samples(self, seed: int) -> Samples:
        """Return pairs as the loss and as the network see them; see `PairSamples`."""
        scenes = LayeredScenes(PhotoPool(self.photos), self.scenes, seed)
        return PairSamples(scenes, self.changes, seed)

    def loss(self, network: nn.Module, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return the loss of both directions and its unweighted terms."""
        first, second, first_seen, second_seen = (
            batch[name].float() / 255 for name in ('first', 'second', 'first_seen', 'second_seen')
        )  # each (B, 3, H, W)
        ahead_and_back = torch.cat((first_seen, second_seen)), torch.cat((second_seen, first_seen))
        pyramid = network(*ahead_and_back)  # each (2B, 2, h, w)
        forward, backward = zip(*(flow.float().chunk(2) for flow in pyramid), strict=True)
        early = replace(self.terms, mask_occlusions=False, consistency=0.0)
        loss, terms = unflow_loss(
            forward,
            backward,
            first,
            second,
            border=batch['border'],
            config=early if step < self.occlusions_from else self.terms,
            div_flow=self.flownet.div_flow,
        )
        return {
            'loss': loss,
            'census': terms.census.detach(),
            'photometric': terms.photometric.detach(),
            'smoothness': terms.smoothness.detach(),
            'consistency': terms.consistency.detach(),
            'occlusion': terms.occlusion.detach(),
        }

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Return the figures that supervised training is judged by, on the same held-out scenes."""
        return self.supervised.validate(network)

    def pictures(self, network: nn.Module, batch: Batch) -> dict[str, ByteImage]:
        """Return the first pair: its pictures above, flow and what it calls occluded below."""
        assert isinstance(network, FlowNet)
        first, second = (batch[name][:1].float() / 255 for name in ('first', 'second'))
        forward, backward = network.flow(first, second), network.flow(second, first)
        hidden = occluded(forward, backward)[0, 0].cpu().numpy() > 0
        flow = flow_colours(forward[0].permute(1, 2, 0).cpu().numpy())
        shown = [batch[name][0].permute(1, 2, 0).cpu().numpy() for name in ('first', 'second')]
        black = np.where(hidden[..., None], np.uint8(0), flow)
        return {'pair': np.vstack([np.hstack(shown), np.hstack([flow, black])])}

    def smoke(self) -> UnFlowRecipe:
        """Return a version with a tiny network and tiny scenes of painted pictures."""
        return replace(
            self,
            flownet=replace(self.flownet, width=1 / 16),
            scenes=replace(self.scenes, height=64, width=64, objects=(1, 2)),
            occlusions_from=10**9,  # what is left must fall, and a new term would raise it
            photos=(),
            start=None,
            validation=replace(self.validation, height=64, width=64),
            validation_pairs=2,
        )

    def export(self, network: nn.Module) -> nn.Module:
        """Return the network with its batch-norms folded."""
        return self.supervised.export(network)

    @property
    def supervised(self) -> FlowNetRecipe:
        """The recipe that learns the same from the truth."""
        return FlowNetRecipe(
            flownet=self.flownet,
            scenes=self.scenes,
            photos=self.photos,
            start=self.start,
            validation=self.validation,
            validation_pairs=self.validation_pairs,
        )


class PairSamples:
    """Pairs without truth: a pair is a function of its number.

    Each holds ``first``, ``second`` and the same in another light, ``first_seen`` and
    ``second_seen``, ``(3, H, W)`` uint8, and ``border``, ``(1, H, W)`` float32 in [0, 1].
    """

    def __init__(self, scenes: LayeredScenes, changes: PairChanges, seed: int) -> None:
        self._scenes = scenes
        self._changes = changes
        self._seed = seed

    def __getitem__(self, index: int) -> Sample:
        """Draw the pair of that number."""
        scene = self._scenes[index]
        rng = np.random.default_rng([self._seed, index, 1])  # the scene has [seed, index]
        pair = change_pair(scene.first, scene.second, rng, self._changes)
        return {
            'first': channels_first(pair.first),
            'second': channels_first(pair.second),
            'first_seen': channels_first(pair.first_seen),
            'second_seen': channels_first(pair.second_seen),
            'border': pair.border[None],
        }
