"""Where a bag is shown to nodes: what plays it, what hears them, and who of them is still there."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from time import monotonic

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor

from dlcv.data.bags import Bag, RawMessage
from dlcv.evaluation.replay.job import ReplayError, ReplayJob, RunFacts
from dlcv.interface import messages
from dlcv.ros.play import Player, PlayOptions
from dlcv.ros.replay.listener import Listener

SETTLE = 0.5  # seconds for the nodes to take in what stands still
STEP = 0.05  # seconds between two looks at the time while nothing arrives
LAST_WORDS = 1.2  # seconds in which every node sends diagnostics once more
TF_STATIC = '/tf_static'


class Stage:
    """The publishers, subscriptions and nodes of a replay.

    Attributes:
        job: What is shown to whom.
        player: Publishes.
        listener: Hears.
        count: Images that are to be shown.
        images: Images that have been.
        lost: Nodes that are waited for no longer.
        warnings: What went wrong.
    """

    def __init__(self, job: ReplayJob, bag: Bag) -> None:
        self.job = job
        self.player = Player(
            [bag.topic(name) for name in _topics(job, bag)], PlayOptions(clock=True)
        )
        self.listener = Listener(self.player, job.nodes)
        self.count = job.shown.count(bag)
        self.images = 0
        self.lost: set[str] = set()
        self.warnings: list[str] = []
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.player)
        self._dead: set[str] = set()

    def open(self, bag: Bag) -> None:
        """Wait for the nodes, and tell them what stands still.

        Raises:
            ReplayError: If one refuses to run, or they do not come in time.
        """
        deadline = monotonic() + self.job.start_patience
        while missing := self._missing():
            if dead := self._deaths():
                raise ReplayError(f'{", ".join(sorted(dead))}: its process has died; see above')
            if refusal := self.listener.states.refusal():
                raise ReplayError(f'a node does not run: {refusal}')
            if monotonic() > deadline:
                raise ReplayError(f'after {self.job.start_patience:g} s there is still {missing}')
            self.player.tick(bag.start_ns)
            self.spin(STEP)
        for raw in bag.raw([TF_STATIC]) if TF_STATIC in self.player.topics else ():
            self.player.publish(raw)  # before all else, wherever in the bag it is
        self.player.finish()
        self.spin_for(SETTLE)
        self.listener.states.begin()

    def shown(self, bag: Bag, without: Collection[str] = ()) -> Iterator[RawMessage]:
        """Give what is played, some topics left out, and count the images of it."""
        for raw in self.first(bag, self.count, without):
            self.images += self.is_image(raw)
            yield raw

    def beside(self) -> set[str]:
        """Return the topics that are played and belong to images, but are none of the camera."""
        return {name for one in self.job.nodes for name in one.beside} & {*self.player.topics}

    def first(self, bag: Bag, most: int, without: Collection[str] = ()) -> Iterator[RawMessage]:
        """Give what is played before the image after so many, some topics left out."""
        names, images = [n for n in self.player.topics if n not in {TF_STATIC, *without}], 0
        for raw in bag.raw(names):
            images += self.is_image(raw)
            if images > most:
                return
            yield raw

    def is_image(self, raw: RawMessage) -> bool:
        """Return whether a message is a picture of the camera that is shown."""
        return raw.topic == self.job.shown.image_topic

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

    def gone(self) -> set[str]:
        """Return the nodes whose processes have ended; the middleware takes 20 s to see a kill."""
        return {*self.listener.absent(), *self._deaths()}

    def lose(self, name: str, image: int, *, gone: bool) -> None:
        """Wait no longer for a node that has been silent since an image, and say so."""
        self.lost.add(name)
        why = 'its process is gone' if gone else 'it does not answer'
        self.warn(f'{name}: {why} since image {image}; going on without it')

    def warn(self, text: str) -> None:
        """Tell people what went wrong, now and with the facts."""
        self.warnings.append(text)
        self.player.get_logger().warning(text)

    def facts(self, seconds: float, damage: Sequence[str]) -> RunFacts:
        """Hear the nodes out, and return what is to be told of the run."""
        self.spin_for(LAST_WORDS)
        states, names = self.listener.states, [one.node for one in self.job.nodes]
        return RunFacts(
            mode=self.job.mode,
            seconds=seconds,
            images=self.images,
            nodes={name: states.facts(name, seconds) for name in names},
            warnings=(*damage, *self.warnings),
        )

    def close(self) -> None:
        """Give the publishers and subscriptions back."""
        self._executor.shutdown()
        self.player.destroy_node()

    def _missing(self) -> str:
        """Return who is not there yet: nodes and replay must have found each other, both ways."""
        played, listened = self.player.listeners(), self.listener.publishers()
        return self.listener.states.unmatched(self.job.nodes, played, listened)

    def _deaths(self) -> set[str]:
        """Return the nodes whose processes have died, as far as a supervisor has told of it."""
        with suppress(OSError, ValueError):  # nobody tells
            if not sys.stdin.isatty():
                os.set_blocking(sys.stdin.fileno(), False)
                self._dead |= set(os.read(sys.stdin.fileno(), 4096).decode().split())
        return self._dead


def stamp_of(raw: RawMessage) -> int:
    """Return the header stamp of an image, in nanoseconds."""
    return messages.header_stamp_ns(raw.data)


def _topics(job: ReplayJob, bag: Bag) -> list[str]:
    """Return the topics of the bag that any node listens to and none answers on."""
    listened = {name for one in job.nodes for name in one.inputs}
    answered = {output.topic for one in job.nodes for output in one.outputs}
    return [t.name for t in bag.topics if t.name in listened - answered and t.count]
