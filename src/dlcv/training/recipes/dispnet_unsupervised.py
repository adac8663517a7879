"""DispNetC that is shown no disparity: it learns by drawing each picture of a pair from the other.

The losses are those of monodepth (Godard et al., CVPR 2017, section 3.3), of a network that sees
both pictures. The disparity of the right one is what it says of the mirrored pair, in which the
right picture is a left one.

Letters in this file: B pairs, H W picture size in pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dlcv.networks.losses.monodepth import MonodepthLossConfig, monodepth_loss
from dlcv.training.recipe import Batch, TrainError
from dlcv.training.recipes.dispnet import DispNetRecipe

_SCALES = 4  # answers at 1/2 to 1/16 of the size


@dataclass(frozen=True, kw_only=True)
class UnsupervisedDispNetRecipe(DispNetRecipe):
    """Stereo without its truth; build it from ``config/train/dispnet_unsupervised.yaml``.

    Attributes:
        terms: Weights of the loss.
    """

    terms: MonodepthLossConfig = field(default_factory=MonodepthLossConfig)

    def __post_init__(self) -> None:
        DispNetRecipe.__post_init__(self)
        if self.dispnet.spread or self.matching:
            raise TrainError(
                'dispnet_unsupervised has no truth to learn a spread or matching from, got '
                f'dispnet.spread {self.dispnet.spread} and matching {self.matching}'
            )

    def loss(self, network: nn.Module, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return monodepth's loss and its unweighted terms."""
        del step
        speaks = batch['speaks']
        left, right = (batch[side][speaks].float() / 255 for side in ('left', 'right'))
        if not len(left):
            nothing = sum(p.sum() for p in network.parameters()) * 0.0
            return {'loss': torch.as_tensor(nothing)}
        both = torch.cat((left, right.flip(3))), torch.cat((right, left.flip(3)))
        maps = []
        for answer in network(*both)[:_SCALES]:
            of_left, of_right = (answer[:, :1].float() / left.shape[3]).chunk(2)
            maps.append(torch.cat((of_left, of_right.flip(3)), 1))  # (B, 2, h, w), of the width
        loss = monodepth_loss(maps, F.avg_pool2d(left, 2), F.avg_pool2d(right, 2), self.terms)
        return {
            'loss': loss.total,
            'image': loss.image.detach(),
            'smooth': loss.smooth.detach(),
            'left_right': loss.left_right.detach(),
        }
