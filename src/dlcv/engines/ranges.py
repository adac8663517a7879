"""Files of measured ranges: what weights need beside them to run in int8.

``NAME.int8.safetensors`` lies beside ``NAME.safetensors`` and holds one tensor, ``ranges``, and in
its header, as JSON, of which weights it is (their SHA-256) and how far outputs were off.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from dlcv.config import from_dict, to_dict
from dlcv.engines.catalogue import Ranges
from dlcv.networks.weights import WeightsError
from dlcv.networks.weights.files import read, write

_KEY = 'dlcv-int8'
_TENSOR = 'ranges'
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class RangesHeader:
    """What stands in the header.

    Attributes:
        weights_sha256: Digest of the weights whose activations were measured.
        tolerance: How far outputs may be off before the network runs in PyTorch; see
            `dlcv.engines.building.deviation`.
        deviation: How far they were off on the pictures that it was measured on, at most.
        pictures: What these were.
        format: Of this header.
    """

    weights_sha256: str
    tolerance: float
    deviation: float
    pictures: str
    format: int = 1


def beside(weights: Path) -> Path:
    """Return where the ranges of a weight file are looked for."""
    return weights.with_name(f'{weights.stem}.int8.safetensors')


def write_ranges(path: Path, ranges: Tensor, header: RangesHeader) -> None:
    """Write a file of ranges ``(P, 2)``.

    Raises:
        WeightsError: It is not named ``.safetensors``.
        OSError: It cannot be written.
    """
    text = json.dumps(to_dict(header), separators=(',', ':'))
    write(path, {_TENSOR: ranges.contiguous()}, {_KEY: text})


def read_ranges(weights: Path, sha256: str) -> Ranges | None:
    """Return the ranges that lie beside a weight file; None for none, or those of other weights.

    Raises:
        WeightsError: The file is damaged.
    """
    path = beside(weights)
    if not path.is_file():
        return None
    found = read(path)
    values = found.tensors.get(_TENSOR, torch.empty(0))
    try:
        header = from_dict(json.loads(found.metadata.get(_KEY, '')), RangesHeader, _KEY)
    except ValueError as err:  # no JSON, or fields that are not ours
        raise WeightsError(f'{path}: no ranges for int8 ({err})') from None
    if values.ndim != 2 or values.shape[1] != 2:
        raise WeightsError(f'{path}: ranges need the shape (P, 2), got {tuple(values.shape)}')
    if header.weights_sha256 != sha256:
        _LOG.warning('%s is of other weights than %s: int8 is not used', path, weights)
        return None
    return Ranges(values=values, tolerance=header.tolerance)
