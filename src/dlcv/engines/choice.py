"""Which engine a network is to run in, and how precisely."""

from __future__ import annotations

import logging
from collections.abc import Collection

from dlcv import host
from dlcv.engines.catalogue import Choice, EngineError, Ranges, installed, require
from dlcv.engines.probe import speeds
from dlcv.interface.engines import PRECISIONS

_ON_CPU: dict[str, tuple[str, ...]] = {
    'torch': ('fp32',),
    'openvino': ('fp32', 'bf16', 'int8'),
    'onnxruntime': ('fp32', 'int8'),
}
_ON_GPU: dict[str, tuple[str, ...]] = {
    'torch': ('fp32', 'fp16', 'bf16'),
    'tensorrt': ('fp32', 'fp16', 'bf16', 'int8'),
}
_WORTH = 0.9  # of the time in a finer arithmetic: what gains less is not worth the rounding
_LOG = logging.getLogger(__name__)


_TOLERANCE = {'fp32': 1e-3, 'fp16': 0.02, 'bf16': 0.1}
"""See `dlcv.engines.building.deviation`."""


def choose(
    engine: str,
    precision: str,
    *,
    device: str,
    ranges: Ranges | None = None,
    proven: Collection[str] = (),
    found: bool = False,
) -> Choice:
    """Return the engine that is asked for; ``auto`` takes the fastest that is installed.

    Args:
        engine: One of `dlcv.interface.engines.ENGINES`.
        precision: One of `dlcv.interface.engines.PRECISIONS`. ``auto`` is fp32, or a coarser one
            that is proven and takes a tenth less time.
        device: Kind of the device, ``cpu`` or ``cuda``.
        ranges: Of the weights.
        proven: What else than fp32 was measured to serve the task as well.
        found: Whether the device was found, not asked for: where it cannot do 16 bits, they become
            fp32 with a logged warning.

    Raises:
        EngineError: It is not installed, or not to be had together with the rest.
    """
    require(engine)
    if precision not in PRECISIONS:
        raise EngineError(f'precision {precision!r} is none of {", ".join(PRECISIONS)}')
    kinds = _ON_GPU if device == 'cuda' else _ON_CPU
    if engine not in ('auto', *kinds):
        raise EngineError(
            f'engine {engine!r} does not run on {device}; there are {", ".join(kinds)}'
        )
    there = [name for name in installed() if engine in ('auto', name) and name in kinds]
    exact = 'fp32' if precision == 'auto' else precision
    able = [] if exact == 'int8' and ranges is None else _able(exact, there, kinds)
    if not able and device != 'cuda' and found and precision in ('fp16', 'bf16'):
        _LOG.warning('no CUDA device found: precision fp32 on the CPU instead of %s', precision)
        return choose(engine, 'fp32', device=device)
    if not able:
        raise _refusal(engine, precision, device, ranges, there)
    if device == 'cuda':  # TensorRT where it is named: nobody has measured it
        return _made(able[0], exact, ranges)
    coarser = _native(proven, ranges) if precision == 'auto' else []
    rivals = {exact: able, **{name: _able(name, there, kinds) for name in coarser}}
    return _made(*_fastest({p: e for p, e in rivals.items() if e}), ranges)


def _able(precision: str, there: list[str], kinds: dict[str, tuple[str, ...]]) -> list[str]:
    return [name for name in there if precision in kinds[name]]


def _native(proven: Collection[str], ranges: Ranges | None) -> list[str]:
    """Return what this processor computes in and the weights can, the least coarse first."""
    can = {'bf16': host.has_bfloat16(), 'int8': ranges is not None}
    return [name for name, able in can.items() if able and name in proven]


def _fastest(rivals: dict[str, list[str]]) -> tuple[str, str]:
    """Return engine and precision; of the coarser ones only what is worth it.

    Args:
        rivals: Precision, the finest first -> engines that have it.
    """
    (precision, engines), *coarser = rivals.items()
    if not coarser and len(engines) == 1:
        return engines[0], precision
    engine, least = _quickest(precision, engines)
    for rounded, able in coarser:
        other, seconds = _quickest(rounded, able)
        if seconds < _WORTH * least:
            engine, precision, least = other, rounded, seconds
    return engine, precision


def _quickest(precision: str, engines: list[str]) -> tuple[str, float]:
    measured = speeds(precision)
    return min(((e, measured.get(e, float('inf'))) for e in engines), key=lambda one: one[1])


def _made(engine: str, precision: str, ranges: Ranges | None) -> Choice:
    if precision != 'int8':
        return Choice(engine=engine, precision=precision, tolerance=_TOLERANCE[precision])
    assert ranges is not None
    return Choice(
        engine=engine, precision=precision, ranges=ranges.values, tolerance=ranges.tolerance
    )


def _refusal(
    engine: str, precision: str, device: str, ranges: Ranges | None, there: list[str]
) -> EngineError:
    """Say why there is nothing to choose from."""
    if precision == 'int8' and ranges is None:
        return EngineError(
            "precision 'int8' needs the measured ranges of the weights, and there are none: "
            '`dlcv weights optimize` makes them'
        )
    if device == 'cpu' and precision in ('fp16', 'bf16'):
        also = ' or engine openvino' if precision == 'bf16' else ''
        return EngineError(
            f'precision {precision!r} needs a CUDA device{also}; in PyTorch on the CPU it is 10 to '
            "50 times slower than 'fp32'"
        )
    kinds = _ON_GPU if device == 'cuda' else _ON_CPU
    known = '; '.join(f'{name}: {", ".join(kinds[name])}' for name in there)
    return EngineError(f'no engine {engine!r} with precision {precision!r} on {device} ({known})')
