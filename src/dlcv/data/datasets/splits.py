"""Recordings in two parts: what a map is made from, and what is looked up in it.

A folder of any layout may name its pictures in ``train.txt`` and ``test.txt``, one a line, with or
without ``.png`` or ``.color.png``. A scene of 7-Scenes names its sequences in ``TrainSplit.txt``
and ``TestSplit.txt`` (``sequence1`` is the folder ``seq-01``). Cambridge Landmarks names pictures,
with their poses, in ``dataset_train.txt`` and ``dataset_test.txt``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Literal, get_args

from dlcv.data.datasets import recognise_folder
from dlcv.data.datasets.cambridge import LISTS as CAMBRIDGE
from dlcv.data.datasets.cambridge import without_header
from dlcv.data.datasets.errors import DatasetError, wrong_folder
from dlcv.data.datasets.files import read_lines
from dlcv.data.datasets.folder import FolderOptions, FolderRecording, Item
from dlcv.data.datasets.seven_scenes import read_seven_scenes, sequences_in
from dlcv.files import expanded

PICTURES = ('train.txt', 'test.txt')
SEQUENCES = ('TrainSplit.txt', 'TestSplit.txt')
KNOWN = (PICTURES, SEQUENCES, CAMBRIDGE)
"""Names of the lists: of training and of test."""

Which = Literal['train', 'test', 'all']
WHICH: tuple[Which, ...] = get_args(Which)


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


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Part:
    """Some pictures of a folder.

    Attributes:
        recording: They, in the order of the folder.
        said: Which they are, for people; empty where the folder has no lists and none was given.
    """

    recording: FolderRecording
    said: str


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Units:
    """What lists of a folder name: pictures, or sequences of them.

    Attributes:
        what: ``picture`` or ``sequence``.
        known: Each name -> numbers of what it may stand for.
        names: Name of each.
        read: Returns the recording of some, by their numbers.
    """

    what: str
    known: Mapping[str, tuple[int, ...]]
    names: Sequence[str]
    read: Callable[[Sequence[int]], FolderRecording]


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
    lists = lists_in(folder)
    if lists is None:
        raise wrong_folder(folder, 'train and test', [' and '.join(names) for names in KNOWN])
    if missing := [name for name in lists if not (folder / name).is_file()]:
        (there,) = set(lists) - set(missing)
        raise DatasetError(f'{folder}: there is {there} but no {missing[0]}')
    units = _units(folder, lists, options)
    train = _named(folder / lists[0], units)
    test = _named(folder / lists[1], units, train)
    return Split(
        name=folder.resolve().name if lists == SEQUENCES else units.read([0]).name,
        train=units.read(list(train)),
        test=units.read(list(test)),
    )


def read_part(
    source: Path | str,
    options: FolderOptions | None = None,
    which: Which | None = None,
    listed: Path | None = None,
) -> Part:
    """Open those pictures of a folder that a map is made of.

    Where the folder has lists, these are the ones for training. A list of test pictures alone
    leaves all others. Of the pictures that are not wanted, files may be missing.

    Args:
        source: The folder.
        options: What the folder does not say itself; a sequence that is named there is taken
            whatever lists say of it.
        which: Other pictures than those for training; ``all`` are all of the folder.
        listed: A file that names pictures, of which the folder need know nothing.

    Raises:
        DatasetError: The list that was asked for is not there, or does not fit the folder or the
            other; or a file in the folder is wrong or missing.
    """
    folder, options = Path(source), options or FolderOptions()
    if listed is not None:
        return _by_list(folder, options, listed)
    lists = lists_in(folder)
    if lists is None:
        if which in ('train', 'test'):
            wanted = ', '.join(name for names in KNOWN for name in names)
            raise DatasetError(
                f'{folder}: asked for the pictures of {which}, but no list names them; looked for '
                f'{wanted}'
            )
        whole = _whole(folder, options) if which else recognise_folder(folder, options)
        return Part(recording=whole, said=_of_test(folder))
    if which is None and options.sequence is not None and lists == SEQUENCES:
        return Part(
            recording=recognise_folder(folder, options),
            said=f'sequence {options.sequence} was asked for, whatever {" and ".join(lists)} say',
        )
    if which == 'all':
        whole = _whole(folder, options)
        there = ' and '.join(name for name in lists if (folder / name).is_file())
        return Part(
            recording=whole, said=f'all {len(whole)} pictures, whatever {there} say of them'
        )
    return _by_lists(folder, options, lists, which or 'train')


def _by_lists(
    folder: Path, options: FolderOptions, lists: tuple[str, str], which: Literal['train', 'test']
) -> Part:
    """Return the pictures of one list, or those that the other does not name."""
    units = _units(folder, lists, options)
    name, other = lists if which == 'train' else lists[::-1]
    rest: dict[int, str] = {}
    if (folder / other).is_file():
        rest = _named(folder / other, units, lenient=(folder / name).is_file())
    if (folder / name).is_file():
        chosen, source = _named(folder / name, units, rest), name
    elif which == 'train':
        chosen = {number: '' for number in range(len(units.names)) if number not in rest}
        source = f'what {other} does not name'
    else:
        raise DatasetError(f'{folder}: asked for the pictures of test: there is {other} only')
    if not chosen:
        raise DatasetError(f'{folder / other} names every {units.what}: none is left')
    recording = units.read(sorted(chosen))
    what = _count(len(chosen), units.what)
    if units.what == 'sequence':
        what = f'{", ".join(units.names[n] for n in sorted(chosen))} ({len(recording)} pictures)'
    said = f'{source}: {what} of {len(units.names)}'
    if rest:
        verb = 'is' if len(rest) == 1 else 'are'
        said += f'; the {_count(len(rest), units.what)} of {other} {verb} left alone'
    return Part(recording=recording, said=said)


def _by_list(folder: Path, options: FolderOptions, listed: Path) -> Part:
    units = _pictures(folder, _whole(folder, options))
    chosen = _named(listed, units)
    said = f'{listed.name}: {_count(len(chosen), "picture")} of {len(units.names)}'
    return Part(recording=units.read(sorted(chosen)), said=said)


def _of_test(folder: Path) -> str:
    """Say that a sequence of 7-Scenes is one that its scene counts among the test; else nothing."""
    path = folder.resolve().parent / SEQUENCES[1]
    name = folder.resolve().name
    if not path.is_file() or not name.startswith('seq-'):
        return ''
    alike = {name, f'sequence{name.removeprefix("seq-").lstrip("0")}'}
    of_test = any(line in alike for _, line in read_lines(path))
    return f'{name} was asked for, which {path.name} counts among the test' if of_test else ''


def _count(number: int, what: str) -> str:
    return f'{number} {what}{"s" * (number != 1)}'


def lists_in(folder: Path) -> tuple[str, str] | None:
    """Return the names of the lists of a folder, of which one is there at least; None of none."""
    for names in KNOWN:
        if any((folder / name).is_file() for name in names):
            return names
    return None


def _whole(folder: Path, options: FolderOptions) -> FolderRecording:
    """Return all pictures of a folder, also those of several sequences."""
    sequences = sequences_in(folder)
    if options.sequence is None and len(sequences) > 1:
        return _sequences(folder, sequences, options)
    return recognise_folder(folder, options)


def _sequences(folder: Path, sequences: Sequence[str], options: FolderOptions) -> FolderRecording:
    parts = [read_seven_scenes(folder, replace(options, sequence=name)) for name in sequences]
    items = tuple(item for part in parts for item in part.items)
    return replace(parts[0], name=folder.resolve().name, items=items)


def _units(folder: Path, lists: tuple[str, str], options: FolderOptions) -> _Units:
    """Return what the lists of a folder name."""
    if lists != SEQUENCES:
        return _pictures(folder, _whole(folder, options))
    if options.sequence is not None:
        raise DatasetError(
            f'{folder}: asked for sequence {options.sequence}; {" and ".join(SEQUENCES)} name them'
        )
    names = sequences_in(folder)
    known = {
        name: (number,)
        for number, sequence in enumerate(names)
        for name in (f'sequence{sequence.removeprefix("seq-").lstrip("0")}', sequence)
    }
    return _Units(
        what='sequence',
        known=known,
        names=names,
        read=lambda chosen: _sequences(folder, [names[number] for number in chosen], options),
    )


def _pictures(folder: Path, whole: FolderRecording) -> _Units:
    known: dict[str, tuple[int, ...]] = {}
    for number, item in enumerate(whole.items):
        for name in _names(folder, item):
            known[name] = (*known.get(name, ()), number)
    return _Units(
        what='picture',
        known=known,
        names=[item.picture.name for item in whole.items],
        read=lambda chosen: replace(whole, items=tuple(whole.items[number] for number in chosen)),
    )


def _names(folder: Path, item: Item) -> list[str]:
    """Return what a list may call a picture."""
    path, stem = item.picture, item.picture.stem
    names = [stem.removesuffix('.color'), stem, path.name, str(path), str(path.resolve())]
    if path.is_relative_to(folder):
        within = PurePosixPath(path.relative_to(folder).as_posix())
        names += [str(within), str(within.with_suffix('')).removesuffix('.color')]
    return list(dict.fromkeys(names))


def _named(
    path: Path, units: _Units, other: Mapping[int, str] | None = None, *, lenient: bool = False
) -> dict[int, str]:
    """Return what a list names: numbers, in its order, and where each is named.

    Args:
        path: The list.
        units: What it may name.
        other: What the other list names.
        lenient: Leave out names of what is not there.

    Raises:
        DatasetError: The list cannot be read or is empty, or names what is not there, what was
            named before, or what may be several.
    """
    chosen: dict[int, str] = {}
    lines = without_header(read_lines(path))
    for number, line in lines:
        where = f'{path}, line {number}'
        name = next((n for n in _spellings(line) if n in units.known), line)
        found = units.known.get(name, ())
        if not found and lenient:
            continue
        if not found:
            example = f', such as {next(iter(units.known))}' if units.known else ''
            raise DatasetError(
                f'{where}: no {units.what} {name!r}; there are {len(units.names)}{example}'
            )
        if len(found) > 1:
            raise DatasetError(
                f'{where}: {name!r} may be any of {len(found)} {units.what}s; name its folder too'
            )
        if before := chosen.get(found[0], (other or {}).get(found[0], '')):
            raise DatasetError(f'{where}: {name} was named before, by {before}')
        chosen[found[0]] = where
    if not lines:
        raise DatasetError(f'{path}: names no {units.what}')
    return chosen


def _spellings(line: str) -> list[str]:
    """Return what a line may mean by a name: the whole of it, or its first word."""
    first = line.replace(',', ' ').split()[0]
    return [name for word in (line, first) for name in (word, word.removeprefix('./'))]
