"""Weights that a training starts from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dlcv.networks.layers.light import LightEncoder
from dlcv.networks.weights import PARTS, SHIPPED_CONFIGS, load_network, shipped
from dlcv.training.recipe import TrainError

M = TypeVar('M', bound=nn.Module)


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """What others than the run itself want of its ``checkpoint.pt``.

    Attributes:
        weights: State of the network: the running average where there is one.
        step: Steps it was trained for.
    """

    weights: dict[str, Tensor]
    step: int


def read_checkpoint(path: Path) -> Checkpoint:
    """Read the ``checkpoint.pt`` of a run.

    Raises:
        TrainError: If it is something else or damaged.
    """
    try:
        saved = torch.load(path, map_location='cpu', weights_only=True)
        return Checkpoint(weights=saved['average'] or saved['network'], step=saved['step'])
    except Exception as err:  # a damaged or other file fails in any of a dozen ways
        raise TrainError(f'{path} is no checkpoint of a run: {err}') from err


def located(path: Path) -> Path:
    """Return the file that is meant by a path: itself, or of a name such as ``deepvo`` the weights.

    Raises:
        TrainError: If it is neither a file nor the name of weights that this package has.
    """
    if path.is_file():
        return path
    name = str(path)
    names = {**SHIPPED_CONFIGS, **PARTS}
    file = shipped(name) if name in names else None
    if file is None:
        there = ', '.join(name for name in names if shipped(name) is not None)
        raise TrainError(
            f'no weights to start from at {path}; the names of shipped weights are {there}'
        )
    return file


def filled(network: M, path: Path, name: str, *, new: str = '') -> M:
    """Fill a network with the weights of an earlier run.

    Args:
        network: What is filled, in place.
        path: ``checkpoint.pt`` of a run, which has the batch-norms, or a weight file, which has
            them folded; or the name of shipped weights, which is such a file.
        name: Of the network, as in ``superpoint``.
        new: Part of the names of weights that the file need not have; they stay as they are.

    Returns:
        The network.

    Raises:
        TrainError: If there is no such file, it is no checkpoint, or it belongs to another variant
            of the network.
    """
    path = located(path)
    if path.suffix == '.pt':
        state = read_checkpoint(path).weights
    else:
        state = load_network(name, path).state_dict()
    wanted = network.state_dict()
    if new:
        state = {k: v for k, v in wanted.items() if new in k} | state
    if {k: v.shape for k, v in state.items()} != {k: v.shape for k, v in wanted.items()}:
        raise TrainError(
            f'{path} holds another variant or width of {name}: the checkpoint.pt of a run has its '
            'batch-norms, an exported file has not'
        )
    network.load_state_dict(state)
    return network


def light_encoder(network: LightEncoder, path: Path) -> dict[str, Tensor] | None:
    """Return the state of the light encoder that weights of ``fcn`` have.

    Args:
        network: That is to have it.
        path: The file.

    Returns:
        Only what the encoder of the network takes; None where theirs is another one.
    """
    theirs = load_network('fcn', path).state_dict()
    own = network.state_dict()
    names = [name for name in own if name.startswith(LightEncoder.parts)]
    if any(name not in theirs or theirs[name].shape != own[name].shape for name in names):
        return None
    return {name: theirs[name] for name in names}


def smoothed(weight: Tensor, *, centred: bool) -> Tensor:
    """Blur kernels ``(O, I, k, k)``; centred ones sum up to zero. Their deviation stays."""
    curve = torch.exp(-(torch.arange(-2.0, 3.0) ** 2) / 2)
    bell = (curve[:, None] * curve / curve.sum() ** 2)[None, None].to(weight)  # (1, 1, 5, 5)
    planes = weight.reshape(-1, 1, *weight.shape[2:])
    smooth = F.conv2d(F.pad(planes, (2, 2, 2, 2)), bell).reshape(weight.shape)
    if centred:
        smooth = smooth - smooth.mean((2, 3), keepdim=True)
    return smooth * (weight.std() / smooth.std())
