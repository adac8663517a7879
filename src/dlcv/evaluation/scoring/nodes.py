"""How the nodes did: what became of their images, how long it took, how long they were silent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from dlcv.evaluation.replay.job import NodeFacts
from dlcv.evaluation.replay.log import Handled
from dlcv.evaluation.scoring.model import NodeResult
from dlcv.interface.handled import PROCESSED

SHARES = (0.5, 0.95, 0.99, 1.0)


class Tally:
    """What became of the images of one node."""

    def __init__(self) -> None:
        self._outcomes: Counter[str] = Counter()
        self._inference_ms: list[float] = []
        self._age_ms: list[float] = []
        self.answered: list[int] = []

    def add(self, line: Handled, sends: bool) -> None:
        """Take a line of the log; ``sends`` tells whether the node answered with that."""
        self._outcomes[line.outcome.name] += 1
        if line.outcome.inference_ms is not None:
            self._inference_ms.append(line.outcome.inference_ms)
        if line.age_ms is not None and line.outcome.name == PROCESSED:
            self._age_ms.append(line.age_ms)
        if sends:
            self.answered.append(line.stamp_ns)

    def result(self, name: str, stamps: Sequence[int], facts: NodeFacts) -> NodeResult:
        """Return the result over all images of the bag."""
        answered = sorted(set(self.answered))
        return NodeResult(
            name=name,
            images=len(stamps),
            answered=len(answered),
            longest_gap=longest_gap(answered, stamps),
            outcomes=dict(sorted(self._outcomes.items())),
            inference_ms=_quantiles(self._inference_ms),
            age_ms=_quantiles(self._age_ms),
            cpu=facts.cpu,
            memory_mb=facts.memory_mb,
            trained=facts.trained,
            weights=facts.weights,
            weights_sha256=facts.weights_sha256,
            device=facts.device,
            message=facts.message,
        )


def tallies(lines: Iterable[Handled], answers: dict[str, str]) -> dict[str, Tally]:
    """Return what became of the images of each node.

    Args:
        lines: Of the log.
        answers: Node -> name of the output that answers an image; another one alone is no answer.
    """
    found: dict[str, Tally] = {}
    for line in lines:
        sends = answers.get(line.node, '') in line.outcome.sent
        found.setdefault(line.node, Tally()).add(line, sends)
    return found


def longest_gap(answered: Sequence[int], stamps: Sequence[int]) -> float:
    """Return the longest time without an answer in seconds, the ends of the bag included."""
    if not stamps:
        return 0.0
    marks = [min(stamps), *answered, max(stamps)]
    return float(np.max(np.diff(marks))) / 1e9


def _quantiles(values: list[float]) -> tuple[float, ...]:
    return tuple(np.quantile(values, SHARES).tolist()) if values else ()
