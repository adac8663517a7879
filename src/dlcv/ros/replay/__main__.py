"""``python -m dlcv.ros.replay JOB.json``: show a bag to nodes that run.

In lock-step the next image is shown when every node has said what became of the last one and all
that it sent has arrived; in real time images come as they were recorded. Either way all answers are
kept, with a log of what became of each image.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from statistics import median
from time import monotonic

import rclpy
from rclpy.executors import ExternalShutdownException

from dlcv import process
from dlcv.data.bags import Bag, BagError
from dlcv.estimation.memory import keep_freed_memory
from dlcv.evaluation.replay.job import Folder, ReplayError, ReplayJob, broken_off, read, write
from dlcv.evaluation.replay.log import FrameLog, read_log
from dlcv.evaluation.replay.outputs import OutputBag
from dlcv.progress import Show, bars
from dlcv.ros.replay.lockstep import LockStep
from dlcv.ros.replay.peak import highest_rate
from dlcv.ros.replay.realtime import RealTime
from dlcv.ros.replay.stage import Stage
from dlcv.ros.start import init, leave


def replay(job: ReplayJob) -> bool:
    """Run a job; the bag of answers, the log and the facts are in its folder then.

    Returns:
        Whether it came to its end with all nodes; if not, a warning of the facts says why.

    Raises:
        BagError: The bag cannot be read, or the answers not be written.
        ReplayError: The nodes do not come.
    """
    files = Folder(job.folder)
    with (
        Bag(job.shown.bag, keep_damaged=job.shown.keep_damaged) as bag,
        bars(lines=True) as progress,
    ):
        stage = Stage(job, bag)
        try:
            stage.open(bag)
            begin = monotonic()
            complete = _show(stage, bag, progress)
            facts = stage.facts(monotonic() - begin, bag.damage)
            if job.peak and complete:
                facts = replace(facts, peak_hz=highest_rate(stage, bag, _slowest_ms(files.log)))
        finally:
            process.end()  # what was answered is kept
            stage.close()
    with nullcontext() if complete else suppress(OSError):  # the disk may be full
        write(facts, files.facts)
    return complete


def _show(stage: Stage, bag: Bag, progress: Show) -> bool:
    """Show the bag; return whether it came to its end with all nodes."""
    job, files = stage.job, Folder(stage.job.folder)
    outputs = [output for one in job.nodes for output in one.outputs]
    mode = LockStep if job.mode == 'lock-step' else RealTime
    try:
        with OutputBag(files.outputs, outputs) as answers, FrameLog(files.log) as log:
            answers.keep(bag, job.shown.kept)
            mode(stage, answers, log).show(bag, progress)
    except (BagError, OSError) as err:
        if not stage.images:
            raise
        stage.warn(broken_off(stage.images, stage.count, err))
        return False
    return not stage.lost


def _slowest_ms(log: Path) -> float:
    """Return what the slowest node of a replay needs for most images; 0 where none needed any."""
    of_nodes: dict[str, list[float]] = {}
    for line in read_log(log):
        if line.outcome.inference_ms is not None:
            of_nodes.setdefault(line.node, []).append(line.outcome.inference_ms)
    return max(map(median, of_nodes.values()), default=0.0)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of ``python -m dlcv.ros.replay``."""
    (path,) = sys.argv[1:] if argv is None else argv
    try:
        job = read(Path(path), ReplayJob)
        keep_freed_memory()
        init()
        try:
            process.run()
            complete = replay(job)
        except (KeyboardInterrupt, ExternalShutdownException):
            sys.stderr.write('replay: stopped; what was answered is kept\n')
            return 130
        finally:
            process.end()
            rclpy.try_shutdown()
    except (ReplayError, BagError, OSError) as err:
        sys.stderr.write(f'replay: {err}\n')
        return 1
    return 0 if complete else 1


if __name__ == '__main__':
    leave(main())
