"""Depth from one image: images in, metres along z of every pixel out."""

from __future__ import annotations

from typing import Any, NoReturn

from dlcv.contract.nodes import MONODEPTH
from dlcv.contract.parameters import MonodepthParameters
from dlcv.ros import convert, start
from dlcv.ros.node import Estimator, VisionNode
from dlcv.ros.parameters import settings
from dlcv.types import DepthMap, Frame

RECT, INFO, RAW = 'depth/image_rect', 'depth/camera_info', 'depth/image_raw'
CONFIDENCE, COLOUR = 'depth/confidence', 'depth/color'


class MonodepthNode(VisionNode[MonodepthParameters, DepthMap]):
    """Carry images to a depth estimator and its maps to topics."""

    spec = MONODEPTH

    def load(self, device: str, precision: str) -> Estimator:
        """Build the estimator."""
        from dlcv.inference.depth import DepthSettings
        from dlcv.inference.load import load_depth

        return load_depth(
            settings=settings(DepthSettings, self.parameters), **self.loading(device, precision)
        )

    def retune(self) -> None:
        """Hand changed ranges on."""
        self.estimator.settings = settings(type(self.estimator.settings), self.parameters)

    def infer(self, frame: Frame) -> DepthMap:
        """Estimate depth; confidence takes a second run and is made on demand."""
        return self.estimator.push(frame, confidence=self.wanted(CONFIDENCE))

    def publish(self, frame: Frame, header: Any, result: DepthMap) -> None:
        """Publish what is listened to."""
        assert result.depth is not None  # this node takes no frame without its camera
        assert result.camera is not None
        if self.wanted(RECT):
            self.send(RECT, convert.image(header, result.depth))
        if self.wanted(INFO):
            self.send(INFO, convert.camera_info(header, result.camera))
        if self.wanted(RAW):
            self.send(RAW, convert.image(header, convert.millimetres(result.depth)))
        if self.wanted(CONFIDENCE) and result.confidence is not None:
            self.send(CONFIDENCE, convert.image(header, result.confidence))
        if self.wanted(COLOUR):
            from dlcv.view.depth import depth_colours

            self.send(COLOUR, convert.image(header, depth_colours(result.depth)))


def main(args: list[str] | None = None) -> NoReturn:
    """Run the node until it is stopped."""
    start.run(MonodepthNode, args)


if __name__ == '__main__':
    main()
