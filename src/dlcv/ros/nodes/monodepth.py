"""Depth from one image: images in, metres along z of every pixel out."""

from __future__ import annotations

from typing import NoReturn

from dlcv.estimation.tasks.monodepth import DepthTask
from dlcv.interface.parameters import MonodepthParameters
from dlcv.ros import start
from dlcv.ros.node import VisionNode
from dlcv.types import DepthMap


class MonodepthNode(VisionNode[MonodepthParameters, DepthMap]):
    """Depth of every pixel."""

    task_class = DepthTask


def main(args: list[str] | None = None) -> NoReturn:
    """Run the node until it is stopped."""
    start.run(MonodepthNode, args)


if __name__ == '__main__':
    main()
