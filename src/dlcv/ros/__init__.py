"""The only room that imports ROS: the runtime all nodes share, the nodes, play and record."""
