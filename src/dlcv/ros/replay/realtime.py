"""Show images at the pace at which they were recorded, times a rate, whoever keeps up."""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic

from dlcv.data.bags import Bag
from dlcv.evaluation.replay.log import LOST, FrameLog, Handled
from dlcv.evaluation.replay.outputs import OutputBag
from dlcv.interface.handled import Outcome
from dlcv.progress import Show
from dlcv.ros.play import CLOCK_PERIOD
from dlcv.ros.replay.stage import Stage, stamp_of

LINGER = 3.0  # seconds to wait for the last answers; a node that lives sends diagnostics thrice


@dataclass(frozen=True, slots=True)
class _Awaited:
    """An image that not all nodes have told of yet.

    Attributes:
        number: 1 for the first image.
        at: When it was published, by the monotonic clock.
        silent: The nodes that have not.
    """

    number: int
    at: float
    silent: set[str]


class RealTime:
    """A replay in real time.

    Args:
        stage: Where.
        answers: What the nodes send goes there, at the time of the bag at which it arrives.
        log: What became of each image goes there, with the age at which that was heard.
    """

    def __init__(self, stage: Stage, answers: OutputBag, log: FrameLog) -> None:
        self._stage, self._answers, self._log = stage, answers, log
        self._nodes = [one.node for one in stage.job.nodes]
        self._awaited: dict[int, _Awaited] = {}  # by header stamp
        self._told = dict.fromkeys(self._nodes, 0)  # the last image that each has told of
        self._begin, self._first_ns = monotonic(), 0

    def show(self, bag: Bag, progress: Show) -> None:
        """Show the bag."""
        stage = self._stage
        self._begin, self._first_ns = monotonic(), bag.start_ns
        for raw in stage.shown(bag):
            due = self._begin + (raw.stamp_ns - self._first_ns) / 1e9 / stage.job.rate
            while (ahead := due - monotonic()) > 0:
                self._pass(min(ahead, CLOCK_PERIOD / 2))
            stage.player.settle(raw.stamp_ns)
            stage.player.publish(raw)
            if stage.is_image(raw):
                image = _Awaited(stage.images, monotonic(), set(self._nodes))
                self._awaited[stamp_of(raw)] = image
                self._lose(stage.gone())
                progress('replay', stage.images, stage.count)
        self._hear_out()
        self._give_up()

    def _hear_out(self) -> None:
        """Wait for the last answers, and longer where nothing tells whether a node still lives."""
        stage, states = self._stage, self._stage.listener.states
        before = {name: states.heard(name) for name in self._nodes}
        end = monotonic() + LINGER
        late = end + stage.job.patience
        while (now := monotonic()) < late:
            mute = {name for name in self._nodes if states.heard(name) == before[name]}
            if now > end and not mute - stage.lost:
                return
            self._lose(stage.gone())
            self._pass(CLOCK_PERIOD / 2)
        self._lose(mute, gone=False)

    def _lose(self, names: set[str], *, gone: bool = True) -> None:
        for name in self._nodes:
            if name in names - self._stage.lost:
                self._stage.lose(name, self._told[name] + 1, gone=gone)

    def _pass(self, seconds: float) -> None:
        """Let time go by, at most so much, and keep what arrives."""
        now_ns = self._first_ns + int((monotonic() - self._begin) * self._stage.job.rate * 1e9)
        self._stage.player.tick(now_ns)
        self._stage.spin(seconds)
        self._take(now_ns)

    def _take(self, now_ns: int) -> None:
        """Keep what has arrived."""
        heard = self._stage.listener
        for topic, data in heard.arrived:
            self._answers.add_raw(topic, now_ns, data)
        heard.arrived.clear()
        for word in heard.words:
            image = self._awaited.get(word.stamp_ns)
            age_ms = None if image is None else 1e3 * (word.at - image.at)
            self._log.add(Handled(word.node, word.stamp_ns, word.outcome, age_ms))
            if image is not None:
                self._told[word.node] = max(self._told[word.node], image.number)
                image.silent.discard(word.node)
                if not image.silent:
                    del self._awaited[word.stamp_ns]
        heard.words.clear()

    def _give_up(self) -> None:
        """Log the images as lost of which a node has not told what became of them."""
        for stamp_ns, image in self._awaited.items():
            for name in self._nodes:
                if name in image.silent:
                    self._log.add(Handled(name, stamp_ns, Outcome(LOST)))
