"""Steps that run in a process of their own, one when it is asked for: ours, or a plain program.

A process of ours settles its threads and its memory as our commands do; a plain program is left as
PyTorch is, whose threads spin while they wait. Parent and child speak in lines: JSON of what a step
took for each name of a step.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import IO, Any

from dlcv.config import from_dict, to_dict
from dlcv.evaluation.bench.options import BenchError
from dlcv.evaluation.speed.film import Film
from dlcv.evaluation.speed.timing import Spent, Step, spend
from dlcv.files import Closing
from dlcv.process import WAITING
from dlcv.types import ByteImage

PLAIN = 'plain'
_MODULE = 'dlcv.evaluation.speed.worker'


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerJob:
    """What a worker runs.

    Attributes:
        subject: Name of shipped weights.
        film: File of the pictures.
        plain: Whether the plain program is run, in place of our estimator and its network.
        threads: That it computes with.
        parameters: Of our node.
    """

    subject: str
    film: str
    plain: bool = False
    threads: int = 1
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Started:
    """What a worker says when it is ready.

    Attributes:
        seconds: From its start until then.
        memory_mb: That it takes (PSS, in 10^6 bytes); None where nobody tells.
    """

    seconds: float
    memory_mb: float | None


class Worker(Closing):
    """A process that waits for names of steps.

    Args:
        job: What it runs.

    Raises:
        BenchError: It ended before it was ready; the message has its last line.
    """

    def __init__(self, job: WorkerJob) -> None:
        # a process that is not called by our name settles nothing by itself
        call = ['-c', f'from {_MODULE} import main; main()'] if job.plain else ['-m', _MODULE]
        known = os.environ
        kept = {k: v for k, v in known.items() if not (job.plain and k in WAITING)}
        begin = perf_counter()
        self._job = job
        self._process = subprocess.Popen(
            [sys.executable, *call, json.dumps(to_dict(job))],
            env=kept,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        ready = self._read()
        self.started = Started(seconds=perf_counter() - begin, memory_mb=ready['memory_mb'])

    def run(self, step: str) -> Spent:
        """Let it run a step, and return what that took."""
        stdin = self._pipe(self._process.stdin)
        stdin.write(f'{step}\n')
        stdin.flush()
        return Spent(**self._read())

    def close(self) -> None:
        """End it."""
        self._process.communicate()

    def _read(self) -> dict[str, Any]:
        line = self._pipe(self._process.stdout).readline()
        if not line:
            _, errors = self._process.communicate()
            last = errors.strip().rpartition('\n')[2] or f'exit code {self._process.returncode}'
            raise BenchError(f'{self._job.subject}: its process ended: {last}')
        found: dict[str, Any] = json.loads(line)
        return found

    @staticmethod
    def _pipe(pipe: IO[str] | None) -> IO[str]:
        assert pipe is not None
        return pipe


def memory_mb(pid: int | str = 'self') -> float | None:
    """Return the memory of a process: its own, and its share of what it shares (PSS).

    Returns:
        10^6 bytes; None where the system does not tell, or the process is gone.
    """
    try:
        lines = Path(f'/proc/{pid}/smaps_rollup').read_text(encoding='utf-8').splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith('Pss:')]
    return int(found[0]) * 1024 / 1e6 if found else None


def main() -> None:
    """Be a worker."""
    job = from_dict(json.loads(sys.argv[1]), WorkerJob)
    answers, sys.stdout = sys.stdout, sys.stderr  # whatever a library prints is none
    steps = _prepared(job)
    print(json.dumps({'memory_mb': memory_mb()}), file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(asdict(spend(steps[line.strip()]))), file=answers, flush=True)


def _prepared(job: WorkerJob) -> dict[str, Step]:
    import torch

    from dlcv.estimation.device import set_threads
    from dlcv.estimation.memory import keep_freed_memory

    film = Film.load(Path(job.film))
    if job.plain:
        torch.set_num_threads(job.threads)
        return {PLAIN: _plain(job.subject, film)}
    from dlcv.evaluation.speed.steps import steps_of

    keep_freed_memory()
    set_threads(job.threads)
    return steps_of(job.subject, film, **job.parameters)


def _plain(subject: str, film: Film) -> Step:
    program = plain_program(subject, film)
    frames = film.frames()
    for _ in range(2):
        program(next(frames).image)
    return lambda: program(next(frames).image)


def plain_program(subject: str, film: Film) -> Callable[[ByteImage], object]:
    """Return the plain program with our shipped weights.

    Raises:
        BenchError: There is none for this subject.
    """
    from dlcv.evaluation.speed.plain.deepvo import PlainDeepVO
    from dlcv.evaluation.speed.plain.flownet import PlainFlowNet
    from dlcv.evaluation.speed.plain.monodepth import PlainMonodepth
    from dlcv.evaluation.speed.plain.superpoint import PlainSuperPoint
    from dlcv.networks.weights import load_network

    programs: dict[str, tuple[str, Callable[..., Callable[[ByteImage], object]]]] = {
        'superpoint': ('superpoint', PlainSuperPoint),
        'flownet_s': ('flownet', PlainFlowNet),
        'flownet_c': ('flownet', PlainFlowNet),
        'monodepth': ('monodepth', partial(PlainMonodepth, camera=film.camera)),
        'deepvo': ('deepvo', PlainDeepVO),
    }
    if subject not in programs:
        raise BenchError(f'no plain program for {subject!r}; there are {", ".join(programs)}')
    network, program = programs[subject]
    return program(load_network(network, subject).requires_grad_(False))


if __name__ == '__main__':
    main()
