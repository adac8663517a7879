"""DeepVO's loss and labels: known answers, round trips, the public data loader written out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dlcv.geometry.euler import euler_to_matrix, matrix_to_euler
from dlcv.networks.layers.shapes import ShapeError
from dlcv.networks.losses.deepvo import (
    deepvo_loss,
    integrate,
    integrate_windows,
    motions,
    pair_labels,
    step,
    window_labels,
)


def drive(frames: int, *, flat: bool = False) -> np.ndarray:
    """Camera poses (frames, 4, 4) of a curve; on flat ground only the heading changes."""
    t = np.arange(frames, dtype=np.float64)
    bumps = 0 * t if flat else 0.05 * np.sin(t)
    angles = np.stack((0.3 * t, bumps, -0.5 * bumps), axis=1)  # passes pi after eleven frames
    position = np.stack((2 * np.cos(0.3 * t), bumps, 3 * np.sin(0.3 * t)), axis=1)
    return motions(np.concatenate((angles, position), axis=1))


def test_loss_weighs_angles_a_hundredfold():
    target = torch.zeros(2, 3, 6)
    predicted = torch.tensor([0.1, 0.1, 0.1, 2.0, 2.0, 2.0]).expand(2, 3, 6)
    loss = deepvo_loss(predicted, target)
    assert loss.angles.item() == pytest.approx(0.01)
    assert loss.translation.item() == pytest.approx(4)
    assert loss.total.item() == pytest.approx(5)
    assert deepvo_loss(predicted, target, kappa=1).total.item() == pytest.approx(4.01)


def test_loss_refuses_other_shapes():
    with pytest.raises(ShapeError, match='predicted and target'):
        deepvo_loss(torch.zeros(1, 2, 6), torch.zeros(1, 3, 6))
    with pytest.raises(ShapeError, match=r'predicted.*\(1, 2, 7\)'):
        deepvo_loss(torch.zeros(1, 2, 7), torch.zeros(1, 2, 7))


def test_pair_labels_integrate_to_the_drive():
    poses = drive(15)
    first_from_world = np.linalg.inv(poses[0])
    np.testing.assert_allclose(integrate(pair_labels(poses)), first_from_world @ poses, atol=1e-12)


def test_driving_straight_ahead_is_along_z_in_any_direction():
    heading = euler_to_matrix([0.7, 0, 0])
    poses = np.tile(np.eye(4), (4, 1, 1))
    poses[:, :3, :3] = heading
    poses[:, :3, 3] = np.arange(4)[:, None] * (heading @ [0, 0, 1.5])
    expected = np.tile([0, 0, 0, 0, 0, 1.5], (3, 1))
    np.testing.assert_allclose(pair_labels(poses), expected, atol=1e-12)
    np.testing.assert_allclose(window_labels(poses), expected, atol=1e-12)


def test_window_labels_are_the_public_data_loaders():
    poses = drive(14)
    raw = np.concatenate((matrix_to_euler(poses[:, :3, :3]), poses[:, :3, 3]), axis=1)
    relative = raw.copy()
    for i in range(1, 14):  # relative to the window's first frame
        relative[i] -= raw[0]
        relative[i, 3:] = poses[0, :3, :3].T @ relative[i, 3:]
    for i in range(13, 1, -1):  # then to the one before
        relative[i] -= relative[i - 1]
    for row in relative:
        if row[0] > np.pi:
            row[0] -= 2 * np.pi
        elif row[0] < -np.pi:
            row[0] += 2 * np.pi
    labels = window_labels(poses)
    np.testing.assert_allclose(labels, relative[1:], atol=1e-12)
    np.testing.assert_allclose(labels[:, 0], 0.3, atol=1e-12)  # also across pi


def test_window_labels_of_two_frames_carry_the_pairs_translation():
    poses = drive(2)
    np.testing.assert_allclose(window_labels(poses)[:, 3:], pair_labels(poses)[:, 3:], atol=1e-12)


def test_windows_integrate_to_a_drive_on_flat_ground():
    poses = drive(14, flat=True)
    poses = np.linalg.inv(poses[0]) @ poses
    windows = [window_labels(poses[i : i + 2]) for i in range(13)]
    np.testing.assert_allclose(integrate_windows(windows), poses, atol=1e-9)


def test_longer_windows_sum_the_first_and_take_the_last_of_the_others():
    windows = np.random.default_rng(0).normal(size=(3, 5, 6))
    poses = integrate_windows(windows)
    assert poses.shape == (8, 4, 4)
    np.testing.assert_allclose(poses[5, :3, 3], windows[0, :, 3:].sum(0))
    heading = windows[0, :, 0].sum()
    expected = poses[5, :3, 3] + euler_to_matrix([heading, 0, 0]) @ windows[1, -1, 3:]
    np.testing.assert_allclose(poses[6, :3, 3], expected)


def test_step_keeps_the_heading_in_a_turn():
    state = step([3.0, 0, 0, 0, 0, 0], [0.5, 0, 0, 0, 0, 1.0])
    assert state[0] == pytest.approx(3.5 - 2 * np.pi)
    np.testing.assert_allclose(state[3:], [np.sin(3.0), 0, np.cos(3.0)])
