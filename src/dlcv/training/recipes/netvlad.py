"""NetVLAD learned from generated worlds that are visited again (Arandjelovic et al., CVPR 2016).

The paper's loss, its hard negatives and its cache: every so often all pictures are described by the
network as it is, and each query then learns from the nearest that shows the same and from the
nearest that show something else, most of which are of the same world.

Letters in this file: B queries, P pictures that show the same, M that do not, N values of a
descriptor.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from dlcv.config import to_dict
from dlcv.data.synthetic.photos import PhotoPool
from dlcv.data.world.visits import VisitConfig, WorldVisits
from dlcv.files import expanded
from dlcv.networks.losses.netvlad import MARGIN, ranking_loss
from dlcv.networks.netvlad import NetVLAD, NetVLADConfig, small
from dlcv.networks.weights import WeightsError, chosen, load_network, untrained
from dlcv.training.places import PlacePool, VisitedWorlds, begin, pool_of
from dlcv.training.recipe import Batch, Sample, Samples, TrainError
from dlcv.training.shards import kept
from dlcv.training.start import filled, located
from dlcv.types import ByteImage

Learns = Literal['layer', 'conv5', 'all']

_HELD_OUT = 20160626  # seed of the validation's worlds; no run has it
_POOL4 = 24  # layers of VGG-16 up to the fourth pooling


@dataclass(frozen=True, kw_only=True, slots=True)
class NetVLADRecipe:
    """Descriptors of places; build it from ``config/train/netvlad.yaml``.

    Attributes:
        netvlad: The network.
        learns: Which of it: ``layer``, all behind the encoder; ``conv5``, also the last stage of
            VGG-16, as in the paper; or ``all``.
        encoder: Weights that the encoder begins with: of SuperPoint or of NetVLAD; empty for the
            shipped SuperPoint, or for a VGG-16 as it is drawn.
        whitened_last: Whether the whitening is made of the trained network's descriptors, as in
            the paper, or at the beginning, to learn with the rest.
        visits: The worlds, and how they are visited.
        worlds: How many.
        worlds_folder: Where they are kept; empty for nowhere.
        near: Two pictures are of one place when each shows so much of what the other shows.
        far: And of two when neither shows more than this.
        positives: Pictures P of the place of a query.
        negatives: Pictures M of other places.
        drawn: Pictures, drawn at random for each query, among which the latter are looked for, as
            the paper does: the hardest of all teach a network to say the same of everything. 0
            for all.
        margin: By which the former must be nearer, in squared distances.
        renew: Steps after which all pictures are described anew.
        photos: Folders of photos for the walls; without, they are painted.
        start: Weights or ``checkpoint.pt`` of such a network to go on from.
        validation_worlds: Held-out worlds that it is validated on.
    """

    netvlad: NetVLADConfig = field(default_factory=small)
    learns: Learns = 'layer'
    encoder: str = ''
    whitened_last: bool = False
    visits: VisitConfig = field(default_factory=VisitConfig)
    worlds: int = 24
    worlds_folder: str = ''
    near: float = 0.3
    far: float = 0.05
    positives: int = 2
    negatives: int = 10
    drawn: int = 0
    margin: float = MARGIN
    renew: int = 50
    photos: tuple[Path, ...] = ()
    start: Path | None = None
    validation_worlds: int = 6

    def __post_init__(self) -> None:
        if self.learns == 'conv5' and self.netvlad.encoder != 'vgg16':
            raise TrainError(f'conv5 is of vgg16, the encoder is {self.netvlad.encoder!r}')
        if not 0 <= self.far < self.near <= 1 or not self.margin > 0:
            raise TrainError(
                'NetVLAD needs 0 <= far < near <= 1 and margin > 0, got '
                f'{self.far}, {self.near} and {self.margin}'
            )
        if self.drawn < 0:
            raise TrainError(f'NetVLAD needs drawn >= 0, got {self.drawn}')
        counts = (self.worlds, self.positives, self.negatives, self.renew, self.validation_worlds)
        if min(counts) < 1 or self.visits.visits < 2:
            raise TrainError(
                'NetVLAD needs worlds, positives, negatives, renew and validation_worlds >= 1 and '
                f'two visits or more, got {counts} and {self.visits.visits}'
            )

    @property
    def name(self) -> str:
        """Name of the weights."""
        return 'netvlad'

    def network(self) -> Learner:
        """Return the network to train.

        Raises:
            TrainError: If ``start`` or ``encoder`` does not fit.
        """
        learner = Learner(NetVLAD(self.netvlad), self.learns, whitens=not self.whitened_last)
        if self.start is not None and self.start.suffix == '.pt':
            return filled(learner, self.start, self.name)
        if self.start is not None:
            filled(learner.inner, self.start, self.name)
        else:
            _take_encoder(learner.inner, self.encoder)
        return learner

    def samples(self, seed: int) -> Samples:
        """Return numbers of pictures whose place another visit shows; see `Queries`."""
        return Queries(_pool(self, seed, self.worlds), seed)

    def loss(self, network: nn.Module, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return the ranking loss, and how many queries are nearest to their own place.

        Before the first step the layer begins with clusters. A run that is resumed describes the
        pictures anew before its own first step.
        """
        pool = _pool(self, int(batch['seed'][0]), self.worlds)
        learner = getattr(network, 'module', network)  # of Lightning Fabric
        assert isinstance(learner, Learner)
        learner.seed.fill_(int(batch['seed'][0]))
        pool.freeze(learner.frozen, self.netvlad.in_channels)
        if step == 0 and self.start is None:
            encoded = [learner.encoded(one[None].float())[0] for one in pool.frozen]
            begin(learner.inner, encoded, int(batch['seed'][0]))
        if pool.renewed < 0 or step % self.renew == 0 or step < pool.renewed:
            pool.renew(network, step)
        return self._ranked(network, pool, batch['query'].cpu(), step)

    def _ranked(
        self, network: nn.Module, pool: PlacePool, queries: Tensor, step: int
    ) -> dict[str, Tensor]:
        seen = None
        if self.drawn:
            drawn = torch.Generator().manual_seed(step)
            share = min(1.0, self.drawn / len(pool.images))
            seen = torch.rand(len(queries), len(pool.images), generator=drawn) < share
        near, far = pool.triplets(queries, self.positives, self.negatives, seen)
        named = torch.cat((queries[:, None], near, far), 1)
        numbers, place = torch.unique(named, return_inverse=True)
        there = numbers >= 0
        found = network(pool.inputs(numbers[there].tolist())).float()  # each picture once
        described = found.new_zeros(len(numbers), found.shape[1])
        described = described.index_copy(0, there.nonzero()[:, 0].to(found.device), found)
        query, same, other = described[place.to(found.device)].split(
            (1, self.positives, self.negatives), 1
        )
        loss = ranking_loss(query[:, 0], same, other, near >= 0, far >= 0, self.margin)
        with torch.no_grad():
            best_same = (query * same).sum(2).masked_fill(near < 0, -1).amax(1)
            best_other = (query * other).sum(2).masked_fill(far < 0, -1).amax(1)
            right = (best_same > best_other).float().mean()
        return {'loss': loss, 'right': right}

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Return the recall of the first answer in held-out worlds, in the last of their visits.

        Pictures of all other visits of all these worlds are the map.
        """
        assert isinstance(network, Learner)
        pool = _pool(self, _HELD_OUT, self.validation_worlds)
        pool.freeze(network.frozen, self.netvlad.in_channels)
        pool.renew(network, 0)
        last = pool.visit == pool.visit.max()
        near = pool.near[last][:, ~last]
        apart = pool.descriptors[last] @ pool.descriptors[~last].T
        right = near.gather(1, apart.argmax(1)[:, None])[:, 0]
        return {'recall_1': float(right[near.any(1)].float().mean())}

    def pictures(self, network: nn.Module, batch: Batch) -> dict[str, ByteImage]:
        """Return queries, what the network takes for their place, and what shows it."""
        del network
        pool = _pool(self, int(batch['seed'][0]), self.worlds)
        rows = []
        for query in batch['query'][:4].tolist():
            visits = pool.near[query] | pool.far[query]
            near = pool.descriptors[query] @ pool.descriptors.T
            answer = int(near.masked_fill(~visits, -2).argmax())
            truth = int(near.masked_fill(~pool.near[query], -2).argmax())
            rows.append(np.hstack([pool.images[i] for i in (query, answer, truth)]))
        return {'answers': np.asarray(cv2.resize(np.vstack(rows), None, fx=0.5, fy=0.5), np.uint8)}

    def smoke(self) -> NetVLADRecipe:
        """Return a version with a tiny network and a few small pictures of a room."""
        tiny = replace(self.netvlad, width=1 / 16, clusters=4, reduced=4, whitened=4)
        return replace(
            self,
            netvlad=tiny,
            visits=replace(
                self.visits, scenes=('room',), motions=('walk',), size=(48, 32), visits=2, views=8
            ),
            worlds=1,
            worlds_folder='',
            near=0.2,
            negatives=2,
            photos=(),
            encoder='drawn',
            start=None,
            validation_worlds=1,
        )

    def export(self, network: nn.Module) -> nn.Module:
        """Return the network, with a whitening of what it says of all pictures if it has none."""
        assert isinstance(network, Learner)
        if self.whitened_last and self.netvlad.whitened:
            pool = _pool(self, int(network.seed), self.worlds)
            pool.freeze(network.frozen, self.netvlad.in_channels)
            pool.renew(network.eval(), 0)
            network.inner.set_whitening(pool.descriptors)
        return network.inner.eval()


class Learner(nn.Module):
    """NetVLAD from what the part of it says that does not learn.

    Args:
        inner: The network.
        learns: See `NetVLADRecipe`.
        whitens: Whether descriptors are whitened.
    """

    seed: Tensor  # of the worlds that it learned from

    def __init__(self, inner: NetVLAD, learns: Learns, *, whitens: bool) -> None:
        super().__init__()
        self.inner, self._learns, self._whitens = inner, learns, whitens
        self.register_buffer('seed', torch.zeros((), dtype=torch.float64))
        if learns == 'layer':
            inner.encoder.requires_grad_(False)
        elif learns == 'conv5' and isinstance(inner.encoder, nn.Sequential):
            inner.encoder[:_POOL4].requires_grad_(False)
        if inner.config.whitened and not whitens:
            inner.WPCA.requires_grad_(False)

    def frozen(self, images: Tensor) -> Tensor:
        """Return of pictures ``(B, C, H, W)`` what does not change: features, or themselves."""
        match self._learns:
            case 'layer':
                return self.inner.encode(images)
            case 'conv5':
                return self.inner.encode(images, last=_POOL4)
        return images

    def encoded(self, frozen: Tensor) -> Tensor:
        """Return the features of the encoder."""
        match self._learns:
            case 'layer':
                return frozen
            case 'conv5':
                return self.inner.encode(frozen, first=_POOL4)
        return self.inner.encode(frozen)

    def forward(self, frozen: Tensor) -> Tensor:
        """Return descriptors ``(B, N)`` of what `frozen` gave."""
        pooled = self.inner.pooled(self.encoded(frozen))
        return self.inner.whiten(pooled) if self._whitens else pooled


class Queries:
    """Pictures whose place another visit shows: ``query``, their number, and ``seed`` of the pool.

    Args:
        pool: The pictures.
        seed: Of the pool, and of the order.
    """

    def __init__(self, pool: PlacePool, seed: int) -> None:
        self._numbers, self._seed = pool.queries, seed

    def __getitem__(self, index: int) -> Sample:
        """Return the query of that number: all of them, then all in another order."""
        turn, place = divmod(index, len(self._numbers))
        order = np.random.default_rng([self._seed, turn, 9]).permutation(len(self._numbers))
        query = self._numbers[order[place]]
        return {'query': np.array(query, np.int64), 'seed': np.array(self._seed, np.int64)}


@lru_cache(maxsize=2)
def _pool(recipe: NetVLADRecipe, seed: int, worlds: int) -> PlacePool:
    photos = PhotoPool([expanded(path) for path in recipe.photos]) if recipe.photos else None
    made_by: dict[str, Any] = {
        'visits': to_dict(recipe.visits),
        'photos': [str(path) for path in recipe.photos],
        'seed': seed,
    }
    folder = str(expanded(recipe.worlds_folder) / str(seed)) if recipe.worlds_folder else ''
    every = kept(
        VisitedWorlds(WorldVisits(recipe.visits, seed, photos=photos)),
        count=worlds, per_shard=1, folder=folder, made_by=made_by, seed=seed,
    )  # fmt: skip
    return pool_of(every, worlds, recipe.near, recipe.far)


def _take_encoder(network: NetVLAD, weights: str) -> None:
    """Fill the encoder of a network with that of other weights; ``drawn`` leaves it as it is.

    Raises:
        TrainError: If they have another encoder.
    """
    on_superpoint = network.config.encoder == 'superpoint'
    if weights == 'drawn' or not (weights or on_superpoint):
        return
    path = located(Path(weights)) if weights else chosen('superpoint', '')
    if path is None:
        other: nn.Module = untrained('superpoint')
    else:
        try:
            other = load_network('superpoint' if on_superpoint else 'netvlad', path)
        except WeightsError as err:
            raise TrainError(f'no encoder for NetVLAD: {err}') from err
    state = (other.encoder if isinstance(other, NetVLAD) else other).state_dict()
    own = network.encoder.state_dict()
    taken = {key: state[key] for key in own if key in state}
    if {k: v.shape for k, v in taken.items()} != {k: v.shape for k, v in own.items()}:
        raise TrainError(f'{path} has an encoder of another variant or width')
    network.encoder.load_state_dict(taken)
