"""A signal is handled whatever became of the engines, in whatever order and thread they went."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

SCRIPT = """
    import os, signal, sys, threading
    import torch
    from torch import nn
    from dlcv.engines import openvino

    def engine(width):
        picture = torch.rand(1, 3, 8, 8)
        part = nn.Sequential(nn.Conv2d(3, width, 3), nn.ReLU())
        made = openvino.load(openvino.build(part, (picture,), 'fp32'), 'fp32')
        made(picture)
        return made

    torch.set_num_threads(1)
    made = [engine(2), engine(3)]
    if sys.argv[1] == 'first to come, first to go':
        made.pop(0)
        made.pop()
    else:
        thread = threading.Thread(target=made.clear)
        thread.start()
        thread.join()
    signal.signal(signal.SIGINT, lambda *_: print('handled'))
    os.kill(os.getpid(), signal.SIGINT)
"""


@pytest.mark.parametrize('order', ['first to come, first to go', 'gone in another thread'])
def test_an_interrupt_is_handled_after_engines_went(order):
    pytest.importorskip('openvino')
    script = textwrap.dedent(SCRIPT)
    run = subprocess.run(
        [sys.executable, '-c', script, order], capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stdout) == (0, 'handled\n'), run.stderr
