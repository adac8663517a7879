"""The report counts by stamp, finds its pictures and says what is untrained."""

from __future__ import annotations

import json

import numpy as np
import pytest

from dlcv import report
from dlcv.bags import BagError, BagWriter, write_recording
from dlcv.bags.vocabulary import COMPOSER
from dlcv.types import Camera, Frame, Snapshot

CAMERA = Camera(width=32, height=16, fx=20.0, fy=20.0, cx=15.5, cy=7.5)
STEP = 200_000_000
FRAMES = 10


def pose(forward):
    """An optical pose that moves along world z."""
    matrix = np.eye(4)
    matrix[2, 3] = forward
    return matrix


@pytest.fixture
def drive(tmp_path):
    """Ten pictures, one metre apart, as the bag that was played."""
    snapshots = [
        Snapshot(
            frame=Frame(
                stamp_ns=(i + 1) * STEP, image=np.full((16, 32, 3), 10 * i, np.uint8), camera=CAMERA
            ),
            world_from_camera=pose(float(i)),
        )
        for i in range(FRAMES)
    ]

    class Drive(list):
        name, camera, baseline = 'drive', CAMERA, 0.0

    write_recording(Drive(snapshots), tmp_path / 'drive.mcap')
    return tmp_path / 'drive.mcap'


def diagnostics(name, message, **values):
    pairs = [
        COMPOSER.make('diagnostic_msgs/msg/KeyValue', key=k, value=v) for k, v in values.items()
    ]
    status = COMPOSER.make(
        'diagnostic_msgs/msg/DiagnosticStatus',
        level=1,
        name=f'{name}: does things',
        message=message,
        hardware_id='',
        values=pairs,
    )
    return COMPOSER.make(
        'diagnostic_msgs/msg/DiagnosticArray', header=COMPOSER.header(1, ''), status=[status]
    )


@pytest.fixture
def outputs(tmp_path):
    """FlowNet answered seven of ten and drew them; two more answers are to no picture."""
    path = tmp_path / 'outputs.mcap'
    with BagWriter(path) as bag:
        bag.add_topic('/flownet/flow', 'sensor_msgs/msg/Image')
        bag.add_topic('/flownet/color', 'sensor_msgs/msg/Image')
        bag.add_topic('/diagnostics', 'diagnostic_msgs/msg/DiagnosticArray')
        for i in range(2, 9):
            stamp = (i + 1) * STEP
            head = COMPOSER.header(stamp, 'camera')
            bag.write('/flownet/flow', stamp, COMPOSER.image(head, np.zeros((4, 8, 2), np.float32)))
            bag.write(
                '/flownet/color', stamp, COMPOSER.image(head, np.full((4, 8, 3), i, np.uint8))
            )
        for stamp in (5, 6):
            head = COMPOSER.header(stamp, 'camera')
            bag.write('/flownet/flow', 10**9, COMPOSER.image(head, np.zeros((4, 8, 2), np.float32)))
        bag.write(
            '/diagnostics',
            10**9,
            diagnostics(
                'flownet',
                'the network is untrained',
                state='active',
                trained='false',
                superseded='2',
                rejected_age='1',
                inference_ms_p50='12.5',
                inference_ms_p95='20',
                latency_ms_p50='nan',
            ),
        )
    return path


def test_answers_are_counted_by_stamp(outputs, drive):
    summary = report.summarise(outputs, inputs=drive, truth_topic='/ground_truth/odometry')
    (node,) = summary.nodes
    assert (node.name, node.answered, node.images, node.dropped) == ('flownet', 7, 10, 3)
    assert node.hertz == pytest.approx(7 / (9 * 0.2))
    assert node.inference_ms == (12.5, 20.0)
    assert summary.untrained == ['flownet']
    assert summary.seconds == pytest.approx(1.8)


def test_truth_begins_at_the_origin_and_goes_forward(outputs, drive):
    truth = report.summarise(outputs, inputs=drive, truth_topic='/ground_truth/odometry').truth
    np.testing.assert_allclose(truth.world_from_body[0], np.eye(4), atol=1e-12)
    np.testing.assert_allclose(truth.world_from_body[-1][:3, 3], [9.0, 0.0, 0.0], atol=1e-9)


def test_samples_hold_the_picture_of_their_own_stamp(outputs, drive):
    for sample in report.summarise(outputs, inputs=drive).samples:
        number = sample.stamp_ns // STEP - 1
        pictures = dict(sample.pictures)
        assert pictures['input'][0, 0].tolist() == [10 * number] * 3
        assert pictures['flownet'][0, 0].tolist() == [number] * 3


def test_page_and_json_say_the_same(outputs, drive, tmp_path):
    summary = report.summarise(outputs, inputs=drive)
    page = report.write_report(summary, tmp_path / 'page', title='A <title>', command='make x')
    html = page.read_text()
    data = json.loads((tmp_path / 'page/report.json').read_text())
    assert 'A &lt;title&gt;' in html
    assert '7 of 10' in html
    assert 'Untrained networks' in html
    assert 'src="http' not in html  # nothing to load
    assert data['schema'] == 'dlcv-report/1'
    assert data['nodes'][0]['latency_ms'] == [None, None, None]
    assert data['facts']['command'] == 'make x'


def test_table_is_aligned(outputs, drive):
    lines = report.table(report.summarise(outputs, inputs=drive)).splitlines()
    assert lines[0].startswith('node')
    assert lines[1].index('7 of 10') == lines[0].index('answered')


def test_a_recording_without_images_is_refused_with_what_there_is(outputs):
    with pytest.raises(BagError, match='/diagnostics'):
        report.summarise(outputs)


def test_a_wrong_truth_is_answered_with_the_topics(outputs, drive):
    with pytest.raises(BagError, match='/ground_truth/odometry'):
        report.summarise(outputs, inputs=drive, truth_topic='/truth')


def test_a_recording_of_another_drive_is_refused(outputs, drive, tmp_path):
    """Nothing answered: the bag that was played is another, or so is the namespace."""
    with pytest.raises(BagError, match='no output of a node in namespace front has the stamp'):
        report.summarise(outputs, inputs=drive, namespace='front')
    with pytest.raises(BagError, match='no output of a node without a namespace'):
        report.summarise(drive)
