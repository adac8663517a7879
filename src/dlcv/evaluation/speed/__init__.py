"""How fast estimators are, beside their bare networks and beside plain programs of the same papers.

Everything is measured as pairs that take turns within one run, so that whatever else the machine
does hits both. `plain` holds what the public demonstrations of the networks do, written by us;
`steps` what is timed of ours; `worker` runs either in a process of its own. Nothing here needs ROS:
what is measured of running nodes is `dlcv.ros.benchmark`. Begin with `alone.py`.
"""
