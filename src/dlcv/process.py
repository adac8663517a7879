"""How a process of ours begins and ends: its threads' manners, and its answer to Ctrl-C.

Both must be settled before anything large is imported, so the package's first line does it, in
processes that were started as ``dlcv``, as a node or as ``python -m dlcv...``. A program of someone
else's that imports us is left as it is.

Threads. OpenMP's threads spin while they wait for each other, each on a core that they think is
theirs. Beside one other busy process that takes several times the time of a single thread; asleep
they cost next to nothing. Those of OpenBLAS, which NumPy brings, spin whatever they are told, so
there is one. The libraries read how to wait, and with how many, when they are loaded.

Ctrl-C. Python answers with a traceback of whatever was being imported, and a second Ctrl-C breaks
off the cleaning up after the first: shared memory of the middleware stays behind, and half a bag.
ROS's launch always sends a second one. So: while a process starts it ends at once and in silence;
while it runs it gets one KeyboardInterrupt; while it ends it is left alone.
"""

from __future__ import annotations

import os
import signal
import sys
from time import monotonic
from types import FrameType
from typing import Literal

PASSIVE = {'OMP_WAIT_POLICY': 'PASSIVE'}
"""With this waiting threads sleep, whichever OpenMP PyTorch comes with."""

WAITING = ('OMP_WAIT_POLICY', 'GOMP_SPINCOUNT', 'KMP_BLOCKTIME')
"""With one of these the user has decided himself."""

ALONE = {'OPENBLAS_NUM_THREADS': '1'}
"""With this NumPy's products of matrices are computed by the thread that asks for them. Ours are of
some hundred rows: another thread gains nothing there, and spins until the next one."""

COUNTING = ('OPENBLAS_NUM_THREADS', 'OMP_NUM_THREADS')
"""With one of these the user has decided himself."""

ANEW = 1.0  # seconds after which another Ctrl-C is no echo of the last
_CODE_OF_INTERRUPT = 130
_PACKAGE, _NODES = 'dlcv', 'dlcv.ros.nodes.'

Phase = Literal['starting', 'held', 'running', 'ending']


class _Interrupts:
    """What a Ctrl-C means at present."""

    def __init__(self) -> None:
        self.phase: Phase = 'running'
        self.code = _CODE_OF_INTERRUPT
        self.last = -ANEW
        self.waiting = False

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        if self.phase == 'starting':  # nothing is there yet that would have to be closed
            os._exit(self.code)
        if self.phase == 'held':
            self.waiting = True
        if self.phase == 'running' and monotonic() - self.last >= ANEW:
            self.last = monotonic()
            raise KeyboardInterrupt


_INTERRUPTS = _Interrupts()


def begin() -> None:
    """Settle threads and interrupts, if this process is one of ours."""
    name = started_as()
    if not (name == _PACKAGE or name.startswith(f'{_PACKAGE}.') or _is_node(name)):
        return
    if not any(variable in os.environ for variable in WAITING):
        os.environ.update(PASSIVE)
    if not any(variable in os.environ for variable in COUNTING):
        os.environ.update(ALONE)
    _INTERRUPTS.phase = 'starting'
    _INTERRUPTS.code = 0 if _is_node(name) else _CODE_OF_INTERRUPT
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else somebody decided
        signal.signal(signal.SIGINT, _INTERRUPTS)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])  # `dlcv up` lets it wait for this


def hold() -> bool:
    """Let an interrupt wait for `run`: what is made now would be lost half made.

    A SIGTERM means the same from now on.

    Returns:
        Whether signals are ours: a library that would answer them too is to leave them alone.
    """
    _INTERRUPTS.phase = 'held'
    ours = signal.getsignal(signal.SIGINT) is _INTERRUPTS
    if ours:
        signal.signal(signal.SIGTERM, _INTERRUPTS)
    return ours


def run() -> None:
    """Answer interrupts with a KeyboardInterrupt; one that waits comes at once."""
    _INTERRUPTS.phase = 'running'
    if _INTERRUPTS.waiting:
        _INTERRUPTS.waiting, _INTERRUPTS.last = False, monotonic()
        raise KeyboardInterrupt


def heard() -> None:
    """Take an interrupt that comes in the next moment for an echo of one that was answered."""
    _INTERRUPTS.last = monotonic()


def end() -> None:
    """Answer interrupts no more: what is open is being closed."""
    _INTERRUPTS.phase = 'ending'


def started_as() -> str:
    """Return the module of ``python -m``, or the name of the script that this process runs."""
    program = sys.argv[0] if sys.argv else ''
    if program == '-m':  # as long as Python looks for the module
        return sys.orig_argv[sys.orig_argv.index('-m') + 1]
    return os.path.basename(program)  # noqa: PTH119 - nothing is imported here that can wait


def _is_node(name: str) -> bool:
    """Whether a module or a script is one of our nodes; when these are stopped, all is well."""
    if name.startswith(_NODES):
        return True
    node = name.removesuffix('_node')
    module = os.path.join(os.path.dirname(__file__), 'ros', 'nodes', f'{node}.py')  # noqa: PTH118, PTH120
    return node != name and os.path.isfile(module)  # noqa: PTH113
