"""Files that come with the package are found wherever it is installed."""

from __future__ import annotations

from pathlib import Path

import pytest

import dlcv
from dlcv.interface.share import ShareError, share_file

ROOT = Path(__file__).parents[2]


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Return a function that pretends that dlcv lies in a place below tmp_path."""
    monkeypatch.delenv('AMENT_PREFIX_PATH', raising=False)
    monkeypatch.setattr('sys.prefix', str(tmp_path / 'elsewhere'))

    def pretend(module: str) -> Path:
        path = tmp_path / module / 'dlcv/__init__.py'
        path.parent.mkdir(parents=True)
        path.touch()
        monkeypatch.setattr(dlcv, '__file__', str(path))
        return tmp_path

    return pretend


def put(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_in_this_checkout_or_installation():
    assert share_file('config/vo.yaml').read_text() == (ROOT / 'config/vo.yaml').read_text()


def test_in_a_checkout(installed):
    root = installed('src')
    put(root / 'package.xml')
    wanted = put(root / 'config/vo.yaml')
    assert share_file('config/vo.yaml') == wanted


@pytest.mark.parametrize('packages', ['lib/python3.12/site-packages', 'local/lib/x/dist-packages'])
def test_in_the_share_tree_of_the_prefix(installed, packages):
    root = installed(packages)
    wanted = put(root / 'share/dlcv_bringup/config/vo.yaml')
    assert share_file('config/vo.yaml') == wanted


def test_in_an_ament_prefix(installed, monkeypatch):
    root = installed('anywhere')
    monkeypatch.setenv('AMENT_PREFIX_PATH', f'{root / "empty"}:{root / "prefix"}')
    wanted = put(root / 'prefix/share/dlcv_bringup/config/vo.yaml')
    assert share_file('config/vo.yaml') == wanted


def test_in_the_environment(installed):
    root = installed('anywhere')
    wanted = put(root / 'elsewhere/share/dlcv_bringup/config/vo.yaml')
    assert share_file('config/vo.yaml') == wanted


def test_a_missing_file_names_the_places(installed):
    root = installed('anywhere')
    with pytest.raises(ShareError, match=f'no config/nix.yaml in .*{root}/elsewhere/share'):
        share_file('config/nix.yaml')
