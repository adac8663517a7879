"""Text as programs write it, paths as people do, and files that are whole or not there."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from dlcv.files import TextError, expanded, read_text, whole_file, write_whole

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


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_written_and_replaced(tmp_path):
    path = tmp_path / 'a.txt'
    write_whole(path, 'größer\n')
    write_whole(str(path), b'new')
    assert path.read_bytes() == b'new'
    assert names(tmp_path) == ['a.txt']


@pytest.mark.parametrize('there', [True, False])
@pytest.mark.parametrize(
    'error',
    [OSError(errno.ENOSPC, 'No space left on device'), OSError('4096 requested and 17 written')],
)
def test_after_an_error_there_is_what_was_there_before(tmp_path, there, error):
    path = tmp_path / 'a.npz'
    if there:
        path.write_bytes(b'old')
    with (
        pytest.raises(OSError, match=r'17 written|No space left') as caught,
        whole_file(path) as part,
    ):
        part.write_bytes(b'half')
        raise error
    assert caught.value.filename == str(path)
    assert names(tmp_path) == (['a.npz'] if there else [])
    assert not there or path.read_bytes() == b'old'


def test_other_errors_leave_nothing_either(tmp_path):
    with pytest.raises(KeyError), whole_file(tmp_path / 'a') as part:
        part.write_bytes(b'half')
        raise KeyError
    assert names(tmp_path) == []


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        write_whole(tmp_path / 'no' / 'a.txt', '')
    assert caught.value.filename == str(tmp_path / 'no' / 'a.txt')


def test_links_stay_links_and_pipes_stay_pipes(tmp_path):
    (tmp_path / 'link').symlink_to(tmp_path / 'real')
    write_whole(tmp_path / 'link', 'x')
    assert (tmp_path / 'link').is_symlink()
    assert (tmp_path / 'real').read_text() == 'x'
    pipe, read = tmp_path / 'pipe', []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    write_whole(pipe, b'through')
    reader.join()
    assert read == [b'through']
