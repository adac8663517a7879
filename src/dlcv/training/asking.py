"""What a network that is being trained answers to a picture."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from dlcv.training.flow_samples import channels_first
from dlcv.types import ByteImage


def asked(network: nn.Module, *images: ByteImage) -> Any:
    """Return the answer to pictures ``(H, W, 3)``, each a batch of one; training goes on after it.

    Args:
        network: Takes ``(1, 3, H, W)`` in [0, 1] for each.
        images: Of a size that it takes.
    """
    return asked_part(network, lambda whole, *batches: whole(*batches), *images)


@torch.no_grad()
def asked_part(network: nn.Module, part: Callable[..., Any], *images: ByteImage) -> Any:
    """Return the answer of a part of a network; see `asked`.

    Args:
        network: The network.
        part: Takes it, and ``(1, 3, H, W)`` in [0, 1] for each picture.
        images: Of a size that it takes.
    """
    device, training = next(network.parameters()).device, network.training
    batches = [
        torch.from_numpy(channels_first(image))[None].to(device).float() / 255 for image in images
    ]
    answer = part(network.eval(), *batches)
    network.train(training)
    return answer
