"""One scale of the odometry, with its uncertainty, from whatever measures metres.

A Kalman filter of the logarithm ``s`` of metres per unit. A source ``k`` measures ``s + b_k + e``:
its noise ``e`` averages out from keyframe to keyframe; its bias ``b_k``, of a camera that sits a
finger higher than it was told or a worn wheel, never does. So biases are states as well, and what
is known of ``s`` stays as uncertain as the best source that was heard. ``s`` itself walks slowly:
monocular odometry drifts in scale (Strasdat et al., "Scale drift-aware large scale monocular SLAM",
2010).
"""

from __future__ import annotations

import math
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from dlcv.types import FloatArray

Matrix = npt.NDArray[np.float64]
ScaleSource = Literal['stereo', 'depth', 'wheels', 'camera_height', 'network', 'none']

TRUST: tuple[ScaleSource, ...] = get_args(ScaleSource)
"""Best first."""
BIASES = {'stereo': 0.002, 'depth': 0.005, 'wheels': 0.01, 'camera_height': 0.015, 'network': 0.8}
"""Standard deviation of what a source is always off by, of the logarithm.

Networks have no metre of their own: on streets of another city the shipped one's was off by 0.78.
"""
DRIFT = 0.005
"""Standard deviation of the change of scale after a second, as a share."""
_UNKNOWN = 30.0  # standard deviation of the logarithm before anything was measured: no pull
_GUESSED = 1.1  # what is said of it then: nineteen of twenty scenes are within a factor of nine
_GATE = 9.0  # squared deviations at which a measurement is not believed
_STUBBORN = 5  # of those in a row: the scale is another one
_RECENT = 0.1  # weight of the newest measurement in how noisy its source is found to be
_ARRIVED = 3  # measurements of a better source before it is changed to
_STOPPED_NS = 2_000_000_000


def as_share(deviation: float) -> float:
    """Return by what share of itself a length is off whose logarithm has a standard deviation.

    That of a log-normal factor, from 1: about the same while it is small; larger where it is not,
    for twice as long is twice as far off as half as long.
    """
    variance = deviation**2
    return math.sqrt(math.expm1(2 * variance) - 2 * math.expm1(variance / 2))


class ScaleFilter:
    """What is known of the metres per unit of the odometry.

    Args:
        choice: The source that counts; ``auto`` for the best that arrives, ``none`` for none.
        drift: See `DRIFT`.

    Attributes:
        source: What the scale comes from at present.
    """

    def __init__(
        self, choice: Literal['auto'] | ScaleSource = 'auto', drift: float = DRIFT
    ) -> None:
        if choice != 'auto' and choice not in TRUST:
            raise ValueError(f'no source of scale {choice!r}; there are auto, {", ".join(TRUST)}')
        self._choice, self._drift = choice, drift
        self.source: ScaleSource = 'none'
        self._state: Matrix = np.zeros(1 + len(BIASES))
        self._covariance = np.diag(np.square((_UNKNOWN, *BIASES.values())))
        self._stamp_ns: int | None = None
        self._heard: dict[ScaleSource, tuple[int, int]] = {}  # time of the last, how many in a row
        self._refused = 0
        self._excess = dict.fromkeys(BIASES, 1.0)  # variance that is found over what is stated

    @property
    def scale(self) -> float:
        """Metres per unit; 1 before anything was measured."""
        return math.exp(self._state[0])

    @property
    def stddev(self) -> float:
        """Standard deviation of the scale as a share of it; 2.9 before anything was measured.

        It is a bias, not noise: the same for all motions in a row.
        """
        return as_share(min(math.sqrt(self._covariance[0, 0]), _GUESSED))

    @property
    def growth(self) -> float:
        """Root of the mean square of the factor by which lengths may be off, from their median.

        That of a log-normal factor; 1 where nothing measures, for lengths are in the unit's own.
        """
        return 1.0 if self.source == 'none' else math.exp(min(self._covariance[0, 0], _GUESSED**2))

    def spread(self, shift: FloatArray) -> Matrix:
        """Return the covariance ``(3, 3)`` that the scale alone gives a shift ``(3,)`` in metres.

        It grows with the square of the way: it is to be taken of the whole of a shift.
        """
        return np.asarray(np.outer(shift, shift) * self.stddev**2, np.float64)

    def measure(self, source: ScaleSource, log: float, stddev: float, stamp_ns: int) -> str:
        """Take a measurement; it counts if its source is the one that the scale comes from.

        Args:
            source: Who measured.
            log: Natural logarithm of the metres per unit.
            stddev: Its standard deviation, without the bias of the source.
            stamp_ns: When.

        Returns:
            What changed, in words for a person; empty for nothing.
        """
        if source not in BIASES:
            raise ValueError(f'no source of measurements {source!r}; there are {", ".join(BIASES)}')
        if not (math.isfinite(log) and math.isfinite(stddev) and stddev > 0):
            raise ValueError(f'a ratio needs finite values, got {log} with deviation {stddev}')
        said = [self.advance(stamp_ns)]
        last, count = self._heard.get(source, (0, 0))
        row = count + 1 if count and stamp_ns - last <= _STOPPED_NS else 1
        self._heard[source] = stamp_ns, row
        if self._choice in ('auto', source):
            better = TRUST.index(source) < TRUST.index(self.source)
            if self.source == 'none' or (better and row >= _ARRIVED):
                before, self.source, self._refused = self.source, source, 0
                said.append(self._change(before))
        if source == self.source:
            said.append(self._update(source, log, stddev))
        return '; '.join(filter(None, said))

    def advance(self, stamp_ns: int) -> str:
        """Let time pass; a source that stopped is left for the best that is heard.

        Returns:
            What changed, in words for a person; empty for nothing.
        """
        if self._stamp_ns is not None:
            seconds = max(stamp_ns - self._stamp_ns, 0) / 1e9
            self._covariance[0, 0] += self._drift**2 * seconds
        self._stamp_ns = max(stamp_ns, self._stamp_ns or stamp_ns)
        if self.source == 'none' or stamp_ns - self._heard[self.source][0] <= _STOPPED_NS:
            return ''
        before, self.source, self._refused = self.source, self._best(stamp_ns), 0
        return self._change(before)

    def rescale(self, factor: float) -> None:
        """Take note that the unit of the odometry is ``factor`` times as long as it was."""
        self._state[0] += math.log(factor)

    def doubt(self, deviation: float) -> None:
        """Take note that the unit is another one, about as long: the logarithm is off by so much.

        Args:
            deviation: Standard deviation.
        """
        self._covariance[0, 0] += deviation**2

    def _best(self, stamp_ns: int) -> ScaleSource:
        """Return the best source that is heard and may be chosen."""
        for source in TRUST:
            last, count = self._heard.get(source, (0, 0))
            if count and stamp_ns - last <= _STOPPED_NS and self._choice in ('auto', source):
                return source
        return 'none'

    def _change(self, before: ScaleSource) -> str:
        if self.source == 'none':
            return f'nothing measures the scale any more; it stays at that of {before}'
        known = '' if before == 'none' else f', not of {before} any more'
        return f'the scale is that of {self.source}{known}'

    def _noisier(self, source: str, found: float) -> float:
        """Return how many times its stated variance a source has, by its last measurements.

        Landmarks share the errors of the poses that they were triangulated from, which the
        deviation of a ratio knows nothing of.
        """
        before = self._excess[source]
        after = before + _RECENT * (min(max(found, 0.0), _GATE * before) - before)
        self._excess[source] = after
        return max(before, after, 1.0)

    def _update(self, source: ScaleSource, log: float, stddev: float) -> str:
        row = np.zeros(len(self._state))
        row[0] = row[1 + list(BIASES).index(source)] = 1.0
        off, known = log - float(row @ self._state), float(row @ self._covariance @ row)
        noise = stddev**2 * self._noisier(source, (off**2 - known) / stddev**2)
        variance, said = known + noise, ''
        if off**2 > _GATE * variance:
            self._refused += 1
            if self._refused < _STUBBORN:
                return ''
            said = f'the scale by {source} is {math.exp(off):.2f} times what it was'
            self._covariance[0, 0] += off**2
            variance += off**2
        self._refused = 0
        gain = self._covariance @ row / variance
        self._state = self._state + gain * off
        rest = np.eye(len(self._state)) - np.outer(gain, row)  # Joseph's form stays positive
        kept = rest @ self._covariance @ rest.T
        self._covariance = kept + np.outer(gain, gain) * noise
        return said
