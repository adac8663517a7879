"""What every node offers, as tables: parameters, topics, services, launch arguments.

Nodes declare themselves from these tables, the launch file and ``dlcv up`` start what they list,
and the README prints them; so the four cannot differ. Nothing here imports ROS.
"""
