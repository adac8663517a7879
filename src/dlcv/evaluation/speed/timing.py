"""Times of steps that take turns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter, process_time
from typing import Literal

Step = Callable[[], object]
Clock = Literal['wall_ms', 'cpu_ms']


@dataclass(frozen=True, kw_only=True, slots=True)
class Spent:
    """What one run of a step took.

    Attributes:
        wall_ms: Milliseconds that went by.
        cpu_ms: Milliseconds that the cores were busy for this process, all threads together.
    """

    wall_ms: float
    cpu_ms: float


def spend(step: Step) -> Spent:
    """Run a step in this process and return what it took."""
    begin, busy = perf_counter(), process_time()
    step()
    return Spent(
        wall_ms=1e3 * (perf_counter() - begin),
        cpu_ms=1e3 * (process_time() - busy),
    )


def alternate(
    runs: Mapping[str, Callable[[], Spent]], rounds: int, warm_up: int = 1
) -> dict[str, list[Spent]]:
    """Let several runs take turns, every other round in reverse.

    Args:
        runs: Name -> what runs it once and returns what that took.
        rounds: That are counted.
        warm_up: Rounds before them that are not.

    Returns:
        Name -> what each counted round took.
    """
    taken: dict[str, list[Spent]] = {name: [] for name in runs}
    for number in range(warm_up + rounds):
        for name in list(runs)[:: 1 if number % 2 else -1]:
            spent = runs[name]()
            if number >= warm_up:
                taken[name].append(spent)
    return taken


def middle(taken: Sequence[Spent], clock: Clock = 'wall_ms') -> float:
    """Return the median of what several runs took, in milliseconds."""
    return float(median(getattr(spent, clock) for spent in taken))


def ratio(of: Sequence[Spent], over: Sequence[Spent], clock: Clock = 'wall_ms') -> float:
    """Return the median, over the rounds, of how many times ``over`` the runs ``of`` took."""
    pairs = zip(of, over, strict=True)
    return float(
        median(getattr(one, clock) / max(getattr(other, clock), 1e-6) for one, other in pairs)
    )
