"""Recordings in two parts: what a map is made from, and what is looked up in it.

A folder of any layout may name its pictures in ``train.txt`` and ``test.txt``, one a line, with or
without ``.png`` or ``.color.png``. A scene of 7-Scenes names its sequences in ``TrainSplit.txt``
and ``TestSplit.txt`` (``sequence1`` is the folder ``seq-01``).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from dlcv.data.datasets import recognise_folder
from dlcv.data.datasets.errors import DatasetError, wrong_folder
from dlcv.data.datasets.files import read_lines
from dlcv.data.datasets.folder import FolderOptions, FolderRecording
from dlcv.data.datasets.seven_scenes import read_seven_scenes
from dlcv.files import expanded

T = TypeVar('T', bound=Hashable)

PICTURES = ('train.txt', 'test.txt')
SEQUENCES = ('TrainSplit.txt', 'TestSplit.txt')


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Split:
    """A place seen twice; no picture is in both parts.

    Sequences of a part follow one another, and times begin anew with each.

    Attributes:
        name: Short name, for titles.
        train: To make a map from.
        test: To look up in it.
    """

    name: str
    train: FolderRecording
    test: FolderRecording


def read_split(source: Path | str, options: FolderOptions | None = None) -> Split:
    """Open a folder with its lists.

    Args:
        source: The folder; of 7-Scenes that of a scene.
        options: What the folder does not say itself.

    Raises:
        DatasetError: There are no lists, or they do not fit the folder or each other, or a file in
            it is wrong or missing.
    """
    folder, options = expanded(source), options or FolderOptions()
    for names, read in ((PICTURES, _by_pictures), (SEQUENCES, _by_sequences)):
        there = [name for name in names if (folder / name).is_file()]
        if len(there) == 1:
            (missing,) = set(names) - set(there)
            raise DatasetError(f'{folder}: there is {there[0]} but no {missing}')
        if there:
            return read(folder, options)
    raise wrong_folder(folder, 'train and test', [' and '.join(PICTURES), ' and '.join(SEQUENCES)])


def _by_pictures(folder: Path, options: FolderOptions) -> Split:
    whole = recognise_folder(folder, options)
    known = {
        name: item
        for item in whole.items
        for stem in [item.picture.stem]
        for name in (stem.removesuffix('.color'), stem, item.picture.name)
    }
    train, test = _listed(folder, PICTURES, known, 'picture')
    return Split(
        name=whole.name, train=replace(whole, items=train), test=replace(whole, items=test)
    )


def _by_sequences(folder: Path, options: FolderOptions) -> Split:
    if options.sequence is not None:
        raise DatasetError(
            f'{folder}: asked for sequence {options.sequence}; {" and ".join(SEQUENCES)} name them'
        )
    sequences = sorted(path.name for path in folder.glob('seq-*') if path.is_dir())
    known = {
        name: sequence
        for sequence in sequences
        for name in (f'sequence{sequence.removeprefix("seq-").lstrip("0")}', sequence)
    }
    name = folder.resolve().name
    train, test = (
        [read_seven_scenes(folder, replace(options, sequence=sequence)) for sequence in part]
        for part in _listed(folder, SEQUENCES, known, 'sequence')
    )
    return Split(name=name, train=_joined(name, train), test=_joined(name, test))


def _joined(name: str, parts: list[FolderRecording]) -> FolderRecording:
    return replace(parts[0], name=name, items=tuple(item for part in parts for item in part.items))


def _listed(
    folder: Path, lists: tuple[str, str], known: Mapping[str, T], what: str
) -> tuple[tuple[T, ...], tuple[T, ...]]:
    """Return what both lists name.

    Raises:
        DatasetError: A list is empty, or names what is not there or what was named before.
    """
    named: dict[T, str] = {}
    parts: list[tuple[T, ...]] = []
    for path in (folder / name for name in lists):
        part = []
        for number, name in read_lines(path):
            where = f'{path}, line {number}'
            if name not in known:
                there = list(dict.fromkeys(known.values()))
                example = f', such as {next(iter(known))}' if known else ''
                raise DatasetError(f'{where}: no {what} {name!r}; there are {len(there)}{example}')
            if (before := named.setdefault(known[name], where)) != where:
                raise DatasetError(f'{where}: {name} was named before, by {before}')
            part.append(known[name])
        if not part:
            raise DatasetError(f'{path}: names no {what}')
        parts.append(tuple(part))
    return parts[0], parts[1]
