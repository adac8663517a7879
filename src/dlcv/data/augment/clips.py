"""Changes of clips whose camera poses are known: they stay what some camera could have seen.

Letters in this file: T frames, H W size in pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from dlcv.data.augment.photometric import OFF, PhotometricConfig, Range, photometric
from dlcv.types import ByteImage, FloatArray

_MIRROR = np.diag((-1.0, 1.0, 1.0, 1.0))


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipChanges:
    """How far a clip is changed.

    Attributes:
        mirror: Probability that left and right are exchanged.
        reverse: Probability that the clip runs backwards in time.
        narrow: Probability that the margins turn black, as where the camera that took the pictures
            sees less than the one they are shown through.
        visible: Least share of the width and of the height that stays visible.
        light: How the light changes, alike in all frames, its noise too.
        grain: Greatest deviation of noise that each frame has of its own, of 255.
    """

    mirror: float = 0.5
    reverse: float = 0.5
    narrow: float = 0.5
    visible: Range = (0.6, 0.5)
    light: PhotometricConfig = field(default_factory=lambda: OFF)
    grain: float = 0.0

    def __post_init__(self) -> None:
        chances = (self.mirror, self.reverse, self.narrow)
        if any(not 0 <= share <= 1 for share in chances):
            raise ValueError(
                f'changes of clips need mirror, reverse and narrow in [0, 1], got {chances}'
            )
        if self.grain < 0:
            raise ValueError(f'changes of clips need grain >= 0, got {self.grain}')
        if any(not 0 < share <= 1 for share in self.visible):
            raise ValueError(f'changes of clips need visible in (0, 1], got {self.visible}')


def change_clip(
    frames: ByteImage,
    world_from_camera: FloatArray,
    rng: np.random.Generator,
    config: ClipChanges,
) -> tuple[ByteImage, FloatArray]:
    """Change a clip at random.

    Args:
        frames: ``(T, H, W, 3)`` RGB of a camera whose principal point is the centre.
        world_from_camera: ``(T, 4, 4)``.
        rng: Decides everything.
        config: How far.

    Returns:
        The same of another clip; a mirrored one's world is mirrored too.
    """
    if rng.random() < config.mirror:
        frames, world_from_camera = frames[:, :, ::-1], _MIRROR @ world_from_camera @ _MIRROR
    if rng.random() < config.reverse:
        frames, world_from_camera = frames[::-1], world_from_camera[::-1]
    seed = int(rng.integers(2**31))
    lit = np.stack(
        [
            photometric(np.ascontiguousarray(image), np.random.default_rng(seed), config.light)
            for image in frames
        ]
    )
    if config.grain:
        lit = _grained(lit, rng, rng.uniform(0, config.grain))
    if rng.random() < config.narrow:
        height, width = lit.shape[1:3]
        lit[:, ~_visible((height, width), rng, config)] = 0
    return lit, np.ascontiguousarray(world_from_camera)


def _grained(frames: ByteImage, rng: np.random.Generator, deviation: float) -> ByteImage:
    noise = rng.standard_normal(frames.shape, np.float32) * np.float32(deviation)
    return np.asarray((frames + noise).round().clip(0, 255), np.uint8)


def _visible(
    size: tuple[int, int], rng: np.random.Generator, config: ClipChanges
) -> npt.NDArray[np.bool_]:
    """Return where a camera with a smaller field of view and another centre sees something."""
    mask = np.ones(size, np.bool_)
    for axis, least in ((1, config.visible[0]), (0, config.visible[1])):
        length = size[axis]
        hidden = round(length * (1 - rng.uniform(least, 1)))
        before = int(rng.integers(hidden + 1))
        line = np.zeros(length, np.bool_)
        line[before : length - (hidden - before)] = True
        mask &= line[None, :] if axis == 1 else line[:, None]
    return mask
