"""`dlcv up` plays, records and evaluates: what `vo.launch.py` starts with the same arguments."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from dlcv.data.bags import Bag

pytest.importorskip('rclpy', reason='rclpy is not installed')


@pytest.mark.ros
@pytest.mark.usefixtures('domain')
def test_a_recording_is_evaluated_at_its_end(room_bag, tmp_path):
    """The recorder keeps ~/handled and diagnostics, so that nothing is told but what was seen."""
    record = tmp_path / 'robot.mcap'
    arguments = (
        '--bag', room_bag, '--record', record, '--evaluate', '/ground_truth/odometry',
        '--nodes', 'superpoint,deepvo', '--namespace', 'robot', '--camera', '/camera',
        '--record-inputs',
    )  # fmt: skip
    done = subprocess.run(
        [sys.executable, '-m', 'dlcv', 'up', *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / 'robot_evaluation/evaluation.json').read_text())
    assert (found['mode'], found['warnings']) == ('recording', [])
    assert found['facts']['truth'].startswith('/ground_truth/odometry')
    for node in found['nodes']:
        assert node['answered'] > 0
        assert node['inference_ms']
    assert [node['trained'] for node in found['nodes']] == [True, True]
    with Bag(record) as bag:  # it can be replayed, and maps be made of it
        assert bag.find_images() == '/camera/image_raw'
