"""Precision that is left to the machine: what decides, and that a run keeps what was decided."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from dlcv.training import precision
from dlcv.training.precision import has_bfloat16, is_faster, settled
from dlcv.training.recipe import RunConfig

AUTO = RunConfig(steps=1, precision='auto')


def decide(run: RunConfig, file: Path, *, resume: bool = False, alone: bool = True) -> str:
    return settled(run, file, resume=resume, accelerator='cpu', alone=alone).precision


def machine(monkeypatch: pytest.MonkeyPatch, *, flags: set[str], faster: bool = True) -> None:
    monkeypatch.setattr(precision.host, 'processor_flags', lambda: frozenset(flags))
    monkeypatch.setattr(precision, 'is_faster', lambda _kind: faster)


@pytest.mark.parametrize(
    ('flags', 'faster', 'wanted'),
    [
        ({'avx2', 'avx512_bf16'}, True, 'bf16-mixed'),
        ({'amx_bf16'}, True, 'bf16-mixed'),
        ({'asimd', 'bf16'}, True, 'bf16-mixed'),
        ({'avx2', 'avx512f'}, True, '32-true'),
        (set(), True, '32-true'),
        ({'avx512_bf16'}, False, '32-true'),
    ],
)
def test_mixed_where_the_processor_can_and_the_probe_agrees(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    flags: set[str],
    faster: bool,
    wanted: str,
) -> None:
    machine(monkeypatch, flags=flags, faster=faster)
    assert decide(AUTO, tmp_path / 'run.yaml') == wanted


def test_what_is_named_is_not_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, flags=set())
    mixed = RunConfig(steps=1, precision='bf16-mixed')
    assert decide(mixed, tmp_path / 'run.yaml') == 'bf16-mixed'


@pytest.mark.parametrize('before', ['32-true', 'bf16-mixed'])
def test_a_run_goes_on_with_what_it_began_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str
) -> None:
    file = tmp_path / 'run.yaml'
    file.write_text(f'run: {{precision: {before}}}\n')
    other = {'32-true': {'avx512_bf16'}, 'bf16-mixed': set()}[before]
    machine(monkeypatch, flags=other)
    assert decide(AUTO, file, resume=True) == before
    assert decide(AUTO, file) != before


@pytest.mark.parametrize('content', ['', '[1]', 'run: 3', 'run: {precision: x}', '{', None])
def test_a_damaged_run_decides_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    machine(monkeypatch, flags={'avx512_bf16'})
    file = tmp_path / 'run.yaml'
    if content is not None:
        file.write_text(content)
    assert decide(AUTO, file, resume=True) == 'bf16-mixed'


def test_several_processes_decide_without_a_stopwatch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(monkeypatch, flags={'avx512_bf16'}, faster=False)
    assert decide(AUTO, tmp_path / 'run.yaml', alone=False) == 'bf16-mixed'


def test_a_device_that_is_not_there_is_left_to_the_engine(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip('there is a GPU')
    found = settled(AUTO, tmp_path / 'x', resume=False, accelerator='cuda', alone=True)
    assert found.precision == '32-true'
    assert not has_bfloat16('mps')


@pytest.mark.parametrize(('wrong', 'slow'), [(False, False), (True, False), (False, True)])
def test_the_probe_wants_speed_and_finite_values(
    monkeypatch: pytest.MonkeyPatch, wrong: bool, slow: bool
) -> None:
    clock = [0.0]
    monkeypatch.setattr(precision.time, 'perf_counter', lambda: clock[0])

    def gradient(_layers: object, _images: object, *, mixed: bool) -> torch.Tensor:
        clock[0] += 0.1 if mixed != slow else 0.2
        return torch.full((3,), float('nan') if mixed and wrong else 1.0)

    monkeypatch.setattr(precision, '_gradient', gradient)
    assert is_faster('cpu') == (not wrong and not slow)


def test_the_probe_leaves_the_random_numbers_alone() -> None:
    torch.manual_seed(1)
    wanted = torch.rand(3)
    torch.manual_seed(1)
    assert isinstance(is_faster('cpu'), bool)
    assert torch.equal(torch.rand(3), wanted)
