"""Angular velocities over time into a turn."""

from __future__ import annotations

from functools import reduce

import numpy as np
import numpy.typing as npt

from dlcv.types import FloatArray

HOLD_NS = 20_000_000  # for so long a rate holds before the first and after the last sample
GAP_NS = 100_000_000  # over a longer gap between two samples nobody knows how it turned


def turn_between(
    stamps_ns: npt.NDArray[np.int64], rates: FloatArray, begin_ns: int, end_ns: int
) -> npt.NDArray[np.float64] | None:
    """Return the turn from one moment to another, by rates that change steadily between samples.

    Over each stretch between two samples the body is taken to turn at the mean of their rates,
    which leaves an error of the third order in the length of the stretch.

    Args:
        stamps_ns: ``(N,)`` when the rates were measured, ascending.
        rates: ``(N, 3)`` rad/s in the axes of the turning body.
        begin_ns: The first moment.
        end_ns: The last one, later.

    Returns:
        ``(3, 3)`` axes of the end in those of the begin; None where the samples leave a gap.
    """
    from scipy.spatial.transform import Rotation

    if not len(stamps_ns):
        return None
    first = max(int(np.searchsorted(stamps_ns, begin_ns, 'right')) - 1, 0)
    around = stamps_ns[first : int(np.searchsorted(stamps_ns, end_ns)) + 1]
    held = max(around[0] - begin_ns, end_ns - around[-1]) if len(around) else HOLD_NS + 1
    if held > HOLD_NS or np.diff(around).max(initial=0) > GAP_NS:
        return None
    knots = np.unique(np.clip(around, begin_ns, end_ns))
    knots = np.unique(np.concatenate(([begin_ns], knots, [end_ns])))
    seconds = (knots - begin_ns) / 1e9
    known = (stamps_ns - begin_ns) / 1e9
    at = np.stack([np.interp(seconds, known, axis) for axis in np.asarray(rates).T], axis=-1)
    steps = 0.5 * (at[1:] + at[:-1]) * np.diff(seconds)[:, None]
    turn = reduce(lambda whole, step: whole @ step, Rotation.from_rotvec(steps).as_matrix())
    return np.asarray(turn, np.float64)
