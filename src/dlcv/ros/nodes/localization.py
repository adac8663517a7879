"""Localization: images in, boxes around the things in them out."""

from __future__ import annotations

from typing import NoReturn

from dlcv.estimation.tasks.localization import LocalizationTask
from dlcv.interface.parameters import LocalizationParameters
from dlcv.ros import start
from dlcv.ros.node import VisionNode
from dlcv.types import Detections


class LocalizationNode(VisionNode[LocalizationParameters, Detections]):
    """Boxes around things."""

    task_class = LocalizationTask


def main(args: list[str] | None = None) -> NoReturn:
    """Run the node until it is stopped."""
    start.run(LocalizationNode, args)


if __name__ == '__main__':
    main()
