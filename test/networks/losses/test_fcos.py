"""What points are to say, and what it costs if they do not, by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dlcv.networks.fcos import points
from dlcv.networks.layers.shapes import ShapeError
from dlcv.networks.losses.fcos import (
    NOTHING,
    UNASKED,
    centreness,
    fcos_loss,
    focal_loss,
    giou_loss,
    targets,
)

PLACE = points(64, 64)  # 64 + 16 + 4


def wanted(*boxes, kind=None, counts=None):
    kind = list(range(len(boxes))) if kind is None else kind
    return targets(
        PLACE,
        torch.tensor([boxes], dtype=torch.float32),
        torch.tensor([kind]),
        torch.tensor([counts or [True] * len(boxes)]),
    )


def test_points_near_the_middle_of_a_box_answer_for_it():
    """A box of 30 x 30 pixels: of the grid of 8, those less than 12 from its middle."""
    told = wanted((10, 10, 40, 40))
    inside = told.kind[0] >= 0
    assert (PLACE[inside, 2] == 8).all()
    apart = (PLACE[:, :2] - 25).abs().amax(1)
    assert (inside == ((PLACE[:, 2] == 8) & (apart < 12))).all()
    x, y = PLACE[inside][0, :2]
    assert told.edges[0, inside][0].tolist() == [x - 10, y - 10, 40 - x, 40 - y]
    assert (told.kind[0, ~inside] == NOTHING).all()


def test_large_boxes_belong_to_coarse_grids_and_small_ones_before_large():
    told = wanted((-40, -40, 63, 63), (20, 20, 34, 34))
    assert set(PLACE[told.kind[0] == 1, 2].tolist()) == {8}
    assert set(PLACE[told.kind[0] == 0, 2].tolist()) == {16}
    both = wanted((0, 0, 40, 40), (8, 8, 32, 32))
    nearest = (PLACE[:, :2] - 20).abs().amax(1).argmin()
    assert both.kind[0, nearest] == 1


def test_what_cannot_be_asked_for_is_not_asked():
    told = wanted((0, 0, 30, 30), (34, 34, 60, 60), (1, 1, 5, 5), kind=[0, 1, -1],
                  counts=[True, False, True])  # fmt: skip
    within = ((PLACE[:, :2] > 34) & (PLACE[:, :2] < 60)).all(1)
    assert (told.kind[0, within] == UNASKED).all()
    assert not (told.kind[0, ~within] == UNASKED).any()
    assert set(told.kind[0].tolist()) == {NOTHING, UNASKED, 0}
    with pytest.raises(ShapeError, match='points'):
        targets(PLACE[:, :2], torch.zeros(1, 1, 4), torch.zeros(1, 1), torch.zeros(1, 1))


def test_centreness_is_that_of_the_paper():
    edges = torch.tensor([[5.0, 5, 5, 5], [2, 5, 8, 5], [1, 1, 4, 9]])
    assert centreness(edges).tolist() == pytest.approx([1, 0.5, np.sqrt(1 / 36)])


def test_giou_counts_what_is_in_neither():
    """One is 4 x 4, the other 2 x 8; around both is 4 x 8, of which 8 are in neither."""
    loss = giou_loss(torch.tensor([[2.0, 2, 2, 2]]), torch.tensor([[1.0, 4, 1, 4]]))
    assert float(loss) == pytest.approx(1 - 8 / 24 + 8 / 32)
    same = torch.tensor([[3.0, 1, 2, 5]])
    assert float(giou_loss(same, same)) == pytest.approx(0)


def test_focal_loss_is_that_of_the_paper():
    logits = torch.tensor([[[0.0, 0.0], [5.0, 5.0], [0.0, 0.0]]])
    kind = torch.tensor([[1, UNASKED, NOTHING]])
    half = 0.5**2 * np.log(2)
    assert float(focal_loss(logits, kind)) == pytest.approx(half * (0.25 + 0.75 + 0.75 + 0.75))


def test_the_loss_vanishes_with_what_is_right():
    told = wanted((10, 10, 40, 40), (34, 44, 58, 62))
    inside = told.kind >= 0
    kinds = torch.full((1, len(PLACE), 3), -30.0)
    kinds[inside] += 60 * torch.nn.functional.one_hot(told.kind[inside], 3)
    edges = torch.ones_like(told.edges)
    edges[inside] = told.edges[inside]
    middles = torch.zeros(1, len(PLACE))
    middles[inside] = torch.logit(centreness(told.edges[inside]).clamp(1e-4, 1 - 1e-4))
    right = fcos_loss(kinds, edges, middles, told)
    assert float(right['kind'] + right['box']) == pytest.approx(0, abs=1e-5)
    wrong = fcos_loss(-kinds, edges * 2, -middles, told)
    assert all(wrong[part] > right[part] + 0.1 for part in ('kind', 'box', 'middle'))
    nothing = wanted((0, 0, 1, 1), kind=[-1])
    empty = fcos_loss(kinds, edges, middles, nothing)
    assert torch.isfinite(empty['loss'])
    assert float(empty['box']) == float(empty['middle']) == 0
