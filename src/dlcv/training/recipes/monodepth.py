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
from pathlib import Path

import numpy as np
from torch import Tensor, nn

from dlcv.data.augment.stereo import StereoChanges, change_stereo
from dlcv.data.world import SampleConfig, WorldSamples
from dlcv.networks.losses.monodepth import MonodepthLossConfig, monodepth_loss
from dlcv.networks.monodepth import Monodepth, MonodepthConfig
from dlcv.training.depth import DepthJudge, finest, shown_pairs, with_small_disparity
from dlcv.training.flow_samples import channels_first
from dlcv.training.recipe import Batch, Sample, Samples
from dlcv.training.shards import kept_of_worlds
from dlcv.training.start import filled
from dlcv.types import ByteImage


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
        judge = self._judge()
        found = [
            judge.metric(finest(network, view.frame.image)[0], view) for view in judge.held_out()
        ]
        return judge.figures(found)

    def pictures(self, network: nn.Module, batch: Batch) -> dict[str, ByteImage]:
        """Return the pairs of the batch, four at most, with the disparity of the left view."""
        assert isinstance(network, Monodepth)
        return shown_pairs(batch, lambda left, _right: finest(network, left)[0])

    def smoke(self) -> MonodepthRecipe:
        """Return a version with a tiny network and few pictures of painted worlds."""
        tiny = self._judge().tiny()
        return replace(
            self,
            monodepth=tiny.monodepth,
            worlds=tiny.worlds,
            pairs_folder='',
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
