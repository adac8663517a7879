"""Evaluate nodes that ran by themselves: on a robot, or started by ``dlcv up``."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from dlcv.data.bags import Bag
from dlcv.data.bags.vocabulary import COMPRESSED_IMAGE, IMAGE
from dlcv.evaluation.pipeline.checks import check_folder, check_truth
from dlcv.evaluation.pipeline.facts import facts
from dlcv.evaluation.pipeline.mishaps import mishaps
from dlcv.evaluation.pipeline.written import Progress, Written, forget, write
from dlcv.evaluation.replay.job import ReplayError
from dlcv.evaluation.replay.recorded import read_recorded
from dlcv.evaluation.replay.shown import Shown
from dlcv.evaluation.scoring.evaluate import Subject, TruthChoice, evaluate


@dataclass(frozen=True, kw_only=True, slots=True)
class Recording:
    """What is evaluated.

    Attributes:
        shown: Bag with the images that the nodes were shown, and with the truth if that is in a
            bag.
        answers: Bag with what they sent; the same where all was recorded into one.
        folder: Where the evaluation goes; made when missing.
        images: Topic of the pictures; empty for the only camera.
        namespace: Of the nodes; None for the only one.
        odometry: Topic of deepvo's, where it was given another name than ours.
        truth: What the answers are compared with.
        title: Headline; empty for the name of the bag of answers.
    """

    shown: Path
    answers: Path
    folder: Path
    images: str = ''
    namespace: str | None = None
    odometry: str = ''
    truth: TruthChoice = field(default_factory=TruthChoice)
    title: str = ''


def evaluate_recording(recording: Recording, progress: Progress) -> Written:
    """Evaluate a recording.

    Raises:
        PipelineError: The folder is no place for it.
        ReplayError: No node answered to any image, or nodes of several namespaces did.
        ValueError: What the rooms below refuse: bags, truth.
    """
    read = {'bag': recording.shown, 'answers': recording.answers}
    check_folder(recording.folder, read, recording.truth.poses, replayed=False)
    with Bag(recording.shown, keep_damaged=True) as bag:
        images = recording.images or bag.find_images()
        bag.topic(images, (IMAGE, COMPRESSED_IMAGE))
        shown = Shown(bag=recording.shown.absolute(), image_topic=images)
        stamps = shown.stamps(bag)
    if not stamps:
        raise ReplayError(f'{recording.shown}: no image on {images}')
    check_truth(shown, recording.truth.poses)
    with Bag(recording.answers, keep_damaged=True) as bag:
        found = read_recorded(bag, stamps, recording.namespace, recording.odometry)
    told = replace(found.facts, warnings=(*found.facts.warnings, *mishaps(found.log)))
    subject = Subject(
        outputs=recording.answers,
        shown=shown,
        nodes=found.nodes,
        mode='recording',
        log=found.log,
        facts=told,
        base_frame=found.base_frame,
    )
    title = recording.title or recording.answers.stem
    evaluation = evaluate(subject, recording.truth, title=title, facts=facts(), progress=progress)
    recording.folder.mkdir(parents=True, exist_ok=True)
    forget(recording.folder)
    return write(evaluation, recording.folder, failed=False)
