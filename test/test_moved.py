"""Import paths of before the wings lead to the same modules."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec

import pytest

from dlcv.moved import MOVED, new_name

NEEDS_ROS = ('launching',)


@pytest.mark.parametrize('old', MOVED)
def test_every_new_name_exists(old):
    spec = find_spec(f'dlcv.{MOVED[old]}')
    assert spec is not None
    assert spec.origin  # a file, not another old name


@pytest.mark.parametrize(
    ('old', 'new'),
    [
        ('dlcv.bags', 'dlcv.data.bags'),
        ('dlcv.bags.reader', 'dlcv.data.bags.reader'),
        ('dlcv.models.superpoint', 'dlcv.networks.superpoint'),
        ('dlcv.inference.depth', 'dlcv.estimation.monodepth'),
        ('dlcv.train.recipes.monodepth', 'dlcv.training.recipes.monodepth'),
        ('dlcv.evaluation.model', 'dlcv.evaluation.scoring.model'),
    ],
)
def test_an_old_name_is_the_same_module(old, new):
    with pytest.warns(DeprecationWarning, match='is dlcv.'):
        sys.modules.pop(old, None)
        found = import_module(old)
    assert found is import_module(new)
    assert found.__name__ == new
    assert new_name(old) == new


def test_names_of_packages_are_there_too():
    code = (
        'from dlcv.models import build; from dlcv.models.superpoint import SuperPointConfig; '
        'from dlcv import messages; from dlcv.weights import load_network; print(build)'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=False)
    assert 'function build' in done.stdout, done.stderr


def test_what_never_was_is_not_there():
    for name in ('dlcv.nothing', 'dlcv.bags.nothing'):
        with pytest.raises(ModuleNotFoundError):
            import_module(name)
