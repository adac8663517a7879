"""Boxes around things as messages."""

from __future__ import annotations

from typing import Any

import numpy as np

from dlcv.interface.messages.compose import Composer
from dlcv.things import KINDS
from dlcv.types import Detections

DEFINITIONS = {
    'vision_msgs/msg/Point2D': 'float64 x\nfloat64 y\n',
    'vision_msgs/msg/Pose2D': 'vision_msgs/Point2D position\nfloat64 theta\n',
    'vision_msgs/msg/BoundingBox2D': (
        'vision_msgs/Pose2D center\nfloat64 size_x\nfloat64 size_y\n'
    ),
    'vision_msgs/msg/ObjectHypothesis': 'string class_id\nfloat64 score\n',
    'vision_msgs/msg/ObjectHypothesisWithPose': (
        'vision_msgs/ObjectHypothesis hypothesis\ngeometry_msgs/PoseWithCovariance pose\n'
    ),
    'vision_msgs/msg/Detection2D': (
        'std_msgs/Header header\nvision_msgs/ObjectHypothesisWithPose[] results\n'
        'vision_msgs/BoundingBox2D bbox\nstring id\n'
    ),
    'vision_msgs/msg/Detection2DArray': (
        'std_msgs/Header header\nvision_msgs/Detection2D[] detections\n'
    ),
}
"""The fields of vision_msgs 4, for who has no ROS: libraries that read bags do not know them."""

_LINE_LIST, _ADD = 2, 0  # of visualization_msgs/ImageMarker
_THICKNESS = 2.0  # pixels
_EDGES = (0, 1, 2, 1, 2, 1, 2, 3, 2, 3, 0, 3, 0, 3, 0, 1)  # of left, top, right, bottom: x, y, ...


def detection_array(make: Composer, header: Any, found: Detections) -> Any:
    """Make a vision_msgs/Detection2DArray; where a thing is in space is not told: a pose of zeros.

    Args:
        make: Makes the messages.
        header: Header of the image.
        found: The boxes.
    """
    nowhere = make.make(
        'geometry_msgs/msg/PoseWithCovariance', pose=make.pose(np.eye(4)), covariance=np.zeros(36)
    )
    middle = (found.box[:, :2] + found.box[:, 2:]).astype(np.float64) / 2
    size = (found.box[:, 2:] - found.box[:, :2]).astype(np.float64)
    numbers = np.column_stack((found.score, middle, size)).tolist()
    return make.make(
        'vision_msgs/msg/Detection2DArray',
        header=header,
        detections=[
            _detection(make, header, KINDS[kind].name, values, nowhere)
            for kind, values in zip(found.kind, numbers, strict=True)
        ],
    )


def _detection(make: Composer, header: Any, name: str, values: list[float], nowhere: Any) -> Any:
    score, x, y, width, height = values
    hypothesis = make.make('vision_msgs/msg/ObjectHypothesis', class_id=name, score=score)
    position = make.make('vision_msgs/msg/Point2D', x=x, y=y)
    centre = make.make('vision_msgs/msg/Pose2D', position=position, theta=0.0)
    result = 'vision_msgs/msg/ObjectHypothesisWithPose'
    box = 'vision_msgs/msg/BoundingBox2D'
    return make.make(
        'vision_msgs/msg/Detection2D',
        header=header,
        results=[make.make(result, hypothesis=hypothesis, pose=nowhere)],
        bbox=make.make(box, center=centre, size_x=width, size_y=height),
        id='',
    )


def box_marker(make: Composer, header: Any, found: Detections) -> Any:
    """Make a visualization_msgs/ImageMarker of lines: four for each box, of its kind's colour.

    Args:
        make: Makes the messages.
        header: Header of the image.
        found: The boxes.
    """
    corners = found.box[:, _EDGES].reshape(-1, 2).astype(np.float64)
    colours = [
        make.make('std_msgs/msg/ColorRGBA', r=r / 255, g=g / 255, b=b / 255, a=1.0)
        for kind in found.kind
        for r, g, b in [KINDS[kind].colour] * 4
    ]
    white = make.make('std_msgs/msg/ColorRGBA', r=1.0, g=1.0, b=1.0, a=1.0)
    point = 'geometry_msgs/msg/Point'
    return make.make(
        'visualization_msgs/msg/ImageMarker',
        header=header,
        ns='detections',
        id=0,
        type=_LINE_LIST,
        action=_ADD,
        position=make.make(point, x=0.0, y=0.0, z=0.0),
        scale=_THICKNESS,
        outline_color=white,
        filled=0,
        fill_color=white,
        lifetime=make.make('builtin_interfaces/msg/Duration', sec=0, nanosec=0),
        points=[make.make(point, x=x, y=y, z=0.0) for x, y in corners.tolist()],
        outline_colors=colours,
    )
