"""Description: images in, sentences about what they show out; also on demand."""

from __future__ import annotations

from typing import Any, NoReturn

from dlcv.estimation.tasks.caption import CaptionTask
from dlcv.interface.nodes import DESCRIBE
from dlcv.interface.parameters import CaptionParameters
from dlcv.ros import start
from dlcv.ros.asked import AskedNode
from dlcv.types import Caption, Frame


class CaptionNode(AskedNode[CaptionParameters, Caption]):
    """Sentences, when they change or when asked."""

    task_class = CaptionTask
    service = DESCRIBE.name

    def publish(self, frame: Frame, header: Any, result: Caption) -> None:
        """Publish, and answer whoever asked."""
        super().publish(frame, header, result)
        self.answer(not result.reason, result.text or result.reason)


def main(args: list[str] | None = None) -> NoReturn:
    """Run the node until it is stopped."""
    start.run(CaptionNode, args)


if __name__ == '__main__':
    main()
