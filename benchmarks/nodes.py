"""What a node costs over its bare estimator: two processes, the wire, and back.

    python benchmarks/nodes.py [--threads N] [--repeats N] [--sizes small paper] [--only NAME ...]

This process is the camera and the listener, the node is another one, started as ``ros2 run`` would,
with the shared-memory profile that the launch file sets. Latency runs from the call that publishes
an image to the callback that has the answer. After each image this process runs the same estimator
on the same picture, with as many threads, so that whatever else the machine does hits both; medians
are compared. Weights are random: they cost the same.
"""

from __future__ import annotations

import argparse
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
PROFILE = str(ROOT / 'config' / 'fastdds_shm.xml')
for _variable in ('FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE'):
    os.environ.setdefault(_variable, PROFILE)  # before the first participant of this process
os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
os.environ.setdefault('ROS_DOMAIN_ID', '97')

WIDTH, HEIGHT = 640, 480
LIMIT = 1.15
WARM_UP = 5  # images that are not counted
OUTPUTS = {
    'superpoint': '/superpoint/keypoints',
    'flownet': '/flownet/flow',
    'monodepth': '/depth/image_rect',
    'deepvo': '/deepvo/odometry',
    'dsac': '/dsac/hypotheses',
}
PARAMETERS = (
    'autostart:=true', 'allow_random_weights:=true', 'max_input_age:=0.0', 'max_interval:=10.0',
    'max_frame_interval:=10.0', 'lost_policy:=inflate', 'mode:=continuous', 'rate:=30.0',
)  # fmt: skip


def main() -> None:
    """Print one row for each node and size."""
    args = _arguments()
    from dlcv.estimation.device import set_threads
    from dlcv.estimation.memory import keep_freed_memory

    threads = set_threads(args.threads)
    keep_freed_memory()
    now = datetime.now(timezone.utc)
    print(f'{now:%Y-%m-%d %H:%M} UTC, {platform.node()}, {platform.machine()}')
    print(
        f'{threads} threads in each process, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}'
    )
    print(
        f'{WIDTH}x{HEIGHT} rgb8, medians of {args.repeats} interleaved runs, '
        f'of the median of {args.starts} starts\n'
    )
    print(f'{"node":<12}{"size":<7}{"estimator ms":>13}{"node ms":>10}{"ratio":>7}')
    for size in args.sizes:
        for name in args.only or OUTPUTS:
            runs = [_measure(name, size, threads, args.repeats) for _ in range(args.starts)]
            bare, whole = sorted(runs, key=lambda run: run[1] / run[0])[len(runs) // 2]
            verdict = '' if whole <= LIMIT * bare else f'  over {LIMIT}'
            print(f'{name:<12}{size:<7}{bare:>13.1f}{whole:>10.1f}{whole / bare:>7.3f}{verdict}')


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or '').splitlines()[0])
    parser.add_argument('--threads', type=int, default=1, help='threads of each network')
    parser.add_argument('--repeats', type=int, default=30)
    parser.add_argument(
        '--starts', type=int, default=3, help='node processes; one may be a fifth slower for life'
    )
    parser.add_argument('--sizes', nargs='+', choices=('small', 'paper'), default=['small'])
    parser.add_argument('--only', nargs='+', choices=OUTPUTS, help='nodes')
    return parser.parse_args()


def _measure(name: str, size: str, threads: int, repeats: int) -> tuple[float, float]:
    """Return the median milliseconds of the bare estimator and of the way through the node."""
    with tempfile.TemporaryDirectory() as folder:
        weights = _weights(name, size, Path(folder))
        bare = _estimator(name, weights)
        with _running(name, weights, threads), _camera(name) as ask:
            pairs = [_once(ask, bare) for _ in range(WARM_UP + repeats)][WARM_UP:]
    alone, through = zip(*pairs, strict=True)
    return 1e3 * statistics.median(alone), 1e3 * statistics.median(through)


def _once(
    ask: Callable[[], tuple[float, Any]], bare: Callable[[Any], object]
) -> tuple[float, float]:
    seconds, frame = ask()
    begin = perf_counter()
    bare(frame)
    return perf_counter() - begin, seconds


def _weights(name: str, size: str, folder: Path) -> Path:
    from dlcv.networks.registry import NETWORKS, build
    from dlcv.networks.weights import save_network, untrained

    network = untrained(name) if size == 'small' else build(NETWORKS[name].config()).eval()
    return save_network(network, folder / f'{name}.safetensors', trained=False)


def _estimator(name: str, weights: Path) -> Callable[[Any], object]:
    """Return the step of an estimator with the node's own settings."""
    from importlib import import_module

    import rclpy

    from dlcv.interface.nodes import NODES
    from dlcv.ros.node import VisionNode

    classes = vars(import_module(NODES[name].module)).values()
    cls = next(
        c
        for c in classes
        if isinstance(c, type) and issubclass(c, VisionNode) and hasattr(c, 'spec')
    )
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=96)  # never spun: it only turns parameters to settings
    options = ['-p', f'weights:={weights}']
    options += [word for parameter in PARAMETERS for word in ('-p', parameter)]
    node = cls(context=context, cli_args=['--ros-args', *options])
    estimator = node.load('auto', 'fp32')
    node.destroy_node()
    rclpy.shutdown(context=context)
    step: Callable[[Any], object] = estimator.push
    return step


@contextmanager
def _running(name: str, weights: Path, threads: int) -> Iterator[None]:
    from dlcv.interface.nodes import NODES

    given = (*PARAMETERS, f'weights:={weights}', f'num_threads:={threads}')
    options = [word for parameter in given for word in ('-p', parameter)]
    process = subprocess.Popen(
        [sys.executable, '-m', NODES[name].module, '--ros-args', '--log-level', 'error', *options],
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)


@contextmanager
def _camera(name: str) -> Iterator[Callable[[], tuple[float, Any]]]:
    """Yield a function that shows an image and returns the seconds to its answer, and the frame."""
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.node import Node
    from sensor_msgs.msg import CameraInfo, Image

    from dlcv.interface import messages
    from dlcv.interface.nodes import NODES
    from dlcv.ros import convert
    from dlcv.ros.qos import message_class, profile
    from dlcv.types import Camera, Frame

    rclpy.init()
    executor = SingleThreadedExecutor()
    node = Node('camera')
    executor.add_node(node)
    topic = next(t for t in NODES[name].outputs if OUTPUTS[name].endswith(t.name.strip('~')))
    heard: list[int] = []
    answers = node.create_subscription(
        message_class(topic.type),
        OUTPUTS[name],
        lambda m: heard.append(messages.stamp_ns(m.header.stamp)),
        profile(topic.qos),
    )
    images = node.create_publisher(Image, 'image', 1)
    infos = node.create_publisher(CameraInfo, 'camera_info', 1)
    camera = Camera(width=WIDTH, height=HEIGHT, fx=525.0, fy=525.0, cx=319.5, cy=239.5)
    blocks = np.random.default_rng(0).integers(0, 256, (HEIGHT // 8, WIDTH // 8, 3), np.uint8)
    pixels = blocks.repeat(8, axis=0).repeat(8, axis=1)

    def until(true: Callable[[], Any], seconds: float) -> bool:
        end = perf_counter() + seconds
        while not true():
            if perf_counter() > end:
                return False
            executor.spin_once(timeout_sec=0.5)
        return True

    def ask() -> tuple[float, Any]:
        heard.clear()
        stamp = node.get_clock().now().nanoseconds
        header = convert.header_in('camera', convert.time_of(stamp))
        message = convert.image(header, pixels)
        infos.publish(convert.camera_info(header, camera))
        begin = perf_counter()
        images.publish(message)
        until(lambda: stamp in heard, 5.0)  # the first image of a pair has no answer
        seconds = perf_counter() - begin
        return seconds, Frame(stamp_ns=stamp, image=pixels, camera=camera)

    matched = until(
        lambda: (
            answers.get_publisher_count()
            and images.get_subscription_count()
            and infos.get_subscription_count()
        ),
        120.0,
    )
    if not matched:
        raise SystemExit(f'{name} did not start')
    try:
        yield ask
    finally:
        executor.remove_node(node)
        node.destroy_node()
        rclpy.shutdown()


if __name__ == '__main__':
    main()
