"""How well points are found again and matched during training, beside SIFT and ORB.

A small bench on photos warped in the manner of HPatches: the same number of points and the same
matcher (mutual nearest neighbours, RANSAC at 3 px) for all. The full one is
``dlcv bench features``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from dlcv.data.augment.homographies import (
    HPATCHES_LIKE,
    HomographyConfig,
    sample_homography,
    warp_image,
)
from dlcv.data.augment.photometric import PhotometricConfig, photometric
from dlcv.data.synthetic.photos import PhotoPool
from dlcv.metrics import features as metrics
from dlcv.metrics.baselines.features import Method, estimate, mutual, neighbours
from dlcv.types import ByteImage

_SEED = 2018
# Turned by any angle, and enlarged up to three times.
WIDE = HomographyConfig(perspective=(0.1, 0.1), scale=2.0, rotation=np.pi, overlap=0.3, area=0.04)
_LIGHT = PhotometricConfig(probability=0.5)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Pair:
    """Two grey pictures of one plane, and where its points move."""

    first: ByteImage
    second: ByteImage
    truth: metrics.TrueMotion


def warped_pairs(
    photos: PhotoPool,
    count: int,
    size: tuple[int, int],
    views: HomographyConfig = HPATCHES_LIKE,
) -> list[Pair]:
    """Return pairs whose second picture is warped and lit differently; the same at each call.

    Args:
        photos: What they are cut from.
        count: Number of pairs.
        size: (height, width) of the pictures.
        views: From where the second picture looks at the first.
    """
    pairs = []
    for index in range(count):
        rng = np.random.default_rng([_SEED, index])
        # A larger piece, so that the second picture shows something beside the first, too.
        large = cv2.cvtColor(photos.crop(rng, 2 * size[0], 2 * size[1]), cv2.COLOR_RGB2GRAY)
        first_from_large = np.array([[1, 0, -size[1] / 2], [0, 1, -size[0] / 2], [0, 0, 1.0]])
        second_from_first = sample_homography(rng, size, views)
        second = warp_image(large, second_from_first @ first_from_large, size)
        truth = metrics.TrueMotion(
            second_from_first=second_from_first, first_size=size, second_size=size
        )
        pairs.append(
            Pair(
                first=warp_image(large, first_from_large, size),
                second=photometric(second, rng, _LIGHT),
                truth=truth,
            )
        )
    return pairs


def figures(pairs: Sequence[Pair], method: Method, limit: int) -> dict[str, float]:
    """Return means over pairs: repeatability, matching score, NN mAP, homography accuracy.

    Args:
        pairs: What is looked at.
        method: What finds and describes the points.
        limit: Most points of a picture.
    """
    repeated, score, precision, errors = [], [], [], []
    for pair in pairs:
        first, second = method.detect(pair.first, limit), method.detect(pair.second, limit)
        forth, back = neighbours(first.descriptors, second.descriptors)
        both = (first.xy, second.xy, forth, back, pair.truth)
        repeated.append(metrics.repeatability(first.xy, second.xy, pair.truth))
        score.append(metrics.matching_score(*both))
        precision.append(metrics.nn_map(*both))
        found = estimate(first.xy, second.xy, mutual(forth, back))
        errors.append(metrics.corner_error(found, pair.truth))
    return {
        'repeatability': metrics.mean_known(repeated),
        'matching_score': metrics.mean_known(score),
        'nn_map': metrics.mean_known(precision),
        **{f'homography_{px}px': metrics.homography_correct(errors, px) for px in (1, 3, 5)},
    }
