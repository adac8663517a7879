"""Semantic segmentation: images in, the class of each pixel out."""

from __future__ import annotations

from typing import NoReturn

from dlcv.estimation.tasks.segmentation import SegmentationTask
from dlcv.interface.parameters import SegmentationParameters
from dlcv.ros import start
from dlcv.ros.node import VisionNode
from dlcv.types import Labels


class SegmentationNode(VisionNode[SegmentationParameters, Labels]):
    """The class of each pixel."""

    task_class = SegmentationTask


def main(args: list[str] | None = None) -> NoReturn:
    """Run the node until it is stopped."""
    start.run(SegmentationNode, args)


if __name__ == '__main__':
    main()
