"""What a benchmark says of nodes is what became of its pictures."""

from __future__ import annotations

import os
import sys
import time
from threading import Event, Thread

import numpy as np
import pytest

from dlcv.bringup import Command, Job, make_plan
from dlcv.evaluation.bench.options import BenchError
from dlcv.evaluation.speed.film import Film
from dlcv.types import Camera

pytestmark = pytest.mark.ros
WORK = 0.02  # seconds that the node takes for a picture


@pytest.fixture
def plan(monkeypatch):
    monkeypatch.delenv('FASTRTPS_DEFAULT_PROFILES_FILE', raising=False)
    given = {'nodes': 'monodepth', 'namespace': 'bench'}
    return make_plan(given, os.environ, colour=False)


@pytest.fixture
def film():
    pictures = np.arange(3, dtype=np.uint8)[:, None, None, None] * np.ones((1, 8, 8, 3), np.uint8)
    return Film(pictures=pictures, camera=Camera(width=8, height=8, fx=8, fy=8, cx=3.5, cy=3.5))


class Stranger:
    """Answers as a node does, without a network; every third picture is one too many."""

    def __init__(self, ros, start):
        from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
        from sensor_msgs.msg import CameraInfo, Image, TimeReference

        node, handled = ros.peer, start.resolve('~/handled')
        self._told = node.create_publisher(TimeReference, handled, 10)
        self._seen = 0
        subscribed = [
            node.create_subscription(Image, start.resolve('image'), self._take, 10),
            node.create_subscription(CameraInfo, start.resolve('camera_info'), lambda _: None, 1),
        ]
        depth = node.create_publisher(Image, start.resolve('depth/image_rect'), 1)
        told = node.create_publisher(DiagnosticArray, '/diagnostics', 10)

        def diagnose():
            values = {
                'state': 'active',
                'gpu_mem_mb': '7.0',
                'publishers': ', '.join(
                    f'{one.topic_name} {one.get_publisher_count()}' for one in subscribed
                ),
                'subscribers': ', '.join(
                    f'{one.topic_name} {one.get_subscription_count()}'
                    for one in (self._told, depth)
                ),
            }
            pairs = [KeyValue(key=key, value=value) for key, value in values.items()]
            status = DiagnosticStatus(name='bench/monodepth: depth', level=b'\0', values=pairs)
            told.publish(DiagnosticArray(status=[status]))

        node.create_timer(0.05, diagnose)

    def _take(self, image):
        from sensor_msgs.msg import TimeReference

        self._seen += 1
        time.sleep(WORK)
        word = TimeReference(header=image.header, source='superseded')
        if self._seen % 3:
            word.source = 'processed inference_ms=12.500 sent=depth/image_rect'
        self._told.publish(word)


def test_stage_hears_what_became_of_each_picture(ros, plan, film):
    from dlcv.ros.benchmark.measure import latencies
    from dlcv.ros.benchmark.stage import Stage

    Stranger(ros, plan.nodes[0])
    stage, end = Stage(plan.nodes, film, ros.context), Event()

    def spin():
        while not end.is_set():
            ros.executor.spin_once(timeout_sec=0.02)

    other = Thread(target=spin)
    other.start()
    try:
        stage.open(20.0, str)
        one = stage.ask(5.0)['monodepth']
        assert one.processed
        assert one.inference_ms == 12.5
        assert one.latency_ms >= 1e3 * WORK
        shown = stage.at_rate(20.0, 0.6)
        assert shown.images == len(shown.answers['monodepth']) == 12
        assert shown.dropped('monodepth') == pytest.approx(1 / 3)
        dropped, p50, p95, p99, oldest = latencies(shown, 'monodepth')
        assert dropped == pytest.approx(100 / 3)
        assert 1e3 * WORK <= p50 <= p95 <= p99 < oldest  # the next one comes 50 ms later
        assert stage.gpu_memory_mb() == 7.0
    finally:
        end.set()
        other.join()
        stage.close()


def test_stage_tells_who_does_not_come(ros, plan, film):
    from dlcv.ros.benchmark.stage import Stage

    stage = Stage(plan.nodes, film, ros.context)
    try:
        with pytest.raises(BenchError, match='still no word of monodepth'):
            stage.open(0.1, str)
        with pytest.raises(BenchError, match='a node does not run: monodepth: no weights'):
            stage.open(9.0, lambda: 'monodepth: no weights')
    finally:
        stage.close()


def test_processes_tell_what_they_use_and_end():
    from dlcv.ros.benchmark.processes import Processes

    busy = 'import time\nwhile time.process_time() < .2: pass\nprint("enough", flush=True)\n'
    job = Job(services=(Command(name='busy', argv=(sys.executable, '-c', busy)),))
    with Processes(job, os.environ) as processes:
        while not processes.dead():
            used = processes.cpu_s()
            time.sleep(0.02)
        assert processes.dead() == ['busy']
        assert processes.last_words() == 'enough'
    assert 0 <= used < 2
    sleeper = Job(services=(Command(name='idle', argv=('sleep', '60')),))
    with Processes(sleeper, os.environ) as processes:
        assert 0 < processes.memory_mb() < 100
        assert not processes.dead()
    assert processes.dead() == ['idle']
