"""The only wing that imports ROS: the runtime that all nodes share, the nodes, play and record.

A node is thin: `node.py` gives it its life, `nodes/` its task. An image goes through `intake.py`,
`worker.py`, `handling.py` and `outputs.py`; `reporter.py` tells of it. Imports all wings but `cli`.
Begin with `node.py`, then `nodes/monodepth.py`.
"""
