"""Ten times more pictures than a node can do: nothing grows, and the counters add up."""

from __future__ import annotations

import gc
import threading
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from rclpy.time import Time

from dlcv.estimation.superpoint import FeatureEstimator
from dlcv.networks.superpoint import SuperPoint, SuperPointConfig
from dlcv.ros.exchange import Exchange
from dlcv.ros.nodes.superpoint import SuperPointNode
from dlcv.ros.nodes.visual_odometry import VisualOdometryNode

pytestmark = [pytest.mark.ros, pytest.mark.slow, pytest.mark.timeout(1800)]
INFERENCE = 10  # periods of the camera that a picture takes
MINUTE = 600  # pictures, at 10 Hz
GROWTH = 0.02  # share of its memory that the process may grow by after the first minute


class Pace:
    """The camera's time: how many pictures it has shown, for those who wait for it to go on."""

    def __init__(self) -> None:
        self.shown = 0
        self._changed = threading.Condition()

    def tick(self) -> None:
        with self._changed:
            self.shown += 1
            self._changed.notify_all()

    def wait(self, shown: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self.shown >= shown, 600)


class Slow(SuperPointNode):
    """The real node and a tiny network that takes as long as `INFERENCE` pictures of the camera."""

    def __init__(self, pace: Pace, **node_args: Any) -> None:
        self.pace, self.due_at = pace, 0
        self.outcomes: Counter[str] = Counter()
        self.ages: list[float] = []  # periods
        super().__init__(**node_args)

    def load(self, device: str, precision: str) -> Any:
        network = SuperPoint(SuperPointConfig(width=1 / 16))
        estimator = FeatureEstimator(network, None, device, 'fp32')
        estimator.origin = type(estimator.origin)(trained=True)
        return estimator

    def infer(self, frame: Any) -> Any:
        due_at = self.pace.shown + INFERENCE
        self.due_at = due_at
        found = super().infer(frame)
        self.pace.wait(due_at)
        return found

    def tell(self, header: Any, outcome: str) -> None:
        super().tell(header, outcome)
        name = outcome.partition(' ')[0]
        if name == 'processed':
            stamp = header.stamp.sec * 10**9 + header.stamp.nanosec
            self.ages.append((self.now() - stamp) / 1e8)
        self.outcomes[name] += 1


def _memory_mb() -> float:
    """Return what this process has of its own, garbage aside: its share of what it has in common
    with others (PSS) grows as those end.
    """
    gc.collect()
    lines = Path('/proc/self/smaps_rollup').read_text(encoding='utf-8').splitlines()
    (own,) = (line.split()[1] for line in lines if line.startswith('Pss_Anon:'))
    return int(own) / 1024


@pytest.fixture
def odometry(drive: Any) -> Any:
    """visual_odometry that keeps up with the camera, and is handed points of some pictures."""

    class Forgetful(drive):  # type: ignore[misc]
        def push(self, frame: Any, aids: Any = None) -> Any:
            self.frames.clear()
            self.aids.clear()
            return super().push(frame, aids)

    class Faked(VisualOdometryNode):
        def load(self, device: str, precision: str) -> Any:
            return Forgetful()

    return Faked


@pytest.mark.skipif(not Path('/proc/self/smaps_rollup').exists(), reason='Linux tells of memory')
@pytest.mark.parametrize('minutes', [10])
def test_half_an_hour_of_too_many_pictures(ros: Any, odometry: Any, minutes: int) -> None:
    exchange, pace = Exchange(), Pace()
    patient = {
        'use_sim_time': True, 'image_qos': 'reliable', 'image_qos_depth': 10,
        'inference_timeout': 600.0,
    }  # fmt: skip
    node = ros.run(partial(Slow, pace, exchange=exchange), **patient)
    follower = ros.run(
        partial(odometry, exchange=exchange),
        *('-r', 'keypoints:=superpoint/keypoints'),
        **patient,
        network_patience=0.0,
        sync_patience=0.0,
        max_angular_speed=10.0,
        path_max_size=100,  # full within the first minute
    )
    matches = ros.hears(node, '~/matches')  # somebody outside listens, too
    received: Counter[int] = Counter()
    for index, one in enumerate((node, follower)):
        _count_received(one.health, received, index)
    pictures = minutes * MINUTE
    after_a_minute = 0.0
    for index in range(pictures):
        now = Time(nanoseconds=ros.start_ns + index * 10**8, clock_type=node.get_clock().clock_type)
        for one in (node, follower):
            one.get_clock().set_ros_time_override(now)
        ros.show(index)
        ros.until(lambda: min(received[0], received[1]) == index + 1, 'an image', 120)  # noqa: B023
        done = node.outcomes['processed']
        pace.tick()
        if pace.shown == node.due_at:
            ros.until(lambda: node.outcomes['processed'] > done)  # noqa: B023
        matches.clear()
        if (index + 1) % MINUTE == 0:
            import tracemalloc, sys

            m = _memory_mb()
            print(index + 1, round(m, 2), len(gc.get_objects()), file=sys.__stderr__, flush=True)
            if index + 1 == MINUTE:
                after_a_minute = m
            if index + 1 == 2 * MINUTE:
                tracemalloc.start(8)
            if index + 1 == 3 * MINUTE:
                snap = tracemalloc.take_snapshot()
            if index + 1 in (6 * MINUTE, 9 * MINUTE):
                for x in tracemalloc.take_snapshot().compare_to(snap, 'traceback')[:12]:
                    print(
                        x.size_diff,
                        x.count_diff,
                        *x.traceback.format()[-6:],
                        sep='\n  ',
                        file=sys.__stderr__,
                        flush=True,
                    )
    grown = _memory_mb() / after_a_minute - 1
    told = node.health.values()
    values = {key: int(told[key]) for key in ('received', 'processed', 'superseded')}
    in_hand = pictures - sum(node.outcomes.values())
    print(f'{after_a_minute:.0f} MB, grown by {grown:.2%}; {values}; {in_hand} in hand')
    assert grown < GROWTH
    assert np.percentile(node.ages, 95) <= INFERENCE + 1
    assert set(node.outcomes) == {'processed', 'superseded'}
    assert values['received'] == pictures
    assert values['processed'] == node.outcomes['processed'] == len(node.ages)
    assert values['superseded'] == node.outcomes['superseded']
    assert 0 <= in_hand <= 2  # one in the worker's hands, one in the slot before it
    assert abs(values['processed'] - pictures / INFERENCE) <= pictures / INFERENCE / 10
    handed = follower.task.beside.values()['keypoints received']
    assert int(handed) == values['processed']
    pace.shown += pictures  # lets the worker end
    pace.tick()


def _count_received(health: Any, received: Counter[int], index: int) -> None:
    count = health.count

    def counting(name: str, by: int = 1, why: str = '') -> None:
        count(name, by, why)
        received[index] += name == 'received'

    health.count = counting
