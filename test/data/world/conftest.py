from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

import numpy as np
import pytest
import torch

from dlcv.data.world import WorldRecording, WorldSnapshot, ideal_camera
from dlcv.data.world.noise import colour, fractal
from dlcv.data.world.scene import Light, Scene, SceneBuilder, Surface
from dlcv.types import Camera

Clip = tuple[WorldRecording, list[WorldSnapshot]]


@pytest.fixture(scope='session', autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope='session')
def skewed() -> Camera:
    """A camera with nothing symmetric about it."""
    return Camera(width=150, height=109, fx=118.0, fy=131.5, cx=61.3, cy=58.9)


@pytest.fixture(scope='session', params=['room', 'corridor', 'street'])
def clip(request, skewed) -> Clip:
    """Three stereo snapshots of each scene."""
    motion = {'room': 'walk', 'corridor': 'drone', 'street': 'car'}[request.param]
    recording = WorldRecording(
        request.param, seed=3, motion=motion, camera=skewed, frames=3, baseline=0.2
    )
    return recording, list(recording)


@pytest.fixture(scope='session')
def room() -> Clip:
    recording = WorldRecording('room', seed=3, camera=ideal_camera(96, 72), frames=2)
    return recording, list(recording)


@pytest.fixture
def make_scene() -> Callable[..., Scene]:
    """Builds a scene of the given quads ``(origin, edge_u, edge_v, surface options)``.

    The option ``moving`` makes a quad a body of its own, ``thing`` a thing of that kind.
    """

    def build(*quads: tuple, light: Light | None = None) -> Scene:
        materials = {
            'stone': lambda rng: np.clip(0.5 + 0.1 * fractal(rng, 64)[..., None], 0, 1).repeat(
                3, 2
            ),
            'white': lambda rng: np.ones((64, 64, 3), np.float32),
            'red': lambda rng: np.broadcast_to(colour('#ff0000'), (64, 64, 3)).copy(),
            'fine': lambda rng: (
                (np.indices((64, 64)).sum(0) % 2).astype(np.float32)[..., None].repeat(3, 2)
            ),
        }
        builder = SceneBuilder(materials, 0)
        builder.add_cutout('left half', np.repeat(np.arange(64)[None] < 32, 64, 0))
        for origin, u, v, options in quads:
            look = {'texture': 'stone', 'unlit': True, **options}
            moves = builder.body() if look.pop('moving', False) else nullcontext()
            with moves, builder.thing(look.pop('thing', '')):
                builder.quad(origin, u, v, Surface(**look))
        return builder.build(light or Light())

    return build
