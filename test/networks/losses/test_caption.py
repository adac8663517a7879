from __future__ import annotations

import pytest
import torch

from dlcv.networks.layers.shapes import ShapeError
from dlcv.networks.losses.caption import NO_WORD, caption_loss


def test_it_is_the_sum_over_words_and_the_mean_over_sentences():
    scores = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(1))
    words = torch.tensor([[4, 0, 1], [2, 1, NO_WORD]])
    by_hand = 0.0
    for sentence, others in zip(scores.softmax(-1), words, strict=True):
        by_hand -= sum(float(p[w].log()) for p, w in zip(sentence, others, strict=True) if w >= 0)
    assert float(caption_loss(scores, words)) == pytest.approx(by_hand / 2, rel=1e-5)
    scores[1, 2] = 100.0  # after the end
    assert float(caption_loss(scores, words)) == pytest.approx(by_hand / 2, rel=1e-5)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ShapeError, match=r'one length, got \(1, 3\) and \(1, 2\)'):
        caption_loss(torch.zeros(1, 3, 5), torch.zeros(1, 2, dtype=torch.long))
