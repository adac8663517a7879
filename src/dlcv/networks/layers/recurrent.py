"""An LSTM's steps as plain matrix products.

Letters in this file: B sequences, T steps, F input features, M memory width, L layers.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Memory = tuple[Tensor, Tensor]  # hidden and cell state, each (L, B, M)


def run_lstm(lstm: nn.LSTM, codes: Tensor, memory: Memory | None = None) -> tuple[Tensor, Memory]:
    """Do what ``lstm(codes, memory)`` does, faster on a CPU.

    PyTorch repacks the weights at each call on a CPU, which for DeepVO's 123 million takes thirty
    times longer than using them. Here the inputs of all steps meet ``weight_ih`` in one product
    and each step then adds its ``weight_hh`` product.

    Args:
        lstm: A plain LSTM: batch first, one direction, biases, no projection, no dropout between
            layers.
        codes: ``(B, T, F)``.
        memory: State to start from; None for zeros.

    Returns:
        ``(B, T, M)`` outputs of the last layer and the state after the last step.
    """
    if codes.is_cuda:  # cuDNN keeps its weights packed
        outputs, state = lstm(codes, memory)
        return outputs, state
    hidden, cell = memory if memory is not None else zero_memory(lstm, codes)
    hiddens, cells = [], []
    for layer in range(lstm.num_layers):
        codes, h, c = _run_layer(lstm, layer, codes, hidden[layer], cell[layer])
        hiddens.append(h)
        cells.append(c)
    return codes, (torch.stack(hiddens), torch.stack(cells))


def zero_memory(lstm: nn.LSTM, codes: Tensor) -> Memory:
    """Return the state before the first step, for codes ``(B, T, F)``."""
    zeros = codes.new_zeros(lstm.num_layers, codes.shape[0], lstm.hidden_size)
    return zeros, zeros


def _run_layer(
    lstm: nn.LSTM, layer: int, codes: Tensor, h: Tensor, c: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return outputs ``(B, T, M)`` and the last hidden and cell state ``(B, M)`` of one layer."""
    w_in, w_hidden, b_in, b_hidden = (
        lstm.get_parameter(f'{name}_l{layer}')
        for name in ('weight_ih', 'weight_hh', 'bias_ih', 'bias_hh')
    )
    from_input = F.linear(codes, w_in, b_in + b_hidden)  # (B, T, 4M)
    outputs = []
    for at_step in from_input.unbind(1):
        take, forget, content, give = (at_step + F.linear(h, w_hidden)).chunk(4, dim=1)
        c = forget.sigmoid() * c + take.sigmoid() * content.tanh()
        h = give.sigmoid() * c.tanh()  # (B, M)
        outputs.append(h)
    return torch.stack(outputs, dim=1), h, c
