"""A file that fits no family is answered with the nearest one and what differs."""

from __future__ import annotations

import pytest
import torch
from torch.overrides import TorchFunctionMode

from dlcv.networks.dsac import DsacConfig
from dlcv.networks.flownet import FlowNetConfig
from dlcv.networks.superpoint import SuperPointConfig
from dlcv.networks.weights import PARTS, SHIPPED_CONFIGS, WeightsError, load_network
from dlcv.networks.weights.recognise import blueprint, layout


@pytest.fixture
def refusal(tmp_path):
    """Save a state dict and return the message with which it is refused."""

    def ask(state, name='flownet'):
        torch.save(state, tmp_path / 'net.pth')
        with pytest.raises(WeightsError) as err:
            load_network(name, tmp_path / 'net.pth')
        return str(err.value)

    return ask


@pytest.fixture
def flownet(make):
    return make(FlowNetConfig(width=1 / 32)).state_dict()


def test_a_missing_key_is_named(refusal, flownet):
    del flownet['conv4_1.0.weight']
    message = refusal(flownet)
    assert 'nearest is flownet-port (PyTorch port of FlowNet) with 32 of 33 keys' in message
    assert message.endswith('missing: conv4_1.0.weight')


def test_an_unexpected_key_is_named(refusal, flownet):
    assert refusal(flownet | {'extra.weight': torch.zeros(1)}).endswith('unexpected: extra.weight')


def test_a_wrong_shape_is_told_with_the_right_one(refusal, flownet):
    flownet['predict_flow2.weight'] = torch.zeros(3, 9, 3, 3)
    wanted = layout(FlowNetConfig(width=1 / 32))['predict_flow2.weight']
    assert refusal(flownet).endswith(f'predict_flow2.weight (3, 9, 3, 3), wanted {wanted}')


def test_many_differences_are_counted(refusal, flownet):
    kept = {k: v for k, v in flownet.items() if 'deconv' not in k and 'upsampled' not in k}
    message = refusal(kept)
    assert 'missing: deconv5.0.weight, upsampled_flow6_to_5.weight' in message
    assert message.endswith('and 5 more')


def test_keys_are_told_as_the_file_spells_them(refusal):
    layer = {'weight': torch.zeros(4, 1, 3, 3), 'bias': torch.zeros(4)}
    message = refusal({f'backbone.0.0.conv.{k}': v for k, v in layer.items()}, 'superpoint')
    assert 'nearest is superpoint-v6' in message
    assert 'missing: backbone.0.0.bn.weight' in message


def test_tensors_of_nothing_known_are_listed(refusal):
    message = refusal({'layers.0.attention.weight': torch.zeros(2)})
    assert 'nothing like any known network' in message
    assert 'layers.0.attention.weight' in message
    assert 'superpoint-v1, superpoint-v6' in message


@pytest.mark.parametrize('shape', [(), (0,), (7,), (1 << 20, 6, 1, 1), (0, 6, 7, 7)])
def test_shapes_that_are_no_configuration_are_differences(refusal, flownet, shape):
    flownet['conv1.0.weight'] = torch.zeros(1).expand(shape) if shape else torch.zeros(())
    assert 'conv1.0.weight' in refusal(flownet)


def test_names_in_a_file_cannot_steer_the_terminal(refusal, flownet):
    message = refusal(flownet | {'evil\n\x1b[31m': torch.zeros(1)})
    assert message.endswith('unexpected: evil??[31m')


@pytest.mark.parametrize(
    ('config', 'asked'),
    [(SuperPointConfig(width=1 / 16), 'flownet'), (DsacConfig(width=1 / 8), 'deepvo')],
)
def test_weights_of_another_network_are_refused_by_name(make, refusal, config, asked):
    network = make(config)
    holds = 'superpoint' if isinstance(config, SuperPointConfig) else 'dsac'
    message = refusal(network.state_dict(), asked)
    assert f'holds {holds} weights (family {holds}-' in message
    assert message.endswith(f'not {asked}')


def test_a_layout_is_the_state_of_the_network_that_is_built(make):
    config = SuperPointConfig(variant='vgg_bn', width=1 / 16)
    state = make(config).state_dict()
    assert dict(layout(config)) == {key: tuple(value.shape) for key, value in state.items()}


class Seen(TorchFunctionMode):
    """Notes what is computed."""

    def __init__(self):
        super().__init__()
        self.names = set()

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.names.add(func.__name__)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize('name', [*SHIPPED_CONFIGS, *PARTS])
def test_shapes_are_found_without_computing(name):
    """Arithmetic on shapes alone loads PyTorch's compiler and SymPy, which takes two seconds."""
    with Seen() as seen:
        blueprint({**SHIPPED_CONFIGS, **PARTS}[name])
    assert not seen.names & {'neg', '__neg__', '__mul__', '__imul__', 'mul', 'mul_'}
