"""`dlcv evaluate` as it is typed: what it prints, and its exit code."""

from __future__ import annotations

import errno
import json

import pytest

from dlcv.cli.main import main
from dlcv.data.bags import write_recording
from dlcv.data.world import WorldRecording, ideal_camera

FRAMES = 4


@pytest.fixture(scope='module')
def drive(tmp_path_factory):
    path = tmp_path_factory.mktemp('bags') / 'drive.mcap'
    write_recording(WorldRecording(camera=ideal_camera(96, 64), frames=FRAMES, workers=1), path)
    return path


@pytest.fixture
def evaluate(tmp_path, monkeypatch, capsys):
    """Run the command in an empty folder; returns exit code, output and errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv('DLCV_TRACEBACK', raising=False)

    def go(*args):
        code = main(['evaluate', *map(str, args)])
        out, err = capsys.readouterr()
        assert 'Traceback' not in out + err
        return code, out, err

    return go


def in_process(*args):
    return ('--mode', 'in-process', '--nodes', 'superpoint', *args)


def test_a_bag_becomes_a_report(evaluate, drive, tmp_path):
    code, out, err = evaluate(drive, *in_process())
    assert (code, err) == (0, '')
    folder = tmp_path / 'drive_evaluation'
    assert f'report: {folder}/index.html' in out
    assert 'answered every image' in out
    data = json.loads((folder / 'evaluation.json').read_text())
    assert data['title'] == 'drive'
    assert data['nodes'][0]['answered'] == FRAMES


@pytest.mark.parametrize(
    ('args', 'words'),
    [
        ((), 'name bags, or one of --again'),
        (('nope.mcap', '--mode', 'in-process'), 'nope.mcap: no such bag'),
        (('--again', 'nope'), 'nope/job.json'),
        (('--again', 'x', '--no-peak'), '--again: there is no replay, so --no-peak means nothing'),
        (('a.mcap', '--answers', 'b.mcap', '--max-frames', '3'), 'no replay, so --max-frames'),
        (('--again', 'nope', 'a.mcap'), 'name bags, or one of --again'),
    ],
)
def test_nothing_to_do_is_exit_code_2(evaluate, args, words):
    code, out, err = evaluate(*args)
    assert (code, out) == (2, '')
    assert words in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ('args', 'words'),
    [
        (('--true-depth', '/nope'), 'no topic /nope; there are'),
        (('--true-depth', '/ground_truth/flow'), 'holds no depth'),
        (('--true-flow', '/ground_truth/depth'), 'holds no flow'),
        (('--true-flow', '/camera/image_raw'), 'holds no numbers'),
        (('--depth-cap', '-1'), 'caps need'),
        (('--max-frames', '-1'), 'must not be negative'),
        (('--truth', 'nope.txt'), 'no file and no topic nope.txt'),
        (('--time-offset', '1e6'), 'try --time-offset'),
    ],
)
def test_wrong_options_are_exit_code_2_before_the_replay(evaluate, drive, args, words, tmp_path):
    code, out, err = evaluate(drive, *in_process(*args))
    assert (code, out) == (2, '')
    assert words in err
    assert not (tmp_path / 'drive_evaluation/outputs.mcap').exists()


def test_a_damaged_bag_needs_a_word(evaluate, tmp_path):
    recording = WorldRecording(camera=ideal_camera(192, 128), frames=4, workers=1)
    write_recording(recording, tmp_path / 'cut.mcap')  # more than the 1 MiB of a chunk
    whole = (tmp_path / 'cut.mcap').read_bytes()
    (tmp_path / 'cut.mcap').write_bytes(whole[: int(len(whole) * 0.9)])
    code, _, err = evaluate('cut.mcap', *in_process())
    assert code == 2
    assert 'can be read; --damaged evaluates these' in err
    code, out, _ = evaluate('cut.mcap', *in_process('--damaged'))
    assert code == 0
    assert out.count('cut in the record') == 1
    code, again, _ = evaluate('--again', 'cut_evaluation')
    assert code == 0
    assert again.splitlines()[:-1] == out.splitlines()[:-1]


def test_a_full_disk_is_exit_code_1_with_a_report(evaluate, drive, monkeypatch):
    from rosbags.rosbag2 import Writer

    write, count = Writer.write, []

    def fails(self, *args):
        count.append(1)
        if len(count) > 8:
            raise OSError(errno.ENOSPC, 'No space left on device')
        write(self, *args)

    monkeypatch.setattr(Writer, 'write', fails)
    code, out, _ = evaluate(drive, *in_process())
    assert code == 1
    assert 'warning: the replay broke off after' in out
    assert 'No space left on device' in out
    assert 'report: ' in out


def test_a_report_that_cannot_be_written_is_exit_code_1(evaluate, drive, monkeypatch):
    def fails(*_):
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr('dlcv.evaluation.pipeline.written.write_json', fails)
    code, _, err = evaluate(drive, *in_process())
    assert code == 1
    assert 'the answers are kept: dlcv evaluate --again' in err


def test_several_bags_have_a_folder_each(evaluate, drive, tmp_path):
    (tmp_path / 'dark.1.mcap').write_bytes(drive.read_bytes())
    write_recording(
        WorldRecording(camera=ideal_camera(32, 24), frames=2, workers=1), tmp_path / 'two'
    )
    code, out, err = evaluate('dark.1.mcap', 'two', drive, *in_process('-o', 'all'))
    reports = sorted(path.parent.name for path in (tmp_path / 'all').glob('*/index.html'))
    assert (code, reports) == (0, ['dark.1', 'drive', 'two']), err
    assert out.count('report: ') == 3


def test_bags_of_one_name_do_not_share_a_folder(evaluate, drive, tmp_path):
    (tmp_path / 'other').mkdir()
    (tmp_path / 'other/drive.mcap').write_bytes(drive.read_bytes())
    code, _, err = evaluate(drive, 'other/drive.mcap', *in_process())
    assert code == 2
    assert 'one folder' in err


def test_a_bag_that_fails_does_not_keep_the_others_from_theirs(evaluate, drive, tmp_path):
    (tmp_path / 'blind.mcap').write_bytes(drive.read_bytes())
    (tmp_path / 'all').mkdir()
    (tmp_path / 'all/blind').write_text('a file where the folder should be')
    code, out, err = evaluate('blind.mcap', drive, *in_process('-o', 'all'))
    assert code == 1
    assert 'blind is a file' in err
    assert out.count('report: ') == 1


def test_the_help_names_modes_examples_and_exit_codes(evaluate, capsys):
    with pytest.raises(SystemExit):
        evaluate('--help')
    text = capsys.readouterr().out
    for words in ('in-process', '--again', 'examples:', 'Exit code: 0', '--damaged'):
        assert words in text


def test_a_recording_is_evaluated_without_a_replay(evaluate, drive, tmp_path):
    evaluate(drive, *in_process('-o', tmp_path / 'replay'))
    answers = tmp_path / 'replay/outputs.mcap'
    code, out, err = evaluate(drive, '--answers', answers)
    assert (code, err) == (0, '')
    assert 'report: outputs_evaluation/index.html' in out
    data = json.loads((tmp_path / 'outputs_evaluation/evaluation.json').read_text())
    assert (data['mode'], data['nodes'][0]['answered']) == ('recording', FRAMES)
    code, _, err = evaluate(drive, drive, '--answers', answers)
    assert (code, err) == (2, 'dlcv evaluate: --answers are those to one bag, not to 2\n')
