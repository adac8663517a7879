"""Engines: what is there, that all compute alike, and what happens where one does not."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dlcv.engines import (
    TORCH,
    Choice,
    EngineError,
    Part,
    Ranges,
    Runner,
    building,
    cache,
    catalogue,
    choice,
    choose,
)
from dlcv.engines.quantised import Quantised, measure
from dlcv.networks.deepvo import DeepVO, DeepVOConfig, codes
from dlcv.networks.dispnet import DispNet, DispNetConfig
from dlcv.networks.dsac import DsacConfig, SceneCoordinateNet
from dlcv.networks.flownet import FlowNet, FlowNetConfig, finest_flow
from dlcv.networks.layers.folding import optimise
from dlcv.networks.monodepth import Monodepth, MonodepthConfig, finest_disparity
from dlcv.networks.superpoint import SuperPoint, SuperPointConfig

PARTS = {
    'superpoint': lambda: (
        Part(SuperPoint(SuperPointConfig(width=0.125))), ((1, 1, 32, 48),)
    ),
    'flownet_s': lambda: (
        Part(FlowNet(FlowNetConfig(width=0.0625, batch_norm=True)), finest_flow),
        ((2, 3, 64, 80), (2, 3, 64, 80)),
    ),
    'flownet_c': lambda: (
        Part(FlowNet(FlowNetConfig(variant='c', width=0.0625, max_displacement=4)), finest_flow),
        ((1, 3, 64, 80), (1, 3, 64, 80)),
    ),
    'monodepth': lambda: (
        Part(Monodepth(MonodepthConfig(width=0.0625, input_size=(128, 128))), finest_disparity),
        ((2, 3, 128, 128),),
    ),
    'dispnet': lambda: (
        Part(DispNet(DispNetConfig(width=0.0625, max_disparity=32, spread=True, refines=True))),
        ((2, 3, 64, 128), (2, 3, 64, 128)),
    ),
    'deepvo': lambda: (
        Part(DeepVO(DeepVOConfig(input_size=(64, 96), width=0.0625, memory=8)), codes),
        ((1, 2, 3, 64, 96),),
    ),
    'dsac': lambda: (
        Part(SceneCoordinateNet(DsacConfig(variant='ace', width=0.0625))),
        ((1, 1, 48, 64),),
    ),
}  # fmt: skip


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv('DLCV_CACHE', str(tmp_path / 'cache'))


@pytest.fixture(params=PARTS)
def part(request):
    torch.manual_seed(0)
    made, shapes = PARTS[request.param]()
    return Part(optimise(made.network), made.compute), shapes


def needs(engine):
    for library in catalogue.NEEDS[engine]:
        pytest.importorskip(library)


@pytest.mark.parametrize('engine', ['openvino', 'onnxruntime'])
def test_an_engine_computes_what_pytorch_does(part, engine):
    needs(engine)
    network, shapes = part
    wanted = Choice(engine=engine, precision='fp32')
    runner, plain = Runner(network, wanted), Runner(network)
    inputs = tuple(torch.rand(shape) for shape in shapes)
    with torch.inference_mode():
        expected, found = plain(*inputs), runner(*inputs)
    assert runner.choice is wanted
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize('engine', ['openvino', 'onnxruntime'])
@pytest.mark.parametrize('name', ['superpoint', 'flownet_s'])
def test_8_bits_are_the_same_in_every_engine(name, engine):
    needs(engine)
    torch.manual_seed(0)
    network, shapes = PARTS[name]()
    network = Part(optimise(network.network), network.compute)
    inputs = tuple(torch.rand(shape) for shape in shapes)
    with torch.no_grad():
        ranges = measure(network, [inputs])
        expected = building.flat(Quantised(network, ranges)(*inputs))
        exact = building.flat(network(*inputs))
        runner = Runner(
            network, Choice(engine=engine, precision='int8', ranges=ranges, tolerance=0.5)
        )
        found = runner(*inputs)
    assert runner.choice.engine == engine
    for a, b, c in zip(found, expected, exact, strict=True):
        assert building.deviation(a, b) < 0.1
        assert 1e-4 < building.deviation(a, c) < 0.3


def test_8_bits_are_computed_in_8_bits():
    needs('openvino')
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(16, 16, 3), nn.ReLU(), nn.Conv2d(16, 16, 3)).eval()
    x = torch.rand(1, 16, 16, 16)
    ranges = measure(network, [(x,)])
    wanted = Choice(engine='openvino', precision='int8', ranges=ranges, tolerance=0.1)
    engine = building.load(building.convert(network, (x,), wanted), wanted)
    steps = engine._request.get_compiled_model().get_runtime_model().get_ops()
    kinds = [step.get_rt_info() for step in steps]
    kept = [
        str(k['runtimePrecision'].value) for k in kinds if k['layerType'].value == 'Convolution'
    ]
    assert kept == ['u8', 'u8']


class _Wrong(nn.Module):
    """Another network when it is traced."""

    def forward(self, x):
        return x + torch.jit.is_tracing() * x.flip(-1)


def test_an_engine_that_computes_something_else_is_not_taken():
    needs('openvino')
    runner, said = Runner(_Wrong(), Choice(engine='openvino', precision='fp32')), []
    runner.say = said.append
    x = torch.rand(1, 1, 8, 8)
    assert torch.equal(runner(x)[0], x)
    assert runner.choice is TORCH
    assert 'PyTorch instead of openvino fp32' in said[0]
    assert 'of their spread, more than 0.001' in said[0]


def test_an_engine_comes_out_of_the_cache_and_is_looked_at_again(monkeypatch):
    needs('openvino')
    torch.manual_seed(0)
    network, shapes = PARTS['superpoint']()
    wanted = Choice(engine='openvino', precision='fp32')
    x = torch.rand(shapes[0])
    (first, _) = Runner(network.eval(), wanted)(x)
    built = []
    convert = building.convert
    monkeypatch.setattr(building, 'convert', lambda *a: built.append(a) or convert(*a))
    (again, _) = Runner(network, wanted)(x)
    assert not built
    assert torch.equal(first, again)
    (file,) = (cache.folder() / 'engines').iterdir()
    file.write_bytes(file.read_bytes()[:-100])  # cut short
    Runner(network, wanted)(x)
    assert len(built) == 1
    with torch.no_grad():
        network.network.conv1a.weight.mul_(1.5)
    Runner(network, wanted)(x)  # other weights, another engine
    assert len(built) == 2


def test_a_folder_that_cannot_be_written_is_no_hindrance(monkeypatch, tmp_path):
    needs('openvino')
    (tmp_path / 'file').touch()
    monkeypatch.setenv('DLCV_CACHE', str(tmp_path / 'file' / 'below'))
    wanted = Choice(engine='openvino', precision='fp32')
    runner = Runner(nn.Sequential(nn.Conv2d(1, 2, 3)).eval(), wanted)
    runner(torch.rand(1, 1, 8, 8))
    assert runner.choice is wanted


def test_the_cache_forgets_what_was_used_longest_ago(monkeypatch):
    monkeypatch.setattr(cache, 'MAX_BYTES', 3000)
    for name in 'abc':
        cache.write_engine(name, bytes(1000), {})
    assert cache.read_engine('a') is None
    assert cache.read_engine('c') == (bytes(1000), {})


def test_an_engine_that_is_not_installed_is_named_with_what_there_is(monkeypatch):
    monkeypatch.setattr(catalogue, 'find_spec', lambda name: name if name == 'torch' else None)
    with pytest.raises(EngineError, match=r"'openvino' is not installed.*installed are torch$"):
        choose('openvino', 'auto', device='cpu')
    assert str(choose('auto', 'auto', device='cpu')) == 'torch fp32'


RANGES = Ranges(values=torch.zeros(1, 2), tolerance=0.2)
SPEEDS = {
    ('torch', 'fp32'): 9.0, ('openvino', 'fp32'): 6.0, ('openvino', 'int8'): 2.0,
    ('openvino', 'bf16'): 2.5, ('onnxruntime', 'fp32'): 5.0, ('onnxruntime', 'int8'): 3.0,
}  # fmt: skip


@pytest.mark.parametrize(
    ('engine', 'precision', 'ranges', 'expected'),
    [
        ('auto', 'int8', RANGES, 'openvino int8'),
        ('auto', 'auto', None, 'onnxruntime fp32'),
        ('auto', 'fp32', RANGES, 'onnxruntime fp32'),
        ('auto', 'bf16', None, 'openvino bf16'),
        ('torch', 'auto', RANGES, 'torch fp32'),
        ('openvino', 'auto', RANGES, 'openvino fp32'),
        ('openvino', 'fp32', RANGES, 'openvino fp32'),
        ('onnxruntime', 'int8', RANGES, 'onnxruntime int8'),
    ],
)
def test_the_fastest_that_is_asked_for_is_taken(engine, precision, ranges, expected, monkeypatch):
    everything = ('torch', 'openvino', 'onnxruntime', 'tensorrt')
    monkeypatch.setattr(choice, 'installed', lambda: everything)
    monkeypatch.setattr(choice, 'require', lambda _: None)
    monkeypatch.setattr(
        choice, 'speeds', lambda asked: {e: s for (e, p), s in SPEEDS.items() if p == asked}
    )
    assert str(choose(engine, precision, device='cpu', ranges=ranges)) == expected


@pytest.mark.parametrize(
    ('proven', 'native', 'ranges', 'expected'),
    [
        ((), True, RANGES, 'onnxruntime fp32'),
        (('bf16', 'int8'), True, RANGES, 'openvino int8'),
        (('bf16', 'int8'), True, None, 'openvino bf16'),
        (('bf16', 'int8'), False, None, 'onnxruntime fp32'),
        (('bf16',), True, RANGES, 'openvino bf16'),
    ],
)
def test_auto_takes_what_is_proven_and_worth_it(proven, native, ranges, expected, monkeypatch):
    monkeypatch.setattr(choice, 'installed', lambda: ('torch', 'openvino', 'onnxruntime'))
    monkeypatch.setattr(choice, 'require', lambda _: None)
    monkeypatch.setattr(choice.host, 'has_bfloat16', lambda: native)
    monkeypatch.setattr(
        choice, 'speeds', lambda asked: {e: s for (e, p), s in SPEEDS.items() if p == asked}
    )
    made = choose('auto', 'auto', device='cpu', ranges=ranges, proven=proven)
    assert str(made) == expected
    assert str(choose('torch', 'auto', device='cpu', ranges=ranges, proven=proven)) == 'torch fp32'


def test_what_gains_next_to_nothing_is_not_rounded_for(monkeypatch):
    monkeypatch.setattr(choice, 'installed', lambda: ('torch', 'openvino'))
    monkeypatch.setattr(choice, 'require', lambda _: None)
    monkeypatch.setattr(choice.host, 'has_bfloat16', lambda: True)
    seconds = {'fp32': {'torch': 9.0, 'openvino': 5.0}, 'bf16': {'torch': 9.0, 'openvino': 4.8}}
    monkeypatch.setattr(choice, 'speeds', seconds.get)
    assert str(choose('auto', 'auto', device='cpu', proven=('bf16',))) == 'openvino fp32'


@pytest.mark.parametrize(
    ('engine', 'precision', 'device', 'why'),
    [
        ('fast', 'auto', 'cpu', "engine 'fast' is none of auto, torch, openvino"),
        ('torch', 'fp64', 'cpu', "precision 'fp64' is none of auto, fp32"),
        ('torch', 'fp16', 'cpu', "'fp16' needs a CUDA device; in PyTorch on the CPU"),
        ('torch', 'int8', 'cpu', 'needs the measured ranges .*dlcv weights optimize'),
        ('tensorrt', 'fp32', 'cpu', "engine 'tensorrt' does not run on cpu; there are torch, "),
        ('openvino', 'fp32', 'cuda', "engine 'openvino' does not run on cuda; there are torch, "),
    ],
)
def test_what_cannot_be_had_is_refused(engine, precision, device, why, monkeypatch):
    monkeypatch.setattr(catalogue, 'find_spec', lambda name: name)
    with pytest.raises(EngineError, match=why):
        choose(engine, precision, device=device)


def test_a_gpu_takes_pytorch_unless_another_engine_is_named(monkeypatch):
    monkeypatch.setattr(catalogue, 'find_spec', lambda name: name)
    assert str(choose('auto', 'auto', device='cuda', ranges=RANGES)) == 'torch fp32'
    assert str(choose('auto', 'fp16', device='cuda')) == 'torch fp16'
    assert str(choose('tensorrt', 'fp16', device='cuda')) == 'tensorrt fp16'
