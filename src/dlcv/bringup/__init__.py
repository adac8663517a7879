"""Starting the nodes: what is started (`plan`), and a supervisor of processes (`supervisor`).

The launch file makes launch actions of a plan; ``dlcv up`` makes commands of the same plan and
supervises them itself, where ROS's launch is not installed. Nothing here imports ROS.
"""

from dlcv.bringup.console import Console
from dlcv.bringup.plan import NodeStart, Plan, make_plan
from dlcv.bringup.processes import job_of
from dlcv.bringup.supervisor import Command, Job, supervise

__all__ = [
    'Command',
    'Console',
    'Job',
    'NodeStart',
    'Plan',
    'job_of',
    'make_plan',
    'supervise',
]
