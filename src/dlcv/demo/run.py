"""Generate a walk, replay it through the five nodes in their own processes, record, report."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from pathlib import Path
from time import monotonic

from dlcv.bags import write_recording
from dlcv.contract.nodes import NODES
from dlcv.contract.share import share_file
from dlcv.report import Summary, summarise, write_report
from dlcv.world import WorldRecording, ideal_camera

TRUTH = '/ground_truth/odometry'
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
        speed: Simulated seconds per second.
        seed: Of the world.
        map: Map of the world for dsac; None for the shipped one where the world is the one that
            it is a map of. Without a map dsac is left out.
        domain: ROS domain that the nodes talk in; None takes that of the environment.
    """

    out: Path
    scene: str = 'room'
    frames: int = 80
    rate_hz: float = 5.0
    size: tuple[int, int] = (416, 192)
    speed: float = 1.0
    seed: int = 0
    map: Path | None = None
    domain: int | None = None

    def __post_init__(self) -> None:
        for name in ('rate_hz', 'speed'):
            if not 0 < getattr(self, name) < inf:
                raise DemoError(f'{name} must be positive and finite, got {getattr(self, name)}')
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
        return [name for name in NODES if name != 'dsac' or self.known_map]


def run_demo(options: DemoOptions, say: Say) -> tuple[Summary, Path]:
    """Run every step and return the summary and the path of the page.

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
    walk, outputs = options.out / 'walk.mcap', options.out / 'outputs.mcap'
    tell(f'generating a {options.scene} of {options.frames} pictures: {walk}')
    _generate(options, walk)
    seconds = options.frames / options.rate_hz / options.speed
    if not options.known_map:
        tell(f'no map of this {options.scene} is known (see dlcv map): dsac is left out')
    tell(f'starting {len(options.nodes)} nodes, then playing {seconds:.0f} s into them: {outputs}')
    _replay(options, walk, outputs)
    tell('reading the recording')
    summary = summarise(outputs, inputs=walk, truth_topic=TRUTH)
    page = write_report(summary, options.out, title='dlcv demo', command='make demo')
    tell('done')
    return summary, page


def _generate(options: DemoOptions, walk: Path) -> None:
    world = WorldRecording(
        options.scene,
        seed=options.seed,
        camera=ideal_camera(*options.size),
        frames=options.frames,
        rate_hz=options.rate_hz,
    )
    write_recording(world, walk, overwrite=True)


def _replay(options: DemoOptions, walk: Path, outputs: Path) -> None:
    """Run ``dlcv up`` on the walk; its log is kept beside the recording."""
    outputs.unlink(missing_ok=True)
    command = [
        sys.executable, '-m', 'dlcv', 'up', str(share_file('config/demo.yaml')),
        '--bag', str(walk), '--bag-rate', str(options.speed),
        '--record', str(outputs), '--nodes', ','.join(options.nodes),
        *(('--map', str(options.known_map)) if options.known_map else ()),
    ]  # fmt: skip
    environment = dict(os.environ)
    if options.domain is not None:
        environment['ROS_DOMAIN_ID'] = str(options.domain)
    log = options.out / 'nodes.log'
    with log.open('w') as sink:
        done = subprocess.run(
            command, env=environment, stdout=sink, stderr=subprocess.STDOUT, check=False
        )
    if done.returncode != 0 or not outputs.exists():
        tail = '\n'.join(deque(log.open(), maxlen=TAIL))
        raise DemoError(
            f'the nodes ended with exit code {done.returncode}; {log} ends with\n{tail}'
        )
