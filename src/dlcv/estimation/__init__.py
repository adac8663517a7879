"""Frames in, typed results out: NumPy at the door, PyTorch inside, no ROS.

Each system has its estimator in the file of its name, and in `tasks` what its node does with a
picture: run the estimator, remember, compose messages. `consensus` solves for poses. Imports
`networks` and the wings below. Begin with `monodepth.py`, then `tasks/monodepth.py`.
"""
