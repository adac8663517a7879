"""From the answers of a replay, and the bag that was played, to an evaluation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from dlcv.data.bags import Bag, BagError
from dlcv.data.recordings.errors import RecordingError
from dlcv.data.recordings.truth import Truth, TruthOptions, read_truth
from dlcv.evaluation.replay.job import Answering, NodeFacts, RunFacts
from dlcv.evaluation.replay.log import Handled
from dlcv.evaluation.replay.shown import Shown
from dlcv.evaluation.scoring.files import EvaluationError
from dlcv.evaluation.scoring.model import Evaluation, Mode, Moment, NodeResult, Section
from dlcv.evaluation.scoring.moments import Pictures, Sources, pictures, spread
from dlcv.evaluation.scoring.nodes import Tally, tallies
from dlcv.evaluation.scoring.odometry import odometry_section, paired
from dlcv.evaluation.scoring.parts import MAX_GAP_NS, NO_TRUTH, Worst
from dlcv.evaluation.scoring.paths import beside_each_other
from dlcv.evaluation.scoring.reading import Answers
from dlcv.evaluation.scoring.relocalization import relocalization_section
from dlcv.geometry.frames import BODY_FROM_OPTICAL, inverse
from dlcv.geometry.trajectory import NEAR_NS
from dlcv.interface.messages import frame_of
from dlcv.interface.nodes import DEPTH_NODES, NODES, ODOMETRY_NODES
from dlcv.metrics.depth import DepthCaps
from dlcv.types import Trajectory

SAMPLES = 4
ODOMETRY = 'odometry'
BESIDE = tuple(f'odometry_{spec.name}' for spec in ODOMETRY_NODES[1:])
"""Sections and paths of odometry of which another node's is the robot's."""
COMPARED = ('ATE (SE3)', 't_rel', 't_rel (eighths)', 'RPE turn')
"""Metrics of odometry that stand beside those of another node."""
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """What is evaluated.

    Attributes:
        outputs: Bag of answers.
        shown: What was shown.
        nodes: Who answered, and where.
        mode: How.
        log: What became of each image.
        facts: What the replay told at its end.
        base_frame: Body whose odometry is published.
    """

    outputs: Path
    shown: Shown
    nodes: tuple[Answering, ...]
    mode: Mode
    log: Iterable[Handled]
    facts: RunFacts
    base_frame: str = 'base_link'

    def took_part(self, node: str) -> bool:
        """Whether a node was shown the images."""
        return any(one.node == node for one in self.nodes)


@dataclass(frozen=True, kw_only=True, slots=True)
class TruthChoice:
    """What the answers are compared with.

    Attributes:
        poses: Where the true poses are; None for nowhere.
        depth: Topic of the true depth in the bag that was played; empty for none.
        flow: Topic of the true flow, from the last picture to each; empty for none.
        caps: What of the depth counts.
        elsewhere: Whether the bag is of another place than the map, so that each pose is false.
    """

    poses: TruthOptions | None = field(default_factory=TruthOptions)
    depth: str = ''
    flow: str = ''
    caps: DepthCaps = field(default_factory=DepthCaps)
    elsewhere: bool = False


def evaluate(
    subject: Subject,
    choice: TruthChoice,
    *,
    title: str,
    facts: Mapping[str, str],
    progress: Progress = lambda _what, _done, _of: None,
) -> Evaluation:
    """Evaluate the answers of a replay.

    Args:
        subject: What is evaluated.
        choice: What it is compared with.
        title: Headline.
        facts: What a reader needs to do it again.
        progress: Told how far it is.

    Raises:
        BagError: A bag cannot be read.
        RecordingError: The truth that was asked for is not there, or does not reach the images.
        EvaluationError: No image was shown.
    """
    with (
        Bag(subject.outputs, keep_damaged=True) as outputs,
        Bag(subject.shown.bag, keep_damaged=True) as source,
    ):
        stamps = subject.shown.stamps(source)
        if not stamps:
            raise EvaluationError(f'{subject.shown.bag}: no image on {subject.shown.image_topic}')
        truth, why = _truth(source, subject.shown, choice.poses, stamps)
        answers = Answers(
            outputs,
            source,
            subject.nodes,
            depth=choice.depth,
            flow=choice.flow,
            caps=choice.caps,
            stamps=stamps,
        )
        answers.read(progress)
        base = _base(truth, subject.base_frame)
        known = _Known(
            base=base,
            why=why,
            max_gap_ns=MAX_GAP_NS if truth is None else truth.max_gap_ns,
            near_ns=NEAR_NS if truth is None else truth.near_ns,
            notes=() if truth is None else truth.notes,
            elsewhere=choice.elsewhere,
        )
        found = _sections(subject, answers, known, stamps)
        chosen = spread(stamps, SAMPLES)
        wanted = {s for _, worst in found for _, s in worst.frames()} | set(chosen)
        shown = pictures(outputs, source, _sources(subject, answers, choice), wanted)
        damage = [text for bag in (source, outputs) for text in (*bag.damage, *bag.notes)]
    return Evaluation(
        title=title,
        mode=subject.mode,
        facts={**facts, **_facts(subject, truth, why, stamps)},
        nodes=_nodes(subject, stamps),
        sections=tuple(_illustrated(section, worst, shown) for section, worst in found),
        samples=tuple(_moment(s, f'{(s - stamps[0]) / 1e9:.2f} s', shown) for s in chosen),
        paths=_paths(subject, answers, base, subject.base_frame),
        warnings=tuple(dict.fromkeys([*subject.facts.warnings, *damage, *answers.warnings])),
    )


def _truth(
    source: Bag, shown: Shown, options: TruthOptions | None, stamps: list[int]
) -> tuple[Truth | None, str]:
    """Return the truth, or why there is none."""
    if options is None:
        return None, NO_TRUTH
    _, first = next(source.read([shown.image_topic]))
    frame = frame_of(first)
    try:
        truth = read_truth(source, options, frame, np.array(stamps, np.int64))
    except (RecordingError, BagError) as err:
        if options.source:
            raise
        return None, f'{NO_TRUTH}: {err}'
    return truth, NO_TRUTH


def _base(truth: Truth | None, frame: str) -> Trajectory | None:
    """Return where the body was; without word of the camera's seat, as the nodes assume it."""
    if truth is None:
        return None
    try:
        return truth.of(frame)
    except RecordingError:
        camera = truth.world_from_camera
        seat = inverse(BODY_FROM_OPTICAL)
        return replace(camera, world_from_body=camera.world_from_body @ seat, child_frame_id=frame)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Known:
    """Where the body truly was, or why nobody knows; see `TruthChoice` and `Truth`."""

    base: Trajectory | None
    why: str
    max_gap_ns: int
    near_ns: int
    notes: tuple[str, ...]
    elsewhere: bool


def _sections(
    subject: Subject,
    answers: Answers,
    known: _Known,
    stamps: list[int],
) -> list[tuple[Section, Worst]]:
    """Return what was found of each task that took part, with its worst frames."""
    found: list[tuple[Section, Worst]] = []
    base, why = known.base, known.why
    reach = {'max_gap_ns': known.max_gap_ns, 'near_ns': known.near_ns}
    found += [(section, Worst()) for section in _odometries(subject, answers, base, why, reach)]
    if any(subject.took_part(spec.name) for spec in DEPTH_NODES):
        found.append((answers.depth.section(), answers.depth.worst))
    if subject.took_part('flownet'):
        found.append((answers.flow.section(), answers.flow.worst))
    if subject.took_part('superpoint'):
        found.append((answers.features.section(), answers.features.worst))
    if subject.took_part('dsac'):
        found.append(
            relocalization_section(
                answers.found, stamps, base, elsewhere=known.elsewhere, why=why, **reach
            )
        )
    said = tuple(f'Truth: {note}.' for note in known.notes)
    return [
        (replace(section, notes=(*section.notes, *said)), worst)
        if section.name in (ODOMETRY, *BESIDE, 'relocalization')
        else (section, worst)
        for section, worst in found
    ]


def _odometries(
    subject: Subject, answers: Answers, base: Trajectory | None, why: str, reach: Mapping[str, int]
) -> list[Section]:
    """Return the sections of odometry; the first, the robot's, tells how the others compare."""
    nodes = _odometry_of(subject)
    ways = {node: answers.odometry(node) for node in nodes.values()}
    sections = [odometry_section(way, base, why, **reach) for way in ways.values()]
    others = [
        replace(section, name=name, title=f'Odometry of {node}')
        for (name, node), section in zip(nodes.items(), sections, strict=True)
    ][1:]
    if base is None or not others:
        return [*sections[:1], *others]
    compared = {node: paired(way.path, base, **reach) for node, way in ways.items() if way}
    plot = beside_each_other(compared)
    return [
        replace(
            sections[0],
            plots=(*filter(None, [plot]), *sections[0].plots),
            notes=(
                *sections[0].notes,
                *(
                    f'Beside it, {node}: {_in_short(other)}.'
                    for node, other in zip(list(ways)[1:], others, strict=True)
                ),
            ),
        ),
        *others,
    ]


def _in_short(section: Section) -> str:
    """Return the figures by which odometries are compared, in a line."""
    found = {m.name: m.text for m in section.metrics if m.value is not None}
    shown = [f'{name} {found[name]}' for name in COMPARED if name in found]
    return ', '.join(shown) or 'nothing to compare'


def _odometry_of(subject: Subject) -> dict[str, str]:
    """Return the sections of odometry and their nodes; the first node that took part owns it."""
    nodes = [spec.name for spec in ODOMETRY_NODES if subject.took_part(spec.name)]
    return dict(zip((ODOMETRY, *BESIDE), nodes, strict=False))


def _sources(subject: Subject, answers: Answers, choice: TruthChoice) -> Sources:
    return Sources(
        image=subject.shown.image_topic,
        true_depth=choice.depth,
        true_flow=choice.flow,
        keypoints=answers.topic('superpoint', '~/keypoints'),
        matches=answers.topic('superpoint', '~/matches'),
        depth=answers.depth_topic,
        flow=answers.topic('flownet', '~/flow'),
        followed=answers.topic('visual_odometry', '~/tracks'),
        labels=answers.topic('segmentation', '~/labels'),
    )


def _illustrated(section: Section, worst: Worst, shown: Pictures) -> Section:
    titles = worst.titles()
    moments = tuple(_moment(stamp, titles[stamp], shown) for stamp in titles if stamp in shown)
    return replace(section, moments=moments)


def _moment(stamp: int, title: str, shown: Pictures) -> Moment:
    return Moment(stamp_ns=stamp, title=title, pictures=tuple(shown.get(stamp, ())))


def _nodes(subject: Subject, stamps: list[int]) -> tuple[NodeResult, ...]:
    found = tallies(subject.log, {name: spec.answer for name, spec in NODES.items()})
    return tuple(
        found.get(one.node, Tally()).result(
            one.node, stamps, subject.facts.nodes.get(one.node, NodeFacts())
        )
        for one in subject.nodes
    )


def _facts(subject: Subject, truth: Truth | None, why: str, stamps: list[int]) -> dict[str, str]:
    made = {
        'bag': str(subject.shown.bag),
        'images': f'{len(stamps)} on {subject.shown.image_topic}, '
        f'{(stamps[-1] - stamps[0]) / 1e9:.2f} s',
        'truth': why if truth is None else truth.source,
        'recording' if subject.mode == 'recording' else 'replay': f'{subject.facts.seconds:.1f} s '
        f'for {subject.facts.images} images',
    }
    if truth is not None and truth.notes:
        made['truth'] += f' ({"; ".join(truth.notes)})'
    if subject.facts.peak_hz is not None:
        made['highest rate'] = f'{subject.facts.peak_hz:.1f} images/s with under 5 % dropped'
    return made


def _paths(
    subject: Subject, answers: Answers, base: Trajectory | None, base_frame: str
) -> dict[str, Trajectory]:
    paths = {
        name: covered.path
        for name, node in _odometry_of(subject).items()
        if (covered := answers.odometry(node)) is not None
    }
    if len(answers.found) > 1:
        stamps = sorted(answers.found)
        paths['relocalized'] = Trajectory(
            stamps_ns=np.array(stamps, np.int64),
            world_from_body=np.stack([answers.found[stamp] for stamp in stamps]),
            frame_id='map',
            child_frame_id=base_frame,
        )
    if base is not None:
        paths['truth'] = base
    return paths
