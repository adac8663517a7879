"""The one check that every network makes of its input."""

from __future__ import annotations

from torch import Tensor


class ShapeError(ValueError):
    """A tensor has not the shape that was asked; the message names both."""


def require_images(images: Tensor, channels: int, multiple: int = 1) -> None:
    """Refuse anything but ``(B, channels, H, W)`` with H and W multiples of ``multiple``.

    Raises:
        ShapeError: With the shape that came and the one that is needed.
    """
    asked = f'(B, {channels}, H, W)' + (f' with H and W multiples of {multiple}' * (multiple > 1))
    shape = tuple(images.shape)
    if len(shape) != 4 or shape[1] != channels or min(shape) < 1:
        raise ShapeError(f'expected images {asked}, got {shape}')
    if shape[2] % multiple or shape[3] % multiple:
        raise ShapeError(f'expected images {asked}, got {shape}')
