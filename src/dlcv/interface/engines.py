"""Names of what networks run in and of their arithmetic, and how to get what is missing."""

from __future__ import annotations

ENGINES = ('auto', 'torch', 'openvino', 'onnxruntime', 'tensorrt')
"""``auto`` is the fastest of those that are installed; ``torch`` is always there."""
PRECISIONS = ('auto', 'fp32', 'fp16', 'bf16', 'int8')
"""``auto`` is the fastest on the processor that serves the task as well as fp32; int8 is for
weights with measured ranges."""
NEEDS: dict[str, tuple[str, ...]] = {
    'torch': ('torch',),
    'openvino': ('openvino',),
    'onnxruntime': ('onnxruntime', 'onnx'),
    'tensorrt': ('tensorrt', 'onnx'),
}
"""Engine -> the libraries without which it cannot run; the extra of its name brings them."""
