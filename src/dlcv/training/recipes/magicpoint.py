"""MagicPoint: SuperPoint's detector, taught corners by drawings (DeTone et al., 2017 and 2018).

Letters in this file: B drawings, H W their size in pixels, h w = H/8 W/8 cells, N points.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from dlcv.data.augment.homographies import (
    HomographyConfig,
    sample_homography,
    valid_mask,
    warp_image,
    warp_points,
)
from dlcv.data.augment.photometric import PhotometricConfig, photometric
from dlcv.data.synthetic.shapes import KINDS, Drawing, Kind, ShapesConfig, SyntheticShapes, draw
from dlcv.files import expanded
from dlcv.metrics.corners import corner_average_precision
from dlcv.networks.layers.keypoints import Points, detect_dense, heatmap
from dlcv.networks.losses.superpoint import DUSTBIN, cell_labels, detector_loss, valid_cells
from dlcv.networks.superpoint import SuperPoint, SuperPointConfig
from dlcv.training.export import folded_superpoint
from dlcv.training.recipe import Batch, Sample
from dlcv.training.start import filled
from dlcv.types import ByteImage
from dlcv.view.features import draw_keypoints
from dlcv.view.panel import side_by_side, stacked

Heat = npt.NDArray[np.floating[Any]]

_HELD_OUT = 2**40 + 1  # seed of the drawings that are validated on; no run has it
_NO_CORNER = 8.0  # dustbin's logit at the start: that most cells are empty need not be learned
_EDGE = 2  # pixels beside the edge of a warped drawing that are not learned from
_NOISY = PhotometricConfig(
    probability=1.0, brightness=30.0, contrast=(0.5, 1.2), noise=25.0, speckle=0.01, motion_blur=1
)


@dataclass(frozen=True, kw_only=True, slots=True)
class MagicPointRecipe:
    """The detector alone; the descriptors' layers keep their random weights.

    It is trained with a batch-norm after each convolution, which is folded away when it is shipped.

    Attributes:
        shapes: What is drawn to learn from. Small drawings teach more corners in less time.
        held_out_shapes: What is drawn to validate on; the paper's size.
        photometric: How light and sensor change the drawings.
        homographies: From where the drawings are seen.
        warped: Share of the drawings that are seen from elsewhere.
        width: Multiplier of the network's channels.
        held_out: Drawings of each kind that are validated on.
        start: Checkpoint of a run of this recipe whose weights are gone on with, or empty.
    """

    shapes: ShapesConfig = field(default_factory=ShapesConfig)
    held_out_shapes: ShapesConfig = field(default_factory=ShapesConfig)
    photometric: PhotometricConfig = field(default_factory=PhotometricConfig)
    homographies: HomographyConfig = field(default_factory=HomographyConfig)
    warped: float = 0.7
    width: float = 1.0
    held_out: int = 16
    start: str = ''

    @property
    def name(self) -> str:
        """Name of the weights."""
        return 'magicpoint'

    def network(self) -> nn.Module:
        """Return SuperPoint with batch-norms, its descriptors frozen."""
        network = SuperPoint(SuperPointConfig(variant='unet_bn', width=self.width))
        with torch.no_grad():
            network.get_parameter('bnPb.bias')[DUSTBIN] = _NO_CORNER
        if self.start:
            filled(network, expanded(self.start), 'superpoint')
        for layer in ('convDa', 'bnDa', 'convDb', 'bnDb'):
            network.get_submodule(layer).requires_grad_(False)
        return network

    def samples(self, seed: int) -> ShapeSamples:
        """Return drawings, changed and seen at random."""
        return ShapeSamples(self, seed)

    def loss(self, network: nn.Module, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return the detector's cross-entropy, and its part on cells with a corner."""
        del step
        logits, _ = network(batch['image'].float() / 255)  # (B, 65, h, w)
        labels, valid = cell_labels(batch['present']), valid_cells(batch['valid'])
        corner = valid & (labels != DUSTBIN)  # (B, h, w)
        return {
            'loss': detector_loss(logits, labels, valid),
            'corners': detector_loss(logits.detach(), labels, corner),
        }

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Return mean average precisions on held-out drawings, beside those of classical detectors.

        The mean is over the kinds that have corners; ``noisy`` is with noise, shade and speckle.
        """
        detectors = {'map': lambda images: detect(network, images, threshold=5e-4), **_CLASSICAL}
        precisions: dict[str, list[float]] = {}
        for suffix, config in (('', None), ('_noisy', _NOISY)):
            for kind in self.held_out_shapes.kinds:
                drawings = list(_held_out(self, kind, config))
                images = [drawing.image for drawing in drawings]
                corners = [drawing.points for drawing in drawings]
                for name, found in detectors.items():
                    precision = corner_average_precision(found(images), corners)
                    precisions.setdefault(f'{name}{suffix}', []).append(precision)
        return {name: float(np.nanmean(values)) for name, values in precisions.items()}

    def pictures(self, network: nn.Module, batch: Batch) -> dict[str, ByteImage]:
        """Return drawings of the batch with what is found, left, and what is true."""
        images = list(batch['image'][:6, 0].cpu().numpy())
        found = detect(network, images)
        rows = []
        for image, (xy, scores), present in zip(
            images, found, batch['present'].cpu(), strict=False
        ):
            true = present.nonzero().flip(1).numpy().astype(np.float32)
            rows.append(
                side_by_side(draw_keypoints(image, xy, scores), draw_keypoints(image, true))
            )
        return {'corners': stacked(*rows)}

    def smoke(self) -> MagicPointRecipe:
        """Return a recipe of small drawings for a narrow network."""
        small = replace(self.shapes, height=64, width=64)
        return replace(self, shapes=small, held_out_shapes=small, width=0.125, held_out=1, start='')

    def export(self, network: nn.Module) -> nn.Module:
        """Return the plain network of the paper."""
        assert isinstance(network, SuperPoint)
        return folded_superpoint(network)


class ShapeSamples:
    """Drawings as the network is taught by them; each a function of seed and index.

    A sample has ``image`` ``(1, H, W)`` uint8, and ``(H, W)`` bool: ``present``, where a corner is,
    and ``valid``, where the drawing is seen.
    """

    def __init__(self, recipe: MagicPointRecipe, seed: int) -> None:
        self._recipe = recipe
        self._seed = seed
        self._shapes = SyntheticShapes(recipe.shapes, seed)

    def __getitem__(self, index: int) -> Sample:
        """Return a sample."""
        recipe, drawing = self._recipe, self._shapes[index]
        rng = np.random.default_rng([self._seed, index, 1])
        image, points = drawing.image, drawing.points
        size = (image.shape[0], image.shape[1])
        valid: npt.NDArray[np.bool_] = np.ones(size, bool)
        if rng.random() < recipe.warped:
            second_from_first = sample_homography(rng, size, recipe.homographies)
            image = warp_image(image, second_from_first, size)
            points = warp_points(points, second_from_first)
            valid = valid_mask(second_from_first, size, _EDGE)
        image = photometric(image, rng, recipe.photometric)
        return {'image': image[None], 'present': _marked(points, size) & valid, 'valid': valid}


def detect(
    network: nn.Module, images: Sequence[ByteImage], *, threshold: float = 0.015
) -> Iterator[Points]:
    """Yield the corners that a detector finds in each of some pictures of one size.

    Args:
        network: SuperPoint in eval mode.
        images: ``(H, W)`` grey, H and W multiples of 8.
        threshold: Least probability.

    Yields:
        ``xy`` ``(N, 2)`` and ``scores`` ``(N,)``, strongest first.
    """
    device = next(network.parameters()).device
    for image in images:
        grey = torch.from_numpy(image).to(device)[None, None].float() / 255  # (1, 1, H, W)
        with torch.no_grad():
            heat = heatmap(network(grey)[0])[0]  # (H, W)
        yield detect_dense(heat.float().cpu().numpy(), threshold=threshold, border=0, limit=300)


def _marked(points: npt.NDArray[np.floating[Any]], size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Return the map of pixels that points fall on; those outside and NaN are dropped."""
    height, width = size
    present = np.zeros(size, bool)
    x, y = np.rint(points[~np.isnan(points).any(axis=1)]).T
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    present[y[inside].astype(int), x[inside].astype(int)] = True
    return present


def _held_out(
    recipe: MagicPointRecipe, kind: Kind, config: PhotometricConfig | None
) -> Iterator[Drawing]:
    """Yield the drawings of a kind that are validated on, changed if asked."""
    for index in range(recipe.held_out):
        rng = np.random.default_rng([_HELD_OUT, KINDS.index(kind), index])
        drawing = draw(kind, rng, recipe.held_out_shapes)
        if config is not None:
            drawing = replace(drawing, image=photometric(drawing.image, rng, config))
        yield drawing


# -- classical detectors, for comparison -----------------------------------------------------------


def _classical(
    response: Callable[[ByteImage], Heat],
) -> Callable[[Sequence[ByteImage]], Iterator[Points]]:
    """Return a detector of the maxima of a response, thinned out as the network's."""

    def found(images: Sequence[ByteImage]) -> Iterator[Points]:
        for image in images:
            yield detect_dense(response(image), threshold=0.0, border=0, limit=300)

    return found


def _harris(image: ByteImage) -> Heat:
    return np.asarray(cv2.cornerHarris(image, 4, 3, 0.04))


def _shi_tomasi(image: ByteImage) -> Heat:
    return np.asarray(cv2.cornerMinEigenVal(image, 3))


def _fast(image: ByteImage) -> Heat:
    heat = np.zeros(image.shape, np.float32)
    for point in cv2.FastFeatureDetector.create(threshold=5).detect(image):
        heat[round(point.pt[1]), round(point.pt[0])] = point.response
    return heat


_CLASSICAL = {
    'harris': _classical(_harris),
    'shi_tomasi': _classical(_shi_tomasi),
    'fast': _classical(_fast),
}
