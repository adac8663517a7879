"""Replay a bag to the nodes, then evaluate what they answered: what ``dlcv evaluate`` does."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from dlcv.bringup.console import Console
from dlcv.bringup.processes import job_of
from dlcv.bringup.replay import ReplayOptions, plan_replay
from dlcv.bringup.supervisor import supervise
from dlcv.evaluation.pipeline.answers import evaluate_answers
from dlcv.evaluation.pipeline.checks import check_folder, check_truth
from dlcv.evaluation.pipeline.written import (
    PipelineError,
    Progress,
    UnevaluatedError,
    Written,
    forget,
)
from dlcv.evaluation.replay.job import Folder
from dlcv.evaluation.replay.local import replay_local
from dlcv.evaluation.scoring.evaluate import TruthChoice


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationRequest:
    """What is replayed and evaluated.

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


def replay_and_evaluate(
    request: EvaluationRequest, console: Console, progress: Progress
) -> Written:
    """Replay a bag and evaluate the answers; what is finished is kept whatever fails after it.

    Args:
        request: What is replayed and evaluated.
        console: Where the nodes' lines go.
        progress: Told how far it is.

    Raises:
        PipelineError: Nothing was answered, or the folder is no place for it.
        UnevaluatedError: The answers are there, but cannot be evaluated or not be written down.
        ValueError: What the rooms below refuse: bags, truth, arguments, parameters.
    """
    replay, truth = request.replay, request.truth
    check_folder(replay.folder, {'bag': replay.bag}, truth.poses)
    planned = plan_replay(replay, request.arguments, os.environ, colour=console.colour)
    folder = Folder(planned.job.folder)
    check_truth(planned.job.shown, truth.poses)
    _clear(folder)
    if replay.mode == 'in-process':
        shown, nodes, tell = planned.job.shown, planned.plan.nodes, _teller(console)
        for warning in planned.plan.warnings:  # over ROS the nodes give them themselves
            tell(warning)
        failed = not replay_local(shown, nodes, folder.path, tell, progress)
    else:
        environment = {**os.environ, **planned.plan.environment, 'PYTHONUNBUFFERED': '1'}
        job = replace(job_of(planned.plan, player='replay'), tell_player=True)
        failed = supervise(job, environment, console) != 0
    try:
        return evaluate_answers(
            folder, truth, folder.path, title=request.title, failed=failed, progress=progress
        )
    except PipelineError:
        raise
    except (ValueError, OSError) as err:
        elsewhere = ' -o ELSEWHERE' if isinstance(err, OSError) else ''
        raise UnevaluatedError(
            f'{err}; the answers are kept: dlcv evaluate --again {folder.path}{elsewhere}'
        ) from err


def _clear(folder: Folder) -> None:
    """Remove what the last replay left: with nothing new it must not pass for the new one's."""
    for old in (folder.outputs, folder.log, folder.facts):
        old.unlink(missing_ok=True)
    shutil.rmtree(folder.partial, ignore_errors=True)
    forget(folder.path)


def _teller(console: Console) -> Callable[[str], None]:
    return lambda text: console.line(*text.split(': ', 1)) if ': ' in text else console.say(text)
