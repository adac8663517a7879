"""The shortest run that proves a recipe: it learns a handful of samples, and its file loads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from dlcv.networks.weights import load_network
from dlcv.training.engine import fit
from dlcv.training.log import read_table
from dlcv.training.recipe import Recipe, RunConfig, TrainError

STEPS = 24
BATCH = 2


def smoke(recipe: Recipe, run: RunConfig) -> tuple[float, float]:
    """Train the tiny version of a recipe on two batches, over and over, and load what it writes.

    Args:
        recipe: Any recipe; its ``smoke()`` is run.
        run: Its run, of which rate, precision and clipping are kept.

    Returns:
        The mean loss of the first and of the last quarter.

    Raises:
        TrainError: If the loss did not fall.
    """
    tiny = recipe.smoke()
    short = replace(
        run,
        steps=STEPS,
        batch=BATCH,
        distinct=2 * BATCH,
        accumulate=1,
        warmup_steps=0,
        schedule='constant',
        average=0.0,
        workers=0,
        validate_every=0,
        picture_every=STEPS,
        log_every=1,
    )
    with TemporaryDirectory() as folder:
        weights = fit(tiny, short, Path(folder) / 'run', accelerator='cpu')
        load_network('', weights)
        losses = [row['loss'] for row in read_table(weights.with_name('log.csv'))]
    part = STEPS // 4
    first, last = sum(losses[:part]) / part, sum(losses[-part:]) / part
    if not last < first:
        raise TrainError(f'{recipe.name}: the loss did not fall in {STEPS} steps: {losses}')
    return first, last
