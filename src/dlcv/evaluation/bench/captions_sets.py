"""What `dlcv bench captions` measures on: worlds that no network saw."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from dlcv.data.captions import Teller, View
from dlcv.data.captions.worlds import views_of
from dlcv.data.world import SampleConfig, WorldSamples
from dlcv.evaluation.bench.sets import ItemSet
from dlcv.types import ByteImage

WORLD_SEED, WORLD_PICTURES = 20157, 60
LESSON_SEED, LESSON_PICTURES = 20158, 120
WORLDS = SampleConfig(
    size=(320, 240), frames=1, objects=True, fov=(50.0, 90.0), flyers=1, people=3, per_world=10
)
"""Rooms, corridors and streets with people."""

REFERENCES = 5  # sentences of each picture that others are compared with
SETS = {'world': 'generated rooms, corridors and streets, with people'}


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ToldPicture:
    """A picture, what is true of it, and what the world says of it.

    Attributes:
        image: ``(H, W, 3)`` uint8 RGB.
        view: What is true.
        references: What is said.
        another: What is said in one more way.
    """

    image: ByteImage
    view: View
    references: tuple[str, ...]
    another: str


def worlds(seed: int, count: int) -> ItemSet[ToldPicture]:
    """Return pictures of the worlds of a seed."""

    def read() -> Iterator[ToldPicture]:
        samples, teller = WorldSamples(WORLDS, seed), Teller()
        for index in range(count):
            ((snapshot, view),) = views_of(samples.recording(index))
            rng = np.random.default_rng([seed, index])
            another, *references = (teller(view, rng) for _ in range(REFERENCES + 1))
            yield ToldPicture(
                image=snapshot.frame.image,
                view=view,
                references=tuple(references),
                another=another,
            )

    return ItemSet[ToldPicture](name='world', title=SETS['world'], count=count, read=read)
