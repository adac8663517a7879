"""FlowNetS and FlowNetC learned from layered scenes (Fischer et al., ICCV 2015).

Letters in this file: B pairs, H W picture size in pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from dlcv.config import to_dict
from dlcv.data.augment.flow import FlowAugmentConfig
from dlcv.data.synthetic.layers import LayeredScenes, LayersConfig
from dlcv.data.synthetic.photos import PhotoPool
from dlcv.data.world import SampleConfig, WorldPairs, WorldSamples
from dlcv.metrics.baselines.flow import Flow, inverse_search
from dlcv.metrics.flow import DISPLACEMENTS, FlowErrors, flow_errors
from dlcv.networks.flownet import FlowNet, FlowNetConfig
from dlcv.networks.losses.flownet import (
    WEIGHTS,
    end_point_error,
    matching_loss,
    mean_flow,
    multiscale_epe,
)
from dlcv.networks.weights import load_network
from dlcv.training.export import folded_flownet
from dlcv.training.flow_samples import (
    ChangedPairs,
    Eased,
    FlowSamples,
    Mixed,
    PairArrays,
    Pairs,
    channels_first,
)
from dlcv.training.recipe import Batch, Samples, TrainError
from dlcv.training.shards import renewed, renewed_of_worlds
from dlcv.training.stages import Knot, Staged, check_stages
from dlcv.training.start import filled, located, smoothed
from dlcv.types import ByteImage, FloatArray, FlowPair
from dlcv.view.flow import flow_colours

_HELD_OUT = 20150426  # seed of the validation's scenes; no run has it
_FIRST_FLOW = 0.05  # of what the usual random weights would predict
_SOURCES = ('easy', 'scenes', 'worlds')
_MATCHING = 2.0  # weights of the correlation, in those of its neighbours


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """What the pairs are at one time of a run; between two times, shares change evenly.

    Attributes:
        at: When, as a share of the run.
        easy: Share of pairs of ``easy``; the three are divided by their sum.
        scenes: Share of pairs of ``scenes``.
        worlds: Share of pairs of ``worlds``.
    """

    at: float
    easy: float = 0.0
    scenes: float = 0.0
    worlds: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Renewal:
    """How long made pairs are used; see `RenewedSamples`.

    Attributes:
        folder: Where they are kept, below it a folder for each kind; empty for pairs that never
            repeat.
        window: Files of each kind that pairs are mixed from at a time, each with the pairs of one
            world, or with ``scenes`` layered ones.
        uses: How often a pair of a world is taken on average, each time changed in another way.
        scenes: Layered scenes of one file.
        scene_uses: How often a layered scene is taken.
    """

    folder: str = ''
    window: int = 32
    uses: int = 4
    scenes: int = 16
    scene_uses: int = 4

    def __post_init__(self) -> None:
        if min(self.window, self.uses, self.scenes, self.scene_uses) < 1:
            raise TrainError(
                'renewal needs window, uses, scenes and scene_uses >= 1, got '
                f'{self.window}, {self.uses}, {self.scenes} and {self.scene_uses}'
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class FlowNetRecipe:
    """Supervised flow; build it from ``config/train/flownet_s.yaml`` or one of its siblings.

    Attributes:
        flownet: The network; batch-norms are folded when it is shipped.
        scenes: The pairs it learns from.
        easy: Pairs that it learns from first, at least as large as the crop. Where motions are as
            often small as in FlyingChairs, all that a network sees of them for long is that.
        easy_samples: Samples until ``scenes`` take over.
        worlds: Clips of generated worlds whose pairs a second run is fine-tuned to; at least as
            large as the crop. Of long clips each picture is rendered once for two pairs.
        worlds_every: How often a pair is one of them: 2 stands for every second, 0 for none.
        stages: A schedule of ``easy``, ``scenes`` and ``worlds``, in place of ``easy_samples``,
            ``worlds_every`` and ``views``.
        stage_samples: How many samples the whole schedule is, steps times batch times
            ``accumulate`` times processes; what is taken after that is as at its end.
        renewal: How long the pairs of ``stages`` are used.
        changes: How they are changed.
        views: Samples made of one scene, each changed on its own; every second one runs backwards
            in time. Drawing a scene costs more than changing it.
        weights: Of the errors at 1/4, 1/8, ... 1/64 of the size.
        matching: Weight of `matching_loss` on FlowNetC's correlation, which the paper does not
            have: without it, thousands of steps pass before the features match.
        frozen: Stages of the encoder, from ``conv1`` on, that stay as in ``start``.
        photos: Folders of photos; without, the scenes are made of painted pictures.
        start: Weights to go on from, whose network takes the place of ``flownet``, a file or the
            name of shipped ones; or the ``checkpoint.pt`` of a run with the same ``flownet``,
            which still has its batch-norms.
        validation: The pairs it is validated on.
        validation_pairs: How many of them.
    """

    flownet: FlowNetConfig
    scenes: LayersConfig
    easy: LayersConfig | None = None
    easy_samples: int = 0
    worlds: SampleConfig = field(default_factory=lambda: SampleConfig(frames=17))
    worlds_every: int = 0
    stages: tuple[Stage, ...] = ()
    stage_samples: int = 0
    renewal: Renewal = field(default_factory=Renewal)
    changes: FlowAugmentConfig = field(default_factory=FlowAugmentConfig)
    views: int = 2
    weights: tuple[float, ...] = WEIGHTS
    matching: float = 0.0
    frozen: int = 0
    photos: tuple[Path, ...] = ()
    start: Path | None = None
    validation: LayersConfig = field(default_factory=LayersConfig)
    validation_pairs: int = 32

    def __post_init__(self) -> None:
        if self.views < 1 or self.validation_pairs < 1:
            raise TrainError(
                'FlowNet needs views >= 1 and validation_pairs >= 1, got '
                f'{self.views} and {self.validation_pairs}'
            )
        if self.matching and self.flownet.variant == 's':
            raise TrainError(f'FlowNetS has no correlation to match by, got {self.matching}')
        if not self.stages:
            return
        if self.easy_samples or self.worlds_every:
            raise TrainError(
                'stages take the place of easy_samples and worlds_every, got '
                f'{self.easy_samples} and {self.worlds_every}'
            )
        if self.easy is None and any(stage.easy for stage in self.stages):
            raise TrainError('stages with easy pairs need to know what is easy')
        check_stages(len(_SOURCES), self._knots(), self.stage_samples)

    @property
    def name(self) -> str:
        """Name of the weights: ``flownet_s`` or ``flownet_c``."""
        return f'flownet_{self.flownet.variant}'

    def network(self) -> FlowNet:
        """Return the network to train.

        Raises:
            TrainError: If ``start`` does not fit.
        """
        network = self._begun()
        for stage in _stages(network, self.frozen):
            stage.requires_grad_(False)
        return network

    def samples(self, seed: int) -> Samples:
        """Return pairs with their flow; see `FlowSamples`, and of stages `ChangedPairs`."""
        if self.stages:
            return ChangedPairs(self.staged(seed), self.changes, seed)
        photos = PhotoPool(self.photos)
        pairs: Pairs = LayeredScenes(photos, self.scenes, seed)
        if self.easy is not None:
            easy = LayeredScenes(photos, self.easy, seed)
            pairs = Eased(easy, pairs, self.easy_samples // self.views)
        if self.worlds_every:
            worlds = WorldSamples(self.worlds, seed, photos=photos)
            pairs = Mixed(pairs, WorldPairs(worlds), self.worlds_every)
        return FlowSamples(pairs, self.changes, self.views, seed)

    def staged(self, seed: int) -> Staged:
        """Return the unchanged pairs of a recipe with stages, of `PairArrays`."""
        renewal, pool = self.renewal, PhotoPool(self.photos)
        below = Path(renewal.folder)
        sources: list[Samples] = []
        for kind, config in (('easy', self.easy or self.scenes), ('scenes', self.scenes)):
            source = renewed(
                PairArrays(LayeredScenes(pool, config, seed)),
                per_shard=renewal.scenes,
                window=renewal.window,
                uses=renewal.scene_uses,
                folder=str(below / kind) if renewal.folder else '',
                made_by={
                    'scenes': to_dict(config),
                    'photos': [str(path) for path in self.photos],
                    'seed': seed,
                },
                seed=seed,
            )
            sources.append(source)
        worlds = renewed_of_worlds(
            lambda samples: PairArrays(WorldPairs(samples)),
            self.worlds,
            self.photos,
            seed,
            window=renewal.window,
            uses=renewal.uses,
            folder=str(below / 'worlds') if renewal.folder else '',
            per_clip=self.worlds.frames - 1,
        )
        return Staged([*sources, worlds], self._knots(), self.stage_samples, seed)

    def loss(self, network: nn.Module, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return the weighted sum over the scales, and the finest scale's error in pixels."""
        del step
        for stage in _stages(network, self.frozen):
            stage.eval()  # or the statistics of its batch-norm would move
        first, second = batch['first'].float() / 255, batch['second'].float() / 255
        target = batch['flow']  # (B, 2, H, W)
        with _matches(network) as seen:
            pyramid = [flow.float() for flow in network(first, second)]
        unit = self.flownet.div_flow
        with torch.no_grad():
            height, width = pyramid[0].shape[2:]
            coarse = mean_flow(target, (height, width))
            error = end_point_error(pyramid[0] * unit, coarse).nanmean()
        loss = multiscale_epe(pyramid, target, weights=self.weights, div_flow=unit)
        if not self.matching:
            return {'loss': loss, 'epe': error}
        step_pixels = self.flownet.displacement_stride * target.shape[3] / seen[0].shape[3]
        matching = matching_loss(seen[0], target, step=step_pixels)
        return {
            'loss': loss + self.matching * matching,
            'epe': error,
            'matching': matching.detach(),
        }

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Return end-point errors in pixels on held-out scenes, and those of OpenCV's DIS.

        Also by true displacement: ``epe_40`` is that of 40 pixels and more.
        """
        scenes = LayeredScenes(PhotoPool(self.photos), self.validation, _HELD_OUT)
        pairs = [scenes[index] for index in range(self.validation_pairs)]
        figures = _figures(partial(estimate, network), pairs, '')
        return {**figures, **_figures(inverse_search(), pairs, '_of_dis')}

    def pictures(self, network: nn.Module, batch: Batch) -> dict[str, ByteImage]:
        """Return the pairs of the batch, four at most, with true and estimated flow in colours."""
        assert isinstance(network, FlowNet)
        rows = []
        for first, second, flow in list(
            zip(batch['first'], batch['second'], batch['flow'], strict=True)
        )[:4]:
            pair = FlowPair(
                first=_last(first).astype(np.uint8),
                second=_last(second).astype(np.uint8),
                flow=_last(flow),
            )
            longest = float(np.nanmax(np.linalg.norm(pair.flow, axis=-1)))
            found = flow_colours(estimate(network, pair.first, pair.second), longest)
            rows.append(
                np.hstack([pair.first, pair.second, flow_colours(pair.flow, longest), found])
            )
        return {'pairs': np.vstack(rows)}

    def smoke(self) -> FlowNetRecipe:
        """Return a version with a tiny network and tiny scenes of painted pictures."""
        stages = (Stage(at=0.0, easy=1.0, scenes=1.0),)
        return replace(
            self,
            flownet=replace(self.flownet, width=1 / 16),
            scenes=_tiny(self.scenes),
            easy=_tiny(self.easy) if self.easy and self.stages else None,
            easy_samples=0,
            worlds_every=0,
            stages=stages if self.easy and self.stages else (),
            renewal=replace(self.renewal, folder=''),
            changes=replace(self.changes, crop=(64, 64), geometry=0.0),
            validation=replace(self.validation, height=64, width=64),
            validation_pairs=2,
            photos=(),
            start=None,
        )

    def export(self, network: nn.Module) -> nn.Module:
        """Return the network with its batch-norms folded."""
        assert isinstance(network, FlowNet)
        return folded_flownet(network)

    def _knots(self) -> tuple[Knot, ...]:
        return tuple(
            Knot(at=stage.at, shares=tuple(getattr(stage, kind) for kind in _SOURCES))
            for stage in self.stages
        )

    def _begun(self) -> FlowNet:
        if self.start is None:
            return _started(FlowNet(self.flownet))
        start = located(self.start)
        if start.suffix == '.pt':
            return filled(FlowNet(self.flownet), start, self.name)
        network = load_network(self.name, start)
        assert isinstance(network, FlowNet)
        return network.requires_grad_(True)


def estimate(network: nn.Module, first: ByteImage, second: ByteImage) -> FloatArray:
    """Return a FlowNet's flow between two pictures ``(H, W, 3)``, ``(H, W, 2)`` pixels."""
    assert isinstance(network, FlowNet)
    device = next(network.parameters()).device
    pictures = (
        torch.from_numpy(channels_first(image))[None].to(device).float() / 255
        for image in (first, second)
    )  # (1, 3, H, W)
    with torch.no_grad():
        flow = network.flow(*pictures)[0]  # (2, H, W)
    return np.asarray(flow.permute(1, 2, 0).float().cpu().numpy())


def _tiny(scenes: LayersConfig) -> LayersConfig:
    return replace(scenes, height=64, width=64, objects=(1, 2))


def _figures(method: Flow, pairs: list[FlowPair], suffix: str) -> dict[str, float]:
    errors = sum(
        (flow_errors(method(pair.first, pair.second), pair.flow) for pair in pairs), FlowErrors()
    )
    ranges = zip(DISPLACEMENTS, errors.by_displacement, strict=True)
    return {
        f'epe{suffix}': errors.epe.value,
        f'fl_all{suffix}': errors.fl_all.value,
        **{f'epe_{low:.0f}{suffix}': error.value for (low, _), error in ranges},
    }


@contextmanager
def _matches(network: nn.Module) -> Iterator[list[Tensor]]:
    """Collect what FlowNetC's correlation gives while it runs, ``(B, K*K, h, w)``."""
    seen: list[Tensor] = []
    inner = _unwrapped(network)
    if inner.config.variant == 's':
        yield seen
        return
    side = 2 * (inner.config.max_displacement // inner.config.displacement_stride) + 1
    hook = inner.get_submodule('conv3_1').register_forward_pre_hook(
        lambda _module, inputs: seen.append(inputs[0][:, -side * side :])
    )
    try:
        yield seen
    finally:
        hook.remove()


def _stages(network: nn.Module, count: int) -> list[nn.Module]:
    """Return the first layers of the encoder."""
    return [_unwrapped(network).get_submodule(f'conv{i + 1}') for i in range(count)]


def _unwrapped(network: nn.Module) -> FlowNet:
    return next(module for module in network.modules() if isinstance(module, FlowNet))


@torch.no_grad()
def _started(network: FlowNet) -> FlowNet:
    """Change the usual random weights of a new network where they cost many steps.

    * It starts from almost no flow; it would start from about ``div_flow`` pixels.
    * FlowNetC's features vary smoothly and not with the brightness, or only displacements that
      are multiples of the correlation's step could be told. What is first made of the correlation
      varies smoothly with the displacement, and does not see what all displacements have in
      common, which is most of it at first.
    """
    for name, parameter in network.named_parameters():
        if name.startswith('predict_flow'):
            parameter.mul_(_FIRST_FLOW)
    if network.config.variant == 'c':
        for name in ('conv1', 'conv2', 'conv3'):
            weight = network.get_submodule(f'{name}.0').get_parameter('weight')
            weight.copy_(smoothed(weight, centred=name == 'conv1'))
        weight = network.get_submodule('conv3_1.0').get_parameter('weight')
        side = 2 * (network.config.max_displacement // network.config.displacement_stride) + 1
        matching = weight[:, -side * side :].permute(0, 2, 3, 1)  # (O, 3, 3, side * side)
        smooth = _MATCHING * smoothed(matching.reshape(-1, 1, side, side), centred=True)
        matching.copy_(smooth.reshape(matching.shape))
    return network


def _last(values: Tensor) -> FloatArray:
    """Return ``(C, H, W)`` as an array ``(H, W, C)``."""
    return np.asarray(values.permute(1, 2, 0).cpu().numpy())
