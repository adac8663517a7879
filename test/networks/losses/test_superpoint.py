"""SuperPoint's losses: known answers, loops, laws."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from dlcv.networks.layers.keypoints import heatmap
from dlcv.networks.layers.shapes import ShapeError
from dlcv.networks.losses.superpoint import (
    DUSTBIN,
    PAPER,
    RETRAINING,
    HingeConfig,
    cell_labels,
    close_pairs,
    contrastive_loss,
    corresponding_cells,
    detector_loss,
    hardest_loss,
    hinge_loss,
    transform,
    valid_cells,
)

TILT = torch.tensor([[[0.9, 0.2, 3.0], [-0.1, 1.1, -2.0], [1e-3, 2e-3, 1.0]]])


def unit(*shape, dim, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(*shape, generator=generator), dim=dim)


# -- detector --


def test_a_label_is_where_the_heat_map_has_the_point():
    present = torch.zeros(1, 16, 24, dtype=torch.bool)
    present[0, 11, 22] = True
    labels = cell_labels(present)
    assert labels.tolist() == [[[DUSTBIN] * 3, [DUSTBIN, DUSTBIN, 3 * 8 + 6]]]
    logits = 20 * F.one_hot(labels, DUSTBIN + 1).permute(0, 3, 1, 2).float()
    assert torch.equal(heatmap(logits) > 0.5, present)


def test_points_of_one_cell_take_turns():
    present = torch.zeros(400, 8, 8, dtype=torch.bool)
    present[:, [0, 3, 7], [0, 4, 7]] = True
    labels = cell_labels(present, torch.Generator().manual_seed(1)).flatten()
    found, counts = labels.unique(return_counts=True)
    assert found.tolist() == [0, 28, 63]
    assert (counts > 90).all()
    again = cell_labels(present, torch.Generator().manual_seed(1)).flatten()
    assert torch.equal(labels, again)


def test_one_invalid_pixel_makes_its_cell_invalid():
    valid = torch.ones(1, 16, 16, dtype=torch.bool)
    valid[0, 15, 0] = False
    assert valid_cells(valid).tolist() == [[[True, True], [False, True]]]


def test_detector_loss_equals_the_loop():
    torch.manual_seed(0)
    logits, labels = torch.randn(2, 65, 3, 4), torch.randint(0, 65, (2, 3, 4))
    valid = torch.rand(2, 3, 4) < 0.6
    each = [
        -math.log(logits[b, :, r, c].exp()[labels[b, r, c]] / logits[b, :, r, c].exp().sum())
        for b, r, c in valid.nonzero().tolist()
    ]
    expected = sum(each) / len(each)
    assert float(detector_loss(logits, labels, valid)) == pytest.approx(expected, rel=1e-5)


def test_knowing_nothing_costs_the_logarithm_of_65():
    loss = detector_loss(torch.zeros(1, 65, 2, 2), torch.full((1, 2, 2), 7))
    assert float(loss) == pytest.approx(math.log(65))


def test_invalid_cells_give_no_gradient():
    logits = torch.randn(1, 65, 1, 2, requires_grad=True)
    detector_loss(
        logits, torch.zeros(1, 1, 2, dtype=torch.int64), torch.tensor([[[True, False]]])
    ).backward()
    assert logits.grad[..., 0].any()
    assert not logits.grad[..., 1].any()


def test_no_valid_cell_costs_nothing():
    logits, labels = torch.randn(1, 65, 1, 2), torch.zeros(1, 1, 2, dtype=torch.int64)
    assert float(detector_loss(logits, labels, torch.zeros(1, 1, 2, dtype=torch.bool))) == 0


# -- all pairs of cells --


def slow_hinge(first, second, homography, valid, config):
    batch, _, height, width = first.shape
    cells = [(r, c) for r in range(height) for c in range(width)]
    total, count = 0.0, 0
    for b in range(batch):
        table = [[float(first[b, :, r, c] @ second[b, :, i, j]) for i, j in cells]
                 for r, c in cells]  # fmt: skip
        if config.normalise:
            table = [[max(0.0, value) for value in row] for row in table]
            for k in range(len(cells)):
                length = math.sqrt(sum(row[k] ** 2 for row in table))
                for row in table:
                    row[k] /= max(length, 1e-12)
            table = [
                [v / max(math.sqrt(sum(w * w for w in row)), 1e-12) for v in row] for row in table
            ]
        for row, (r, c) in zip(table, cells, strict=True):
            x, y, w = (homography[b] @ torch.tensor([8 * c + config.centre, 8 * r + config.centre,
                                                     1.0])).tolist()  # fmt: skip
            for value, (i, j) in zip(row, cells, strict=True):
                if not valid[b, i, j]:
                    continue
                count += 1
                far = math.hypot(x / w - 8 * j - config.centre, y / w - 8 * i - config.centre)
                if far <= config.reach:
                    total += config.positive_weight * max(0.0, config.positive_margin - value)
                else:
                    total += max(0.0, value - config.negative_margin)
    return total / count


@pytest.mark.parametrize('config', [PAPER, RETRAINING, HingeConfig(reach=20, centre=4.0)])
def test_hinge_loss_equals_the_loop(config):
    first, second = unit(2, 4, 3, 4, dim=1), unit(2, 4, 3, 4, dim=1, seed=1)
    homography = torch.cat((TILT, torch.eye(3)[None]))
    valid = torch.rand(2, 3, 4, generator=torch.Generator().manual_seed(2)) < 0.7
    expected = slow_hinge(first, second, homography, valid, config)
    loss = hinge_loss(first, second, homography, valid, config)
    assert float(loss) == pytest.approx(expected, rel=1e-4)


def test_without_motion_each_cell_corresponds_to_itself_alone():
    true = corresponding_cells(torch.eye(3)[None], (3, 4))
    assert torch.equal(true, torch.eye(12, dtype=torch.bool)[None])


def test_a_shift_by_a_cell_moves_the_correspondence():
    shift = torch.tensor([[[1.0, 0, 8], [0, 1, 0], [0, 0, 1]]])
    true = corresponding_cells(shift, (1, 4))[0]
    assert true.nonzero().tolist() == [[0, 1], [1, 2], [2, 3]]


def test_distinct_descriptors_in_their_places_cost_nothing():
    descriptors = torch.eye(6).view(1, 6, 2, 3)
    assert float(hinge_loss(descriptors, descriptors, torch.eye(3)[None])) == 0
    swapped = descriptors.flip(3)
    assert float(hinge_loss(descriptors, swapped, torch.eye(3)[None])) > 1


# -- sampled points --


def slow_contrastive(first, second, valid, temperature, alike):
    each = []
    for b, i in valid.nonzero().tolist():
        others = [k for k in valid[b].nonzero().flatten().tolist() if k == i or not alike[b, i, k]]
        right = math.exp(first[b, i] @ second[b, i] / temperature)
        forth = sum(math.exp(first[b, i] @ second[b, k] / temperature) for k in others)
        back = sum(math.exp(first[b, k] @ second[b, i] / temperature) for k in others)
        each.append(-(math.log(right / forth) + math.log(right / back)) / 2)
    return sum(each) / len(each)


def test_contrastive_loss_equals_the_loop():
    first, second = unit(2, 7, 5, dim=2), unit(2, 7, 5, dim=2, seed=1)
    generator = torch.Generator().manual_seed(3)
    valid = torch.rand(2, 7, generator=generator) < 0.7
    alike = close_pairs(torch.rand(2, 7, 2, generator=generator), 0.2)
    assert alike.sum() > 14  # besides each point and itself
    expected = slow_contrastive(first, second, valid, 0.2, alike)
    loss = contrastive_loss(first, second, valid, temperature=0.2, alike=alike)
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_equal_descriptors_cost_the_logarithm_of_their_number():
    same = torch.ones(1, 5, 4) / 2
    loss = contrastive_loss(same, same, torch.tensor([[True, True, True, True, False]]))
    assert float(loss) == pytest.approx(math.log(4), rel=1e-5)


def test_order_of_the_images_does_not_matter():
    first, second = unit(1, 6, 4, dim=2), unit(1, 6, 4, dim=2, seed=1)
    valid = torch.ones(1, 6, dtype=torch.bool)
    torch.testing.assert_close(
        contrastive_loss(first, second, valid), contrastive_loss(second, first, valid)
    )


def test_nothing_valid_costs_nothing_and_pulls_nothing():
    first = unit(1, 3, 4, dim=2).requires_grad_()
    loss = contrastive_loss(first, first.detach(), torch.zeros(1, 3, dtype=torch.bool))
    loss.backward()
    assert float(loss.detach()) == 0
    assert not first.grad.any()


@pytest.mark.parametrize('loss', ['hinge', 'contrastive'])
def test_losses_of_descriptors_have_the_right_derivatives(loss):
    first = unit(1, 3, 2, 2, dim=1).double().requires_grad_()
    second = unit(1, 3, 2, 2, dim=1, seed=1).double()

    def value(x):
        if loss == 'hinge':
            return hinge_loss(x, second, torch.eye(3)[None], config=RETRAINING)
        points = [y.flatten(2).transpose(1, 2) for y in (x, second)]
        return contrastive_loss(*points, torch.ones(1, 4, dtype=torch.bool), temperature=0.5)

    value(first).backward()
    step = torch.zeros_like(first)
    step[0, 1, 0, 1] = 1e-2
    slope = float((value(first + step) - value(first - step)).detach()) / 2e-2
    assert float(first.grad[0, 1, 0, 1]) == pytest.approx(slope, rel=2e-2, abs=1e-4)


# -- geometry --


def test_points_behind_the_camera_are_far_away():
    behind = torch.tensor([[[1.0, 0, 0], [0, 1, 0], [-1, 0, 1]]])
    mapped = transform(torch.tensor([[[0.5, 1.0], [3.0, 0.0]]]), behind)
    torch.testing.assert_close(mapped[0, 0], torch.tensor([1.0, 2.0]))
    assert (mapped[0, 1].abs() > 1e5).all()


def test_shapes_are_refused_by_name():
    with pytest.raises(ShapeError, match='key points'):
        cell_labels(torch.zeros(1, 10, 8, dtype=torch.bool))
    with pytest.raises(ShapeError, match='logits'):
        detector_loss(torch.zeros(1, 64, 2, 2), torch.zeros(1, 2, 2, dtype=torch.int64))
    with pytest.raises(ShapeError, match='first and second descriptors'):
        hinge_loss(torch.zeros(1, 4, 2, 2), torch.zeros(1, 4, 2, 3), torch.eye(3)[None])


# -- descriptors, the hardest wrong point --


def test_the_hardest_wrong_point_is_looked_for_in_both_directions():
    first, second = unit(7, 6, dim=1), unit(7, 6, dim=1, seed=1)
    valid = torch.tensor([True] * 6 + [False])
    wanted = []
    for i in range(6):
        wrong = [(first[i] - second[j]).norm() for j in range(6) if j != i]
        wrong += [(first[j] - second[i]).norm() for j in range(6) if j != i]
        wanted.append(max(0.0, float(1.5 + (first[i] - second[i]).norm() - min(wrong))))
    found = hardest_loss(first[None], second[None], valid[None], margin=1.5)
    assert float(found) == pytest.approx(sum(wanted) / 6, abs=1e-3)


def test_points_alike_are_not_hard_and_the_right_answer_costs_nothing():
    axes = torch.eye(6)[None]
    valid = torch.ones(1, 6, dtype=torch.bool)
    assert float(hardest_loss(axes, axes, valid)) == pytest.approx(0, abs=1e-6)
    same = axes[:, [0, 0, 2, 3, 4, 5]]  # two points of one look
    alike = torch.eye(6, dtype=torch.bool)[None]
    assert float(hardest_loss(same, same, valid, alike=alike)) > 0.3
    alike[0, 0, 1] = alike[0, 1, 0] = True
    assert float(hardest_loss(same, same, valid, alike=alike)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize('count', [0, 1])
def test_without_a_wrong_point_nothing_is_hard(count):
    first = unit(1, 4, 6, dim=2).requires_grad_()
    valid = torch.arange(4)[None] < count
    loss = hardest_loss(first, first, valid)
    loss.backward()
    assert float(loss.detach()) == 0
    assert torch.isfinite(first.grad).all()


def test_the_gradient_of_equal_descriptors_is_finite():
    first = unit(1, 4, 6, dim=2).requires_grad_()
    hardest_loss(first, first, torch.ones(1, 4, dtype=torch.bool), margin=2.0).backward()
    assert torch.isfinite(first.grad).all()
    assert first.grad.any()
