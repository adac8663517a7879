"""Devices, precisions, and pictures as tensors."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch

from dlcv.estimation import device as dev

CPU = torch.device('cpu')
GPUS = torch.cuda.device_count() if torch.cuda.is_available() else 0


def test_cpu_is_there_and_auto_takes_the_best():
    assert dev.pick_device('cpu') == CPU
    assert dev.pick_device('auto').type == ('cuda' if GPUS else 'cpu')


@pytest.mark.parametrize('name', ['gpu', '', 'cuda:', 'cuda:x', 'CPU', 'cuda0'])
def test_an_unknown_device_is_refused(name):
    with pytest.raises(dev.DeviceError, match='is none of auto, cpu, cuda, cuda:N'):
        dev.pick_device(name)


def test_a_gpu_that_is_not_there_is_refused():
    with pytest.raises(dev.DeviceError, match=f'PyTorch sees {GPUS} CUDA devices'):
        dev.pick_device(f'cuda:{GPUS}')


@pytest.mark.parametrize('precision', ['fp16', 'bf16'])
def test_16_bits_are_refused_on_a_cpu_that_was_asked_for(precision):
    with pytest.raises(dev.DeviceError, match=f"'{precision}' needs a CUDA device"):
        dev.pick_precision(precision, CPU)
    assert dev.pick_precision(precision, torch.device('cuda')) == precision


def test_16_bits_on_a_cpu_that_was_found_become_32_with_a_warning(monkeypatch):
    heard = []  # not caplog, which ROS's launch, once imported, keeps from hearing anything
    monkeypatch.setattr(
        logging.getLogger(dev.__name__), 'warning', lambda *a: heard.append(a[0] % a[1:])
    )
    assert dev.pick_precision('fp16', CPU, fallback=True) == 'fp32'
    assert 'fp32 on the CPU instead of fp16' in heard[0]


def test_an_unknown_precision_is_refused():
    with pytest.raises(dev.DeviceError, match="'int8' is none of fp32, fp16, bf16"):
        dev.pick_precision('int8', CPU, fallback=True)


def test_threads_are_set_and_zero_takes_half_of_the_cores():
    before = torch.get_num_threads()
    try:
        assert dev.set_threads(1) == 1 == torch.get_num_threads()
        assert dev.set_threads(0) >= 1
    finally:
        dev.set_threads(before)


def test_the_cpu_has_no_gpu_memory():
    assert dev.gpu_memory_mb(CPU) == 0.0


@pytest.mark.parametrize('shape', [(4, 5), (4, 5, 3)])
def test_pictures_become_tensors(shape):
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    tensor = dev.to_tensor(image, CPU)
    assert tensor.shape == (1, 3 if len(shape) == 3 else 1, 4, 5)
    want = np.atleast_3d(image).transpose(2, 0, 1)[None] / 255
    np.testing.assert_allclose(tensor.numpy(), want, rtol=1e-6)


def test_read_only_and_cut_out_pictures_are_taken_without_being_changed():
    image = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    image.flags.writeable = False
    tensor = dev.to_tensor(image[:, ::-2], CPU)
    np.testing.assert_allclose(tensor[0, 1].numpy() * 255, image[:, ::-2, 1], atol=1e-4)


def test_a_picture_waits_until_the_one_before_has_arrived(monkeypatch):
    """As on a GPU, whose memory and events are ordinary ones here."""
    said = []

    class Event:
        def record(self):
            said.append('sent')

        def synchronize(self):
            said.append('waited')

    monkeypatch.setattr(dev.torch.cuda, 'Event', Event)
    plain = torch.empty_like
    monkeypatch.setattr(dev.torch, 'empty_like', lambda x, pin_memory: plain(x))
    staging = dev.Staging(torch.device('cpu'))
    picture = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    first = dev.to_tensor(picture, torch.device('cpu'), staging=staging)
    assert said == ['sent']
    second = dev.to_tensor(picture + 1, torch.device('cpu'), staging=staging)
    assert said == ['sent', 'waited', 'sent']
    torch.testing.assert_close(first[0, :, 0, 1], torch.tensor([3.0, 4, 5]) / 255)
    torch.testing.assert_close(second[0, :, 0, 1], torch.tensor([4.0, 5, 6]) / 255)
