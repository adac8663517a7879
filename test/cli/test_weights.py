"""``dlcv weights``: what it prints, what it writes, and its exit codes."""

from __future__ import annotations

import json

import pytest
import torch

from dlcv.cli.main import main
from dlcv.networks.flownet import FlowNetConfig
from dlcv.networks.registry import build
from dlcv.networks.superpoint import SuperPointConfig
from dlcv.networks.weights import (
    PARTS,
    SHIPPED_CONFIGS,
    describe,
    load_network,
    save_network,
    shipped,
)

SUPERPOINT = SuperPointConfig(variant='vgg_bn', width=1 / 16)
FLOWNET = FlowNetConfig(width=1 / 32, batch_norm=True)


@pytest.fixture
def ours(tmp_path):
    return save_network(build(SUPERPOINT), tmp_path / 'ours.safetensors', trained=False)


@pytest.fixture
def public(tmp_path):
    """A FlowNet of the PyTorch port, with a note that tries to colour the terminal."""
    path = tmp_path / 'flownets.pth.tar'
    torch.save({'arch': 'flownets\x1b[31m', 'state_dict': build(FLOWNET).state_dict()}, path)
    return path


@pytest.fixture
def call(capsys):
    """Run the command line and return its exit code, output and error text."""

    def run(*args):
        code = main(['weights', *map(str, args)])
        out, err = capsys.readouterr()
        return code, out, err

    return run


def test_info_prints_a_line_for_each_fact(call, public):
    code, out, _ = call('info', public)
    lines = dict(line.split(': ', 1) for line in out.splitlines())
    assert code == 0
    assert lines['network'] == 'flownet'
    assert lines['family'] == 'flownet-port'
    assert 'variant=s batch_norm=True' in lines['config']
    assert lines['sha256'] == describe(public).sha256
    assert lines['arch'] == 'flownets?[31m'


def test_info_tells_a_program_the_same(call, ours):
    code, out, _ = call('info', ours, '--json')
    told = json.loads(out)
    assert code == 0
    assert (told['network'], told['family'], told['trained']) == ('superpoint', 'dlcv', False)
    assert told['config']['width'] == 1 / 16
    assert told['parameters'] == sum(p.numel() for p in build(SUPERPOINT).parameters())


def test_info_draws_a_table_on_a_terminal(call, public, monkeypatch):
    monkeypatch.setattr('sys.stdout.isatty', lambda: True)
    monkeypatch.setenv('COLUMNS', '60')
    code, out, _ = call('info', public)
    assert code == 0
    assert '\x1b[31m' not in out
    digest = ''.join(line.split('│')[2].strip() for line in out.splitlines() if '│' in line)
    assert describe(public).sha256 in digest  # folded, not cut


def test_import_writes_our_format(call, public, tmp_path):
    out_path = tmp_path / 'new.safetensors'
    code, out, _ = call('import', public, '-o', out_path, '--name', 'flownet_s')
    assert code == 0
    assert 'flownet from flownet-port' in out
    assert 'differ by 0' in out
    found = describe(out_path)
    assert (found.family, found.dtype, found.trained) == ('dlcv', 'float32', True)
    assert describe(public).sha256 in found.metadata['source']
    pair = torch.rand(2, 1, 3, 64, 64)
    ours, theirs = (load_network('flownet', p).flow(*pair) for p in (out_path, public))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_import_can_halve_license_and_configure(call, public, tmp_path):
    out_path = tmp_path / 'new.safetensors'
    options = ('--option', 'mean=[0.1, 0.2, 0.3]', '--option', 'channel_order=bgr')
    code, _, _ = call('import', public, '-o', out_path, '--half', '--licence', 'MIT', *options)
    found = describe(out_path)
    assert code == 0
    assert (found.dtype, found.licence) == ('float16', 'MIT')
    assert (found.config.mean, found.config.channel_order) == ((0.1, 0.2, 0.3), 'bgr')


def test_import_keeps_nothing_that_gives_other_outputs(call, public, tmp_path, monkeypatch):
    out_path = tmp_path / 'new.safetensors'
    out_path.write_bytes(b'what was there before')
    monkeypatch.setattr('dlcv.networks.weights.check.difference', lambda *_: 0.5)
    code, _, err = call('import', public, '-o', out_path)
    assert code == 1
    assert 'outputs differ by 0.5 once stored; not kept' in err
    assert out_path.read_bytes() == b'what was there before'
    assert sorted(p.name for p in tmp_path.iterdir()) == [public.name, out_path.name]


def test_verify_runs_the_network(call, ours, public):
    for path in (ours, public):
        code, out, _ = call('verify', path, '--parity', '--sha256', describe(path).sha256)
        assert code == 0
        assert out.startswith(f'OK {path}: ')
    assert 'outputs (1, 2, 128, 128) are finite' in out


def test_verify_tells_when_the_network_overflows(call, tmp_path):
    network = build(SUPERPOINT)
    with torch.no_grad():
        for layer in ('1a', '1b', '2a', '2b'):
            network.get_submodule(f'conv{layer}').weight.fill_(1e30)
    code, out, err = call('verify', save_network(network, tmp_path / 'net.safetensors'))
    assert (code, out) == (1, '')
    assert 'output 0 (1, 65, 16, 16) of the network is not finite' in err


def test_verify_tells_when_the_prepared_network_differs(call, ours, monkeypatch):
    monkeypatch.setattr('dlcv.networks.layers.folding.optimise', lambda _: build(SUPERPOINT))
    code, _, err = call('verify', ours, '--parity')
    assert code == 1
    assert 'prepared for inference, outputs differ by' in err


@pytest.mark.parametrize('action', ['info', 'verify'])
def test_a_file_that_is_refused_is_exit_1_and_one_line(call, tmp_path, action):
    path = tmp_path / 'net.pth'
    path.write_bytes(b'\x80\x02cos\nmkdir\nX\x01\x00\x00\x00a\x85R.')
    code, out, err = call(action, path)
    assert (code, out) == (1, '')
    assert 'asks to call os.mkdir' in err
    assert err.count('\n') == 1


@pytest.mark.parametrize(
    ('args', 'message'),
    [
        (('info', 'nowhere.pth'), 'there is no weight file nowhere.pth'),
        (('import', '{public}', '-o', 'x.safetensors', '--name', 'dsac'), 'holds flownet weights'),
        (('import', '{public}', '-o', 'x.safetensors', '--option', 'a=1'), "no option 'a'"),
        (('verify', '{public}', '--sha256', '0' * 64), 'wanted 0000'),
    ],
)
def test_what_is_wrong_with_the_file_is_exit_1(call, public, args, message):
    code, _, err = call(*(arg.format(public=public) for arg in args))
    assert code == 1
    assert message in err


@pytest.mark.parametrize(
    ('args', 'message'),
    [
        (('import', 'x.pth', '-o', 'x.pth'), r"named .safetensors, not 'x.pth'"),
        (('verify', 'x.pth', '--option', 'width'), "--option wants KEY=VALUE, got 'width'"),
    ],
)
def test_a_wrong_command_line_is_exit_2(call, args, message):
    code, _, err = call(*args)
    assert code == 2
    assert message in err


@pytest.mark.parametrize('args', [(), ('import', 'x'), ('info', 'x', '--name', 'y'), ('show', 'x')])
def test_argparse_answers_with_exit_2(args):
    with pytest.raises(SystemExit) as left:
        main(['weights', *args])
    assert left.value.code == 2


# Names of shipped weights


def test_names_of_shipped_weights_are_listed(call):
    code, out, err = call('list')
    assert (code, err) == (0, '')
    lines = dict(line.split(': ', 1) for line in out.splitlines())
    assert set(lines) == {*SHIPPED_CONFIGS, *PARTS}
    code, out, _ = call('list', '--json')
    for name, weights in json.loads(out).items():
        assert str(shipped(name)) == weights['path']
        assert weights['path'] in lines[name]


@pytest.mark.parametrize('name', [name for name in SHIPPED_CONFIGS if shipped(name)])
def test_a_name_of_shipped_weights_is_described(call, name):
    code, out, _ = call('info', name)
    assert code == 0
    assert f'file: {shipped(name)} ' in out


def test_a_file_goes_before_a_name_and_other_words_are_answered(call, ours, monkeypatch):
    monkeypatch.chdir(ours.parent)
    ours.rename('superpoint')
    assert 'file: superpoint (' in call('info', 'superpoint')[1]
    code, _, err = call('info', 'superglue')
    assert code == 1
    assert 'there is no weight file superglue, and the names of shipped weights are superp' in err
