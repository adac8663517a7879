"""The matrix file: bags times configurations, read strictly and checked before anything runs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from dlcv.config import ConfigError, from_dict, load_yaml
from dlcv.evaluation.matrix.cell import Cell, Sections
from dlcv.evaluation.matrix.errors import MatrixError
from dlcv.files import TextError, expanded, read_text
from dlcv.interface import files
from dlcv.interface.nodes import NODES, NodeSpec
from dlcv.interface.parameters import ParameterError, Value
from dlcv.interface.share import share_file

EVERY_NODE = '/**'
NAME = re.compile(r'[A-Za-z0-9][\w.+-]*', re.ASCII)
OURS = (
    *('-o', '--output', '--mode', '--nodes', '--params', '--graph'),
    *('--again', '--compare', '--matrix', '--jobs', '--ray', '--retries'),
)

Mode = Literal['lock-step', 'real-time', 'in-process']
Argument = str | int | float


@dataclass(frozen=True, kw_only=True, slots=True)
class BagEntry:
    """One bag.

    Attributes:
        bag: File or folder.
        truth: Topic, or file; ``none`` for none though the bag has poses.
        truth_frame: Frame whose poses the truth tells.
        time_offset: Seconds to be added to the truth's stamps.
        images: Image topic.
        map: Map for relocalization; that of a configuration goes before it.
        arguments: More options of ``dlcv evaluate``.
    """

    bag: Path
    truth: str = ''
    truth_frame: str = ''
    time_offset: float = 0.0
    images: str = ''
    map: Path | None = None
    arguments: tuple[Argument, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Configuration:
    """What differs between runs on the same bag.

    Attributes:
        nodes: Which run; empty for those that `dlcv evaluate` runs.
        weights: Node -> name of shipped weights, or file.
        parameters: Node, or ``/**`` for all -> parameter -> value.
        params: ROS parameter file below these parameters; None for ``config/vo.yaml``.
        map: Map for relocalization.
        mode: How the outputs are made; None for the matrix's.
        arguments: More options of ``dlcv evaluate``.
    """

    nodes: tuple[str, ...] = ()
    weights: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, dict[str, Any]] = field(default_factory=dict)
    params: Path | None = None
    map: Path | None = None
    mode: Mode | None = None
    arguments: tuple[Argument, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Exclusion:
    """Cells that are left out; an empty name is every bag, or every configuration."""

    bag: str = ''
    configuration: str = ''

    def __post_init__(self) -> None:
        if not (self.bag or self.configuration):
            raise ConfigError('exclude: name a bag, a configuration or both')

    def fits(self, bag: str, configuration: str) -> bool:
        """Whether a cell is left out."""
        return self.bag in ('', bag) and self.configuration in ('', configuration)


@dataclass(frozen=True, kw_only=True, slots=True)
class Cluster:
    """What cells ask of a Ray cluster.

    Attributes:
        cpus: Cores of a cell.
        gpus: GPUs of a cell; may be a fraction.
        ship: Whether bags and other files travel with the cells, for nodes that share no folder.
    """

    cpus: float = 1.0
    gpus: float = 0.0
    ship: bool = False

    def __post_init__(self) -> None:
        if self.cpus < 0 or self.gpus < 0:
            raise ConfigError(f'ray: cpus {self.cpus:g} and gpus {self.gpus:g} must not be below 0')


@dataclass(frozen=True, kw_only=True, slots=True)
class MatrixFile:
    """A matrix as it is written.

    Attributes:
        title: Headline of the summary; empty for the file's name.
        bags: By name.
        configurations: By name.
        mode: How the outputs are made.
        arguments: More options of ``dlcv evaluate`` for each cell.
        exclude: Cells that are left out.
        timeout: Seconds after which a run is given up; 0 for never.
        columns: Section -> metrics in the summary; empty for the first ones of each section.
        ray: What cells ask of a cluster.
    """

    title: str = ''
    bags: dict[str, BagEntry]
    configurations: dict[str, Configuration]
    mode: Mode = 'lock-step'
    arguments: tuple[Argument, ...] = ()
    exclude: tuple[Exclusion, ...] = ()
    timeout: float = 0.0
    columns: dict[str, tuple[str, ...]] = field(default_factory=dict)
    ray: Cluster = field(default_factory=Cluster)


@dataclass(frozen=True, kw_only=True, slots=True)
class Matrix:
    """A matrix that can be run.

    Attributes:
        title: Headline.
        cells: Bag by bag.
        columns: As those of `MatrixFile`.
        ray: What cells ask of a cluster.
    """

    title: str
    cells: tuple[Cell, ...]
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    ray: Cluster = field(default_factory=Cluster)


def load(path: Path) -> Matrix:
    """Read a matrix file; relative paths in it begin at its folder.

    Raises:
        MatrixError: It is not what it should be, a file that it names is not there, or a node
            would refuse a parameter.
    """
    try:
        written = from_dict(_spelt_out(load_yaml(read_text(path))), MatrixFile)
        cells = tuple(_Cells(written, path.resolve().parent).all())
    except FileNotFoundError:
        raise MatrixError(f'{path}: no such matrix file') from None
    except (OSError, TextError) as err:
        raise MatrixError(f'{path}: cannot be read: {err}') from None
    except yaml.YAMLError as err:
        raise MatrixError(f'{path}: no YAML: {" ".join(str(err).split())}') from None
    except (ConfigError, ParameterError) as err:
        raise MatrixError(f'{path}: {err}') from None
    return Matrix(
        title=written.title or path.stem, cells=cells, columns=written.columns, ray=written.ray
    )


def _spelt_out(data: Any) -> Any:
    """Return the file's data with short forms written out: ``name: file.mcap``, ``default:``."""
    if not isinstance(data, dict):
        raise ConfigError(f'expected a mapping with bags and configurations, got {data!r}')
    whole = dict(data)
    for key in ('bags', 'configurations'):
        entries = whole.get(key)
        if isinstance(entries, dict):
            for name in entries:
                _check_name(key, name)
            whole[key] = {name: _entry(key, value) for name, value in entries.items()}
    return whole


def _entry(key: str, value: Any) -> Any:
    if key == 'bags' and isinstance(value, str):
        return {'bag': value}
    return {} if key == 'configurations' and value is None else value


def _check_name(key: str, name: Any) -> None:
    """Names become folders."""
    if not isinstance(name, str):
        raise ConfigError(f'{key}: name {name!r} is no text: put it in quotes')
    if not NAME.fullmatch(name):
        raise ConfigError(f'{key}: name {name!r}: expected letters, digits and any of _ . + -')


class _Cells:
    """Makes the cells of a matrix file."""

    def __init__(self, written: MatrixFile, folder: Path) -> None:
        self._written = written
        self._folder = folder

    def all(self) -> Iterator[Cell]:
        written = self._written
        self._check_exclusions()
        bags = {name: self._bag(f'bags.{name}', bag) for name, bag in written.bags.items()}
        sections = {
            name: self._sections(f'configurations.{name}', configuration)
            for name, configuration in written.configurations.items()
        }
        pairs = [(b, c) for b in bags for c in sections if not self._left_out(b, c)]
        if not pairs:
            raise ConfigError('no cell: name a bag and a configuration that are not excluded')
        for bag, configuration in pairs:
            yield Cell(
                bag=bag,
                configuration=configuration,
                arguments=(*bags[bag], *self._how(bag, configuration)),
                parameters=sections[configuration],
                timeout=written.timeout,
            )

    def _left_out(self, bag: str, configuration: str) -> bool:
        return any(e.fits(bag, configuration) for e in self._written.exclude)

    def _check_exclusions(self) -> None:
        for exclusion in self._written.exclude:
            _check_known('exclude: bag', exclusion.bag, self._written.bags)
            _check_known(
                'exclude: configuration', exclusion.configuration, self._written.configurations
            )

    def _bag(self, where: str, entry: BagEntry) -> tuple[str | Path, ...]:
        """Return the arguments that say what is evaluated."""
        return (
            self._file(f'{where}.bag', entry.bag),
            *(('--truth', self._truth(where, entry.truth)) if entry.truth else ()),
            *(('--truth-frame', entry.truth_frame) if entry.truth_frame else ()),
            *(('--time-offset', repr(entry.time_offset)) if entry.time_offset else ()),
            *(('--images', entry.images) if entry.images else ()),
        )

    def _truth(self, where: str, truth: str) -> str | Path:
        """Return a file if there is one of that name, else a topic."""
        if (file := self._folder / expanded(truth)).exists():
            return file
        if truth.startswith('/') or truth == 'none':
            return truth
        raise ConfigError(
            f'{where}.truth: no file {self._folder / truth}; names of topics begin with /'
        )

    def _how(self, bag: str, configuration: str) -> tuple[str | Path, ...]:
        """Return the arguments that say how a bag is evaluated."""
        entry, chosen = self._written.bags[bag], self._written.configurations[configuration]
        where = f'configurations.{configuration}'
        given = chosen.map or entry.map
        place = where if chosen.map else f'bags.{bag}'
        for node in chosen.nodes:
            _check_known(f'{where}.nodes', node, NODES)
        more = (
            *_own('arguments', self._written.arguments),
            *_own(f'bags.{bag}.arguments', entry.arguments),
            *_own(f'{where}.arguments', chosen.arguments),
        )
        return (
            *('--mode', chosen.mode or self._written.mode),
            *(('--nodes', ','.join(chosen.nodes)) if chosen.nodes else ()),
            *(('--map', self._file(f'{place}.map', given)) if given else ()),
            *more,
        )

    def _sections(self, where: str, configuration: Configuration) -> Sections:
        """Return the parameters of the nodes: those of a file, changed by the configuration.

        The file's are always told, so that two cells differ by what the matrix says alone.
        """
        base = configuration.params
        path = self._file(f'{where}.params', base) if base else share_file('config/vo.yaml')
        sections: dict[str, dict[str, Value | Path]] = {}
        for pattern, given in files.sections(path):
            others = files.unknown(given) if files.for_all(pattern) else []  # of a robot's others
            _lay(sections, pattern, {k: v for k, v in given.items() if k not in others})
        for name, values in _everyones_first(configuration.parameters).items():
            _lay(sections, _pattern(f'{where}.parameters', name), _as_ros(values))
        for name, weights in configuration.weights.items():
            _check_known(f'{where}.weights', name, NODES)
            chosen = self._weights(f'{where}.weights.{name}', NODES[name], weights)
            _lay(sections, f'/**/{name}', {'weights': chosen})
        _check_parameters(where, sections)
        return sections

    def _weights(self, where: str, spec: NodeSpec, weights: str) -> str | Path:
        if weights in spec.weights:
            return weights
        file = self._folder / expanded(weights)
        if not file.is_file():
            raise ConfigError(
                f'{where}: no file {file}; the names of shipped weights are '
                f'{", ".join(spec.weights)}'
            )
        return file

    def _file(self, where: str, path: Path) -> Path:
        if not (self._folder / path).exists():
            raise ConfigError(f'{where}: there is no {self._folder / path}')
        return self._folder / path


def _check_known(where: str, name: str, known: Mapping[str, object]) -> None:
    if name and name not in known:
        raise ConfigError(f'{where}: no {name!r}; there are {", ".join(known)}')


def _own(where: str, arguments: tuple[Argument, ...]) -> Iterator[str]:
    """Yield arguments as text; what a matrix sets itself is refused."""
    for argument in map(str, arguments):
        if argument.partition('=')[0] in OURS:
            raise ConfigError(f'{where}: {argument!r}: the matrix sets this itself')
        yield argument


def _pattern(where: str, name: str) -> str:
    """Return the section of a parameter file that is meant by a node's name."""
    if name == EVERY_NODE:
        return name
    _check_known(where, name, {**NODES, EVERY_NODE: None})
    return f'/**/{name}'


def _everyones_first(parameters: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return dict(sorted(parameters.items(), key=lambda item: item[0] != EVERY_NODE))


def _as_ros(values: Mapping[str, Any]) -> dict[str, Value]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}


def _lay(
    sections: dict[str, dict[str, Value | Path]], pattern: str, values: Mapping[str, Value | Path]
) -> None:
    """Set parameters so that they go before all that were set so far: the last section wins."""
    sections[pattern] = {**sections.pop(pattern, {}), **values}


def _check_parameters(where: str, sections: Sections) -> None:
    """Raise a ParameterError if a node would refuse what it is given."""
    for spec in NODES.values():
        given = files.merged(sections.items(), f'/{spec.name}')
        told = {k: str(v) if isinstance(v, Path) else v for k, v in given.items()}
        files.checked(told, spec, where)
