"""OpenVINO on the CPU."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import openvino as ov
import torch
from openvino._offline_transformations import (
    apply_moc_transformations,
    compress_quantize_weights_transformation,
)
from openvino.frontend import FrontEndManager
from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder
from torch import Tensor, nn

from dlcv.engines.signal_stack import kept_signal_stack

_ARITHMETIC = {'fp32': 'f32', 'bf16': 'bf16', 'int8': 'f32'}
"""Of what is not in integers: OpenVINO's own choice is bf16 where the processor has it."""


def build(part: nn.Module, inputs: tuple[Tensor, ...], precision: str) -> bytes:
    """Convert and compile a network; see `dlcv.engines.catalogue.Builder`."""
    # as convert_model does, which takes half a minute longer where it cannot report its use
    traced = torch.jit.trace(part, inputs, check_trace=False)  # type: ignore[no-untyped-call]
    frontend = FrontEndManager().load_by_framework('pytorch')
    decoder = TorchScriptPythonDecoder(traced, example_input=inputs)
    model = frontend.convert(frontend.load(decoder))
    # without these two, which convert_model runs as well, rounded weights stay 32 bits wide
    apply_moc_transformations(model, cf=False, smart_reshape=True)
    compress_quantize_weights_transformation(model)
    model.reshape({port: list(x.shape) for port, x in zip(model.inputs, inputs, strict=True)})
    stream = io.BytesIO()
    with kept_signal_stack():
        ov.Core().compile_model(model, 'CPU', _settings(precision)).export_model(stream)
    return stream.getvalue()


def load(content: bytes, precision: str) -> _Engine:
    """Load what `build` made."""
    with kept_signal_stack():
        compiled = ov.Core().import_model(io.BytesIO(content), 'CPU', _settings(precision))
        return _Engine(compiled.create_infer_request())


class _Engine:
    def __init__(self, request: Any) -> None:
        self._request = request

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        arrays = [np.ascontiguousarray(x.numpy()) for x in inputs]
        # what it returns is its own memory, which the next call writes to
        found = self._request.infer(arrays, share_inputs=True, share_outputs=True)
        return tuple(torch.from_numpy(np.array(value)) for value in found.values())

    def __del__(self) -> None:
        with kept_signal_stack():
            del self._request


def _settings(precision: str) -> dict[str, Any]:
    return {
        'INFERENCE_PRECISION_HINT': _ARITHMETIC[precision],
        'INFERENCE_NUM_THREADS': torch.get_num_threads(),
        'NUM_STREAMS': 1,
        'ENABLE_CPU_PINNING': False,  # several nodes would be pinned to the same cores
    }
