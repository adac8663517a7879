"""FlowNet with its correlation as a loop over displacements (Fischer et al., ICCV 2015)."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dlcv.networks.flownet import FlowNet
from dlcv.types import ByteImage, FloatArray


def correlation_loop(
    first: Tensor, second: Tensor, *, max_displacement: int, stride: int
) -> Tensor:
    """Do what `dlcv.networks.layers.correlation` does, one displacement after another.

    Args:
        first: ``(B, C, H, W)``.
        second: ``(B, C, H, W)``.
        max_displacement: Largest displacement in pixels of the maps.
        stride: Between two displacements.

    Returns:
        ``(B, K*K, H, W)``.
    """
    height, width = first.shape[2:]
    reach = max_displacement // stride * stride
    padded = F.pad(second, (reach,) * 4)
    found = [
        (first * padded[:, :, y : y + height, x : x + width]).mean(1)
        for y in range(0, 2 * reach + 1, stride)
        for x in range(0, 2 * reach + 1, stride)
    ]
    return torch.stack(found, 1)


class _Looping(FlowNet):
    """FlowNetC whose streams meet in a loop."""

    def _meet(self, stacked: Tensor) -> tuple[Tensor, Tensor]:
        one, other = stacked.chunk(2, dim=1)
        at4 = self._through(one, 'conv1', 'conv2')
        first = self._through(at4, 'conv3')
        second = self._through(other, 'conv1', 'conv2', 'conv3')
        matches = correlation_loop(
            first,
            second,
            max_displacement=self.config.max_displacement,
            stride=self.config.displacement_stride,
        )
        redirected = self._through(first, 'conv_redir')
        return at4, torch.cat((redirected, F.leaky_relu(matches, 0.1)), dim=1)


class PlainFlowNet:
    """Two pictures in, the flow of every pixel out.

    Args:
        network: FlowNetS or FlowNetC; in eval mode, float32.
    """

    def __init__(self, network: FlowNet) -> None:
        self._network = _Looping(network.config).eval()
        self._network.load_state_dict(network.state_dict())
        self._last: ByteImage | None = None

    def __call__(self, picture: ByteImage) -> FloatArray | None:
        """Return the flow ``(H, W, 2)`` from the last picture to this one, in pixels."""
        last, self._last = self._last, picture
        if last is None:
            return None
        pair = [
            torch.from_numpy(one.astype(np.float32).transpose(2, 0, 1) / 255)[None]
            for one in (last, picture)
        ]
        with torch.no_grad():
            flow = self._network(*pair)
        return np.asarray(flow[0].numpy().transpose(1, 2, 0), np.float32)
