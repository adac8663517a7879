"""Name well-known files that are no weights of ours by their bytes, and say what to do instead."""

from __future__ import annotations

import re
import tarfile
import zipfile
from typing import BinaryIO

HEAD = 4096
"""Bytes that are looked at."""

_STATE_DICT = 'save the state_dict() of its network in PyTorch instead'
_ARRAYS = (
    'convert it to a NumPy archive with h5py: '
    'np.savez(path, **{name: file[name][()] for name in file})'
)
_UNPACK = 'unpack it and give the file inside'
_BEGINNINGS: tuple[tuple[bytes, str], ...] = (
    (b'version https://git-lfs.github.com/spec/',
     'a Git LFS pointer, not the file: run `git lfs pull` in its repository'),
    (b'\x89HDF\r\n\x1a\n',
     f'an HDF5 file, as Keras and TensorFlow write it; {_STATE_DICT}; or if it is LIFT, {_ARRAYS}'),
    (b'\x1f\x8b', f'compressed by gzip; {_UNPACK}'),
    (b'BZh', f'compressed by bzip2; {_UNPACK}'),
    (b'\xfd7zXZ\x00', f'compressed by xz; {_UNPACK}'),
    (b'\x28\xb5\x2f\xfd', f'compressed by zstd; {_UNPACK}'),
    (b'7z\xbc\xaf\x27\x1c', f'a 7z archive; {_UNPACK}'),
    (b'Rar!', f'a RAR archive; {_UNPACK}'),
    (b'GGUF', 'a GGUF file of a language model'),
    (b'\x93NUMPY', 'a single NumPy array (.npy); an archive of named ones (.npz) is needed'),
    (b'MATLAB 5.0 MAT-file', f'a MATLAB file; {_STATE_DICT}'),
    (b'%PDF', 'a PDF document'),
    (b'\x89PNG', 'a picture'),
    (b'\xff\xd8\xff', 'a picture'),
    (b'model_checkpoint_path', 'the index of a TensorFlow folder, which only names checkpoints'),
)  # fmt: skip
_TF_TABLE = b'\x57\xfb\x80\x8b\x24\x75\x47\xdb'  # the last bytes of an index of TensorFlow
_PAGES = (b'<!doctype', b'<html', b'<head', b'<?xml', b'<error', b'<!--')
_OLD_TORCH = {'pickle', 'storages', 'tensors', 'sys_info'}


def foreign(handle: BinaryIO, suffix: str) -> str:
    """Return what a file is that is no weight file of ours, in words; empty where nobody knows.

    Args:
        handle: The open file.
        suffix: Of its name, for formats without a mark of their own.
    """
    handle.seek(0)
    head = handle.read(HEAD)
    for beginning, words in _BEGINNINGS:
        if head.startswith(beginning):
            return words
    text = head.lstrip(b'\xef\xbb\xbf \t\r\n').lower()
    if text.startswith(_PAGES):
        return 'a web page, not the file: the download asked for something first, or failed'
    if head[:4] == b'PK\x03\x04':
        return _archive(handle)
    if head[4:8] == b'TFL3':
        return f'a TensorFlow Lite file; {_STATE_DICT}'
    return _table(handle) or _protobuf(head, suffix)


def tar_archive(handle: BinaryIO) -> str:
    """Return what a TAR archive is if it is none of PyTorch's; empty where it is."""
    handle.seek(0)
    try:
        with tarfile.open(fileobj=handle, mode='r:') as archive:
            names = archive.getnames()
    except tarfile.TarError:
        return ''
    if _OLD_TORCH & {name.rpartition('/')[2] for name in names}:
        return ''
    return f'a TAR archive of {_few(names)}; {_UNPACK}'


def _archive(handle: BinaryIO) -> str:
    names = zipfile.ZipFile(handle).namelist()
    if any(name.endswith('.weights.h5') for name in names):
        return f'a Keras archive; {_STATE_DICT}'
    return f'a ZIP archive of {_few(names)}; {_UNPACK}'


def _table(handle: BinaryIO) -> str:
    handle.seek(0, 2)
    handle.seek(max(0, handle.tell() - len(_TF_TABLE)))
    if handle.read() != _TF_TABLE:
        return ''
    return (
        'a checkpoint of TensorFlow; convert its variables to a NumPy archive: np.savez(path, '
        '**{name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()})'
    )


def _protobuf(head: bytes, suffix: str) -> str:
    """Tell the messages of ONNX, TensorFlow and Caffe by their first fields."""
    version = len(head) > 2 and head[0] == 0x08 and 0 < head[1] < 32
    if version and (suffix == '.onnx' or head[2] in b'\x12\x1a\x22\x3a\x42'):
        if head[1] == 1 and head[2] == 0x12 and suffix == '.pb':
            return f'a SavedModel of TensorFlow; {_STATE_DICT}'
        return f'ONNX, a graph for inference; {_STATE_DICT}'
    if suffix == '.onnx':
        return f'named as ONNX; {_STATE_DICT}'
    if suffix == '.caffemodel' or (head[:1] == b'\x0a' and re.search(rb'\xa2\x06.{1,3}\x0a', head)):
        return f'a model of Caffe; {_STATE_DICT}'
    if suffix == '.pb' or (head[:1] == b'\x0a' and b'Placeholder' in head):
        return f'a graph of TensorFlow; {_STATE_DICT}'
    if suffix == '.meta' or re.fullmatch(r'\.data-\d+-of-\d+', suffix):
        return 'a part of a checkpoint of TensorFlow; convert its variables to a NumPy archive'
    if suffix in ('.t7', '.net'):
        return f'a file of Torch 7; {_STATE_DICT}'
    return ''


def _few(names: list[str]) -> str:
    more = f' and {len(names) - 3} more' if len(names) > 3 else ''
    return (', '.join(names[:3]) or 'nothing') + more
