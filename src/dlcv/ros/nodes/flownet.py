"""Dense optical flow: images in, the displacement of each pixel since the last image out."""

from __future__ import annotations

from typing import NoReturn

from dlcv.estimation.tasks.flownet import FlowTask
from dlcv.interface.parameters import FlowNetParameters
from dlcv.ros import start
from dlcv.ros.node import VisionNode
from dlcv.types import FlowField


class FlowNetNode(VisionNode[FlowNetParameters, FlowField]):
    """Optical flow between consecutive images."""

    task_class = FlowTask


def main(args: list[str] | None = None) -> NoReturn:
    """Run the node until it is stopped."""
    start.run(FlowNetNode, args)


if __name__ == '__main__':
    main()
