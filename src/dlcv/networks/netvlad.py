"""NetVLAD: one descriptor of a whole picture, by which places are told (Arandjelovic et al., 2016).

Local features of a convolutional network are assigned softly to clusters, their residuals are
summed for each cluster, and what comes out is normalised, twice, and whitened (CVPR 2016, section
3). Two encoders: the paper's VGG-16, and SuperPoint's, which a robot runs anyhow, behind a 1x1
convolution.

Parameter names are those of the public PyTorch port: ``encoder.0`` ... ``encoder.28`` (its numbers
in VGG-16), ``pool.conv``, ``pool.centroids``, ``WPCA.0``. The encoder of SuperPoint has the names
of SuperPoint below ``encoder``, and ``reduce`` is the convolution behind it.

Letters in this file: B pictures, H W size in pixels, D channels of a feature, P places of a
picture that have one, K clusters, N values of a descriptor, M samples.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import log
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dlcv.networks.layers.blocks import initialise, scaled
from dlcv.networks.layers.shapes import ShapeError, expect
from dlcv.networks.layers.shared_encoder import SharedEncoder, Variant, encoded

Kind = Literal['vgg16', 'superpoint']
Order = Literal['cluster', 'channel']

_STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  # channels and convolutions of VGG-16
_SHARE = 0.01  # of the second-best assignment in the best one, from which the sharpness follows


@dataclass(frozen=True, kw_only=True, slots=True)
class NetVLADConfig:
    """All that is needed to rebuild the network, and what belongs to its weights.

    Attributes:
        encoder: ``vgg16``, up to conv5_3 without its activation; or ``superpoint``.
        width: Multiplier of its channels.
        variant: Of the encoder ``superpoint``; see `dlcv.networks.superpoint.SuperPointConfig`.
        reduced: Channels behind a 1x1 convolution after the encoder; 0 for none.
        clusters: Their number K.
        biased: Whether the assignment has a bias, as the second version of the paper's code.
        order: Which runs fastest in a descriptor that is not whitened, channels (``cluster``: all
            of a cluster stand together, as in the PyTorch port) or clusters (``channel``: as in the
            original). The matrix that whitens belongs to one of them.
        whitened: Values of a whitened descriptor; 0 for no whitening.
        mean: Of the encoder ``vgg16``, what is subtracted from RGB in [0, 1].
        std: What that is divided by.
        resize_long_side: Pixels to which the weights expect larger pictures to be shrunk.
    """

    encoder: Kind = 'vgg16'
    width: float = 1.0
    variant: Variant = 'vgg'
    reduced: int = 0
    clusters: int = 64
    biased: bool = False
    order: Order = 'cluster'
    whitened: int = 4096
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    resize_long_side: int = 640

    def __post_init__(self) -> None:
        if self.clusters < 2 or min(self.reduced, self.whitened) < 0 or not self.width > 0:
            raise ValueError(
                'NetVLAD needs clusters >= 2, reduced and whitened >= 0 and width > 0, got '
                f'{self.clusters}, {self.reduced}, {self.whitened} and {self.width}'
            )
        if min(self.std) <= 0 or self.resize_long_side < 16:
            raise ValueError(
                'NetVLAD needs std > 0 and resize_long_side >= 16, got '
                f'{list(self.std)} and {self.resize_long_side}'
            )
        if self.whitened > self.pooled:
            raise ValueError(
                f'NetVLAD cannot whiten descriptors of {self.pooled} values to {self.whitened}'
            )

    @property
    def in_channels(self) -> int:
        """Channels of the pictures: 3 for RGB, 1 for grey."""
        return 3 if self.encoder == 'vgg16' else 1

    @property
    def encoded(self) -> int:
        """Channels that the encoder gives."""
        if self.encoder == 'superpoint':
            return encoded(self.width)
        return scaled(_STAGES[-1][0], self.width)

    @property
    def channels(self) -> int:
        """Channels D of a local feature."""
        return self.reduced or self.encoded

    @property
    def pooled(self) -> int:
        """Values of a descriptor before whitening."""
        return self.clusters * self.channels

    @property
    def descriptor_size(self) -> int:
        """Values N of a descriptor."""
        return self.whitened or self.pooled


def small() -> NetVLADConfig:
    """Return the network that is shipped: on SuperPoint's encoder, for one CPU core."""
    return NetVLADConfig(encoder='superpoint', reduced=32, clusters=32, whitened=256)


class VladLayer(nn.Module):
    """Soft assignment and sums of residuals (equations 3 and 4), normalised twice.

    Args:
        channels: Channels D of a feature.
        clusters: Their number K.
        biased: Whether the assignment has a bias.
        order: See `NetVLADConfig`.
    """

    def __init__(self, channels: int, clusters: int, *, biased: bool, order: Order) -> None:
        super().__init__()
        self.order = order
        self.conv = nn.Conv2d(channels, clusters, 1, bias=biased)
        self.centroids = nn.Parameter(torch.empty(clusters, channels))
        nn.init.uniform_(self.centroids)

    def forward(self, features: Tensor) -> Tensor:
        """Return descriptors ``(B, K*D)`` of length 1 for features ``(B, D, h, w)``."""
        channels = self.centroids.shape[1]
        expect(features, f'B {channels} h w', 'features')
        x = F.normalize(features, dim=1).flatten(2)  # (B, D, P)
        weight = self.conv.weight[:, :, 0]  # (K, D, 1)
        share = F.conv1d(x, weight, self.conv.bias).softmax(1)  # (B, K, P)
        # sum_i a_k(x_i) (x_i - c_k), without K residuals of each place
        sums = share @ x.mT - share.sum(2, keepdim=True) * self.centroids  # (B, K, D)
        sums = F.normalize(sums, dim=2)
        if self.order == 'channel':
            sums = sums.mT
        return F.normalize(sums.flatten(1), dim=1)

    @torch.no_grad()
    def initialise_from(self, centres: Tensor, features: Tensor) -> float:
        """Begin with clusters of features, so that an assignment is nearly hard.

        The sharpness is such that the second-best cluster of a feature has on average (in the
        logarithm) a hundredth of the assignment of the best.

        Args:
            centres: ``(K, D)`` as k-means gives them.
            features: ``(M, D)`` of length 1, some of those that were clustered.

        Returns:
            The sharpness alpha: of cosines with the directions of the centres or, where there is a
            bias, of squared distances from the centres.

        Raises:
            ShapeError: If the shapes are others.
            ValueError: If all features are as near to a second centre as to the first.
        """
        clusters, channels = self.centroids.shape
        expect(centres, f'{clusters} {channels}', 'centres')
        expect(features, f'M {channels}', 'features')
        if self.conv.bias is None:
            weight = F.normalize(centres, dim=1)
            best, second = (features @ weight.T).topk(2, dim=1).values.unbind(1)
            gap = float((best - second).mean())
        else:
            weight = 2 * centres
            nearest = torch.cdist(features, centres).topk(2, dim=1, largest=False).values
            first, second = nearest.square().unbind(1)
            gap = float((second - first).mean())
        if not gap > 0:
            raise ValueError('the features are as near to a second centre as to the first')
        alpha = -log(_SHARE) / gap
        self.centroids.copy_(centres)
        self.conv.weight.copy_((alpha * weight)[:, :, None, None])
        if self.conv.bias is not None:
            self.conv.bias.copy_(-alpha * centres.square().sum(1))
        return alpha


class NetVLAD(nn.Module):
    """Pictures to descriptors of places."""

    channels_last = True
    mean: Tensor
    std: Tensor

    def __init__(self, config: NetVLADConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder: SharedEncoder | nn.Sequential
        if config.encoder == 'superpoint':
            self.encoder = SharedEncoder(
                variant=config.variant, in_channels=config.in_channels, width=config.width
            )
        else:
            self.encoder = nn.Sequential(*_vgg16(config.width))
            for name in ('mean', 'std'):
                value = torch.tensor(getattr(config, name))[:, None, None]
                self.register_buffer(name, value, persistent=False)
        self.reduce: nn.Module = nn.Identity()
        if config.reduced:
            self.reduce = nn.Conv2d(config.encoded, config.reduced, 1, bias=False)
        initialise(self)
        self.pool = VladLayer(
            config.channels, config.clusters, biased=config.biased, order=config.order
        )
        if config.whitened:
            self.WPCA = nn.Sequential(nn.Conv2d(config.pooled, config.whitened, 1))

    @property
    def multiple(self) -> int:
        """Height and width must be multiples of this."""
        return SharedEncoder.multiple if self.config.encoder == 'superpoint' else 1

    def forward(self, images: Tensor) -> Tensor:
        """Describe pictures.

        Args:
            images: ``(B, 3, H, W)`` float32 RGB in [0, 1] for ``vgg16``, 16 pixels or more;
                ``(B, 1, H, W)`` grey for ``superpoint``, H and W multiples of 8.

        Returns:
            ``(B, N)`` of length 1; the squared distance of two is two minus twice their product.

        Raises:
            ShapeError: If the shape of the pictures is another one.
        """
        return self.describe(self.encode(images))

    def encode(self, images: Tensor, first: int = 0, last: int | None = None) -> Tensor:
        """Return the features ``(B, C, h, w)`` of the encoder.

        Args:
            images: As those of `forward`.
            first: Of the layers of ``vgg16``, the first to run; ``images`` is what comes out of
                the one before.
            last: The first that is not run any more.
        """
        if isinstance(self.encoder, SharedEncoder):
            return self.encoder.encode(images)
        x = images
        if not first:
            expect(images, 'B 3 H W', 'images')
            if min(images.shape[2:]) < 2 ** (len(_STAGES) - 1):
                raise ShapeError(
                    f'images: height and width must be 16 or more, got {tuple(images.shape[2:])}'
                )
            x = (images - self.mean) / self.std
        features: Tensor = self.encoder[first:last](x)
        return features

    def describe(self, features: Tensor) -> Tensor:
        """Return the descriptors ``(B, N)`` of pictures whose encoded features there are.

        Args:
            features: ``(B, C, h, w)`` as `encode` gives them, or SuperPoint's `encode` where
                `shares_encoder` says so.
        """
        return self.whiten(self.pooled(features))

    def pooled(self, features: Tensor) -> Tensor:
        """Return what the layer makes of encoded features, ``(B, K*D)``, not whitened."""
        described: Tensor = self.pool(self.reduce(features))
        return described

    def whiten(self, pooled: Tensor) -> Tensor:
        """Return descriptors ``(B, N)`` for those of the layer, ``(B, K*D)``."""
        if not self.config.whitened:
            return pooled
        return F.normalize(self.WPCA(pooled[:, :, None, None])[:, :, 0, 0], dim=1)

    def shares_encoder(self, network: SharedEncoder) -> bool:
        """Return whether the features of a SuperPoint are those of this network's own encoder."""
        if not isinstance(self.encoder, SharedEncoder) or network.variant != self.encoder.variant:
            return False
        other = network.state_dict()
        return all(
            key in other and value.shape == other[key].shape and bool((value == other[key]).all())
            for key, value in self.encoder.state_dict().items()
        )

    @torch.no_grad()
    def set_whitening(self, pooled: Tensor) -> None:
        """Learn to whiten from descriptors ``(M, K*D)`` of the layer; see `whitening`."""
        weight, bias = whitening(pooled, self.config.whitened)
        layer = self.WPCA[0]
        assert isinstance(layer, nn.Conv2d)
        assert layer.bias is not None
        layer.weight.copy_(weight[:, :, None, None])
        layer.bias.copy_(bias)


def whitening(samples: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Return weight ``(N, L)`` and bias ``(N,)`` that whiten: principal axes, variance 1 in each.

    They stand for ``diag(1 / sqrt(variance)) U^T (x - mean)`` (Jegou and Chum, ECCV 2012).

    Args:
        samples: ``(M, L)``.
        size: Number N of axes that are kept.

    Raises:
        ValueError: If the samples do not span so many.
    """
    expect(samples, 'M L', 'samples')
    values = samples.double()
    mean = values.mean(0)
    _, spread, axes = torch.linalg.svd(values - mean, full_matrices=False)
    least = 1e-6 * float(spread[0]) if len(spread) else 0.0
    spanned = int((spread > least).sum())
    if spanned < size:
        raise ValueError(
            f'{len(samples)} descriptors span {spanned} axes, which cannot be whitened to {size}'
        )
    deviation = spread[:size] / max(1, len(samples) - 1) ** 0.5
    weight = axes[:size] / deviation[:, None]
    return weight.to(samples.dtype), -(weight @ mean).to(samples.dtype)


def _vgg16(width: float) -> Iterator[nn.Module]:
    """Yield the layers of VGG-16 up to conv5_3, in place, with their published numbers."""
    c_in = 3
    for stage, (channels, convolutions) in enumerate(_STAGES):
        if stage:
            yield nn.MaxPool2d(2)
        c_out = scaled(channels, width)
        for i in range(convolutions):
            yield nn.Conv2d(c_in, c_out, 3, padding=1)
            c_in = c_out
            if (stage, i) != (len(_STAGES) - 1, convolutions - 1):
                yield nn.ReLU(inplace=True)
