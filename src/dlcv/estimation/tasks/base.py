"""What a task is, and what it needs of whoever runs it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, fields
from enum import IntEnum
from importlib import import_module
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from dlcv.estimation.tasks.beside import Beside
from dlcv.interface.messages import Composer
from dlcv.interface.nodes import HANDLED, NodeSpec, Topic
from dlcv.interface.parameters import CommonParameters
from dlcv.types import Camera, Frame

R = TypeVar('R')
P = TypeVar('P', bound=CommonParameters)
T = TypeVar('T')


class Level(IntEnum):
    """Levels of ``diagnostic_msgs/DiagnosticStatus``."""

    OK = 0
    WARN = 1
    ERROR = 2


@dataclass(frozen=True, slots=True)
class Verdict:
    """Level and one line for a person."""

    level: Level
    text: str


class Estimator(Protocol):
    """What a task needs of an estimator; its results are the task's business."""

    device: Any
    origin: Any

    def reset(self) -> None:
        """Forget all history."""

    def warm_up(self, width: int, height: int) -> None:
        """Run on pictures of this size, so that the first real one is not late."""


class Host(Protocol):
    """Who runs a task."""

    @property
    def parameters(self) -> Any:
        """The parameters as they are now."""

    def wanted(self, name: str) -> bool:
        """Whether anybody listens to an output of the contract."""

    def send(self, name: str, message: Any) -> None:
        """Publish on an output of the contract."""

    def hand(self, name: str, header: Any, value: Any) -> bool:
        """Give a result to those who take it as it is; whether a message is wanted as well."""

    def judge(self, condition: Verdict | None) -> None:
        """Take note of a condition of the task itself (lost, no map ...); None when it is over."""

    def warn(self, text: str) -> None:
        """Tell people something that they should know."""

    def complain(self, text: str) -> None:
        """Tell people of an error that may come with each picture."""


class Task(ABC, Generic[P, R]):
    """Turns pictures into results of one estimator, and these into messages.

    All methods but the constructor are called in one thread, except `load` and `retune`.

    Args:
        host: Who runs it.
        compose: Makes its messages.

    Attributes:
        spec: What the node offers whose task it is.
        needs_camera: Whether a picture without calibration is of no use.
        estimator: What was loaded; None before.
        beside: What arrives beside the pictures; whoever runs the task fills it.
    """

    spec: ClassVar[NodeSpec]
    needs_camera: ClassVar[bool] = True

    def __init__(self, host: Host, compose: Composer) -> None:
        self.host, self.compose = host, compose
        self.estimator: Any = None
        self.beside = Beside(self.spec.inputs)

    @property
    def parameters(self) -> P:
        """The parameters as they are now."""
        return self.host.parameters  # type: ignore[no-any-return]

    @abstractmethod
    def load(self, device: str, precision: str) -> Estimator:
        """Build the estimator from the parameters; any exception makes configure fail.

        Args:
            device: The parameter's, or ``cpu`` after a GPU error.
            precision: The parameter's, or ``fp32`` after a GPU error.
        """

    @property
    def chooses(self) -> bool:
        """Whether `choose` is to be asked, of several pictures that wait, which one is next."""
        return False

    def choose(self, waiting: Sequence[int], seconds: float) -> int | None:
        """Return which picture is next: by default the newest. May be called in any thread.

        Args:
            waiting: Stamps in ns, oldest first; those before the chosen one are superseded.
            seconds: Since the last of them came.

        Returns:
            Its index; None to wait for what belongs to one of them.
        """
        return len(waiting) - 1

    def gather(self, frame: Frame) -> None:
        """Wait for what belongs to a frame; the time that it takes is not that of the estimator."""

    @abstractmethod
    def infer(self, frame: Frame) -> R | None:
        """Run the estimator on a frame; None when there is nothing to publish."""

    def tell(self, frame: Frame) -> None:
        """Send what is to be said of a frame that was looked at, whether or not it has a result."""

    @abstractmethod
    def publish(self, frame: Frame, header: Any, result: R) -> None:
        """Send what is listened to of a result, under the image's header."""

    def configure(self) -> None:
        """Make ready what depends on parameters, once the estimator is loaded."""

    def retune(self) -> None:
        """Hand changed dynamic parameters to the estimator."""
        self.estimator.settings = settings(type(self.estimator.settings), self.parameters)

    def misfit(self, camera: Camera) -> str:
        """Say why an image of this camera is of no use; empty if it is."""
        return ''

    def listens(self, topic: Topic) -> bool:
        """Whether an input beside the images is of use under the present parameters."""
        return True

    def values(self) -> dict[str, str]:
        """Return what the diagnostics are to say of the task, once it has an estimator."""
        return self.beside.values()

    def due(self, stamp_ns: int) -> bool:
        """Whether an image is to be computed: when anybody listens to anything."""
        return any(self.wanted(t.name) for t in self.spec.outputs if t is not HANDLED)

    def reset(self) -> None:
        """Forget what the task itself remembers between frames."""

    def interrupt(self) -> None:
        """Note that the estimator has forgotten its frames after a failure.

        Unlike after a reset, what comes next goes on from what was before.
        """
        self.reset()

    def judge_answer(self, lacking: str, reason: str) -> None:
        """Say that an image came to nothing, and why; nothing, where there is an answer.

        Args:
            lacking: What there is not, such as ``no depth``.
            reason: Why; empty where there is some.
        """
        said = f'{lacking}: {reason}' if reason else ''
        self.host.judge(Verdict(Level.ERROR, said) if said else None)
        if said:
            self.host.complain(said)

    def wanted(self, name: str) -> bool:
        """Whether anybody listens to an output of the contract."""
        return self.host.wanted(name)

    def send(self, name: str, message: Any) -> None:
        """Publish on an output of the contract."""
        self.host.send(name, message)

    def loading(self, device: str, precision: str) -> dict[str, Any]:
        """Return what the loaders of `dlcv.estimation.load` are given besides the settings."""
        p = self.parameters
        return {
            'weights': p.weights,
            'sha256': p.weights_sha256,
            'allow_untrained': p.allow_random_weights,
            'device': device,
            'precision': precision,
            'engine': p.engine if device == p.device else 'auto',  # that was of a GPU
        }


def task_class(spec: NodeSpec) -> type[Task[Any, Any]]:
    """Import the class of a node's task, and return it."""
    module, _, name = spec.task.partition(':')
    found: type[Task[Any, Any]] = getattr(import_module(f'dlcv.estimation.tasks.{module}'), name)
    return found


def settings(cls: type[T], parameters: CommonParameters, **others: Any) -> T:
    """Return the settings of an estimator: its fields that are parameters too, and ``others``.

    Args:
        cls: Dataclass of the settings.
        parameters: Where its fields come from by name.
        others: Fields that are named or counted otherwise.
    """
    shared = {f.name: getattr(parameters, f.name, MISSING) for f in fields(cls)}  # type: ignore[arg-type]
    return cls(**{name: value for name, value in shared.items() if value is not MISSING} | others)
