"""SuperPoint's joint training: detector and descriptors on pairs of warped photos.

The third step of DeTone et al. (CVPRW 2018): a network that starts as MagicPoint learns to find the
points that homographic adaptation found in photos, also when light and viewpoint change, and to
describe them so that they are told apart.

Letters in this file: B pairs, H W size of a picture in pixels, N points of a pair.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from dlcv.data.augment.homographies import HPATCHES_LIKE, HomographyConfig
from dlcv.data.synthetic.photos import PhotoPool
from dlcv.data.world import SampleConfig, WorldPairs
from dlcv.estimation.superpoint import FeatureEstimator
from dlcv.files import expanded
from dlcv.metrics.baselines.features import Classical, Learned, mutual, neighbours
from dlcv.networks.layers.folding import optimise
from dlcv.networks.layers.keypoints import heatmap, sample_descriptors
from dlcv.networks.losses import superpoint as losses
from dlcv.networks.superpoint import SuperPoint, SuperPointConfig
from dlcv.progress import bars
from dlcv.training import matching
from dlcv.training.adaptation import (
    AdaptationConfig,
    LabelConfig,
    Teacher,
    cached_labels,
    make_labels,
)
from dlcv.training.export import folded_superpoint
from dlcv.training.flow_samples import Mixed
from dlcv.training.pairs import PairConfig, SuperPointPairs
from dlcv.training.recipe import Batch, Samples, TrainError
from dlcv.training.shards import renewed_of_worlds
from dlcv.training.start import filled, located
from dlcv.training.world_places import GreyPairs, WorldPlaces
from dlcv.types import ByteImage
from dlcv.view.features import draw_keypoints, draw_matches


@dataclass(frozen=True, kw_only=True, slots=True)
class DescriptorLoss:
    """How descriptors are taught.

    Attributes:
        kind: ``contrast``, softmax over the points of all pairs of a batch; or ``hinge``, the
            paper's, over all pairs of cells.
        weight: Beside the detector's loss; the paper's is 1e-4 for its hinge.
        temperature: Of ``contrast``.
        alike: Points this near to each other, in pixels, are not told apart by ``contrast``.
        hard: Weight of the hardest wrong point of each, beside ``contrast``; 0 for none. The whole
            is still weighted by ``weight``.
        margin: By which distance the hardest wrong point is to be farther than the right one.
    """

    kind: Literal['contrast', 'hinge'] = 'contrast'
    weight: float = 1.0
    temperature: float = 0.07
    alike: float = 3.0
    hard: float = 0.0
    margin: float = 1.0

    def __post_init__(self) -> None:
        if self.hard < 0 or (self.hard and self.kind == 'hinge'):
            raise TrainError(
                f'hard wrong points are taught beside contrast and by a weight >= 0, got kind '
                f'{self.kind!r} and hard {self.hard}'
            )


@dataclass(frozen=True, kw_only=True)
class SuperPointRecipe:
    """Learn to find and to describe interest points in photos.

    Attributes:
        photos: Folders of pictures; none stands for painted ones.
        validation: Folders of other pictures, for the figures; none takes those of ``photos``.
        teacher: Weights that label the photos: a file, the ``checkpoint.pt`` of a run, or the name
            of shipped weights.
        start: Weights to start from, of the same variant: as ``teacher``; empty for random ones.
        labels_folder: Where the labels are kept; empty for memory.
        labels: Which pieces of photos are labelled, and how.
        pairs: How pairs are made of them.
        worlds: Pairs of generated worlds, for descriptors alone; in the size of ``pairs``.
        worlds_every: How often a pair is one of them: 3 stands for every third, 0 for none.
        worlds_folder: Where they are kept; empty for pairs that never repeat.
        window: Worlds that pairs are mixed from at a time; see `RenewedSamples`.
        uses: How often a pair of worlds is taken on average before its world is given up.
        descriptors: How descriptors are taught.
        frozen: Stages of the encoder, from the first on, that stay as in ``start``. The first one
            costs half of the time of a step.
        network_config: The network; batch-norms are folded away when it is exported.
        validation_pairs: Number of pairs for the figures.
        validation_points: Strongest points of each picture that are matched.
    """

    photos: tuple[str, ...] = ()
    validation: tuple[str, ...] = ()
    teacher: str = ''
    start: str = ''
    labels_folder: str = ''
    labels: LabelConfig = field(default_factory=LabelConfig)
    pairs: PairConfig = field(default_factory=PairConfig)
    worlds: SampleConfig = field(default_factory=SampleConfig)
    worlds_every: int = 0
    worlds_folder: str = ''
    window: int = 32
    uses: int = 8
    descriptors: DescriptorLoss = field(default_factory=DescriptorLoss)
    frozen: int = 0
    network_config: SuperPointConfig = field(
        default_factory=lambda: SuperPointConfig(variant='unet_bn')
    )
    validation_pairs: int = 32
    validation_points: int = 300

    def __post_init__(self) -> None:
        if self.worlds_every < 0 or min(self.window, self.uses) < 1:
            raise TrainError(
                'SuperPoint needs worlds_every >= 0, window and uses >= 1, got '
                f'{self.worlds_every}, {self.window} and {self.uses}'
            )
        if self.worlds_every and self.descriptors.kind == 'hinge':
            raise TrainError('the hinge is about homographies, which worlds have none of')

    @property
    def name(self) -> str:
        """Name of the weights."""
        return 'superpoint'

    def network(self) -> SuperPoint:
        """Return the network to train."""
        network = SuperPoint(self.network_config)
        if self.start:
            network = filled(network, _file(self.start), 'superpoint')
        for _, module in _stages(network, self.frozen):
            module.requires_grad_(False)
        return network

    def samples(self, seed: int) -> Samples:
        """Return the pairs, after labelling the photos where that is not done yet."""
        pairs = self._pairs(seed)
        if not self.worlds_every:
            return pairs
        height, width = self.pairs.size
        worlds = renewed_of_worlds(
            lambda samples: GreyPairs(WorldPairs(samples)),
            replace(self.worlds, size=(width, height), stereo=False),
            [expanded(folder) for folder in self.photos],
            seed,
            window=self.window,
            uses=self.uses,
            folder=str(expanded(self.worlds_folder)) if self.worlds_folder else '',
            per_clip=self.worlds.frames - 1,
        )
        return Mixed(pairs, WorldPlaces(worlds, self.pairs, seed), self.worlds_every)

    def _pairs(self, seed: int) -> Samples:
        photos = PhotoPool([expanded(folder) for folder in self.photos])
        with bars(lines=True) as show:
            report = partial(show, f'labels ({self.labels_folder or "memory"})')
            if self.labels_folder:
                labels = cached_labels(
                    expanded(self.labels_folder),
                    photos,
                    self._teacher,
                    self.labels,
                    {'teacher': _digest(self.teacher)},
                    report,
                )
            else:
                labels = make_labels(photos, self._teacher(), self.labels, report)
        return SuperPointPairs(labels, self.pairs, seed)

    def loss(self, network: nn.Module, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return the detector's cross-entropy and the descriptors' loss."""
        del step
        for name, module in _stages(network, self.frozen):
            if name.startswith('bn'):
                module.eval()  # or its statistics would follow the photos
        images = torch.cat((batch['first'], batch['second'])).float() / 255  # (2B, 1, H, W)
        logits, descriptors = network(images)
        present = torch.cat((batch['first_present'], batch['second_present']))
        valid = torch.cat((batch['first_valid'], batch['second_valid']))
        detector = losses.detector_loss(
            logits, losses.cell_labels(present), losses.valid_cells(valid)
        )
        first, second = descriptors.float().chunk(2)
        descriptor = self._descriptor_loss(first, second, batch)
        return {
            'loss': detector + self.descriptors.weight * descriptor,
            'detector': detector,
            'descriptor': descriptor,
        }

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Return how well points are found again and matched, beside SIFT and ORB.

        Pairs and matcher are those of `dlcv.training.matching`; where wide pairs are taught,
        figures that begin with ``wide_`` are of such.
        """
        method, limit = _method(network), self.validation_points
        found = matching.figures(_validation_pairs(self), method, limit)
        if self.pairs.wide:
            wide = matching.figures(_validation_pairs(self, matching.WIDE), method, limit)
            found |= {f'wide_{key}': value for key, value in wide.items()}
        return {**found, **_baselines(self)}

    def pictures(self, network: nn.Module, batch: Batch) -> dict[str, ByteImage]:
        """Return the labels, the found points and the matches of the first pair of a batch."""
        method = _method(network)
        first, second = (batch[name][0, 0].cpu().numpy() for name in ('first', 'second'))
        found, again = (method.detect(image, self.validation_points) for image in (first, second))
        matches = mutual(*neighbours(found.descriptors, again.descriptors))
        rows, columns = np.nonzero(batch['first_present'][0].cpu().numpy())
        return {
            'labels': draw_keypoints(first, np.stack((columns, rows), axis=1)),
            'found': draw_keypoints(first, found.xy),
            'matches': draw_matches(
                first, second, found.xy[matches[:, 0]], again.xy[matches[:, 1]]
            ),
        }

    def smoke(self) -> SuperPointRecipe:
        """Return the recipe with painted pictures, a narrow network and an untrained teacher."""
        return replace(
            self,
            photos=(),
            validation=(),
            teacher='',
            start='',
            labels_folder='',
            labels=LabelConfig(
                count=4, size=(96, 128), adaptation=AdaptationConfig(views=3, limit=60)
            ),
            pairs=replace(self.pairs, size=(64, 80), points=48),
            network_config=replace(self.network_config, width=0.125),
            worlds_every=0,
            validation_pairs=2,
        )

    def export(self, network: nn.Module) -> SuperPoint:
        """Return the network without batch-norms, in the paper's layout."""
        assert isinstance(network, SuperPoint)
        return folded_superpoint(network)

    def _teacher(self) -> Teacher:
        network = SuperPoint(self.network_config)
        if self.teacher:
            network = filled(network, _file(self.teacher), 'superpoint')
        return network_teacher(network)

    def _descriptor_loss(self, first: Tensor, second: Tensor, batch: Batch) -> Tensor:
        settings = self.descriptors
        if settings.kind == 'hinge':
            valid = losses.valid_cells(batch['second_valid'])
            return losses.hinge_loss(first, second, batch['second_from_first'], valid)
        there, again = (
            sample_descriptors(maps, batch[xy], self.network_config.sampling).flatten(0, 1)[None]
            for maps, xy in ((first, 'first_xy'), (second, 'second_xy'))
        )  # (1, B*N, D): points of the other pairs are wrong answers too
        alike = losses.close_pairs(batch['first_xy'], settings.alike)  # (B, N, N)
        if self.pairs.wide:  # what is far apart in one picture is not in one three times smaller
            alike = alike | losses.close_pairs(batch['second_xy'], settings.alike)
        seen, near = batch['seen'].flatten()[None], _block_diagonal(alike)[None]
        heat = settings.temperature
        loss = losses.contrastive_loss(there, again, seen, temperature=heat, alike=near)
        if settings.hard:
            hard = losses.hardest_loss(there, again, seen, margin=settings.margin, alike=near)
            loss = loss + settings.hard * hard
        return loss


def network_teacher(network: SuperPoint) -> Teacher:
    """Return a detector as homographic adaptation wants it; on a GPU where there is one.

    It computes with bfloat16: twice as fast where the processor can, much slower where it cannot.
    """
    device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    fast = optimise(network).to(device)

    def teach(images: ByteImage) -> npt.NDArray[np.float32]:
        x = torch.from_numpy(images).to(device)[:, None].float() / 255
        x = x.contiguous(memory_format=torch.channels_last)
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16):
            heat = heatmap(fast(x)[0].float())
        return np.asarray(heat.cpu().numpy(), np.float32)

    return teach


def _method(network: nn.Module) -> Learned:
    assert isinstance(network, SuperPoint)
    return Learned(FeatureEstimator(network, device=str(next(network.parameters()).device)))


def _stages(network: nn.Module, count: int) -> Iterator[tuple[str, nn.Module]]:
    """Yield the layers of the first stages of the encoder, however the network is wrapped."""
    for path, module in network.named_modules():
        name = path.rpartition('.')[2]
        kind, number = name[:-2], name[-2:-1]
        if kind in ('conv', 'bn') and number.isdigit() and int(number) <= count:
            yield name, module


def _file(path: str) -> Path:
    return located(expanded(path))


def _digest(path: str) -> str:
    return hashlib.sha256(_file(path).read_bytes()).hexdigest() if path else ''


def _block_diagonal(blocks: Tensor) -> Tensor:
    """Return bool ``(B*N, B*N)`` with ``(B, N, N)`` on its diagonal."""
    count, side, _ = blocks.shape
    same = torch.eye(count, dtype=torch.bool, device=blocks.device)  # (B, B)
    spread = blocks[:, :, None] & same[:, None, :, None]  # (B, N, B, N)
    return spread.reshape(count * side, count * side)


@lru_cache(maxsize=2)
def _validation_pairs(
    recipe: SuperPointRecipe, views: HomographyConfig = HPATCHES_LIKE
) -> list[matching.Pair]:
    photos = PhotoPool([expanded(folder) for folder in recipe.validation or recipe.photos])
    return matching.warped_pairs(photos, recipe.validation_pairs, recipe.labels.size, views)


@lru_cache(maxsize=1)
def _baselines(recipe: SuperPointRecipe) -> dict[str, float]:
    pairs, limit = _validation_pairs(recipe), recipe.validation_points
    return {
        f'{method.name.lower()}_{key}': value
        for method in (Classical('SIFT'), Classical('ORB'))
        for key, value in matching.figures(pairs, method, limit).items()
    }
