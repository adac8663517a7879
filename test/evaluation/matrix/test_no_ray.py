"""Without the extra."""

from __future__ import annotations

import sys

import pytest

from dlcv.evaluation.matrix import MatrixError, RayPool
from dlcv.evaluation.matrix.plan import Cluster


def test_the_message_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, 'ray', None)
    with pytest.raises(MatrixError, match=r'ray is needed but not installed: pip install'):
        RayPool('auto', Cluster())
