"""DispNetC that is shown the disparity of generated stereo pairs.

Most of what is to be learned is to match, which any textures teach: pairs of flat things cut from
photos take milliseconds to draw. Worlds, which take a second, teach what surfaces are like.

Letters in this file: B pairs, H W picture size in pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from dlcv.data.synthetic.photos import PhotoPool
from dlcv.data.synthetic.planes import PlaneScenes, PlanesConfig
from dlcv.data.world import SampleConfig, WorldSamples
from dlcv.metrics.baselines.disparity import semi_global_matching
from dlcv.metrics.disparity import disparity_errors, mean_of_pictures
from dlcv.networks.dispnet import DispNet, DispNetConfig
from dlcv.networks.losses.disparity import disparity_loss, matching_loss, spread_loss
from dlcv.training.asking import asked
from dlcv.training.depth import shown_pairs
from dlcv.training.depth_pairs import DepthPairs
from dlcv.training.flow_samples import Mixed
from dlcv.training.recipe import Batch, Samples, TrainError
from dlcv.training.shards import renewed_of_worlds
from dlcv.training.start import filled, smoothed
from dlcv.training.stereo_samples import (
    StereoArrays,
    StereoChanges,
    StereoSamples,
    WorldDisparity,
)
from dlcv.types import ByteImage, FloatArray

_HELD_OUT = 20160627  # seed of the validation's worlds; no run has it
_BEYOND = 1.25  # times the correlation's reach; what is nearer is not asked for
_PHOTO_SIDE = 640  # pixels: a thousand photos of it fit into _PHOTO_MEMORY
_PHOTO_MEMORY = 1536  # megabytes


@dataclass(frozen=True, kw_only=True, slots=True)
class DispNetRecipe:
    """Stereo with its truth; build it from ``config/train/dispnet.yaml``.

    Attributes:
        dispnet: The network.
        planes: The pairs of flat things, at least as large as the crop.
        worlds: The pairs of worlds, single frames; ``per_world`` is how many are rendered of each.
        worlds_every: How often a pair is one of a world: 2 stands for every second, 0 for none.
        window: Worlds that samples are mixed from at a time; see `RenewedSamples`.
        uses: How often a pair of a world is taken on average before its world is given up.
        shards_folder: Where the pairs of the window are kept; empty for pairs that never repeat.
        changes: How the pairs are changed.
        weights: Of the answers at 1/2, 1/4, ... 1/64 of the size.
        spread: Weight of the likelihood of the expected error.
        matching: Weight of `matching_loss` on the correlation, which the paper does not have.
        photos: Folders of photos for planes and walls; without, they are painted.
        start: Weights or ``checkpoint.pt`` to go on from, with or without a spread.
        validation_pictures: How many pairs of held-out worlds it is validated on.
    """

    dispnet: DispNetConfig
    planes: PlanesConfig = field(default_factory=PlanesConfig)
    worlds: SampleConfig = field(
        default_factory=lambda: SampleConfig(frames=1, stereo=True, size=(384, 256))
    )
    worlds_every: int = 2
    window: int = 64
    uses: int = 4
    shards_folder: str = ''
    changes: StereoChanges = field(default_factory=StereoChanges)
    weights: tuple[float, ...] = (1.0, 0.7, 0.5, 0.3, 0.2, 0.1)
    spread: float = 0.1
    matching: float = 0.0
    photos: tuple[Path, ...] = ()
    start: Path | None = None
    validation_pictures: int = 48

    def __post_init__(self) -> None:
        worlds = self.worlds
        sizes = (worlds.size, self.changes.crop)
        if (
            worlds.frames != 1
            or not worlds.stereo
            or any(side % DispNet.multiple for size in sizes for side in size)
        ):
            raise TrainError(
                f'dispnet needs worlds of frames 1 and stereo, and sizes of multiples of '
                f'{DispNet.multiple}, got frames {worlds.frames}, stereo {worlds.stereo}, size '
                f'{list(worlds.size)} and crop {list(self.changes.crop)}'
            )
        if self.worlds_every < 0:
            raise TrainError(f'dispnet needs worlds_every >= 0, got {self.worlds_every}')
        if len(self.weights) != 6 or min(*self.weights, self.spread, self.matching) < 0:
            raise TrainError(
                'dispnet needs 6 weights, a spread and a matching of 0 or more, got '
                f'{list(self.weights)}, {self.spread} and {self.matching}'
            )
        if self.validation_pictures < 1:
            raise TrainError(
                f'dispnet needs validation_pictures >= 1, got {self.validation_pictures}'
            )

    @property
    def name(self) -> str:
        """Name of the weights."""
        return 'dispnet'

    def network(self) -> DispNet:
        """Return the network to train.

        Raises:
            TrainError: If ``start`` does not fit.
        """
        network = DispNet(self.dispnet)
        if self.start is None:
            return _started(network)
        return filled(network, self.start, self.name, new='pr')

    def samples(self, seed: int) -> Samples:
        """Return changed pairs with their disparity; see `StereoSamples`."""
        pool = PhotoPool(self.photos, longest=_PHOTO_SIDE, memory_mb=_PHOTO_MEMORY)
        pairs: Samples = StereoArrays(PlaneScenes(pool, self.planes, seed))
        if self.worlds_every:
            worlds = renewed_of_worlds(
                DepthPairs,
                self.worlds,
                self.photos,
                seed,
                window=self.window,
                uses=self.uses,
                folder=self.shards_folder,
            )
            pairs = Mixed(pairs, WorldDisparity(worlds), self.worlds_every)
        return StereoSamples(pairs, self.changes, seed)

    def loss(self, network: nn.Module, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return the weighted sum and its unweighted terms."""
        del step
        left, right = (batch[side].float() / 255 for side in ('left', 'right'))
        with _matches(network) as seen:
            answers = [answer.float() for answer in network(left, right)]
        truth = batch['disparity']
        asked = truth < _BEYOND * self.dispnet.max_disparity  # False where it is unknown
        known = asked & batch['speaks'][:, None, None]
        value = disparity_loss(answers, truth, known, self.weights)
        terms = {'loss': value, 'value': value.detach()}
        if self.spread and self.dispnet.spread:
            unsure = spread_loss(answers[0], truth, known)
            # Of a picture that says nothing: four pixels or more, whatever is answered.
            silent = ~batch['speaks'][:, None, None].expand_as(answers[0][:, 1])
            mute = ((np.log(4.0) - answers[0][:, 1]).clamp(min=0) * silent).mean()
            terms['loss'] = value + self.spread * (unsure + mute)
            terms['spread'] = unsure.detach()
        if self.matching:
            matching = matching_loss(seen[0], truth, known)
            terms['loss'] = terms['loss'] + self.matching * matching
            terms['matching'] = matching.detach()
        return terms

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Return errors in held-out worlds, beside those of semi-global matching."""
        assert isinstance(network, DispNet)
        classical = semi_global_matching(self.dispnet.max_disparity)
        ours, theirs = [], []
        for left, right, truth in _held_out(self.worlds, self.validation_pictures):
            ours.append(disparity_errors(answered(network, left, right), truth))
            theirs.append(disparity_errors(classical(left, right), truth))
        mine, sgm = mean_of_pictures(ours), mean_of_pictures(theirs)
        return {
            'epe': mine.epe, 'bad_1': mine.bad_1, 'd1': mine.d1,
            'epe_sgm': sgm.epe, 'bad_1_sgm': sgm.bad_1, 'd1_sgm': sgm.d1,
        }  # fmt: skip

    def pictures(self, network: nn.Module, batch: Batch) -> dict[str, ByteImage]:
        """Return the pairs of the batch, four at most, with the disparity."""
        assert isinstance(network, DispNet)
        return shown_pairs(batch, lambda left, right: answered(network, left, right))

    def smoke(self) -> DispNetRecipe:
        """Return a version with a tiny network and few pictures of painted worlds."""
        return replace(
            self,
            dispnet=replace(self.dispnet, width=1 / 16, max_disparity=32),
            planes=replace(self.planes, width=160, height=96, nearest=30.0, back=(0.5, 10.0)),
            worlds=replace(self.worlds, size=(128, 64), scenes=('room',), per_world=4),
            changes=replace(self.changes, crop=(128, 64)),
            shards_folder='',
            photos=(),
            start=None,
            validation_pictures=2,
        )

    def export(self, network: nn.Module) -> nn.Module:
        """Return the network as it is."""
        return network.eval()


@torch.no_grad()
def _started(network: DispNet) -> DispNet:
    """Let a new network's features not vary with the brightness, and smoothly with the place.

    Without, thousands of steps pass before they match.
    """
    for name in ('conv1', 'conv2'):
        weight = network.get_submodule(f'{name}.0').get_parameter('weight')
        weight.copy_(smoothed(weight, centred=True))
    return network


@contextmanager
def _matches(network: nn.Module) -> Iterator[list[Tensor]]:
    """Collect what DispNet's correlation gives while it runs, ``(B, D, h, w)``."""
    seen: list[Tensor] = []
    inner = next((one for one in network.modules() if isinstance(one, DispNet)), None)
    if inner is None:
        yield seen
        return
    count = inner.config.max_disparity // 4
    hook = inner.get_submodule('conv3').register_forward_pre_hook(
        lambda _module, inputs: seen.append(inputs[0][:, -count:])
    )
    try:
        yield seen
    finally:
        hook.remove()


def answered(network: DispNet, left: ByteImage, right: ByteImage) -> FloatArray:
    """Return the disparity ``(H, W)`` of a pair ``(H, W, 3)`` of a size that the network takes."""
    found = asked(network, left, right)
    return np.asarray(found[0, 0].float().cpu().numpy(), np.float32)


@lru_cache(maxsize=1)
def _held_out(worlds: SampleConfig, count: int) -> list[tuple[ByteImage, ByteImage, FloatArray]]:
    """Return pairs of worlds that no run sees, four of each, and the left disparity in pixels."""
    samples = WorldSamples(replace(worlds, per_world=4), _HELD_OUT)
    found = []
    for index in range(count):
        recording = samples.recording(index)
        (view,) = recording
        assert view.right is not None
        assert view.frame.camera is not None
        truth = recording.baseline * view.frame.camera.fx / cast('FloatArray', view.depth)
        found.append((view.frame.image, view.right.image, truth.astype(np.float32)))
    return found
