"""Several of the nodes in one process.

    ros2 run dlcv_bringup composed_node superpoint visual_odometry --ros-args --params-file my.yaml
    ros2 run dlcv_bringup composed_node superpoint --ros-args -p max_keypoints:=500 -- monodepth

ROS arguments that ``--`` closes are for the node before them, all others for every node.
"""

from __future__ import annotations

import sys
from typing import NoReturn

from dlcv.ros import composition, start


def main(args: list[str] | None = None) -> NoReturn:
    """Run the nodes that are named until they are stopped."""
    try:
        members, for_all = composition.parsed(sys.argv[1:] if args is None else args)
    except composition.CompositionError as err:
        sys.stderr.write(f'composed_node: {err}\n')
        start.leave(2)
    composition.run(members, for_all)


if __name__ == '__main__':
    main()
