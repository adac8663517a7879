"""Where and with what something is computed: what a reader needs to compute it again."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from dlcv import __version__

_BFLOAT16_FLAGS = {'avx512_bf16', 'amx_bf16', 'bf16'}  # the last is that of ARM


def command() -> str:
    """Return the command line of this process, as it is typed."""
    program, *arguments = sys.argv
    name = 'dlcv' if Path(program).name in ('dlcv', '__main__.py') else program
    return shlex.join([name, *arguments])


def host() -> str:
    """Return the processor, and how many of its cores this process may use."""
    return f'{processor()}, {cores()} cores'


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def resident(process: int | str = 'self') -> int:
    """Return how many bytes a process holds in memory now.

    Args:
        process: Its number; by default this one's.

    Raises:
        OSError: There is no such process, or this is not Linux.
    """
    pages = int(Path(f'/proc/{process}/statm').read_text(encoding='ascii').split()[1])
    return pages * os.sysconf('SC_PAGE_SIZE')


def threads() -> str:
    """Return with how many threads PyTorch computes here, and how they wait for each other."""
    import torch

    asleep = os.environ.get('OMP_WAIT_POLICY', '').lower() == 'passive'
    waiting = 'asleep while they wait' if asleep else 'which may spin while they wait'
    return f'{torch.get_num_threads()} on {cores()} cores, {waiting}'


def processor() -> str:
    """Return the processor's model as Linux names it, its architecture elsewhere."""
    try:
        lines = Path('/proc/cpuinfo').read_text(encoding='utf-8').splitlines()
    except OSError:
        lines = []
    models = [line.partition(':')[2].strip() for line in lines if line.startswith('model name')]
    return models[0] if models else platform.machine()


def processor_flags() -> frozenset[str]:
    """Return what the processor can do in Linux's words, such as ``avx2``; none elsewhere."""
    try:
        lines = Path('/proc/cpuinfo').read_text(encoding='utf-8').splitlines()
    except OSError:
        return frozenset()
    named = (line.partition(':') for line in lines)
    lists = (words for name, _, words in named if name.strip() in ('flags', 'Features'))
    return frozenset(next(lists, '').split())


def has_bfloat16() -> bool:
    """Return whether the processor multiplies numbers of 16 bits (bfloat16) itself."""
    return bool(_BFLOAT16_FLAGS & processor_flags())


def versions(*libraries: str) -> dict[str, str]:
    """Return the versions of dlcv and of those of some libraries that are installed."""
    found = {'dlcv': __version__}
    for library in libraries:
        with suppress(metadata.PackageNotFoundError):  # such as OpenCV of the system
            found[library] = metadata.version(library)
    return found
