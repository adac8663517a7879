"""What becomes of a trained network before it is shipped."""

from __future__ import annotations

from dataclasses import replace

from dlcv.models.flownet import FlowNet
from dlcv.nn.inference import optimise


def folded_flownet(network: FlowNet) -> FlowNet:
    """Return a FlowNet without batch-norms that computes what this one does in eval mode.

    Args:
        network: With batch-norms, which are folded into the convolutions before them, or without;
            it is not changed.

    Returns:
        A copy in eval mode whose configuration says ``batch_norm=False``.
    """
    plain = FlowNet(replace(network.config, batch_norm=False))
    plain.load_state_dict(optimise(network).state_dict())
    return plain.eval()
