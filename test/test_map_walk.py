"""From a walk recorded by our nodes to a map, and with it through the place again, over ROS."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from dlcv.cli.main import main
from dlcv.data.bags import Bag
from dlcv.evaluation.pipeline.recorded import Recording, evaluate_recording
from dlcv.evaluation.scoring.evaluate import TruthChoice

TRUTH = '/ground_truth/odometry'
SETTINGS = """
/**:
  ros__parameters: {image_qos_depth: 5}
/**/dsac:
  ros__parameters: {mode: continuous, rate: 30.0, publish_tf: true}
"""


def world(path, *arguments):
    size = ['--size', '320x240', '--rate', '4', '--still', '--no-depth']
    assert main(['world', str(path), '--scene', 'room', *size, *arguments]) == 0
    return path


def up(bag, record, *arguments):
    """Play a bag into nodes and return the recording."""
    command = ['-m', 'dlcv', 'up', '--bag', bag, '--record', record]
    done = subprocess.run(
        [sys.executable, *map(str, (*command, *arguments))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return record


def evaluation(answers, walk, folder, *, elsewhere=False):
    """Return what a recording of a walk is worth."""
    truth = TruthChoice(elsewhere=elsewhere)
    recording = Recording(shown=walk, answers=answers, folder=folder, truth=truth)
    return evaluate_recording(recording, lambda *_: None).evaluation


@pytest.mark.ros
@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_recorded_walk_makes_a_map_that_knows_its_place_and_no_other(tmp_path, domain):
    settings = tmp_path / 'localize.yaml'
    settings.write_text(SETTINGS)

    walk = world(tmp_path / 'walk.mcap', '--seed', '17133', '--frames', '240')
    inputs = ('--nodes', 'deepvo', '--record-inputs', '--evaluate', TRUTH)
    recorded = up(walk, tmp_path / 'recorded.mcap', *inputs)
    place = tmp_path / 'room.safetensors'
    quick = ['--set', 'map.epochs=24']
    assert main(['map', str(recorded), '-o', str(place), '--truth', TRUTH, *quick]) == 0

    again = world(tmp_path / 'again.mcap', '--seed', '17133', '--way', '5', '--frames', '100')
    nodes = (settings, '--nodes', 'deepvo,dsac', '--map', place)
    located = up(again, tmp_path / 'located.mcap', *nodes)
    found = evaluation(located, again, tmp_path / 'again')
    answered, distance = (
        found.metric('relocalization', name).value for name in ('answered', 'median distance')
    )
    print(f'{answered} % located, median {distance} m off')
    assert answered >= 50  # of a map that was made in a hurry
    assert distance < 0.1
    with Bag(located) as bag:
        edges = {
            (moved.header.frame_id, moved.child_frame_id)
            for _, message in bag.read(['/tf'])
            for moved in message.transforms
        }
    assert {('map', 'odom'), ('odom', 'base_link')} <= edges

    elsewhere = world(tmp_path / 'elsewhere.mcap', '--seed', '17134', '--frames', '200')
    nodes = (settings, '--nodes', 'dsac', '--map', place)
    rejected = up(elsewhere, tmp_path / 'rejected.mcap', *nodes)
    found = evaluation(rejected, elsewhere, tmp_path / 'elsewhere', elsewhere=True)
    given = found.metric('relocalization', 'false accepts').value
    print(f'{given} % of 200 elsewhere were given a pose')
    assert sum(node.answered for node in found.nodes) > 190
    assert given < 1
