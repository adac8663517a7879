"""Plan, replay, evaluate, write."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from dlcv.bringup import Console, job_of, supervise
from dlcv.bringup.replay import ReplayOptions, plan_replay
from dlcv.evaluation.evaluate import Subject, TruthChoice, evaluate
from dlcv.replay.job import Folder, ReplayJob, RunFacts, read
from dlcv.replay.local import replay_local
from dlcv.replay.log import read_log
from dlcv.trial.checks import check_folder, check_truth
from dlcv.trial.facts import facts
from dlcv.trial.mishaps import mishaps
from dlcv.trial.written import TrialError, UnevaluatedError, Written, forget
from dlcv.trial.written import write as write_down

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """What is tried.

    Attributes:
        replay: The bag, and how it is shown.
        truth: What the answers are compared with.
        arguments: Launch arguments (nodes, params_file, map, device ...).
        title: Headline; empty for the bag's name.
    """

    replay: ReplayOptions
    truth: TruthChoice = field(default_factory=TruthChoice)
    arguments: Mapping[str, str] = field(default_factory=dict)
    title: str = ''


def run(trial: Trial, console: Console, progress: Progress) -> Written:
    """Replay a bag and evaluate the answers; what is finished is kept whatever fails after it.

    Args:
        trial: What is tried.
        console: Where the nodes' lines go.
        progress: Told how far it is.

    Raises:
        TrialError: Nothing was answered, or the folder is no place for it.
        UnevaluatedError: The answers are there, but cannot be evaluated or not be written down.
        ValueError: What the rooms below refuse: bags, truth, arguments, parameters.
    """
    check_folder(trial.replay.folder, {'bag': trial.replay.bag}, trial.truth.poses)
    planned = plan_replay(trial.replay, trial.arguments, os.environ, colour=console.colour)
    folder = Folder(planned.job.folder)
    check_truth(planned.job.shown, trial.truth.poses)
    _clear(folder)
    if trial.replay.mode == 'in-process':
        shown, nodes = planned.job.shown, planned.plan.nodes
        failed = not replay_local(shown, nodes, folder.path, _teller(console), progress)
    else:
        environment = {**os.environ, **planned.plan.environment, 'PYTHONUNBUFFERED': '1'}
        job = replace(job_of(planned.plan, player='replay'), tell_player=True)
        failed = supervise(job, environment, console) != 0
    try:
        return _evaluated(trial, folder, folder.path, failed=failed, progress=progress)
    except TrialError:
        raise
    except (ValueError, OSError) as err:
        elsewhere = ' -o ELSEWHERE' if isinstance(err, OSError) else ''
        raise UnevaluatedError(
            f'{err}; the answers are kept: dlcv evaluate --again {folder.path}{elsewhere}'
        ) from err


def again(
    folder: Path, truth: TruthChoice, title: str, progress: Progress, out: Path | None = None
) -> Written:
    """Evaluate the answers of a replay that was made before.

    Args:
        folder: Of the replay.
        truth: What the answers are compared with.
        title: Headline.
        progress: Told how far it is.
        out: Where the evaluation goes; None for beside the answers.

    Raises:
        ReplayError: The folder is none of a replay.
        TrialError: It holds no answers, or the truth is a file that would be written.
        ValueError: What the rooms below refuse: bags, truth.
    """
    job = read(Folder(folder).job, ReplayJob)
    replay = ReplayOptions(bag=job.shown.bag, folder=folder, mode=job.mode)
    out = out or folder
    check_folder(out, {'bag': job.shown.bag}, truth.poses)
    check_truth(job.shown, truth.poses)
    out.mkdir(parents=True, exist_ok=True)
    return _evaluated(
        Trial(replay=replay, truth=truth, title=title),
        Folder(folder),
        out,
        failed=False,
        progress=progress,
    )


def _evaluated(
    trial: Trial, folder: Folder, out: Path, *, failed: bool, progress: Progress
) -> Written:
    job = read(folder.job, ReplayJob)
    log = list(read_log(folder.log)) if folder.log.exists() else []
    wrong = mishaps(log)
    if not folder.answers.exists():
        why = '; '.join(wrong) or 'see above'
        raise TrialError(f'{trial.replay.bag}: no node answered to any image: {why}')
    told = read(folder.facts, RunFacts) if folder.facts.exists() else _broken_off(trial)
    subject = Subject(
        outputs=folder.answers,
        shown=job.shown,
        nodes=job.nodes,
        mode=trial.replay.mode,
        log=log,
        facts=replace(told, warnings=(*told.warnings, *wrong)),
        base_frame=job.base_frame,
    )
    evaluation = evaluate(
        subject,
        trial.truth,
        title=trial.title or trial.replay.bag.stem,
        facts=facts(),
        progress=progress,
    )
    forget(out)
    return write_down(evaluation, out, failed=failed)


def _clear(folder: Folder) -> None:
    """Remove what the last replay left: with nothing new it must not pass for the new one's."""
    for old in (folder.outputs, folder.log, folder.facts):
        old.unlink(missing_ok=True)
    shutil.rmtree(folder.partial, ignore_errors=True)
    forget(folder.path)


def _broken_off(trial: Trial) -> RunFacts:
    return RunFacts(
        mode=trial.replay.mode,
        seconds=0.0,
        images=0,
        warnings=('the replay broke off before its end; what was answered until then counts',),
    )


def _teller(console: Console) -> Callable[[str], None]:
    return lambda text: console.line(*text.split(': ', 1)) if ': ' in text else console.say(text)
