"""What a node knows about its own work: counters, rates, latencies, and the verdict on them."""

from __future__ import annotations

import resource
import threading
from collections import Counter, deque
from collections.abc import Callable
from time import monotonic

from dlcv.estimation.tasks.base import Level, Verdict

WINDOW = 200  # results over which percentiles are taken
RATE_SPAN = 5.0  # seconds over which rates are taken
MAX_DROPPED = 0.05  # share of frames that may be dropped before it is worth a warning
COUNTERS = (
    'received',
    'processed',
    'superseded',
    'rejected_encoding',
    'rejected_invalid',
    'rejected_camera',
    'rejected_age',
    'rejected_order',
    'skipped_rate',
    'failed',
    'lost_by_middleware',
    'incompatible_qos',
    'time_jumps',
)
DROPS = ('superseded', 'rejected_age', 'lost_by_middleware', 'failed')


class _Rate:
    """Events per second over the last `RATE_SPAN` seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._times: deque[float] = deque(maxlen=2000)

    def tick(self) -> None:
        self._times.append(self._now())

    @property
    def last(self) -> float | None:
        return self._times[-1] if self._times else None

    def hertz(self) -> float:
        oldest = self._now() - RATE_SPAN
        while self._times and self._times[0] < oldest:
            self._times.popleft()
        if len(self._times) < 2:
            return 0.0
        return (len(self._times) - 1) / (self._times[-1] - self._times[0] or RATE_SPAN)


class Health:
    """Counters and timings of one node; every method may be called from any thread."""

    def __init__(self, now: Callable[[], float] = monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        """Start anew, as after ``~/reset``."""
        with self._lock:
            self._counts: Counter[str] = Counter()
            self._input, self._output = _Rate(self._now), _Rate(self._now)
            self._inference_ms: deque[float] = deque(maxlen=WINDOW)
            self._latency_ms: deque[float] = deque(maxlen=WINDOW)
            self._since = self._now()

    def count(self, name: str, by: int = 1) -> None:
        """Add to one of `COUNTERS`."""
        if name not in COUNTERS:
            raise KeyError(f'no counter {name!r}; there are {COUNTERS}')
        with self._lock:
            self._counts[name] += by
            if name == 'received':
                self._input.tick()

    def done(self, inference_ms: float, latency_ms: float) -> None:
        """Note one processed frame: its inference time, and its age when the output left."""
        with self._lock:
            self._counts['processed'] += 1
            self._output.tick()
            self._inference_ms.append(inference_ms)
            self._latency_ms.append(latency_ms)

    def silent_for(self) -> float:
        """Seconds since the last image, or since the start when there was none."""
        with self._lock:
            return self._now() - (self._input.last or self._since)

    def values(self) -> dict[str, str]:
        """Return rates, counters and percentiles as the key-value pairs of a diagnostic status."""
        with self._lock:
            pairs = {
                'input_hz': f'{self._input.hertz():.2f}',
                'output_hz': f'{self._output.hertz():.2f}',
            }
            pairs |= {name: str(self._counts[name]) for name in COUNTERS}
            pairs |= _percentiles('inference_ms', self._inference_ms)
            pairs |= _percentiles('latency_ms', self._latency_ms)
            return pairs

    def verdict(self, input_timeout: float, max_input_age: float, source: str = '') -> Verdict:
        """Judge the work of an active node.

        Args:
            input_timeout: Seconds without an image that are an error.
            max_input_age: Age in seconds over which outputs are called late; 0 for never.
            source: What is known of where images come from, for when they do not.
        """
        silent = self.silent_for()
        if silent > input_timeout:
            why = f': {source}' if source else ''
            return Verdict(Level.ERROR, f'no image for {silent:.1f} s{why}')
        with self._lock:
            received = self._counts['received'] + self._counts['lost_by_middleware']
            dropped = sum(self._counts[name] for name in DROPS)
            late = sorted(self._latency_ms)[len(self._latency_ms) // 2] if self._latency_ms else 0
        if received >= 20 and dropped > MAX_DROPPED * received:
            return Verdict(Level.WARN, f'{dropped} of {received} images dropped')
        if max_input_age and late > 1e3 * max_input_age:
            return Verdict(Level.WARN, f'results are late: {late:.0f} ms')
        return Verdict(Level.OK, 'running')


def usage() -> dict[str, str]:
    """Return CPU seconds and memory of this process as key-value pairs of a diagnostic status."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {
        'cpu_s': f'{used.ru_utime + used.ru_stime:.2f}',
        'max_rss_mb': f'{used.ru_maxrss / 1024:.1f}',
    }


def _percentiles(name: str, values: deque[float]) -> dict[str, str]:
    ordered = sorted(values)
    at = {'p50': 0.5, 'p95': 0.95, 'max': 1.0}
    if not ordered:
        return {f'{name}_{key}': 'nan' for key in at}
    last = len(ordered) - 1
    return {f'{name}_{key}': f'{ordered[round(share * last)]:.2f}' for key, share in at.items()}
