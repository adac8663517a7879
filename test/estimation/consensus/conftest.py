"""A made-up view of a room for the consensus tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from dlcv.geometry.rotation import from_parts, so3_exp, so3_log, transform
from dlcv.types import Camera

CAMERA = Camera(width=640, height=480, fx=525.0, fy=520.0, cx=319.5, cy=242.0)


@dataclass(frozen=True, kw_only=True)
class View:
    coordinates: Tensor  # (N, 3)
    pixels: Tensor  # (N, 2)
    outlying: Tensor  # (N,)
    world_from_camera: Tensor  # (4, 4)
    camera: Camera = CAMERA

    def errors(self, estimate: Tensor) -> tuple[float, float]:
        """Rotation error in degrees, position error in metres."""
        turn = self.world_from_camera[:3, :3].T @ estimate[:3, :3]
        shift = self.world_from_camera[:3, 3] - estimate[:3, 3]
        return float(so3_log(turn).norm().rad2deg()), float(shift.norm())


def make_view(
    seed: int,
    *,
    size: int = 4800,
    outliers: float = 0.0,
    noise: float = 0.0,
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> View:
    g = torch.Generator().manual_seed(seed)
    double = torch.float64
    pixels = torch.rand(size, 2, generator=g, dtype=double) * torch.tensor([639.0, 479.0])
    focal, centre = pixels.new_tensor((525.0, 520.0)), pixels.new_tensor((319.5, 242.0))
    rays = torch.nn.functional.pad((pixels - centre) / focal, (0, 1), value=1.0)
    depth = 0.5 + 5.5 * torch.rand(size, 1, generator=g, dtype=double)
    pose = from_parts(
        so3_exp(torch.randn(3, generator=g, dtype=double)),
        2 * torch.randn(3, generator=g, dtype=double) + pixels.new_tensor(origin),
    )
    points = transform(pose, rays * depth)
    low, high = points.amin(0), points.amax(0)
    anywhere = low + (high - low) * torch.rand(size, 3, generator=g, dtype=double)
    outlying = torch.rand(size, generator=g) < outliers
    return View(
        coordinates=torch.where(outlying[:, None], anywhere, points),
        pixels=pixels + noise * torch.randn(size, 2, generator=g, dtype=double),
        outlying=outlying,
        world_from_camera=pose,
    )


@pytest.fixture
def view() -> Callable[..., View]:
    return make_view
