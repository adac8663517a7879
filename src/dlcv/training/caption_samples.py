"""Pictures of generated worlds with sentences that are true of them, as a network learns them.

Letters in this file: H W size in pixels of a picture, N things that are kept of it, T words.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from dlcv.data.augment.photometric import PhotometricConfig, photometric
from dlcv.data.captions import KINDS, PLACES, Teller, Thing, View
from dlcv.data.captions.facts import LIGHTS
from dlcv.data.captions.worlds import views_of
from dlcv.data.world import WorldSamples
from dlcv.networks.caption import END, START, UNKNOWN
from dlcv.networks.losses.caption import NO_WORD
from dlcv.training.flow_samples import channels_first
from dlcv.training.recipe import Sample, Samples, TrainError
from dlcv.types import ByteImage, FloatArray

Features = Callable[[ByteImage], FloatArray]
"""A picture ``(3, H, W)`` to what an encoder finds in it."""

_MOST = 48  # things that are kept of a picture, the largest
_NAMES = tuple(KINDS)
_VALUES = 6  # kind, x, distance, share, seen, moves


@dataclass(frozen=True, kw_only=True, slots=True)
class CaptionChanges:
    """How a picture with what is true of it is changed.

    Attributes:
        mirror: Probability that left and right are exchanged.
        light: How far light and recording change.
    """

    mirror: float = 0.5
    light: PhotometricConfig = field(default_factory=PhotometricConfig)

    def __post_init__(self) -> None:
        if not 0 <= self.mirror <= 1:
            raise TrainError(f'changes of pictures need mirror in [0, 1], got {self.mirror}')


class ToldPictures:
    """Pictures of worlds: ``image``, ``(H, W, 3)`` uint8, and what is true of them in numbers."""

    def __init__(self, worlds: WorldSamples) -> None:
        self._worlds = worlds

    def __getitem__(self, index: int) -> Sample:
        """Render the picture of that number; see `view_in` for the rest of the sample."""
        ((snapshot, view),) = views_of(self._worlds.recording(index))
        return {'image': snapshot.frame.image, **_in_numbers(view)}


class CaptionSamples:
    """Pictures as `ToldPictures` gives them, changed, each with a sentence.

    A sample is a function of seed and number; it has ``image``, ``(3, H, W)`` uint8, and ``words``,
    ``(T,)`` int64 numbers from the mark of the start to that of the end, `NO_WORD` after it. Where
    ``features`` are given it has them in place of the image, as float16, and each picture is
    changed in a few ways only, whose features are remembered: so an encoder that does not learn is
    asked once, and what follows it learns from thousands of sentences in minutes.

    Args:
        pictures: What is changed.
        changes: How.
        teller: Who tells of them.
        vocabulary: Words by number, marks included.
        longest: Words T of a sample; what is longer is cut off.
        seed: Of changes and sentences.
        features: What an encoder finds in ``(3, H, W)`` uint8.
        ways: In how many ways each picture is changed where there are ``features``.
    """

    def __init__(
        self,
        pictures: Samples,
        changes: CaptionChanges,
        teller: Teller,
        *,
        vocabulary: tuple[str, ...],
        longest: int,
        seed: int,
        features: Features | None = None,
        ways: int = 4,
    ) -> None:
        self._pictures, self._changes, self._teller = pictures, changes, teller
        self._numbers = {word: number for number, word in enumerate(vocabulary)}
        self._longest, self._seed = longest, seed
        self._features, self._ways = features, ways
        self._remembered: dict[tuple[int, int], tuple[npt.NDArray[np.float16], bool]] = {}

    def __getitem__(self, index: int) -> Sample:
        """Return the sample of that number."""
        picture = self._pictures[index]
        image, view = np.asarray(picture['image'], np.uint8), view_in(picture)
        rng = np.random.default_rng([self._seed, index, 1])
        if self._features is None:
            image, mirrored = self._changed(image, rng)
            shown: dict[str, npt.NDArray[Any]] = {'image': channels_first(image)}
        else:
            shown, mirrored = self._seen(image, int(rng.integers(self._ways)))
        told = self._teller(view.mirrored() if mirrored else view, rng)
        return {**shown, 'words': self._words(told)}

    def _seen(self, image: ByteImage, way: int) -> tuple[dict[str, npt.NDArray[Any]], bool]:
        """Return the features of a picture as it is changed in one way; and see `_changed`."""
        assert self._features is not None
        key = zlib.crc32(image.tobytes()), way
        if key not in self._remembered:
            changed, mirrored = self._changed(image, np.random.default_rng([self._seed, *key]))
            found = np.asarray(self._features(channels_first(changed)), np.float16)
            self._remembered[key] = found, mirrored
        features, mirrored = self._remembered[key]
        return {'features': features}, mirrored

    def _changed(self, image: ByteImage, rng: np.random.Generator) -> tuple[ByteImage, bool]:
        """Return a picture as it is changed, and whether left and right are exchanged."""
        mirrored = bool(rng.random() < self._changes.mirror)
        image = np.ascontiguousarray(image[:, ::-1] if mirrored else image)
        return photometric(image, rng, self._changes.light), mirrored

    def _words(self, text: str) -> npt.NDArray[np.int64]:
        said = [self._numbers.get(word, UNKNOWN) for word in text.split()]
        words = np.full(self._longest, NO_WORD, np.int64)
        whole = [START, *said, END][: self._longest]
        words[: len(whole)] = whole
        return words


def view_in(sample: Sample) -> View:
    """Return what is true of a sample of `ToldPictures`.

    Args:
        sample: Has ``scene``, ``(2,)`` numbers of place and light, and ``things``, ``(N, 6)``: the
            number of the kind, x, distance, share, seen, and 1 for what moves; -1 in empty rows.
    """
    place, light = (int(number) for number in sample['scene'])
    rows = np.asarray(sample['things'], np.float64)
    things = tuple(
        Thing(kind=_NAMES[int(kind)], x=x, distance=away, share=share, seen=seen, moves=moves > 0)
        for kind, x, away, share, seen, moves in rows[rows[:, 0] >= 0].tolist()
    )
    return View(place=PLACES[place], light=LIGHTS[light], things=things)


def _in_numbers(view: View) -> dict[str, npt.NDArray[np.generic]]:
    """Return a view as `view_in` takes it."""
    things = np.full((_MOST, _VALUES), -1, np.float32)
    largest = sorted(view.things, key=lambda thing: -thing.share)[:_MOST]
    for row, thing in zip(things, largest, strict=False):
        row[:] = (
            _NAMES.index(thing.kind), thing.x, thing.distance, thing.share, thing.seen, thing.moves
        )  # fmt: skip
    scene = np.array([PLACES.index(view.place), LIGHTS.index(view.light)], np.int64)
    return {'scene': scene, 'things': things}
