"""What tasks of depth do with a map of it, whatever it was made of."""

from __future__ import annotations

from typing import Any

from dlcv.estimation.tasks.base import Task
from dlcv.interface.messages.compose import millimetres
from dlcv.types import DepthMap

RECT, INFO, RAW = 'depth/image_rect', 'depth/camera_info', 'depth/image_raw'
CONFIDENCE, COLOUR = 'depth/confidence', 'depth/color'


def send_depth(task: Task[Any, Any], header: Any, result: DepthMap) -> None:
    """Send what is listened to of a map, under the header of its image."""
    assert result.depth is not None  # no frame comes here without its camera
    assert result.camera is not None
    make = task.compose
    if task.wanted(RECT) and task.host.hand(RECT, header, result):
        task.send(RECT, make.image(header, result.depth))
    if task.wanted(INFO):
        task.send(INFO, make.camera_info(header, result.camera))
    if task.wanted(RAW):
        task.send(RAW, make.image(header, millimetres(result.depth)))
    if task.wanted(CONFIDENCE) and result.confidence is not None:
        task.send(CONFIDENCE, make.image(header, result.confidence))
    if task.wanted(COLOUR):
        from dlcv.view.depth import depth_colours

        task.send(COLOUR, make.image(header, depth_colours(result.depth)))
