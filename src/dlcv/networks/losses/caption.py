"""What a network minimises that is to tell of pictures (Vinyals et al., CVPR 2015, equation 10).

Letters in this file: B sentences, T words of each, V words of the vocabulary.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from dlcv.networks.layers.shapes import ShapeError, expect

NO_WORD = -1
"""Stands after the end of a sentence that is shorter than others."""


def caption_loss(scores: Tensor, words: Tensor) -> Tensor:
    """Return the mean over the sentences of ``-sum_t log p_t(S_t)``.

    Args:
        scores: ``(B, T, V)`` logits of each word, known those before it.
        words: ``(B, T)`` the words themselves, the mark of the end included; `NO_WORD` after it.

    Raises:
        ShapeError: If shapes do not fit.
    """
    expect(scores, 'B T V', 'scores')
    expect(words, 'B T', 'words')
    if scores.shape[:2] != words.shape:
        raise ShapeError(
            f'scores and words: expected one length, got {tuple(scores.shape[:2])} and '
            f'{tuple(words.shape)}'
        )
    total = F.cross_entropy(
        scores.flatten(0, 1), words.flatten(), ignore_index=NO_WORD, reduction='sum'
    )
    return total / len(words)
