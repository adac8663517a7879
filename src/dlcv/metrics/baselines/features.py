"""Ways to find and describe points, and the matcher that serves all of them alike."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, Literal, Protocol, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from dlcv.estimation.base import Estimator
from dlcv.estimation.lift import LiftEstimator
from dlcv.estimation.pictures import grey
from dlcv.estimation.superpoint import FeatureEstimator, FeatureSettings
from dlcv.metrics.features import Nearest
from dlcv.types import ByteImage, FloatArray, Frame

E = TypeVar('E', bound=Estimator[Any])

RANSAC_PIXELS = 3.0
NMS_RADIUS = 4


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Described:
    """Points of a picture, strongest first, and their descriptors.

    Attributes:
        xy: ``(N, 2)`` pixels.
        descriptors: ``(N, D)`` float32, or uint8 of which every bit counts.
        sizes: ``(N,)`` their diameters in pixels, where the detector tells.
        angles: ``(N,)`` their orientations in rad, where the detector tells.
    """

    xy: FloatArray
    descriptors: npt.NDArray[Any]
    sizes: FloatArray | None = None
    angles: FloatArray | None = None


class Method(Protocol):
    """Something that finds and describes points."""

    name: str

    def detect(self, image: ByteImage, limit: int) -> Described:
        """Return at most ``limit`` points of a picture, ``(H, W)`` or ``(H, W, 3)``."""


class Classical:
    """A detector with descriptor of OpenCV, with its own settings but for the number of points."""

    def __init__(self, name: Literal['SIFT', 'ORB']) -> None:
        self.name: str = name

    def detect(self, image: ByteImage, limit: int) -> Described:
        """See `Method`."""
        made: Any = cv2.SIFT.create if self.name == 'SIFT' else cv2.ORB.create
        detector = made(nfeatures=limit)
        points, descriptors = detector.detectAndCompute(grey(image), None)
        if descriptors is None:  # what OpenCV gives when there are no points
            kind = np.float32 if self.name == 'SIFT' else np.uint8
            descriptors = np.zeros((0, detector.descriptorSize()), kind)
        # OpenCV keeps more than asked for when the weakest are equally strong.
        order = np.argsort([-p.response for p in points], kind='stable')[:limit]
        xy = np.array([points[i].pt for i in order], np.float32).reshape(-1, 2)
        return Described(
            xy=xy,
            descriptors=descriptors[order],
            sizes=np.array([points[i].size for i in order], np.float32),
            angles=np.radians([points[i].angle for i in order], dtype=np.float32),
        )


class Loaded(Generic[E]):
    """A network that was loaded from a file.

    Args:
        estimator: Its settings are changed.
        name: As in the tables.
    """

    def __init__(self, estimator: E, name: str) -> None:
        self.name = name
        self._estimator = estimator

    @property
    def weights(self) -> Path:
        """The file that was loaded."""
        path = self._estimator.origin.path
        assert path is not None, 'untrained weights were not asked for'
        return path


class Learned(Loaded[FeatureEstimator]):
    """SuperPoint, as the node runs it but for the number of points; see `Loaded`."""

    def __init__(self, estimator: FeatureEstimator, name: str = 'SuperPoint') -> None:
        super().__init__(estimator, name)

    def detect(self, image: ByteImage, limit: int) -> Described:
        """See `Method`."""
        self._estimator.settings = FeatureSettings(
            max_keypoints=limit, nms_radius=NMS_RADIUS, resize_long_side=0
        )
        found = self._estimator.push(Frame(stamp_ns=0, image=image))
        return Described(xy=found.xy, descriptors=found.descriptors)


class LearnedPatches(Loaded[LiftEstimator]):
    """LIFT, with its estimator's settings but for the number of points; see `Loaded`."""

    def __init__(self, estimator: LiftEstimator, name: str = 'LIFT') -> None:
        super().__init__(estimator, name)

    def detect(self, image: ByteImage, limit: int) -> Described:
        """See `Method`."""
        self._estimator.settings = replace(self._estimator.settings, max_keypoints=limit)
        found = self._estimator.look(image)
        return Described(
            xy=found.xy, descriptors=found.descriptors, sizes=2 * found.sigmas, angles=found.angles
        )


def neighbours(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> tuple[Nearest, Nearest]:
    """Return for each descriptor its nearest one on the other side, in both directions.

    Args:
        first: ``(N, D)`` float32, compared by Euclidean distance; uint8 by its differing bits.
        second: ``(M, D)`` of the same kind.
    """
    distance = _bit_distances if first.dtype == np.uint8 else _euclidean_distances
    between = distance(first, second)  # (N, M)
    return _nearest(between), _nearest(between.T)


def mutual(forth: Nearest, back: Nearest) -> npt.NDArray[np.intp]:
    """Return ``(K, 2)`` indices of those that are each other's nearest."""
    if not len(forth.index) or not len(back.index):
        return np.zeros((0, 2), np.intp)
    index = np.arange(len(forth.index))
    kept = back.index[forth.index] == index
    return np.stack((index[kept], forth.index[kept]), axis=1).astype(np.intp)


def estimate(
    first_xy: FloatArray, second_xy: FloatArray, matches: npt.NDArray[np.intp]
) -> FloatArray | None:
    """Return the homography ``(3, 3)`` that RANSAC finds in the matches, if it finds any."""
    if len(matches) < 4:
        return None
    found, _ = cv2.findHomography(
        first_xy[matches[:, 0]], second_xy[matches[:, 1]], cv2.RANSAC, RANSAC_PIXELS
    )
    return None if found is None else np.asarray(found, np.float64)


def _bit_distances(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> FloatArray:
    """Return ``(N, M)`` how many bits differ: those set in one plus those set in the other."""
    a = np.unpackbits(first, axis=1).astype(np.float32)
    b = np.unpackbits(second, axis=1).astype(np.float32)
    return np.asarray(a @ (1 - b).T + (1 - a) @ b.T)


def _euclidean_distances(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> FloatArray:
    """Return ``(N, M)`` distances; float32 is enough for SIFT's integers and for unit vectors."""
    squares = np.sum(first * first, axis=1)[:, None] + np.sum(second * second, axis=1)
    return np.asarray(np.sqrt(np.maximum(squares - 2 * (first @ second.T), 0)))


def _nearest(distance: FloatArray) -> Nearest:
    rows, columns = distance.shape
    if not columns:
        return Nearest(index=np.zeros(rows, np.intp), distance=np.full(rows, np.inf))
    index = np.argmin(distance, axis=1)
    return Nearest(index=index, distance=distance[np.arange(rows), index])
