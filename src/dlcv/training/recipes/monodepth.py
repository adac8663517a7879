"""Monodepth learned from stereo pairs of generated worlds (Godard et al., CVPR 2017).

No depth is ever shown to it, only the right view, which it has to draw from the left one.

The unit. A pair of baseline b shows a thing at depth Z with the disparity phi b / Z of the width,
phi being the focal length over the width. One network learns from many baselines, so it answers
as if all pairs had the baseline b0 of its configuration, with d = phi b0 / Z, and the pair is drawn
with d b / b0. What it learns of phi is what it sees; see `dlcv.estimation.monodepth`.

Letters in this file: B pairs, H W picture size in pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from math import log
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from dlcv.data.augment.stereo import StereoChanges, change_stereo
from dlcv.data.world import SampleConfig, WorldSamples
from dlcv.estimation.monodepth import metric_depth
from dlcv.metrics.depth import DepthErrors, depth_errors, mean_of_pictures
from dlcv.networks.losses.monodepth import MonodepthLossConfig, monodepth_loss
from dlcv.networks.monodepth import MAX_DISPARITY, Monodepth, MonodepthConfig
from dlcv.training.flow_samples import channels_first
from dlcv.training.recipe import Batch, Sample, Samples, TrainError
from dlcv.training.shards import kept_of_worlds
from dlcv.training.start import filled
from dlcv.types import ByteImage, FloatArray, Snapshot
from dlcv.view.depth import disparity_colours

_HELD_OUT = 20170721  # seed of the validation's worlds; no run has it
_FIRST = 0.02  # of the width, which a new network answers everywhere


@dataclass(frozen=True, kw_only=True, slots=True)
class MonodepthRecipe:
    """Depth without its truth; build it from ``config/train/monodepth.yaml``.

    Attributes:
        monodepth: The network; its ``baseline`` is the one that all pairs are taken to.
        worlds: The stereo pairs, single frames in the network's size.
        pairs: How many different ones, where they are kept.
        pairs_folder: Where they are kept once they are rendered, 200 KB each at 256x128; empty
            for pairs that never repeat, each rendered when it is needed.
        changes: How they are changed.
        terms: Weights of the loss.
        photos: Folders of photos for the walls; without, they are painted.
        start: Weights or ``checkpoint.pt`` to go on from.
        validation_pictures: How many pictures of held-out worlds it is validated on.
    """

    monodepth: MonodepthConfig
    worlds: SampleConfig = field(default_factory=lambda: SampleConfig(frames=1, stereo=True))
    pairs: int = 8192
    pairs_folder: str = ''
    changes: StereoChanges = field(default_factory=StereoChanges)
    terms: MonodepthLossConfig = field(default_factory=MonodepthLossConfig)
    photos: tuple[Path, ...] = ()
    start: Path | None = None
    validation_pictures: int = 32

    def __post_init__(self) -> None:
        worlds, (height, width) = self.worlds, self.monodepth.input_size
        if worlds.frames != 1 or not worlds.stereo or worlds.size != (width, height):
            raise TrainError(
                f'monodepth needs worlds of frames 1, stereo and size {[width, height]}, got '
                f'frames {worlds.frames}, stereo {worlds.stereo} and size {list(worlds.size)}'
            )
        if self.validation_pictures < 1:
            raise TrainError(
                f'monodepth needs validation_pictures >= 1, got {self.validation_pictures}'
            )

    @property
    def name(self) -> str:
        """Name of the weights."""
        return 'monodepth'

    def network(self) -> Monodepth:
        """Return the network to train.

        Raises:
            TrainError: If ``start`` does not fit.
        """
        network = Monodepth(self.monodepth)
        if self.start is None:
            return with_small_disparity(network)
        return filled(network, self.start, self.name)

    def samples(self, seed: int) -> Samples:
        """Return stereo pairs; see `StereoSamples`."""
        pairs = kept_of_worlds(
            StereoPairs,
            self.worlds,
            self.photos,
            seed,
            count=self.pairs,
            per_shard=self.worlds.per_world,
            folder=self.pairs_folder,
        )
        return StereoSamples(pairs, self.changes, seed)

    def loss(self, network: nn.Module, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return the paper's loss and its unweighted terms."""
        del step
        left, right = batch['left'].float() / 255, batch['right'].float() / 255
        ratio = batch['baseline'][:, None, None, None] / self.monodepth.baseline  # (B, 1, 1, 1)
        disparities = [maps.float() * ratio for maps in network(left)]
        loss = monodepth_loss(disparities, left, right, self.terms)
        return {
            'loss': loss.total,
            'image': loss.image.detach(),
            'smooth': loss.smooth.detach(),
            'left_right': loss.left_right.detach(),
        }

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Return errors of metric depth in held-out worlds, and those of the mean depth."""
        assert isinstance(network, Monodepth)
        return self.figures([self._depth(network, view) for view in self.held_out()])

    def figures(self, found: list[FloatArray]) -> dict[str, float]:
        """Return errors of depths ``(H, W)`` found in the pictures of `held_out`."""
        views = self.held_out()
        truths = [truth for view in views if (truth := view.depth) is not None]
        mean = np.float32(np.mean([_finite_mean(truth) for truth in truths]))
        return {
            **depth_figures(found, truths, ''),
            **depth_figures(found, truths, '_scaled', median_scaling=True),
            **depth_figures([np.full_like(truth, mean) for truth in truths], truths, '_of_mean'),
        }

    def pictures(self, network: nn.Module, batch: Batch) -> dict[str, ByteImage]:
        """Return the pairs of the batch, four at most, with the disparity of the left view."""
        assert isinstance(network, Monodepth)
        rows = []
        for left, right in list(zip(batch['left'], batch['right'], strict=True))[:4]:
            with torch.no_grad():
                disparity = network(left[None].float() / 255)[0][0, 0].float().cpu().numpy()
            shown = [image.permute(1, 2, 0).cpu().numpy() for image in (left, right)]
            rows.append(np.hstack([*shown, disparity_colours(disparity)]))
        return {'pairs': np.vstack(rows)}

    def smoke(self) -> MonodepthRecipe:
        """Return a version with a tiny network and few pictures of painted worlds."""
        return replace(
            self,
            monodepth=replace(self.monodepth, width=1 / 16, input_size=(128, 128)),
            worlds=replace(self.worlds, size=(128, 128), scenes=('room',)),
            pairs_folder='',
            photos=(),
            start=None,
            validation_pictures=2,
        )

    def export(self, network: nn.Module) -> nn.Module:
        """Return the network as it is."""
        return network.eval()

    def held_out(self) -> list[Snapshot]:
        """Return pictures of worlds that no run sees, with their depth."""
        return _held_out(self.worlds, self.validation_pictures)

    def metric(self, disparity: FloatArray, view: Snapshot) -> FloatArray:
        """Return the depth ``(H, W)`` in metres that the network means for a picture."""
        assert view.frame.camera is not None
        return metric_depth(disparity, view.frame.camera, self.monodepth.baseline)

    def _depth(self, network: Monodepth, view: Snapshot) -> FloatArray:
        return self.metric(finest(network, view)[0], view)


class StereoPairs:
    """``left`` and ``right``, ``(H, W, 3)`` uint8, and ``baseline`` in metres, of worlds."""

    def __init__(self, worlds: WorldSamples) -> None:
        self._worlds = worlds

    def __getitem__(self, index: int) -> Sample:
        """Render the pair of that number."""
        recording = self._worlds.recording(index)
        (view,) = recording
        assert view.right is not None
        return {
            'left': view.frame.image,
            'right': view.right.image,
            'baseline': np.asarray(recording.baseline, np.float32),
        }


class StereoSamples:
    """Pairs as `StereoPairs` gives them, changed; each a function of seed and number.

    Their ``left`` and ``right`` are ``(3, H, W)`` uint8.
    """

    def __init__(self, pairs: Samples, changes: StereoChanges, seed: int) -> None:
        self._pairs, self._changes, self._seed = pairs, changes, seed

    def __getitem__(self, index: int) -> Sample:
        """Return the pair of that number."""
        pair = self._pairs[index]
        left, right = (np.asarray(pair[name], np.uint8) for name in ('left', 'right'))
        rng = np.random.default_rng([self._seed, index, 1])
        left, right = change_stereo(left, right, rng, self._changes)
        return {
            'left': channels_first(left),
            'right': channels_first(right),
            'baseline': pair['baseline'],
        }


@torch.no_grad()
def finest(network: Monodepth, view: Snapshot) -> FloatArray:
    """Return the finest maps ``(2 or 3, H, W)`` of a picture."""
    device = next(network.parameters()).device
    image = torch.from_numpy(channels_first(view.frame.image))[None].to(device).float() / 255
    return np.asarray(network(image)[0][0].float().cpu().numpy(), np.float32)


@torch.no_grad()
def with_small_disparity(network: Monodepth) -> Monodepth:
    """Let a new network answer with a small disparity everywhere.

    It would answer with half of the greatest one, which draws most of a picture from beyond the
    other one's border, where there is nothing to learn from.
    """
    share = _FIRST / MAX_DISPARITY
    for name, parameter in network.named_parameters():
        if name.endswith('disparity.bias'):
            parameter.fill_(log(share / (1 - share)))
    return network


@lru_cache(maxsize=1)
def _held_out(worlds: SampleConfig, count: int) -> list[Snapshot]:
    """Return pictures of worlds that no run sees, four of each."""
    samples = WorldSamples(replace(worlds, stereo=False, per_world=4), _HELD_OUT)
    return [samples[index][0] for index in range(count)]


def depth_figures(
    found: list[FloatArray], truths: list[FloatArray], suffix: str, *, median_scaling: bool = False
) -> dict[str, float]:
    """Return mean errors of pictures' depths ``(H, W)``, their names ending in ``suffix``."""
    errors: DepthErrors = mean_of_pictures(
        [
            depth_errors(depth, truth, median_scaling=median_scaling)
            for depth, truth in zip(found, truths, strict=True)
        ]
    )
    return {
        f'abs_rel{suffix}': errors.abs_rel,
        f'rmse{suffix}': errors.rmse,
        f'a1{suffix}': errors.a1,
    }


def _finite_mean(depth: FloatArray) -> float:
    return float(depth[np.isfinite(depth)].mean())
