"""Refuse a tensor of the wrong shape in one readable sentence.

A pattern names each dimension: a number must be met exactly, a letter stands for any size.
"""

from __future__ import annotations

from torch import Tensor


class ShapeError(ValueError):
    """A tensor does not have the shape that was asked for; the message holds both."""


def expect(tensor: Tensor, pattern: str, name: str) -> None:
    """Check a tensor against a pattern such as ``'B 3 H W'``.

    Args:
        tensor: What was handed in.
        pattern: One word for each dimension: an integer, or any other word for a free size.
        name: What the tensor is called in the message.

    Raises:
        ShapeError: If the number of dimensions or a fixed size differs.
    """
    wanted = pattern.split()
    fits = tensor.ndim == len(wanted) and all(
        not word.isdigit() or int(word) == size
        for word, size in zip(wanted, tensor.shape, strict=True)
    )
    if not fits:
        asked = ', '.join(wanted)
        raise ShapeError(f'{name}: expected a tensor ({asked}), got {tuple(tensor.shape)}')


def expect_same(first: Tensor, second: Tensor, names: str) -> None:
    """Check that two tensors have one shape.

    Raises:
        ShapeError: If they differ.
    """
    if first.shape != second.shape:
        raise ShapeError(
            f'{names}: expected one shape, got {tuple(first.shape)} and {tuple(second.shape)}'
        )


def expect_multiple(image: Tensor, multiple: int, name: str) -> None:
    """Check that the last two dimensions of an image are multiples of a number.

    Raises:
        ShapeError: If height or width is not, or is zero.
    """
    height, width = image.shape[-2:]
    if height < 1 or width < 1 or height % multiple or width % multiple:
        raise ShapeError(
            f'{name}: height and width must be positive multiples of {multiple}, '
            f'got {height} x {width} (height x width)'
        )
