"""A bag of a generated world, answers made by hand from its truth, and the numbers they deserve."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dlcv.data.bags import Bag, write_recording
from dlcv.data.bags.layout import BagLayout
from dlcv.data.bags.vocabulary import COMPOSER, IMAGE, ODOMETRY
from dlcv.data.recordings.errors import RecordingError
from dlcv.data.recordings.truth import TruthOptions
from dlcv.data.world import WorldRecording, ideal_camera
from dlcv.estimation.refinement import cell_means
from dlcv.evaluation.replay.job import Answering, NodeFacts, RunFacts
from dlcv.evaluation.replay.log import Handled
from dlcv.evaluation.replay.outputs import Output, OutputBag
from dlcv.evaluation.replay.shown import Shown
from dlcv.evaluation.scoring.evaluate import Subject, TruthChoice, evaluate
from dlcv.evaluation.scoring.files import EvaluationError
from dlcv.evaluation.scoring.model import SCHEMA
from dlcv.interface.handled import Outcome
from dlcv.types import Keypoints, Matches

FRAMES = 6
LAYOUT = BagLayout()
CLOUD = 'sensor_msgs/msg/PointCloud2'
NODES = (
    ('superpoint', (('~/keypoints', CLOUD), ('~/matches', CLOUD))),
    ('flownet', (('~/flow', IMAGE), ('~/flow_interval', 'sensor_msgs/msg/TimeReference'))),
    ('monodepth', (('depth/image_rect', IMAGE),)),
    ('deepvo', (('~/odometry', ODOMETRY),)),
    ('dsac', (('~/pose', 'geometry_msgs/msg/PoseWithCovarianceStamped'),)),
)
TRUTH = TruthChoice(depth=LAYOUT.depth, flow=LAYOUT.flow)
LATER = 2  # the relocalizer and the depth answer from this image on


def topic(node, name):
    return name.replace('~', f'/{node}') if name.startswith('~') else f'/{node}/{name}'


def answering():
    return tuple(
        Answering(
            node=node,
            handled=f'/{node}/handled',
            inputs=('/camera/image_raw',),
            outputs=tuple(
                Output(name=name, topic=topic(node, name), type=kind) for name, kind in outputs
            ),
        )
        for node, outputs in NODES
    )


@pytest.fixture(scope='module')
def walk():
    camera = ideal_camera(64, 48, 70)
    return list(WorldRecording('room', seed=3, frames=FRAMES, camera=camera, workers=1))


@pytest.fixture(scope='module')
def played(recording_of, walk, tmp_path_factory):
    path = tmp_path_factory.mktemp('played') / 'walk.mcap'
    write_recording(recording_of(walk), path)
    return path


class Answers:
    """Writes answers that are off by what is known.

    Depth is a tenth too far, the flow of every second pixel is off by (0, 2), the odometry is the
    truth at twice the size from the first pose on, poses in the map are 3 cm off, and of four
    points two are found again a pixel off.
    """

    def __init__(self, bag):
        self.bag = bag

    def send(self, node, name, stamp, message):
        self.bag.add(topic(node, name), stamp, message)

    def add(self, index, walk):
        snapshot = walk[index]
        stamp = snapshot.frame.stamp_ns
        head = COMPOSER.header(stamp, 'camera_optical')
        self.add_points(index, walk, head)
        if index:
            flow = cell_means(snapshot.flow, 2) + np.array((0, 2), np.float32)
            self.send('flownet', '~/flow', stamp, COMPOSER.image(head, flow.astype('<f4')))
            before = walk[index - 1].frame.stamp_ns
            interval = COMPOSER.time_reference(head, before, 'camera_optical')
            self.send('flownet', '~/flow_interval', stamp, interval)
        if index >= LATER:
            depth = (1.1 * snapshot.depth).astype('<f4')
            self.send('monodepth', 'depth/image_rect', stamp, COMPOSER.image(head, depth))
        self.add_poses(index, walk)

    def add_points(self, index, walk, head):
        none, stamp = np.zeros((4, 0), np.float32), walk[index].frame.stamp_ns
        if index:
            before, after = tracks(walk[index].flow)
            matches = Matches(
                stamp_ns=stamp,
                previous_stamp_ns=0,
                previous_xy=before,
                xy=after + np.array([(0, 0.5), (2, 0), (0, 4), (4.5, 0)]),
                scores=np.ones(4),
            )
            self.send('superpoint', '~/matches', stamp, COMPOSER.match_cloud(head, matches))
        after_this = tracks(walk[index + 1].flow)[0] if index + 1 < FRAMES else np.zeros((4, 2))
        points = Keypoints(stamp_ns=stamp, xy=after_this, scores=np.ones(4), descriptors=none)
        cloud = COMPOSER.keypoint_cloud(head, points, 'none')
        self.send('superpoint', '~/keypoints', stamp, cloud)

    def add_poses(self, index, walk):
        stamp = walk[index].frame.stamp_ns
        first, base = (base_of(walk[i]) for i in (0, index))
        twice = np.linalg.inv(first) @ base
        twice[:3, 3] *= 2
        small = 1e-6 * np.eye(6)
        odometry = COMPOSER.odometry(
            COMPOSER.header(stamp, 'odom'), 'base_link', twice, small, np.zeros(6), small
        )
        self.send('deepvo', '~/odometry', stamp, odometry)
        if index >= LATER:
            base = base.copy()
            base[2, 3] += 0.03
            pose = COMPOSER.pose_with_covariance(COMPOSER.header(stamp, 'map'), base, small)
            self.send('dsac', '~/pose', stamp, pose)


def base_of(snapshot):
    return snapshot.world_from_camera @ LAYOUT.camera_from_base


def tracks(flow):
    """Return four pixels whose flow is known and stays in the picture, and where they go."""
    height, width = flow.shape[:2]
    y, x = np.mgrid[8 : height - 8, 8 : width - 8].reshape(2, -1)
    there = np.stack((x, y), 1) + flow[y, x]
    inside = ((there > 0) & (there < (width - 1, height - 1))).all(axis=1)  # False for NaN
    chosen = np.flatnonzero(inside)[:: max(1, inside.sum() // 4)][:4]
    assert len(chosen) == 4
    return np.stack((x, y), 1)[chosen].astype(np.float32), there[chosen]


def handled(walk):
    """Return what a log would say: the depth is late, the relocalizer fails at first."""
    for index, snapshot in enumerate(walk):
        stamp = snapshot.frame.stamp_ns
        for node, outputs in NODES:
            sent = ','.join(name for name, _ in outputs) + (
                '' if node != 'dsac' else ',~/hypotheses'
            )
            text = f'processed inference_ms={1 + index}.000 sent={sent}'
            if node == 'monodepth' and index < LATER:
                text = 'superseded'
            yield Handled(node, stamp, Outcome.parse(text))


@pytest.fixture(scope='module')
def subject(walk, played, tmp_path_factory):
    outputs = tmp_path_factory.mktemp('answers') / 'outputs.mcap'
    nodes = answering()
    with OutputBag(outputs, [output for node in nodes for output in node.outputs]) as bag:
        answers = Answers(bag)
        for index in range(FRAMES):
            answers.add(index, walk)
    return Subject(
        outputs=outputs,
        shown=Shown(bag=played, image_topic='/camera/image_raw'),
        nodes=nodes,
        mode='lock-step',
        log=tuple(handled(walk)),
        facts=RunFacts(
            mode='lock-step',
            seconds=2.0,
            images=FRAMES,
            nodes={'monodepth': NodeFacts(trained=True, cpu=0.5)},
            warnings=('deepvo: died', 'deepvo: died'),
        ),
    )


@pytest.fixture(scope='module')
def evaluation(subject):
    return evaluate(subject, TRUTH, title='A walk', facts={'command': 'dlcv evaluate'})


def value(evaluation, section, name):
    return evaluation.metric(section, name).value


def test_depth(evaluation):
    assert value(evaluation, 'depth', 'Abs Rel') == pytest.approx(0.1, rel=1e-5)
    assert value(evaluation, 'depth', 'Abs Rel (median-scaled)') == pytest.approx(0, abs=1e-6)
    assert value(evaluation, 'depth', 'scale') == pytest.approx(1 / 1.1, rel=1e-5)
    assert len(evaluation.metric('depth', '<1.25').samples) == FRAMES - LATER


def test_flow(evaluation):
    assert value(evaluation, 'flow', 'EPE') == pytest.approx(2, rel=1e-5)
    assert value(evaluation, 'flow', 'Fl-all') == 0
    assert len(evaluation.metric('flow', 'EPE').samples) == FRAMES - 1


def test_features(evaluation):
    assert value(evaluation, 'features', 'keypoints') == 4
    assert value(evaluation, 'features', 'MMA@1') == pytest.approx(0.25)
    assert value(evaluation, 'features', 'MMA@3') == pytest.approx(0.5)
    assert value(evaluation, 'features', 'MMA@5') == pytest.approx(1)
    assert value(evaluation, 'features', 'matching score') == pytest.approx(0.5)


def test_odometry(evaluation, walk):
    way = np.array([base_of(snapshot)[:3, 3] for snapshot in walk])
    off = np.linalg.norm(way - way[0], axis=1)
    steps = np.linalg.norm(np.diff(way, axis=0), axis=1)
    ate = value(evaluation, 'odometry', 'ATE (first pose)')
    assert ate == pytest.approx(np.sqrt(np.mean(off**2)))
    assert value(evaluation, 'odometry', 'RPE (none)') == pytest.approx(np.sqrt(np.mean(steps**2)))
    assert value(evaluation, 'odometry', 'ATE (Sim3)') == pytest.approx(0, abs=1e-6)
    assert value(evaluation, 'odometry', 'scale') == pytest.approx(0.5)
    assert value(evaluation, 'odometry', 'poses in 95 %') == 0
    assert evaluation.metric('odometry', 't_rel').why.startswith('the way is ')


def test_relocalization(evaluation):
    share = 100 * (FRAMES - LATER) / FRAMES
    assert value(evaluation, 'relocalization', 'answered') == pytest.approx(share)
    assert value(evaluation, 'relocalization', '5 cm, 5 deg') == pytest.approx(share)
    assert value(evaluation, 'relocalization', '2 cm, 2 deg') == 0
    assert value(evaluation, 'relocalization', 'median distance') == pytest.approx(0.03, abs=1e-6)


def test_availability(evaluation, walk):
    nodes = {node.name: node for node in evaluation.nodes}
    assert list(nodes) == [node for node, _ in NODES]
    late = nodes['monodepth']
    seconds = (walk[LATER].frame.stamp_ns - walk[0].frame.stamp_ns) / 1e9
    assert (late.images, late.answered) == (FRAMES, FRAMES - LATER)
    assert late.longest_gap == pytest.approx(seconds)
    assert late.outcomes == {'processed': FRAMES - LATER, 'superseded': LATER}
    assert (late.trained, late.cpu) == (True, 0.5)
    assert nodes['dsac'].answered == FRAMES  # with hypotheses, be they accepted or not
    assert nodes['deepvo'].trained is None  # it never said


def test_pictures_paths_and_facts(evaluation, walk):
    (worst, *_) = next(s for s in evaluation.sections if s.name == 'depth').moments
    assert worst.title.startswith('worst Abs Rel: 0.1')
    titles = ['input', 'keypoints', 'matches', 'depth', 'true depth', 'flow', 'true flow']
    assert [title for title, _ in worst.pictures] == titles
    np.testing.assert_array_equal(worst.pictures[0][1], found_image(walk, worst.stamp_ns))
    assert len(evaluation.samples) == 4
    assert set(evaluation.paths) == {'odometry', 'relocalized', 'truth'}
    np.testing.assert_allclose(
        evaluation.paths['truth'].world_from_body, [base_of(s) for s in walk], atol=1e-9
    )
    assert evaluation.facts['command'] == 'dlcv evaluate'
    assert evaluation.facts['truth'].startswith('/ground_truth/odometry')
    assert evaluation.facts['images'].startswith(f'{FRAMES} on /camera/image_raw')
    assert evaluation.warnings == ('deepvo: died',)
    assert SCHEMA.startswith('dlcv-evaluation/')


def found_image(walk, stamp):
    return next(s.frame.image for s in walk if s.frame.stamp_ns == stamp)


def judged(subject, **choice):
    return evaluate(subject, TruthChoice(**choice), title='', facts={})


def test_without_truth_no_number_is_made_up(subject):
    found = judged(subject, poses=None)
    counted = {'keypoints', 'matches', 'answered'}
    for section in found.sections:
        for metric in section.metrics:
            if metric.name in counted:
                assert metric.value
                continue
            assert metric.value is None, metric.name
            assert 'no truth' in metric.text or metric.text == 'not asked for'
    assert found.facts['truth'] == 'no truth'
    assert set(found.paths) == {'odometry', 'relocalized'}
    assert [title for title, _ in found.samples[-1].pictures] == [
        'input',
        'keypoints',
        'matches',
        'depth',
        'flow',
    ]


def test_in_another_place_each_pose_is_false(subject):
    found = judged(subject, elsewhere=True)
    share = 100 * (FRAMES - LATER) / FRAMES
    assert value(found, 'relocalization', 'false accepts') == pytest.approx(share)
    assert value(found, 'relocalization', '5 cm, 5 deg') is None


def tum(path, snapshots, offset=0):
    lines = []
    for snapshot in snapshots:
        pose = base_of(snapshot)
        numbers = [*pose[:3, 3], *Rotation.from_matrix(pose[:3, :3]).as_quat()]
        seconds, rest = divmod(snapshot.frame.stamp_ns, 10**9)
        lines.append(
            ' '.join([f'{seconds + offset}.{rest:09d}', *(f'{number:.12f}' for number in numbers)])
        )
    path.write_text('\n'.join(lines) + '\n')
    return path


def test_truth_of_a_file_that_covers_a_part(subject, walk, tmp_path):
    path = tum(tmp_path / 'part.tum', walk[:4])
    options = TruthOptions(source=str(path), frame='base_link')
    found = judged(subject, poses=options)
    section = next(s for s in found.sections if s.name == 'odometry')
    assert section.notes[0].startswith(f'4 of {FRAMES} poses have a true one')
    assert value(found, 'odometry', 'scale') == pytest.approx(0.5)
    within = found.metric('relocalization', '5 cm, 5 deg')
    assert within.value == pytest.approx(100 * (4 - LATER) / 4)
    assert len(within.samples) == 4


def test_the_greatest_gap_of_the_truth_is_heeded(subject, walk, tmp_path):
    path = tum(tmp_path / 'ends.tum', [walk[0], walk[-1]])
    gap = (walk[-1].frame.stamp_ns - walk[0].frame.stamp_ns) / 1e9
    options = TruthOptions(source=str(path), frame='base_link', max_gap=gap + 0.01)
    assert len(judged(subject, poses=options).metric('odometry', 'ATE (none)').samples) == FRAMES
    near = replace(options, max_gap=gap / 2)
    assert len(judged(subject, poses=near).metric('odometry', 'ATE (none)').samples) == 2


def test_truth_of_another_clock_is_refused_where_it_was_asked_for(subject, walk, tmp_path):
    path = tum(tmp_path / 'late.tum', walk, offset=1000)
    with pytest.raises(RecordingError, match='no pose belongs to a picture'):
        judged(subject, poses=TruthOptions(source=str(path), frame='base_link'))


def test_truth_of_another_size(recording_of, subject, walk, tmp_path):
    small = [replace(s, depth=s.depth[::3, ::3], flow=None) for s in walk]
    write_recording(recording_of(small), tmp_path / 'small.mcap')
    shown = replace(subject.shown, bag=tmp_path / 'small.mcap')
    found = judged(replace(subject, shown=shown), depth=LAYOUT.depth)
    why = 'the truth is of another size: 22x16, the estimate 64x48'
    assert found.metric('depth', 'Abs Rel').text == why
    assert found.metric('flow', 'EPE').text == 'no truth'


def test_a_node_that_answered_nothing_has_a_section_that_says_so(subject, tmp_path):
    nodes = answering()
    path = tmp_path / 'some.mcap'
    with Bag(subject.outputs) as bag, OutputBag(path, []) as kept:
        kept.keep(bag, ['/flownet/flow'])
    found = judged(replace(subject, outputs=path, nodes=nodes, log=()))
    assert {section.name for section in found.sections} == {
        'odometry', 'depth', 'flow', 'features', 'relocalization',
    }  # fmt: skip
    assert found.metric('odometry', 'ATE (SE3)').text == 'fewer than two poses were published'
    assert value(found, 'relocalization', 'answered') == 0
    assert [node.answered for node in found.nodes] == [0] * 5


def test_only_those_who_took_part_have_a_section(subject):
    found = judged(replace(subject, nodes=subject.nodes[2:3]))
    assert [section.name for section in found.sections] == ['depth']
    assert [node.name for node in found.nodes] == ['monodepth']


def test_depth_of_stereo_is_judged_as_that_of_one_camera(subject):
    stereo = replace(subject.nodes[2], node='stereo')
    log = tuple(replace(line, node='stereo') for line in subject.log if line.node == 'monodepth')
    found = judged(replace(subject, nodes=(stereo,), log=log), depth=LAYOUT.depth)
    assert value(found, 'depth', 'Abs Rel') == pytest.approx(0.1, rel=1e-5)
    assert [node.name for node in found.nodes] == ['stereo']


def test_images_that_were_not_shown_do_not_count(subject):
    found = judged(replace(subject, shown=replace(subject.shown, most=4)))
    assert len(found.metric('relocalization', 'answered').samples) == 4
    assert found.nodes[0].images == 4


def test_a_bag_without_images(subject, walk, tmp_path):
    silent = Output(name='image', topic='/camera/image_raw', type=IMAGE)
    with Bag(subject.shown.bag) as bag, OutputBag(tmp_path / 'blind.mcap', [silent]) as kept:
        kept.keep(bag, ['/camera/camera_info', '/tf_static'])
    shown = replace(subject.shown, bag=tmp_path / 'blind.mcap')
    with pytest.raises(EvaluationError, match='no image on /camera/image_raw'):
        judged(replace(subject, shown=shown))


def test_of_two_odometries_the_first_is_the_robots(subject, walk, tmp_path):
    names = ('deepvo', 'visual_odometry')
    outputs = {
        n: (Output(name='~/odometry', topic=f'/{n}/odometry', type=ODOMETRY),) for n in names
    }
    nodes = tuple(
        Answering(node=n, handled=f'/{n}/handled', inputs=(), outputs=outputs[n]) for n in names
    )
    first, small = base_of(walk[0]), 1e-6 * np.eye(6)
    with OutputBag(tmp_path / 'two.mcap', sum(outputs.values(), ())) as bag:
        for snapshot in walk:
            header = COMPOSER.header(snapshot.frame.stamp_ns, 'odom')
            for name, size in zip(names, (2, 1), strict=True):
                pose = np.linalg.inv(first) @ base_of(snapshot)
                pose[:3, 3] *= size
                message = COMPOSER.odometry(header, 'base_link', pose, small, np.zeros(6), small)
                bag.add(f'/{name}/odometry', snapshot.frame.stamp_ns, message)
    both = replace(subject, outputs=tmp_path / 'two.mcap', nodes=nodes, log=())
    found = evaluate(both, TRUTH, title='Two', facts={})
    assert value(found, 'odometry', 'scale') == pytest.approx(1)
    assert value(found, 'odometry_deepvo', 'scale') == pytest.approx(0.5)
    titles = {section.name: section.title for section in found.sections}
    assert titles == {'odometry': 'Odometry', 'odometry_deepvo': 'Odometry of deepvo'}
    assert set(found.paths) == {'odometry', 'odometry_deepvo', 'truth'}
    assert any(text.startswith('Beside it, deepvo: ATE (SE3) ') for text in found.sections[0].notes)
    plot = found.sections[0].plots[0]
    assert plot.title.endswith(', all odometries')
    assert [series.name for series in plot.series] == ['truth', 'visual_odometry', 'deepvo']
    truth, ours, other = plot.series
    np.testing.assert_allclose((ours.x, ours.y), (truth.x, truth.y), atol=1e-6)
    np.testing.assert_allclose(other.x - other.x[0], 2 * (truth.x - truth.x[0]), atol=1e-6)
