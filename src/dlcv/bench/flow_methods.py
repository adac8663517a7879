"""What `dlcv bench flow` compares: no flow at all, OpenCV's methods, and the networks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dlcv.bench.options import BenchError
from dlcv.contract.nodes import NODES
from dlcv.methods.flow import Flow, farneback, inverse_search, no_motion
from dlcv.types import ByteImage, FloatArray, Frame

if TYPE_CHECKING:
    from dlcv.inference.flow import FlowEstimator


@dataclass(frozen=True, kw_only=True, slots=True)
class Method:
    """One way to flow.

    Attributes:
        name: Of its row.
        flow: From the first picture to the second.
        file: Its weight file, if it has one.
    """

    name: str
    flow: Flow
    file: Path | None = None


def classical() -> list[Method]:
    """Return the methods that need no weights, the simplest first."""
    return [
        Method(name='no motion', flow=no_motion),
        Method(name='Farneback', flow=farneback),
        Method(name='DIS', flow=inverse_search()),
    ]


def networks(weights: tuple[Path, ...]) -> list[Method]:
    """Return FlowNets, each as it is and followed by variational refinement (``+v``).

    They run on the CPU in 32 bits, where the same pictures give the same numbers.

    Args:
        weights: Files, or names of shipped weights; empty for all that are shipped.

    Raises:
        WeightsError: A file is refused.
        BenchError: Two files have one name.
    """
    from dlcv.weights import chosen, shipped

    names = [str(path) for path in weights] or [n for n in NODES['flownet'].weights if shipped(n)]
    found = [method for name in names for method in _network(name, chosen('flownet', name))]
    titles = [method.name for method in found]
    if twice := sorted({title for title in titles if titles.count(title) > 1}):
        raise BenchError(f'several weight files are called {", ".join(twice)}; rename them')
    return found


def _network(name: str, file: Path | None) -> list[Method]:
    from dlcv.inference.flow import FlowSettings
    from dlcv.inference.load import load_flow

    title = file.stem if file else name
    plain = load_flow(name, FlowSettings(), device='cpu')
    refined = load_flow(name, FlowSettings(refinement='variational'), device='cpu')
    return [
        Method(name=title, flow=_estimated(plain), file=file),
        Method(name=f'{title}+v', flow=_estimated(refined), file=file),
    ]


def _estimated(estimator: FlowEstimator) -> Flow:
    def flow(first: ByteImage, second: ByteImage) -> FloatArray:
        estimator.reset()
        estimator.push(Frame(stamp_ns=0, image=first))
        field = estimator.push(Frame(stamp_ns=10**8, image=second))
        assert field is not None  # two pictures of one size, a tenth of a second apart
        return field.flow

    return flow
