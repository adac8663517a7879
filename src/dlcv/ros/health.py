"""What a node knows about its own work: counters, rates, latencies, and the verdict on them."""

from __future__ import annotations

import resource
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from time import monotonic

from dlcv.estimation.tasks.base import Level, Verdict

WINDOW = 200  # results over which percentiles are taken
RATE_SPAN = 5.0  # seconds over which rates are taken
SPAN = 10.0  # seconds over which a node is judged
SLOT = 0.5  # seconds that are counted together
MAX_DROPPED = 0.05  # share of images that may be dropped before it is worth a warning
FEW = 10  # images of which a few may be dropped because the node is busy, as at its start
UNDER_WAY = 2  # images that may have been received and not dealt with: one waits, one is looked at
BAD = (
    'rejected_encoding',
    'rejected_invalid',
    'rejected_camera',
    'rejected_age',
    'rejected_order',
    'failed',
    'late',
)
"""Images that came to the node and got no result because something is wrong."""
MISSED = ('superseded', 'lost_by_middleware')
"""Images that never came to be looked at."""
COUNTERS = (
    'received',
    'processed',
    *BAD,
    *MISSED,
    'skipped_rate',
    'not_asked_for',
    'incompatible_qos',
    'from_future',
    'time_jumps',
)


class _Rate:
    """Events per second over the last `RATE_SPAN` seconds.

    Attributes:
        last: When the last one was; None before the first.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._times: deque[float] = deque(maxlen=2000)
        self.last: float | None = None

    def tick(self) -> None:
        self.last = self._now()
        self._times.append(self.last)

    def hertz(self) -> float:
        oldest = self._now() - RATE_SPAN
        while self._times and self._times[0] < oldest:
            self._times.popleft()
        if len(self._times) < 2:
            return 0.0
        return (len(self._times) - 1) / (self._times[-1] - self._times[0] or RATE_SPAN)


class _Recent:
    """What was counted in the last `SPAN` seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._slots: deque[tuple[float, Counter[str]]] = deque()

    def add(self, name: str, by: int) -> None:
        now = self._now()
        if not self._slots or now - self._slots[-1][0] >= SLOT:
            self._slots.append((now, Counter()))
        self._slots[-1][1][name] += by

    def total(self) -> Counter[str]:
        oldest = self._now() - SPAN
        while self._slots and self._slots[0][0] < oldest:
            self._slots.popleft()
        return sum((counts for _, counts in self._slots), Counter())


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
            self._recent = _Recent(self._now)
            self._reasons: dict[str, str] = {}
            self._input, self._output = _Rate(self._now), _Rate(self._now)
            self._inference_ms: deque[float] = deque(maxlen=WINDOW)
            self._latency_ms: deque[tuple[float, float]] = deque(maxlen=WINDOW)
            self._since = self._now()

    def count(self, name: str, by: int = 1, why: str = '') -> None:
        """Add to one of `COUNTERS`; ``why`` is the reason that the verdict gives for it."""
        if name not in COUNTERS:
            raise KeyError(f'no counter {name!r}; there are {COUNTERS}')
        with self._lock:
            self._add(name, by)
            if why:
                self._reasons[name] = why
            if name == 'received':
                self._input.tick()

    def done(self, inference_ms: float, latency_ms: float) -> None:
        """Note one processed frame: its inference time, and its age when the output left."""
        with self._lock:
            self._add('processed', 1)
            self._output.tick()
            self._inference_ms.append(inference_ms)
            self._latency_ms.append((self._now(), latency_ms))

    def recent(self) -> Counter[str]:
        """Return what was counted in the last `SPAN` seconds."""
        with self._lock:
            return self._recent.total()

    def silent_for(self) -> float:
        """Seconds since the last image, or since the start when there was none."""
        with self._lock:
            last = self._input.last
            return self._now() - (self._since if last is None else last)

    def values(self) -> dict[str, str]:
        """Return rates, counters and percentiles as the key-value pairs of a diagnostic status.

        Counters are totals since the start; those that begin with ``recent_`` are of `SPAN`.
        """
        with self._lock:
            recent = self._recent.total()
            pairs = {
                'input_hz': f'{self._input.hertz():.2f}',
                'output_hz': f'{self._output.hertz():.2f}',
            }
            pairs |= {name: str(self._counts[name]) for name in COUNTERS}
            pairs |= {
                'recent_s': f'{SPAN:g}',
                'recent_received': str(recent['received']),
                'recent_processed': str(recent['processed']),
                'recent_dropped': str(sum(recent[name] for name in (*BAD, *MISSED))),
            }
            pairs |= _percentiles('inference_ms', self._inference_ms)
            pairs |= _percentiles('latency_ms', [ms for _, ms in self._latency_ms])
            return pairs

    def verdict(self, input_timeout: float, max_input_age: float, source: str = '') -> Verdict:
        """Judge the work of an active node over the last `SPAN` seconds.

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
            recent, reasons = self._recent.total(), dict(self._reasons)
            since = self._now() - SPAN
            ages = sorted(ms for when, ms in self._latency_ms if when >= since)
        late = ages[len(ages) // 2] if ages else 0.0
        found = [Verdict(Level.OK, 'running')]
        if (level := _judged(recent)) is not Level.OK:
            found.append(Verdict(level, _told(recent, reasons)))
        if count := recent['from_future']:
            of = f'{count} of {recent["received"]} images'
            found.append(Verdict(Level.WARN, f'{of} from the future: {reasons["from_future"]}'))
        if max_input_age and late > 1e3 * max_input_age:
            found.append(Verdict(Level.WARN, f'results are late: {late:.0f} ms'))
        return worst(found)

    def _add(self, name: str, by: int) -> None:
        self._counts[name] += by
        self._recent.add(name, by)


def worst(verdicts: Sequence[Verdict]) -> Verdict:
    """Return the highest level and all that is said at it."""
    level = max(verdict.level for verdict in verdicts)
    return Verdict(level, '; '.join(v.text for v in verdicts if v.level is level))


def _judged(recent: Counter[str]) -> Level:
    """Return how bad it is that images were dropped."""
    bad, missed = sum(recent[name] for name in BAD), sum(recent[name] for name in MISSED)
    passed_by = recent['superseded'] + recent['skipped_rate'] + recent['not_asked_for']
    looked_at = max(recent['received'] - passed_by, recent['processed'] + bad)
    if bad and not recent['processed'] and bad + UNDER_WAY >= looked_at:
        return Level.ERROR
    came = recent['received'] + recent['lost_by_middleware']
    busy = came >= FEW and bad + missed > MAX_DROPPED * came
    return Level.WARN if busy or bad > MAX_DROPPED * looked_at else Level.OK


def _told(recent: Counter[str], reasons: dict[str, str]) -> str:
    """Return how many images were dropped, as what, and why those were that are the most."""
    kinds = sorted((n for n in (*BAD, *MISSED) if recent[n]), key=lambda n: -recent[n])
    dropped = sum(recent[name] for name in kinds)
    came = max(recent['received'] + recent['lost_by_middleware'], dropped)
    parts = ', '.join(f'{recent[name]} {name}' for name in kinds)
    why = next((f': {reasons[name]}' for name in kinds if name in reasons), '')
    return f'{dropped} of {came} images dropped in {SPAN:g} s ({parts}){why}'


def usage() -> dict[str, str]:
    """Return CPU seconds and memory of this process as key-value pairs of a diagnostic status."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {
        'cpu_s': f'{used.ru_utime + used.ru_stime:.2f}',
        'max_rss_mb': f'{used.ru_maxrss / 1024:.1f}',
    }


def _percentiles(name: str, values: Iterable[float]) -> dict[str, str]:
    ordered = sorted(values)
    at = {'p50': 0.5, 'p95': 0.95, 'max': 1.0}
    if not ordered:
        return {f'{name}_{key}': 'nan' for key in at}
    last = len(ordered) - 1
    return {f'{name}_{key}': f'{ordered[round(share * last)]:.2f}' for key, share in at.items()}
