"""Place recognition: images in; descriptors, and the known places that they are like, out."""

from __future__ import annotations

from typing import NoReturn

from dlcv.estimation.tasks.netvlad import PlaceTask
from dlcv.interface.parameters import NetVLADParameters
from dlcv.ros import start
from dlcv.ros.node import VisionNode
from dlcv.types import Recognition


class NetVLADNode(VisionNode[NetVLADParameters, Recognition]):
    """Places by the descriptors of whole images."""

    task_class = PlaceTask


def main(args: list[str] | None = None) -> NoReturn:
    """Run the node until it is stopped."""
    start.run(NetVLADNode, args)


if __name__ == '__main__':
    main()
