"""The stack on which a thread handles signals, kept from a library that leaves a freed one."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager


class _Stack(ctypes.Structure):
    """`stack_t` of sigaltstack(2), as Linux has it."""

    _fields_ = (
        ('pointer', ctypes.c_void_p),
        ('flags', ctypes.c_int),
        ('size', ctypes.c_size_t),
    )


@contextmanager
def kept_signal_stack() -> Iterator[None]:
    """Give the calling thread the alternate signal stack back that it had before the block.

    OpenVINO's CPU plugin installs one of its own with each compiled model, and puts back the one
    before when that model goes: right as long as models go in the reverse order of their coming,
    and in the thread they came in. Otherwise the thread keeps a stack that is unmapped, and the
    next signal, Ctrl-C above all, ends the process with a segmentation fault.
    """
    if sys.platform != 'linux':
        yield
        return
    sigaltstack = ctypes.CDLL(None).sigaltstack
    before = _Stack()
    sigaltstack(None, ctypes.byref(before))
    try:
        yield
    finally:
        sigaltstack(ctypes.byref(before), None)
