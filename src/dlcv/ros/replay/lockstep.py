"""Show image after image, each when all nodes are done with the last one.

No image is lost, the speed is that of the machine, and two replays give the same answers.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from time import monotonic

from dlcv.data.bags import Bag, RawMessage
from dlcv.evaluation.replay.ahead import Ahead
from dlcv.evaluation.replay.log import LOST, FrameLog, Handled
from dlcv.evaluation.replay.outputs import OutputBag
from dlcv.interface.handled import Outcome
from dlcv.progress import Show
from dlcv.ros.replay.listener import Word
from dlcv.ros.replay.stage import STEP, Stage, stamp_of


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


class LockStep:
    """A replay in lock-step.

    Args:
        stage: Where.
        answers: What the nodes send goes there, image by image and in the order of the nodes.
        log: What became of each image goes there.
    """

    def __init__(self, stage: Stage, answers: OutputBag, log: FrameLog) -> None:
        self._stage, self._answers, self._log = stage, answers, log
        self._topics = {
            one.node: {output.name: output.topic for output in one.outputs}
            for one in stage.job.nodes
        }

    def show(self, bag: Bag, progress: Show) -> None:
        """Show the bag."""
        stage, done = self._stage, deque[_Answered]()
        beside = stage.beside()
        others = bag.raw(sorted(beside)) if beside else iter(())
        ahead = Ahead(others, lambda raw: raw.stamp_ns)
        try:
            for raw in stage.shown(bag, without=beside):
                stage.player.settle(raw.stamp_ns)
                if stage.is_image(raw):
                    for other in ahead.before(raw.stamp_ns):
                        stage.player.publish(other)
                stage.player.publish(raw)
                if stage.is_image(raw):
                    self._keep(done)  # while the nodes work on this one
                    done.append(self._collect(raw))
                    progress('replay', stage.images, stage.count)
        finally:  # the bag may break off, or somebody stop it
            self._keep(done)

    def _collect(self, raw: RawMessage) -> _Answered:
        """Wait until every node is done with an image; return what they sent."""
        stage, heard = self._stage, self._stage.listener
        words = self._words_on(stamp_of(raw))
        wanted = Counter(topic for word in words for topic in self._sent(word))
        deadline = monotonic() + stage.job.patience
        while wanted - Counter(topic for topic, _ in heard.arrived):
            if monotonic() > deadline:
                stage.warn(f'answers to image {stage.images} were lost on their way')
                break
            stage.spin(STEP)
        arrived = tuple(heard.arrived)
        heard.arrived.clear()
        return _Answered(raw.stamp_ns, words, arrived)

    def _words_on(self, stamp_ns: int) -> tuple[Word, ...]:
        """Return what each node says of an image; one that says nothing is not waited for again."""
        stage, said = self._stage, dict[str, Word]()
        deadline = monotonic() + stage.job.patience
        while silent := self._hear(stamp_ns, said):
            gone, late = stage.gone(), monotonic() > deadline
            for name in silent:
                if late or name in gone:
                    stage.lose(name, stage.images, gone=name in gone)
            stage.spin(STEP)
        nothing = Outcome(LOST)
        return tuple(
            said.get(name) or Word(name, stamp_ns, nothing, monotonic()) for name in self._topics
        )

    def _hear(self, stamp_ns: int, said: dict[str, Word]) -> list[str]:
        """Take what nodes say of an image; return those that are still waited for."""
        heard = self._stage.listener
        said |= {word.node: word for word in heard.words if word.stamp_ns == stamp_ns}
        heard.words.clear()
        return [name for name in self._topics if name not in said and name not in self._stage.lost]

    def _sent(self, word: Word) -> list[str]:
        """Return the topics on which a node says that it has sent answers."""
        topics = self._topics[word.node]
        return [topics[name] for name in word.outcome.sent if name in topics]

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
            for topic in self._sent(word):
                if heard.get(topic):
                    self._answers.add_raw(topic, answered.received_ns, heard[topic].popleft())
            self._log.add(Handled(word.node, word.stamp_ns, word.outcome))
