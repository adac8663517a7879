"""A replay without ROS: what it leaves behind, and what it keeps in memory."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace

import numpy as np
import pytest

from dlcv.bringup.replay import ReplayOptions, plan_replay
from dlcv.data.bags import Bag, BagError, BagWriter
from dlcv.data.bags.vocabulary import CAMERA_INFO, COMPOSER, IMAGE
from dlcv.estimation.tasks.slam import SlamTask
from dlcv.evaluation.replay import local
from dlcv.evaluation.replay.job import Folder, RunFacts, read
from dlcv.evaluation.replay.local import replay_local
from dlcv.evaluation.replay.log import read_log
from dlcv.types import Camera

COUNT = 12
CAMERA = Camera(width=64, height=48, fx=50.0, fy=50.0, cx=31.5, cy=23.5)


def write_noise(path, topic='/camera/image_raw', camera=CAMERA, bad=()):
    rng = np.random.default_rng(0)
    with BagWriter(path) as bag:
        bag.add_topic('/camera/camera_info', CAMERA_INFO)
        bag.add_topic(topic, IMAGE)
        for i in range(COUNT):
            stamp = 10**9 + i * 10**8
            header = COMPOSER.header(stamp, 'camera')
            blocks = rng.integers(0, 256, (12, 16, 3), np.uint8)
            picture = blocks.repeat(4, axis=0).repeat(4, axis=1)
            info = COMPOSER.camera_info(header, camera, (48, 64))
            bag.write('/camera/camera_info', stamp, info)
            message = COMPOSER.image(header, picture)
            message.encoding = 'nv24' if i in bad else message.encoding
            bag.write(topic, stamp, message)
    return path


@pytest.fixture
def noise_bag(tmp_path):
    return write_noise(tmp_path / 'noise.mcap')


@pytest.fixture
def replayed(noise_bag, tmp_path):
    """Replay the bag to nodes; returns the folder, what was said, whether it came to its end."""

    def go(nodes='superpoint', bag=noise_bag, rectified='', **options):
        asked = ReplayOptions(bag=bag, folder=tmp_path / 'out', mode='in-process', **options)
        planned = plan_replay(asked, {'nodes': nodes, 'rectified': rectified}, {}, colour=False)
        said, shown = [], planned.job.shown
        ended = replay_local(shown, planned.plan.nodes, tmp_path / 'out', said.append)
        return Folder(tmp_path / 'out'), said, ended

    return go


def test_every_image_has_a_line_for_every_node(replayed):
    files, said, ended = replayed('superpoint,flownet')
    lines = list(read_log(files.log))
    assert [line.node for line in lines] == ['superpoint', 'flownet'] * COUNT
    assert [line.stamp_ns for line in lines[::2]] == [10**9 + i * 10**8 for i in range(COUNT)]
    assert ended
    assert not said
    facts = read(files.facts, RunFacts)
    assert facts.images == COUNT
    assert facts.nodes['superpoint'].trained


def test_a_node_hears_what_another_one_answers(replayed, monkeypatch):
    heard = []

    def infer(task, frame):
        heard.extend(task.beside.span('odometry', frame.stamp_ns - 1, frame.stamp_ns, 0.0)[-1:])

    monkeypatch.setattr(SlamTask, 'infer', infer)
    folder, _, _ = replayed('slam,visual_odometry')  # in whatever order they are named
    with Bag(folder.outputs) as answers:
        said = [raw.stamp_ns for raw, _ in answers.read(['/visual_odometry/odometry'])]
    assert said
    assert sorted({stamp for stamp, _ in heard}) == said


def test_answers_lie_under_the_receive_time_of_their_image(replayed):
    files, _, _ = replayed()
    with Bag(files.outputs) as bag:
        stamps = [raw.stamp_ns for raw in bag.raw(['/superpoint/keypoints'])]
    assert stamps == [10**9 + i * 10**8 for i in range(COUNT)]


def test_topics_that_are_to_be_kept_are_there_unchanged(replayed, noise_bag):
    files, _, _ = replayed(kept=('/camera/camera_info',))
    with Bag(files.outputs) as kept, Bag(noise_bag) as bag:
        topic = ['/camera/camera_info']
        assert list(kept.raw(topic)) == list(bag.raw(topic))


def test_no_image_is_kept_longer_than_it_is_needed(replayed, monkeypatch):
    pixels, most = [], []
    frame = local.LocalNode._frame

    def watched(self, message, info):
        made = frame(self, message, info)
        pixels.extend(map(weakref.ref, (message.data, made.image)))
        gc.collect()
        most.append(sum(one() is not None for one in pixels))
        return made

    monkeypatch.setattr(local.LocalNode, '_frame', watched)
    replayed('superpoint,flownet')
    assert len(most) == 2 * COUNT
    assert most[-1] == most[COUNT + 1] <= 6


def test_failures_of_one_kind_are_told_once(replayed, monkeypatch):
    def fails(self, message, info):
        raise RuntimeError('out of luck')

    monkeypatch.setattr(local.LocalNode, '_frame', fails)
    files, said, ended = replayed()
    assert said == ['superpoint: image failed: RuntimeError: out of luck']
    assert {str(line.outcome) for line in read_log(files.log)} == {'failed'}
    assert ended


def test_rectified_pictures_are_not_rectified_again(replayed, tmp_path):
    lens = replace(CAMERA, distortion=(-0.3, 0.1, 0.0, 0.0, 0.0))

    def path(name, topic, camera, rectified=''):
        bag = write_noise(tmp_path / name, topic, camera)
        files, said, _ = replayed('deepvo', bag, rectified)
        with Bag(files.outputs) as answers:
            return [bytes(raw.data) for raw in answers.raw(['/deepvo/odometry'])], said

    right, quiet = path('a.mcap', '/camera/image_rect', CAMERA)
    by_name, said = path('b.mcap', '/camera/image_rect', lens)
    told, _ = path('c.mcap', '/camera/image', lens, 'always')
    wrong, _ = path('d.mcap', '/camera/image_rect', lens, 'never')
    assert right == by_name == told != wrong
    assert not any('rectified' in text for text in quiet)
    assert sum('/camera/image_rect are taken as rectified' in text for text in said) == 1


def test_an_encoding_that_is_not_read_is_named_once(replayed, tmp_path):
    files, said, ended = replayed(bag=write_noise(tmp_path / 'a.mcap', bad=(1, 2)))
    outcomes = [line.outcome.name for line in read_log(files.log)]
    assert ended
    assert outcomes == ['processed', 'rejected_encoding', 'rejected_encoding', *['processed'] * 9]
    assert len(said) == 1
    assert "encoding 'nv24' is not read; known are mono8" in said[0]


def test_a_topic_without_any_picture_that_is_read_is_refused_at_once(replayed, tmp_path):
    bag = write_noise(tmp_path / 'a.mcap', bad=range(COUNT))
    with pytest.raises(BagError, match=r"/camera/image_raw has .* 'nv24'; read are"):
        replayed(bag=bag, images='/camera/image_raw')
