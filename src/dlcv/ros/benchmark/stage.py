"""A camera that shows a film to nodes, and hears what becomes of each picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Any

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo, Image

from dlcv.bringup import NodeStart
from dlcv.evaluation.bench.options import BenchError
from dlcv.evaluation.replay.job import Answering, answering
from dlcv.evaluation.speed.film import Film
from dlcv.interface.handled import PROCESSED
from dlcv.interface.nodes import CAMERA_INFO, IMAGE
from dlcv.ros.replay.listener import Listener, Word
from dlcv.ros.vocabulary import COMPOSER

STEP = 0.01  # seconds between two looks at the time while nothing arrives
SETTLE = 0.5  # seconds in which who has found each other takes up what it has
LINGER = 3.0  # seconds that the last answers are waited for
QUEUE = 10
FRAME_ID = 'camera'


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of one picture at one node.

    Attributes:
        shown: When it was published, by the monotonic clock.
        word: What the node said of it, and when that was heard.
    """

    shown: float
    word: Word

    @property
    def processed(self) -> bool:
        """Whether it got a result."""
        return self.word.outcome.name == PROCESSED

    @property
    def latency_ms(self) -> float:
        """From its publication until the node's word on it, which follows the result."""
        return 1e3 * (self.word.at - self.shown)

    @property
    def inference_ms(self) -> float:
        """Of that, what the node's estimator took."""
        return self.word.outcome.inference_ms or 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """What became of pictures shown at a rate.

    Attributes:
        images: That were shown.
        seconds: It took to show them.
        answers: Of each node, in the order in which they were heard.
    """

    images: int
    seconds: float
    answers: dict[str, list[Answered]] = field(default_factory=dict)

    def dropped(self, node: str) -> float:
        """Return the share of pictures that got no result at a node."""
        return 1 - sum(one.processed for one in self.answers[node]) / self.images


class Stage:
    """The camera's topics, and subscriptions to what the nodes answer.

    Args:
        nodes: As they are started; all of one camera.
        film: What is shown.
        context: Of ROS; None for that of the process.
    """

    def __init__(
        self, nodes: Sequence[NodeStart], film: Film, context: rclpy.Context | None = None
    ) -> None:
        self._nodes = tuple(map(_answering, nodes))
        self._node = Node('dlcv_benchmark', context=context)
        first = nodes[0]
        qos = QoSProfile(depth=QUEUE)
        self._images = self._node.create_publisher(Image, first.resolve(IMAGE.name), qos)
        info = first.resolve(CAMERA_INFO.name)
        self._infos = self._node.create_publisher(CameraInfo, info, qos)
        self._listener = Listener(self._node, self._nodes)
        self._executor = SingleThreadedExecutor(context=context)
        self._executor.add_node(self._node)
        header = COMPOSER.header(0, FRAME_ID)
        self._info = COMPOSER.camera_info(header, film.camera)
        self._messages = [COMPOSER.image(header, film.picture(i)) for i in range(film.turn)]
        self._number = 0
        self._shown: dict[int, float] = {}  # by stamp

    @property
    def names(self) -> list[str]:
        """The nodes."""
        return [one.node for one in self._nodes]

    def open(self, patience: float, trouble: Callable[[], str]) -> float:
        """Wait until all nodes are active and have found the camera.

        Args:
            patience: Seconds to wait at most.
            trouble: Says why they will not come; empty while nothing is known.

        Returns:
            When that was, by the monotonic clock.

        Raises:
            BenchError: They do not come.
        """
        deadline, states = monotonic() + patience, self._listener.states
        while missing := states.unmatched(self._nodes, self._played(), self._listener.publishers()):
            if problem := trouble() or states.refusal():
                raise BenchError(f'a node does not run: {problem}')
            if monotonic() > deadline:
                raise BenchError(f'after {patience:g} s there is still {missing}')
            self.spin(STEP)
        ready = monotonic()
        self.spin_for(SETTLE)
        return ready

    def ask(self, patience: float) -> dict[str, Answered]:
        """Show a picture and wait until every node has dealt with it.

        Raises:
            BenchError: One does not in time.
        """
        self._listener.words.clear()
        stamp, said, deadline = self.show(), dict[str, Answered](), monotonic() + patience
        while len(said) < len(self._nodes):
            if monotonic() > deadline:
                silent = ', '.join(sorted({*self.names} - {*said}))
                raise BenchError(f'no word of a picture by {silent} after {patience:g} s')
            self.spin(STEP)
            for one in self._heard():
                if one.word.stamp_ns == stamp:
                    said[one.word.node] = one
        return said

    def at_rate(self, hertz: float, seconds: float) -> Shown:
        """Show pictures at a rate, whoever keeps up."""
        count = max(round(hertz * seconds), 2)
        answers: dict[str, list[Answered]] = {name: [] for name in self.names}
        self._listener.words.clear()
        begin, first = monotonic(), self.show()
        for number in range(1, count):
            while (ahead := begin + number / hertz - monotonic()) > 0:
                self.spin(min(ahead, STEP))
            self.show()
            self._sort(answers, first)
        took, end = monotonic() - begin + 1 / hertz, monotonic() + LINGER
        while monotonic() < end and min(map(len, answers.values())) < count:
            self.spin(STEP)
            self._sort(answers, first)
        return Shown(images=count, seconds=took, answers=answers)

    def show(self) -> int:
        """Publish the next picture, stamped now; return its stamp in nanoseconds."""
        now = self._node.get_clock().now()
        message = self._messages[self._number % len(self._messages)]
        self._number += 1
        message.header.stamp = self._info.header.stamp = now.to_msg()
        self._infos.publish(self._info)
        self._shown[now.nanoseconds] = monotonic()
        self._images.publish(message)
        return int(now.nanoseconds)

    def gpu_memory_mb(self) -> float:
        """Return what the nodes say that they hold of GPUs, 10^6 bytes."""
        states = self._listener.states
        return sum(states.facts(name, 0.0).gpu_memory_mb or 0.0 for name in self.names)

    def spin(self, seconds: float) -> None:
        """Run a callback, waiting for one at most so long."""
        if not self._node.context.ok():
            raise ExternalShutdownException
        self._executor.spin_once(timeout_sec=seconds)
        self._listener.arrived.clear()

    def spin_for(self, seconds: float) -> None:
        """Run callbacks for a while."""
        end = monotonic() + seconds
        while monotonic() < end:
            self.spin(STEP)

    def close(self) -> None:
        """Give the topics back."""
        self._executor.shutdown()
        self._node.destroy_node()

    def _played(self) -> dict[str, int]:
        both: tuple[Any, ...] = (self._images, self._infos)
        return {one.topic_name: one.get_subscription_count() for one in both}

    def _heard(self) -> list[Answered]:
        words = [word for word in self._listener.words if word.stamp_ns in self._shown]
        self._listener.words.clear()
        return [Answered(self._shown[word.stamp_ns], word) for word in words]

    def _sort(self, answers: dict[str, list[Answered]], first: int) -> None:
        for one in self._heard():
            if one.word.stamp_ns >= first:
                answers[one.word.node].append(one)


def _answering(node: NodeStart) -> Answering:
    """Return a node as one that is heard for its answer alone: others would cost it time."""
    whole = answering(node)
    kept = tuple(output for output in whole.outputs if output.name == node.spec.answer)
    return replace(whole, outputs=kept)
