"""Odometry, and where the robot is in a map that stays as it is.

    ros2 launch dlcv_bringup localize.launch.py camera:=/front map:=house.safetensors

The same as slam.launch.py, with localize_only.
"""

from dlcv.interface.arguments import preset
from dlcv.interface.launch import SLAM_NODES
from dlcv.ros.launching import description


def generate_launch_description():
    return description(preset(nodes=SLAM_NODES, localize_only='true'))
