"""A recording of nodes that ran by themselves is evaluated as a replay is."""

from __future__ import annotations

import pytest

from dlcv.data.bags import Bag, BagError
from dlcv.data.bags.vocabulary import COMPOSER, typestore
from dlcv.data.recordings.truth import TruthOptions
from dlcv.evaluation.pipeline.recorded import Recording, evaluate_recording
from dlcv.evaluation.pipeline.written import PipelineError
from dlcv.evaluation.replay.job import ReplayError
from dlcv.evaluation.scoring.evaluate import TruthChoice

FRAMES = 5
SECOND = 10**9
NODES = 'superpoint,flownet,deepvo'
CHOICE = TruthChoice(flow='/ground_truth/flow')


def rows_of(path):
    with Bag(path) as bag:
        return [(raw.topic, raw.msgtype, raw.stamp_ns, bytes(raw.data)) for raw in bag.raw()]


def row(topic, kind, message):
    return topic, kind, 0, bytes(typestore().serialize_cdr(message, kind))


def stamps_of(rows, topic='/camera/image_raw'):
    messages = [typestore().deserialize_cdr(r[3], r[1]) for r in rows if r[0] == topic]
    return [m.header.stamp.sec * SECOND + m.header.stamp.nanosec for m in messages]


def said(stamp_ns, outcome, node='flownet', age_ns=20_000_000):
    header = COMPOSER.header(stamp_ns, 'camera')
    message = COMPOSER.time_reference(header, stamp_ns + age_ns, outcome)
    return row(f'/{node}/handled', 'sensor_msgs/msg/TimeReference', message)


def diagnosed(full_name='', **values):
    pairs = [
        COMPOSER.make('diagnostic_msgs/msg/KeyValue', key=k, value=v) for k, v in values.items()
    ]
    status = COMPOSER.make(
        'diagnostic_msgs/msg/DiagnosticStatus',
        level=0,
        name='flownet: does things',
        message='running',
        hardware_id=full_name,
        values=pairs,
    )
    kind = 'diagnostic_msgs/msg/DiagnosticArray'
    array = COMPOSER.make(kind, header=COMPOSER.header(1, ''), status=[status])
    return row('/diagnostics', kind, array)


@pytest.fixture
def replayed(room_bag, attempt):
    """A replay, whose bag of answers stands for a recording."""
    return attempt(room_bag, NODES, choice=CHOICE)


@pytest.fixture
def answers(replayed):
    return replayed.page.parent / 'outputs.mcap'


@pytest.fixture
def evaluated(room_bag, tmp_path):
    def go(answers, shown=room_bag, truth=CHOICE, **options):
        recording = Recording(
            shown=shown, answers=answers, folder=tmp_path / 'found', truth=truth, **options
        )
        return evaluate_recording(recording, lambda *_: None)

    return go


def metrics(written):
    return [(section.name, repr(section.metrics)) for section in written.evaluation.sections]


def test_the_same_answers_have_the_same_worth(replayed, answers, evaluated):
    written = evaluated(answers)
    assert metrics(written) == metrics(replayed)
    assert written.evaluation.mode == 'recording'
    nodes = {node.name: node.answered for node in written.evaluation.nodes}
    assert nodes == {'superpoint': FRAMES, 'flownet': FRAMES - 1, 'deepvo': FRAMES}
    assert 'flownet: what it dropped is not in the recording (~/handled)' in (
        written.evaluation.warnings
    )
    assert written.page.parent.joinpath('evaluation.json').is_file()


def test_images_and_truth_may_be_in_the_recording(replayed, rows, answers, bag_of, evaluated):
    """Neither the overlay of a node is its camera, nor its odometry the truth."""
    robot = bag_of([*rows, *rows_of(answers)], 'robot.mcap')
    written = evaluated(robot, shown=robot)
    assert metrics(written) == metrics(replayed)
    assert written.evaluation.facts['truth'].startswith('/ground_truth/odometry')


def test_what_the_nodes_say_is_read(rows, answers, bag_of, evaluated):
    stamps = stamps_of(rows)
    words = [
        said(stamps[0], 'processed inference_ms=7.0 sent='),
        said(stamps[1], 'processed inference_ms=9.0 sent=~/flow,~/color'),
        said(stamps[2], 'superseded'),
        said(stamps[3], 'rejected_invalid', age_ns=-1),
        said(stamps[-1] + SECOND, 'processed inference_ms=99.0 sent=~/flow'),  # of no image
        diagnosed(trained='false', weights='mine', cpu_s='3', max_rss_mb='200.5', state='active'),
    ]
    found = evaluated(bag_of([*rows_of(answers), *words], 'told.mcap')).evaluation
    node = next(node for node in found.nodes if node.name == 'flownet')
    assert node.outcomes == {'processed': 2, 'rejected_invalid': 1, 'superseded': 1}
    assert (node.answered, node.images) == (1, FRAMES)
    assert node.inference_ms[-1] == 9.0
    assert node.age_ms[-1] == pytest.approx(20.0)
    assert (node.trained, node.weights, node.memory_mb) == (False, 'mine', 200.5)
    assert 'flownet: 1 of 4 images are broken (rejected_invalid)' in found.warnings


def test_ages_by_a_clock_that_stands_still_are_left_out(rows, answers, bag_of, evaluated):
    words = [said(stamp, 'processed inference_ms=25.0 sent=~/flow') for stamp in stamps_of(rows)]
    found = evaluated(bag_of([*rows_of(answers), *words], 'coarse.mcap')).evaluation
    assert [node.age_ms for node in found.nodes] == [()] * 3


def test_the_namespace_is_found(rows, answers, bag_of, evaluated, replayed):
    moved = [(f'/robot{r[0]}', *r[1:]) for r in rows_of(answers)]
    assert metrics(evaluated(bag_of(moved, 'robot.mcap'))) == metrics(replayed)
    both = bag_of([*rows_of(answers), *moved], 'both.mcap')
    with pytest.raises(ReplayError, match=r"several namespaces, name one: \['', 'robot'\]"):
        evaluated(both)
    assert metrics(evaluated(both, namespace='/robot/')) == metrics(replayed)
    with pytest.raises(ReplayError, match='no answer of a node in namespace front'):
        evaluated(both, namespace='front')


def test_nodes_of_one_name_in_two_namespaces_are_told_apart(answers, bag_of, evaluated):
    rows = rows_of(answers)
    both = [*rows, *((f'/robot{r[0]}', *r[1:]) for r in rows)]
    words = [diagnosed(f'{space}/flownet', weights=f'of {space}') for space in ('/robot', '')]
    bag = bag_of([*both, *words], 'both.mcap')
    for namespace, weights in (('', 'of '), ('robot', 'of /robot')):
        found = evaluated(bag, namespace=namespace).evaluation
        assert [node.weights for node in found.nodes if node.name == 'flownet'] == [weights]


def test_odometry_for_a_filter_is_found(answers, bag_of, evaluated, replayed):
    moved = [
        ('/camera_odom' if r[0] == '/deepvo/odometry' else r[0], *r[1:]) for r in rows_of(answers)
    ]
    assert metrics(evaluated(bag_of(moved, 'nav2.mcap'))) == metrics(replayed)


def test_beside_visual_odometry_deepvos_own_is_its_own(answers, bag_of, evaluated):
    rows, taken = rows_of(answers), ('/deepvo/odometry', '/deepvo/path')
    mine = [(r[0].replace('deepvo', 'visual_odometry'), *r[1:]) for r in rows if r[0] in taken]
    mine = [('/camera_odom' if r[0].endswith('/odometry') else r[0], *r[1:]) for r in mine]
    found = evaluated(bag_of([*rows, *mine], 'two.mcap')).evaluation
    assert {'deepvo', 'visual_odometry'} <= {node.name for node in found.nodes}
    assert {'odometry', 'odometry_deepvo'} <= {section.name for section in found.sections}


def test_odometry_of_another_name_is_told(answers, bag_of, evaluated, replayed):
    moved = [('/odom' if r[0] == '/deepvo/odometry' else r[0], *r[1:]) for r in rows_of(answers)]
    bag = bag_of(moved, 'odom.mcap')
    assert metrics(evaluated(bag, odometry='/odom')) == metrics(replayed)
    assert 'deepvo' not in {node.name for node in evaluated(bag).evaluation.nodes}
    for wrong in ('/nix', '/flownet/flow'):
        with pytest.raises(BagError, match=wrong):
            evaluated(bag, odometry=wrong)


def test_a_recording_of_other_images_is_refused(rows, restamped, answers, bag_of, evaluated):
    other = bag_of(restamped(rows, lambda _, stamp: stamp + 1), 'other.mcap')
    with pytest.raises(ReplayError, match='has the stamp of an image that was shown; there are'):
        evaluated(answers, shown=other)
    with pytest.raises(BagError, match='no topic with pictures'):
        evaluated(answers, shown=answers, truth=TruthChoice())


def test_the_recording_is_not_written_over(room_bag, answers, bag_of, tmp_path, evaluated):
    poses = tmp_path / 'found/truth.tum'
    poses.parent.mkdir()
    poses.write_text('0 0 0 0 0 0 0 1\n')
    with pytest.raises(
        PipelineError, match=r'truth\.tum: the evaluation writes a file of this name'
    ):
        evaluated(answers, truth=TruthChoice(poses=TruthOptions(source=str(poses))))
