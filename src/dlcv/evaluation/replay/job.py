"""What a replay over ROS is told, and what it tells at its end; both travel as JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Literal, TypeVar

from dlcv.config import from_dict, to_dict
from dlcv.evaluation.replay.outputs import NodeRun, Output, outputs_of
from dlcv.evaluation.replay.shown import Shown
from dlcv.files import write_whole
from dlcv.interface.nodes import BODY, HANDLED

T = TypeVar('T')


class ReplayError(ValueError):
    """A bag cannot be replayed as asked; the message says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answering:
    """A node that answers to images.

    Attributes:
        node: Its name.
        handled: Full name of the topic on which it says what became of each image.
        inputs: Full names of the topics that it listens to.
        beside: Those of them that belong to images, and may come after theirs.
        outputs: What it sends.
    """

    node: str
    handled: str
    inputs: tuple[str, ...]
    outputs: tuple[Output, ...]
    beside: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplayJob:
    """A replay over ROS.

    Attributes:
        shown: What is shown.
        nodes: To whom, in the order in which their answers are kept.
        folder: Of the bag of answers, the log and the facts.
        base_frame: Body whose odometry is published.
        mode: Whether the next image waits for the answers to the last one, or comes as recorded.
        rate: Speed in real time; 1 is as recorded.
        peak: Whether the highest rate is looked for at the end, in real time.
        start_patience: Seconds to wait for the nodes.
        patience: Seconds to wait for an answer.
    """

    shown: Shown
    nodes: tuple[Answering, ...]
    folder: Path
    base_frame: str = 'base_link'
    mode: Literal['lock-step', 'real-time', 'in-process'] = 'lock-step'
    rate: float = 1.0
    peak: bool = False
    start_patience: float = 120.0
    patience: float = 30.0

    def __post_init__(self) -> None:
        if not self.nodes:
            raise ReplayError('a replay needs a node')
        for name in ('rate', 'start_patience', 'patience'):
            if not 0 < getattr(self, name) < inf:
                raise ReplayError(f'{name} must be positive and finite, got {getattr(self, name)}')


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeFacts:
    """What a node said of itself at the end.

    Attributes:
        trained: Whether its weights are trained.
        weights: File or name of its weights.
        weights_sha256: Digest of the file.
        device: Where it ran.
        cpu: CPU seconds per second of the replay.
        memory_mb: Largest memory of its process.
        gpu_memory_mb: Memory that it holds of a GPU at the end.
        message: Its verdict on itself.
    """

    trained: bool | None = None
    weights: str = ''
    weights_sha256: str = ''
    device: str = ''
    cpu: float | None = None
    memory_mb: float | None = None
    gpu_memory_mb: float | None = None
    message: str = ''


@dataclass(frozen=True, kw_only=True, slots=True)
class RunFacts:
    """What a replay tells at its end.

    Attributes:
        mode: Of the replay.
        seconds: It took, from the first image to the last answer.
        images: That were shown.
        nodes: By name.
        peak_hz: Highest rate of images at which no node dropped more than 5 %; None when it was
            not looked for.
        warnings: What went wrong.
    """

    mode: str
    seconds: float
    images: int
    nodes: dict[str, NodeFacts] = field(default_factory=dict)
    peak_hz: float | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Folder:
    """Where the files of a replay are."""

    path: Path

    @property
    def outputs(self) -> Path:
        """The bag of answers."""
        return self.path / 'outputs.mcap'

    @property
    def partial(self) -> Path:
        """Where the answers are until the bag is complete; stays behind when that fails."""
        return self.path / 'outputs.mcap.partial'

    @property
    def answers(self) -> Path:
        """The bag of answers; of a replay that could not complete it, what there is of it."""
        return self.outputs if self.outputs.exists() or not self.partial.exists() else self.partial

    @property
    def log(self) -> Path:
        """What became of each image."""
        return self.path / 'frames.jsonl'

    @property
    def job(self) -> Path:
        """The job of a replay over ROS."""
        return self.path / 'job.json'

    @property
    def facts(self) -> Path:
        """What the replay told at its end."""
        return self.path / 'replay.json'


def answering(node: NodeRun) -> Answering:
    """Return a node as a replay over ROS sees it."""
    return Answering(
        node=node.spec.name,
        handled=node.resolve(HANDLED.name),
        inputs=tuple(node.resolve(topic.name) for topic in node.spec.inputs),
        outputs=outputs_of(node),
        beside=tuple(
            node.resolve(topic.name) for topic in node.spec.inputs if topic.beside or topic is BODY
        ),
    )


def broken_off(images: int, of: int, error: Exception) -> str:
    """Return the warning of a replay that did not come to its end."""
    return f'the replay broke off after {images} of {of} images: {error}'


def write(value: ReplayJob | RunFacts, path: Path) -> None:
    """Write as JSON; where that fails, no half of it stays."""
    write_whole(path, json.dumps(to_dict(value), indent=1, ensure_ascii=False) + '\n')


def read(path: Path, cls: type[T]) -> T:
    """Read what `write` wrote.

    Raises:
        ReplayError: There is no such file, or it is something else.
    """
    try:
        return from_dict(json.loads(path.read_text('utf-8')), cls)
    except (OSError, ValueError) as err:
        raise ReplayError(f'{path}: {err}') from err
