"""What becomes of a trained network before it is shipped."""

from __future__ import annotations

from dataclasses import replace

from dlcv.networks.flownet import FlowNet
from dlcv.networks.layers.folding import optimise
from dlcv.networks.superpoint import SuperPoint
from dlcv.training.recipe import TrainError


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


def folded_superpoint(network: SuperPoint) -> SuperPoint:
    """Return the plain network of the paper that computes what this one does in eval mode.

    Args:
        network: Of variant ``unet_bn``, whose batch-norms are folded into the convolutions before
            them, or ``vgg``; it is not changed.

    Returns:
        A copy in eval mode, of variant ``vgg``.

    Raises:
        TrainError: If the batch-norms come after the activations, where they cannot be folded.
    """
    if network.config.variant == 'vgg_bn':
        raise TrainError("batch-norms fold away in variant 'unet_bn', not in 'vgg_bn'")
    plain = SuperPoint(replace(network.config, variant='vgg'))
    plain.load_state_dict(optimise(network).state_dict())
    return plain.eval()
