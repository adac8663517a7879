"""Pairs of consecutive pictures of the generated worlds, with their flow."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from dlcv.types import FlowPair
from dlcv.world import WorldRecording
from dlcv.world.recording import WorldSnapshot


class WorldPairsError(ValueError):
    """Pairs cannot be rendered as asked; the message names what was asked."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WorldPairsConfig:
    """Which pairs are rendered.

    Attributes:
        height: Rows of the pictures.
        width: Columns of the pictures.
        length: Pairs of each recording, which is a world, a camera and a way of its own. Building
            a world costs about as much as rendering ten pairs.
    """

    height: int = 240
    width: int = 320
    length: int = 16

    def __post_init__(self) -> None:
        if min(self.height, self.width, self.length) < 1:
            raise WorldPairsError(
                'pairs of worlds need height, width and length >= 1, got '
                f'{self.height}, {self.width} and {self.length}'
            )


class WorldPairs:
    """Endless pairs; a pair is a function of seed and index.

    Pairs of one recording have consecutive numbers: they are rendered together, and the pairs of
    the last recording are kept.
    """

    def __init__(self, config: WorldPairsConfig, seed: int = 0) -> None:
        self._config = config
        self._seed = seed
        self._last: tuple[int, list[FlowPair]] | None = None

    def __getitem__(self, index: int) -> FlowPair:
        """Return the pair of that number; complete: backward flow and occlusion are known."""
        number, place = divmod(index, self._config.length)
        if self._last is None or self._last[0] != number:
            self._last = (number, self._rendered(number))
        return self._last[1][place]

    def _rendered(self, number: int) -> list[FlowPair]:
        config = self._config
        recording = WorldRecording.varied(
            self._seed * 1_000_003 + number,  # no two seeds of use share a world
            size=(config.width, config.height),
            frames=config.length + 1,
            workers=1,
        )
        return [
            _pair(before, after, f'{recording.name} {place}')
            for place, (before, after) in enumerate(pairwise(recording))
        ]


def _pair(before: WorldSnapshot, after: WorldSnapshot, name: str) -> FlowPair:
    assert after.flow is not None
    return FlowPair(
        first=before.frame.image,
        second=after.frame.image,
        flow=after.flow,
        backward=after.backward,
        occluded=after.hidden,
        name=name,
    )
