"""How well points are found again and matched during training, beside SIFT and ORB.

A small bench on photos warped in the manner of HPatches: the same number of points and the same
matcher (mutual nearest neighbours, RANSAC at 3 px) for all. The full one is
``dlcv bench features``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from dlcv.augment.homographies import HPATCHES_LIKE, sample_homography, warp_image
from dlcv.augment.photometric import PhotometricConfig, photometric
from dlcv.metrics import features as metrics
from dlcv.nn.keypoints import Sampling, detect_dense, heatmap, sample_descriptors
from dlcv.synthetic.photos import PhotoPool
from dlcv.types import ByteImage, FloatArray

_SEED = 2018
_RANSAC_PIXELS = 3.0
_LIGHT = PhotometricConfig(probability=0.5)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Pair:
    """Two grey pictures of one plane, and where its points move."""

    first: ByteImage
    second: ByteImage
    truth: metrics.TrueMotion


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Features:
    """Points ``(N, 2)`` of a picture, strongest first, and descriptors ``(N, D)`` of length 1."""

    xy: FloatArray
    descriptors: FloatArray


Extract = Callable[[ByteImage], Features]


def warped_pairs(photos: PhotoPool, count: int, size: tuple[int, int]) -> list[Pair]:
    """Return pairs whose second picture is warped and lit differently; the same at each call.

    Args:
        photos: What they are cut from.
        count: Number of pairs.
        size: (height, width) of the pictures.
    """
    pairs = []
    for index in range(count):
        rng = np.random.default_rng([_SEED, index])
        # A larger piece, so that the second picture shows something beside the first, too.
        large = cv2.cvtColor(photos.crop(rng, 2 * size[0], 2 * size[1]), cv2.COLOR_RGB2GRAY)
        first_from_large = np.array([[1, 0, -size[1] / 2], [0, 1, -size[0] / 2], [0, 0, 1.0]])
        second_from_first = sample_homography(rng, size, HPATCHES_LIKE)
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


def figures(pairs: Sequence[Pair], extract: Extract) -> dict[str, float]:
    """Return means over pairs: repeatability, matching score, NN mAP, homography accuracy."""
    repeated, score, precision, errors = [], [], [], []
    for pair in pairs:
        first, second = extract(pair.first), extract(pair.second)
        forth, back = _nearest(first, second), _nearest(second, first)
        both = (first.xy, second.xy, forth, back, pair.truth)
        repeated.append(metrics.repeatability(first.xy, second.xy, pair.truth))
        score.append(metrics.matching_score(*both))
        precision.append(metrics.nn_map(*both))
        errors.append(metrics.corner_error(_homography(first, second), pair.truth))
    return {
        'repeatability': metrics.mean_known(repeated),
        'matching_score': metrics.mean_known(score),
        'nn_map': metrics.mean_known(precision),
        **{f'homography_{px}px': metrics.homography_correct(errors, px) for px in (1, 3, 5)},
    }


def classical(method: Any, limit: int) -> Extract:
    """Return OpenCV's SIFT or ORB as an extractor of the strongest ``limit`` points."""

    def extract(image: ByteImage) -> Features:
        points, found = method.detectAndCompute(image, None)
        if found is None:
            return Features(xy=np.zeros((0, 2), np.float32), descriptors=np.zeros((0, 1)))
        order = np.argsort([-point.response for point in points], kind='stable')[:limit]
        xy = np.array([point.pt for point in points], np.float32)[order]
        if found.dtype == np.uint8:  # the product of signs falls as the Hamming distance grows
            bits = np.unpackbits(found[order], axis=1).astype(np.float32) * 2 - 1
            return Features(xy=xy, descriptors=bits / math.sqrt(bits.shape[1]))
        lengths = np.linalg.norm(found[order], axis=1, keepdims=True)
        return Features(xy=xy, descriptors=found[order] / np.maximum(lengths, 1e-9))

    return extract


def learned(network: nn.Module, limit: int, sampling: Sampling) -> Extract:
    """Return a SuperPoint as an extractor of the strongest ``limit`` points."""
    device = next(network.parameters()).device

    def extract(image: ByteImage) -> Features:
        x = torch.from_numpy(np.ascontiguousarray(image)).to(device)[None, None].float() / 255
        with torch.no_grad():
            logits, maps = network(x)
            xy, _ = detect_dense(heatmap(logits.float())[0].cpu().numpy(), limit=limit)
            places = torch.from_numpy(xy)[None].to(device)
            descriptors = sample_descriptors(maps.float(), places, sampling)[0]
        return Features(xy=xy, descriptors=descriptors.cpu().numpy())

    return extract


def mutual(first: Features, second: Features) -> npt.NDArray[np.intp]:
    """Return the indices ``(K, 2)`` of points that are each other's nearest neighbours."""
    if not len(first.xy) or not len(second.xy):
        return np.zeros((0, 2), np.intp)
    forth, back = _nearest(first, second).index, _nearest(second, first).index
    index = np.arange(len(forth))
    good = back[forth] == index
    return np.stack((index[good], forth[good]), axis=1)


def _nearest(first: Features, second: Features) -> metrics.Nearest:
    count = len(first.xy)
    if not count or not len(second.xy):
        return metrics.Nearest(index=np.zeros(count, np.intp), distance=np.full(count, np.inf))
    similar = first.descriptors @ second.descriptors.T
    best = similar.argmax(axis=1)
    return metrics.Nearest(index=best, distance=1 - similar[np.arange(count), best])


def _homography(first: Features, second: Features) -> FloatArray | None:
    matches = mutual(first, second)
    if len(matches) < 4:
        return None
    source, target = first.xy[matches[:, 0]], second.xy[matches[:, 1]]
    cv2.setRNGSeed(0)
    found, _ = cv2.findHomography(source, target, cv2.RANSAC, _RANSAC_PIXELS)
    return None if found is None else np.asarray(found)
