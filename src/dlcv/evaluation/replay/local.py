"""Show the images of a bag to the tasks of the nodes, in this process and without ROS."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

from dlcv.data.bags import Bag, BagError, RawMessage
from dlcv.data.bags.vocabulary import COMPOSER
from dlcv.estimation.tasks.base import Verdict, task_class
from dlcv.estimation.tasks.order import Order
from dlcv.evaluation.replay.ahead import Ahead
from dlcv.evaluation.replay.job import Folder, NodeFacts, ReplayError, RunFacts, broken_off, write
from dlcv.evaluation.replay.log import FrameLog, Handled
from dlcv.evaluation.replay.outputs import NodeRun, OutputBag, outputs_of
from dlcv.evaluation.replay.shown import Shown
from dlcv.geometry.frames import TransformBuffer
from dlcv.interface import messages
from dlcv.interface.handled import PROCESSED, Outcome
from dlcv.interface.messages import take_transforms
from dlcv.interface.nodes import BODY, NODES
from dlcv.interface.rectified import is_rectified, note
from dlcv.types import Frame

TF = '/tf'
WARM_UP_SIZE = 640, 480
Say = Callable[[str], None]


@dataclass
class _Host:
    """Runs one task: listens to all of its outputs, and keeps them until they are fetched."""

    parameters: Any
    topics: dict[str, str]  # name in the contract -> full name
    say: Say
    pending: list[tuple[str, Any]] = field(default_factory=list)
    message: str = ''

    def wanted(self, name: str) -> bool:
        return name in self.topics

    def send(self, name: str, message: Any) -> None:
        self.pending.append((name, message))

    def hand(self, *_: Any) -> bool:
        return True  # nobody takes it as it is

    def judge(self, condition: Verdict | None) -> None:
        self.message = condition.text if condition else ''

    def warn(self, text: str) -> None:
        self.say(text)

    def complain(self, text: str) -> None:
        if text != self.message:
            self.say(text)


class LocalNode:
    """A task with what a node does around it: order, calibration, survival of errors.

    Args:
        run: Which node, and its parameters.
        frames: The static transforms of the bag.
        say: Told what people should know.
        images: Topic of the images.

    Raises:
        ReplayError: If its estimator cannot be loaded.
    """

    def __init__(self, run: NodeRun, frames: TransformBuffer, say: Say, images: str = '') -> None:
        self.run = run
        topics = {output.name: output.topic for output in outputs_of(run)}
        self._host = _Host(run.settings, topics, lambda text: say(f'{run.spec.name}: {text}'))
        self.task = task_class(run.spec)(self._host, COMPOSER)
        self._frames: TransformBuffer | None = getattr(self.task, 'frames', None)
        if self._frames is not None:
            self._frames.merge(frames)
        self.task.beside.patient = False  # what there is of it is there before the image
        self._inputs = {
            run.resolve(topic.name): topic.name
            for topic in self.task.beside.topics.values()
            if self.task.listens(topic)
        }
        self._rectified = is_rectified(images, run.settings.rectified)
        self._note = note(images) if self._rectified else ''
        self._order = Order()
        self._told = ''
        self._load()

    @property
    def facts(self) -> NodeFacts:
        """What a node would say of itself."""
        origin = self.task.estimator.origin
        return NodeFacts(
            trained=origin.trained,
            weights=str(origin.path or ''),
            weights_sha256=origin.sha256,
            device=str(self.task.estimator.device),
            message=self._host.message or 'running',
        )

    @property
    def inputs(self) -> set[str]:
        """Full names of the topics that it listens to beside the camera."""
        moving = {TF} if BODY in self.run.spec.inputs else set()
        return {*self._inputs, *moving}

    def take(self, topic: str, message: Any) -> None:
        """Take a message of one of `inputs`, before the image that it belongs to."""
        if topic in self._inputs:
            self.task.beside.put(self._inputs[topic], message)
        elif topic in self.inputs and self._frames is not None:
            take_transforms(self._frames, message, static=False)

    def handle(self, message: Any, info: Any) -> tuple[Outcome, list[tuple[str, Any]]]:
        """Take an image message to its results, or drop it, as a node does.

        Returns:
            What became of it, and the outputs: full name and message.
        """
        self._host.pending = []
        try:
            name, milliseconds = self._handle(message, info)
        except messages.UnsupportedEncodingError as err:
            self._tell(f'image rejected: {err}')
            name, milliseconds = 'rejected_encoding', None
        except messages.MessageError as err:
            self._tell(f'image rejected: {err}')
            name, milliseconds = 'rejected_invalid', None
        except Exception as err:  # noqa: BLE001 - as in a node, a bad frame must not end the rest
            self._tell(f'image failed: {type(err).__name__}: {str(err).partition(chr(10))[0]}')
            self.task.estimator.reset()
            self.task.interrupt()
            return Outcome('failed'), []
        sent = self._host.pending
        outcome = Outcome(name, milliseconds, tuple(topic for topic, _ in sent))
        return outcome, [(self._host.topics[topic], made) for topic, made in sent]

    def _load(self) -> None:
        p = self.run.settings
        try:
            self.task.estimator = self.task.load(p.device, p.precision)
            self.task.estimator.warm_up(*WARM_UP_SIZE)
            self.task.configure()
        except Exception as err:
            raise ReplayError(f'{self.run.spec.name}: {err}') from err
        self._forget()

    def _tell(self, text: str) -> None:
        """Say why an image came to nothing, once for all that do so in the same way."""
        if text != self._told:
            self._host.say(text)
            if os.environ.get('DLCV_TRACEBACK'):
                self._host.say(traceback.format_exc())
        self._told = text

    def _forget(self) -> None:
        self.task.estimator.reset()
        self.task.reset()

    def _handle(self, message: Any, info: Any) -> tuple[str, float | None]:
        p, stamp = self.run.settings, messages.stamp_ns(message.header.stamp)
        verdict = self._order.judge(stamp, p.time_jump_back_threshold, p.max_rate)
        if verdict == 'time_jumps':
            self._host.say('time jumped backwards; starting anew')
            self._forget()
        elif verdict:
            return verdict, None
        if not self.task.due(stamp):
            return 'not_asked_for', None
        frame = self._frame(message, info)
        if frame is None:
            return 'rejected_camera', None
        self.task.gather(frame)
        begin = perf_counter()
        result = self.task.infer(frame)
        milliseconds = 1e3 * (perf_counter() - begin)
        self.task.tell(frame)
        if result is not None:
            header = COMPOSER.header(stamp, frame.frame_id)
            self.task.publish(frame, header, result)
        return PROCESSED, milliseconds

    def _frame(self, message: Any, info: Any) -> Frame | None:
        if self._note and info is not None and any(info.d):
            self._host.say(self._note)
            self._note = ''
        camera = messages.camera(info, rectified=self._rectified) if info is not None else None
        pixels = messages.decode_any(message)
        height, width = pixels.shape[:2]
        if camera is not None and (camera.width, camera.height) != (width, height):
            camera = None
        if camera is None and self.task.needs_camera:
            return None
        if camera is not None and self.task.misfit(camera):
            return None
        return Frame(
            stamp_ns=messages.stamp_ns(message.header.stamp),
            image=pixels,
            camera=camera,
            frame_id=messages.frame_of(message),
        )


def replay_local(
    shown: Shown,
    runs: Sequence[NodeRun],
    folder: Path,
    say: Say,
    progress: Callable[[str, int, int], None] = lambda _what, _done, _of: None,
) -> bool:
    """Replay a bag, and write the answers to another, a log, and facts (see `Folder`).

    When the bag turns out damaged on the way, or the disk is full, what was answered is kept.

    Args:
        shown: What is shown.
        runs: The nodes; they answer in the order of `NODES`.
        folder: Where they go.
        say: Told what people should know.
        progress: Told how far it is.

    Returns:
        Whether it came to its end; if not, a warning of the facts says why.

    Raises:
        ReplayError: An estimator cannot be loaded.
        BagError: The bag cannot be read, or no answer be written.
    """
    from dlcv.estimation.device import set_threads
    from dlcv.estimation.memory import keep_freed_memory

    keep_freed_memory()
    files = Folder(folder)
    with Bag(shown.bag, keep_damaged=shown.keep_damaged) as bag:
        frames = bag.static_frames()
        order = list(NODES)  # whom others listen to comes before them
        runs = sorted(runs, key=lambda run: order.index(run.spec.name))
        nodes = [LocalNode(run, frames, say, shown.image_topic) for run in runs]
        set_threads(runs[0].settings.num_threads)
        outputs = [output for run in runs for output in outputs_of(run)]
        begin, images, count, trouble = perf_counter(), 0, shown.count(bag), ''
        try:
            with OutputBag(files.outputs, outputs) as answers, FrameLog(files.log) as log:
                answers.keep(bag, shown.kept)
                beside = Ahead(_beside(bag, nodes), lambda one: one[0].stamp_ns)
                for raw, message, info in _images(bag, shown):
                    for other, value in beside.before(raw.stamp_ns):
                        for node in nodes:
                            node.take(other.topic, value)
                    _show(nodes, raw, message, info, answers, log)
                    images += 1
                    progress('replay', images, count)
        except (BagError, OSError) as err:
            if not images:
                raise
            trouble = broken_off(images, count, err)
            say(f'replay: {trouble}')
    facts = RunFacts(
        mode='in-process',
        seconds=perf_counter() - begin,
        images=images,
        nodes={node.run.spec.name: node.facts for node in nodes},
        warnings=(*filter(None, [trouble]), *bag.damage),
    )
    with suppress(OSError) if trouble else nullcontext():  # the disk may be full
        write(facts, files.facts)
    return not trouble


def _show(
    nodes: Sequence[LocalNode],
    raw: RawMessage,
    message: Any,
    info: Any,
    answers: OutputBag,
    log: FrameLog,
) -> None:
    stamp = messages.stamp_ns(message.header.stamp)
    for node in nodes:
        outcome, sent = node.handle(message, info)
        for topic, made in sent:
            answers.add(topic, raw.stamp_ns, made)
            for other in nodes:  # slam listens to odometry, and odometry to depth
                other.take(topic, made)
        log.add(Handled(node.run.spec.name, stamp, outcome))


def _beside(bag: Bag, nodes: Sequence[LocalNode]) -> Iterator[tuple[RawMessage, Any]]:
    """Give what is shown beside the images: nothing of what a node here publishes itself."""
    wanted = {name for node in nodes for name in node.inputs}
    wanted -= {output.topic for node in nodes for output in outputs_of(node.run)}
    there = [topic.name for topic in bag.topics if topic.name in wanted and topic.count]
    return bag.read(there) if there else iter(())


def _images(bag: Bag, shown: Shown) -> Iterator[tuple[RawMessage, Any, Any]]:
    found = bag.images(shown.image_topic, shown.camera_info_topic or None)
    for number, (raw, message, info) in enumerate(found):
        if shown.most and number >= shown.most:
            return
        yield raw, message, info
