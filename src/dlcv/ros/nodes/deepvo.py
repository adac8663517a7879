"""DeepVO: images in, the pose and the velocity of the body that carries the camera out."""

from __future__ import annotations

from typing import NoReturn

from dlcv.estimation.tasks.deepvo import DeepVOTask
from dlcv.interface.odometry_parameters import DeepVOParameters
from dlcv.ros import start
from dlcv.ros.odometry import OdometryNode


class DeepVONode(OdometryNode[DeepVOParameters]):
    """Publishes the odometry of `DeepVOTask`."""

    task_class = DeepVOTask


def main(args: list[str] | None = None) -> NoReturn:
    """Run the node until it is stopped."""
    start.run(DeepVONode, args)


if __name__ == '__main__':
    main()
