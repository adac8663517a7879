"""Cameras and landmarks of which everything is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation


def _rigid(turn: Any, shift: Any) -> Any:
    """Return ``(4, 4)`` of a rotation vector and a translation."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_rotvec(turn).as_matrix()
    matrix[:3, 3] = shift
    return matrix


@dataclass(frozen=True)
class Scene:
    """Cameras on a way, landmarks on rays of some of them."""

    poses: Any
    anchor: Any
    rays: Any
    inverse_depth: Any

    @property
    def points(self) -> Any:
        """``(L, 3)`` in odom; needs points nearer than infinity."""
        rays = np.column_stack((self.rays, np.ones(len(self.rays))))
        frames = self.poses[self.anchor]
        turned = np.einsum('lij,lj->li', frames[:, :3, :3], rays)
        return frames[:, :3, 3] + turned / self.inverse_depth[:, None]

    def seen(self, pose: Any, which: Any = slice(None)) -> Any:
        """Return normalised image coordinates ``(N, 2)`` of landmarks in a camera."""
        y = (self.points[which] - pose[:3, 3]) @ pose[:3, :3]
        return y[:, :2] / y[:, 2:]


def make_scene(seed: int, cameras: int = 6, landmarks: int = 300, step: float = 0.3) -> Scene:
    """Drive ahead, with a sway and a turn, past points 3 to 30 m away."""
    rng = np.random.default_rng(seed)
    poses = np.stack(
        [
            _rigid(rng.normal(scale=0.02, size=3), (0.2 * np.sin(k), 0.05 * k, step * k))
            for k in range(cameras)
        ]
    )
    return Scene(
        poses=_rigid((0.3, -0.2, 0.5), (5, -3, 2)) @ poses,
        anchor=rng.integers(0, cameras - 1, landmarks),
        rays=rng.uniform(-0.5, 0.5, (landmarks, 2)),
        inverse_depth=1 / rng.uniform(3, 30, landmarks),
    )


@pytest.fixture
def scenes() -> Any:
    """Scenes by seed: ``scenes(3, cameras=6)``."""
    return make_scene


@pytest.fixture
def scene() -> Scene:
    return make_scene(0)
