"""Lines of several processes on one terminal."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcv.bringup.console import Console, Lines


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_names_are_aligned_before_whole_lines():
    out = io.StringIO()
    console = Console(out, ['a', 'long'])
    console.line('a', 'one')
    console.line('long', 'two')
    console.say('three')
    assert out.getvalue() == 'a    | one\nlong | two\n-- three\n'


def test_colour_is_for_terminals(monkeypatch):
    monkeypatch.delenv('NO_COLOR', raising=False)
    out = Terminal()
    console = Console(out, ['a', 'b'])
    for name in 'ab':
        console.line(name, 'x')
    console.complain('died')
    first, second, complaint = out.getvalue().splitlines()
    assert first.startswith('\x1b[36ma')
    assert second.startswith('\x1b[33mb')
    assert complaint == '-- \x1b[31mdied\x1b[0m'


def test_no_color_is_respected(monkeypatch):
    monkeypatch.setenv('NO_COLOR', '1')
    out = Terminal()
    Console(out, ['a']).line('a', 'x')
    assert out.getvalue() == 'a | x\n'


@given(st.lists(st.text(st.characters(exclude_characters='\n\r', codec='utf-8'))), st.data())
def test_however_it_is_cut_the_lines_are_the_same(texts, data):
    stream = ''.join(f'{text}\n' for text in texts).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)))))
    lines, found = Lines(), []
    for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += lines.push(stream[begin:end])
    assert found + lines.end() == texts


@pytest.mark.parametrize(
    ('piece', 'text'),
    [(b'1 %\r2 %\r3 %\n', '3 %'), (b'windows\r\n', 'windows'), (b'\xff\n', '\ufffd')],
)
def test_odd_lines(piece, text):
    assert Lines().push(piece) == [text]


def test_a_last_line_without_end_is_kept():
    lines = Lines()
    assert lines.push(b'half') == []
    assert lines.end() == ['half']
    assert lines.end() == []


def test_an_endless_line_does_not_fill_the_memory():
    lines = Lines()
    found = [text for _ in range(10) for text in lines.push(b'x' * Lines.LONGEST)]
    assert sum(map(len, found)) >= 9 * Lines.LONGEST
