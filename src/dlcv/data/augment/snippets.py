"""SfMLearner's changes of short clips: they stay what some camera could have seen.

What they know of the camera is its intrinsics alone (Zhou et al., CVPR 2017, and its code).

Letters in this file: T frames, H W size in pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from dlcv.types import ByteImage, Camera


@dataclass(frozen=True, kw_only=True, slots=True)
class SnippetChanges:
    """How far a clip is changed; the defaults are those of the published code.

    Attributes:
        mirror: Probability that left and right are exchanged.
        enlarge: Greatest factor that pictures are enlarged by, drawn for the width and for the
            height; a window of the old size is cut out anywhere.
    """

    mirror: float = 0.5
    enlarge: float = 1.15

    def __post_init__(self) -> None:
        if not 0 <= self.mirror <= 1 or not self.enlarge >= 1:
            raise ValueError(
                'changes of snippets need mirror in [0, 1] and enlarge >= 1, got '
                f'{self.mirror} and {self.enlarge}'
            )


def change_snippet(
    frames: ByteImage, camera: Camera, rng: np.random.Generator, config: SnippetChanges
) -> tuple[ByteImage, Camera]:
    """Change a clip at random, all of its frames alike.

    Args:
        frames: ``(T, H, W, 3)`` RGB; left as they are.
        camera: What took them, without distortion.
        rng: Decides everything.
        config: How far.

    Returns:
        Frames of the same size, and the camera that could have taken them.
    """
    if rng.random() < config.mirror:
        frames, camera = frames[:, :, ::-1], replace(camera, cx=camera.width - 1 - camera.cx)
    size = camera.width, camera.height
    width, height = (round(side * rng.uniform(1, config.enlarge)) for side in size)
    left, top = (
        int(rng.integers(large - side + 1))
        for large, side in zip((width, height), size, strict=True)
    )
    window = np.s_[top : top + camera.height, left : left + camera.width]
    cut = [_enlarged(image, width, height)[window] for image in frames]
    return np.stack(cut), camera.scaled(width, height).cropped(left, top, *size)


def _enlarged(image: ByteImage, width: int, height: int) -> ByteImage:
    image = np.ascontiguousarray(image)
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
