"""TensorRT on an NVIDIA GPU. Written to the interface of its version 10 and not yet run."""

from __future__ import annotations

from typing import Any

import tensorrt as trt
import torch
from torch import Tensor, nn

from dlcv.engines.catalogue import EngineError
from dlcv.engines.onnx_format import exported

_LOGGER = trt.Logger(trt.Logger.WARNING)
_FLAGS = {'fp16': 'FP16', 'bf16': 'BF16', 'int8': 'INT8'}


def build(part: nn.Module, inputs: tuple[Tensor, ...], precision: str) -> bytes:
    """Convert and compile a network; see `dlcv.engines.catalogue.Builder`.

    Raises:
        EngineError: TensorRT cannot read or compile it.
    """
    builder = trt.Builder(_LOGGER)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.EXPLICIT_BATCH))
    parser = trt.OnnxParser(network, _LOGGER)
    if not parser.parse(exported(part, inputs)):
        problems = '; '.join(str(parser.get_error(i)) for i in range(parser.num_errors))
        raise EngineError(f'TensorRT cannot read the network: {problems}')
    config = builder.create_builder_config()
    if flag := _FLAGS.get(precision):
        config.set_flag(getattr(trt.BuilderFlag, flag))
    made = builder.build_serialized_network(network, config)
    if made is None:
        raise EngineError('TensorRT cannot compile the network; its log says why')
    return bytes(made)


def load(content: bytes, precision: str) -> _Engine:
    """Load what `build` made.

    Raises:
        EngineError: It was made for another GPU or by another version.
    """
    engine = trt.Runtime(_LOGGER).deserialize_cuda_engine(content)
    if engine is None:
        raise EngineError('TensorRT refuses an engine of another GPU or version')
    return _Engine(engine)


class _Engine:
    def __init__(self, engine: Any) -> None:
        self._engine, self._context = engine, engine.create_execution_context()
        names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
        mode = {name: engine.get_tensor_mode(name) for name in names}
        self._inputs = [n for n in names if mode[n] == trt.TensorIOMode.INPUT]
        self._outputs = [n for n in names if mode[n] == trt.TensorIOMode.OUTPUT]

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        given = [x.float().contiguous() for x in inputs]
        found = [
            torch.empty(tuple(self._engine.get_tensor_shape(name)), device=given[0].device)
            for name in self._outputs
        ]
        for name, tensor in zip((*self._inputs, *self._outputs), (*given, *found), strict=True):
            self._context.set_tensor_address(name, tensor.data_ptr())
        stream = torch.cuda.current_stream(given[0].device)
        if not self._context.execute_async_v3(stream.cuda_stream):
            raise EngineError('TensorRT could not run the network; its log says why')
        return tuple(found)
