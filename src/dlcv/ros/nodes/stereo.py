"""Depth from a stereo pair: images of two cameras in, disparity and metres of every pixel out."""

from __future__ import annotations

from typing import NoReturn

from dlcv.estimation.tasks.stereo import StereoTask
from dlcv.interface.parameters import StereoParameters
from dlcv.ros import start
from dlcv.ros.node import VisionNode
from dlcv.types import DepthMap


class StereoNode(VisionNode[StereoParameters, DepthMap]):
    """Disparity and depth of every pixel."""

    task_class = StereoTask


def main(args: list[str] | None = None) -> NoReturn:
    """Run the node until it is stopped."""
    start.run(StereoNode, args)


if __name__ == '__main__':
    main()
