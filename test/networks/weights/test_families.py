"""Every public family: a file as its code base writes it gives the network it came from.

The names below are spelled out by hand, apart from the code that reads them.
"""

from __future__ import annotations

import collections

import numpy as np
import pytest
import torch

from dlcv.networks.deep_fundamental import DeepFundamentalConfig
from dlcv.networks.deepvo import DeepVOConfig
from dlcv.networks.dsac import DsacConfig
from dlcv.networks.flownet import FlowNetConfig
from dlcv.networks.lift import LIFTConfig
from dlcv.networks.monodepth import MonodepthConfig
from dlcv.networks.netvlad import NetVLADConfig
from dlcv.networks.superpoint import SuperPointConfig
from dlcv.networks.weights import WeightsError, describe, load_network

V6 = {
    '1a': 'backbone.0.0',
    '1b': 'backbone.0.1',
    '2a': 'backbone.1.0',
    '2b': 'backbone.1.1',
    '3a': 'backbone.2.0',
    '3b': 'backbone.2.1',
    '4a': 'backbone.3.0',
    '4b': 'backbone.3.1',
    'Pa': 'detector.0',
    'Pb': 'detector.1',
    'Da': 'descriptor.0',
    'Db': 'descriptor.1',
}
UNET = {
    'conv1a': 'inc.conv.conv.0',
    'bn1a': 'inc.conv.conv.1',
    'conv1b': 'inc.conv.conv.3',
    'bn1b': 'inc.conv.conv.4',
    'conv2a': 'down1.mpconv.1.conv.0',
    'bn2a': 'down1.mpconv.1.conv.1',
    'conv2b': 'down1.mpconv.1.conv.3',
    'bn2b': 'down1.mpconv.1.conv.4',
    'conv3a': 'down2.mpconv.1.conv.0',
    'bn3a': 'down2.mpconv.1.conv.1',
    'conv3b': 'down2.mpconv.1.conv.3',
    'bn3b': 'down2.mpconv.1.conv.4',
    'conv4a': 'down3.mpconv.1.conv.0',
    'bn4a': 'down3.mpconv.1.conv.1',
    'conv4b': 'down3.mpconv.1.conv.3',
    'bn4b': 'down3.mpconv.1.conv.4',
}
ENCODER = ['conv1', 'conv2', 'conv3', 'conv3_1', 'conv4', 'conv4_1', 'conv5', 'conv5_1', 'conv6']
DSAC_LAYERS = [
    *('conv1', 'conv2', 'conv3', 'conv4', 'res1_conv1', 'res1_conv2', 'res1_conv3'),
    *('res2_conv1', 'res2_conv2', 'res2_conv3', 'res2_skip'),
    *('res3_conv1', 'res3_conv2', 'res3_conv3', 'fc1', 'fc2', 'fc3'),
]


@pytest.fixture
def save(tmp_path):
    def write(value, name='net.pth'):
        torch.save(value, tmp_path / name)
        return tmp_path / name

    return write


def renamed(state, rename):
    return {rename(*key.split('.')): value for key, value in state.items()}


# SuperPoint


def test_superpoint_v1_is_a_flat_dict_of_our_keys(make, same, save):
    network = make(SuperPointConfig(width=1 / 16, sampling='demo', subpixel=False))
    assert len(network.state_dict()) == 24
    path = save(collections.OrderedDict(network.state_dict()))
    same(load_network('superpoint', path), network)
    assert describe(path).family == 'superpoint-v1'


def test_superpoint_v6_has_convolution_and_norm_under_each_layer(make, same, save):
    network = make(SuperPointConfig(variant='vgg_bn', width=1 / 16, subpixel=False))

    def rename(layer, leaf):
        kind = 'conv' if layer.startswith('conv') else 'bn'
        return f'{V6[layer.removeprefix(kind)]}.{kind}.{leaf}'

    path = save(renamed(network.state_dict(), rename))
    same(load_network('superpoint', path), network)
    assert describe(path).family == 'superpoint-v6'


def test_a_two_channel_first_layer_is_summed(make, save):
    network = make(SuperPointConfig(variant='vgg_bn', width=1 / 16, subpixel=False))
    state = {
        f'{V6[layer]}.{kind}.{leaf}': value
        for kind in ('conv', 'bn')
        for layer in V6
        for leaf, value in network.get_submodule(kind + layer).state_dict().items()
    }
    key = 'backbone.0.0.conv.weight'
    state[key] = torch.cat((0.25 * state[key], 0.75 * state[key]), dim=1)  # (4, 2, 3, 3)
    found = load_network('superpoint', save(state))
    image = torch.rand(1, 1, 16, 24)
    for ours, theirs in zip(found(image), network(image), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_the_2019_superpoint_has_unet_names(make, same, save):
    network = make(
        SuperPointConfig(variant='unet_bn', width=1 / 16, sampling='demo', subpixel=False)
    )
    state = renamed(network.state_dict(), lambda layer, leaf: f'{UNET.get(layer, layer)}.{leaf}')
    path = save({'n_iter': 170000, 'model_state_dict': state, 'optimizer_state_dict': {}})
    same(load_network('superpoint', path), network)
    found = describe(path)
    assert (found.family, found.metadata) == ('superpoint-2019', {'n_iter': '170000'})


# FlowNet


@pytest.mark.parametrize('variant', ['s', 'c'])
@pytest.mark.parametrize('batch_norm', [False, True])
def test_the_flownet_port_has_no_biases_in_its_decoder(make, same, save, variant, batch_norm):
    network = make(FlowNetConfig(variant=variant, batch_norm=batch_norm, width=1 / 32))
    state = network.state_dict()
    assert not any(
        'deconv' in k or 'predict' in k or 'upsampled' in k for k in state if 'bias' in k
    )
    path = save({'arch': 'x', 'epoch': 1, 'best_EPE': 1.9, 'div_flow': 20, 'state_dict': state})
    same(load_network('flownet', path), network)
    same(load_network(f'flownet_{variant}', path), network)
    assert describe(path).family == 'flownet-port'


def test_counters_that_old_pytorch_did_not_write_are_not_missed(make, same, save):
    network = make(FlowNetConfig(batch_norm=True, width=1 / 32))
    state = {k: v for k, v in network.state_dict().items() if 'num_batches' not in k}
    same(load_network('flownet', save({'state_dict': state})), network)


def test_the_scale_in_the_file_is_that_of_the_network(make, save):
    state = make(FlowNetConfig(width=1 / 32)).state_dict()
    found = load_network('flownet', save({'div_flow': 5, 'state_dict': state}))
    assert found.config.div_flow == 5.0


@pytest.mark.parametrize('variant', ['s', 'c'])
def test_the_flownet_2_family_has_biases_and_the_pairs_own_mean(make, same, save, variant):
    biases = {'deconv_bias': True, 'predict_bias': True, 'upsample_bias': variant == 'c'}
    network = make(FlowNetConfig(variant=variant, width=1 / 32, mean='pair', **biases))
    state = network.state_dict()
    assert {'deconv5.0.bias', 'predict_flow6.bias'} <= set(state)
    assert ('upsampled_flow6_to_5.bias' in state) == (variant == 'c')
    path = save({'arch': 'FlowNet2', 'state_dict': state})
    same(load_network('flownet', path), network)
    assert describe(path).family == 'flownet-2'


def test_a_stacked_flownet_and_another_correlation_are_read_off_the_shapes(make, same, save):
    stacked = make(FlowNetConfig(in_channels=14, width=1 / 32))
    same(load_network('flownet', save(stacked.state_dict())), stacked)
    narrow = make(FlowNetConfig(variant='c', max_displacement=4, width=1 / 32))
    same(load_network('flownet', save(narrow.state_dict())), narrow)


def test_a_variant_can_be_insisted_on(make, save):
    path = save(make(FlowNetConfig(width=1 / 32)).state_dict())
    with pytest.raises(WeightsError, match=r"holds flownet with variant 's', not flownet_c"):
        load_network('flownet_c', path)


# deep fundamental matrix


@pytest.mark.parametrize('constants', [True, False])
@pytest.mark.parametrize('side', [0, 3])
def test_deep_fundamental_has_our_keys_and_constants_beside_them(make, same, save, constants, side):
    widths = (4, 6, 8, 6, 5)
    network = make(DeepFundamentalConfig(widths=widths, side_channels=side))
    state = network.state_dict()
    if constants:
        state |= {
            'rescale_and_expand.ones': torch.ones(1, 1, 1),
            'model.mask': torch.tensor([1.0, 1, 0]),
        }
    path = save(state)
    same(load_network('deep_fundamental', path), network)
    assert describe(path).family == 'dfe'
    assert load_network('deep_fundamental', path, iterations=5).config.iterations == 5


# monodepth


def creation_order(network):
    """Walk the convolutions as the original graph makes them, scope by scope."""
    encoder, decoder = network.encoder, []
    if network.config.encoder == 'vgg':
        made = [layer for block in encoder.blocks for layer in (block[0], block[2])]
    else:
        made = [encoder.conv1]
        for stage in encoder.stages:
            for block in stage:
                made += [block.conv1, block.conv2, block.conv3, block.shortcut]
    for level in network.decoder.levels:
        decoder += [level.upconv, level.iconv, *([level.disparity] if level.disparity else [])]
    return {'encoder': made, 'decoder': decoder}


def variables(network, suffix):
    arrays = {}
    for scope, layers in creation_order(network).items():
        for i, conv in enumerate(layers):
            name = f'model/{scope}/Conv{f"_{i}" if i else ""}'
            kernel = conv.weight.detach().numpy().transpose(2, 3, 1, 0)  # (H, W, I, O)
            arrays[f'{name}/weights{suffix}'] = kernel
            arrays[f'{name}/biases{suffix}'] = conv.bias.detach().numpy()
    return arrays


@pytest.mark.parametrize(('encoder', 'count'), [('vgg', 64), ('resnet50', 162)])
@pytest.mark.parametrize('suffix', ['', ':0'])
def test_monodepth_variables_are_read_in_creation_order(
    make, same, tmp_path, encoder, count, suffix
):
    network = make(MonodepthConfig(encoder=encoder, width=1 / 16))
    arrays = variables(network, suffix)
    assert len(arrays) == count
    np.savez(tmp_path / 'model.npz', **arrays)
    same(load_network('monodepth', tmp_path / 'model.npz'), network)


def test_what_an_optimizer_kept_is_no_weight(make, same, tmp_path):
    network = make(MonodepthConfig(width=1 / 16))
    arrays = variables(network, ':0')
    slots = {k.replace(':0', slot): v for k, v in arrays.items() for slot in ('/Adam:0', '/Adam_1')}
    beta = {'beta1_power:0': np.float32(0.9), 'global_step': np.int64(3)}
    np.savez(tmp_path / 'model.npz', **arrays, **slots, **beta)
    same(load_network('monodepth', tmp_path / 'model.npz'), network)


# DeepVO


def test_deepvo_keys_are_ours_with_and_without_the_parallel_prefix(make, same, save):
    network = make(DeepVOConfig(width=1 / 64, memory=8))
    state = network.state_dict()
    assert {f'{name}.0.weight' for name in ENCODER} | {'rnn.weight_hh_l1', 'linear.bias'} <= set(
        state
    )
    same(load_network('deepvo', save(state)), network)
    same(load_network('deepvo', save({f'module.{k}': v for k, v in state.items()})), network)


def test_the_papers_frame_size_is_read_off_the_memory(make, save):
    state = make(DeepVOConfig(input_size=(384, 1280), width=1 / 64, memory=8)).state_dict()
    assert state['rnn.weight_ih_l0'].shape == (32, 16 * 120)
    assert load_network('deepvo', save(state)).config.input_size == (384, 1280)


def test_another_frame_size_must_be_given(make, same, save):
    network = make(DeepVOConfig(input_size=(128, 384), width=1 / 64, memory=8))
    path = save(network.state_dict())
    with pytest.raises(WeightsError, match=r'does not tell input_size; .*ceil\(W/64\) == 12'):
        load_network('deepvo', path)
    assert 'input_size' in describe(path).undecided
    same(load_network('deepvo', path, input_size=(128, 384)), network)
    with pytest.raises(WeightsError, match=r'rnn\.weight_ih_l0 is \(32, 192\) .* be \(32, 480\)'):
        load_network('deepvo', path, input_size=(184, 608))


def test_the_transposed_frames_of_the_public_checkpoint_are_an_option(make, save):
    path = save(make(DeepVOConfig(width=1 / 64, memory=8)).state_dict())
    assert load_network('deepvo', path, input_size=(608, 184)).config.input_size == (608, 184)


# DSAC


@pytest.mark.parametrize('variant', ['full', 'tiny'])
def test_dsac_star_keeps_the_mean_of_the_scene(make, same, save, variant):
    network = make(DsacConfig(variant=variant, width=1 / 8))
    state = network.state_dict()
    skipped = {'res2_skip'} if variant == 'tiny' else set()
    layers = {f'{n}.{leaf}' for n in set(DSAC_LAYERS) - skipped for leaf in ('weight', 'bias')}
    assert set(state) == layers | {'mean'}
    found = load_network('dsac', save(state, 'scene.net'))
    same(found, network)
    torch.testing.assert_close(found.mean, network.mean)


@pytest.mark.parametrize('homogeneous', [True, False])
@pytest.mark.parametrize('blocks', [0, 1, 2])
def test_ace_is_an_encoder_and_a_head(make, same, save, blocks, homogeneous):
    config = DsacConfig(variant='ace', width=1 / 8, head_blocks=blocks, homogeneous=homogeneous)
    network = make(config)
    state = network.state_dict()
    shared = {k: v for k, v in state.items() if k.startswith(('conv', 'res1', 'res2'))}
    head = {k: v for k, v in state.items() if k not in shared}
    encoder, scene = save(shared, 'encoder.pt'), save(head, 'scene.pt')
    same(load_network('dsac', scene, ace_encoder=encoder), network)
    assert describe(scene, ace_encoder=encoder).family == 'ace'
    for part in (scene, encoder):
        with pytest.raises(WeightsError, match=r'nearest is .* the encoder as ace_encoder'):
            load_network('dsac', part)


def test_ace_saved_whole_names_its_parts(make, same, save):
    network = make(DsacConfig(variant='ace', width=1 / 8, head_blocks=2))
    parts = ('conv', 'res1', 'res2')
    state = {
        f'{"encoder" if key.startswith(parts) else "heads"}.{key}': value
        for key, value in network.state_dict().items()
    }
    same(load_network('dsac', save(state)), network)


# NetVLAD


def test_the_netvlad_port_has_our_keys_and_words_of_parallel_training(make, same, save):
    network = make(NetVLADConfig(width=1 / 32, clusters=4, whitened=5))
    state = {
        key.replace('encoder.', 'encoder.module.').replace('pool.', 'pool.module.'): value
        for key, value in network.state_dict().items()
    }
    path = save({'epoch': 30, 'state_dict': state, 'best_score': 0.8, 'parallel': True})
    same(load_network('netvlad', path), network)
    assert describe(path).family == 'netvlad-port'
    plain = make(NetVLADConfig(width=1 / 32, clusters=4, whitened=0, biased=True))
    same(load_network('netvlad', save({'state_dict': plain.state_dict()})), plain)


def test_the_original_netvlad_has_matrices_and_runs_over_clusters_first(make, same, save):
    network = make(
        NetVLADConfig(width=1 / 32, clusters=4, whitened=5, order='channel', std=(1 / 255,) * 3)
    )
    state = {}
    for key, value in network.state_dict().items():
        part, _, leaf = key.rpartition('.')
        match part:
            case 'pool.conv':
                state['netvlad.score_proj.weight'] = value[..., 0]
            case 'pool':
                state['netvlad.centers'] = value.T
            case 'WPCA.0':
                state[f'whiten.{leaf}'] = value[..., 0, 0] if value.ndim == 4 else value
            case _:
                state[key.replace('encoder', 'backbone')] = value
    path = save(state)
    found = load_network('netvlad', path)
    assert found.config.order == 'channel'
    assert found.config.mean == pytest.approx((0.48502, 0.45796, 0.40760), abs=1e-5)
    same(found, make(found.config))
    assert describe(path).family == 'netvlad-original'


# LIFT


def test_the_descriptor_of_lift_tells_its_layers_beside_its_tensors(make, same, tmp_path):
    network = make(LIFTConfig(width=1 / 16, descriptor_only=True))
    network.descriptor.mean.copy_(torch.tensor([110.5]) / 255)
    network.descriptor.std.copy_(torch.tensor([61.25]) / 255)
    state = {key.removeprefix('descriptor.'): v for key, v in network.state_dict().items()}
    arrays = {
        'layers': np.int32([1, 5, 4, 7, 1, 5, 4, 7, 1, 5, 4]),
        'patch-mean': np.float32([110.5]),
        'patch-std': np.float32([61.25]),
        'l-4-filter': state['kernel1'].numpy(),
        'l-8-filter': state['kernel2'].numpy(),
    }
    for layer, number in (('conv1', 1), ('conv2', 5), ('conv3', 9)):
        arrays[f'l-{number}-weights'] = state[f'{layer}.weight'].numpy()
        arrays[f'l-{number}-bias'] = state[f'{layer}.bias'].numpy()
    for number, side in ((3, 2), (7, 3), (11, 4)):
        arrays[f'l-{number}-kw'] = arrays[f'l-{number}-kh'] = np.float32([side])
    path = tmp_path / 'lift.npz'
    np.savez(path, **arrays)
    same(load_network('lift', path), network)
    assert describe(path).family == 'lift-descriptor'
    np.savez(path, **{**arrays, 'layers': np.int32([1, 6, 3, 7, 1, 6, 3, 7, 1, 6, 3])})
    with pytest.raises(WeightsError, match=r'lift-descriptor .* unexpected: layers'):
        load_network('lift', path)
