"""Matches of pictures of generated worlds whose motion is known, right ones and wrong ones.

Each clip gives several pairs of pictures, and each pair matches of SuperPoint and of SIFT. All
nearest neighbours are kept, with what a ratio test or a test of mutuality would look at, so that
one sample serves with such tests and without.

Letters in this file: P points that are looked at in a picture, N matches of a sample, S values of
side information.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from dlcv.data.world import WorldSamples
from dlcv.estimation.deep_fundamental import descriptor_distance, normal
from dlcv.geometry.epipolar import fundamental_of
from dlcv.metrics.baselines.features import Classical, Described, Learned, Method
from dlcv.metrics.baselines.matches import nearest_matches
from dlcv.networks.deep_fundamental import LEAST
from dlcv.training.recipe import Sample, Samples, TrainError
from dlcv.types import Camera, FloatArray, Snapshot

Test = Literal['none', 'mutual', 'ratio']
KINDS = ('SuperPoint', 'SIFT')
"""What finds the points of a clip's samples, in turns."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MatchConfig:
    """Which pictures are matched, and how.

    Attributes:
        points: Strongest points of each picture.
        pairs: Pairs of pictures of a clip; each gives one sample of each kind of points.
        parallax: Least and greatest shift in pixels that the motion gives a point of the median
            depth: with less the true matrix means nothing, with more pictures share nothing.
    """

    points: int = 1000
    pairs: int = 8
    parallax: tuple[float, float] = (1.5, 120.0)

    def __post_init__(self) -> None:
        least, most = self.parallax
        if self.points < 8 or self.pairs < 1 or not 0 < least < most:
            raise TrainError(
                'matches need points >= 8, pairs >= 1 and 0 < least < greatest parallax, got '
                f'{self.points}, {self.pairs} and {self.parallax}'
            )

    @property
    def per_clip(self) -> int:
        """Samples of a clip."""
        return self.pairs * len(KINDS)


@dataclass(frozen=True, kw_only=True, slots=True)
class DrawConfig:
    """Which of the matches a training sample has.

    Attributes:
        tests: Drawn evenly: all matches, mutual ones, or those that pass the ratio test.
        ratio: Greatest ratio of the nearest to the second nearest distance in that test.
        matches: How many; more are drawn from, fewer are repeated, as in the published code.
    """

    tests: tuple[Test, ...] = get_args(Test)
    ratio: float = 0.8
    matches: int = 512

    def __post_init__(self) -> None:
        if not self.tests or not 0 < self.ratio <= 1 or self.matches < 8:
            raise TrainError(
                'drawn matches need some tests, ratio in (0, 1] and matches >= 8, got '
                f'{list(self.tests)}, {self.ratio} and {self.matches}'
            )


class WorldMatches:
    """All nearest neighbours of pairs of pictures, as arrays that can be kept in files.

    A sample has ``matches``, ``(P, 4)`` float32 pixels, ``side``, ``(P, 3)`` float32 (distance of
    the descriptors, differences of scale and angle), ``ratio``, ``(P,)``, ``mutual``, ``(P,)``
    bool, ``count``, how many of the P there are, ``fundamental``, ``(3, 3)`` float64, zeros where
    the clip does not move, and ``size``, ``(2,)``.

    Samples of a clip are made together, and the last clip's are kept: read the numbers in order.

    Args:
        worlds: Clips of two or more frames.
        config: Which pictures are matched.
        learned: SuperPoint.
        seed: Decides which pictures of a clip.
    """

    def __init__(
        self, worlds: WorldSamples, config: MatchConfig, learned: Learned, seed: int
    ) -> None:
        if worlds.config.frames < 2:
            raise TrainError(f'matches need clips of 2 frames, got {worlds.config.frames}')
        self._worlds, self._config, self._seed = worlds, config, seed
        self._methods: tuple[Method, ...] = (learned, Classical('SIFT'))
        self._last: tuple[int, list[Sample]] | None = None

    def __getitem__(self, index: int) -> Sample:
        """Return the sample of that number."""
        clip, place = divmod(index, self._config.per_clip)
        if self._last is None or self._last[0] != clip:
            self._last = (clip, self._clip(clip))
        return self._last[1][place]

    def _clip(self, clip: int) -> list[Sample]:
        views = self._worlds[clip]
        rng = np.random.default_rng([self._seed, clip, 21])

        @cache
        def points(view: int, method: int) -> Described:
            image = views[view].frame.image
            return self._methods[method].detect(image, self._config.points)

        samples = []
        for first, second in self._pairs(views, rng):
            for method in range(len(KINDS)):
                both = points(first, method), points(second, method)
                seen = views[first], views[second]
                samples.append(match_sample(both, seen, self._config.points))
        return samples

    def _pairs(self, views: Sequence[Snapshot], rng: np.random.Generator) -> list[tuple[int, int]]:
        """Return pairs of pictures with enough parallax, in either order, or else any."""
        least, most = self._config.parallax
        every = [(i, j) for i in range(len(views)) for j in range(len(views)) if i != j]
        good = [(i, j) for i, j in every if least <= parallax(views[i], views[j]) <= most]
        choice = good or every
        count = self._config.pairs
        chosen = rng.choice(len(choice), count, replace=len(choice) < count)
        return [choice[i] for i in chosen]


def match_sample(
    points: tuple[Described, Described], views: tuple[Snapshot, Snapshot], limit: int
) -> Sample:
    """Return the nearest neighbours of the points of two views as a sample of `WorldMatches`.

    Args:
        points: Of both views, at most ``limit`` of each.
        views: With cameras of one size and poses.
        limit: P.
    """
    found = nearest_matches(*points)
    height, width = views[0].frame.image.shape[:2]
    side = np.concatenate((descriptor_distance(found.cosine)[:, None], found.side), 1)
    matches = np.concatenate((found.first_xy, found.second_xy), 1)
    return {
        'matches': _padded(matches.astype(np.float32), limit),
        'side': _padded(side.astype(np.float32), limit),
        'ratio': _padded(found.ratio, limit),
        'mutual': _padded(found.mutual, limit),
        'count': np.array(len(found), np.int64),
        'fundamental': true_fundamental(*views),
        'size': np.array((width, height), np.float32),
    }


class MatchSamples:
    """Training samples; each a function of seed and number.

    A sample has ``matches``, ``(N, 4)``, ``side``, ``(N, S)``, each value over its largest,
    ``present``, ``(N,)`` bool, false where there are too few, ``fundamental``, ``(3, 3)`` float64,
    zeros where it is not known, and ``size``, ``(2,)``. Pictures are mirrored and exchanged at
    random.

    Args:
        kept: Of `WorldMatches`.
        config: Which of the matches are taken.
        side_channels: S, at most 3.
        seed: Decides all there is to decide.
    """

    def __init__(self, kept: Samples, config: DrawConfig, side_channels: int, seed: int) -> None:
        self._kept, self._config = kept, config
        self._side, self._seed = side_channels, seed

    def __getitem__(self, index: int) -> Sample:
        """Return the sample of that number."""
        kept, config = self._kept[index], self._config
        rng = np.random.default_rng([self._seed, index, 22])
        which = passing(kept, str(rng.choice(config.tests)), config.ratio)
        if len(which) < LEAST:
            which = passing(kept, 'none', config.ratio)
        enough = len(which) >= LEAST
        which = np.resize(rng.permutation(which), config.matches) if enough else which[:0]
        matches: FloatArray = np.asarray(kept['matches'], np.float64)[which]
        truth: FloatArray = np.asarray(kept['fundamental'], np.float64)
        size = np.asarray(kept['size'], np.float32)
        for axis in (0, 1):
            if rng.random() < 0.5:
                matches, truth = _mirrored(matches, truth, axis, float(size[axis]) - 1)
        if rng.random() < 0.5:
            matches, truth = np.concatenate((matches[:, 2:], matches[:, :2]), 1), truth.T
        side = normal(np.asarray(kept['side'], np.float32)[which, : self._side])
        norm = np.linalg.norm(truth)
        return {
            'matches': _padded(matches.astype(np.float32), config.matches),
            'side': _padded(side, config.matches),
            'present': np.full(config.matches, enough),
            'fundamental': np.ascontiguousarray(truth / norm if norm else truth),
            'size': size,
        }


def passing(kept: Sample, test: str, ratio: float) -> npt.NDArray[np.intp]:
    """Return which matches of a kept sample pass a test."""
    count = int(kept['count'])
    if test == 'none':
        return np.arange(count)
    mutual = np.asarray(kept['mutual'], np.bool_)[:count]
    ratios = np.asarray(kept['ratio'], np.float32)[:count]
    return np.flatnonzero(mutual if test == 'mutual' else ratios <= ratio)


def true_fundamental(first: Snapshot, second: Snapshot) -> FloatArray:
    """Return the fundamental matrix of two views whose cameras and poses are known."""
    (camera, pose), (other, there) = _known(first), _known(second)
    return fundamental_of(camera, other, np.linalg.inv(pose) @ there)


def parallax(first: Snapshot, second: Snapshot) -> float:
    """Return by how many pixels the motion between two views shifts a point of the median depth."""
    (camera, pose), (_, there) = _known(first), _known(second)
    assert first.depth is not None
    away = first.depth[np.isfinite(first.depth)]
    if not len(away):
        return 0.0
    length = float(np.linalg.norm(there[:3, 3] - pose[:3, 3]))
    return camera.fx * length / float(np.median(away))


def _known(view: Snapshot) -> tuple[Camera, FloatArray]:
    assert view.frame.camera is not None
    assert view.world_from_camera is not None
    return view.frame.camera, view.world_from_camera


def _mirrored(
    matches: FloatArray, truth: FloatArray, axis: int, last: float
) -> tuple[FloatArray, FloatArray]:
    """Return the matches of mirrored pictures, and their matrix."""
    mirrored = matches.copy()
    mirrored[:, axis::2] = last - mirrored[:, axis::2]
    flip = np.eye(3)
    flip[axis, axis], flip[axis, 2] = -1, last  # its own inverse
    return mirrored, flip.T @ truth @ flip


def _padded(array: npt.NDArray[np.generic], count: int) -> npt.NDArray[np.generic]:
    missing = [(0, count - len(array)), *[(0, 0)] * (array.ndim - 1)]
    return np.pad(array, missing)
