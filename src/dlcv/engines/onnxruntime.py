"""ONNX Runtime on the CPU."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import torch
from torch import Tensor, nn

from dlcv.engines.onnx_format import exported


def build(part: nn.Module, inputs: tuple[Tensor, ...], precision: str) -> bytes:
    """Convert a network; see `dlcv.engines.catalogue.Builder`."""
    return exported(part, inputs)


def load(content: bytes, precision: str) -> _Engine:
    """Load what `build` made."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.inter_op_num_threads = 1
    options.add_session_config_entry('session.intra_op.allow_spinning', '0')
    options.log_severity_level = 3
    return _Engine(ort.InferenceSession(content, options, providers=['CPUExecutionProvider']))


class _Engine:
    def __init__(self, session: ort.InferenceSession) -> None:
        self._session = session
        self._names = [one.name for one in session.get_inputs()]

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        arrays = [np.ascontiguousarray(x.numpy()) for x in inputs]
        found = self._session.run(None, dict(zip(self._names, arrays, strict=True)))
        return tuple(torch.from_numpy(np.asarray(value)) for value in found)
