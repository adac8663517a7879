"""Whom a node has found, as text."""

from __future__ import annotations

import pytest

from dlcv.interface.diagnostics import peers_text, read_peers


@pytest.mark.parametrize('peers', [{}, {'/image': 1}, {'/image': 2, '/robot/camera_info': 0}])
def test_there_and_back(peers: dict[str, int]) -> None:
    assert read_peers(peers_text(peers)) == peers


def test_it_reads_well() -> None:
    assert peers_text({'/image': 2, '/camera_info': 0}) == '/image 2, /camera_info 0'


@pytest.mark.parametrize('text', ['/image', '/image two', '/image 1, /camera_info'])
def test_something_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=f"topics and their numbers are needed, got '{text}'"):
        read_peers(text)
