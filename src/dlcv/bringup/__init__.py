"""Starting nodes: which, with what, in which processes; for a robot, a replay or a demo.

`plan` makes of launch arguments what is to be started. ROS's launch files make actions of a plan;
``dlcv up`` makes commands of the same plan and supervises them itself, where ROS's launch is not
installed. `evaluate` replays a bag and evaluates the answers. Nothing here imports ROS: processes
are named, not imported. Begin with `plan.py`.
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
