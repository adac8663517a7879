"""What holds for all tests."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makemodule(
    module_path: Path, parent: pytest.Collector
) -> pytest.Module | None:
    """Collect a test file as pytest does, unless it is a launch test.

    With launch_testing installed every test file would be imported a second time under its bare
    name, which files in two folders may share: an error at collection.
    """
    if 'def generate_test_description' in module_path.read_text():
        return None
    module: pytest.Module = pytest.Module.from_parent(parent, path=module_path)
    return module
