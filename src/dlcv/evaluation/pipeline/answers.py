"""Evaluate the answers that a replay left in its folder, right after it or at any time later."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from dlcv.evaluation.pipeline.checks import check_folder, check_truth
from dlcv.evaluation.pipeline.facts import facts
from dlcv.evaluation.pipeline.mishaps import mishaps
from dlcv.evaluation.pipeline.written import PipelineError, Progress, Written, forget, write
from dlcv.evaluation.replay.job import Folder, ReplayJob, RunFacts, read
from dlcv.evaluation.replay.log import read_log
from dlcv.evaluation.scoring.evaluate import Subject, TruthChoice, evaluate


def evaluate_again(
    folder: Path, truth: TruthChoice, title: str, progress: Progress, out: Path | None = None
) -> Written:
    """Evaluate the answers of a replay that was made before.

    Args:
        folder: Of the replay.
        truth: What the answers are compared with.
        title: Headline; empty for the bag's name.
        progress: Told how far it is.
        out: Where the evaluation goes; None for beside the answers.

    Raises:
        ReplayError: The folder is none of a replay.
        PipelineError: It holds no answers, or the truth is a file that would be written.
        ValueError: What the rooms below refuse: bags, truth.
    """
    job = read(Folder(folder).job, ReplayJob)
    out = out or folder
    check_folder(out, {'bag': job.shown.bag}, truth.poses)
    check_truth(job.shown, truth.poses)
    out.mkdir(parents=True, exist_ok=True)
    return evaluate_answers(
        Folder(folder), truth, out, title=title, failed=False, progress=progress
    )


def evaluate_answers(
    folder: Folder,
    truth: TruthChoice,
    out: Path,
    *,
    title: str,
    failed: bool,
    progress: Progress,
) -> Written:
    """Evaluate what is in the folder of a replay, and write it down.

    Args:
        folder: Of the replay; its job was written when it began.
        truth: What the answers are compared with.
        out: Where the evaluation goes.
        title: Headline; empty for the bag's name.
        failed: Whether the replay did not come to its end as it should.
        progress: Told how far it is.

    Raises:
        PipelineError: No node answered to any image.
        ValueError: What the rooms below refuse: bags, truth.
        OSError: It cannot be written.
    """
    job = read(folder.job, ReplayJob)
    log = list(read_log(folder.log)) if folder.log.exists() else []
    wrong = mishaps(log)
    if not folder.answers.exists():
        why = '; '.join(wrong) or 'see above'
        raise PipelineError(f'{job.shown.bag}: no node answered to any image: {why}')
    told = read(folder.facts, RunFacts) if folder.facts.exists() else _broken_off(job)
    subject = Subject(
        outputs=folder.answers,
        shown=job.shown,
        nodes=job.nodes,
        mode=job.mode,
        log=log,
        facts=replace(told, warnings=(*told.warnings, *wrong)),
        base_frame=job.base_frame,
    )
    evaluation = evaluate(
        subject, truth, title=title or job.shown.bag.stem, facts=facts(), progress=progress
    )
    forget(out)
    return write(evaluation, out, failed=failed)


def _broken_off(job: ReplayJob) -> RunFacts:
    return RunFacts(
        mode=job.mode,
        seconds=0.0,
        images=0,
        warnings=('the replay broke off before its end; what was answered until then counts',),
    )
