"""Weight files: loaded safely, recognised by their tensors, written in our own format.

This room needs PyTorch; import it where a network is wanted, not at the top of a command.
"""

from dlcv.networks.weights.files import MAX_BYTES, WeightsError
from dlcv.networks.weights.shipped import PARTS, SHIPPED_CONFIGS, chosen, shipped, untrained
from dlcv.networks.weights.store import (
    Loaded,
    Weights,
    describe,
    load,
    load_network,
    name_of,
    save_network,
)

__all__ = [
    'MAX_BYTES',
    'PARTS',
    'SHIPPED_CONFIGS',
    'Loaded',
    'Weights',
    'WeightsError',
    'chosen',
    'describe',
    'load',
    'load_network',
    'name_of',
    'save_network',
    'shipped',
    'untrained',
]
