"""`dlcv evaluate` without ROS: whatever the bag is like, an evaluation or a line that says why."""

from __future__ import annotations

import errno
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from dlcv.data.bags import Bag, BagError, DamagedBagError, write_recording
from dlcv.data.bags.vocabulary import TF, typestore
from dlcv.data.datasets.trajectories import write_kitti, write_tum
from dlcv.data.recordings.errors import RecordingError
from dlcv.data.recordings.truth import TruthOptions
from dlcv.data.world import WorldRecording, ideal_camera
from dlcv.estimation.tasks.superpoint import FeatureTask
from dlcv.evaluation.pipeline.answers import evaluate_again
from dlcv.evaluation.pipeline.written import PipelineError, UnevaluatedError
from dlcv.evaluation.replay.job import ReplayError
from dlcv.evaluation.scoring.evaluate import TruthChoice
from dlcv.interface.arguments import LaunchError
from dlcv.interface.parameters import ParameterError

FRAMES = 5
SECOND = 10**9


def node(written, name='superpoint'):
    return next(node for node in written.evaluation.nodes if node.name == name)


def metric(written, name):
    metrics = [m for section in written.evaluation.sections for m in section.metrics]
    return next(m for m in metrics if m.name == name)


def results(written):
    """All numbers of an evaluation, in words: no two NaN are the same."""
    return [(section.name, repr(section.metrics)) for section in written.evaluation.sections]


def poses(**options):
    return TruthChoice(poses=TruthOptions(**options))


def retry(folder, choice=None):
    return evaluate_again(folder, choice or TruthChoice(), 'again', lambda *_: None)


# What is replayed


@pytest.mark.slow
def test_two_trials_give_the_same_bytes(room_bag, attempt, tmp_path):
    nodes = 'superpoint,flownet,deepvo'
    first, second = (attempt(room_bag, nodes, folder) for folder in ('a', 'b'))
    assert (tmp_path / 'a/outputs.mcap').read_bytes() == (tmp_path / 'b/outputs.mcap').read_bytes()
    assert results(first) == results(second)
    assert not first.failed
    assert not first.evaluation.warnings
    assert [n.answered for n in first.evaluation.nodes] == [FRAMES, FRAMES - 1, FRAMES]


@pytest.mark.slow
def test_the_same_bag_twice_gives_the_same_map_by_bytes(attempt, tmp_path):
    walk = WorldRecording(camera=ideal_camera(160, 120), frames=30, rate_hz=10.0, workers=1)
    write_recording(walk, tmp_path / 'walk.mcap')
    topics = {'odom_topic': '/ground_truth/odometry', 'depth_topic': '/ground_truth/depth'}
    for folder in ('a', 'b'):
        attempt(tmp_path / 'walk.mcap', 'superpoint,slam', folder, arguments=topics)
    assert (tmp_path / 'a/outputs.mcap').read_bytes() == (tmp_path / 'b/outputs.mcap').read_bytes()
    with Bag(tmp_path / 'a/outputs.mcap') as bag:
        maps = [bytes(raw.data) for raw in bag.raw() if raw.topic == '/slam/landmarks']
    assert len(maps[-1]) > len(maps[0]) > 1000


def test_compressed_images_are_replayed(jpeg_bag, attempt):
    assert node(attempt(jpeg_bag)).answered == FRAMES


def write_sqlite(path, rows):
    writer = Writer(path, version=8, storage_plugin=StoragePlugin.SQLITE3)
    with writer:
        links = {}
        for topic, kind, stamp_ns, data in rows:
            if topic not in links:
                links[topic] = writer.add_connection(topic, kind, typestore=typestore())
            writer.write(links[topic], stamp_ns, data)
    return path / f'{path.name}.db3'


def write_ros1(path, rows):
    store = get_typestore(Stores.ROS1_NOETIC)
    store.register({TF: typestore().fielddefs[TF]})
    with Writer1(path) as writer:
        links = {}
        for topic, kind, stamp_ns, data in rows:
            if topic not in links:
                links[topic] = writer.add_connection(topic, kind, typestore=store)
            writer.write(links[topic], stamp_ns, typestore().cdr_to_ros1(data, kind))
    return path


def test_every_kind_of_bag_gives_the_same_answers(room_bag, rows, bag_of, attempt, tmp_path):
    half = len(rows) // 2
    bag_of(rows[:half], 'split/split_0.mcap')
    bag_of(rows[half:], 'split/split_1.mcap')
    choice = TruthChoice(flow='/ground_truth/flow')
    expected = attempt(room_bag, choice=choice)
    assert metric(expected, 'repeatability').value is not None
    for path in (
        tmp_path / 'split',
        write_sqlite(tmp_path / 'sqlite', rows).parent,
        tmp_path / 'sqlite/sqlite.db3',
        write_ros1(tmp_path / 'old.bag', rows),
    ):
        found = attempt(path, choice=choice)
        assert results(found) == results(expected), path
        assert node(found).answered == FRAMES


def test_a_bag_without_pictures_is_refused_with_what_there_is(rows, bag_of, attempt, tmp_path):
    bag = bag_of([row for row in rows if 'image' not in row[0]])
    with pytest.raises(BagError, match=r'no topic with pictures; there are\n(.*\n)*/tf'):
        attempt(bag)
    assert not (tmp_path / 'out').exists()


def test_of_several_cameras_one_must_be_named(rows, bag_of, attempt):
    other = [(f'/other{row[0]}', *row[1:]) for row in rows if row[0].startswith('/camera')]
    bag = bag_of([*rows, *other])
    with pytest.raises(BagError, match=r'/camera/image_raw.*/other/camera/image_raw'):
        attempt(bag)
    written = attempt(bag, images='/other/camera/image_raw')
    assert '/other/camera/image_raw' in written.evaluation.facts['images']
    assert node(written).answered == FRAMES


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        ({'images': '/nope'}, r'no topic /nope; there are'),
        ({'images': '/tf'}, r'/tf is tf2_msgs.*needed is'),
        ({'camera_info': '/nope'}, r'no topic /nope; there are'),
        ({'camera_info': '/camera/image_raw'}, r'needed is sensor_msgs/msg/CameraInfo'),
        ({'kept': ('/nope',)}, r'no topic /nope; there are'),
        ({'most': -1}, r'must not be negative, got -1'),
        ({'rate': 0.0}, r'rate must be positive'),
        ({'arguments': {'params_file': 'nope.yaml'}}, r'nope.yaml: no such parameter file'),
        ({'arguments': {'map': 'nope.safetensors'}, 'nodes': 'dsac'}, r'no file nope.safetensors'),
        ({'nodes': 'dsac'}, r'dsac needs a map'),
        ({'nodes': 'deepvoo'}, r"no node 'deepvoo'; there are superpoint"),
        ({'arguments': {'device': 'gpu7'}}, r"'gpu7' is none of"),
    ],
)
def test_what_cannot_be_done_is_said_in_words(options, words, room_bag, attempt):
    with pytest.raises((BagError, LaunchError, ParameterError, ReplayError), match=words):
        attempt(room_bag, **options)


def test_a_wrong_parameter_is_named_and_the_last_results_stay(room_bag, attempt, tmp_path):
    attempt(room_bag)
    before = (tmp_path / 'out/index.html').read_bytes()
    (tmp_path / 'wrong.yaml').write_text('superpoint: {ros__parameters: {no_such_thing: 1}}\n')
    with pytest.raises(ParameterError, match=r"wrong\.yaml: superpoint has no .*'no_such_thing'"):
        attempt(room_bag, arguments={'params_file': str(tmp_path / 'wrong.yaml')})
    assert (tmp_path / 'out/index.html').read_bytes() == before


def test_at_most_so_many_images_are_shown(room_bag, attempt):
    written = attempt(room_bag, most=2)
    assert (node(written).answered, node(written).images) == (2, 2)


# Damage and disorder


def padded(rows, topic='/camera/image_raw'):
    """Add so much to each message on a topic that its chunk (1 MiB) is written out at once."""
    for row in rows:
        yield row
        if row[0] == topic:
            yield '/padding', 'std_msgs/msg/UInt8MultiArray', row[2], bytes(1 << 20)


def test_of_a_cut_bag_what_is_readable_is_evaluated_if_asked_for(rows, bag_of, attempt, tmp_path):
    cut = bag_of(padded(rows))
    whole = cut.read_bytes()
    cut.write_bytes(whole[: len(whole) // 2])
    with Bag(cut, keep_damaged=True) as bag:
        readable = bag.topic('/camera/image_raw').count
    assert 0 < readable < FRAMES
    with pytest.raises(DamagedBagError, match=r'\d+ messages on \d topics can be read'):
        attempt(cut)
    written = attempt(cut, keep_damaged=True)
    assert node(written).answered == readable
    assert any('cut in the record' in warning for warning in written.evaluation.warnings)
    assert results(retry(tmp_path / 'out')) == results(written)


def test_of_a_half_written_database_what_is_readable_is_evaluated(rows, attempt, tmp_path):
    whole = write_sqlite(tmp_path / 'sqlite', rows).read_bytes()
    half = tmp_path / 'half.db3'
    half.write_bytes(whole[: len(whole) * 6 // 10])
    with pytest.raises(DamagedBagError, match=r'can be read'):
        attempt(half)
    written = attempt(half, keep_damaged=True)
    assert 0 < node(written).answered < FRAMES
    assert any('cannot be read' in warning for warning in written.evaluation.warnings)


@pytest.mark.parametrize('back', [0.1, 0.15])
def test_images_that_are_not_newer_are_counted_and_told(back, rows, restamped, bag_of, attempt):
    changed = restamped(rows, lambda i, stamp: stamp - round(back * SECOND) if i == 3 else stamp)
    written = attempt(bag_of(changed))
    assert node(written).outcomes == {'processed': FRAMES - 1, 'rejected_order': 1}
    (warning,) = written.evaluation.warnings
    assert warning.startswith(f'superpoint: 1 of {FRAMES} images are not newer')


def test_a_jump_back_in_time_starts_anew(rows, restamped, bag_of, attempt):
    changed = restamped(rows, lambda i, stamp: stamp - 100 * SECOND if i > 2 else stamp)
    written = attempt(bag_of(changed), 'flownet')
    assert node(written, 'flownet').outcomes == {'processed': FRAMES}
    assert node(written, 'flownet').answered == FRAMES - 2  # the first before and after it
    assert attempt.said.getvalue().count('time jumped backwards') == 1


def test_of_odometry_over_a_jump_back_the_longest_way_counts(
    room_bag, rows, restamped, bag_of, attempt
):
    changed = restamped(rows, lambda i, stamp: stamp - SECOND if i > 2 else stamp)
    cut, whole = attempt(bag_of(changed), 'deepvo'), attempt(room_bag, 'deepvo')
    found, expected = (written.evaluation.paths['odometry'] for written in (cut, whole))
    np.testing.assert_array_equal(found.stamps_ns, expected.stamps_ns[:3])
    np.testing.assert_array_equal(found.world_from_body, expected.world_from_body[:3])
    notes = next(s.notes for s in cut.evaluation.sections if s.name == 'odometry')
    assert notes[0].startswith('Time jumped back: the odometry began 2 times.')


def test_without_calibration_those_that_need_it_say_so(rows, bag_of, attempt):
    bag = bag_of([row for row in rows if 'camera_info' not in row[0]])
    written = attempt(bag, 'superpoint,monodepth')
    assert node(written).answered == FRAMES
    assert node(written, 'monodepth').outcomes == {'rejected_camera': FRAMES}
    assert any('monodepth: 5 of 5 images have no calib' in w for w in written.evaluation.warnings)
    with pytest.raises(
        PipelineError, match=r'no node answered.*monodepth: 5 of 5 .*rejected_camera'
    ):
        attempt(bag, 'monodepth')


def test_a_frame_that_an_estimator_fails_at_does_not_end_the_rest(room_bag, attempt, monkeypatch):
    infer, calls = FeatureTask.infer, []

    def fails_once(self, frame):
        calls.append(frame)
        if len(calls) == 2:
            raise RuntimeError('no such luck\nwith details')
        return infer(self, frame)

    monkeypatch.setattr(FeatureTask, 'infer', fails_once)
    monkeypatch.delenv('DLCV_TRACEBACK', raising=False)
    written = attempt(room_bag, 'superpoint,flownet')
    assert node(written).outcomes == {'failed': 1, 'processed': FRAMES - 1}
    assert node(written, 'flownet').outcomes == {'processed': FRAMES}
    assert not written.failed
    assert written.evaluation.warnings == ('superpoint: 1 of 5 images made it fail (failed)',)
    said = attempt.said.getvalue()
    assert 'image failed: RuntimeError: no such luck\n' in said
    assert 'Traceback' not in said


# A disk that fills up


def full_after(monkeypatch, messages):
    """Let the disk take so many messages of answers, and no more."""
    write, count = Writer.write, []

    def fails(self, *args):
        count.append(1)
        if len(count) > messages:
            raise OSError(errno.ENOSPC, 'No space left on device')
        write(self, *args)

    monkeypatch.setattr(Writer, 'write', fails)


def test_what_was_answered_before_the_disk_was_full_is_evaluated(room_bag, attempt, monkeypatch):
    full_after(monkeypatch, 8)
    written = attempt(room_bag)
    assert written.failed
    assert 1 < node(written).answered < FRAMES
    assert node(written).images == FRAMES
    (warning,) = written.evaluation.warnings
    assert 'broke off after' in warning
    assert 'No space left on device' in warning


def test_answers_that_could_not_be_completed_are_evaluated_all_the_same(
    room_bag, bag_of, attempt, tmp_path
):
    attempt(room_bag)
    with Bag(tmp_path / 'out/outputs.mcap') as bag:
        answers = [(raw.topic, raw.msgtype, raw.stamp_ns, raw.data) for raw in bag.raw()]
    whole = bag_of(padded(answers, '/superpoint/keypoints')).read_bytes()
    partial = tmp_path / 'out/outputs.mcap.partial'
    partial.mkdir()
    (partial / 'outputs.mcap.partial.mcap').write_bytes(whole[: len(whole) // 2])
    (tmp_path / 'out/outputs.mcap').unlink()
    (tmp_path / 'out/replay.json').unlink()
    written = retry(tmp_path / 'out')
    assert metric(written, 'keypoints').value is not None
    assert any('broke off' in warning for warning in written.evaluation.warnings)
    assert any('outputs.mcap.partial' in warning for warning in written.evaluation.warnings)
    attempt(room_bag)  # and the next replay clears it away
    assert not partial.exists()


def test_a_disk_too_full_for_the_first_answer_is_an_error(room_bag, attempt, monkeypatch):
    full_after(monkeypatch, 0)
    with pytest.raises(BagError, match=r'No space left on device'):
        attempt(room_bag)


def test_a_report_that_cannot_be_written_leaves_the_answers(
    room_bag, attempt, monkeypatch, tmp_path
):
    def fails(*_):
        raise OSError(errno.ENOSPC, 'No space left on device')

    with monkeypatch.context() as patch:
        patch.setattr('dlcv.evaluation.pipeline.written.write_json', fails)
        with pytest.raises(UnevaluatedError, match=r'No space left.*evaluate --again .*out'):
            attempt(room_bag)
    assert node(retry(tmp_path / 'out')).answered == FRAMES


# The truth


@pytest.fixture
def true_path(room_bag):
    with Bag(room_bag) as bag:
        return bag.trajectory()


@pytest.mark.parametrize('kind', ['tum', 'kitti', 'euroc'])
def test_truth_from_a_file_is_as_good_as_that_of_the_bag(
    kind, room_bag, true_path, attempt, tmp_path
):
    path = tmp_path / f'truth.{"csv" if kind == "euroc" else "txt"}'
    {'tum': write_tum, 'kitti': write_kitti, 'euroc': _write_euroc}[kind](true_path, path)
    options = {'source': str(path), 'frame': 'base_link'}
    expected = metric(attempt(room_bag, 'deepvo'), 'ATE (SE3)').value
    written = attempt(room_bag, 'deepvo', choice=poses(**options))
    assert metric(written, 'ATE (SE3)').value == pytest.approx(expected, abs=1e-6)


def _write_euroc(trajectory, path):
    tum = path.with_suffix('.tum')
    write_tum(trajectory, tum)
    numbers = np.loadtxt(tum)[:, [1, 2, 3, 7, 4, 5, 6]]
    rows = zip(trajectory.stamps_ns, numbers, strict=True)
    lines = [f'{stamp},{",".join(map(str, row))}' for stamp, row in rows]
    path.write_text('\n'.join(['#timestamp [ns],x,y,z,qw,qx,qy,qz', *lines]) + '\n')


def test_truth_of_another_clock_is_refused_before_the_replay(room_bag, attempt, tmp_path):
    early = poses(source='/ground_truth/odometry', time_offset=-1.69e9)
    with pytest.raises(RecordingError, match=r'no pose belongs to a picture.*--time-offset 169'):
        attempt(room_bag, choice=early)
    assert not (tmp_path / 'out/outputs.mcap').exists()


def test_truth_that_nobody_asked_for_may_be_of_another_clock(rows, restamped, bag_of, attempt):
    bag = bag_of(restamped(rows, lambda _, stamp: stamp - 1_690_000_000 * SECOND))
    written = attempt(bag, 'deepvo')
    found = metric(written, 'ATE (SE3)')
    assert found.value is None
    assert '--time-offset -1690000000.0' in found.why


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        ({'source': '/nope'}, r'no topic /nope; there are /ground_truth/odometry'),
        ({'extrinsics': '1 2 3'}, r"3 values, '1 2 3'"),
        ({'frame': 'nope'}, r'nope'),
    ],
)
def test_wrong_words_about_the_truth_are_refused_before_the_replay(
    options, words, room_bag, attempt, tmp_path
):
    with pytest.raises((RecordingError, BagError), match=words):
        attempt(room_bag, choice=poses(**options))
    assert not (tmp_path / 'out/outputs.mcap').exists()


def test_no_truth_is_no_error(rows, bag_of, attempt):
    written = attempt(bag_of([row for row in rows if row[0].startswith('/camera')]), 'deepvo')
    assert metric(written, 'ATE (SE3)').why.startswith('no truth')


def test_the_same_answers_with_another_truth(room_bag, true_path, attempt, tmp_path):
    first = attempt(room_bag, 'deepvo')
    answers = (tmp_path / 'out/outputs.mcap').read_bytes()
    without = retry(tmp_path / 'out', TruthChoice(poses=None))
    assert metric(without, 'ATE (SE3)').value is None
    assert not (tmp_path / 'out/truth.tum').exists()  # of the evaluation before
    write_tum(true_path, tmp_path / 'poses.txt')
    with_file = retry(tmp_path / 'out', poses(source=str(tmp_path / 'poses.txt')))
    assert metric(with_file, 'ATE (SE3)').value == pytest.approx(
        metric(first, 'ATE (SE3)').value, abs=1e-6
    )
    assert (tmp_path / 'out/outputs.mcap').read_bytes() == answers


def test_a_folder_without_a_replay_cannot_be_evaluated_again(tmp_path):
    with pytest.raises(ReplayError, match=r'job\.json'):
        retry(tmp_path)


# The folder


def test_other_files_in_the_folder_are_left_alone(room_bag, attempt, tmp_path):
    (tmp_path / 'out/notes').mkdir(parents=True)
    others = {name: f'my {name}' for name in ('notes/a.txt', 'drive.mcap', 'other.tum', 'b.html')}
    for name, text in others.items():
        (tmp_path / 'out' / name).write_text(text)
    for _ in range(2):
        attempt(room_bag)
    assert {name: (tmp_path / 'out' / name).read_text() for name in others} == others


def test_files_of_an_earlier_evaluation_do_not_stay(room_bag, attempt, tmp_path):
    attempt(room_bag, 'deepvo')
    assert (tmp_path / 'out/odometry.tum').exists()
    attempt(room_bag, 'superpoint')
    assert not (tmp_path / 'out/odometry.tum').exists()


def test_the_bag_that_is_read_is_never_overwritten(room_bag, rows, bag_of, attempt, tmp_path):
    folder = tmp_path / 'out'
    folder.mkdir()
    bag = folder / 'outputs.mcap'
    bag.write_bytes(room_bag.read_bytes())
    with pytest.raises(PipelineError, match=r'outputs\.mcap.*cannot be the bag'):
        attempt(bag)
    assert bag.read_bytes() == room_bag.read_bytes()
    inside = bag_of(rows, 'folder')
    with pytest.raises(PipelineError, match=r'nothing is written into the bag'):
        attempt(inside, folder='folder/results')
    assert not (inside / 'results').exists()


def test_the_truth_that_is_read_is_never_overwritten(room_bag, attempt, tmp_path):
    attempt(room_bag, 'deepvo')
    truth = tmp_path / 'out/truth.tum'
    before = truth.read_bytes()
    with pytest.raises(PipelineError, match=r'truth\.tum.*cannot be the truth'):
        attempt(room_bag, 'deepvo', choice=poses(source=str(truth)))
    assert truth.read_bytes() == before


def test_a_file_is_no_folder(room_bag, attempt, tmp_path):
    (tmp_path / 'out').write_text('mine')
    with pytest.raises(LaunchError, match=r'out is a file'):
        attempt(room_bag)
    assert (tmp_path / 'out').read_text() == 'mine'


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
from dlcv.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


def limited(limit, *arguments):
    """Run the command where no file may be larger than so many bytes: the disk is full there."""
    command = [sys.executable, '-c', LIMITED.format(limit=limit), 'evaluate', *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_answers_on_a_full_disk_can_be_evaluated_elsewhere(tmp_path):
    walk = WorldRecording(camera=ideal_camera(320, 240), frames=10, workers=1)
    write_recording(walk, tmp_path / 'walk.mcap')
    where = ('--mode', 'in-process', '--nodes', 'superpoint', '-o', tmp_path / 'out')
    done = limited(1_500_000, tmp_path / 'walk.mcap', *where)
    assert done.returncode == 1, done.stderr
    assert 'Traceback' not in done.stderr
    assert 'the replay broke off after' in done.stderr
    assert 'File too large' in done.stderr
    elsewhere = tmp_path / 'elsewhere'
    answers = tmp_path / 'out'
    written = evaluate_again(answers, TruthChoice(), 'again', lambda *_: None, elsewhere)
    found = written.evaluation
    assert 0 < found.nodes[0].answered < 10
    assert any('broke off' in warning for warning in found.warnings)
    assert (elsewhere / 'index.html').is_file()


def test_lines_of_the_truth_without_pose_are_left_out_and_said(
    room_bag, true_path, attempt, tmp_path
):
    path = tmp_path / 'truth.txt'
    write_tum(true_path, path)
    head, first, *rest = path.read_text().splitlines()
    path.write_text('\n'.join([head, f'{first.split()[0]} 0 0 0 0 0 0 0', *rest]))
    written = attempt(room_bag, 'deepvo', choice=poses(source=str(path), frame='base_link'))
    (section,) = [s for s in written.evaluation.sections if s.name == 'odometry']
    assert metric(written, 'ATE (SE3)').value is not None
    assert any('lines hold no pose and are left out' in note for note in section.notes)


def test_truth_of_rounded_times_reaches_all_pictures(room_bag, true_path, attempt, tmp_path):
    path = tmp_path / 'truth.txt'
    stamps = true_path.stamps_ns // 1000 * 1000 - 95  # as floats print them
    write_tum(replace(true_path, stamps_ns=stamps), path)
    expected = metric(attempt(room_bag, 'deepvo'), 'ATE (SE3)')
    written = attempt(room_bag, 'deepvo', choice=poses(source=str(path), frame='base_link'))
    found = metric(written, 'ATE (SE3)')
    assert len(found.samples) == len(expected.samples)
    assert found.value == pytest.approx(expected.value, abs=1e-3)
