"""Recorded graphs of a GPU, with a recorder that computes on the CPU in their place."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dlcv.engines import TORCH, EngineError, Runner, runner
from dlcv.engines.graphed import Graphed

PICTURE = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))


class Recorder:
    """Computes anew what was recorded, into the outputs of the first time, as a graph does."""

    def __init__(self, spoiled=0.0):
        self.spoiled, self.replays = spoiled, 0

    def __call__(self, compute, device):
        outputs = compute()

        def replay():
            self.replays += 1
            for held, fresh in zip(outputs, compute(), strict=True):
                held.copy_(fresh + self.spoiled)

        return outputs, replay


@pytest.fixture
def part():
    torch.manual_seed(0)
    return nn.Conv2d(3, 4, 3).eval().requires_grad_(False)


def test_each_picture_is_computed_in_the_same_memory(part):
    recorder = Recorder()
    graphed = Graphed(part, (PICTURE,), TORCH, recorder)
    first, second = PICTURE * 0.5, PICTURE * 2
    (one,) = graphed(first)
    (two,) = graphed(second)
    assert recorder.replays == 3  # one of them to compare
    torch.testing.assert_close(one, part(first))  # the caller's own: the second left it alone
    torch.testing.assert_close(two, part(second))
    assert torch.equal(PICTURE, torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0)))


def test_a_graph_that_computes_something_else_is_refused(part):
    with pytest.raises(EngineError, match=r'torch fp32 are off by'):
        Graphed(part, (PICTURE,), TORCH, Recorder(spoiled=1.0))


class OnGpu:
    """A tensor that says so; only what the runner asks of it."""

    is_cuda, shape = True, (1, 3, 8, 8)


def test_a_gpu_gets_one_graph_for_each_shape(part, monkeypatch):
    made = []

    def graphed(_part, inputs, _choice):
        made.append(inputs)
        return lambda *_: (PICTURE,)

    monkeypatch.setattr(runner, 'Graphed', graphed)
    run = Runner(part)
    assert run(OnGpu())[0] is PICTURE
    assert run(OnGpu())[0] is PICTURE
    assert len(made) == 1


def test_what_cannot_be_recorded_is_run_as_it_is(part, monkeypatch):
    def refuse(*_):
        raise RuntimeError('operation not permitted when stream is capturing\nand more')

    said = []
    monkeypatch.setattr(runner, 'Graphed', refuse)
    run = Runner(lambda given: PICTURE)
    run.say = said.append
    assert run(OnGpu())[0] is PICTURE
    assert said == [
        'PyTorch without a CUDA graph: operation not permitted when stream is capturing'
    ]
    assert run(OnGpu())[0] is PICTURE  # and is not tried again
    assert len(said) == 1
