"""Open a weight file safely: bytes on disk to named tensors, and nothing executed on the way.

Three containers are read: safetensors, PyTorch checkpoints (by the restricted unpickler, which
knows tensors and nothing that could run) and NumPy archives. What a file is, is decided by its
bytes; its name may only not contradict them. Sizes are checked before anything is unpacked.
"""

from __future__ import annotations

import hashlib
import json
import math
import pickle
import re
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor

from dlcv.files import expanded, first_line, write_whole
from dlcv.networks.weights.foreign import foreign, tar_archive

MAX_BYTES = 2 << 30
"""Default limit on a file, on what it unpacks to, and on the tensors it describes."""

Container = Literal['safetensors', 'torch', 'npz']
OWN = 'dlcv'
"""Name of our own family, and of its entry in the header of a safetensors file."""
Note = str | int | float | bool

_SUFFIXES: dict[str, Container] = {
    '.safetensors': 'safetensors',
    '.npz': 'npz',
    '.pth': 'torch',
    '.pt': 'torch',
}
_TITLES: dict[Container, str] = {
    'safetensors': 'a safetensors file',
    'npz': 'a NumPy archive',
    'torch': 'a PyTorch checkpoint',
}
_REFUSED: dict[Literal['tar', 'torchscript'], str] = {
    'tar': (
        'a TAR checkpoint of PyTorch before 0.1.10, which cannot be read without running code '
        'from it; open it once where you trust it and save its tensors again with '
        'torch.save(state_dict, path)'
    ),
    'torchscript': 'a TorchScript archive, which holds code; save its state_dict() instead',
}
_WRAPPERS = (
    'state_dict', 'model_state_dict', 'model', 'net', 'network', 'module', 'weights', 'params',
    'params_ema', 'ema_state_dict', 'model_ema', 'ema',
)  # fmt: skip
_PREFIXES = ('module.', '_orig_mod.', *(f'{name}.' for name in _WRAPPERS))
_FLOATS = {torch.float16: 'float16', torch.bfloat16: 'bfloat16', torch.float64: 'float64'}
_MAX_ENTRIES = 20_000
_CHUNK = 1 << 20
_DAMAGE = (
    pickle.UnpicklingError,
    safetensors.SafetensorError,
    zipfile.BadZipFile,
    NotImplementedError,  # a compression method that zipfile does not know
    RuntimeError,
    OSError,
    EOFError,
    LookupError,
    AttributeError,
    TypeError,
    ValueError,
    MemoryError,
    OverflowError,
    RecursionError,
)
"""Everything the parsers are known to raise on bytes they were not made for."""


class WeightsError(ValueError):
    """A weight file, or what was asked of it, is refused; the message says what is wrong.

    The message is one printable line, whatever names the file put into it.
    """

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


def printable(text: str) -> str:
    """Return text of a file with everything replaced that could steer a terminal."""
    return ''.join(c if c.isprintable() else '?' for c in text)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Checkpoint:
    """What one weight file holds, before anyone has asked which network it belongs to.

    Attributes:
        path: Where it was read.
        container: Kind of file.
        tensors: Named tensors without wrappers and words such as ``module.`` in front of all;
            floats are float32.
        notes: Plain values that stood beside the tensors, such as ``arch`` or ``epoch``.
        metadata: Text of a safetensors header.
        dtype: How the floats are stored: ``float32``, ``float16``...
        bytes: Size of the file.
        sha256: Digest of the file, lower-case hexadecimal.
    """

    path: Path
    container: Container
    tensors: Mapping[str, Tensor]
    notes: Mapping[str, Note]
    metadata: Mapping[str, str]
    dtype: str
    bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Content:
    values: Mapping[str, Tensor]
    notes: Mapping[str, Note]
    metadata: Mapping[str, str]


def read(path: str | Path, *, sha256: str = '', max_bytes: int = MAX_BYTES) -> Checkpoint:
    """Read a weight file without running anything that it asks for.

    Args:
        path: A safetensors file, a PyTorch checkpoint or a NumPy archive.
        sha256: Digest the file must have, 64 hexadecimal digits; empty for any.
        max_bytes: Largest size accepted, of the file and of what it unpacks to.

    Raises:
        WeightsError: If the file is missing, of the wrong kind or size, does not have the digest,
            is damaged, asks for code to be run, or holds numbers that are not finite.
    """
    path = expanded(path)
    size = _checked_size(path, max_bytes)
    with _translated(path), path.open('rb') as handle:
        digest = _digest(handle, path, sha256)
        container = _container(handle, path)
        _refuse_bombs(handle, container, path, max_bytes)
        handle.seek(0)
        content = _READERS[container](handle, path)
    tensors, dtype = _checked_tensors(content.values, path, max_bytes)
    return Checkpoint(
        path=path,
        container=container,
        tensors=tensors,
        notes=content.notes,
        metadata=content.metadata,
        dtype=dtype,
        bytes=size,
        sha256=digest,
    )


def write(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a safetensors file; a reader never sees half of one.

    Raises:
        WeightsError: If the name does not end in ``.safetensors``.
        OSError: If it cannot be written.
    """
    if path.suffix != '.safetensors':
        raise WeightsError(f'{path}: our own weight files are named .safetensors')
    write_whole(path, safetensors.torch.save(dict(tensors), dict(metadata)))


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    """Turn what the parsers raise into this room's one error."""
    try:
        yield
    except WeightsError:
        raise
    except _DAMAGE as err:
        raise WeightsError(f'{path}: {_explain(err)}') from None


def _explain(err: BaseException) -> str:
    """Say in one line what a parser's error means for the person who has the file."""
    text = str(err)
    if asked := re.search(r'GLOBAL (\S+)', text):
        return (
            f'refused: it asks to call {asked[1]} while being read; a file of plain tensors is '
            'needed, as torch.save(network.state_dict(), path) writes it'
        )
    if isinstance(err, pickle.UnpicklingError) and 'Unsupported operand' in text:
        return 'refused: its pickle holds more than tensors and plain values'
    if isinstance(err, OSError) and err.strerror:
        return f'cannot be read ({err.strerror})'
    return f'damaged or cut short ({first_line(err)[:160]})'


def _checked_size(path: Path, max_bytes: int) -> int:
    if path.is_dir():
        raise WeightsError(f'{path} is a directory, not a weight file')
    if not path.is_file():  # also refuses pipes and devices, which would block
        raise WeightsError(f'there is no weight file {path}')
    size = path.stat().st_size
    if size == 0:
        raise WeightsError(f'{path} is empty')
    if size > max_bytes:
        raise WeightsError(f'{path} has {size} bytes, more than the limit of {max_bytes}')
    return size


def _digest(handle: BinaryIO, path: Path, wanted: str) -> str:
    """Return the file's SHA-256 and refuse any other than the wanted one."""
    if wanted and not re.fullmatch(r'[0-9a-fA-F]{64}', wanted):
        raise WeightsError(f'a sha256 has 64 hexadecimal digits, got {wanted!r}')
    digest = hashlib.sha256()
    while chunk := handle.read(_CHUNK):
        digest.update(chunk)
    if wanted and digest.hexdigest() != wanted.lower():
        raise WeightsError(f'{path} has sha256 {digest.hexdigest()}, wanted {wanted.lower()}')
    return digest.hexdigest()


def _container(handle: BinaryIO, path: Path) -> Container:
    """Tell the kind of file from its bytes; a name that claims another kind is refused."""
    handle.seek(0)
    head = handle.read(512)
    found = _sniff(head, handle)
    other = tar_archive(handle) if found == 'tar' else ''
    if found is None:
        other = foreign(handle, path.suffix.lower())
    if other:
        raise WeightsError(f'{path} is {other}')
    if found is None:
        raise WeightsError(
            f'{path} is neither a safetensors file, a PyTorch checkpoint nor a NumPy archive '
            f'(it starts with {head[:8]!r})'
        )
    if found == 'tar' or found == 'torchscript':
        raise WeightsError(f'{path} is {_REFUSED[found]}')
    claimed = _SUFFIXES.get(path.suffix.lower())
    if claimed not in (None, found):
        raise WeightsError(f'{path} is named {path.suffix} but is {_TITLES[found]}')
    return found


def _sniff(head: bytes, handle: BinaryIO) -> Container | Literal['tar', 'torchscript'] | None:
    if head.startswith(b'PK\x03\x04'):
        names = zipfile.ZipFile(handle).namelist()
        if any(name.endswith('constants.pkl') for name in names):
            return 'torchscript'
        if any(name == 'data.pkl' or name.endswith('/data.pkl') for name in names):
            return 'torch'
        return 'npz' if names and all(name.endswith('.npy') for name in names) else None
    if head[257:262] == b'ustar':
        return 'tar'
    # Before the pickle: every 32nd header has a length whose first byte is a pickle's, 0x80.
    if head[8:9] == b'{' and int.from_bytes(head[:8], 'little') < 2**32:
        return 'safetensors'
    if head[:1] == b'\x80':  # a pickle: the format before 1.6, or something hostile
        return 'torch'
    return None


def _refuse_bombs(handle: BinaryIO, container: Container, path: Path, max_bytes: int) -> None:
    """Refuse an archive that unpacks to more than the limit, before unpacking any of it."""
    handle.seek(0)
    if container == 'safetensors' or handle.read(2) != b'PK':
        return
    with zipfile.ZipFile(handle) as archive:
        members = archive.infolist()
        total = sum(member.file_size for member in members)
        if total > max_bytes or len(members) > _MAX_ENTRIES:
            raise WeightsError(
                f'{path} unpacks to {total} bytes in {len(members)} members; the limits are '
                f'{max_bytes} and {_MAX_ENTRIES}'
            )
        if container == 'npz':
            for member in members:
                _check_array_header(archive, member, path)


def _check_array_header(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> None:
    """Hold an array's announced shape against its bytes, since NumPy allocates what it reads."""
    with archive.open(member) as stream:
        npy: Any = np.lib.format  # has no annotations
        first = npy.read_magic(stream) == (1, 0)
        header = npy.read_array_header_1_0 if first else npy.read_array_header_2_0
        shape, _, dtype = header(stream)
        announced = stream.tell() + math.prod(shape) * dtype.itemsize
    if dtype.hasobject:
        raise WeightsError(f'{path}: {member.filename} holds Python objects, not numbers')
    if announced != member.file_size:
        raise WeightsError(
            f'{path}: {member.filename} announces {announced} bytes and has {member.file_size}'
        )


def _read_safetensors(handle: BinaryIO, path: Path) -> _Content:
    data = handle.read()
    length = int.from_bytes(data[:8], 'little')
    if length > len(data) - 8:
        raise WeightsError(
            f'{path}: damaged or cut short (a header of {length} bytes in {len(data)})'
        )
    header = json.loads(data[8 : 8 + length])
    metadata = header.get('__metadata__', {}) if isinstance(header, dict) else {}
    tensors = safetensors.torch.load(data)
    if OWN not in metadata:
        tensors = _without_wrappers(tensors)
    return _Content(values=tensors, notes={}, metadata=metadata)


def _read_npz(handle: BinaryIO, path: Path) -> _Content:
    tensors: dict[str, Tensor] = {}
    notes: dict[str, Note] = {}
    with np.load(handle, allow_pickle=False) as archive:
        for key in archive.files:
            array = archive[key]
            if array.dtype.kind in 'fi':
                native = array.astype(array.dtype.newbyteorder('='))
                tensors[key] = torch.from_numpy(np.ascontiguousarray(native)).reshape(array.shape)
            elif array.ndim == 0:
                notes[key] = str(array)
    if not tensors:
        raise WeightsError(f'{path}: no tensors in it; its arrays are {archive.files[:8]}')
    return _Content(values=tensors, notes=notes, metadata={})


def _read_torch(handle: BinaryIO, path: Path) -> _Content:
    with warnings.catch_warnings(), torch.serialization.safe_globals(_numpy_scalars()):
        warnings.simplefilter('ignore')  # about odd pickles, which end in an error or are harmless
        loaded = torch.load(handle, map_location='cpu', weights_only=True)
    tensors, notes = _unwrap(loaded, path)
    return _Content(values=_without_wrappers(tensors), notes=notes, metadata={})


def _numpy_scalars() -> list[Any]:
    """Name what a NumPy number pickles to; training scripts put their best error in the file."""
    scalar = np.float64(0).__reduce__()[0]
    numbers = [type(np.dtype(kind)) for kind in ('f2', 'f4', 'f8', 'i4', 'i8')]
    spellings = ('numpy.core.multiarray.scalar', 'numpy._core.multiarray.scalar')
    return [np.dtype, *numbers, *((scalar, name) for name in spellings)]


def _unwrap(loaded: Any, path: Path) -> tuple[dict[str, Tensor], dict[str, Note]]:
    """Find the state dict under the usual wrappers; what stands beside it becomes notes."""
    notes: dict[str, Note] = {}
    for _ in range(5):
        if not isinstance(loaded, Mapping):
            raise WeightsError(f'{path}: a mapping of tensors is needed, not {_kind(loaded)}')
        notes |= {
            str(key): value for key, value in loaded.items() if isinstance(value, str | int | float)
        }
        inner = [key for key in _WRAPPERS if isinstance(loaded.get(key), Mapping)]
        if not inner and not any(isinstance(value, Tensor) for value in loaded.values()):
            inner = [key for key, value in loaded.items() if _holds_tensors(value)]
            if len(inner) > 1:
                raise WeightsError(
                    f'{path}: several networks in it: {", ".join(map(str, inner))}; save the '
                    'state_dict() of the one that is meant'
                )
        if not inner:
            break
        loaded = loaded[inner[0]]
    tensors = {str(key): value for key, value in loaded.items() if isinstance(value, Tensor)}
    if not tensors:
        raise WeightsError(f'{path}: no tensors in it; its keys are {[*map(str, loaded)][:8]}')
    return tensors, notes


def _holds_tensors(value: object, depth: int = 3) -> bool:
    if not isinstance(value, Mapping):
        return False
    inside = value.values()
    return any(isinstance(v, Tensor) or (depth and _holds_tensors(v, depth - 1)) for v in inside)


def _kind(value: object) -> str:
    return f'a {type(value).__name__}'


def _without_wrappers(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Drop the words that data-parallel training, torch.compile and others leave on every key."""
    while tensors and all(key.startswith(_PREFIXES) for key in tensors):
        words = {key.partition('.')[0] for key in tensors}
        if len(words) > 1:
            break
        tensors = {key.partition('.')[2]: value for key, value in tensors.items()}
    return tensors


def _checked_tensors(
    values: Mapping[str, Tensor], path: Path, max_bytes: int
) -> tuple[dict[str, Tensor], str]:
    """Return plain float32 (or integer) tensors and the name of the stored float type."""
    announced = sum(4 * value.numel() for value in values.values())
    if announced > max_bytes:  # strides of zero make much of little
        raise WeightsError(f'{path}: its tensors take {announced} bytes, the limit is {max_bytes}')
    tensors = {key: _plain(value, key, path) for key, value in values.items()}
    stored = {_FLOATS.get(v.dtype, 'float32') for v in values.values() if v.is_floating_point()}
    return tensors, '+'.join(sorted(stored)) or 'none'


def _plain(value: Tensor, key: str, path: Path) -> Tensor:
    if value.layout != torch.strided or value.is_quantized or value.is_complex() or value.is_meta:
        raise WeightsError(f'{path}: {key} is not a plain tensor of real numbers')
    value = value.detach()
    if not value.is_floating_point():
        return value.contiguous()
    value = value.to(torch.float32).contiguous()
    if not finite(value):
        raise WeightsError(f'{path}: {key} holds numbers that are not finite')
    return value


def finite(value: Tensor) -> bool:
    """Return whether all numbers are, in one pass: both extremes are NaN if one number is."""
    if value.numel() == 0:
        return True
    low, high = value.aminmax()
    return math.isfinite(low) and math.isfinite(high)


_READERS: dict[Container, Callable[[BinaryIO, Path], _Content]] = {
    'safetensors': _read_safetensors,
    'torch': _read_torch,
    'npz': _read_npz,
}
