"""Interest points: images in; keypoints with descriptors, and matches to the last image, out."""

from __future__ import annotations

from typing import NoReturn

from dlcv.estimation.tasks.superpoint import Features, FeatureTask
from dlcv.interface.parameters import SuperPointParameters
from dlcv.ros import start
from dlcv.ros.node import VisionNode


class SuperPointNode(VisionNode[SuperPointParameters, Features]):
    """Interest points, described and matched."""

    task_class = FeatureTask


def main(args: list[str] | None = None) -> NoReturn:
    """Run the node until it is stopped."""
    start.run(SuperPointNode, args)


if __name__ == '__main__':
    main()
