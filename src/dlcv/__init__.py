"""Learned visual odometry, depth, flow, features and relocalization, with and without ROS 2."""

from dlcv import process

process.begin()  # before all else that is imported

from dlcv.moved import forward_old_names  # noqa: E402

__version__ = '0.1.0'

forward_old_names()
