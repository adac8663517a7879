"""Generate a walk, and try the nodes on it, each in a process of its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from pathlib import Path
from time import monotonic

from dlcv.bringup import Console
from dlcv.bringup.evaluate import EvaluationRequest, replay_and_evaluate
from dlcv.bringup.replay import ReplayOptions
from dlcv.data.bags import BagLayout, write_recording
from dlcv.data.world import BASELINES, WorldRecording, ideal_camera
from dlcv.evaluation.pipeline.written import PipelineError, Written
from dlcv.evaluation.scoring.evaluate import TruthChoice
from dlcv.interface.nodes import NODES
from dlcv.interface.share import share_file

MAP = Path(__file__).parent / 'room.safetensors'
"""Of the world that is generated when nothing else is asked for; docs/models/demo_room.md."""
TAIL = 40  # lines of the nodes' log that are shown when they fail
Say = Callable[[str], None]


class DemoError(ValueError):
    """A step of the demo failed; the message holds the end of its log."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DemoOptions:
    """What is generated, and where it goes.

    Attributes:
        out: Folder of everything the demo writes.
        scene: ``room``, ``corridor`` or ``street``.
        frames: Pictures.
        rate_hz: Pictures per second of simulated time.
        size: Width and height in pixels.
        speed: Simulated seconds per second; None for lock-step, in which each picture waits for
            all answers to the last one, so that all machines show the same.
        seed: Of the world.
        map: Map of the world for dsac; None for the shipped one where the world is the one that
            it is a map of. Without a map dsac is left out.
    """

    out: Path
    scene: str = 'room'
    frames: int = 100
    rate_hz: float = 10.0
    size: tuple[int, int] = (416, 192)
    speed: float | None = None
    seed: int = 0
    map: Path | None = None

    def __post_init__(self) -> None:
        for name in ('rate_hz', 'speed'):
            value = getattr(self, name)
            if value is not None and not 0 < value < inf:
                raise DemoError(f'{name} must be positive and finite, got {value}')
        if self.frames < 2:
            raise DemoError(f'a walk has 2 pictures or more, not {self.frames}')

    @property
    def known_map(self) -> Path | None:
        """The map of the world, None if there is none."""
        shipped = MAP if (self.scene, self.seed) == ('room', 0) and MAP.is_file() else None
        return self.map or shipped

    @property
    def nodes(self) -> list[str]:
        """Names of the nodes that take part."""
        more = {'segmentation'} | ({'dsac'} if self.known_map else set())
        return [name for name, spec in NODES.items() if spec.starts or name in more]


def run_demo(options: DemoOptions, say: Say) -> Written:
    """Run every step and return what was found.

    Args:
        options: What and where.
        say: Told of each step in a line.

    Raises:
        DemoError: The nodes failed.
    """
    begin = monotonic()

    def tell(text: str) -> None:
        say(f'[{monotonic() - begin:4.0f} s] {text}')

    options.out.mkdir(parents=True, exist_ok=True)
    walk = options.out / 'walk.mcap'
    tell(f'generating a {options.scene} of {options.frames} stereo pictures: {walk}')
    _generate(options, walk)
    if not options.known_map:
        tell(f'no map of this {options.scene} is known (see dlcv map): dsac is left out')
    tell(f'starting {len(options.nodes)} nodes, then showing them {_pace(options)}')
    written = _try(_request(options, walk), options, lambda: tell('comparing with the truth'))
    tell('done')
    return written


def _pace(options: DemoOptions) -> str:
    if options.speed is None:
        return f'{options.frames} pictures, each when all have answered the last one'
    seconds = options.frames / options.rate_hz / options.speed
    return f'{seconds:.0f} s of pictures'


def _generate(options: DemoOptions, walk: Path) -> None:
    world = WorldRecording(
        options.scene,
        seed=options.seed,
        camera=ideal_camera(*options.size),
        frames=options.frames,
        rate_hz=options.rate_hz,
        baseline=BASELINES[options.scene],  # what tells the odometry the metre
    )
    write_recording(world, walk, overwrite=True)


def _request(options: DemoOptions, walk: Path) -> EvaluationRequest:
    """Return what ``dlcv evaluate walk.mcap`` would evaluate."""
    layout = BagLayout()
    return EvaluationRequest(
        replay=ReplayOptions(
            bag=walk,
            folder=options.out,
            mode='lock-step' if options.speed is None else 'real-time',
            rate=options.speed or 1.0,
        ),
        truth=TruthChoice(depth=layout.depth, flow=layout.flow),
        arguments={
            'params_file': str(share_file('config/demo.yaml')),
            'nodes': ','.join(options.nodes),
            'map': str(options.known_map or ''),
        },
        title='dlcv demo',
    )


def _try(request: EvaluationRequest, options: DemoOptions, then: Callable[[], None]) -> Written:
    """Replay and evaluate, what the nodes print kept beside its answers."""
    told = False

    def progress(what: str, _done: int, _of: int) -> None:
        nonlocal told
        if what == 'evaluate' and not told:
            told = True
            then()

    log = options.out / 'nodes.log'
    try:
        with log.open('w') as sink:
            return replay_and_evaluate(request, Console(sink, [*options.nodes, 'replay']), progress)
    except PipelineError as err:
        tail = ''.join(deque(log.open(), maxlen=TAIL))
        raise DemoError(f'{err}; {log} ends with\n{tail}') from err
