"""Visual odometry: images in, the pose and the velocity of the body that carries the camera out."""

from __future__ import annotations

from typing import NoReturn

from dlcv.estimation.tasks.visual_odometry import VisualOdometryTask
from dlcv.interface.odometry_parameters import VisualOdometryParameters
from dlcv.ros import start
from dlcv.ros.odometry import OdometryNode


class VisualOdometryNode(OdometryNode[VisualOdometryParameters]):
    """Publishes the odometry of `VisualOdometryTask`."""

    task_class = VisualOdometryTask


def main(args: list[str] | None = None) -> NoReturn:
    """Run the node until it is stopped."""
    start.run(VisualOdometryNode, args)


if __name__ == '__main__':
    main()
