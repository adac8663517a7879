"""Boxes as messages: in the classes of bags, and in those of a ROS that has vision_msgs."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from dlcv.data.bags.vocabulary import COMPOSER, typestore
from dlcv.interface.messages.boxes import DEFINITIONS, box_marker, detection_array
from dlcv.things import KINDS
from dlcv.types import Detections

FOUND = Detections(
    stamp_ns=7,
    kind=np.array([2, 0], np.uint8),
    box=np.array([[1.5, 2.5, 11.5, 8.5], [-0.5, -0.5, 3.5, 19.5]], np.float32),
    score=np.array([0.75, 0.5], np.float32),
)


def nothing():
    return Detections(stamp_ns=7, kind=FOUND.kind[:0], box=FOUND.box[:0], score=FOUND.score[:0])


def test_a_detection_has_middle_and_size_kind_and_score():
    header = COMPOSER.header(7, 'camera')
    message = detection_array(COMPOSER, header, FOUND)
    first = message.detections[0]
    (result,) = first.results
    assert (result.hypothesis.class_id, result.hypothesis.score) == ('chair', 0.75)
    centre = first.bbox.center
    assert (centre.position.x, centre.position.y, centre.theta) == (6.5, 5.5, 0)
    assert (first.bbox.size_x, first.bbox.size_y) == (10, 6)
    assert message.header is first.header is header
    assert len(detection_array(COMPOSER, header, nothing()).detections) == 0


def test_a_marker_has_four_lines_a_box():
    marker = box_marker(COMPOSER, COMPOSER.header(7, 'camera'), FOUND)
    assert len(marker.points) == 2 * len(marker.outline_colors) == 16
    ends = [((a.x, a.y), (b.x, b.y)) for a, b in zip(*[iter(marker.points)] * 2, strict=True)]
    corners = [(1.5, 2.5), (11.5, 2.5), (11.5, 8.5), (1.5, 8.5)]
    assert ends[:4] == list(zip(corners, corners[1:] + corners[:1], strict=True))
    colour = marker.outline_colors[4]
    assert [round(255 * c) for c in (colour.r, colour.g, colour.b)] == list(KINDS[0].colour)
    assert box_marker(COMPOSER, COMPOSER.header(7, 'c'), nothing()).points == []


def test_bags_can_hold_them():
    kind = 'vision_msgs/msg/Detection2DArray'
    message = detection_array(COMPOSER, COMPOSER.header(7, 'camera'), FOUND)
    read = typestore().deserialize_cdr(typestore().serialize_cdr(message, kind), kind)
    assert [one.results[0].hypothesis.class_id for one in read.detections] == ['chair', 'person']


@pytest.mark.ros
def test_the_classes_of_ros_are_taken_where_they_are(monkeypatch):
    from dlcv.ros.vocabulary import COMPOSER as OF_ROS
    from dlcv.ros.vocabulary import message_class

    module = ModuleType('vision_msgs.msg')
    for name in DEFINITIONS:
        setattr(module, name.rpartition('/')[2], SimpleNamespace)
    monkeypatch.setitem(sys.modules, 'vision_msgs', ModuleType('vision_msgs'))
    monkeypatch.setitem(sys.modules, 'vision_msgs.msg', module)
    message_class.cache_clear()
    try:
        message = detection_array(OF_ROS, OF_ROS.header(7, 'camera'), FOUND)
    finally:
        message_class.cache_clear()
    assert message.detections[1].bbox.size_y == 20
    assert message.detections[1].results[0].pose.covariance.tolist() == [0] * 36
