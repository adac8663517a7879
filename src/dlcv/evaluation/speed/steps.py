"""What is timed of ours: an estimator as its node runs it, and the bare network within it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from dlcv.data.bags.vocabulary import COMPOSER
from dlcv.estimation.tasks.base import Verdict, task_class
from dlcv.evaluation.bench.options import BenchError
from dlcv.evaluation.speed.film import Film
from dlcv.evaluation.speed.timing import Step
from dlcv.interface.nodes import NODES

SUBJECTS = {
    'superpoint': 'superpoint',
    'flownet_s': 'flownet',
    'flownet_c': 'flownet',
    'monodepth': 'monodepth',
    'deepvo': 'deepvo',
    'dsac': 'dsac',
}
"""Name of the shipped weights -> the node that runs them."""
ESTIMATOR, NETWORK = 'estimator', 'network'
NEVER_LATE: dict[str, Any] = {
    'max_interval': 10.0,  # whatever the machine does meanwhile, a picture follows the last one
    'max_frame_interval': 10.0,
    'max_linear_speed': 100.0,  # pictures are shown to and fro
    'max_angular_speed': 10.0,
}


@dataclass(frozen=True, slots=True)
class Alone:
    """Runs a task whose results nobody listens to."""

    parameters: Any

    def wanted(self, name: str) -> bool:  # noqa: ARG002 - it is the same for all
        """Whether anybody listens: nobody."""
        return False

    def send(self, name: str, message: Any) -> None:
        """Publish nothing."""

    def hand(self, name: str, header: Any, value: Any) -> bool:  # noqa: ARG002 - nobody takes it
        """Give nothing away; nobody wants a message."""
        return False

    def judge(self, condition: Verdict | None) -> None:
        """Take no note."""

    def warn(self, text: str) -> None:
        """Tell nobody."""

    def complain(self, text: str) -> None:
        """Tell nobody."""


def estimator_of(subject: str, **parameters: Any) -> Any:
    """Return the estimator of some shipped weights, as its node loads it.

    Args:
        subject: Key of `SUBJECTS`. There is no shipped map: dsac runs an untrained one.
        **parameters: Of the node, besides those of weights.

    Raises:
        BenchError: There are no such weights.
    """
    if subject not in SUBJECTS:
        raise BenchError(f'no network {subject!r}; there are {", ".join(SUBJECTS)}')
    spec = NODES[SUBJECTS[subject]]
    known = {one.name for one in fields(spec.parameters)}
    given: dict[str, Any] = {
        'weights': subject,
        'allow_random_weights': subject == 'dsac',
        **NEVER_LATE,
    }
    given |= parameters
    settings = spec.parameters(**{k: v for k, v in given.items() if k in known})
    task = task_class(spec)(Alone(settings), COMPOSER)
    return task.load(settings.device, settings.precision)


def steps_of(subject: str, film: Film, **parameters: Any) -> dict[str, Step]:
    """Return the steps of an estimator and of its bare network on the pictures of a film.

    The network sees tensors of the size that the estimator gives it, in inference mode. For dsac
    the estimator's step ends with the scene coordinates: the sample consensus is measured alone.

    Args:
        subject: Key of `SUBJECTS`.
        film: The pictures.
        **parameters: Of the node.
    """
    estimator = estimator_of(subject, **parameters)
    frames = film.frames()
    push = estimator.coordinates if subject == 'dsac' else estimator.push
    inputs = _inputs(estimator, SUBJECTS[subject], film)
    for _ in range(2):  # what is made at the first picture, or needs one before
        push(next(frames))
    return {
        ESTIMATOR: lambda: push(next(frames)),
        NETWORK: partial(_forward, estimator.network, *inputs),
    }


def _inputs(estimator: Any, node: str, film: Film) -> tuple[Tensor, ...]:
    """Return what the network of a node takes, of the sizes that its estimator makes."""
    config = estimator.network.config
    width, height = film.size
    match node:
        case 'superpoint':
            return (torch.rand(1, 1, *(-(-side // 8) * 8 for side in (height, width))),)
        case 'flownet':
            return torch.rand(1, 3, height, width), torch.rand(1, 3, height, width)
        case 'monodepth':
            return (torch.rand(1 + estimator.settings.pp, 3, *config.input_size),)
        case 'deepvo':
            return (torch.rand(1, 2, 3, *config.input_size),)
    rows = config.input_height
    return (torch.rand(1, config.channels, rows, round(width * rows / height)),)


@torch.inference_mode()
def _forward(network: nn.Module, *inputs: Tensor) -> object:
    return network(*inputs)
