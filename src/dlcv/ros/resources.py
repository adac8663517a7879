"""What the nodes of a process take of it and give back: threads, Python's objects, GPU memory."""

from __future__ import annotations

import gc
import threading
from typing import Any

_HOLDERS: set[int] = set()
_LOCK = threading.Lock()


def use_threads(count: int) -> None:
    """Let PyTorch compute with so many threads in the calling one; 0 takes half of the cores.

    On a GPU it gets a stream of its own: nodes of one process would wait for each other.
    """
    from dlcv.estimation.device import own_stream, set_threads

    set_threads(count)
    own_stream()


def settle(holder: object) -> None:
    """Keep Python's collector from what is there now, a node being configured.

    A full collection over torch's 170,000 objects stops all nodes of a process for half a second.
    """
    with _LOCK:
        _HOLDERS.add(id(holder))
        gc.freeze()


def release(holder: object, device: Any) -> None:
    """Free what a node's network leaves behind, on a device too, and nothing that others use.

    Args:
        holder: The node.
        device: Where its network was; None for nowhere.
    """
    with _LOCK:
        _HOLDERS.discard(id(holder))
        gc.unfreeze()
        if _HOLDERS:
            gc.collect()
            gc.freeze()
    if device is not None and str(device).startswith('cuda'):
        import torch

        torch.cuda.empty_cache()
