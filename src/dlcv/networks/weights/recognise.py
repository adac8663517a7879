"""Tell from the names and shapes of tensors which network they belong to.

A family says how one public code base names the tensors of one network. For each family the file
is asked: which configuration do your shapes speak of, and which tensors would it then have? The
family whose tensors are exactly those of the file is the answer; if there is none, the nearest
one and the first differences are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from dlcv.networks.registry import ModelConfig, build
from dlcv.networks.weights.files import Checkpoint, Note, WeightsError

Tensors = Mapping[str, Tensor]
Shape = tuple[int, ...]

_SHOWN = 3  # differences of each kind that a message names
_DRAWING = ('normal_', 'uniform_', 'kaiming_normal_', 'kaiming_uniform_', 'xavier_uniform_')
_COUNTER = 'num_batches_tracked'  # unused in inference, and unknown to PyTorch before 0.4.1


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """How one public code base names and lays out the tensors of a network.

    Attributes:
        name: Short name, for tables.
        network: Which network of ours it is: ``superpoint``, ``flownet``...
        title: What it is, in words.
        infer: Configuration from tensors (see ``tidy``) and the notes beside them; missing tensors
            count as those of the published size.
        file_keys: The file's keys in the order of our own; identity where we use the same.
        tidy: Bring tensors into PyTorch's layout and drop what is no weight, keeping the names.
        undecided: Fields of a configuration that the file leaves open, and what to say for them.
        hint: What to say when a file is nearest to this family and does not fit.
    """

    name: str
    network: str
    title: str
    infer: Callable[[Tensors, Mapping[str, Note]], ModelConfig]
    file_keys: Callable[[Sequence[str]], Sequence[str]] = list
    tidy: Callable[[Tensors], Tensors] = dict
    undecided: Callable[[ModelConfig], Mapping[str, str]] = lambda _: {}
    hint: str = ''


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Fit:
    """A family held against the tensors of a file.

    Attributes:
        family: The family.
        config: The configuration that the shapes speak of.
        state: State dict for our network of that configuration; whole only if ``exact``.
        shared: How many keys the file and the family have in common.
        missing: Keys the file lacks.
        unexpected: Keys the family does not know.
        reshaped: Key, shape in the file and shape wanted, where they differ.
    """

    family: Family
    config: ModelConfig
    state: dict[str, Tensor]
    shared: int
    missing: list[str]
    unexpected: list[str]
    reshaped: list[tuple[str, Shape, Shape]]

    @property
    def exact(self) -> bool:
        """Whether the file is of this family."""
        return not (self.missing or self.unexpected or self.reshaped)

    @property
    def wanted(self) -> int:
        """How many tensors a file of the family has in that configuration."""
        return self.shared + len(self.missing)

    @property
    def likeness(self) -> float:
        """Share of equally named and shaped tensors among all of both, 0..1."""
        return (self.shared - len(self.reshaped)) / (self.wanted + len(self.unexpected))

    @property
    def differences(self) -> str:
        """The first keys that differ, in words."""
        shapes = [f'{key} {got}, wanted {want}' for key, got, want in self.reshaped]
        kinds = (
            ('missing', self.missing),
            ('unexpected', self.unexpected),
            ('wrong shape', shapes),
        )
        return '; '.join(f'{kind}: {_first(items)}' for kind, items in kinds if items)


def recognise(checkpoint: Checkpoint, families: Sequence[Family]) -> Fit:
    """Find the family a file is of.

    Raises:
        WeightsError: If it is of none; the message names the nearest one and what differs.
    """
    fits: list[Fit] = []
    for tensors in _unwrapped(checkpoint.tensors):
        here = [fit(family, tensors, checkpoint.notes) for family in families]
        for found in here:
            if found.exact:
                return found
        fits += here
    nearest = max(fits, key=lambda one: (one.likeness, one.shared))
    if not nearest.shared:
        raise WeightsError(
            f'{checkpoint.path}: nothing like any known network; its tensors are '
            f'{_first(list(checkpoint.tensors))}; known families are '
            f'{", ".join(family.name for family in families)}'
        )
    hint = f' ({nearest.family.hint})' if nearest.family.hint else ''
    raise WeightsError(
        f'{checkpoint.path} fits no known family; nearest is {nearest.family.name} '
        f'({nearest.family.title}) with {nearest.shared} of {nearest.wanted} keys; '
        f'{nearest.differences}{hint}'
    )


def _unwrapped(tensors: Tensors) -> Iterator[Tensors]:
    """Give tensors under shorter and shorter names, as long as all have one word in front.

    Training leaves such words: ``module.``, ``_orig_mod.`` (which torch.compile puts also within),
    ``model.`` and others.
    """
    plain = {key.replace('._orig_mod.', '.'): value for key, value in tensors.items()}
    while True:
        yield plain
        words = {key.partition('.')[0] for key in plain}
        if len(words) != 1 or not all('.' in key for key in plain):
            return
        plain = {key.partition('.')[2]: value for key, value in plain.items()}


def fit(family: Family, tensors: Tensors, notes: Mapping[str, Note]) -> Fit:
    """Hold one family against the tensors of a file."""
    tidied = family.tidy(tensors)
    try:
        config = family.infer(tidied, notes)
        shapes = layout(config)
    except ValueError:  # the shapes are no configuration at all: compare with the published one
        config = family.infer({}, {})
        shapes = layout(config)
    return _compare(family, config, shapes, tidied)


def _compare(
    family: Family, config: ModelConfig, shapes: Mapping[str, Shape], tensors: Tensors
) -> Fit:
    state: dict[str, Tensor] = {}
    missing: list[str] = []
    reshaped: list[tuple[str, Shape, Shape]] = []
    file_keys = family.file_keys(list(shapes))
    for (key, shape), file_key in zip(shapes.items(), file_keys, strict=True):
        value = tensors.get(file_key)
        if value is None and key.endswith(_COUNTER):
            value = torch.zeros(shape, dtype=torch.int64)
        if value is None:
            missing.append(file_key)
            continue
        state[key] = value
        if tuple(value.shape) != shape:
            reshaped.append((file_key, tuple(value.shape), shape))
    return Fit(
        family=family,
        config=config,
        state=state,
        shared=sum(key in tensors for key in file_keys),
        missing=missing,
        unexpected=sorted(set(tensors) - set(file_keys)),
        reshaped=reshaped,
    )


@lru_cache(maxsize=64)
def layout(config: ModelConfig) -> Mapping[str, Shape]:
    """Return key and shape of everything in the state dict of a network, without making it."""
    network = blueprint(config)
    return {key: tuple(value.shape) for key, value in network.state_dict().items()}


def blueprint(config: ModelConfig) -> nn.Module:
    """Return a network that has shapes and no values, whatever its size."""
    with torch.device('meta'), Undrawn():
        return build(config)


class Undrawn(TorchFunctionMode):
    """Build networks without drawing weights, for those that get theirs from a file.

    It saves a second for large ones; and on shapes alone drawing does nothing but load SymPy.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, '__name__', '') in _DRAWING:
            return args[0] if args else kwargs['tensor']
        return func(*args, **kwargs)


def _first(items: Sequence[str]) -> str:
    rest = len(items) - _SHOWN
    shown = ', '.join(items[:_SHOWN])
    return f'{shown} and {rest} more' if rest > 0 else shown
