"""Show the images of a bag to running nodes, one after the other or in real time.

``python -m dlcv.ros.replay JOB.json``. In lock-step the next image is shown when every node has
said what became of the last one and all that it sent has arrived; in real time images come as they
were recorded. Either way all answers are kept, with a log of what became of each image.
"""

from __future__ import annotations

import os
import sys
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic

import numpy as np
import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor

from dlcv import messages
from dlcv.bags import Bag, BagError, RawMessage
from dlcv.inference.memory import keep_freed_memory
from dlcv.progress import Show, bars
from dlcv.replay.job import Folder, ReplayError, ReplayJob, RunFacts, broken_off, read, write
from dlcv.replay.log import LOST, PROCESSED, FrameLog, Handled, Outcome
from dlcv.replay.outputs import OutputBag
from dlcv.ros.listener import Listener, Word
from dlcv.ros.play import CLOCK_PERIOD, Player, PlayOptions
from dlcv.ros.start import leave

SETTLE = 0.5  # seconds for the nodes to take in what stands still
STEP = 0.05  # seconds between two looks at the time while nothing arrives
LINGER = 3.0  # seconds to wait for the last answers in real time
LAST_WORDS = 1.2  # seconds in which every node sends diagnostics once more
TF_STATIC = '/tf_static'
DROPPED = 0.05  # share of images at most, of ros2_benchmark
PEAK_IMAGES, LEAST_IMAGES = 60, 10  # that the highest rate is looked for with
PEAK_STEPS = 6  # halvings of its range
PEAK_SECONDS = 6.0  # of images at each rate
GAP_NS = 10**9  # of the nodes' time between two of these


@dataclass(frozen=True, slots=True)
class _Answered:
    """An image that all nodes are done with.

    Attributes:
        received_ns: When the bag received it.
        words: What each node said of it, in their order.
        arrived: All that arrived since the image before: topic and bytes.
    """

    received_ns: int
    words: tuple[Word, ...]
    arrived: tuple[tuple[str, bytes], ...]


class Replay:
    """One replay: publishers, subscriptions, and where the answers go."""

    def __init__(self, job: ReplayJob, bag: Bag) -> None:
        self.job = job
        self.answers: OutputBag
        self.log: FrameLog
        topics = [bag.topic(name) for name in _topics(job, bag)]
        self._player = Player(topics, PlayOptions(clock=True))
        self._listener = Listener(self._player, job.nodes)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._player)
        self._image = job.shown.image_topic
        self._count = job.shown.count(bag)
        self.images = 0
        self.silent: set[str] = set()  # nodes that are waited for no longer
        self.warnings: list[str] = []
        self._dead: set[str] = set()
        self._inference_ms: dict[str, list[float]] = {}

    @property
    def topics(self) -> list[str]:
        """What is played."""
        return self._player.topics

    def begin(self, bag: Bag) -> None:
        """Wait for the nodes, and tell them what stands still.

        Raises:
            ReplayError: If one refuses to run, or they do not come in time.
        """
        deadline = monotonic() + self.job.start_patience
        while missing := self._missing():
            if dead := self._deaths():
                raise ReplayError(f'{", ".join(sorted(dead))}: its process has died; see above')
            if refusal := self._listener.states.refusal():
                raise ReplayError(f'a node does not run: {refusal}')
            if monotonic() > deadline:
                raise ReplayError(f'after {self.job.start_patience:g} s there is still {missing}')
            self._player.tick(bag.start_ns)
            self.spin(STEP)
        for raw in bag.raw([TF_STATIC]) if TF_STATIC in self.topics else ():
            self._player.publish(raw)  # before all else, wherever in the bag it is
        self._player.finish()
        self.spin_for(SETTLE)
        self._listener.states.begin()

    def play(self, bag: Bag, show: Show) -> bool:
        """Show the bag; all answers are kept, with what became of each image.

        Returns:
            Whether it came to its end; if not, a warning says why.

        Raises:
            BagError: Not even the first image can be shown and answered.
        """
        files = Folder(self.job.folder)
        outputs = [output for one in self.job.nodes for output in one.outputs]
        try:
            with OutputBag(files.outputs, outputs) as answers, FrameLog(files.log) as log:
                answers.keep(bag, self.job.shown.kept)
                self.answers, self.log = answers, log
                (self.lock_step if self.job.mode == 'lock-step' else self.real_time)(bag, show)
        except (BagError, OSError) as err:
            if not self.images:
                raise
            self._warn(broken_off(self.images, self._count, err))
            return False
        return not self.silent

    def lock_step(self, bag: Bag, show: Show) -> None:
        """Show image after image, each when the last one is done with."""
        done: deque[_Answered] = deque()
        try:
            for raw in self._shown(bag):
                self._player.settle(raw.stamp_ns)
                self._player.publish(raw)
                if raw.topic == self._image:
                    self._keep(done)  # while the nodes work on this one
                    done.append(self._collect(raw))
                    show('replay', self.images, self._count)
        finally:  # the bag may break off, or somebody stop it
            self._keep(done)

    def real_time(self, bag: Bag, show: Show) -> None:
        """Show images at the pace at which they were recorded, times the rate."""
        rate, first, begin = self.job.rate, bag.start_ns, monotonic()
        sent: dict[int, float] = {}
        for raw in self._shown(bag):
            due = begin + (raw.stamp_ns - first) / 1e9 / rate
            while (ahead := due - monotonic()) > 0:
                now = first + int((monotonic() - begin) * rate * 1e9)
                self._player.tick(now)
                self.spin(min(ahead, CLOCK_PERIOD / 2))
                self._take(sent, now)
            self._player.settle(raw.stamp_ns)
            self._player.publish(raw)
            if raw.topic == self._image:
                sent[_stamp(raw)] = monotonic()
                show('replay', self.images, self._count)
        self._linger(sent, begin, first)

    def peak(self, bag: Bag) -> float | None:
        """Return the highest rate of images at which no node drops more than `DROPPED` of them.

        As ros2_benchmark looks for it: the first images again and again, at rates that close in on
        it, under stamps as if they had been recorded at that rate.
        """
        shown = list(self._first(bag, PEAK_IMAGES))
        slowest = max((float(np.median(ms)) for ms in self._inference_ms.values()), default=0.0)
        if not slowest or sum(raw.topic == self._image for raw in shown) < LEAST_IMAGES:
            return None
        now_ns, low, high = bag.end_ns + 10 * GAP_NS, 0.0, 2e3 / slowest  # past the last tick
        for _ in range(PEAK_STEPS):
            middle = (low + high) / 2
            dropped, now_ns = self._burst(shown, middle, now_ns + GAP_NS)
            low, high = (middle, high) if dropped <= DROPPED else (low, middle)
        return low or None

    def spin(self, seconds: float) -> None:
        """Run a callback, waiting for one at most so long."""
        if not rclpy.ok():
            raise ExternalShutdownException
        self._executor.spin_once(timeout_sec=seconds)

    def spin_for(self, seconds: float) -> None:
        """Run callbacks for a while."""
        end = monotonic() + seconds
        while monotonic() < end:
            self.spin(STEP)

    def facts(self, seconds: float, damage: Sequence[str]) -> RunFacts:
        """Hear the nodes out, and return what is to be told of the run."""
        self.spin_for(LAST_WORDS)
        names = [one.node for one in self.job.nodes]
        return RunFacts(
            mode=self.job.mode,
            seconds=seconds,
            images=self.images,
            nodes={name: self._listener.states.facts(name, seconds) for name in names},
            warnings=(*damage, *self.warnings),
        )

    def close(self) -> None:
        """Give the publishers and subscriptions back."""
        self._executor.shutdown()
        self._player.destroy_node()

    def _deaths(self) -> set[str]:
        """Return the nodes whose processes have died, as far as a supervisor has told of it."""
        with suppress(OSError, ValueError):  # nobody tells
            if not sys.stdin.isatty():
                os.set_blocking(sys.stdin.fileno(), False)
                self._dead |= set(os.read(sys.stdin.fileno(), 4096).decode().split())
        return self._dead

    def _first(self, bag: Bag, most: int) -> Iterator[RawMessage]:
        """Give what is played up to so many images."""
        images = 0
        for raw in bag.raw([name for name in self.topics if name != TF_STATIC]):
            images += raw.topic == self._image
            if images > most:
                return
            yield raw

    def _burst(self, shown: Sequence[RawMessage], hertz: float, now_ns: int) -> tuple[float, int]:
        """Show images at a rate; return the share that the slowest node dropped, and the time."""
        most, begin, images = max(LEAST_IMAGES, round(PEAK_SECONDS * hertz)), monotonic(), 0
        words: list[Word] = []

        def spin() -> int:
            self.spin(CLOCK_PERIOD / 2)
            words.extend(self._listener.words)
            self._listener.words.clear()
            self._listener.arrived.clear()
            at = now_ns + int(1e9 * (monotonic() - begin))
            self._player.tick(at)
            return at

        for raw in shown:
            if raw.topic == self._image and images == most:
                break
            while monotonic() < begin + images / hertz:
                spin()
            stamp = now_ns + int(1e9 * images / hertz)
            self._player.publish(raw._replace(data=messages.restamped(raw.data, stamp)))
            images += raw.topic == self._image
        end = monotonic() + LINGER
        while monotonic() < end and len(words) < images * len(self.job.nodes):
            spin()
        done = Counter(word.node for word in words if word.outcome.name == PROCESSED)
        return 1 - min(done[one.node] for one in self.job.nodes) / images, spin()

    def _missing(self) -> str:
        """Return who is not there yet: nodes and replay must have found each other, both ways."""
        played, listened = self._player.listeners(), self._listener.publishers()
        return self._listener.states.unmatched(self.job.nodes, played, listened)

    def _shown(self, bag: Bag) -> Iterator[RawMessage]:
        """Give what is played, up to the last image that is to be shown."""
        others = [name for name in self.topics if name != TF_STATIC]
        for raw in bag.raw(others):
            if raw.topic == self._image:
                if self.images == self._count:
                    return
                self.images += 1
            yield raw

    def _collect(self, raw: RawMessage) -> _Answered:
        """Wait until every node is done with an image; return what they sent."""
        words = self._words_on(_stamp(raw))
        wanted = Counter(topic for word in words.values() for topic in self._topics_of(word))
        deadline = monotonic() + self.job.patience
        while wanted - Counter(topic for topic, _ in self._listener.arrived):
            if monotonic() > deadline:
                self._warn(f'answers to image {self.images} were lost on their way')
                break
            self.spin(STEP)
        arrived = tuple(self._listener.arrived)
        self._listener.arrived.clear()
        return _Answered(raw.stamp_ns, tuple(words.values()), arrived)

    def _keep(self, done: deque[_Answered]) -> None:
        """Write what the nodes sent to images that are done with, and forget it."""
        while done:
            self._write(done.popleft())

    def _write(self, answered: _Answered) -> None:
        """Write what the nodes sent to an image, in their order."""
        heard: dict[str, deque[bytes]] = {}
        for topic, data in answered.arrived:
            heard.setdefault(topic, deque()).append(data)
        for word in answered.words:
            for topic in self._topics_of(word):
                if heard.get(topic):
                    self.answers.add_raw(topic, answered.received_ns, heard[topic].popleft())
            self.log.add(Handled(word.node, word.stamp_ns, word.outcome))

    def _words_on(self, stamp_ns: int) -> dict[str, Word]:
        """Return what each node says of an image; one that says nothing is not waited for again."""
        names = [one.node for one in self.job.nodes]
        words: dict[str, Word] = {}
        deadline = monotonic() + self.job.patience
        while waiting := [n for n in names if n not in words and n not in self.silent]:
            for word in self._listener.words:
                if word.stamp_ns == stamp_ns:
                    words[word.node] = word
            self._listener.words.clear()
            gone = set(self._listener.absent()) | self._deaths()
            late = monotonic() > deadline
            for name in waiting:
                if name not in words and (late or name in gone):
                    why = 'its process is gone' if name in gone else 'it does not answer'
                    self.silent.add(name)
                    self._warn(f'{name}: {why} since image {self.images}; going on without it')
            self.spin(STEP)
        lost = {n: Word(n, stamp_ns, Outcome(LOST), monotonic()) for n in names}
        return {name: words.get(name, lost[name]) for name in names}

    def _topics_of(self, word: Word) -> list[str]:
        (node,) = (one for one in self.job.nodes if one.node == word.node)
        names = {output.name: output.topic for output in node.outputs}
        return [names[name] for name in word.outcome.sent if name in names]

    def _take(self, sent: dict[int, float], now_ns: int) -> None:
        """Keep what has arrived."""
        for topic, data in self._listener.arrived:
            self.answers.add_raw(topic, now_ns, data)
        self._listener.arrived.clear()
        for word in self._listener.words:
            at = sent.get(word.stamp_ns)
            age_ms = None if at is None else 1e3 * (word.at - at)
            self.log.add(Handled(word.node, word.stamp_ns, word.outcome, age_ms))
            if word.outcome.inference_ms is not None:
                self._inference_ms.setdefault(word.node, []).append(word.outcome.inference_ms)
        self._listener.words.clear()

    def _linger(self, sent: dict[int, float], begin: float, first_ns: int) -> None:
        end = monotonic() + LINGER
        while monotonic() < end:
            now = first_ns + int((monotonic() - begin) * self.job.rate * 1e9)
            self._player.tick(now)
            self.spin(CLOCK_PERIOD / 2)
            self._take(sent, now)

    def _warn(self, text: str) -> None:
        self.warnings.append(text)
        self._player.get_logger().warning(text)


def replay(job: ReplayJob) -> bool:
    """Run a job; the bag of answers, the log and the facts are in its folder then.

    Returns:
        Whether it came to its end with all nodes; if not, a warning of the facts says why.

    Raises:
        BagError: The bag cannot be read, or the answers not be written.
        ReplayError: The nodes do not come.
    """
    with (
        Bag(job.shown.bag, keep_damaged=job.shown.keep_damaged) as bag,
        bars(lines=True) as show,
    ):
        run = Replay(job, bag)
        try:
            run.begin(bag)
            begin = monotonic()
            complete = run.play(bag, show)
            facts = run.facts(monotonic() - begin, bag.damage)
            if job.peak and complete:
                facts = replace(facts, peak_hz=run.peak(bag))
        finally:
            run.close()
    with nullcontext() if complete else suppress(OSError):  # the disk may be full
        write(facts, Folder(job.folder).facts)
    return complete


def _topics(job: ReplayJob, bag: Bag) -> list[str]:
    """Return the topics of the bag that any node listens to and none answers on."""
    listened = {name for one in job.nodes for name in one.inputs}
    answered = {output.topic for one in job.nodes for output in one.outputs}
    return [t.name for t in bag.topics if t.name in listened - answered and t.count]


def _stamp(raw: RawMessage) -> int:
    return messages.header_stamp_ns(raw.data)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of ``python -m dlcv.ros.replay``."""
    (path,) = sys.argv[1:] if argv is None else argv
    try:
        job = read(Path(path), ReplayJob)
        keep_freed_memory()
        rclpy.init()
        try:
            complete = replay(job)
        except (KeyboardInterrupt, ExternalShutdownException):
            sys.stderr.write('replay: stopped; what was answered is kept\n')
            return 130
        finally:
            rclpy.try_shutdown()
    except (ReplayError, BagError, OSError) as err:
        sys.stderr.write(f'replay: {err}\n')
        return 1
    return 0 if complete else 1


if __name__ == '__main__':
    leave(main())
