"""UnFlow: FlowNet learned from pairs of pictures whose flow nobody knows (Meister et al. 2018).

What the pictures are drawn from (layered scenes) does know its flow; only ``validate`` looks at it.

Letters in this file: B pairs, H W picture size in pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from dlcv.augment.unflow import PairChanges, change_pair
from dlcv.losses.unflow import UnflowLossConfig, occluded, unflow_loss
from dlcv.metrics.flow import FlowErrors, flow_errors
from dlcv.models.flownet import FlowNet, FlowNetConfig
from dlcv.synthetic.layers import LayeredScenes, LayersConfig
from dlcv.synthetic.photos import PhotoPool
from dlcv.train.export import folded_flownet
from dlcv.train.recipe import Batch, Sample, Samples
from dlcv.types import ByteImage, FloatArray, FlowPair
from dlcv.view.flow import flow_colours
from dlcv.weights import load_network

_HELD_OUT = 20180207  # seed of the validation's scenes
_CHANGES = PairChanges()
_TERMS = UnflowLossConfig()


@dataclass(frozen=True, kw_only=True, slots=True)
class UnFlowRecipe:
    """Unsupervised flow; build it from ``config/train/unflow.yaml``.

    Attributes:
        flownet: The network; batch-norms are folded when it is shipped.
        scenes: The pictures it is trained and validated on, in the size it is trained with.
        changes: How pairs are changed.
        terms: Weights of the loss.
        occlusions_from: Step from which occlusions are masked and forward and backward flow must
            agree. Before, the flow is so wrong that almost all would be masked; the paper, too,
            turns both on only after its first 500,000 steps.
        photos: Folders of photos; without, the scenes are made of painted pictures.
        start: Weights to go on from; their network takes the place of ``flownet``.
        validation_pairs: How many held-out scenes ``validate`` looks at.
    """

    flownet: FlowNetConfig
    scenes: LayersConfig
    changes: PairChanges = _CHANGES
    terms: UnflowLossConfig = _TERMS
    occlusions_from: int = 0
    photos: tuple[Path, ...] = ()
    start: Path | None = None
    validation_pairs: int = 48

    @property
    def name(self) -> str:
        """Name of the weights."""
        return 'unflow'

    def network(self) -> FlowNet:
        """Return the network to train."""
        if self.start is None:
            return FlowNet(self.flownet)
        network = load_network('flownet', self.start)
        assert isinstance(network, FlowNet)
        return network.requires_grad_(True)

    def samples(self, seed: int) -> Samples:
        """Return pairs as the loss and as the network see them; see `PairSamples`."""
        return PairSamples(LayeredScenes(self._pool, self.scenes, seed), self.changes, seed)

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
        """Return end-point errors on held-out scenes, and those of OpenCV's DIS, in pixels."""
        pairs = LayeredScenes(self._pool, self.scenes, _HELD_OUT)
        dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        ours, theirs, seen = FlowErrors(), FlowErrors(), FlowErrors()
        for pair in map(pairs.__getitem__, range(self.validation_pairs)):
            flow = _estimate(network, pair)
            ours += flow_errors(flow, pair.flow)
            if pair.occluded is not None:
                seen += flow_errors(flow, pair.flow, ~pair.occluded)
            first, second = (
                cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (pair.first, pair.second)
            )
            found = dis.calc(first, second, np.zeros_like(pair.flow))
            theirs += flow_errors(np.asarray(found, np.float32), pair.flow)
        return {
            'epe': ours.epe.value,
            'epe_not_occluded': seen.epe.value,
            'fl_all': ours.fl_all.value,
            'epe_of_dis': theirs.epe.value,
            'fl_all_of_dis': theirs.fl_all.value,
        }

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
            validation_pairs=2,
        )

    def export(self, network: nn.Module) -> nn.Module:
        """Return the network with its batch-norms folded."""
        assert isinstance(network, FlowNet)
        return folded_flownet(network)

    @property
    def _pool(self) -> PhotoPool:
        return PhotoPool(self.photos)


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
            'first': _channels_first(pair.first),
            'second': _channels_first(pair.second),
            'first_seen': _channels_first(pair.first_seen),
            'second_seen': _channels_first(pair.second_seen),
            'border': pair.border[None],
        }


def _channels_first(image: ByteImage) -> ByteImage:
    return np.ascontiguousarray(image.transpose(2, 0, 1))


def _estimate(network: nn.Module, pair: FlowPair) -> FloatArray:
    """Return the flow of a pair, ``(H, W, 2)`` pixels."""
    assert isinstance(network, FlowNet)
    device = next(network.parameters()).device
    first, second = (
        torch.from_numpy(_channels_first(image))[None].to(device).float() / 255
        for image in (pair.first, pair.second)
    )
    with torch.inference_mode():
        flow: FloatArray = network.flow(first, second)[0].permute(1, 2, 0).float().cpu().numpy()
    return flow
