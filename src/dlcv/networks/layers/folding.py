"""Make a trained network faster without changing what it computes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from copy import deepcopy
from itertools import pairwise
from typing import Protocol, TypeVar, runtime_checkable

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

M = TypeVar('M', bound=nn.Module)


@runtime_checkable
class Foldable(Protocol):
    """A network that says which of its children are a convolution and the norm right after it.

    Only needed where the two are not neighbours in an ``nn.Sequential``.
    """

    def conv_norm_pairs(self) -> Iterable[tuple[str, str]]:
        """Yield the names of each convolution and of its batch-norm."""


def optimise(module: M) -> M:
    """Return a copy of a network that is ready for inference.

    Each batch-norm right after a convolution is folded into it (after an activation it cannot be:
    the zero padding of the next convolution comes after the shift). Where the class says
    ``channels_last = True``, the weights take that memory format, and the convolutions follow.

    Args:
        module: The network, in either mode; it is not changed.

    Returns:
        A copy in eval mode whose parameters need no gradient.
    """
    fast = deepcopy(module).eval().requires_grad_(False)
    for parent, conv, norm in list(_pairs(fast)):
        _fold(parent, conv, norm)
    if getattr(fast, 'channels_last', False):
        fast = fast.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return fast


def _pairs(root: nn.Module) -> Iterator[tuple[nn.Module, str, str]]:
    """Yield (parent, name of the convolution, name of the batch-norm) below ``root``."""
    for parent in root.modules():
        if isinstance(parent, nn.Sequential):
            for first, second in pairwise(dict(parent.named_children())):
                yield parent, first, second
        elif isinstance(parent, Foldable):
            for conv, norm in parent.conv_norm_pairs():
                yield parent, conv, norm


def _fold(parent: nn.Module, conv_name: str, norm_name: str) -> None:
    conv, norm = parent.get_submodule(conv_name), parent.get_submodule(norm_name)
    if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
        setattr(parent, conv_name, fuse_conv_bn_eval(conv, norm).requires_grad_(False))
        setattr(parent, norm_name, nn.Identity())
