"""Networks in the format of ONNX, which several engines read."""

from __future__ import annotations

import io
import warnings
from typing import Any

import torch
from torch import Tensor, nn

OPSET = 17


def exported(part: nn.Module, inputs: tuple[Tensor, ...]) -> bytes:
    """Return a network for inputs of these shapes as an ONNX file."""
    stream: Any = io.BytesIO()  # it takes more than it says
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # that there is a newer exporter, which needs more
        torch.onnx.export(part, inputs, stream, opset_version=OPSET, dynamo=False)
    return bytes(stream.getvalue())
