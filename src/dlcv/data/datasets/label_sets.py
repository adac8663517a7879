"""How the public sets of labelled pictures name what ours are: number or colour -> class.

What none of our classes is a word for, such as water or a mountain, is unlabelled and counts for
nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dlcv.classes import NUMBER, UNLABELLED
from dlcv.types import ByteImage

CITYSCAPES = {
    'road': (7, 9),
    'pavement': (8,),
    'building': (11, 15, 16),
    'ground': (22,),
    'vegetation': (21,),
    'sky': (23,),
    'person': (24, 25),
    'vehicle': (26, 27, 28, 29, 30, 31, 32, 33),
    'sign': (20,),
    'other': (12, 13, 14, 17, 18, 19),
}
"""Of ``labelIds`` (Cordts et al., CVPR 2016); walls there stand outdoors."""

CAMVID = {
    'road': ((128, 64, 128), (128, 0, 192), (192, 0, 64), (128, 128, 192)),
    'pavement': ((0, 0, 192), (64, 192, 128)),
    'building': ((128, 0, 0), (192, 0, 128), (0, 128, 64), (64, 0, 64)),
    'sky': ((128, 128, 128),),
    'vegetation': ((128, 128, 0), (192, 192, 0)),
    'person': ((64, 64, 0), (192, 128, 64), (0, 128, 192)),
    'vehicle': (
        (64, 0, 128), (64, 128, 192), (192, 128, 192), (192, 0, 192), (192, 64, 128),
        (128, 64, 64), (64, 0, 192),
    ),
    'sign': ((192, 128, 128), (128, 128, 64)),
    'other': (
        (192, 192, 128), (64, 64, 128), (0, 64, 64), (0, 0, 64), (64, 192, 0), (64, 128, 64),
    ),
}  # fmt: skip
"""Of the colours of its 32 classes (Brostow et al., PRL 2009); void is unlabelled."""

ADE20K = {
    'wall': (1,),
    'building': (2, 26, 49, 80, 85),
    'sky': (3,),
    'floor': (4, 29),
    'vegetation': (5, 18, 67, 73),
    'ceiling': (6,),
    'road': (7, 55),
    'furniture': (
        8, 11, 16, 20, 24, 25, 31, 32, 34, 36, 45, 46, 51, 57, 63, 65, 70, 71, 74, 75, 76, 90, 98,
        100, 111, 119, 125, 130, 142, 144,
    ),
    'window': (9,),
    'ground': (10, 14, 30, 47, 53, 92, 95),
    'pavement': (12,),
    'person': (13,),
    'door': (15, 59),
    'vehicle': (21, 77, 81, 84, 91, 103, 104, 117, 128),
    'sign': (44, 145),
    'other': (
        19, 23, 28, 33, 37, 39, 40, 42, 43, 58, 64, 68, 82, 83, 86, 88, 94, 101, 116, 132, 133,
        135, 136, 137, 139, 140, 147, 149, 150,
    ),
}  # fmt: skip
"""Of the 150 of its scene parsing benchmark (Zhou et al., CVPR 2017)."""


def by_number(classes: Mapping[str, tuple[int, ...]]) -> ByteImage:
    """Return our number of each of theirs, ``(256,)``."""
    table = np.full(256, UNLABELLED, np.uint8)
    for name, numbers in classes.items():
        table[list(numbers)] = NUMBER[name]
    return table


def by_colour(
    picture: ByteImage, classes: Mapping[str, tuple[tuple[int, int, int], ...]]
) -> ByteImage:
    """Return the labels ``(H, W)`` of a picture ``(H, W, 3)`` of colours."""
    codes = picture.astype(np.int32) @ (65536, 256, 1)
    labels = np.full(codes.shape, UNLABELLED, np.uint8)
    for name, colours in classes.items():
        labels[np.isin(codes, [r * 65536 + g * 256 + b for r, g, b in colours])] = NUMBER[name]
    return labels
