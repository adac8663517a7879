"""Patches of points that two pictures of a generated world both show, for LIFT.

As in the paper they stand on interest points of SIFT, each at the place and scale, and with the
orientation, that SIFT gives it in that picture. That two of them are one point is told by the
world's depth and motion, not by their looks.

Letters in this file: H W size of a picture in pixels, N points of a sample, S side of a patch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

import cv2
import numpy as np
import numpy.typing as npt

from dlcv.data.augment.homographies import warp_image, warp_points
from dlcv.data.augment.photometric import PhotometricConfig, photometric
from dlcv.metrics.baselines.features import Classical
from dlcv.networks.lift import PATCH, REACH, SEARCHED
from dlcv.training.pairs import PairConfig, similarity, widely
from dlcv.training.recipe import Sample, Samples, TrainError
from dlcv.types import ByteImage, FloatArray

Cut = Literal['oriented', 'upright', 'shifted']


@dataclass(frozen=True, kw_only=True, slots=True)
class PatchConfig:
    """Which points a sample has, and how their patches are cut.

    Attributes:
        points: N.
        limit: Strongest points of SIFT of each picture.
        near: Distance in scales, and in pixels where that is more, within which a point of the
            second picture is the one of the first.
        octaves: By which their scales may differ from what the world's motion says.
        turn: Radians by which their orientations may.
        apart: Least distance in pixels of two points of a sample.
        shift: Scales by which a searched patch is off its point at most, along x and y: else the
            detector would learn to find the middle. The paper draws from a range of 4.8.
        wide: Share of pairs of which one picture is turned and up to ``wide_zoom`` times as large.
        wide_zoom: See `PairConfig`.
        photometric: Change of light, drawn for both pictures.
    """

    points: int = 32
    limit: int = 600
    near: float = 0.5
    octaves: float = 0.5
    turn: float = 0.5
    apart: float = 6.0
    shift: float = 2.4
    wide: float = 0.7
    wide_zoom: float = 2.0
    photometric: PhotometricConfig = field(default_factory=PhotometricConfig)

    def __post_init__(self) -> None:
        least = (self.near, self.octaves, self.turn)
        if min(self.points, self.limit) < 1 or min(least) <= 0 or min(self.apart, self.shift) < 0:
            raise TrainError(
                'patches need points and limit >= 1, near, octaves and turn > 0, apart and shift '
                f'>= 0, got {self}'
            )


class PatchPairs:
    """Samples of patches; each a function of seed and number.

    A sample has ``first`` and ``second``, ``(N, S, S)`` uint8, and ``seen``, ``(N,)`` bool: where
    there are fewer points than N, the rest repeats some. Searched patches come with
    ``first_off`` and ``second_off``, ``(N, 2)`` float32, where their points are, in pixels from the
    middle, ``turn``, ``(N,)`` float32, of the second picture, and ``empty``, ``(N, S, S)`` uint8:
    places of the first picture as far from any of SIFT's points as can be had.

    Args:
        pairs: Of `GreyPairs`.
        config: Which points.
        cut: ``oriented``: described patches, turned by SIFT's orientation; ``upright``: searched
            ones; ``shifted``: searched ones that are off their points.
        seed: Decides all there is to decide.

    Raises:
        TrainError: If there is no such cut.
    """

    def __init__(self, pairs: Samples, config: PatchConfig, cut: Cut, seed: int) -> None:
        if cut not in get_args(Cut):
            raise TrainError(f'patches are cut {", ".join(get_args(Cut))}, not {cut!r}')
        self._pairs, self._config, self._cut, self._seed = pairs, config, cut, seed

    def __getitem__(self, index: int) -> Sample:
        """Return the sample of that number."""
        config, pair = self._config, self._pairs[index]
        rng = np.random.default_rng([self._seed, index, 41])
        first, second = (np.asarray(pair[name], np.uint8) for name in ('first', 'second'))
        ratio, turn = widely(rng, PairConfig(wide=config.wide, wide_zoom=config.wide_zoom))
        size = first.shape[0], first.shape[1]
        moved = similarity(size, ratio, turn)
        second = warp_image(second, moved, size)
        lit = [photometric(image, rng, config.photometric) for image in (first, second)]
        points = [sift_points(image, config.limit) for image in lit]
        there, shown = _carried(points[0], pair, moved)
        index_pairs = corresponding(
            points[0], points[1], there, shown, ratio=ratio, turn=turn, config=config
        )
        chosen = _spread(rng, points[0][index_pairs[:, 0], :2], config)
        seen = np.arange(config.points) < len(chosen)
        if len(chosen):
            both = index_pairs[np.resize(chosen, config.points)]
            at = points[0][both[:, 0]], points[1][both[:, 1]]
        else:
            nowhere = np.tile([first.shape[1] / 2, first.shape[0] / 2, 1, 0], (config.points, 1))
            at = nowhere, nowhere
        if self._cut == 'oriented':
            cuts = [patches(i, p, PATCH, REACH, turned=True) for i, p in zip(lit, at, strict=True)]
            return {'first': cuts[0], 'second': cuts[1], 'seen': seen}
        return self._searched(rng, lit, points[0], at) | {
            'seen': seen,
            'turn': np.full(config.points, turn, np.float32),
        }

    def _searched(
        self,
        rng: np.random.Generator,
        lit: list[ByteImage],
        points: FloatArray,
        at: tuple[FloatArray, FloatArray],
    ) -> dict[str, npt.NDArray[np.generic]]:
        config, sample = self._config, dict[str, npt.NDArray[np.generic]]()
        most = config.shift if self._cut == 'shifted' else 0.0
        for name, image, here in zip(('first', 'second'), lit, at, strict=True):
            shift = rng.uniform(-most, most, (config.points, 2))  # in scales
            middle = here.copy()
            middle[:, :2] += shift * here[:, 2:3]
            sample[name] = patches(image, middle, SEARCHED, 2 * REACH)
            sample[f'{name}_off'] = (-shift * SEARCHED / (4 * REACH)).astype(np.float32)
        sample['empty'] = patches(lit[0], _empty(rng, lit[0], points, at[0]), SEARCHED, 2 * REACH)
        return sample


def sift_points(image: ByteImage, limit: int) -> FloatArray:
    """Return the points of SIFT ``(N, 4)``: x, y, scale in pixels, angle in rad."""
    found = Classical('SIFT').detect(image, limit)
    assert found.sizes is not None
    assert found.angles is not None
    # OpenCV's size is the diameter of a circle whose radius is the scale.
    return np.column_stack((found.xy, found.sizes / 2, found.angles)).astype(np.float64)


def corresponding(
    first: FloatArray,
    second: FloatArray,
    there: FloatArray,
    shown: npt.NDArray[np.bool_],
    *,
    ratio: float,
    turn: float,
    config: PatchConfig,
) -> npt.NDArray[np.intp]:
    """Return which points are one, ``(K, 2)`` places in first and second.

    Args:
        first: ``(N, 4)`` of `sift_points`.
        second: ``(M, 4)``.
        there: ``(N, 2)`` where those of the first picture are in the second.
        shown: ``(N,)`` whether they are seen there.
        ratio: By which the second picture is larger, but for the world's motion.
        turn: By which it is turned.
        config: How near they must be.
    """
    if not len(first) or not len(second):
        return np.zeros((0, 2), np.intp)
    sigma = first[:, 2] * ratio
    apart = np.linalg.norm(there[:, None] - second[None, :, :2], axis=2)  # (N, M)
    octaves = np.abs(np.log2(second[None, :, 2] / sigma[:, None]))
    turned = second[None, :, 3] - first[:, None, 3] - turn
    turned = np.abs((turned + np.pi) % (2 * np.pi) - np.pi)
    good = (apart <= np.maximum(config.near * sigma, 1.5)[:, None]) & shown[:, None]
    good &= (octaves <= config.octaves) & (turned <= config.turn)
    cost = np.where(good, apart / sigma[:, None] + octaves + turned, np.inf)
    best = cost.argmin(axis=1)
    rows = np.flatnonzero(np.isfinite(cost[np.arange(len(first)), best]))
    return np.stack((rows, best[rows]), axis=1).astype(np.intp)


def patches(
    image: ByteImage, points: FloatArray, side: int, reach: float, *, turned: bool = False
) -> ByteImage:
    """Cut patches ``(N, S, S)`` out of a picture, as `dlcv.networks.lift.crop` does.

    Args:
        image: ``(H, W)``; its outermost pixels go on outside.
        points: ``(N, 4)`` of `sift_points`.
        side: S.
        reach: Scales from a point to the edges of its patch.
        turned: Whether the patch's x axis points along the angle, not along the picture's.
    """
    cut = np.empty((len(points), side, side), np.uint8)
    for patch, (x, y, sigma, angle) in zip(cut, points, strict=True):
        step = 2 * reach * sigma / side
        c, s = (step * np.cos(angle), step * np.sin(angle)) if turned else (step, 0.0)
        middle = (side - 1) / 2
        image_from_patch = np.array(
            [[c, -s, x - (c - s) * middle], [s, c, y - (s + c) * middle]], np.float64
        )
        cv2.warpAffine(
            image, image_from_patch, (side, side), dst=patch,
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE,
        )  # fmt: skip
    return cut


def _carried(
    points: FloatArray, pair: Sample, moved: FloatArray
) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Return where points of the first picture are in the second, and whether it shows them."""
    flow = np.asarray(pair['flow'], np.float64)
    last = np.array(flow.shape[1::-1]) - 1
    x, y = np.clip(np.rint(points[:, :2]), 0, last).astype(np.intp).T
    away = points[:, :2] + flow[y, x]
    shown = ~np.asarray(pair['hidden'], np.bool_)[y, x] & np.isfinite(away).all(axis=1)
    away = np.where(shown[:, None], away, 0)
    there = warp_points(away, moved)
    shown &= ((away >= 0) & (away <= last) & (there >= 0) & (there <= last)).all(axis=1)
    return there, shown


def _spread(rng: np.random.Generator, xy: FloatArray, config: PatchConfig) -> npt.NDArray[np.intp]:
    """Return places of points in a random order, none near to one before it, at most N."""
    chosen: list[int] = []
    for i in rng.permutation(len(xy)).tolist():
        if len(chosen) == config.points:
            break
        apart = np.linalg.norm(xy[chosen] - xy[i], axis=1)
        if not len(apart) or apart.min() >= config.apart:
            chosen.append(i)
    return np.array(chosen, np.intp)


def _empty(
    rng: np.random.Generator, image: ByteImage, points: FloatArray, at: FloatArray
) -> FloatArray:
    """Return places with the scales of ``at``, far from all points for their scale."""
    height, width = image.shape
    drawn = rng.uniform(0, (width - 1, height - 1), (len(at), 16, 2))
    if len(points):
        apart = np.linalg.norm(drawn[:, :, None] - points[:, :2], axis=3)  # (N, 16, M)
        farthest = apart.min(axis=2).argmax(axis=1)
    else:
        farthest = np.zeros(len(at), np.intp)
    place = drawn[np.arange(len(at)), farthest]
    return np.column_stack((place, at[:, 2:]))
