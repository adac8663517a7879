"""How well places are recognised: recall of the first answers, and precision against recall.

Letters in this file: Q queries, n places of the map.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dlcv.metrics.quantity import Quantity
from dlcv.types import FloatArray

AMONG = (1, 5, 10)
RECALLS = tuple(
    Quantity(name=f'R@{count}', unit='%', better='high', digits=1,
             doc=f'queries with a picture of their place among the first {count}, of those whose '
             'place is in the map',
             source='Arandjelovic et al., CVPR 2016')
    for count in AMONG
)  # fmt: skip
AVERAGE_PRECISION = Quantity(
    name='AP', unit='%', better='high', digits=1,
    doc='area under precision over recall when the first answers are accepted from a similarity '
    'on; places that are not in the map count against precision',
)  # fmt: skip
SURE = Quantity(
    name='R at 100 %', unit='%', better='high', digits=1,
    doc='queries that are answered rightly before the first wrong answer is accepted',
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PrecisionRecall:
    """What comes of accepting first answers, the surest first.

    Attributes:
        precision: ``(Q,)`` share of right ones among the accepted.
        recall: ``(Q,)`` share of the queries whose place is in the map that are answered rightly.
    """

    precision: FloatArray
    recall: FloatArray

    @property
    def average_precision(self) -> float:
        """Area under the curve, each recall at the precision at which it is reached."""
        steps = np.diff(self.recall, prepend=0.0)
        return float((steps * self.precision).sum())

    @property
    def sure(self) -> float:
        """Recall before the first wrong answer."""
        right = self.recall[self.precision >= 1]
        return float(right.max()) if len(right) else 0.0


def recalls(similarity: FloatArray, near: npt.NDArray[np.bool_]) -> tuple[float, ...]:
    """Return the recalls of `AMONG`, in [0, 1].

    Args:
        similarity: ``(Q, n)``.
        near: ``(Q, n)`` which pictures show the place of each query.

    Raises:
        ValueError: If the shapes differ, or no query's place is in the map.
    """
    known = _known(similarity, near)
    order = np.argsort(-similarity[known], axis=1, kind='stable')[:, : max(AMONG)]
    right = np.take_along_axis(near[known], order, axis=1)
    return tuple(float(right[:, :count].any(1).mean()) for count in AMONG)


def precision_recall(similarity: FloatArray, near: npt.NDArray[np.bool_]) -> PrecisionRecall:
    """Return precision and recall of the first answers; arguments and errors as of `recalls`."""
    known = _known(similarity, near)
    first = similarity.argmax(1)
    rows = np.arange(len(similarity))
    order = np.argsort(-similarity[rows, first], kind='stable')
    right = near[rows, first][order].cumsum()
    return PrecisionRecall(precision=right / (rows + 1), recall=right / known.sum())


def _known(similarity: FloatArray, near: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    if similarity.shape != near.shape or similarity.ndim != 2 or not similarity.size:
        raise ValueError(
            f'expected similarity and near (Q, n), got {similarity.shape} and {near.shape}'
        )
    known = np.asarray(near.any(1), np.bool_)
    if not known.any():
        raise ValueError(f'none of the {len(near)} queries shows a place of the map')
    return known
