"""Estimators: frames in, typed results out. NumPy at the door, PyTorch inside, no ROS."""
