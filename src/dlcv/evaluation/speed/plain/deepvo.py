"""DeepVO as public programs run it: each window of pairs from its beginning (Wang et al., 2017)."""

from __future__ import annotations

from collections import deque

import cv2
import numpy as np
import torch

from dlcv.networks.deepvo import DeepVO
from dlcv.types import ByteImage, FloatArray


class PlainDeepVO:
    """Picture in, the last motion of its window out; all pairs of the window are encoded anew.

    Args:
        network: The network; in eval mode, float32.
        pairs: Of a window.
    """

    def __init__(self, network: DeepVO, pairs: int = 5) -> None:
        self._network = network
        self._window: deque[torch.Tensor] = deque(maxlen=pairs + 1)

    def __call__(self, picture: ByteImage) -> FloatArray | None:
        """Return ``[a0 a1 a2 (rad), x y z (m)]`` of the newest pair; None before there is one."""
        network, config = self._network, self._network.config
        height, width = config.input_size
        small = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
        image = torch.from_numpy(small.astype(np.float32).transpose(2, 0, 1) / 255)
        mean, std = (torch.tensor(values)[:, None, None] for values in (config.mean, config.std))
        self._window.append((image - config.offset - mean) / std)
        if len(self._window) < 2:
            return None
        frames = torch.stack(tuple(self._window))
        with torch.no_grad():
            codes = network.encode(torch.cat((frames[:-1], frames[1:]), dim=1))
            recalled, _ = network.rnn(codes.flatten(1)[None])
            motions = network.linear(recalled)
        return np.asarray(motions[0, -1].numpy(), np.float32)
