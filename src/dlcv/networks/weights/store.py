"""Load, describe and save the weights of a network; the door of this room.

Our own file is safetensors whose header holds, under ``dlcv``, JSON with the format number, the
network's name, its whole configuration, whether it was trained, where the weights come from and
under which licence. Files of public code bases are recognised by their keys.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dlcv.config import ConfigError, from_dict, to_dict
from dlcv.networks.registry import NETWORKS, ModelConfig, build
from dlcv.networks.weights.families import FAMILIES
from dlcv.networks.weights.files import (
    MAX_BYTES,
    OWN,
    Checkpoint,
    WeightsError,
    finite,
    read,
    write,
)
from dlcv.networks.weights.recognise import Family, Fit, Undrawn, blueprint, fit, layout, recognise
from dlcv.networks.weights.shipped import chosen

_PINNED: dict[str, tuple[str, dict[str, Any]]] = {
    'flownet_s': ('flownet', {'variant': 's'}),
    'flownet_c': ('flownet', {'variant': 'c'}),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Header:
    """What stands in the header of our own file, as JSON."""

    format: int
    network: str
    config: Any  # fields of the network's own configuration
    trained: bool
    source: str = ''
    licence: str = ''

    def __post_init__(self) -> None:
        if self.format != 1:
            raise ConfigError(f'format {self.format} is newer than 1, which this dlcv reads')
        if self.network not in NETWORKS:
            raise ConfigError(f'network {self.network!r} is none of {sorted(NETWORKS)}')


@dataclass(frozen=True, kw_only=True, slots=True)
class Weights:
    """What a weight file is.

    Attributes:
        path: The file.
        network: ``superpoint``, ``flownet``, ``monodepth``, ``deepvo``, ``dsac``,
            ``sfmlearner``, ``deep_fundamental``, ``netvlad`` or ``lift``.
        family: Public family it was recognised as, or ``dlcv`` for our own format.
        config: Configuration of the network.
        parameters: Number of learned values.
        dtype: How they are stored.
        bytes: Size of the file.
        sha256: Its digest.
        trained: Whether the weights were trained; public checkpoints are taken to be.
        licence: Licence of the weights; empty where the file does not say.
        undecided: Fields of ``config`` that the file leaves open and an option must give.
        metadata: What else the file says about itself.
    """

    path: Path
    network: str
    family: str
    config: ModelConfig
    parameters: int
    dtype: str
    bytes: int
    sha256: str
    trained: bool
    licence: str
    undecided: Mapping[str, str]
    metadata: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Loaded:
    """A network and the file it came from.

    Attributes:
        network: The network, in eval mode.
        weights: What the file is; ``config`` is the one of the network, options included.
    """

    network: nn.Module
    weights: Weights


def load_network(
    name: str,
    path: str | Path = '',
    *,
    sha256: str = '',
    max_bytes: int = MAX_BYTES,
    ace_encoder: str | Path = '',
    **options: Any,
) -> nn.Module:
    """Return the network of a weight file, in eval mode on the CPU.

    Every network takes plain images in [0, 1] and normalises them itself. How, belongs to the
    family and is taken from it; where one family is in use with several ways, an option tells:

    * FlowNet, port: RGB minus (0.411, 0.432, 0.450), as its inference script does. Files trained
      by the port's own script may want ``mean=(0.45, 0.432, 0.411)``; files converted from the
      original release ``channel_order='bgr'`` (the mean is in the order of the channels). Flow is
      multiplied by ``div_flow``, the file's or else 20.
    * FlowNet2: RGB minus the mean of each channel over the pair (``mean='pair'``).
    * SuperPoint: grey. ``sampling`` is ``'demo'`` for the first network and that of 2019,
      ``'half_pixel'`` for the open retraining; matching front ends read the first with
      ``'matching'``.
    * monodepth: RGB as it is.
    * DeepVO: RGB minus 0.5, then ``mean`` and ``std``. The public checkpoint saw transposed
      frames: ``input_size=(608, 184)``. Other sizes than the published must be given.
    * DSAC* and ACE: grey, ``(x - 0.4) / 0.25``; option ``normalisation``.
    * SfMLearner's DispNetS, in our own files alone: RGB, ``(x - 0.5) / 0.5``.
    * Deep fundamental matrix: no picture but matches in pixels. Option ``iterations``, 3 as in the
      published code, or 5 as in the paper.
    * NetVLAD: RGB with ImageNet's mean and deviation for the port, minus the mean of ImageNet for
      the original, whose pictures are 0..255.

    Args:
        name: Which network is wanted: ``superpoint``, ``flownet`` (or ``flownet_s``,
            ``flownet_c`` for one variant only), ``monodepth``, ``deepvo``, ``dsac``,
            ``sfmlearner``, ``deep_fundamental``, ``netvlad``, ``lift``, ``caption``.
        path: Our own file, a checkpoint of a public family, or the name of shipped weights; empty
            takes the shipped ones.
        sha256: Digest the file must have; empty for any.
        max_bytes: Largest file that is opened.
        ace_encoder: Second file, for ACE alone, whose encoder and head are two files.
        options: Fields of the network's configuration that override the file's, such as ``mean``.

    Raises:
        WeightsError: If the file is refused, is of another network, or an option does not fit it;
            if none is named and none is shipped.
    """
    file = chosen(name, path)
    if file is None:
        raise WeightsError(f'no weights of {name} are shipped: name a file')
    return load(
        name, file, sha256=sha256, max_bytes=max_bytes, ace_encoder=ace_encoder, **options
    ).network


def load(
    name: str,
    path: str | Path,
    *,
    sha256: str = '',
    max_bytes: int = MAX_BYTES,
    ace_encoder: str | Path = '',
    **options: Any,
) -> Loaded:
    """Return the network of a weight file together with what the file is.

    Arguments and errors are those of `load_network`, but an empty ``name`` takes any network.
    """
    network, pinned = _PINNED.get(name, (name, {}))
    if network and network not in NETWORKS:
        raise WeightsError(f'no network {name!r}; there are {[*NETWORKS, *_PINNED]}')
    checkpoint = _read(path, sha256, max_bytes, ace_encoder)
    found = _identify(checkpoint)
    _refuse_other(name, network, pinned, found, checkpoint.path)
    _refuse_undecided(found, options, checkpoint.path)
    config = _with_options(found, options)
    weights = _describe(checkpoint, found, config)
    return Loaded(network=_filled(config, found.state), weights=weights)


def describe(
    path: str | Path,
    *,
    sha256: str = '',
    max_bytes: int = MAX_BYTES,
    ace_encoder: str | Path = '',
) -> Weights:
    """Say what a weight file is, whatever network it holds, without making the network.

    Raises:
        WeightsError: If the file is refused.
    """
    checkpoint = _read(path, sha256, max_bytes, ace_encoder)
    found = _identify(checkpoint)
    return _describe(checkpoint, found, found.config)


def save_network(
    network: nn.Module,
    path: str | Path,
    *,
    trained: bool = True,
    half: bool = False,
    source: str = '',
    licence: str = '',
) -> Path:
    """Write a network to our own format.

    Args:
        network: A network of ours, with its ``config``.
        path: Where to write; its name ends in ``.safetensors``.
        trained: Whether the weights were trained.
        half: Store floats in 16 bits, half the size; they are read back as 32.
        source: Where the weights come from.
        licence: Their licence.

    Returns:
        The path.

    Raises:
        WeightsError: If the network is none of ours, or a value does not fit into 16 bits.
    """
    path = Path(path)
    header = _Header(
        format=1,
        network=name_of(network),
        config=to_dict(network.config),
        trained=trained,
        source=source,
        licence=licence,
    )
    tensors = {key: _stored(value, half) for key, value in network.state_dict().items()}
    for key, value in tensors.items():
        if not finite(value):
            raise WeightsError(f'{key} does not fit into {value.dtype} or is not finite')
    said = {key: value for key, value in to_dict(header).items() if value != ''}
    text = json.dumps(said, separators=(',', ':'))
    write(path, tensors, {OWN: text})
    return path


def name_of(network: nn.Module) -> str:
    """Return the name of a network of ours.

    Raises:
        WeightsError: If it is none.
    """
    config = getattr(network, 'config', None)
    for name, known in NETWORKS.items():
        if isinstance(config, known.config):
            return name
    raise WeightsError(f'{type(network).__name__} is no network of {sorted(NETWORKS)}')


def _stored(value: Tensor, half: bool) -> Tensor:
    value = value.detach().cpu()
    kind = torch.float16 if half and value.is_floating_point() else value.dtype
    return value.to(kind, copy=True).contiguous()


def _read(path: str | Path, sha256: str, max_bytes: int, ace_encoder: str | Path) -> Checkpoint:
    checkpoint = read(path, sha256=sha256, max_bytes=max_bytes)
    if not ace_encoder:
        return checkpoint
    encoder = read(ace_encoder, max_bytes=max_bytes)
    return replace(checkpoint, tensors={**encoder.tensors, **checkpoint.tensors})


def _identify(checkpoint: Checkpoint) -> Fit:
    if checkpoint.container != 'safetensors' or OWN not in checkpoint.metadata:
        return recognise(checkpoint, FAMILIES)
    header = _header(checkpoint)
    try:
        config = from_dict(header.config, NETWORKS[header.network].config, 'config')
    except ConfigError as err:
        raise WeightsError(f'{checkpoint.path}: {err}') from None
    own = Family(name=OWN, network=header.network, title='our own format', infer=lambda *_: config)
    found = fit(own, checkpoint.tensors, {})
    if not found.exact:
        raise WeightsError(
            f'{checkpoint.path}: its tensors are not those of the {header.network} that its '
            f'header describes; {found.differences}'
        )
    return found


def _header(checkpoint: Checkpoint) -> _Header:
    try:
        return from_dict(json.loads(checkpoint.metadata[OWN]), _Header, 'header')
    except ValueError as err:  # no JSON, or a field that is not ours
        raise WeightsError(f'{checkpoint.path}: bad header ({err})') from None


def _refuse_other(
    name: str, network: str, pinned: Mapping[str, Any], found: Fit, path: Path
) -> None:
    got = found.family.network
    if network and got != network:
        raise WeightsError(
            f'{path} holds {got} weights (family {found.family.name}), not {network}'
        )
    for key, wanted in pinned.items():
        value = getattr(found.config, key)
        if value != wanted:
            raise WeightsError(f'{path} holds {got} with {key} {value!r}, not {name}')


def _refuse_undecided(found: Fit, options: Mapping[str, Any], path: Path) -> None:
    for key, needed in found.family.undecided(found.config).items():
        if key not in options:
            raise WeightsError(f'{path} does not tell {key}; give it as an option: {needed}')


def _with_options(found: Fit, options: Mapping[str, Any]) -> ModelConfig:
    """Override fields of the configuration, as long as the tensors stay what they are."""
    if not options:
        return found.config
    plain = to_dict(found.config)
    options = {key: _plain(value) for key, value in options.items()}
    for key in options:
        if key not in plain:
            raise WeightsError(
                f'{found.family.network} has no option {key!r}; known are {sorted(plain)}'
            )
    try:
        config = from_dict(plain | options, type(found.config), 'options')
    except ConfigError as err:
        raise WeightsError(str(err)) from None
    _refuse_other_shapes(found, layout(config), options)
    return config


def _plain(value: Any) -> Any:
    """Return arrays, tensors and their numbers as lists and numbers of Python."""
    return value.tolist() if isinstance(value, np.ndarray | np.generic | Tensor) else value


def _refuse_other_shapes(
    found: Fit, asked: Mapping[str, tuple[int, ...]], options: Mapping[str, Any]
) -> None:
    have = {key: tuple(value.shape) for key, value in found.state.items()}
    for key in {**have, **asked}:
        if have.get(key) != asked.get(key):
            raise WeightsError(
                f'options {dict(options)} do not fit the file: {key} is '
                f'{have.get(key, "absent")} and would have to be {asked.get(key, "absent")}'
            )


def _filled(config: ModelConfig, state: Mapping[str, Tensor]) -> nn.Module:
    with Undrawn():
        network = build(config)
    network.load_state_dict(state)
    return network.eval()


def _describe(checkpoint: Checkpoint, found: Fit, config: ModelConfig) -> Weights:
    parameters = sum(value.numel() for value in blueprint(config).parameters())
    header = _header(checkpoint) if found.family.name == OWN else None
    said = {str(key): str(value) for key, value in checkpoint.notes.items()}
    said |= {key: value for key, value in checkpoint.metadata.items() if key != OWN}
    if header is not None and header.source:
        said['source'] = header.source
    licence = said.get('licence', said.get('license', ''))
    return Weights(
        path=checkpoint.path,
        network=found.family.network,
        family=found.family.name,
        config=config,
        parameters=parameters,
        dtype=checkpoint.dtype,
        bytes=checkpoint.bytes,
        sha256=checkpoint.sha256,
        trained=header is None or header.trained,
        licence=header.licence if header is not None else licence,
        undecided=found.family.undecided(found.config),
        metadata=said,
    )
