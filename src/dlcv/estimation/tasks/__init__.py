"""What each node does with a picture, without ROS: run its estimator, remember, make messages.

A node of `dlcv.ros` and a replay without ROS run the same task, so they give the same answers.
"""
