"""What the recipes of depth share: how a new network begins, what it is judged by and shown with.

Letters in this file: H W picture size in pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from math import log

import numpy as np
import torch

from dlcv.data.world import SampleConfig, WorldSamples
from dlcv.estimation.monodepth import metric_depth
from dlcv.metrics.depth import DepthErrors, depth_errors, mean_of_pictures
from dlcv.networks.monodepth import MAX_DISPARITY, Monodepth, MonodepthConfig
from dlcv.training.flow_samples import channels_first
from dlcv.training.recipe import Batch, TrainError
from dlcv.types import ByteImage, FloatArray, Snapshot
from dlcv.view.depth import disparity_colours

_HELD_OUT = 20170721  # seed of the validation's worlds; no run has it
_FIRST = 0.02  # of the width, which a new network answers everywhere


@dataclass(frozen=True, kw_only=True, slots=True)
class DepthJudge:
    """Judges depth in pictures of worlds that no run sees.

    Attributes:
        monodepth: The network that is trained.
        worlds: The stereo pairs it is trained on, single frames in its size.
        validation_pictures: How many pictures of held-out worlds it is judged by.

    Raises:
        TrainError: The worlds do not fit the network, or there is no picture.
    """

    monodepth: MonodepthConfig
    worlds: SampleConfig
    validation_pictures: int

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

    def held_out(self) -> list[Snapshot]:
        """Return pictures of worlds that no run sees, with their depth."""
        return _held_out(self.worlds, self.validation_pictures)

    def metric(self, disparity: FloatArray, view: Snapshot) -> FloatArray:
        """Return the depth ``(H, W)`` in metres that the network means for a picture."""
        assert view.frame.camera is not None
        return metric_depth(disparity, view.frame.camera, self.monodepth.baseline)

    def figures(self, found: list[FloatArray]) -> dict[str, float]:
        """Return errors of depths ``(H, W)`` found in the pictures of `held_out`."""
        truths = [truth for view in self.held_out() if (truth := view.depth) is not None]
        mean = np.float32(np.mean([_finite_mean(truth) for truth in truths]))
        return {
            **depth_figures(found, truths, ''),
            **depth_figures(found, truths, '_scaled', median_scaling=True),
            **depth_figures([np.full_like(truth, mean) for truth in truths], truths, '_of_mean'),
        }

    def tiny(self) -> DepthJudge:
        """Return one of a tiny network and few painted worlds, for the shortest run."""
        return replace(
            self,
            monodepth=replace(self.monodepth, width=1 / 16, input_size=(128, 128)),
            worlds=replace(self.worlds, size=(128, 128), scenes=('room',)),
            validation_pictures=2,
        )


@torch.no_grad()
def finest(network: Monodepth, picture: ByteImage) -> FloatArray:
    """Return the finest maps ``(2 or 3, H, W)`` of a picture ``(H, W, 3)``."""
    device = next(network.parameters()).device
    image = torch.from_numpy(channels_first(picture))[None].to(device).float() / 255
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


def shown_pairs(
    batch: Batch, disparity: Callable[[ByteImage, ByteImage], FloatArray]
) -> dict[str, ByteImage]:
    """Return the pairs of a batch, four at most, with the disparity of the left view.

    Args:
        batch: Has ``left`` and ``right``, ``(B, 3, H, W)`` uint8.
        disparity: Says that of the left ``(H, W, 3)``, given both, ``(H, W)``.
    """
    rows = []
    for left, right in list(zip(batch['left'], batch['right'], strict=True))[:4]:
        shown = [image.permute(1, 2, 0).cpu().numpy() for image in (left, right)]
        rows.append(np.hstack([*shown, disparity_colours(disparity(*shown))]))
    return {'pairs': np.vstack(rows)}


@lru_cache(maxsize=1)
def _held_out(worlds: SampleConfig, count: int) -> list[Snapshot]:
    """Return pictures of worlds that no run sees, four of each."""
    samples = WorldSamples(replace(worlds, stereo=False, per_world=4), _HELD_OUT)
    return [samples[index][0] for index in range(count)]


def _finite_mean(depth: FloatArray) -> float:
    return float(depth[np.isfinite(depth)].mean())
