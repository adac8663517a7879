"""`ros2 launch` runs in the system's Python, the nodes in that which the package was built in."""

from __future__ import annotations

import os
import sys

import pytest

from dlcv.ros.environment import SCRIPT, interpreter, see_its_packages


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Install a script that names an interpreter; give the folder of that environment."""

    def make(first='#!{python}\n', version=None):
        environment = tmp_path / 'venv'
        python = environment / 'bin' / 'python'
        python.parent.mkdir(parents=True)
        python.touch()
        own = f'python{sys.version_info.major}.{sys.version_info.minor}'
        packages = environment / 'lib' / (version or own) / 'site-packages'
        packages.mkdir(parents=True)
        (packages / 'only_in_the_environment.py').write_text('there = True\n')
        script = tmp_path / 'install' / SCRIPT
        script.parent.mkdir(parents=True)
        script.write_text(first.format(python=python))
        prefixes = os.pathsep.join(('/opt/nothing', str(tmp_path / 'install')))
        monkeypatch.setenv('AMENT_PREFIX_PATH', prefixes)
        return environment

    monkeypatch.setattr(sys, 'path', list(sys.path))
    return make


def test_the_script_that_was_installed_names_the_interpreter(installed):
    environment = installed()
    assert interpreter() == str(environment / 'bin' / 'python')


@pytest.mark.parametrize('first', ['', 'import dlcv\n', '#!/nowhere/python\n'])
def test_where_nobody_tells_it_is_the_running_one(installed, first):
    installed(first)
    assert interpreter() == sys.executable


def test_its_packages_can_be_imported(installed):
    installed()
    see_its_packages()
    from only_in_the_environment import there

    assert there


def test_packages_of_another_version_are_left_alone(installed):
    environment = installed(version='python2.7')
    see_its_packages()
    assert not any(str(environment) in path for path in sys.path)
