"""Learned visual odometry, depth, flow, features and relocalization, with and without ROS 2."""

__version__ = '0.1.0'
