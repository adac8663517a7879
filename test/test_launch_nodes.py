"""The real launch file with all nodes: every contract topic carries messages of the images."""

from __future__ import annotations

import os
import time
import unittest
from functools import partial
from pathlib import Path

import pytest

pytest.importorskip('launch_testing', reason="ROS's launch_testing is not installed")
pytest.importorskip('launch_ros', reason="ROS's launch_ros is not installed")

import launch_testing.actions
import launch_testing.asserts
import numpy as np
from ament_index_python.packages import PackageNotFoundError, get_package_share_directory

try:
    SHARE = Path(get_package_share_directory('dlcv_bringup'))
except PackageNotFoundError:
    pytest.skip('dlcv_bringup is not installed: run by `colcon test`', allow_module_level=True)

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from launch import LaunchDescription
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Float32MultiArray, String
from std_srvs.srv import Trigger
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import MarkerArray

from dlcv.bringup import make_plan
from dlcv.interface.nodes import NODES
from dlcv.ros.qos import profile
from dlcv.ros.vocabulary import installed, message_class

PARAMS = """
/**:
  ros__parameters:
    allow_random_weights: true
    max_input_age: 0.0
    image_qos_depth: 10
    num_threads: 1
    diagnostic_period: 0.2
/**/dsac:
  ros__parameters:
    mode: continuous
    rate: 30.0
    inlier_threshold: 100.0
    max_pixel_error: 10000.0
    min_inliers: 6
    min_inlier_ratio: 0.0
    confirmations: 1
    publish_tf: true
    transform_tolerance: 0.0
    publish_initialpose: true
/**/visual_odometry:
  ros__parameters:
    lost_policy: inflate
/**/slam:
  ros__parameters:
    odometry_patience: 5.0
"""
NAMESPACE = 'launched'
SIZE = (128, 256)  # height, width
PATIENCE = 150.0  # seconds: seven networks on whatever machine this is
MORE = {'map'}  # outputs that need more than a camera


def arguments() -> dict[str, str]:
    return {
        'nodes': ','.join(name for name in NODES if name != 'stereo'),  # it or monodepth
        'namespace': NAMESPACE,
        'params_file': os.environ['DLCV_TEST_PARAMS'],
        'device': 'cpu',
    }


@pytest.mark.launch_test
@pytest.mark.timeout(3 * PATIENCE)  # so that what is waited for is named
def generate_test_description():
    import tempfile

    path = Path(tempfile.mkdtemp()) / 'params.yaml'
    path.write_text(PARAMS)
    os.environ['DLCV_TEST_PARAMS'] = str(path)
    source = PythonLaunchDescriptionSource(str(SHARE / 'launch/vo.launch.py'))
    return LaunchDescription(
        [
            IncludeLaunchDescription(source, launch_arguments=arguments().items()),
            launch_testing.actions.ReadyToTest(),
        ]
    )


def stamp_of(message) -> int | None:
    """Return the time in nanoseconds; None where it is that of sending, not that of an image."""
    if isinstance(message, String | Float32MultiArray):  # neither has a header
        return None
    if isinstance(message, DiagnosticStatus):  # it has no header
        (text,) = (pair.value for pair in message.values if pair.key == 'stamp')
        return int(text.replace('.', ''))
    part = message.transforms[0] if isinstance(message, TFMessage) else message
    part = message.markers[0] if isinstance(message, MarkerArray) else part
    if isinstance(message, DiagnosticArray) or getattr(part, 'child_frame_id', '') == 'odom':
        return None
    return part.header.stamp.sec * 10**9 + part.header.stamp.nanosec


class TestOutputs(unittest.TestCase):
    """One camera, and ears on every topic."""

    @classmethod
    def setUpClass(cls):
        rclpy.init()
        cls.node = rclpy.create_node('camera', namespace=NAMESPACE)
        cls.executor = SingleThreadedExecutor()
        cls.executor.add_node(cls.node)
        cls.nodes = make_plan(arguments(), {}, colour=False).nodes
        cls.images = cls.node.create_publisher(Image, 'camera/image_raw', qos_profile_sensor_data)
        cls.infos = cls.node.create_publisher(
            CameraInfo, 'camera/camera_info', qos_profile_sensor_data
        )
        cls.sent: set[int] = set()
        cls.heard: dict[str, set[int]] = {}
        cls.ears = [
            cls.listen(start, topic)
            for start in cls.nodes
            for topic in start.spec.outputs
            if topic.name not in MORE and installed(topic.type)
        ]

    @classmethod
    def tearDownClass(cls):
        cls.executor.remove_node(cls.node)
        cls.node.destroy_node()
        rclpy.try_shutdown()

    @classmethod
    def listen(cls, start, topic):
        name = start.resolve(topic.name)
        stamps = cls.heard.setdefault(name, set())
        return cls.node.create_subscription(
            message_class(topic.type),
            name,
            lambda message: stamps.add(stamp_of(message)),
            profile(topic.qos),
        )

    def spin_until(self, done, what):
        deadline = time.monotonic() + PATIENCE
        while not done():
            assert time.monotonic() < deadline, f'after {PATIENCE:g} s still waiting for {what()}'
            self.executor.spin_once(timeout_sec=0.02)

    def send(self):
        now = self.node.get_clock().now()
        header = Image().header
        header.stamp, header.frame_id = now.to_msg(), 'camera_optical'
        height, width = SIZE
        coarse = (height // 8, width // 8, 3)
        blocks = np.random.default_rng(len(self.sent)).integers(0, 256, coarse, 'u1')
        pixels = blocks.repeat(8, axis=0).repeat(8, axis=1)
        info = CameraInfo(header=header, height=height, width=width, distortion_model='plumb_bob')
        info.k = [200.0, 0.0, width / 2, 0.0, 200.0, height / 2, 0.0, 0.0, 1.0]
        info.p = [200.0, 0.0, width / 2, 0.0, 0.0, 200.0, height / 2, 0.0, 0.0, 0.0, 1.0, 0.0]
        info.r = np.eye(3).ravel().tolist()
        image = Image(header=header, height=height, width=width, encoding='rgb8', step=3 * width)
        image.data.frombytes(pixels.tobytes())
        self.infos.publish(info)
        self.images.publish(image)
        self.sent.add(now.nanoseconds)

    def test_every_topic_carries_the_images_stamps(self):
        self.spin_until(
            lambda: self.images.get_subscription_count() == len(self.nodes),
            lambda: f'{len(self.nodes)} nodes: {self.images.get_subscription_count()} listen',
        )
        silent = partial(lambda: sorted(name for name, stamps in self.heard.items() if not stamps))
        self.timer = self.node.create_timer(0.2, self.send)
        self.spin_until(lambda: not silent(), silent)
        both = self.heard['/tf']  # odom -> base_link of an image, and map -> odom
        self.spin_until(lambda: None in both and len(both) > 1, lambda: f'two transforms: {both}')
        self.timer.cancel()
        known = {*self.sent, None}
        foreign = {name: stamps - known for name, stamps in self.heard.items()}
        assert {name: stamps for name, stamps in foreign.items() if stamps} == {}
        undated = {name for name, stamps in self.heard.items() if None in stamps}
        headless = {
            f'/{NAMESPACE}/{name}'
            for name in ('segmentation/classes', 'caption/caption', 'netvlad/descriptor')
        }
        assert undated <= {'/diagnostics', '/tf', *headless}

    def test_resets_are_answered(self):
        for name in (start.spec.name for start in self.nodes):
            client = self.node.create_client(Trigger, f'{name}/reset')
            self.spin_until(client.service_is_ready, lambda name=name: f'{name}/reset')
            answer = client.call_async(Trigger.Request())
            self.spin_until(answer.done, lambda name=name: f"{name}/reset's answer")
            assert answer.result().success


@launch_testing.post_shutdown_test()
class TestEnd(unittest.TestCase):
    """After the interrupt that ends every launch."""

    def test_all_nodes_ended_cleanly(self, proc_info):
        launch_testing.asserts.assertExitCodes(proc_info)
