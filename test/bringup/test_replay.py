"""What the arguments of a replay mean, and which are refused before anything is started."""

from __future__ import annotations

import pytest

from dlcv.bringup.replay import ARGUMENTS, changes, options_of
from dlcv.interface.arguments import LaunchError


def options(**given):
    return options_of({a.name: a.default for a in ARGUMENTS} | given)


def test_what_is_left_out_has_its_default():
    found = options(bag='drive.mcap')
    assert (found.mode, found.rate, found.patience, found.most) == ('lock-step', 1.0, 30.0, 0)
    assert found.folder.name == 'drive_evaluation'


@pytest.mark.parametrize(
    ('given', 'message'),
    [
        ({}, 'bag: the bag that is replayed is needed'),
        ({'rate': 'fast'}, "rate: 'fast' is no number"),
        ({'rate': '0'}, 'rate: 0 is not above 0'),
        ({'rate': 'nan'}, 'rate: nan is not finite'),
        ({'patience': '-1'}, 'patience: -1 is not above 0'),
        ({'max_frames': '1.5'}, "max_frames: '1.5' is no whole number"),
        ({'max_frames': '-1'}, 'max_frames: -1 is below 0'),
        ({'images': 'front/'}, "images: 'front/' is no name of a topic"),
        ({'camera_info': 'a b'}, "camera_info: 'a b' is no name of a topic"),
        ({'mode': 'quick'}, "mode: 'quick' is none of lock-step, real-time"),
        ({'namespace': 'bad-ns'}, "namespace: 'bad-ns' is no ROS name"),
        ({'peak': 'yes'}, "peak: 'yes' is none of true, false"),
    ],
)
def test_nonsense_is_refused(given, message):
    with pytest.raises(LaunchError, match=message):
        options(**{'bag': 'drive.mcap', **given} if given else {})


def test_switches_may_have_capitals():
    assert options(bag='drive.mcap', peak='True').peak


def test_slam_is_replayed_to_the_same_map_each_time():
    assert changes('lock-step', 'slam') == {
        'use_sim_time': True, 'diagnostic_period': 1.0, 'image_qos': 'default',
        'max_input_age': 0.0, 'lockstep': True, 'keypoints': 'own', 'odometry_patience': 5.0,
    }  # fmt: skip
    assert 'lockstep' not in changes('real-time', 'slam')
