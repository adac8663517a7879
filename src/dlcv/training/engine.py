"""The engine: runs a recipe on the CPU, a GPU or many, and can be killed at any time.

A run lives in a folder:

* ``run.yaml``: the resolved configuration;
* ``checkpoint.pt``: network, average, optimiser and step, replaced as one at least every
  ``checkpoint_minutes``;
* ``log.csv``, ``validation.csv``, ``pictures/``: see `dlcv.training.log`;
* ``<name>.safetensors``: the exported network, once the run is through.

A step's samples, learning rate and random numbers follow from the seed and the step alone, so a
run that goes on from a checkpoint is the run that was never interrupted.
"""

from __future__ import annotations

import math
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import torch
import yaml
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, Dataset

from dlcv.config import load_yaml, to_dict
from dlcv.files import whole_file
from dlcv.networks.weights import save_network
from dlcv.training.log import Log
from dlcv.training.precision import settled
from dlcv.training.recipe import Batch, Recipe, RunConfig, Sample, Samples, TrainError
from dlcv.training.start import read_checkpoint

CHECKPOINT = 'checkpoint.pt'
CONFIG = 'run.yaml'
_FREE = {'workers', 'checkpoint_minutes', 'validate_every', 'picture_every', 'half'}
"""Fields of a run that may change when it is resumed: they do not change the weights."""

Report = Callable[[int, Mapping[str, float]], None]


class Interrupted(Exception):  # noqa: N818 - like KeyboardInterrupt, it is no mistake
    """The run was asked to stop; its checkpoint is written."""


@dataclass(kw_only=True)
class _State:
    """All that changes during a run."""

    network: nn.Module
    wrapped: Any  # the same for this machine's devices and precision
    optimiser: torch.optim.Optimizer
    average: AveragedModel | None
    step: int = 0
    sums: dict[str, float] = field(default_factory=dict)  # of the losses since the last log line
    counted: int = 0

    @property
    def best(self) -> nn.Module:
        """The network to look at: the running average where there is one."""
        return self.network if self.average is None else self.average.module


def fit(
    recipe: Recipe,
    run: RunConfig,
    folder: Path,
    *,
    resume: bool = False,
    devices: int = 1,
    nodes: int = 1,
    accelerator: str = 'auto',
    report: Report = lambda _step, _figures: None,
) -> Path:
    """Train, and export the network.

    Args:
        recipe: What is learned, from what, by which loss; a dataclass.
        run: How.
        folder: Where the run lives; made if it is not there.
        resume: Go on from the folder's checkpoint; one without is started from the beginning.
        devices: Processes, each with a device of its own, on this machine.
        nodes: Machines; each runs the same command, with ``MASTER_ADDR``, ``MASTER_PORT``,
            ``NODE_RANK`` set, or under a launcher that Lightning Fabric knows (SLURM, torchrun).
        accelerator: ``auto`` takes a GPU where there is one; or ``cpu``, ``cuda``.
        report: Told step and losses at each line of the log.

    Returns:
        The exported weight file.

    Raises:
        TrainError: If the folder holds a run and ``resume`` is not given, or holds another run;
            if a loss is not finite; or if the devices asked for are not there.
        Interrupted: On Ctrl-C and SIGTERM, after a checkpoint.
    """
    alone = devices * nodes == 1
    run = settled(run, folder / CONFIG, resume=resume, accelerator=accelerator, alone=alone)
    fabric = _fabric(run, devices, nodes, accelerator)
    # Before the other processes are started: a refusal must not leave them waiting.
    first = fabric.local_rank == fabric.node_rank == 0
    _check(recipe, run, folder, resume=resume, first=first)
    samples = recipe.samples(run.seed)
    if not alone:
        fabric.launch()
    state = _start(fabric, recipe, run)
    if first:  # not before all is there: a mistake must not leave a run behind
        folder.mkdir(parents=True, exist_ok=True)
        saved = yaml.safe_dump(configuration(recipe, run), sort_keys=False)
        (folder / CONFIG).write_text(saved)
    if resume and (folder / CHECKPOINT).exists():
        _restore(fabric, state, folder)
    log = Log(folder, state.step) if fabric.is_global_zero else None
    with _stop_requests() as stopped:
        _loop(fabric, recipe, samples, run, folder, state, log, report, stopped)
    if log is not None:
        log.close()
    weights = folder / f'{recipe.name}.safetensors'
    if fabric.is_global_zero:
        export(recipe, run, state.best, weights, state.step)
    fabric.barrier()
    return weights


def export(recipe: Recipe, run: RunConfig, network: nn.Module, path: Path, step: int) -> Path:
    """Write a network that was trained for ``step`` steps as the file that is shipped."""
    return save_network(
        recipe.export(network),
        path,
        half=run.half,
        source=f'dlcv train {recipe.name}, seed {run.seed}, {step} steps',
        licence='Apache-2.0',
    )


def export_checkpoint(recipe: Recipe, run: RunConfig, folder: Path, path: Path) -> Path:
    """Write the network of a run's last checkpoint, whether or not the run is through.

    Raises:
        TrainError: If there is no checkpoint.
    """
    file = folder / CHECKPOINT
    if not file.exists():
        raise TrainError(f'{folder} has no {CHECKPOINT} to export')
    checkpoint = read_checkpoint(file)
    network = recipe.network()
    network.load_state_dict(checkpoint.weights)
    return export(recipe, run, network.eval(), path, checkpoint.step)


def learning_rate(run: RunConfig, step: int) -> float:
    """Return the learning rate of a step, counted from 0."""
    if step < run.warmup_steps:
        return run.learning_rate * (step + 1) / run.warmup_steps
    match run.schedule:
        case 'cosine':
            done = (step - run.warmup_steps) / max(1, run.steps - run.warmup_steps)
            return run.learning_rate * 0.5 * (1 + math.cos(math.pi * done))
        case 'halve':
            return run.learning_rate * 0.5 ** sum(step >= m for m in run.milestones)
    return run.learning_rate


def configuration(recipe: Recipe, run: RunConfig) -> dict[str, Any]:
    """Return a run as plain data, as it is saved."""
    settings = to_dict(recipe)
    return {'recipe': type(recipe).__name__, **settings, 'run': to_dict(run)}


def _fabric(run: RunConfig, devices: int, nodes: int, accelerator: str) -> Fabric:
    if min(devices, nodes) < 1:
        raise TrainError(f'devices and nodes must be at least 1, got {devices} and {nodes}')
    assert run.precision != 'auto'
    try:
        fabric = Fabric(
            accelerator=accelerator,
            devices=devices,
            num_nodes=nodes,
            strategy='ddp' if devices * nodes > 1 else 'auto',
            precision=run.precision,
        )
    except Exception as err:  # Fabric has its own classes for each device that is not there
        raise TrainError(f'{devices} devices of kind {accelerator!r} cannot be had: {err}') from err
    os.environ.setdefault('CUBLAS_WORKSPACE_CONFIG', ':4096:8')
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False
    return fabric


def _check(recipe: Recipe, run: RunConfig, folder: Path, *, resume: bool, first: bool) -> None:
    """Refuse a folder that holds a run, or another run than the one to go on with."""
    file = folder / CONFIG
    if file.exists() and not resume and first:
        raise TrainError(f'{folder} holds a run: --resume goes on with it, --output names another')
    if file.exists() and resume:
        _refuse_other(load_yaml(file.read_text()), configuration(recipe, run), folder)


def _refuse_other(saved: Any, wanted: Any, folder: Path) -> None:
    before, now = dict(_flat(saved)), dict(_flat(wanted))
    differences = [
        f'{key} was {before.get(key, "absent")!r} and is now {now.get(key, "absent")!r}'
        for key in sorted({*before, *now})
        if before.get(key) != now.get(key) and key not in {f'run.{name}' for name in _FREE}
    ]
    if differences:
        raise TrainError(f'{folder} holds another run: {"; ".join(differences)}')


def _flat(data: Any, prefix: str = '') -> Iterator[tuple[str, Any]]:
    for key, value in data.items():
        if isinstance(value, dict):
            yield from _flat(value, f'{prefix}{key}.')
        else:
            yield f'{prefix}{key}', value


def _start(fabric: Fabric, recipe: Recipe, run: RunConfig) -> _State:
    torch.manual_seed(run.seed)
    network = recipe.network().train()
    if getattr(network, 'channels_last', False):
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    network = network.to(fabric.device)
    average = None
    if run.average:
        average = AveragedModel(
            network,
            multi_avg_fn=get_ema_multi_avg_fn(run.average),  # type: ignore[no-untyped-call]
            use_buffers=True,
        )
    optimiser = torch.optim.AdamW(
        _groups(network, run.weight_decay),
        lr=run.learning_rate,
        fused=True,  # 14 ms less for FlowNet on a CPU, where a step takes 230
    )
    wrapped, optimiser = fabric.setup(network, optimiser)
    return _State(network=network, wrapped=wrapped, optimiser=optimiser, average=average)


def _groups(network: nn.Module, decay: float) -> list[dict[str, Any]]:
    """Return the parameters that decay, and those that do not: biases and normalisations."""
    learned = [parameter for parameter in network.parameters() if parameter.requires_grad]
    return [
        {'params': [p for p in learned if p.ndim > 1], 'weight_decay': decay},
        {'params': [p for p in learned if p.ndim <= 1], 'weight_decay': 0.0},
    ]


def _restore(fabric: Fabric, state: _State, folder: Path) -> None:
    try:
        saved = torch.load(folder / CHECKPOINT, map_location=fabric.device, weights_only=True)
    except Exception as err:  # a damaged file fails in any of a dozen ways
        raise TrainError(f'{folder / CHECKPOINT} cannot be read: {err}') from err
    state.network.load_state_dict(saved['network'])
    state.optimiser.load_state_dict(saved['optimiser'])
    if state.average is not None:
        state.average.module.load_state_dict(saved['average'])
        state.average.n_averaged.fill_(saved['averaged'])
    state.step, state.sums, state.counted = saved['step'], saved['sums'], saved['counted']


def _save(fabric: Fabric, state: _State, folder: Path) -> None:
    """Write the checkpoint beside the last one, then put it in its place."""
    if not fabric.is_global_zero:
        return
    average = state.average
    content = {
        'step': state.step,
        'network': state.network.state_dict(),
        'optimiser': state.optimiser.state_dict(),
        'average': None if average is None else average.module.state_dict(),
        'averaged': 0 if average is None else int(average.n_averaged),
        'sums': state.sums,
        'counted': state.counted,
    }
    with whole_file(folder / CHECKPOINT) as unfinished, unfinished.open('wb') as file:
        torch.save(content, file)
        file.flush()
        os.fsync(file.fileno())


def _loop(
    fabric: Fabric,
    recipe: Recipe,
    samples: Samples,
    run: RunConfig,
    folder: Path,
    state: _State,
    log: Log | None,
    report: Report,
    stopped: Callable[[], bool],
) -> None:
    batches = _batches(fabric, samples, run, state.step)
    saved_at = time.monotonic()
    batch: Batch = {}
    while state.step < run.steps:
        for group in state.optimiser.param_groups:
            group['lr'] = learning_rate(run, state.step)
        batch = _step(fabric, recipe, run, state, batches)
        state.step += 1
        if state.step % run.log_every == 0:
            _write_figures(fabric, state, log, report)
        if log is not None:
            _look(recipe, run, state, log, batch)
        # Any process may be asked to stop; all must stop after the same step.
        interrupted = _mean(fabric, [float(stopped())])[0] > 0
        if interrupted or time.monotonic() - saved_at > 60 * run.checkpoint_minutes:
            _save(fabric, state, folder)
            saved_at = time.monotonic()
        if interrupted:
            raise Interrupted(f'stopped after step {state.step} of {run.steps}')
    _save(fabric, state, folder)


def _step(
    fabric: Fabric, recipe: Recipe, run: RunConfig, state: _State, batches: Iterator[Batch]
) -> Batch:
    """Take one optimiser step, and return the last batch."""
    torch.manual_seed((run.seed << 32) + state.step * fabric.world_size + fabric.global_rank)
    state.optimiser.zero_grad()
    figures: dict[str, float] = {}
    for part in range(run.accumulate):
        batch = next(batches)
        with fabric.no_backward_sync(state.wrapped, enabled=part < run.accumulate - 1):
            losses = recipe.loss(state.wrapped, batch, state.step)
            fabric.backward(losses['loss'] / run.accumulate)
        for name, value in losses.items():
            figures[name] = figures.get(name, 0.0) + float(value.detach()) / run.accumulate
    _note(run, state, dict(zip(figures, _mean(fabric, figures.values()), strict=True)))
    if run.clip_norm:
        fabric.clip_gradients(state.wrapped, state.optimiser, max_norm=run.clip_norm)
    state.optimiser.step()
    if state.average is not None:
        state.average.update_parameters(state.network)
    return batch


def _mean(fabric: Fabric, values: Iterable[float]) -> list[float]:
    """Return the means over all processes: the same for each of them, NaN where one has it."""
    if fabric.world_size == 1:
        return list(values)
    own = torch.tensor(list(values), dtype=torch.float32, device=fabric.device)
    means: list[float] = fabric.all_reduce(own, reduce_op='mean').tolist()  # type: ignore[union-attr]
    return means


def _note(run: RunConfig, state: _State, figures: Mapping[str, float]) -> None:
    """Add the losses of a step to those since the last line of the log."""
    for name, figure in figures.items():
        if not math.isfinite(figure):
            raise TrainError(
                f'{name} is {figure} at step {state.step}: lower the learning rate '
                f'({run.learning_rate}), or clip the gradient (clip_norm {run.clip_norm})'
            )
        state.sums[name] = state.sums.get(name, 0.0) + figure
    state.counted += 1


def _write_figures(fabric: Fabric, state: _State, log: Log | None, report: Report) -> None:
    means = {name: total / state.counted for name, total in state.sums.items()}
    state.sums, state.counted = {}, 0
    figures = {**means, 'learning_rate': float(state.optimiser.param_groups[0]['lr'])}
    if log is not None:
        log.figures('log', state.step, figures)
    if fabric.is_global_zero:
        report(state.step, figures)


def _look(recipe: Recipe, run: RunConfig, state: _State, log: Log, batch: Batch) -> None:
    """Validate and draw when it is time to."""
    last = state.step == run.steps
    validates = last or (run.validate_every and state.step % run.validate_every == 0)
    draws = run.picture_every and (last or state.step % run.picture_every == 0)
    if not validates and not draws:
        return
    network = state.best
    network.eval()
    with torch.no_grad():
        if validates:
            log.figures('validation', state.step, recipe.validate(network))
        if draws:
            log.pictures(state.step, recipe.pictures(network, batch))
    state.network.train()


@dataclass(frozen=True, slots=True)
class _Numbers:
    """Which samples each batch holds: every process takes its own, step after step."""

    start: int
    run: RunConfig
    rank: int
    world: int

    def __iter__(self) -> Iterator[list[int]]:
        run = self.run
        for number in range(self.start * run.accumulate, run.steps * run.accumulate):
            first = (number * self.world + self.rank) * run.batch
            yield list(range(first, first + run.batch))

    def __len__(self) -> int:
        return (self.run.steps - self.start) * self.run.accumulate


class _Numbered(Dataset[Sample]):
    """Samples as torch's loader wants them."""

    def __init__(self, samples: Samples, distinct: int) -> None:
        self._samples, self._distinct = samples, distinct

    def __getitem__(self, index: int) -> Sample:
        return self._samples[index % self._distinct if self._distinct else index]


def _batches(fabric: Fabric, samples: Samples, run: RunConfig, start: int) -> Iterator[Batch]:
    loader: DataLoader[Sample] = DataLoader(
        _Numbered(samples, run.distinct),
        batch_sampler=_Numbers(start, run, fabric.global_rank, fabric.world_size),
        num_workers=run.workers,
        pin_memory=fabric.device.type == 'cuda',
        worker_init_fn=_one_thread,
        generator=torch.Generator(),  # it would draw from the first step's random numbers
    )
    for batch in loader:
        yield {name: _placed(value, fabric.device) for name, value in batch.items()}


def _one_thread(_worker: int) -> None:
    import cv2

    torch.set_num_threads(1)
    cv2.setNumThreads(0)


def _placed(value: Tensor, device: torch.device) -> Tensor:
    value = value.to(device, non_blocking=True)
    return value.contiguous(memory_format=torch.channels_last) if value.ndim == 4 else value


@contextmanager
def _stop_requests() -> Iterator[Callable[[], bool]]:
    """Give a function that tells whether Ctrl-C or SIGTERM came; a second one acts at once."""
    asked = False
    before: dict[int, Any] = {}

    def note(number: int, _frame: FrameType | None) -> None:
        nonlocal asked
        asked = True
        signal.signal(number, before[number])

    try:
        for kind in (signal.SIGINT, signal.SIGTERM):
            before[kind] = signal.signal(kind, note)
    except ValueError:  # not in the main thread: whoever runs us there stops us otherwise
        before = {}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
