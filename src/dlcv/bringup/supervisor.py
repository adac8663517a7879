"""Keep processes running together, show what they print, end them all cleanly.

Each runs in a session of its own, so a Ctrl-C in the terminal reaches the supervisor alone, which
passes it on once: SIGINT, then SIGTERM, then SIGKILL.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Awaitable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic

from dlcv import process as this_process
from dlcv.bringup.console import Console, Lines

ASKED = {0, -signal.SIGINT, -signal.SIGTERM, 128 + signal.SIGINT, 128 + signal.SIGTERM}
KILLED = {-signal.SIGKILL, -signal.SIGUSR1}
LONGEST_DELAY = 60.0  # seconds between two starts of a process that always dies at once
STABLE = 30.0  # seconds of life after which a process is no longer one that dies at once
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PR_SET_PDEATHSIG = 1
LAST_WORDS = 1.0  # seconds to read on after a process's end, if a descendant holds its output


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """One process.

    Attributes:
        name: What its lines begin with.
        argv: Program and arguments.
        respawn_delay: Seconds after which it is started again when it died; None for never.
        ours: Whether it imports `dlcv.process` as one of ours: until then an interrupt waits, or
            Python would answer it with a traceback of its own start.
        nodes: Names of those that it runs, where they are not its own.
    """

    name: str
    argv: tuple[str, ...]
    respawn_delay: float | None = None
    ours: bool = False
    nodes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """What runs together.

    Attributes:
        services: Run until the end of the job.
        recorder: Runs as long as they do, and is ended before them.
        player: When it ends, so does the job.
        report: Runs after all others, when the player came to its end and nothing failed.
        tell_player: Whether the player reads the names of services that have died for good on its
            standard input, one a line.
        interrupt_patience: Seconds from SIGINT to SIGTERM.
        terminate_patience: Seconds from SIGTERM to SIGKILL.
        haste: Seconds for either once a signal has come twice: enough to close what is open.
    """

    services: tuple[Command, ...]
    recorder: Command | None = None
    player: Command | None = None
    report: Command | None = None
    tell_player: bool = False
    interrupt_patience: float = 15.0
    terminate_patience: float = 5.0
    haste: float = 4.0

    @property
    def commands(self) -> list[Command]:
        """All processes that are there."""
        rest = (self.recorder, self.player, self.report)
        return [*self.services, *(command for command in rest if command is not None)]


def supervise(job: Job, environment: Mapping[str, str], console: Console) -> int:
    """Run a job until its player ends, all of it has died, or a signal asks for its end.

    Args:
        job: What to run.
        environment: Environment of the processes.
        console: Where their lines go.

    Returns:
        0 after a clean end (also by Ctrl-C), 1 when a process died and was not started again,
        failed, or had to be killed.
    """
    before = signal.getsignal(signal.SIGINT)
    try:
        return asyncio.run(_Supervisor(job, environment, console).run())
    finally:
        signal.signal(signal.SIGINT, before)  # asyncio leaves Python's own
        this_process.heard()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


def describe(code: int) -> str:
    """Return an exit status in words, such as ``killed by SIGSEGV`` or ``exit code 3``."""
    if code >= 0:
        return f'exit code {code}'
    with suppress(ValueError):
        return f'killed by {signal.Signals(-code).name}'
    return f'killed by signal {-code}'


class _Child:
    """One process while it is kept running."""

    def __init__(self, command: Command) -> None:
        self.command = command
        self.process: asyncio.subprocess.Process | None = None
        self.task: asyncio.Task[None] | None = None
        self._stop = asyncio.Event()

    @property
    def stopping(self) -> bool:
        return self._stop.is_set()

    @property
    def alive(self) -> bool:
        return self.task is not None and not self.task.done()

    def send(self, number: signal.Signals) -> None:
        self._stop.set()
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)

    async def pause(self, seconds: float) -> None:
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._stop.wait(), seconds)


class _Supervisor:
    def __init__(self, job: Job, environment: Mapping[str, str], console: Console) -> None:
        self._job, self._environment, self._console = job, environment, console
        self._asked = asyncio.Event()
        self._hasty, self._impatient = asyncio.Event(), asyncio.Event()
        self._failed = False
        self._player: list[_Child] = []
        self._dead: list[str] = []  # services of which the player is to be told

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._on_signal, number)
        try:
            return await self._run()
        finally:  # or one that comes while asyncio closes would be written into a closed file
            signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
            for number in _SIGNALS:
                loop.remove_signal_handler(number)

    async def _run(self) -> int:
        services = [self._start(command) for command in self._job.services]
        recorder = [self._start(self._job.recorder)] if self._job.recorder else []
        player = [self._start(self._job.player)] if self._job.player else []
        self._player = player
        try:
            await self._wait_for_end(services, recorder, player)
        finally:
            if not self._asked.is_set():  # what the recorder waits for is still alive
                await self._stop([*player, *recorder])
            await self._stop([*player, *recorder, *services])
        if self._job.report and not self._failed and not self._asked.is_set():
            await self._report(self._job.report)
        return int(self._failed)

    def _on_signal(self, number: signal.Signals) -> None:
        # people press Ctrl-C twice, and what is killed leaves shared memory and half a bag behind
        name = signal.Signals(number).name
        if self._hasty.is_set():
            self._impatient.set()
        elif self._asked.is_set():
            self._console.say(f'{name} again: making haste; once more to kill')
            self._hasty.set()
        else:
            self._console.say(f'{name}: stopping')
            self._asked.set()

    def _start(self, command: Command) -> _Child:
        child = _Child(command)
        child.task = asyncio.create_task(self._keep(child))
        return child

    async def _wait_for_end(
        self, services: list[_Child], recorder: list[_Child], player: list[_Child]
    ) -> None:
        ends: list[Awaitable[object]] = [self._asked.wait()]
        ends += [child.task for child in [*recorder, *player] if child.task is not None]
        ends.append(asyncio.wait([child.task for child in services if child.task is not None]))
        await _first(ends)
        for child in [*player, *recorder]:
            if not child.alive and not self._asked.is_set():
                self._console.say(f'{child.command.name} came to its end: stopping')

    async def _report(self, command: Command) -> None:
        child = self._start(command)
        assert child.task is not None
        await _first([self._asked.wait(), child.task])
        await self._stop([child])

    async def _keep(self, child: _Child) -> None:
        """Run a process, again and again if that is asked for, and tell how it ended."""
        name, delay = child.command.name, child.command.respawn_delay
        deaths = 0
        while not child.stopping:
            begin = monotonic()
            code = await self._run_once(child)
            if child.stopping or code == 0:
                self._judge_end(child, code)
                return
            if delay is None:
                self._fail(f'{name} died: {describe(code)}')
                if child.command in self._job.services:
                    self._dead.extend(child.command.nodes or [name])
                    self._tell_player()
                return
            deaths = 0 if monotonic() - begin > STABLE else deaths + 1
            pause = min(delay * 2 ** max(deaths - 1, 0), max(LONGEST_DELAY, delay))
            self._console.complain(
                f'{name} died: {describe(code)}; starting it again in {pause:g} s'
            )
            await child.pause(pause)

    async def _run_once(self, child: _Child) -> int:
        told = self._job.tell_player and child.command is self._job.player
        try:
            process = await asyncio.create_subprocess_exec(
                *child.command.argv,
                env=dict(self._environment),
                stdin=asyncio.subprocess.PIPE if told else asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_prepare_ours if child.command.ours else _end_with_parent,
            )
        except OSError as err:
            self._console.complain(f'{child.command.name} cannot be started: {err}')
            return 127
        child.process = process
        if told:
            self._tell_player()
        if child.stopping:  # asked to stop while it was being started
            child.send(signal.SIGINT)
        reading = asyncio.create_task(self._relay(child.command.name, process))
        code = await process.wait()
        child.process = None
        await asyncio.wait([reading], timeout=LAST_WORDS)
        reading.cancel()
        return code

    async def _relay(self, name: str, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        lines = Lines()
        while piece := await process.stdout.read(1 << 16):
            for line in lines.push(piece):
                self._console.line(name, line)
        for line in lines.end():
            self._console.line(name, line)

    def _judge_end(self, child: _Child, code: int) -> None:
        if code not in ASKED and code not in KILLED:  # a kill of ours is told of in _stop
            self._fail(f'{child.command.name} ended badly: {describe(code)}')
        elif not child.stopping and child.command in self._job.services:
            self._console.say(f'{child.command.name} ended')

    def _tell_player(self) -> None:
        """Tell the player, once it runs, which services have died."""
        for player in self._player if self._job.tell_player else ():
            if player.process is not None and player.process.stdin is not None:
                names, self._dead = self._dead, []
                with suppress(ConnectionError):
                    player.process.stdin.write(''.join(f'{name}\n' for name in names).encode())

    def _fail(self, text: str) -> None:
        self._failed = True
        self._console.complain(text)

    async def _stop(self, children: Iterable[_Child]) -> None:
        """End processes, ever more firmly."""
        steps = (
            (signal.SIGINT, self._job.interrupt_patience),
            (signal.SIGTERM, self._job.terminate_patience),
            (signal.SIGKILL, None),
        )
        children = list(children)
        for number, patience in steps:
            alive = [child for child in children if child.alive]
            if not alive:
                return
            if number == signal.SIGKILL:
                for child in alive:
                    self._fail(f'{child.command.name} does not stop: killed')
                    child.send(signal.SIGUSR1)  # a node prints where its threads are
                await self._until_gone(alive, LAST_WORDS)
            for child in alive:
                child.send(number)
            await self._until_gone(alive, patience)

    async def _until_gone(self, children: list[_Child], patience: float | None) -> None:
        gone = asyncio.wait([child.task for child in children if child.task is not None])
        if patience is None:
            await gone
        elif not self._impatient.is_set():
            haste = self._hurry(min(patience, self._job.haste))
            await _first([gone, self._impatient.wait(), haste, asyncio.sleep(patience)])
        else:
            gone.close()

    async def _hurry(self, seconds: float) -> None:
        await self._hasty.wait()
        await asyncio.sleep(seconds)


def _end_with_parent() -> None:
    """Ask Linux to end this process when the supervisor is killed, so that none is left over."""
    if sys.platform == 'linux':
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)


def _prepare_ours() -> None:
    _end_with_parent()
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])


async def _first(awaitables: Iterable[Awaitable[object]]) -> None:
    """Wait for one of several; the others that were made for this are given up."""
    ours = {asyncio.ensure_future(a): not isinstance(a, asyncio.Task) for a in awaitables}
    await asyncio.wait(ours, return_when=asyncio.FIRST_COMPLETED)
    for future, made_here in ours.items():
        if made_here:
            future.cancel()
