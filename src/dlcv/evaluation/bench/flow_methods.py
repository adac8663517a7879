"""What `dlcv bench flow` compares: no flow at all, OpenCV's methods, and the networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlcv.evaluation.bench.weight_files import WeightFile, weight_files
from dlcv.metrics.baselines.flow import Flow, farneback, inverse_search, no_motion
from dlcv.types import ByteImage, FloatArray, Frame

if TYPE_CHECKING:
    from dlcv.estimation.flownet import FlowEstimator


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


def networks(weights: tuple[Path, ...], running: Mapping[str, Any]) -> list[Method]:
    """Return FlowNets, each as it is and followed by variational refinement (``+v``).

    Args:
        weights: Files, or names of shipped weights; empty for all that are shipped.
        running: See `BenchOptions`.

    Raises:
        WeightsError: A file is refused.
        BenchError: Two files have one name.
    """
    files = weight_files('flownet', weights)
    return [method for file in files for method in _network(file, running)]


def _network(weights: WeightFile, running: Mapping[str, Any]) -> list[Method]:
    from dlcv.estimation.flownet import FlowSettings
    from dlcv.estimation.load import load_flow

    plain = load_flow(weights.name, FlowSettings(), **running)
    refined = load_flow(weights.name, FlowSettings(refinement='variational'), **running)
    return [
        Method(name=weights.title, flow=_estimated(plain), file=weights.file),
        Method(name=f'{weights.title}+v', flow=_estimated(refined), file=weights.file),
    ]


def _estimated(estimator: FlowEstimator) -> Flow:
    def flow(first: ByteImage, second: ByteImage) -> FloatArray:
        estimator.reset()
        estimator.push(Frame(stamp_ns=0, image=first))
        field = estimator.push(Frame(stamp_ns=10**8, image=second))
        assert field is not None  # two pictures of one size, a tenth of a second apart
        return field.flow

    return flow
