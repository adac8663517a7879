"""Training data that are kept in files: made once, read by every process of every run after that.

A shard is a safetensors file that holds arrays of some samples and, as JSON, what made them.
Several processes may make the shards of a folder at one time.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import safe_open
from safetensors.numpy import save_file

from dlcv.config import to_dict
from dlcv.data.synthetic.photos import PhotoPool
from dlcv.data.world import GaitShares, SampleConfig, WorldSamples
from dlcv.training.recipe import Sample, Samples, TrainError

_METADATA = 'dlcv_made_by'


def settings_text(made_by: Mapping[str, Any]) -> str:
    """Return what made a shard as it stands in the file."""
    return json.dumps(made_by, sort_keys=True)


def write_shard(file: Path, arrays: Mapping[str, npt.NDArray[Any]], settings: str) -> None:
    """Write a shard beside its place, then put it there, so that no half file is ever read.

    Raises:
        TrainError: If it cannot be written.
    """
    unfinished = file.with_suffix(f'.{os.getpid()}.part')
    content = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        save_file(content, unfinished, {_METADATA: settings})
    except Exception as err:  # safetensors has its own class for a full disk
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise TrainError(f'{file} cannot be written: {err}') from err
    unfinished.replace(file)


@contextmanager
def opened_shard(file: Path, settings: str) -> Iterator[Any]:
    """Open a shard; what is opened has ``keys()``, ``get_tensor(name)`` and ``get_slice(name)``.

    Raises:
        TrainError: If other settings made it; the message names which.
    """
    with safe_open(file, 'numpy') as opened:
        made_by = (opened.metadata() or {}).get(_METADATA, '{}')
        if made_by != settings:
            before, now = json.loads(made_by), json.loads(settings)
            differences = [
                f'{key} was {before.get(key)!r} and is now {now.get(key)!r}'
                for key in sorted({*before, *now})
                if before.get(key) != now.get(key)
            ]
            raise TrainError(
                f'{file.parent} holds data made in another way: {"; ".join(differences)}; '
                'name another folder or remove this one'
            )
        yield opened


class KeptSamples:
    """The first samples of an endless row, made when they are first asked for and then kept.

    Numbers from ``count`` on take them again, in another order each time round.

    Args:
        samples: Arrays of one shape for all numbers.
        count: How many are kept.
        per_shard: Samples of one file, which are made together: those of one world, say.
        folder: Where the files are, or are to be.
        made_by: All that the samples depend on.
        seed: Of the order after the first time round.
    """

    def __init__(
        self,
        samples: Samples,
        *,
        count: int,
        per_shard: int,
        folder: Path,
        made_by: Mapping[str, Any],
        seed: int,
    ) -> None:
        if min(count, per_shard) < 1:
            raise TrainError(
                f'kept samples need count and per_shard >= 1, got {count} and {per_shard}'
            )
        self._samples, self._count, self._per_shard = samples, count, per_shard
        self._folder, self._settings, self._seed = folder, settings_text(made_by), seed

    def __getitem__(self, index: int) -> Sample:
        """Return the sample of that number.

        Raises:
            TrainError: If the folder holds samples that were made in another way.
        """
        turn, place = divmod(index, self._count)
        if turn:
            place = int(_order(self._seed, turn, self._count)[place])
        shard, row = divmod(place, self._per_shard)
        file = self._folder / f'{shard * self._per_shard:06d}.safetensors'
        return shard_of(self._samples, shard, self._per_shard, file, self._settings)(row)


class RenewedSamples:
    """Samples out of a window of shards that moves on while training does.

    A shard costs seconds, a sample of it nothing: each is taken several times, among those of many
    other shards, and then never again. Block k of ``per_shard * uses`` numbers is drawn evenly
    from the shards k to k + window - 1; files of shards well before that are removed. A sample is a
    function of its number all the same: a shard that is missing is made again.

    Args:
        samples: Arrays of one shape for all numbers.
        per_shard: Samples of one file, which are made together: those of one world, say.
        window: Shards that are at hand at a time.
        uses: How often a sample is taken on average.
        folder: Where the files are, or are to be.
        made_by: All that the samples depend on.
        seed: Of the draws.
    """

    def __init__(
        self,
        samples: Samples,
        *,
        per_shard: int,
        window: int,
        uses: int,
        folder: Path,
        made_by: Mapping[str, Any],
        seed: int,
    ) -> None:
        if min(per_shard, window, uses) < 1:
            raise TrainError(
                'renewed samples need per_shard, window and uses >= 1, got '
                f'{per_shard}, {window} and {uses}'
            )
        self._samples, self._per_shard, self._window = samples, per_shard, window
        self._uses, self._folder, self._seed = uses, folder, seed
        self._settings = settings_text(made_by)

    def __getitem__(self, index: int) -> Sample:
        """Return the sample of that number.

        Raises:
            TrainError: If the folder holds samples that were made in another way.
        """
        block, _ = divmod(index, self._per_shard * self._uses)
        draw = np.random.default_rng([self._seed, index, 9])
        shard = block + int(draw.integers(self._window))
        row = int(draw.integers(self._per_shard))
        self._file(block - 2).unlink(missing_ok=True)
        made = shard_of(self._samples, shard, self._per_shard, self._file(shard), self._settings)
        return made(row)

    def _file(self, shard: int) -> Path:
        return self._folder / f'{shard:06d}.safetensors'


def shard_of(
    samples: Samples, shard: int, per_shard: int, file: Path, settings: str
) -> Callable[[int], Sample]:
    """Return how to read the samples of a shard, which is made if it is not there.

    Raises:
        TrainError: If it was made in another way.
    """
    if not file.exists():
        first = shard * per_shard
        write_shard(file, _stacked([samples[first + i] for i in range(per_shard)]), settings)

    def read(row: int) -> Sample:
        with opened_shard(file, settings) as opened:
            return {name: opened.get_slice(name)[row] for name in opened.keys()}  # noqa: SIM118

    return read


def kept(
    samples: Samples,
    *,
    count: int,
    per_shard: int,
    folder: str,
    made_by: Mapping[str, Any],
    seed: int,
) -> Samples:
    """Return samples that are kept in a folder, or without a folder those that never repeat."""
    if not folder:
        return samples
    return KeptSamples(
        samples,
        count=count,
        per_shard=per_shard,
        folder=Path(folder),
        made_by=made_by,
        seed=seed,
    )


def renewed(
    samples: Samples,
    *,
    per_shard: int,
    window: int,
    uses: int,
    folder: str,
    made_by: Mapping[str, Any],
    seed: int,
) -> Samples:
    """Return `RenewedSamples` of a folder, or without a folder samples that never repeat."""
    if not folder:
        return samples
    return RenewedSamples(
        samples,
        per_shard=per_shard,
        window=window,
        uses=uses,
        folder=Path(folder),
        made_by=made_by,
        seed=seed,
    )


def kept_of_worlds(
    draw: Callable[[WorldSamples], Samples],
    config: SampleConfig,
    photos: Sequence[Path],
    seed: int,
    *,
    count: int,
    per_shard: int,
    folder: str,
) -> Samples:
    """Return what is drawn from generated worlds, kept as by `kept`.

    Args:
        draw: Makes samples of the worlds.
        config: What the worlds show.
        photos: Folders of photos for their walls; without, they are painted.
        seed: Of the worlds, and of the order after the first time round.
        count: How many samples are kept.
        per_shard: Samples of one file.
        folder: Where the files are; empty for samples that never repeat.
    """
    worlds, made_by = _of_worlds(config, photos, seed)
    return kept(
        draw(worlds), count=count, per_shard=per_shard, folder=folder, made_by=made_by, seed=seed
    )


def renewed_of_worlds(
    draw: Callable[[WorldSamples], Samples],
    config: SampleConfig,
    photos: Sequence[Path],
    seed: int,
    *,
    window: int,
    uses: int,
    folder: str,
    per_clip: int = 1,
) -> Samples:
    """Return what is drawn from generated worlds, a world a shard; see `RenewedSamples`.

    Args:
        draw: Makes samples of the worlds.
        config: What the worlds show.
        photos: Folders of photos for their walls; without, they are painted.
        seed: Of the worlds, and of the draws.
        window: Worlds that are at hand at a time.
        uses: How often a sample is taken on average.
        folder: Where the files are; empty for samples that never repeat.
        per_clip: Samples that are drawn of each clip.
    """
    worlds, made_by = _of_worlds(config, photos, seed)
    return renewed(
        draw(worlds),
        per_shard=config.per_world * per_clip,
        window=window,
        uses=uses,
        folder=folder,
        made_by=made_by,
        seed=seed,
    )


def _of_worlds(
    config: SampleConfig, photos: Sequence[Path], seed: int
) -> tuple[WorldSamples, dict[str, Any]]:
    """Return worlds, and all that they depend on."""
    # None, not an empty pool: worlds are remembered by what they are built with.
    pool = PhotoPool(photos) if photos else None
    worlds = to_dict(config)
    # Files that were made before there were any of these are what they are without them.
    for name, value in (
        ('gaits', GaitShares()),
        ('labels', False),
        ('objects', False),
        ('people', 0),
    ):
        if getattr(config, name) == value:
            del worlds[name]
    made_by = {'worlds': worlds, 'photos': [str(path) for path in photos], 'seed': seed}
    return WorldSamples(config, seed, photos=pool), made_by


@lru_cache(maxsize=2)
def _order(seed: int, turn: int, count: int) -> npt.NDArray[np.intp]:
    return np.asarray(np.random.default_rng([seed, turn, 7]).permutation(count), np.intp)


def _stacked(samples: Sequence[Sample]) -> dict[str, npt.NDArray[Any]]:
    return {name: np.stack([sample[name] for sample in samples]) for name in samples[0]}
