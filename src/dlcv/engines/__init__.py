"""What runs the pure part of a network: tensors in, tensors out, of one shape.

PyTorch itself, or OpenVINO, ONNX Runtime and TensorRT where they are installed. Post-processing
stays with the estimators: exporters turn what depends on the data into constants without a word.
For the same reason each engine is compared with PyTorch before it is trusted.
"""

from dlcv.engines.catalogue import TORCH, Choice, EngineError, Ranges, installed, require
from dlcv.engines.choice import choose
from dlcv.engines.runner import Part, Runner, whole

__all__ = [
    'TORCH', 'Choice', 'EngineError', 'Part', 'Ranges', 'Runner', 'choose', 'installed', 'require',
    'whole',
]  # fmt: skip
