"""`dlcv train`: every recipe learns something, killed runs go on, what is refused is explained."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress

import numpy as np
import pytest
import yaml

from dlcv.cli.main import main
from dlcv.estimation.load import load_flow
from dlcv.networks.weights import load_network, shipped
from dlcv.training.configuration import build, read, recipe_file, shipped_recipes
from dlcv.training.log import read_table
from dlcv.training.recipes import RECIPES
from dlcv.types import Frame

pytest.importorskip('lightning_fabric', reason='lightning-fabric is not installed')

ONE_OF_EACH = (  # others vary these
    'magicpoint', 'superpoint', 'flownet_s', 'flownet_c', 'unflow', 'monodepth', 'sfmlearner',
    'deepvo', 'ace_encoder', 'deep_fundamental', 'netvlad', 'dispnet', 'segmentation',
    'localization', 'caption', 'lift',
)  # fmt: skip

FURTHER = ('deepvo_still', 'flownet_s_long', 'flownet_c_long', 'superpoint_wide')

TINY = {
    'flownet': {'width': 1 / 32, 'batch_norm': False},
    'scenes': {'height': 64, 'width': 64, 'objects': [1, 2]},
    'changes': {'crop': [64, 64]},
    'validation': {'height': 64, 'width': 64},
    'validation_pairs': 2,
    'run': {
        'steps': 6,
        'batch': 2,
        'learning_rate': 1e-3,
        'warmup_steps': 0,
        'schedule': 'constant',
        'validate_every': 0,
        'picture_every': 0,
        'log_every': 1,
        'half': False,
    },
}


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    yield
    torch.set_num_threads(before)


@pytest.fixture
def tiny(tmp_path):
    path = tmp_path / 'tiny.yaml'
    path.write_text(yaml.safe_dump(TINY))
    return path


def arguments(config, output, *more):
    return ['train', 'flownet_s', '--config', str(config), '--output', str(output),
            '--threads', '1', '--accelerator', 'cpu', *more]  # fmt: skip


@contextmanager
def started(arguments):
    """Run the command beside this test; nothing of it is left when the test ends."""
    command = [sys.executable, '-m', 'dlcv', *arguments]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    with process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def weights_of(folder):
    return (folder / 'flownet_s.safetensors').read_bytes()


def _costly(name):
    """Leave those that take ten seconds and more to the nightly run."""
    costly = name in ('deepvo', 'sfmlearner', 'monodepth', 'netvlad', 'dispnet')
    return pytest.param(name, marks=pytest.mark.slow) if costly else name


@pytest.mark.parametrize('name', shipped_recipes())
def test_each_recipe_file_is_a_recipe_and_its_run(name):
    recipe, run = build(read(recipe_file(name)), name)
    assert type(recipe).__name__ in RECIPES
    assert run.steps >= 100


@pytest.mark.parametrize('name', FURTHER)
def test_further_training_starts_from_the_shipped_weights(name):
    recipe, run = build(read(recipe_file(name)), name)
    before = load_network(recipe.name, shipped(recipe.name)).state_dict()
    begun = recipe.network().state_dict()
    assert set(begun) == set(before)
    assert all(value.equal(before[key]) for key, value in begun.items())
    assert run.precision == 'auto'


@pytest.mark.parametrize('name', [_costly(name) for name in ONE_OF_EACH])
def test_each_recipe_learns_something_that_its_estimator_loads(name, capfd):
    assert main(['train', name, '--smoke']) == 0
    said = capfd.readouterr().out
    assert said.startswith(f'{name}: loss ')
    assert said.endswith('the exported weights load\n')


def test_recipes_are_listed_with_what_they_cost(capsys):
    assert main(['train', '--list']) == 0
    said = capsys.readouterr().out
    assert [line.split()[0] for line in said.splitlines()] == shipped_recipes()
    assert all(' steps of ' in line for line in said.splitlines())


@pytest.mark.slow
def test_a_killed_run_goes_on_as_if_nothing_had_happened(tiny, tmp_path):
    more = (
        '--set',
        'run.steps=40',
        '--set',
        'run.checkpoint_minutes=0',
        '--set',
        'run.average=0.9',
    )
    whole, cut = tmp_path / 'whole', tmp_path / 'cut'
    assert main(arguments(tiny, whole, *more)) == 0
    log = cut / 'log.csv'
    with started(arguments(tiny, cut, *more)) as process:
        while process.poll() is None and (not log.exists() or log.read_text().count('\n') < 6):
            time.sleep(0.005)
        assert process.poll() is None, process.stderr.read()
    assert 4 < len(read_table(log)) < 40
    assert main(arguments(tiny, cut, *more, '--resume')) == 0
    assert log.read_text() == (whole / 'log.csv').read_text()
    assert weights_of(cut) == weights_of(whole)


@pytest.mark.slow
def test_two_processes_are_one_with_twice_the_batch(tiny, tmp_path):
    one, two = tmp_path / 'one', tmp_path / 'two'
    exact = ('--set', 'run.precision=32-true', '--set', 'run.steps=3')
    assert main(arguments(tiny, one, *exact, '--set', 'run.batch=4')) == 0
    with started(arguments(tiny, two, *exact, '--devices', '2')) as process:
        said = process.communicate()[1]
        assert process.returncode == 0, said
    rows = [read_table(folder / 'log.csv') for folder in (one, two)]
    assert [row['step'] for row in rows[1]] == [1, 2, 3]
    for together, split in zip(*rows, strict=True):
        assert split['loss'] == pytest.approx(together['loss'], rel=1e-4)
    load_network('flownet_s', two / 'flownet_s.safetensors')


def test_a_folder_with_a_run_is_refused_by_all_processes_at_once(tiny, tmp_path, capsys):
    assert main(arguments(tiny, tmp_path / 'run', '--set', 'run.steps=1')) == 0
    again = arguments(tiny, tmp_path / 'run', '--set', 'run.steps=1', '--devices', '2')
    assert main(again) == 2
    assert '--resume goes on with it' in capsys.readouterr().err


def test_resuming_another_run_says_what_differs(tiny, tmp_path, capsys):
    assert main(arguments(tiny, tmp_path / 'run', '--set', 'run.steps=1')) == 0
    other = ('--set', 'run.steps=1', '--set', 'run.seed=5', '--resume')
    assert main(arguments(tiny, tmp_path / 'run', *other)) == 2
    assert 'run.seed was 1 and is now 5' in capsys.readouterr().err


def test_an_interrupted_run_says_how_to_go_on_and_can_be_shipped(
    tiny, tmp_path, capsys, monkeypatch
):
    from dlcv.training import log

    add = log.Table.add

    def stop_at_3(table, step, figures):
        add(table, step, figures)
        if step == 3:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(log.Table, 'add', stop_at_3)
    assert main(arguments(tiny, tmp_path / 'run')) == 130
    assert 'stopped after step 3 of 6; go on with --resume' in capsys.readouterr().err
    export = tmp_path / 'early.safetensors'
    assert main(arguments(tiny, tmp_path / 'run', '--export', str(export))) == 0
    estimator = load_flow(export, device='cpu')
    frames = [Frame(stamp_ns=i, image=np.zeros((48, 64, 3), np.uint8)) for i in (1, 2)]
    assert estimator.push(frames[0]) is None
    field = estimator.push(frames[1])
    assert field is not None
    assert field.flow.shape == (48, 64, 2)
    assert np.isfinite(field.flow).all()


@pytest.mark.parametrize(
    ('wrong', 'said'),
    [
        (['train'], 'which recipe?'),
        (['train', 'flownet_x'], "no recipe 'flownet_x'; there are ace_encoder"),
        (['train', 'flownet_s', '--set', 'run.step=3'], "unknown key 'step'; known are"),
        (['train', 'flownet_s', '--set', 'run.steps'], 'expected KEY=VALUE'),
        (['train', 'flownet_s', '--set', 'run.steps=many'], "expected int, got 'many'"),
        (['train', 'flownet_s', '--set', 'recipe=Nothing'], "no recipe 'Nothing'; there are"),
        (['train', 'flownet_s', '--set', 'run.batch=0'], 'batch'),
        (['train', 'flownet_s', '--data', 'photos'], 'expected KEY=DIR'),
        (['train', 'flownet_s', '--data', 'videos=/tmp'], "unknown key 'videos'; known are"),
        (['train', 'flownet_s', '--data', 'photos=/nowhere'], '/nowhere, which is not a folder'),
        (['train', 'flownet_s', '--config', '/nowhere.yaml'], '/nowhere.yaml: No such file'),
        (['train', 'flownet_s', '--devices', '0'], 'at least 1, got 0'),
    ],
)
def test_what_cannot_be_is_answered_with_what_there_is(wrong, said, tmp_path, capsys):
    output = ['--output', str(tmp_path / 'run')] if len(wrong) > 1 else []
    assert main([*wrong, *output]) == 2
    assert said in capsys.readouterr().err
