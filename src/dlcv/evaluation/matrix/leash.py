"""Become a program that is ended when the process that started it dies, however that dies.

A script of its own, ``python leash.py PARENT PROGRAM ARGUMENT...``, and not a function that runs
between fork and exec: workers of a cluster have threads, in which such functions may hang.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Ask Linux for the end with the parent, then run the program in this process."""
    parent, *command = sys.argv[1:]
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # ignored where a shell started us with `&`
    signal.pthread_sigmask(signal.SIG_SETMASK, [])  # workers of Ray block SIGINT
    if sys.platform == 'linux':
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
    if os.getppid() != int(parent):
        sys.exit('whoever started this is gone')
    try:
        os.execvp(command[0], command)  # noqa: S606
    except OSError as err:
        sys.exit(f'{command[0]}: {err.strerror}')


if __name__ == '__main__':
    main()
