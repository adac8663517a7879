"""Homographic adaptation: labels for photos from a detector that has only seen drawings.

A detector that is trained on drawings finds some corners of a photo and misses others. Looking at
the photo through many random homographies and averaging the answers finds more of them, and those
that are found from everywhere (DeTone et al., CVPRW 2018, sec. 5):

    heat(x) = sum_i valid_i(x) teacher(image warped by H_i)(H_i x) / sum_i valid_i(x)

The labels are kept, with the pieces of photos they belong to, in a folder of files, so that making
them can be stopped and continued, and shared by as many processes as are started.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from dlcv.config import to_dict
from dlcv.data.augment.homographies import (
    HomographyConfig,
    sample_homography,
    valid_mask,
    warp_image,
)
from dlcv.data.augment.photometric import to_bytes
from dlcv.data.synthetic.photos import PhotoPool
from dlcv.networks.layers.keypoints import detect_dense
from dlcv.training.shards import opened_shard, settings_text, write_shard
from dlcv.types import ByteImage

FloatArray = npt.NDArray[np.float32]
Teacher = Callable[[ByteImage], FloatArray]
"""Maps grey pictures ``(N, H, W)``, uint8, to heat ``(N, H, W)`` in [0, 1]."""
Report = Callable[[int, int], None]
"""Told how many pieces are labelled, of how many."""

_SHARD = 50  # pieces of one file
_TRIES = 8  # of cutting a piece that is not flat
_SURROUNDINGS = 16.0  # deviation in pixels of the window of ``balance``
_CLIMBS = 3  # after which nearly all points stand on a corner that is the strongest around
_FLAT = 12.0  # standard deviation in grey levels under which a piece shows sky or wall


@dataclass(frozen=True, kw_only=True, slots=True)
class AdaptationConfig:
    """How often and from where a picture is looked at, and which maxima become labels.

    Attributes:
        views: Homographies in all, the first of them the identity. The paper takes 100.
        homographies: Which are drawn.
        border: Heat this near to the edge of a view, or to the picture's edge in it, is not
            counted: there the detector sees the edge, not the picture.
        clipped: Share of the darkest and of the brightest pixels that may be clipped to bring a
            piece to full contrast before it is looked at: a detector of drawings finds little in
            the dark. 0 leaves pieces as they are, as the paper does.
        flat: Labels are dropped where the grey levels of the 9x9 pixels around them deviate by
            less than this: there is nothing but noise. 0 keeps all, as the paper does.
        balance: Power of the mean heat of the surroundings by which heat is divided before the
            strongest are chosen: they are then found all over the picture, and not only where it
            is emptiest. 0 leaves heat as it is, as the paper does.
        snap: Labels move to the strongest corner (the smaller eigenvalue of the structure tensor;
            Shi and Tomasi, CVPR 1994) within this many pixels along x and y, see :func:`snapped`:
            maxima of a weak heat lie anywhere. 0 leaves them where they are, as the paper does.
        threshold: Least mean heat of a label.
        radius: Labels are further apart than this many pixels.
        limit: Keep only this many of the strongest.
    """

    views: int = 100
    homographies: HomographyConfig = field(
        default_factory=lambda: HomographyConfig(
            patch=0.9, perspective=(0.1, 0.1), scale=0.2, translation=0.1
        )
    )
    border: int = 8
    clipped: float = 0.0
    flat: float = 0.0
    balance: float = 0.0
    snap: int = 0
    threshold: float = 0.015
    radius: int = 4
    limit: int = 600

    def __post_init__(self) -> None:
        if self.views < 1 or self.border < 0 or self.radius < 0 or self.limit < 1:
            raise ValueError(
                'adaptation needs views >= 1, border >= 0, radius >= 0 and limit >= 1, got '
                f'{self.views}, {self.border}, {self.radius} and {self.limit}'
            )
        if not 0 <= self.clipped < 0.5:
            raise ValueError(f'adaptation needs clipped in [0, 0.5), got {self.clipped}')


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelConfig:
    """Which pieces of photos are labelled.

    Attributes:
        count: Number of pieces.
        size: (height, width) of each, multiples of 8.
        seed: Decides pieces and homographies.
        adaptation: How they are labelled.
    """

    count: int = 2000
    size: tuple[int, int] = (240, 320)
    seed: int = 0
    adaptation: AdaptationConfig = field(default_factory=AdaptationConfig)

    def __post_init__(self) -> None:
        if self.count < 1 or min(self.size) < 8 or any(side % 8 for side in self.size):
            raise ValueError(
                f'labels need count >= 1 and a size in multiples of 8, got {self.count} and '
                f'{self.size}'
            )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Labelled:
    """One piece of a photo and its interest points.

    Attributes:
        image: ``(H, W)`` grey, uint8.
        xy: ``(N, 2)`` int16 pixels, strongest first.
        scores: ``(N,)`` float32, mean heat.
    """

    image: ByteImage
    xy: npt.NDArray[np.int16]
    scores: FloatArray

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the image."""
        return self.image.shape[0], self.image.shape[1]


def adapted_heat(
    teacher: Teacher, image: ByteImage, rng: np.random.Generator, config: AdaptationConfig
) -> FloatArray:
    """Average a detector's answers over random views.

    Args:
        teacher: The detector.
        image: ``(H, W)`` grey.
        rng: Decides the views.
        config: How many, and which.

    Returns:
        ``(H, W)``; 0 where no view could tell.
    """
    height, width = size = image.shape[0], image.shape[1]
    views = [np.eye(3)]
    views += [sample_homography(rng, size, config.homographies) for _ in range(config.views - 1)]
    heats = teacher(np.stack([_seen(image, view) for view in views]))
    edge = np.zeros(size, np.float32)
    edge[config.border : height - config.border, config.border : width - config.border] = 1
    total, count = np.zeros(size, np.float32), np.zeros(size, np.float32)
    for view, heat in zip(views, heats, strict=True):
        known = edge * valid_mask(view, size, config.border)
        image_from_view = np.linalg.inv(view)
        total += warp_image(heat * known, image_from_view, size)
        count += warp_image(known, image_from_view, size)
    # Less than one view's worth is the blurred rim of a view.
    return np.where(count > 0.99, total / np.maximum(count, 1e-6), 0).astype(np.float32)


def full_contrast(image: ByteImage, clipped: float) -> ByteImage:
    """Spread the grey levels of a picture over all there are.

    Args:
        image: ``(H, W)`` grey.
        clipped: Share of the darkest and of the brightest pixels that become 0 and 255; 0 changes
            nothing.
    """
    low, high = np.quantile(image, (clipped, 1 - clipped))
    if not clipped or high <= low:
        return image
    return to_bytes((image.astype(np.float32) - low) * (255 / (high - low)))


def label(
    teacher: Teacher, image: ByteImage, rng: np.random.Generator, config: AdaptationConfig
) -> Labelled:
    """Label a picture by homographic adaptation; see :func:`adapted_heat`."""
    clear = full_contrast(image, config.clipped)
    heat = adapted_heat(teacher, clear, rng, config)
    if config.flat:
        heat[deviation(clear) < config.flat] = 0
    heat[heat <= config.threshold] = 0
    surroundings = cv2.GaussianBlur(heat, (0, 0), _SURROUNDINGS) + max(config.threshold, 1e-6)
    xy, _ = detect_dense(
        heat / surroundings**config.balance,
        threshold=0.0,
        radius=config.radius,
        limit=config.limit,
    )
    points = xy.astype(np.intp)
    scores = heat[points[:, 1], points[:, 0]]
    if config.snap:
        points, kept = snapped(clear, points, config.snap)
        scores = scores[kept]
    return Labelled(image=image, xy=points.astype(np.int16), scores=scores)


def snapped(
    image: ByteImage, xy: npt.NDArray[np.intp], reach: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Move points to the strongest corner near them, and on from there three times at most.

    Args:
        image: ``(H, W)`` grey.
        xy: ``(N, 2)`` pixels.
        reach: How far they may move along x and y each time.

    Returns:
        ``(M, 2)`` pixels, all different, and ``(M,)`` which of the points they were, in their
        order; of points that come together the first one stays.
    """
    smooth = cv2.GaussianBlur(image, (0, 0), 1.0)
    strength = cv2.cornerMinEigenVal(smooth, 3)
    padded = np.pad(strength, reach, constant_values=-1.0)
    side = 2 * reach + 1
    windows = np.lib.stride_tricks.sliding_window_view(padded, (side, side))  # (H, W, side, side)
    moved = xy
    for _ in range(_CLIMBS):
        near = windows[moved[:, 1], moved[:, 0]].reshape(len(xy), side * side)
        best = near.argmax(axis=1)
        moved = moved + np.stack((best % side, best // side), axis=1) - reach
    kept = np.sort(np.unique(moved, axis=0, return_index=True)[1])
    return moved[kept], kept


def deviation(image: ByteImage) -> FloatArray:
    """Return the standard deviation of the grey levels of the 9x9 pixels around each pixel."""
    values, window = image.astype(np.float32), (9, 9)
    mean = cv2.boxFilter(values, -1, window)
    square = cv2.boxFilter(values * values, -1, window)
    return np.asarray(np.sqrt(np.maximum(square - mean * mean, 0)), np.float32)


def cut(photos: PhotoPool, index: int, config: LabelConfig) -> ByteImage:
    """Return the grey piece of photos of a number; flat ones are passed over if others are found.

    Returns:
        ``(H, W)`` uint8.
    """
    rng = np.random.default_rng([config.seed, index, 0])
    for _ in range(_TRIES):
        piece = cv2.cvtColor(photos.crop(rng, *config.size), cv2.COLOR_RGB2GRAY)
        if piece.std() > _FLAT:
            break
    return np.asarray(piece, np.uint8)


def make_labels(
    photos: PhotoPool,
    teacher: Teacher,
    config: LabelConfig,
    report: Report = lambda _done, _of: None,
) -> list[Labelled]:
    """Label pieces and keep them in memory only; see :func:`cached_labels`."""
    pieces = []
    for index in range(config.count):
        pieces.append(_labelled(photos, teacher, index, config))
        report(index + 1, config.count)
    return pieces


def cached_labels(
    folder: Path,
    photos: PhotoPool,
    teacher: Callable[[], Teacher],
    config: LabelConfig,
    source: Mapping[str, str],
    report: Report = lambda _done, _of: None,
) -> list[Labelled]:
    """Read the labels of a folder, after making those that are missing.

    Several processes may do this at one time; they begin at different places.

    Args:
        folder: Where the files are, or are to be.
        photos: What pieces are cut from.
        teacher: Gives the detector; called only if labels are missing.
        config: Which pieces, and how they are labelled.
        source: What else the labels depend on, such as the digest of the teacher's weights.
        report: Told how many pieces are labelled, of how many.

    Raises:
        TrainError: If the folder holds labels that were made in another way.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made_by = {**to_dict(config), **source, 'photos': len(photos)}
    del made_by['count']  # more pieces of the same kind may be added
    settings = settings_text(made_by)
    files = {start: folder / f'{start:06d}.safetensors' for start in range(0, config.count, _SHARD)}
    missing = [start for start, file in files.items() if not file.exists()]
    begin = os.getpid() * 7 % max(1, len(missing))
    found = teacher() if missing else None
    for start in missing[begin:] + missing[:begin]:
        if found is not None and not files[start].exists():
            pieces = [_labelled(photos, found, start + i, config) for i in range(_SHARD)]
            _write(files[start], pieces, settings)
        done = _SHARD * sum(file.exists() for file in files.values())
        report(min(done, config.count), config.count)
    return [piece for file in files.values() for piece in _read(file, settings)][: config.count]


def _seen(image: ByteImage, view: npt.NDArray[np.float64]) -> ByteImage:
    """Return a view of a picture that goes on as in a mirror, so that its edges look like nothing.

    A detector of drawings finds points along black edges, and along no others beside them.
    """
    size = (image.shape[1], image.shape[0])
    warped = cv2.warpPerspective(image, view, size, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(warped, np.uint8)


def _labelled(photos: PhotoPool, teacher: Teacher, index: int, config: LabelConfig) -> Labelled:
    rng = np.random.default_rng([config.seed, index, 1])
    return label(teacher, cut(photos, index, config), rng, config.adaptation)


def _write(file: Path, pieces: Sequence[Labelled], settings: str) -> None:
    content: dict[str, npt.NDArray[Any]] = {
        'images': np.stack([piece.image for piece in pieces]),
        'counts': np.array([len(piece.xy) for piece in pieces], np.int32),
        'xy': np.concatenate([piece.xy for piece in pieces]),
        'scores': np.concatenate([piece.scores for piece in pieces]).astype(np.float32),
    }
    write_shard(file, content, settings)


def _read(file: Path, settings: str) -> list[Labelled]:
    with opened_shard(file, settings) as opened:
        images, counts, xy, scores = (
            opened.get_tensor(name) for name in ('images', 'counts', 'xy', 'scores')
        )
    ends = np.cumsum(counts)[:-1]
    return [
        Labelled(image=image, xy=points, scores=strengths)
        for image, points, strengths in zip(
            images, np.split(xy, ends), np.split(scores, ends), strict=True
        )
    ]
