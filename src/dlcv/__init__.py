"""Learned visual odometry, depth, flow, features and relocalization, with and without ROS 2."""

from dlcv.moved import forward_old_names

__version__ = '0.1.0'

forward_old_names()
