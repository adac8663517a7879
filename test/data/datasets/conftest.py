"""Writers of miniature data sets, each in the set's own layout."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

W, H = 30, 20


@pytest.fixture
def write_picture() -> Callable[..., np.ndarray]:
    """Write a random picture whose content depends on ``seed``; return it as RGB or grey."""

    def write(path: Path, seed: int = 0, grey: bool = False, size=(W, H)) -> np.ndarray:
        path.parent.mkdir(parents=True, exist_ok=True)
        shape = (size[1], size[0]) if grey else (size[1], size[0], 3)
        pixels = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
        assert cv2.imwrite(str(path), pixels if grey else pixels[..., ::-1])
        return pixels

    return write


@pytest.fixture
def write_depth() -> Callable[..., np.ndarray]:
    """Write 16-bit depth with one unknown pixel; return the units."""

    def write(path: Path, seed: int = 0, unknown: int = 0) -> np.ndarray:
        path.parent.mkdir(parents=True, exist_ok=True)
        units = np.random.default_rng(seed).integers(500, 9000, (H, W)).astype(np.uint16)
        units[0, 0] = unknown
        assert cv2.imwrite(str(path), units)
        return units

    return write


@pytest.fixture
def random_pose() -> Callable[[int], np.ndarray]:
    def pose(seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        matrix = np.eye(4)
        matrix[:3, :3] = Rotation.random(random_state=seed).as_matrix()
        matrix[:3, 3] = rng.normal(size=3)
        return matrix

    return pose


@pytest.fixture
def write_tum() -> Callable[..., None]:
    """Write poses in TUM format; ``stamps`` are texts."""

    def write(path: Path, stamps, poses) -> None:
        lines = ['# timestamp tx ty tz qx qy qz qw']
        for stamp, pose in zip(stamps, poses, strict=True):
            xyzw = Rotation.from_matrix(pose[:3, :3]).as_quat()
            numbers = [*pose[:3, 3], *xyzw]
            lines.append(' '.join([stamp, *(f'{v:.17g}' for v in numbers)]))
        path.write_text('\n'.join(lines) + '\n')

    return write
