from __future__ import annotations

import errno
import os
import threading

import pytest

from dlcv.files import whole_file, write_whole


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
