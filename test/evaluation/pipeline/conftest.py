"""Bags of a generated room, and evaluations of them without ROS."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest

from dlcv.bringup import Console
from dlcv.bringup.evaluate import EvaluationRequest, replay_and_evaluate
from dlcv.bringup.replay import ReplayOptions
from dlcv.data.bags import Bag, BagWriter, WriteOptions, write_recording
from dlcv.data.bags.vocabulary import typestore
from dlcv.data.world import WorldRecording, ideal_camera
from dlcv.evaluation.scoring.evaluate import TruthChoice

FRAMES = 5


@pytest.fixture(scope='session')
def room_bag(tmp_path_factory):
    recording = WorldRecording(camera=ideal_camera(96, 64), frames=FRAMES, workers=1)
    path = tmp_path_factory.mktemp('room') / 'room.mcap'
    write_recording(recording, path)
    return path


@pytest.fixture(scope='session')
def jpeg_bag(tmp_path_factory):
    recording = WorldRecording(camera=ideal_camera(96, 64), frames=FRAMES, workers=1)
    path = tmp_path_factory.mktemp('room') / 'jpeg.mcap'
    write_recording(recording, path, options=WriteOptions(codec='jpeg'))
    return path


@pytest.fixture
def rows(room_bag):
    """All messages of the bag: topic, type, receive time, bytes."""
    with Bag(room_bag) as bag:
        return [(raw.topic, raw.msgtype, raw.stamp_ns, bytes(raw.data)) for raw in bag.raw()]


@pytest.fixture
def bag_of(tmp_path):
    """Write rows to a bag."""

    def make(rows, name='made.mcap'):
        seen = set()
        (tmp_path / name).parent.mkdir(exist_ok=True)
        with BagWriter(tmp_path / name) as bag:
            for topic, msgtype, stamp_ns, data in rows:
                if topic not in seen:
                    bag.add_topic(
                        topic, msgtype, qos='latched' if 'static' in topic else 'reliable'
                    )
                    seen.add(topic)
                bag.write_raw(topic, stamp_ns, data)
        return tmp_path / name

    return make


@pytest.fixture
def restamped():
    """Change the header stamps of the images among rows: stamps -> stamps."""

    def change(rows, function):
        number, changed = 0, []
        for topic, msgtype, received, data in rows:
            if topic == '/camera/image_raw':
                message = typestore().deserialize_cdr(data, msgtype)
                stamp = message.header.stamp
                stamp.sec, stamp.nanosec = divmod(
                    function(number, stamp.sec * 10**9 + stamp.nanosec), 10**9
                )
                data = bytes(typestore().serialize_cdr(message, msgtype))
                number += 1
            changed.append((topic, msgtype, received, data))
        return changed

    return change


@pytest.fixture
def attempt(tmp_path):
    """Replay and evaluate in process; what it said lies in ``attempt.said``."""

    def go(bag, nodes='superpoint', folder='out', choice=None, arguments=None, **options):
        replay = ReplayOptions(bag=bag, folder=tmp_path / folder, mode='in-process')
        go.said = io.StringIO()
        request = EvaluationRequest(
            replay=replace(replay, **options),
            truth=choice or TruthChoice(),
            arguments={'nodes': nodes, **(arguments or {})},
        )
        return replay_and_evaluate(request, Console(go.said, ()), lambda *_: None)

    return go
