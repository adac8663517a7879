"""Deep fundamental matrix learned from matches in generated worlds (Ranftl and Koltun, ECCV 2018).

The paper's loss on virtual matches of the true matrix; beside it, at first, one that says which
matches agree with it.

Letters in this file: B pairs, N matches of a pair, V virtual matches.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from dlcv.config import to_dict
from dlcv.data.synthetic.photos import PhotoPool
from dlcv.data.world import SampleConfig, WorldSamples
from dlcv.estimation.deep_fundamental import MatchWeigher
from dlcv.estimation.load import load_features
from dlcv.files import expanded
from dlcv.metrics.baselines.features import Learned
from dlcv.metrics.baselines.fundamental import consensus
from dlcv.metrics.fundamental import FundamentalScore, score, summary
from dlcv.networks.deep_fundamental import (
    LEAST,
    DeepFundamental,
    DeepFundamentalConfig,
    small,
)
from dlcv.networks.layers.epipolar import epipolar_distance
from dlcv.networks.losses.deep_fundamental import (
    agreement_loss,
    deep_fundamental_loss,
    virtual_matches,
)
from dlcv.training.match_pairs import DrawConfig, MatchConfig, MatchSamples, WorldMatches, passing
from dlcv.training.recipe import Batch, Sample, Samples, TrainError
from dlcv.training.shards import kept
from dlcv.training.start import filled, located
from dlcv.types import ByteImage, FloatArray

_HELD_OUT = 20180908  # seed of the validation's worlds; no run has it
_TESTS = ('none', 'ratio')
_BESIDE = 'RANSAC'
_SCALE = 2  # of pictures

Answer = Callable[[FloatArray, FloatArray], FloatArray]
"""Takes matches ``(N, 4)`` and their side information ``(N, 3)``, and returns a matrix."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DeepFundamentalRecipe:
    """Weights of matches from the true fundamental matrix.

    Attributes:
        deep_fundamental: The network.
        worlds: The clips whose pictures are matched.
        pairs: Which of them, and how.
        draws: Which of the matches a sample has.
        samples_kept: How many samples are kept and taken again and again.
        matches_folder: Where they are kept; empty for samples that never repeat.
        superpoint: Weights that find points: a file, or empty for the shipped ones.
        step: Of the grid of virtual matches, as a share of the picture; the paper's is 0.01, which
            costs more than this network.
        agreement: Weight of the loss that says which matches agree; 0 for the paper's loss alone.
        agree_within: Pixels of symmetric epipolar distance within which they do.
        photos: Folders of photos for the walls; without, they are painted.
        start: Weights or ``checkpoint.pt`` of such a network to go on from.
        validation_clips: Clips of held-out worlds that it is validated on.
    """

    deep_fundamental: DeepFundamentalConfig = field(default_factory=small)
    worlds: SampleConfig = field(default_factory=lambda: SampleConfig(frames=6))
    pairs: MatchConfig = field(default_factory=MatchConfig)
    draws: DrawConfig = field(default_factory=DrawConfig)
    samples_kept: int = 4096
    matches_folder: str = ''
    superpoint: str = ''
    step: float = 0.05
    agreement: float = 0.05
    agree_within: float = 1.0
    photos: tuple[Path, ...] = ()
    start: Path | None = None
    validation_clips: int = 6

    def __post_init__(self) -> None:
        if self.deep_fundamental.side_channels > 3:
            raise TrainError(
                'there are three values of side information (distance, scale, angle), got '
                f'side_channels {self.deep_fundamental.side_channels}'
            )
        if not 0 < self.step <= 0.5 or self.agreement < 0 or not self.agree_within > 0:
            raise TrainError(
                'a deep fundamental matrix needs step in (0, 0.5], agreement >= 0 and '
                f'agree_within > 0, got {self.step}, {self.agreement} and {self.agree_within}'
            )
        if min(self.samples_kept, self.validation_clips) < 1:
            raise TrainError(
                'a deep fundamental matrix needs samples_kept and validation_clips >= 1, got '
                f'{self.samples_kept} and {self.validation_clips}'
            )

    @property
    def name(self) -> str:
        """Name of the weights."""
        return 'deep_fundamental'

    def network(self) -> DeepFundamental:
        """Return the network to train.

        Raises:
            TrainError: If ``start`` does not fit.
        """
        network = DeepFundamental(self.deep_fundamental)
        return network if self.start is None else filled(network, located(self.start), self.name)

    def samples(self, seed: int) -> Samples:
        """Return matches; see `MatchSamples`."""
        matches, made_by = _matches(self, seed)
        every = kept(
            matches,
            count=self.samples_kept,
            per_shard=self.pairs.per_clip,
            folder=str(expanded(self.matches_folder)) if self.matches_folder else '',
            made_by=made_by,
            seed=seed,
        )
        return MatchSamples(every, self.draws, self.deep_fundamental.side_channels, seed)

    def loss(self, network: nn.Module, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return the paper's loss, the agreement's, and the share of weight on what agrees."""
        del step
        present, true = batch['present'], batch['fundamental']
        masked = present if not bool(present.all()) else None
        found = network(batch['matches'], batch['side'], masked)
        virtual, there = virtual_matches(true, batch['size'], self.step)
        rescale = (found.from_first, found.from_second)
        gamma = self.deep_fundamental.gamma
        epipolar = deep_fundamental_loss(found.fundamental, virtual, there, rescale, gamma)
        first, second = batch['matches'].double().chunk(2, 2)
        distance = epipolar_distance(first, second, true.double())  # (B, N)
        known = there.any(1)
        agreeing = (distance <= self.agree_within) & present & known[:, None]
        agreement = agreement_loss(found.weights.float(), agreeing)
        right = (found.weights[-1] * agreeing).sum(1)[known]
        return {
            'loss': epipolar.float() + self.agreement * agreement,
            'epipolar': epipolar.float(),
            'agreement': agreement,
            'right': right.mean() if len(right) else right.sum(),
        }

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Return the paper's figures in held-out worlds beside RANSAC, with and without ratio test.

        They are of the network's own matrix, not of one that was looked for among the good matches
        afterwards.
        """
        assert isinstance(network, DeepFundamental)
        weigher = MatchWeigher(network, device=str(next(network.parameters()).device))
        figures: dict[str, float] = {}
        for test in _TESTS:
            for name, answer in (('', _answers(weigher)), (f'_{_BESIDE.lower()}', _ransac)):
                scores = _scores(_held_out(self), test, self.draws.ratio, answer)
                inliers, f_score, _, median = summary(scores, float(np.hypot(*self.worlds.size)))
                figures |= {
                    f'inliers_{test}{name}': inliers or 0.0,
                    f'f_score_{test}{name}': f_score or 0.0,
                    f'median_px_{test}{name}': median or 0.0,
                }
        return figures

    def pictures(self, network: nn.Module, batch: Batch) -> dict[str, ByteImage]:
        """Return the matches of the first pair as arrows, the brighter the more they count."""
        with torch.no_grad():
            found = network(*(batch[name][:1] for name in ('matches', 'side', 'present')))
        weights = found.weights[-1, 0].float().cpu().numpy()
        weights = weights / max(float(weights.max()), 1e-12)
        width, height = (int(x) for x in batch['size'][0])
        picture = np.zeros((_SCALE * height, _SCALE * width, 3), np.uint8)
        matches = batch['matches'][0].cpu().numpy()
        for i in np.argsort(weights):
            ends = np.rint(_SCALE * matches[i]).astype(int)
            shade = int(55 + 200 * weights[i])
            cv2.line(picture, tuple(ends[:2]), tuple(ends[2:]), (shade, shade // 2, 55), 1)
        return {'weights': picture}

    def smoke(self) -> DeepFundamentalRecipe:
        """Return a version with a tiny network and clips of two small pictures of painted rooms."""
        return replace(
            self,
            deep_fundamental=replace(self.deep_fundamental, widths=(8, 8)),
            worlds=replace(
                self.worlds, size=(96, 64), frames=2, scenes=('room',), motions=('walk',)
            ),
            pairs=replace(self.pairs, points=64, pairs=1),
            draws=replace(self.draws, matches=32),
            matches_folder='',
            step=0.2,
            photos=(),
            start=None,
            validation_clips=1,
        )

    def export(self, network: nn.Module) -> nn.Module:
        """Return the network."""
        return network.eval()


def _matches(recipe: DeepFundamentalRecipe, seed: int) -> tuple[Samples, dict[str, Any]]:
    """Return all matches of worlds, and what they depend on."""
    learned = Learned(load_features(recipe.superpoint, device='cpu'))
    pool = PhotoPool([expanded(path) for path in recipe.photos]) if recipe.photos else None
    worlds = WorldSamples(recipe.worlds, seed, photos=pool)
    made_by = {
        'worlds': to_dict(recipe.worlds),
        'pairs': to_dict(recipe.pairs),
        'photos': [str(path) for path in recipe.photos],
        'superpoint': hashlib.sha256(learned.weights.read_bytes()).hexdigest()[:16],
        'seed': seed,
    }
    return WorldMatches(worlds, recipe.pairs, learned, seed), made_by


def _answers(weigher: MatchWeigher) -> Answer:
    def answer(matches: FloatArray, side: FloatArray) -> FloatArray:
        cosine = 1 - side[:, 0] ** 2 / 2
        others = side[:, 1 : max(1, weigher.network.config.side_channels)]
        return weigher.weigh(matches[:, :2], matches[:, 2:], cosine, others).fundamental

    return answer


def _ransac(matches: FloatArray, _side: FloatArray) -> FloatArray:
    return consensus(_BESIDE)(matches[:, :2], matches[:, 2:])


def _scores(
    samples: list[Sample], test: str, ratio: float, answer: Answer
) -> list[FundamentalScore]:
    """Return how good the matrices are that an answer gives, where the true one is known."""
    found = []
    for sample in samples:
        which, true = passing(sample, test, ratio), np.asarray(sample['fundamental'], np.float64)
        if len(which) < LEAST or not true.any():
            continue
        matches = np.asarray(sample['matches'], np.float32)[which]
        matrix = answer(matches, np.asarray(sample['side'], np.float32)[which])
        scored = score(matches[:, :2], matches[:, 2:], matrix, true)
        found += [scored] if scored is not None else []
    return found


@lru_cache(maxsize=1)
def _held_out(recipe: DeepFundamentalRecipe) -> list[Sample]:
    """Return all samples of clips that no run sees."""
    one_each = replace(recipe, worlds=replace(recipe.worlds, per_world=1))
    matches, _ = _matches(one_each, _HELD_OUT)
    return [matches[index] for index in range(recipe.validation_clips * recipe.pairs.per_clip)]
