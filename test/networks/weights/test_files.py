"""Opening weight files: what is read, and everything that is refused."""

from __future__ import annotations

import collections
import hashlib
import io
import json
import os
import pickle
import tarfile
import zipfile

import numpy as np
import pytest
import safetensors.torch
import torch

from dlcv.networks.weights import files
from dlcv.networks.weights.files import WeightsError

TENSORS = {'a.weight': torch.arange(6.0).reshape(2, 3), 'a.bias': torch.tensor([1.0, -2.0])}


class Touch:
    """Unpickled carelessly, this creates a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.fixture
def save(tmp_path):
    """Write an object as a PyTorch checkpoint and return its path."""

    def write(value, name='net.pth', **options):
        torch.save(value, tmp_path / name, **options)
        return tmp_path / name

    return write


def same(found):
    assert list(found) == list(TENSORS)
    for key, value in TENSORS.items():
        torch.testing.assert_close(found[key], value, rtol=0, atol=0)


@pytest.mark.parametrize('name', ['net.pth', 'net.pt', 'net.pth.tar', 'net.model.train', 'net'])
def test_a_plain_state_dict_is_read_under_any_usual_name(save, name):
    same(files.read(save(TENSORS, name)).tensors)


@pytest.mark.parametrize('wrapper', ['state_dict', 'model_state_dict', 'model'])
@pytest.mark.parametrize('prefix', ['', 'module.', 'module.module.'])
def test_wrappers_and_prefixes_come_off(save, wrapper, prefix):
    inner = {prefix + key: value for key, value in TENSORS.items()}
    found = files.read(save({'epoch': 3, 'arch': 'net', wrapper: inner}))
    same(found.tensors)
    assert found.notes == {'epoch': 3, 'arch': 'net'}


def test_the_format_before_1_6_is_read(save):
    same(files.read(save(TENSORS, _use_new_zipfile_serialization=False)).tensors)


@pytest.mark.parametrize('best', [np.float64(1.5), np.float32(1.5), np.int64(2)])
def test_a_numpy_number_beside_the_tensors_does_no_harm(save, best):
    found = files.read(save({'best_EPE': best, 'state_dict': TENSORS}))
    same(found.tensors)


def test_ordered_dicts_and_parameters_are_tensors(save):
    inner = collections.OrderedDict((k, torch.nn.Parameter(v)) for k, v in TENSORS.items())
    found = files.read(save(inner)).tensors
    same(found)
    assert not any(value.requires_grad for value in found.values())


@pytest.mark.parametrize('dtype', ['float16', 'bfloat16', 'float64', 'float32'])
def test_floats_become_float32_and_the_stored_type_is_told(tmp_path, dtype):
    path = tmp_path / 'net.safetensors'
    stored = {key: value.to(getattr(torch, dtype)) for key, value in TENSORS.items()}
    safetensors.torch.save_file(stored, path, {'note': 'x'})
    found = files.read(path)
    same(dict(sorted(found.tensors.items(), reverse=True)))
    assert (found.dtype, found.metadata, found.container) == (dtype, {'note': 'x'}, 'safetensors')


def test_arrays_are_read_with_their_shape(tmp_path):
    path = tmp_path / 'net.npz'
    arrays = {key: value.numpy() for key, value in TENSORS.items()}
    np.savez_compressed(path, **arrays, step=np.int64(7), note='plain text')
    found = files.read(path)
    assert found.tensors['step'].shape == ()
    assert found.notes == {'note': 'plain text'}
    same({key: found.tensors[key] for key in TENSORS})


def test_a_header_whose_length_begins_like_a_pickle_is_read(tmp_path):
    path, starts = tmp_path / 'weights.safetensors', set()
    for padding in range(0, 512, 8):
        files.write(path, {'a': torch.ones(2)}, {'note': 'x' * padding})
        starts.add(path.read_bytes()[0])
        assert files.read(path).tensors['a'].tolist() == [1, 1]
    assert 0x80 in starts


def test_size_and_digest_are_those_of_the_file(save):
    path = save(TENSORS)
    found = files.read(path)
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert found.bytes == path.stat().st_size
    same(files.read(path, sha256=found.sha256.upper()).tensors)


def test_another_digest_is_refused_before_the_file_is_parsed(tmp_path):
    path = tmp_path / 'net.pth'
    path.write_bytes(b'no weights at all')
    with pytest.raises(WeightsError, match=f'wanted {"0" * 64}'):
        files.read(path, sha256='0' * 64)
    with pytest.raises(WeightsError, match=r"64 hexadecimal digits, got 'abc'"):
        files.read(path, sha256='abc')


@pytest.mark.parametrize('legacy', [False, True], ids=['zip', 'legacy'])
@pytest.mark.parametrize('wrap', [lambda x: x, lambda x: {'state_dict': TENSORS, 'extra': x}])
def test_a_hostile_pickle_is_named_and_never_run(save, tmp_path, legacy, wrap):
    trap = tmp_path / 'trap'
    path = save(wrap(Touch(trap)), _use_new_zipfile_serialization=not legacy)
    with pytest.raises(WeightsError, match=r'refused: it asks to call \S*mkdir'):
        files.read(path)
    assert not trap.exists()


@pytest.mark.parametrize('name', ['net.pth', 'net.npz', 'net.safetensors', 'net.pkl'])
def test_a_bare_hostile_pickle_is_refused_whatever_its_name(tmp_path, name):
    trap, path = tmp_path / 'trap', tmp_path / name
    path.write_bytes(pickle.dumps(Touch(trap), protocol=2))
    with pytest.raises(WeightsError):
        files.read(path)
    assert not trap.exists()


def test_objects_in_an_array_are_refused(tmp_path):
    trap, path = tmp_path / 'trap', tmp_path / 'net.npz'
    np.savez(path, weights=np.array([Touch(trap)], dtype=object))
    with pytest.raises(WeightsError, match=r'weights\.npy holds Python objects'):
        files.read(path)
    assert not trap.exists()


def test_a_network_pickled_whole_is_refused(save):
    with pytest.raises(WeightsError, match=r'refused: it asks to call torch\.nn\.\S+Linear'):
        files.read(save(torch.nn.Linear(2, 2)))


def test_a_torchscript_archive_is_refused(tmp_path):
    path = tmp_path / 'net.pt'
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('net/data.pkl', b'\x80\x02}.')
        archive.writestr('net/constants.pkl', b'\x80\x02).')
        archive.writestr('net/version', b'3')
    with pytest.raises(WeightsError, match='TorchScript archive, which holds code'):
        files.read(path)


def test_a_tar_checkpoint_is_answered_with_what_to_do(tmp_path):
    path = tmp_path / 'net.pth'
    with tarfile.open(path, 'w', format=tarfile.USTAR_FORMAT) as archive:
        for name in ('pickle', 'storages', 'tensors'):
            archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    with pytest.raises(WeightsError, match=r'TAR checkpoint .* save its tensors again'):
        files.read(path)


def test_directories_missing_and_empty_files_are_named(tmp_path):
    (tmp_path / 'empty.pth').touch()
    os.mkfifo(tmp_path / 'pipe.pth')
    with pytest.raises(WeightsError, match='is a directory'):
        files.read(tmp_path)
    with pytest.raises(WeightsError, match=r'empty\.pth is empty'):
        files.read(tmp_path / 'empty.pth')
    for name in ('pipe.pth', 'nowhere.pth'):
        with pytest.raises(WeightsError, match=f'there is no weight file .*{name}'):
            files.read(tmp_path / name)


def every_container(tmp_path):
    torch.save(TENSORS, tmp_path / 'zip.pth')
    torch.save(TENSORS, tmp_path / 'old.pth', _use_new_zipfile_serialization=False)
    safetensors.torch.save_file(TENSORS, tmp_path / 'net.safetensors')
    np.savez(tmp_path / 'net.npz', **{k: v.numpy() for k, v in TENSORS.items()})
    return [tmp_path / n for n in ('zip.pth', 'old.pth', 'net.safetensors', 'net.npz')]


def test_a_truncated_file_is_refused_wherever_it_ends(tmp_path):
    for path in every_container(tmp_path):
        whole = path.read_bytes()
        for keep in (4, 12, len(whole) // 3, len(whole) // 2, len(whole) - 9):
            path.write_bytes(whole[:keep])
            with pytest.raises(WeightsError, match=path.name):
                files.read(path)


def test_noise_in_a_file_never_escapes_as_another_error(tmp_path):
    draw = np.random.default_rng(0)
    for path in every_container(tmp_path):
        whole = np.frombuffer(path.read_bytes(), np.uint8)
        for _ in range(40):
            broken = whole.copy()
            at = draw.integers(0, len(whole), 8)
            broken[at] = draw.integers(0, 256, 8)
            path.write_bytes(broken.tobytes())
            try:
                files.read(path)
            except WeightsError as err:
                assert '\n' not in str(err)


@pytest.mark.parametrize('other', ['net.npz', 'net.safetensors'])
def test_a_name_that_claims_another_kind_is_refused(save, other):
    with pytest.raises(WeightsError, match=r'is named \.\w+ but is a PyTorch checkpoint'):
        files.read(save(TENSORS, other))


def test_text_is_no_weight_file(tmp_path):
    path = tmp_path / 'net.txt'
    path.write_text('https://example.org/weights')
    with pytest.raises(WeightsError, match=r"neither a safetensors .* starts with b'https://'"):
        files.read(path)


def test_a_file_over_the_limit_is_not_opened(save):
    with pytest.raises(WeightsError, match=r'more than the limit of 100'):
        files.read(save(TENSORS), max_bytes=100)


def test_an_archive_that_unpacks_to_more_than_the_limit_is_refused(tmp_path):
    path = tmp_path / 'net.npz'
    np.savez_compressed(path, weights=np.zeros(1 << 20, np.float32))
    assert path.stat().st_size < 1 << 16
    with pytest.raises(WeightsError, match=r'unpacks to 41\d+ bytes'):
        files.read(path, max_bytes=1 << 16)


def test_an_array_that_announces_more_than_it_has_is_refused(tmp_path):
    path = tmp_path / 'net.npz'
    stream = io.BytesIO()
    header = {'descr': '<f4', 'fortran_order': False, 'shape': (1 << 50,)}
    np.lib.format.write_array_header_1_0(stream, header)
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('weights.npy', stream.getvalue() + bytes(64))
    with pytest.raises(WeightsError, match=r'weights\.npy announces 4503599627370624 bytes'):
        files.read(path)


def test_a_tensor_that_is_larger_than_its_storage_is_refused(save):
    path = save({'weight': torch.zeros(1).expand(1 << 40)})
    with pytest.raises(WeightsError, match='its tensors take 4398046511104 bytes'):
        files.read(path)


@pytest.mark.parametrize(
    'header',
    [
        {'a': {'dtype': 'F32', 'shape': [1 << 40], 'data_offsets': [0, 4]}},
        {'a': {'dtype': 'F32', 'shape': [1], 'data_offsets': [0, 400]}},
        {'__metadata__': 'text', 'a': {'dtype': 'F32', 'shape': [1], 'data_offsets': [0, 4]}},
        ['a'],
    ],
)
def test_a_header_that_contradicts_the_data_is_refused(tmp_path, header):
    path = tmp_path / 'net.safetensors'
    text = json.dumps(header).encode()
    if isinstance(header, list):
        text = b'{' + text  # so that it is taken for a header at all
    path.write_bytes(len(text).to_bytes(8, 'little') + text + bytes(4))
    with pytest.raises(WeightsError, match='damaged or cut short'):
        files.read(path)


@pytest.mark.parametrize('bad', [float('nan'), float('inf'), float('-inf')])
def test_numbers_that_are_not_finite_are_refused_by_key(save, bad):
    with pytest.raises(WeightsError, match=r'a\.bias holds numbers that are not finite'):
        files.read(save(TENSORS | {'a.bias': torch.tensor([0.0, bad])}))


@pytest.mark.parametrize('value', [[torch.zeros(1)], {'epoch': 3}, {}, 'text', torch.zeros(2)])
def test_what_is_no_mapping_of_tensors_is_refused(save, value):
    with pytest.raises(WeightsError, match=r'no tensors in it|a mapping of tensors is needed'):
        files.read(save(value))


def test_sparse_and_complex_tensors_are_refused(save):
    for value in (torch.eye(3).to_sparse(), torch.zeros(2, dtype=torch.complex64)):
        with pytest.raises(WeightsError, match='w is not a plain tensor of real numbers'):
            files.read(save({'w': value}))


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / 'net.safetensors'
    files.write(path, TENSORS, {'note': 'first'})

    def full(*_):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr('pathlib.Path.replace', full)
    with pytest.raises(OSError, match='No space left'):
        files.write(path, {}, {})
    assert files.read(path).metadata == {'note': 'first'}
    assert [p.name for p in tmp_path.iterdir()] == ['net.safetensors']


def test_our_files_are_named_safetensors(tmp_path):
    with pytest.raises(WeightsError, match=r'named \.safetensors'):
        files.write(tmp_path / 'net.pth', TENSORS, {})
