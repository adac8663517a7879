"""Import paths of before the wings: they lead to where their modules are now.

Scripts that say ``from dlcv.bags import Bag`` go on; each such path gives a DeprecationWarning.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

MOVED = {
    'augment': 'data.augment',
    'bags': 'data.bags',
    'bench': 'evaluation.bench',
    'consensus': 'estimation.consensus',
    'contract': 'interface',
    'datasets': 'data.datasets',
    'demo': 'bringup.demo',
    'evaluation.bootstrap': 'evaluation.comparison.bootstrap',
    'evaluation.compare': 'evaluation.comparison.compare',
    'evaluation.compare_files': 'evaluation.comparison.files',
    'evaluation.compare_text': 'evaluation.comparison.text',
    'evaluation.dense': 'evaluation.scoring.dense',
    'evaluation.evaluate': 'evaluation.scoring.evaluate',
    'evaluation.features': 'evaluation.scoring.features',
    'evaluation.files': 'evaluation.scoring.files',
    'evaluation.model': 'evaluation.scoring.model',
    'evaluation.moments': 'evaluation.scoring.moments',
    'evaluation.odometry': 'evaluation.scoring.odometry',
    'evaluation.relocalization': 'evaluation.scoring.relocalization',
    'evaluation.thresholds': 'evaluation.comparison.thresholds',
    'inference': 'estimation',
    'inference.depth': 'estimation.monodepth',
    'inference.features': 'estimation.superpoint',
    'inference.flow': 'estimation.flownet',
    'inference.mapping': 'estimation.pictures',
    'inference.odometry': 'estimation.deepvo',
    'inference.relocalization': 'estimation.dsac',
    'launching': 'ros.launching',
    'losses': 'networks.losses',
    'losses.flow': 'networks.losses.flownet',
    'losses.mapping': 'networks.losses.reprojection',
    'losses.odometry': 'networks.losses.deepvo',
    'matrix': 'evaluation.matrix',
    'messages': 'interface.messages',
    'methods': 'metrics.baselines',
    'models': 'networks',
    'nn': 'networks.layers',
    'nn.inference': 'networks.layers.folding',
    'recordings': 'data.recordings',
    'replay': 'evaluation.replay',
    'report': 'evaluation.report',
    'synthetic': 'data.synthetic',
    'tasks': 'estimation.tasks',
    'tasks.depth': 'estimation.tasks.monodepth',
    'tasks.features': 'estimation.tasks.superpoint',
    'tasks.flow': 'estimation.tasks.flownet',
    'tasks.odometry': 'estimation.tasks.deepvo',
    'tasks.relocalization': 'estimation.tasks.dsac',
    'train': 'training',
    'train.end_to_end': 'training.maps.end_to_end',
    'train.looks': 'training.maps.looks',
    'train.map_files': 'training.maps.files',
    'train.mapping': 'training.maps.learning',
    'train.places': 'training.maps.places',
    'weights': 'networks.weights',
    'world': 'data.world',
}
"""Old name -> new name below `dlcv`; the longest that fits decides."""

_ROOT = 'dlcv.'


class Forwarding(MetaPathFinder, Loader):
    """Finds modules by their old names.

    Before all other finders: these would find ``dlcv.bags.reader`` in the folder that `dlcv.bags`
    leads to, and load it a second time.
    """

    def find_spec(
        self,
        name: str,
        path: Sequence[str] | None = None,  # noqa: ARG002
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        """Return how an old name is loaded; None of a name that never was one."""
        return ModuleSpec(name, self) if new_name(name) else None

    def create_module(self, spec: ModuleSpec) -> None:
        """Leave that to Python: what it makes is replaced."""

    def exec_module(self, module: ModuleType) -> None:
        """Put the module of the new name in the place of ``module``."""
        name = new_name(module.__name__)
        warnings.warn(f'{module.__name__} is {name} now', DeprecationWarning, stacklevel=2)
        sys.modules[module.__name__] = import_module(name)


def new_name(name: str) -> str:
    """Return the new name of a module by its old one; empty if it has none."""
    if not name.startswith(_ROOT):
        return ''
    parts = name.removeprefix(_ROOT).split('.')
    for count in range(len(parts), 0, -1):
        if found := MOVED.get('.'.join(parts[:count])):
            return '.'.join([_ROOT + found, *parts[count:]])
    return ''


def forward_old_names() -> None:
    """Let old names be imported from now on."""
    if not any(isinstance(finder, Forwarding) for finder in sys.meta_path):
        sys.meta_path.insert(0, Forwarding())
