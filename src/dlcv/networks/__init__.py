"""Networks as their papers give them: one paper, one file; no ROS, no pictures from a disk.

`registry` names them all. `layers` is what several are built of, `losses` what each learns by,
`weights` how their files are read, written and shipped. A network knows no other network.
Imports `interface`, `geometry` and what lies in `dlcv` itself. Begin with `superpoint.py`.
"""

from __future__ import annotations

from typing import Any

_OF_REGISTRY = ('ModelConfig', 'NETWORKS', 'build')


def __getattr__(name: str) -> Any:
    """Give what `registry` has; it imports all networks, so only when it is asked for."""
    if name in _OF_REGISTRY:
        from dlcv.networks import registry

        return getattr(registry, name)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
