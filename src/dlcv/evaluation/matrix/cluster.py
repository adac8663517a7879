"""Cells on a Ray cluster.

Each cell is a task of Ray that is never retried by Ray itself: a dead worker or node is an attempt
that failed, and it is the campaign that counts these. The files of a cell come back through the
object store, so nodes need no folder in common with whoever started the run.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from dlcv.evaluation.matrix.attempt import INTERRUPT_PATIENCE, TERMINATE_PATIENCE, Attempt
from dlcv.evaluation.matrix.cell import Cell, listing
from dlcv.evaluation.matrix.errors import MatrixError
from dlcv.evaluation.matrix.plan import Cluster
from dlcv.evaluation.matrix.worker import Errand, Piece, carry_out, pack, put

AHEAD = 4  # pieces that a worker makes before the first of them is taken
LOOK = 1.0  # seconds in which Ctrl-C is noticed
ANSWER = 5.0  # seconds for a cluster to answer

_UnderWay = tuple[Any, Cell, Path]  # stream of pieces, what it is of, where they go


class RayPool:
    """Runs cells as tasks of a Ray cluster; a `Runner`.

    Args:
        address: Of the cluster, from one of its machines: ``auto`` or ``HOST:PORT``; ``local``
            starts one on this machine.
        asked: What a cell needs.
        program: What takes the arguments of ``dlcv evaluate``; empty for that.

    Raises:
        MatrixError: Ray is not installed, there is no such cluster, or none of its nodes has what
            a cell needs.
    """

    def __init__(self, address: str, asked: Cluster, program: Sequence[str] = ()) -> None:
        self._ray = _import_ray()
        self._ours = not self._ray.is_initialized()
        if self._ours:
            _join(self._ray, address)
        self._ship = asked.ship
        self._program = tuple(program)
        self._parcels: dict[Path, tuple[Any, ...]] = {}
        self._under_way: list[_UnderWay] = []
        self._task = self._ray.remote(_task).options(
            num_cpus=asked.cpus,
            num_gpus=asked.gpus,
            max_retries=0,
            scheduling_strategy='SPREAD',
            _generator_backpressure_num_objects=AHEAD,
        )
        try:
            _check_resources(self._ray.nodes(), asked)
        except MatrixError:
            self.close()
            raise

    def start(self, cell: Cell, folder: Path) -> None:
        """Let the cluster run a cell when it has room."""
        errand = Errand(
            cell=cell,
            sizes={path: listing(path) for path in cell.inputs},
            parcels={path: self._sent(path) for path in cell.inputs} if self._ship else {},
            program=self._program,
        )
        self._under_way.append((self._task.remote(errand), cell, folder))

    def wait(self) -> tuple[Cell, Attempt]:
        """Return the next attempt that ends, with its files in its folder."""
        while True:
            for one in self._ready(LOOK):
                attempt = self._take(one)
                if attempt is not None:
                    self._under_way.remove(one)
                    return one[1], attempt

    def close(self) -> None:
        """End what runs, and leave the cluster."""
        try:
            with suppress(KeyboardInterrupt):
                self._cancel()
        finally:
            self._under_way.clear()
            self._parcels.clear()
            if self._ours:
                self._ray.shutdown()

    def _ready(self, seconds: float) -> list[_UnderWay]:
        streams = [stream for stream, _, _ in self._under_way]
        ready, _ = self._ray.wait(streams, timeout=seconds, fetch_local=False)
        return [one for one in self._under_way if any(one[0] is stream for stream in ready)]

    def _take(self, one: _UnderWay) -> Attempt | None:
        """Take the next piece of a cell; return how its attempt ended when that came."""
        stream, _, folder = one
        try:
            item = self._ray.get(next(stream))
        except StopIteration:
            return Attempt(error='its worker said nothing of how it ended')
        except self._ray.exceptions.RayError as err:
            return Attempt(error=_words(err))
        if isinstance(item, Piece):
            put(item, folder)
            return None
        assert isinstance(item, Attempt)
        return item

    def _sent(self, path: Path) -> tuple[Any, ...]:
        """Put a file or folder into the object store, once for all cells."""
        if path not in self._parcels:
            self._parcels[path] = tuple(map(self._ray.put, pack(path)))
        return self._parcels[path]

    def _cancel(self) -> None:
        """Interrupt all tasks, and give them the time to end their processes."""
        for stream, _, _ in self._under_way:
            self._ray.cancel(stream)
        deadline = time.monotonic() + INTERRUPT_PATIENCE + TERMINATE_PATIENCE
        while self._under_way and time.monotonic() < deadline:
            for one in self._ready(LOOK):
                if self._take(one) is not None:
                    self._under_way.remove(one)


def _task(errand: Errand) -> Iterator[Piece | Attempt]:
    """Run on a worker."""
    yield from carry_out(errand, import_module('ray').get)


def _import_ray() -> Any:
    try:
        return import_module('ray')
    except ImportError:
        raise MatrixError(
            'ray is needed but not installed: pip install ".[ray]" in a clone of dlcv'
        ) from None


def _join(ray: Any, address: str) -> None:
    if address.startswith('ray://'):
        raise MatrixError(
            f'{address}: not through Ray Client, which has no streams: start this on a machine of '
            'the cluster with its HOST:PORT or auto, or there by `ray job submit`'
        )
    _check_answers(address)
    quiet = {'log_to_driver': False, 'logging_level': 'ERROR'}
    own = {'include_dashboard': False} if address == 'local' else {}
    os.environ.setdefault('RAY_USAGE_STATS_ENABLED', '0')  # nobody asked to be told of
    try:
        ray.init(address=address, **quiet, **own)
    except (ConnectionError, ValueError, RuntimeError) as err:
        raise MatrixError(f'no Ray cluster at {address}: {_words(err)}') from None


def _check_answers(address: str) -> None:
    """Raise a MatrixError if nobody listens at ``HOST:PORT``: Ray itself would try for minutes."""
    host, _, port = address.rpartition(':')
    if not (host and port.isdigit()):
        return  # auto, local
    try:
        socket.create_connection((host.strip('[]'), int(port)), timeout=ANSWER).close()
    except (OSError, OverflowError) as err:
        raise MatrixError(f'no Ray cluster at {address}: {err}') from None


def _check_resources(nodes: Sequence[dict[str, Any]], asked: Cluster) -> None:
    """Raise a MatrixError if a cell would wait forever."""
    alive = [node['Resources'] for node in nodes if node['Alive']]
    have = [(node.get('CPU', 0.0), node.get('GPU', 0.0)) for node in alive]
    if not any(cpus >= asked.cpus and gpus >= asked.gpus for cpus, gpus in have):
        there = '; '.join(f'{cpus:g} and {gpus:g}' for cpus, gpus in have)
        raise MatrixError(
            f'ray: no node has the {asked.cpus:g} CPUs and {asked.gpus:g} GPUs that a cell needs; '
            f'the nodes have {there}'
        )


def _words(err: Exception) -> str:
    """Return an error of Ray in a line, without the colours and places of its traceback."""
    lines = [line.strip() for line in str(err).splitlines() if line.strip()]
    if "No module named 'dlcv'" in str(err):
        return 'dlcv is not installed where Ray starts its workers'
    kind = type(err).__name__
    return f'{kind}: {lines[0]}' if lines else kind
