"""Which arithmetic a run computes with, where its configuration leaves that to the machine."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from pathlib import Path

import torch
import yaml
from torch import Tensor, nn

from dlcv import host
from dlcv.config import load_yaml
from dlcv.training.recipe import Precision, RunConfig

EXACT: Precision = '32-true'
MIXED: Precision = 'bf16-mixed'
_ROUNDS = 4  # of both kinds by turns; the best of each counts, so that other work matters little
_SECONDS = 1.0  # after which no further round is begun


def settled(
    run: RunConfig, file: Path, *, resume: bool, accelerator: str, alone: bool
) -> RunConfig:
    """Return a run whose precision is no longer ``auto``.

    Args:
        run: As configured; one that names its precision is returned as it is.
        file: ``run.yaml`` of the run that is gone on with; its precision is taken.
        resume: Whether a run is gone on with.
        accelerator: ``auto``, ``cpu`` or ``cuda``.
        alone: Whether one process trains. Several must agree, so what they decide by is what
            machines of a kind have in common, and no stopwatch.
    """
    if run.precision != 'auto':
        return run
    saved = _saved(file) if resume else None
    if saved is not None:
        return replace(run, precision=saved)
    kind = _kind(accelerator)
    fast = has_bfloat16(kind) and (not alone or is_faster(kind))
    return replace(run, precision=MIXED if fast else EXACT)


def has_bfloat16(kind: str) -> bool:
    """Return whether the processor (``cpu``) or the GPU (``cuda``) multiplies bfloat16 itself."""
    if kind == 'cuda':
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return kind == 'cpu' and host.has_bfloat16()


def is_faster(kind: str) -> bool:
    """Return whether a few convolutions, forth and back, take less time in bfloat16.

    Also whether what they give is finite and near to what 32 bits give. It takes about a second
    and leaves torch's random numbers as they are.
    """
    layers, images = _probe(torch.device(kind))
    best = {EXACT: math.inf, MIXED: math.inf}
    values: dict[Precision, Tensor] = {}
    started = time.perf_counter()
    for turn in range(_ROUNDS + 1):
        for precision in (EXACT, MIXED):
            begun = time.perf_counter()
            values[precision] = _gradient(layers, images, mixed=precision == MIXED)
            if turn:  # the first time, kernels are chosen and memory is found
                best[precision] = min(best[precision], time.perf_counter() - begun)
        if turn and time.perf_counter() - started > _SECONDS:
            break
    exact, mixed = values[EXACT], values[MIXED]
    near = bool(mixed.isfinite().all()) and bool((mixed - exact).norm() < 0.1 * exact.norm())
    return near and best[MIXED] < best[EXACT]


def _probe(device: torch.device) -> tuple[nn.Sequential, Tensor]:
    with torch.random.fork_rng(devices=[device] if device.type == 'cuda' else []):
        torch.manual_seed(0)
        layers = nn.Sequential(
            nn.Conv2d(3, 16, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 64, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(64, 128, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(128, 128, 3, padding=1),
        )
        images = torch.rand(4, 3, 64, 128)
    layers = layers.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return layers.to(device), images.contiguous(memory_format=torch.channels_last).to(device)


def _gradient(layers: nn.Sequential, images: Tensor, *, mixed: bool) -> Tensor:
    """Return the gradient of some loss by all weights, as one vector on the CPU."""
    with torch.autocast(images.device.type, torch.bfloat16, enabled=mixed):
        answer = layers(images)
    loss = (answer.float() - 1).square().mean()
    gradients = torch.autograd.grad(loss, list(layers.parameters()))
    return torch.cat([gradient.flatten().cpu() for gradient in gradients])


def _kind(accelerator: str) -> str:
    """Return the kind of device that Fabric takes."""
    if accelerator in ('cuda', 'gpu') or (accelerator == 'auto' and torch.cuda.is_available()):
        return 'cuda' if torch.cuda.is_available() else ''
    if accelerator == 'auto' and torch.backends.mps.is_available():
        return 'mps'
    return accelerator if accelerator != 'auto' else 'cpu'


def _saved(file: Path) -> Precision | None:
    """Return the precision of a run that was begun; None where there is none to go on with."""
    try:
        found = load_yaml(file.read_text())['run']['precision']
    except (OSError, yaml.YAMLError, TypeError, KeyError):
        return None
    return found if found in (EXACT, MIXED) else None
