"""The folder in which converted networks and measured speeds are kept from run to run.

``$DLCV_CACHE``, else ``$XDG_CACHE_HOME/dlcv``, else ``~/.cache/dlcv``. It may be removed at any
time. Where it cannot be written everything works, and is converted anew at each start.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from dlcv.files import expanded, write_whole

MAX_BYTES = 2 << 30
"""What all converted networks together may take; those that were used longest ago go first."""
_CONTENT = 'content'
_LOG = logging.getLogger(__name__)


def folder() -> Path:
    """Return the folder, whether or not it is there."""
    if named := os.environ.get('DLCV_CACHE'):
        return expanded(named)
    base = os.environ.get('XDG_CACHE_HOME') or '~/.cache'
    return expanded(base) / 'dlcv'


def digest(*parts: object) -> str:
    """Return a name for everything that ``parts`` say, bytes and text."""
    found = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else str(part).encode()
        found.update(len(data).to_bytes(8, 'little'))
        found.update(data)
    return found.hexdigest()[:40]


def read_engine(key: str) -> tuple[bytes, dict[str, Tensor]] | None:
    """Return a converted network and the tensors that were kept beside it; None for none."""
    path = _engine(key)
    try:
        with safetensors.safe_open(path, 'pt') as file:
            kept = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        path.touch()
    except (OSError, safetensors.SafetensorError):  # not there, or cut short
        return None
    content = kept.pop(_CONTENT, None)
    return None if content is None else (content.numpy().tobytes(), kept)


def write_engine(key: str, content: bytes, beside: Mapping[str, Tensor]) -> None:
    """Keep a converted network; where that fails, say so and go on."""
    tensors = {name: value.contiguous() for name, value in beside.items()}
    tensors[_CONTENT] = torch.frombuffer(bytearray(content), dtype=torch.uint8)
    path = _engine(key)
    with _bearing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, safetensors.torch.save(tensors))
        _prune(path.parent)


def read_note(name: str) -> Any:
    """Return what was noted under a name; None for nothing."""
    with suppress(OSError, ValueError):
        return json.loads((folder() / f'{name}.json').read_text(encoding='utf-8'))
    return None


def write_note(name: str, value: Any) -> None:
    """Note a value of JSON; where that fails, say so and go on."""
    path = folder() / f'{name}.json'
    with _bearing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(value, indent=1) + '\n')


@contextmanager
def _bearing(path: Path) -> Iterator[None]:
    """Say that a file cannot be written, and go on."""
    try:
        yield
    except OSError as err:
        _LOG.warning('%s cannot be kept: %s', path, err.strerror or err)


def _engine(key: str) -> Path:
    return folder() / 'engines' / f'{key}.safetensors'


def _prune(where: Path) -> None:
    """Remove what was used longest ago, until the rest is small enough."""
    files = sorted(where.glob('*.safetensors'), key=lambda f: f.stat().st_mtime, reverse=True)
    total = 0
    for file in files:
        total += file.stat().st_size
        if total > MAX_BYTES:
            file.unlink(missing_ok=True)
