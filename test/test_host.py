"""What a report says of where it was made."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

import numpy as np
import pytest

from dlcv import __version__
from dlcv.host import command, host, processor_flags, threads, versions


@pytest.mark.parametrize(
    ('argv', 'expected'),
    [
        (['/usr/bin/dlcv', 'evaluate', 'my bag.mcap'], "dlcv evaluate 'my bag.mcap'"),
        (['/x/dlcv/__main__.py', 'demo'], 'dlcv demo'),
        (['bench.py', '--frames', '4'], 'bench.py --frames 4'),
    ],
)
def test_the_command_can_be_typed_again(monkeypatch, argv, expected):
    monkeypatch.setattr(sys, 'argv', argv)
    assert command() == expected


def test_the_host_has_a_processor_and_the_cores_that_may_be_used():
    *name, cores = host().split(', ')
    assert name
    assert cores == f'{len(os.sched_getaffinity(0))} cores'


def test_without_the_models_name_there_is_the_architecture(monkeypatch):
    from dlcv import host as module

    monkeypatch.setattr(module.Path, 'read_text', lambda *_, **__: 'processor: 0\n')
    assert module.processor() == platform.machine()


def test_versions_are_those_of_what_is_installed():
    assert versions('numpy', 'no-such-library') == {'dlcv': __version__, 'numpy': np.__version__}


@pytest.mark.parametrize(
    ('policy', 'words'), [('PASSIVE', 'asleep while they wait'), ('ACTIVE', 'may spin')]
)
def test_the_threads_are_said(monkeypatch, policy, words):
    torch = pytest.importorskip('torch')
    monkeypatch.setenv('OMP_WAIT_POLICY', policy)
    said = threads()
    assert said.startswith(f'{torch.get_num_threads()} on {len(os.sched_getaffinity(0))} cores')
    assert words in said


@pytest.mark.parametrize(
    ('text', 'wanted'),
    [
        ('model name\t: X\nflags\t\t: fpu avx512_bf16\nflags\t\t: fpu\n', {'fpu', 'avx512_bf16'}),
        ('Features\t: asimd bf16\n', {'asimd', 'bf16'}),
        ('model name\t: X\n', set()),
    ],
)
def test_flags_are_those_of_the_first_core(monkeypatch, text, wanted):
    monkeypatch.setattr(Path, 'read_text', lambda *_args, **_options: text)
    assert processor_flags() == wanted


def test_without_a_list_there_are_no_flags(monkeypatch):
    def missing(*_args, **_options):
        raise FileNotFoundError

    monkeypatch.setattr(Path, 'read_text', missing)
    assert processor_flags() == frozenset()
