"""What a number means: its name as the field writes it, unit, direction, definition and source.

Each quantity stands beside the functions that compute it; benches and evaluations print the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Better = Literal['high', 'low', '']


@dataclass(frozen=True, kw_only=True, slots=True)
class Quantity:
    """One quantity.

    Attributes:
        name: As the field writes it, such as ``Abs Rel``.
        unit: ``m``, ``deg``, ``%``, ``px``, ``ms``; empty for a ratio or a count.
        better: Whether a ``high`` or a ``low`` value is better; empty when neither is.
        digits: Printed after the decimal point.
        doc: Its definition, in a line.
        source: Who defined it so, such as ``Geiger et al., CVPR 2012``.
    """

    name: str
    unit: str = ''
    better: Better = ''
    digits: int = 3
    doc: str = ''
    source: str = ''

    @property
    def title(self) -> str:
        """Name, unit and which direction is better, for a table's head."""
        arrow = {'high': ' ↑', 'low': ' ↓', '': ''}[self.better]
        return f'{self.name}{f" ({self.unit})" if self.unit else ""}{arrow}'

    @property
    def repeatable(self) -> bool:
        """Whether another run finds the same: times differ."""
        return self.unit not in _TIMES


_TIMES = ('ms', 's')
