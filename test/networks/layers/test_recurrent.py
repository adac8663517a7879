"""The LSTM as matrix products equals PyTorch's."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dlcv.networks.layers.recurrent import run_lstm


@pytest.mark.parametrize('layers', [1, 2, 3])
@pytest.mark.parametrize('with_memory', [False, True])
def test_equals_torch(layers, with_memory):
    torch.manual_seed(layers)
    lstm = nn.LSTM(7, 5, layers, batch_first=True)
    codes = torch.randn(3, 4, 7)
    memory = (torch.randn(layers, 3, 5), torch.randn(layers, 3, 5)) if with_memory else None
    outputs, (hidden, cell) = run_lstm(lstm, codes, memory)
    expected, (expected_hidden, expected_cell) = lstm(codes, memory)
    torch.testing.assert_close(outputs, expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(hidden, expected_hidden, rtol=0, atol=1e-6)
    torch.testing.assert_close(cell, expected_cell, rtol=0, atol=1e-6)


def test_gradients_equal_torch():
    torch.manual_seed(0)
    lstm = nn.LSTM(4, 3, 2, batch_first=True)
    codes = torch.randn(2, 5, 4)
    parameters = list(lstm.parameters())
    ours = torch.autograd.grad(run_lstm(lstm, codes)[0].square().sum(), parameters)
    theirs = torch.autograd.grad(lstm(codes)[0].square().sum(), parameters)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)
