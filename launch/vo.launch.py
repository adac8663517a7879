"""Features, flow, depth, odometry and, with a map, relocalization from one camera.

    ros2 launch dlcv_bringup vo.launch.py camera:=/front params_file:=mine.yaml
    ros2 launch dlcv_bringup vo.launch.py bag:=drive.mcap record:=out.mcap evaluate:=/truth/odometry

The arguments, and what they start, come from the tables that `dlcv up` uses too.
"""

from dlcv.interface.arguments import ARGUMENTS
from dlcv.ros.launching import description


def generate_launch_description():
    return description(ARGUMENTS)
