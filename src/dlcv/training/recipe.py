"""What a training run is made of: its settings, and the recipe that says what is learned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from dlcv.types import ByteImage

Sample = Mapping[str, npt.NDArray[np.generic]]
Batch = dict[str, Tensor]
Precision = Literal['32-true', 'bf16-mixed', 'auto']


class TrainError(ValueError):
    """A run cannot be done as asked; the message names what was asked and what there is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunConfig:
    """How any recipe is run; saved, resolved, beside its checkpoints.

    Attributes:
        steps: Optimiser steps in all.
        batch: Samples of one step on one device.
        distinct: Number of different samples, taken again and again; 0 for no end of them.
        accumulate: Batches whose gradients are summed into one step.
        learning_rate: Its peak.
        warmup_steps: Steps over which the rate rises linearly from zero.
        schedule: How it falls after that: ``constant``, to zero along half a ``cosine``, or by one
            half at each of ``milestones`` (``halve``, as FlowNet's).
        milestones: Steps at which ``halve`` halves.
        weight_decay: AdamW's, on weights but not on biases or normalisations.
        clip_norm: Largest norm of the gradient; 0 for no clipping.
        average: Decay of the running average of the weights, which is what is validated and
            exported; 0 for none.
        precision: ``32-true``, or mixed: ``bf16-mixed``, twice as fast where the processor or the
            GPU has bfloat16 arithmetic; or ``auto``, mixed where that is so. The run's
            ``run.yaml`` says which it became, and the run goes on with that.
        seed: Decides the weights at the start and every sample.
        workers: Processes that make samples; 0 makes them where the network is trained.
        checkpoint_minutes: Longest time between two checkpoints.
        validate_every: Steps between two validations; 0 for one at the end only.
        picture_every: Steps between two pictures; 0 for none.
        log_every: Steps between two lines of the log, which holds means over them.
        half: Whether the exported weights are stored in 16 bits.
    """

    steps: int
    batch: int = 8
    distinct: int = 0
    accumulate: int = 1
    learning_rate: float = 1e-4
    warmup_steps: int = 0
    schedule: Literal['constant', 'cosine', 'halve'] = 'constant'
    milestones: tuple[int, ...] = ()
    weight_decay: float = 0.0
    clip_norm: float = 0.0
    average: float = 0.0
    precision: Precision = '32-true'
    seed: int = 0
    workers: int = 0
    checkpoint_minutes: float = 5.0
    validate_every: int = 0
    picture_every: int = 0
    log_every: int = 50
    half: bool = True

    def __post_init__(self) -> None:
        if min(self.steps, self.batch, self.accumulate, self.log_every) < 1:
            raise TrainError(
                'a run needs steps, batch, accumulate and log_every >= 1, got '
                f'{self.steps}, {self.batch}, {self.accumulate} and {self.log_every}'
            )
        if not self.learning_rate > 0 or not 0 <= self.average < 1:
            raise TrainError(
                'a run needs learning_rate > 0 and average in [0, 1), got '
                f'{self.learning_rate} and {self.average}'
            )


class Samples(Protocol):
    """Endless training data: a sample is a function of its number, and of nothing else.

    So a run that is resumed sees what it would have seen, whatever number of processes makes the
    samples. Values are arrays of one shape for all numbers; the engine stacks them into a batch.
    """

    def __getitem__(self, index: int) -> Sample: ...


class Recipe(Protocol):
    """What is learned, from what, by which loss. Built from its own frozen configuration."""

    @property
    def name(self) -> str:
        """Name of the weights, as in ``superpoint``."""

    def network(self) -> nn.Module:
        """Return the network to train, freshly drawn from torch's random numbers."""

    def samples(self, seed: int) -> Samples:
        """Return the training data; two seeds share no sample."""

    def loss(self, network: nn.Module, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return scalars for a batch: ``loss``, which is minimised, and parts worth logging.

        The network is in training mode and runs under the run's precision; losses are computed in
        float32.
        """

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Return figures on held-out data, the same at each call; the network is in eval mode."""

    def pictures(self, network: nn.Module, batch: Batch) -> dict[str, ByteImage]:
        """Return RGB pictures of what the network does on a batch; it is in eval mode."""

    def smoke(self) -> Recipe:
        """Return a tiny version of the recipe: a few steps of it take seconds on a laptop."""

    def export(self, network: nn.Module) -> nn.Module:
        """Return the network as it is shipped, such as with batch-norms folded, in eval mode."""
