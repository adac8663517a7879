"""Text as programs write it, and paths as people do."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlcv.files import TextError, expanded, read_text

TEXT = '# Größe\r\n1 2\r\n'


@pytest.mark.parametrize(
    'encoding', ['utf-8', 'utf-8-sig', 'utf-16', 'utf-16-le', 'utf-16-be', 'utf-32', 'latin-1']
)
def test_text_is_read_whatever_wrote_it(tmp_path, encoding):
    (tmp_path / 'a.txt').write_bytes(TEXT.encode(encoding))
    assert read_text(tmp_path / 'a.txt') == TEXT


def test_marks_within_are_taken_away(tmp_path):
    (tmp_path / 'a.txt').write_bytes(b'\xef\xbb\xbf1\n\xef\xbb\xbf2\n\x1a')  # copy /b a+b
    assert read_text(tmp_path / 'a.txt') == '1\n2\n'


@pytest.mark.parametrize('data', [b'\xff\xfe\x00', b'\x89PNG\r\n\x1a\n\x00\x00', b'\x80\x02}q\x01'])
def test_what_is_no_text_is_refused(tmp_path, data):
    (tmp_path / 'a.txt').write_bytes(data)
    with pytest.raises(TextError, match='is no text'):
        read_text(tmp_path / 'a.txt')


def test_a_tilde_is_the_home_also_within_quotes(monkeypatch):
    monkeypatch.setenv('HOME', '/home/anna')
    assert expanded('~/a b.txt') == Path('/home/anna/a b.txt')
    assert expanded(Path('~')) == Path('/home/anna')
    assert expanded('a/~/b') == Path('a/~/b')
    assert expanded('~nobody-of-that-name/x') == Path('~nobody-of-that-name/x')
