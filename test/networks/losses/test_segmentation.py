from __future__ import annotations

import pytest
import torch

from dlcv.classes import UNLABELLED
from dlcv.networks.layers.shapes import ShapeError
from dlcv.networks.losses.segmentation import segmentation_loss


def test_it_is_the_weighted_mean_of_the_logarithms():
    torch.manual_seed(0)
    scores = torch.randn(2, 3, 2, 2, dtype=torch.float64)
    labels = torch.tensor([[[0, 1], [2, UNLABELLED]], [[1, 1], [UNLABELLED, 0]]])
    weights = torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64)
    total = counted = 0.0
    for b, y, x in torch.cartesian_prod(*[torch.arange(2)] * 3).tolist():
        if (c := int(labels[b, y, x])) != UNLABELLED:
            share = scores[b, c, y, x].exp() / scores[b, :, y, x].exp().sum()
            total -= float(weights[c] * share.log())
            counted += float(weights[c])
    found = segmentation_loss(scores, labels, weights)
    assert float(found) == pytest.approx(total / counted)
    same = segmentation_loss(scores, labels, torch.full((3,), 7.0, dtype=torch.float64))
    assert float(same) == pytest.approx(float(segmentation_loss(scores, labels)))


def test_pictures_without_labels_teach_nothing():
    scores = torch.randn(1, 4, 3, 3, requires_grad=True)
    labels = torch.full((1, 3, 3), UNLABELLED)
    loss = segmentation_loss(scores, labels, torch.ones(4))
    loss.backward()
    assert loss.item() == 0
    assert not scores.grad.any()


def test_another_size_is_refused():
    with pytest.raises(ShapeError, match=r'got \(1, 4, 3, 3\) and \(1, 3, 4\)'):
        segmentation_loss(torch.zeros(1, 4, 3, 3), torch.zeros(1, 3, 4))
