"""Odometry and a map of where the robot goes; one that is there is gone on with.

    ros2 launch dlcv_bringup slam.launch.py camera:=/front map:=house.safetensors
    ros2 launch dlcv_bringup slam.launch.py bag:=walk.mcap right_image_topic:=/right/image_rect

The same as vo.launch.py, with these nodes.
"""

from dlcv.interface.arguments import preset
from dlcv.interface.launch import SLAM_NODES
from dlcv.ros.launching import description


def generate_launch_description():
    return description(preset(nodes=SLAM_NODES))
