"""Which weights a bench measures: those that it is told, or all that are shipped."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dlcv.evaluation.bench.options import BenchError
from dlcv.interface.nodes import NODES


@dataclass(frozen=True, kw_only=True, slots=True)
class WeightFile:
    """Weights to measure.

    Attributes:
        title: What their row is called.
        name: What an estimator loads them by.
        file: Where they are.
    """

    title: str
    name: str
    file: Path | None


def weight_files(node: str, weights: tuple[Path, ...]) -> list[WeightFile]:
    """Return what to measure of a network.

    Args:
        node: The node, as in ``flownet``, or a part of another, as in ``deep_fundamental``.
        weights: Files, or names of shipped weights; empty for all that are shipped.

    Raises:
        WeightsError: There is neither such a file nor such a name.
        BenchError: Two files have one name.
    """
    from dlcv.networks.weights import chosen, shipped

    known = NODES[node].weights if node in NODES else (node,)
    names = [str(path) for path in weights] or [n for n in known if shipped(n)]
    found = []
    for name in names:
        file = chosen(node, name)
        found.append(WeightFile(title=file.stem if file else name, name=name, file=file))
    titles = [one.title for one in found]
    if twice := sorted({title for title in titles if titles.count(title) > 1}):
        raise BenchError(f'several weight files are called {", ".join(twice)}; rename them')
    return found
