"""Plain data to dataclasses and back; what does not fit is named."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from dlcv.config import ConfigError, convert, from_dict, load_yaml, to_dict


@dataclass(frozen=True)
class Inner:
    rate: float = 1.0
    name: Literal['a', 'b'] = 'a'

    def __post_init__(self):
        if self.rate <= 0:
            raise ValueError(f'rate must be positive, got {self.rate}')


@dataclass(frozen=True)
class Named:
    parts: dict[str, Inner]


@dataclass(frozen=True)
class Outer:
    size: tuple[int, int]
    inner: Inner = field(default_factory=Inner)
    layers: tuple[int, ...] = ()
    folder: Path | None = None
    flag: bool = False


def test_a_round_trip_changes_nothing():
    value = Outer(size=(3, 4), inner=Inner(rate=2.0), layers=(1, 2), folder=Path('x'), flag=True)
    assert from_dict(to_dict(value), Outer) == value


def test_mappings_are_converted_item_by_item():
    assert from_dict({'parts': {'x': {'rate': 3}}}, Named) == Named(parts={'x': Inner(rate=3.0)})
    with pytest.raises(ConfigError, match=r'parts\.x: unknown key'):
        from_dict({'parts': {'x': {'speed': 3}}}, Named)
    with pytest.raises(ConfigError, match='parts: expected a mapping'):
        from_dict({'parts': ['x']}, Named)


def test_integers_are_welcome_as_floats():
    assert from_dict({'rate': 2}, Inner).rate == 2.0


@pytest.mark.parametrize(
    ('data', 'words'),
    [
        ({'size': [1, 2], 'siez': 3}, r"Outer: unknown key 'siez'; known are \['flag', 'folder'"),
        ({'size': [1, 2], 'inner': {'rat': 1}}, r"inner: unknown key 'rat'"),
        ({}, r"Outer: 'size' is required"),
        ({'size': [1]}, r'size: expected 2 values, got 1'),
        ({'size': 'ab'}, r"size: expected a list, got 'ab'"),
        ({'size': [1, 'x']}, r"size\[1\]: expected int, got 'x'"),
        ({'size': [1, True]}, r'size\[1\]: expected int, got True'),
        ({'size': [1, 2], 'flag': 1}, r'flag: expected bool, got 1'),
        ({'size': [1, 2], 'inner': {'name': 'c'}}, r"inner.name: 'c' is none of \['a', 'b'\]"),
        ({'size': [1, 2], 'inner': {'rate': -1.0}}, r'inner: rate must be positive, got -1.0'),
        ({'size': [1, 2], 'folder': 3}, r'folder: expected Path, got 3'),
        ([1], r'Outer: expected a mapping, got \[1\]'),
    ],
)
def test_what_does_not_fit_is_named(data, words):
    with pytest.raises(ConfigError, match=words):
        from_dict(data, Outer)


@pytest.mark.parametrize(
    ('text', 'value'),
    [
        ('1e-3', 1e-3),
        ('-.5E+2', -50.0),
        ('1.e5', 1e5),
        ('[2e4, 7]', [2e4, 7]),
        ('rate: 5e-4', {'rate': 5e-4}),
        ('e5', 'e5'),
        ('"1e5"', '1e5'),
        ('12e', '12e'),
    ],
)
def test_powers_of_ten_need_no_point(text: str, value: object) -> None:
    found = load_yaml(text)
    assert found == value
    assert type(found) is type(value)


def test_a_tilde_in_a_path_is_the_home(monkeypatch):
    monkeypatch.setenv('HOME', '/home/anna')
    assert convert('~/a.mcap', Path, 'bag') == Path('/home/anna/a.mcap')
    assert convert(['~/a', 'b'], tuple[Path, ...], 'x') == (Path('/home/anna/a'), Path('b'))
