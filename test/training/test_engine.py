"""The engine: the same run twice, killed runs, gradients, averages, what is refused."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

pytest.importorskip('lightning_fabric', reason='lightning-fabric is not installed')

from dlcv.networks.flownet import FlowNet, FlowNetConfig
from dlcv.networks.losses.flownet import multiscale_epe
from dlcv.networks.weights import load_network
from dlcv.training import engine
from dlcv.training.engine import Interrupted, export_checkpoint, fit, learning_rate
from dlcv.training.log import read_table
from dlcv.training.recipe import RunConfig, TrainError

RUN = RunConfig(steps=6, batch=2, learning_rate=1e-3, log_every=1, half=False, seed=3)


@dataclass(frozen=True, kw_only=True)
class Toy:
    """A tiny FlowNet that learns from noise what the number of a sample says."""

    batch_norm: bool = False
    scale: float = 1.0
    name: str = 'flownet_s'

    def network(self) -> FlowNet:
        return FlowNet(FlowNetConfig(width=1 / 32, batch_norm=self.batch_norm))

    def samples(self, seed: int) -> Toy.Samples:
        return self.Samples(seed)

    def loss(self, network: nn.Module, batch: dict[str, Tensor], step: int) -> dict[str, Tensor]:
        pyramid = network(batch['first'], batch['second'])
        loss = self.scale * multiscale_epe([flow.float() for flow in pyramid], batch['flow'])
        noise = torch.rand(())  # a loss that draws, such as dropout: drawn from seed and step
        return {'loss': loss, 'noise': noise}

    def validate(self, network: nn.Module) -> dict[str, float]:
        sample = self.samples(10**6)[0]
        first, second = (torch.from_numpy(sample[name])[None] for name in ('first', 'second'))
        return {'mean': float(network(first, second).mean())}

    def pictures(self, network: nn.Module, batch: dict[str, Tensor]) -> dict[str, np.ndarray]:
        return {'grey': np.full((4, 5, 3), 128, np.uint8)}

    def smoke(self) -> Toy:
        return self

    def export(self, network: nn.Module) -> nn.Module:
        return network

    class Samples:
        def __init__(self, seed: int) -> None:
            self.seed = seed

        def __getitem__(self, index: int) -> dict[str, np.ndarray]:
            rng = np.random.default_rng([self.seed, index])
            first, second = rng.random((2, 3, 64, 64), np.float32)
            flow = np.full((2, 64, 64), rng.normal(0, 10), np.float32)
            return {'first': first, 'second': second, 'flow': flow}


@contextmanager
def gradients() -> Iterator[list[Tensor]]:
    """Give all gradients of each optimiser step, as one vector for each."""
    seen: list[Tensor] = []

    def note(optimiser, *_):
        parameters = [p for group in optimiser.param_groups for p in group['params']]
        seen.append(torch.cat([p.grad.flatten().clone() for p in parameters]))

    handle = register_optimizer_step_pre_hook(note)
    try:
        yield seen
    finally:
        handle.remove()


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def train(folder, recipe=None, **changes):
    """Train on the CPU; keyword arguments of ``fit`` and fields of the run."""
    options = {key: changes.pop(key) for key in ('resume', 'report') if key in changes}
    run = replace(RUN, **changes)
    return fit(recipe or Toy(), run, folder, accelerator='cpu', **options)


def log_of(folder):
    return (folder / 'log.csv').read_text()


def stop_at(step):
    def report(reached, _figures):
        if reached == step:
            raise KeyError('power cut')

    return report


def test_one_seed_gives_one_run_and_another_seed_another(tmp_path):
    a, b = (train(tmp_path / name) for name in 'ab')
    c = train(tmp_path / 'c', seed=4)
    assert log_of(tmp_path / 'a') == log_of(tmp_path / 'b')
    assert a.read_bytes() == b.read_bytes()
    assert log_of(tmp_path / 'a') != log_of(tmp_path / 'c')
    assert a.read_bytes() != c.read_bytes()


def test_worker_processes_change_nothing(tmp_path):
    # in a process of its own: one that ran nodes and engines has threads, which do not bear forks
    script = (
        f'import pathlib, runpy; train = runpy.run_path({__file__!r})["train"]\n'
        f'for n in (0, 2): train(pathlib.Path({str(tmp_path)!r}) / str(n), steps=2, workers=n)'
    )
    subprocess.run([sys.executable, '-c', script], check=True)
    a, b = (next((tmp_path / str(n)).glob('*.safetensors')) for n in (0, 2))
    assert a.read_bytes() == b.read_bytes()


def test_a_run_leaves_configuration_tables_pictures_and_weights(tmp_path):
    weights = train(tmp_path, validate_every=2, picture_every=3, log_every=2)
    saved = yaml.safe_load((tmp_path / 'run.yaml').read_text())
    assert saved['recipe'] == 'Toy'
    assert saved['run']['seed'] == 3
    assert [row['step'] for row in read_table(tmp_path / 'log.csv')] == [2, 4, 6]
    assert [row['step'] for row in read_table(tmp_path / 'validation.csv')] == [2, 4, 6]
    pictures = sorted(path.name for path in (tmp_path / 'pictures').iterdir())
    assert pictures == ['0000003_grey.png', '0000006_grey.png']
    assert load_network('flownet_s', weights).config == Toy().network().config


HARD = {'accumulate': 2, 'average': 0.9, 'log_every': 3, 'schedule': 'cosine', 'validate_every': 2}


@pytest.mark.parametrize('stop', [3, 6])
def test_a_crashed_run_goes_on_as_if_nothing_had_happened(tmp_path, stop):
    toy = Toy(batch_norm=True)
    whole = train(tmp_path / 'whole', toy, **HARD, steps=8)
    with pytest.raises(KeyError):
        train(tmp_path / 'cut', toy, **HARD, steps=8, checkpoint_minutes=0, report=stop_at(stop))
    assert not (tmp_path / 'cut' / whole.name).exists()
    cut = train(tmp_path / 'cut', toy, **HARD, steps=8, resume=True)
    for table in ('log.csv', 'validation.csv'):
        assert (tmp_path / 'cut' / table).read_text() == (tmp_path / 'whole' / table).read_text()
    assert load_all(cut).equal(load_all(whole))


def load_all(path):
    return torch.cat([v.flatten().float() for v in load_network('', path).state_dict().values()])


@pytest.mark.parametrize('kind', [signal.SIGTERM, signal.SIGINT])
def test_a_request_to_stop_is_met_after_the_step(tmp_path, kind):
    whole = train(tmp_path / 'whole')

    def ask(step, _figures):
        if step == 2:
            os.kill(os.getpid(), kind)

    before = signal.getsignal(kind)
    with pytest.raises(Interrupted, match='stopped after step 2 of 6'):
        train(tmp_path / 'cut', report=ask)
    assert signal.getsignal(kind) is before
    cut = train(tmp_path / 'cut', resume=True)
    assert cut.read_bytes() == whole.read_bytes()
    assert log_of(tmp_path / 'cut') == log_of(tmp_path / 'whole')


def test_a_run_that_is_through_is_only_exported_again(tmp_path):
    weights = train(tmp_path)
    wanted, log = weights.read_bytes(), log_of(tmp_path)
    weights.unlink()
    assert train(tmp_path, resume=True).read_bytes() == wanted
    assert log_of(tmp_path) == log


def test_a_mistake_leaves_no_run_behind(tmp_path, monkeypatch):
    def fails(*_):
        raise TrainError('no photos')

    for method in ('samples', 'network'):
        with monkeypatch.context() as patch:
            patch.setattr(Toy, method, fails)
            with pytest.raises(TrainError, match='no photos'):
                train(tmp_path / 'run', steps=1)
    assert train(tmp_path / 'run', steps=1).exists()


def test_resume_without_a_run_begins_one(tmp_path):
    assert train(tmp_path / 'new', steps=1, resume=True).exists()


def test_a_folder_with_a_run_is_not_overwritten(tmp_path):
    train(tmp_path, steps=1)
    with pytest.raises(TrainError, match='holds a run: --resume goes on with it'):
        train(tmp_path, steps=1)


def test_another_run_is_refused_with_what_differs(tmp_path):
    train(tmp_path, steps=2)
    with pytest.raises(TrainError) as caught:
        train(tmp_path, Toy(scale=2.0), steps=2, learning_rate=2e-3, resume=True)
    assert 'scale was 1.0 and is now 2.0' in str(caught.value)
    assert 'run.learning_rate was 0.001 and is now 0.002' in str(caught.value)
    assert 'seed' not in str(caught.value)


def test_what_does_not_change_the_weights_may_change(tmp_path):
    train(tmp_path, steps=1)
    changed = {'workers': 1, 'checkpoint_minutes': 1.0, 'validate_every': 1, 'picture_every': 1}
    assert train(tmp_path, steps=1, **changed, resume=True).exists()


def test_a_checkpoint_cut_short_never_takes_the_place_of_a_good_one(tmp_path, monkeypatch):
    whole = train(tmp_path / 'whole')
    folder, save = tmp_path / 'cut', torch.save
    calls = []

    def failing(content, file):
        calls.append(content['step'])
        if len(calls) == 3:
            file.write(b'PK\x03\x04 half a file')
            file.flush()
            raise OSError(28, 'No space left on device')
        save(content, file)

    monkeypatch.setattr(engine.torch, 'save', failing)
    with pytest.raises(OSError, match='No space left'):
        train(folder, checkpoint_minutes=0)
    monkeypatch.undo()
    assert torch.load(folder / 'checkpoint.pt', weights_only=True)['step'] == 2
    assert train(folder, resume=True).read_bytes() == whole.read_bytes()


def test_a_damaged_checkpoint_is_named(tmp_path):
    train(tmp_path, steps=1)
    file = tmp_path / 'checkpoint.pt'
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(TrainError, match=r'checkpoint\.pt cannot be read'):
        train(tmp_path, steps=1, resume=True)


def test_accumulated_batches_are_one_large_batch(tmp_path):
    with gradients() as parts:
        train(tmp_path / 'parts', steps=3, batch=4, accumulate=2)
    with gradients() as whole:
        train(tmp_path / 'whole', steps=3, batch=8)
    scale = float(whole[0].abs().max())
    assert torch.allclose(parts[0], whole[0], atol=1e-5 * scale, rtol=0)
    rows = [read_table(tmp_path / name / 'log.csv') for name in ('parts', 'whole')]
    for part, all_ in zip(*rows, strict=True):
        assert part['loss'] == pytest.approx(all_['loss'], rel=1e-5)


def test_gradients_are_clipped_to_the_norm_asked_for_and_not_turned(tmp_path):
    with gradients() as free:
        train(tmp_path / 'free', steps=1)
    norm = float(free[0].norm())
    with gradients() as clipped:
        train(tmp_path / 'clipped', steps=1, clip_norm=norm / 10)
    assert torch.allclose(clipped[0], free[0] / 10, rtol=1e-3, atol=1e-6 * norm)
    with gradients() as loose:
        train(tmp_path / 'loose', steps=1, clip_norm=norm * 10)
    assert torch.equal(loose[0], free[0])


def test_weights_decay_and_biases_do_not(tmp_path):
    groups = []

    def note(optimiser, *_):
        groups.extend((g['weight_decay'], {p.ndim for p in g['params']})
                      for g in optimiser.param_groups)  # fmt: skip

    handle = register_optimizer_step_pre_hook(note)
    train(tmp_path, steps=1, weight_decay=0.25)
    handle.remove()
    assert groups == [(0.25, {4}), (0.0, {1})]


def test_the_running_average_is_what_is_exported(tmp_path):
    seen = []

    def note(optimiser, *_):
        seen.append([p.detach().clone() for g in optimiser.param_groups for p in g['params']])

    handle = register_optimizer_step_post_hook(note)
    weights = train(tmp_path, steps=4, average=0.75)
    handle.remove()
    wanted = seen[0]
    for after in seen[1:]:
        wanted = [0.75 * w + 0.25 * a for w, a in zip(wanted, after, strict=True)]
    parameters = list(load_network('', weights).parameters())
    ours = [p for p in parameters if p.ndim > 1] + [p for p in parameters if p.ndim <= 1]
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(ours, wanted, strict=True))


def test_mixed_precision_computes_in_bfloat16_and_learns_in_float32(tmp_path):
    kinds = set()

    class Watched(Toy):
        def network(self):
            network = super().network()
            network.conv2.register_forward_hook(
                lambda layer, _given, made: kinds.add(made.dtype) if layer.training else None
            )
            return network

    with gradients() as seen:
        train(tmp_path, Watched(), steps=3, precision='bf16-mixed')
    assert kinds == {torch.bfloat16}
    assert seen[0].dtype == torch.float32
    assert all(np.isfinite(row['loss']) for row in read_table(tmp_path / 'log.csv'))


def test_a_loss_that_is_not_finite_ends_the_run_with_advice(tmp_path):
    with pytest.raises(TrainError, match=r'loss is (inf|nan) at step 0: lower the learning rate'):
        train(tmp_path, Toy(scale=float('inf')))


def test_few_distinct_samples_come_again(tmp_path, monkeypatch):
    asked = []

    class Noted(Toy.Samples):
        def __getitem__(self, index):
            asked.append(index)
            return super().__getitem__(index)

    monkeypatch.setattr(Toy, 'Samples', Noted)
    train(tmp_path, steps=4, distinct=3)
    assert asked[:8] == [0, 1, 2, 0, 1, 2, 0, 1]  # then comes the validation's


def test_each_process_takes_its_own_samples_and_together_they_take_all():
    run = replace(RUN, steps=4, batch=3, accumulate=2)
    taken = [list(engine._Numbers(1, run, rank, 2)) for rank in (0, 1)]
    assert [len(t) for t in taken] == [6, 6]
    first, second = ({n for batch in t for n in batch} for t in taken)
    assert not first & second
    assert first | second == set(range(12, 48))


def test_a_checkpoint_is_exported_before_the_run_is_through(tmp_path):
    with pytest.raises(KeyError):
        train(tmp_path / 'run', checkpoint_minutes=0, report=stop_at(4))
    path = export_checkpoint(Toy(), RUN, tmp_path / 'run', tmp_path / 'early.safetensors')
    assert load_network('flownet_s', path).config == Toy().network().config
    with pytest.raises(TrainError, match='no checkpoint'):
        export_checkpoint(Toy(), RUN, tmp_path, path)


def test_rates_by_hand():
    rise = RunConfig(steps=10, learning_rate=8.0, warmup_steps=4)
    assert [learning_rate(rise, s) for s in range(6)] == [2, 4, 6, 8, 8, 8]
    fall = replace(rise, schedule='cosine', steps=8)
    assert learning_rate(fall, 4) == 8
    assert learning_rate(fall, 6) == pytest.approx(4)
    halved = RunConfig(steps=10, learning_rate=8.0, schedule='halve', milestones=(3, 5))
    assert [learning_rate(halved, s) for s in range(7)] == [8, 8, 8, 4, 4, 2, 2]


@given(
    steps=st.integers(1, 50),
    warmup=st.integers(0, 60),
    schedule=st.sampled_from(['constant', 'cosine', 'halve']),
)
def test_rates_are_positive_and_at_most_the_peak(steps, warmup, schedule):
    run = RunConfig(
        steps=steps, warmup_steps=warmup, schedule=schedule, learning_rate=2.0, milestones=(5,)
    )
    rates = [learning_rate(run, s) for s in range(steps)]
    assert all(0 < rate <= 2 for rate in rates)


@pytest.mark.parametrize(
    ('wrong', 'said'),
    [
        ({'steps': 0}, 'steps, batch, accumulate and log_every >= 1'),
        ({'learning_rate': 0.0}, 'learning_rate > 0'),
        ({'average': 1.0}, r'average in \[0, 1\)'),
    ],
)
def test_a_run_that_cannot_be_is_refused(wrong, said):
    with pytest.raises(TrainError, match=said):
        replace(RUN, **wrong)


@pytest.mark.parametrize('devices', [0, -1])
def test_no_device_is_refused(tmp_path, devices):
    with pytest.raises(TrainError, match='devices and nodes must be at least 1'):
        fit(Toy(), RUN, tmp_path, devices=devices, accelerator='cpu')


@pytest.mark.skipif(torch.cuda.is_available(), reason='there is a GPU')
def test_a_gpu_that_is_not_there_is_refused_in_words(tmp_path):
    with pytest.raises(TrainError, match="'cuda' cannot be had"):
        fit(Toy(), RUN, tmp_path, accelerator='cuda')
    assert not Path(tmp_path / 'run.yaml').exists()


@pytest.mark.parametrize('found', ['32-true', 'bf16-mixed'])
def test_a_precision_that_is_left_open_is_settled_once(tmp_path, monkeypatch, found):
    from dlcv.training import precision

    def machine(kind):
        monkeypatch.setattr(precision, 'has_bfloat16', lambda _kind: kind == 'bf16-mixed')
        monkeypatch.setattr(precision, 'is_faster', lambda _kind: True)

    machine(found)
    named = train(tmp_path / 'named', precision=found)
    with pytest.raises(KeyError):
        train(tmp_path / 'open', precision='auto', checkpoint_minutes=0, report=stop_at(3))
    saved = yaml.safe_load((tmp_path / 'open' / 'run.yaml').read_text())
    assert saved['run']['precision'] == found
    machine('32-true' if found == 'bf16-mixed' else 'bf16-mixed')  # another machine goes on
    opened = train(tmp_path / 'open', precision='auto', resume=True)
    assert load_all(opened).equal(load_all(named))
