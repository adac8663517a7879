"""Files that people have in place of weights: named, and what to do is said."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile

import pytest
import torch

from dlcv.networks.superpoint import SuperPoint, SuperPointConfig
from dlcv.networks.weights import WeightsError, describe, load

POINTER = b'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5206086\n'
ONNX = b'\x08\x07\x12\x07pytorch\x1a\x051.9.0:\xff' + bytes(64)
CAFFE = b'\x0a\x07FlowNet\xa2\x06\x1a\x0a\x05conv1' + bytes(64)
GRAPH = b'\x0a\x22\x0a\x05input\x12\x0bPlaceholder' + bytes(64)


def zipped(*names):
    data = io.BytesIO()
    with zipfile.ZipFile(data, 'w') as archive:
        for name in names:
            archive.writestr(name, b'0')
    return data.getvalue()


def tarred(*names):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode='w') as archive:
        for name in names:
            archive.addfile(tarfile.TarInfo(name))
    return data.getvalue()


@pytest.mark.parametrize(
    ('name', 'data', 'words'),
    [
        ('a.pth', POINTER, 'is a Git LFS pointer, not the file: run `git lfs pull`'),
        ('a.safetensors', POINTER, 'is a Git LFS pointer'),
        ('a.onnx', ONNX, 'is ONNX'),
        ('a.pth', ONNX, 'is ONNX'),
        ('a.pth', b'\n<!DOCTYPE html><html>Google Drive', 'is a web page, not the file'),
        ('a.pth', b'{"message": "Not Found"}', 'is neither a safetensors file'),
        ('a.h5', b'\x89HDF\r\n\x1a\n' + bytes(99), r'is an HDF5 file, as Keras.* LIFT, convert it'),
        ('a.pb', GRAPH, 'is a graph of TensorFlow'),
        ('saved_model.pb', b'\x08\x01\x12\x80\x01' + bytes(99), 'is a SavedModel of TensorFlow'),
        ('model.ckpt.index', bytes(99) + b'\x57\xfb\x80\x8b\x24\x75\x47\xdb',
         'is a checkpoint of TensorFlow; convert its variables to a NumPy archive'),
        ('model.data-00000-of-00001', bytes(99), 'is a part of a checkpoint of TensorFlow'),
        ('checkpoint', b'model_checkpoint_path: "model"', 'is the index of a TensorFlow folder'),
        ('a.tflite', bytes(4) + b'TFL3' + bytes(99), 'is a TensorFlow Lite file'),
        ('a.caffemodel', CAFFE, 'is a model of Caffe'),
        ('a.pth', CAFFE, 'is a model of Caffe'),
        ('a.pth.gz', gzip.compress(b'x'), 'is compressed by gzip; unpack it'),
        ('a.zip', zipped('weights/a.pth', 'README'), r'is a ZIP archive of weights/a\.pth'),
        ('a.tar', tarred('a.pth'), r'is a TAR archive of a\.pth; unpack it'),
        ('a.npy', b'\x93NUMPY\x01\x00' + bytes(99), 'is a single NumPy array'),
        ('a.pth', b'', 'is empty'),
    ],
    ids=lambda value: '' if isinstance(value, bytes) else value,  # archives hold the time of day
)  # fmt: skip
def test_foreign_files_are_named_by_their_bytes(tmp_path, name, data, words):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(WeightsError, match=words):
        describe(tmp_path / name)


PREFIXES = ('module.', '_orig_mod.', 'model.', 'net.', 'state_dict.', 'superpoint.',
            'module._orig_mod.model.', '_orig_mod.module.', 'a.b.c.d.')  # fmt: skip


@pytest.mark.parametrize('prefix', PREFIXES)
@pytest.mark.parametrize('container', ['pth', 'safetensors'])
def test_words_in_front_of_all_keys_are_taken_away(tmp_path, prefix, container):
    import safetensors.torch

    network = SuperPoint(SuperPointConfig(variant='vgg', width=0.125))
    tensors = {f'{prefix}{key}': value for key, value in network.state_dict().items()}
    path = tmp_path / f'a.{container}'
    (torch.save if container == 'pth' else safetensors.torch.save_file)(tensors, path)
    found = load('superpoint', path)
    assert found.weights.family == 'superpoint-v1'
    for key, value in found.network.state_dict().items():
        assert torch.equal(value, network.state_dict()[key])


def test_compiled_parts_within_are_read(tmp_path):
    network = SuperPoint(SuperPointConfig(variant='vgg', width=0.125))
    tensors = {f'{key.replace(".", "._orig_mod.")}': v for key, v in network.state_dict().items()}
    torch.save(tensors, tmp_path / 'a.pth')
    assert describe(tmp_path / 'a.pth').family == 'superpoint-v1'


@pytest.mark.parametrize('keys', [('params',), ('state', 'generator'), ('a', 'model', 'net')])
def test_mappings_around_the_tensors_are_looked_through(tmp_path, keys):
    network = SuperPoint(SuperPointConfig(variant='vgg', width=0.125))
    held = network.state_dict()
    for key in reversed(keys):
        held = {key: held, 'epoch': 3}
    torch.save(held, tmp_path / 'a.pth')
    assert describe(tmp_path / 'a.pth').family == 'superpoint-v1'


def test_of_several_networks_in_a_file_none_is_guessed(tmp_path):
    tensors = {'w': torch.zeros(2)}
    torch.save({'depth': tensors, 'pose': tensors}, tmp_path / 'a.pth')
    with pytest.raises(WeightsError, match='several networks in it: depth, pose'):
        describe(tmp_path / 'a.pth')
