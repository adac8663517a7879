"""The caption node: sentences when they change, on demand, and nothing of a black picture."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from std_srvs.srv import Trigger

from dlcv.ros.nodes.caption import CaptionNode
from dlcv.types import Caption, Frame

pytestmark = pytest.mark.ros
TEXTS = ('a room .', 'a room .', 'a street .', '', 'a street .')


class Teller:
    """Says one thing after another."""

    def __init__(self, texts: tuple[str, ...] = TEXTS) -> None:
        self._texts = iter(texts)

    def __call__(self, frame: Frame) -> Caption:
        words = tuple(next(self._texts).split())
        known = {'confidence': 0.7} if words else {'reason': 'the picture is black'}
        return Caption(stamp_ns=frame.stamp_ns, words=words, **known)


def _describe(ros: Any) -> Any:
    client = ros.peer.create_client(Trigger, '/caption/describe')
    ros.until(client.service_is_ready, 'the service')
    return client.call_async(Trigger.Request())


def test_what_changes_is_published_and_black_is_an_error(ros: Any, with_fake: Any) -> None:
    node = ros.run(with_fake(CaptionNode, Teller()), rate=0.0)
    heard = ros.hears(node, '~/caption')
    for index in range(len(TEXTS)):
        ros.show(index)
        ros.until(lambda: int(node.health.values()['processed']) == index + 1)  # noqa: B023
        if index == 3:
            assert 'nothing to tell: the picture is black' in node.verdict().text
            assert node.task.values()['caption'] == 'nothing: the picture is black'
    ros.until(lambda: len(heard) >= 4)
    assert [message.data for message in heard] == ['A room.', 'A street.', '', 'A street.']
    assert 'nothing to tell' not in node.verdict().text
    assert node.task.values() == {'caption': 'A street.', 'confidence': '0.70'}


def test_nothing_is_computed_that_nobody_hears_or_oftener_than_asked(
    ros: Any, with_fake: Any
) -> None:
    node = ros.run(with_fake(CaptionNode, Teller()), rate=4.0)  # images are 100 ms apart
    ros.show(0)
    ros.until(lambda: int(node.health.values()['not_asked_for']) == 1)
    assert not node.estimator.frames
    heard = ros.hears(node, '~/caption')
    for index in range(1, 5):
        ros.show(index)
        values = node.health.values
        ros.until(
            lambda: sum(int(values()[n]) for n in ('processed', 'not_asked_for')) == index + 1  # noqa: B023
        )
    ros.until(lambda: heard)
    assert len(node.estimator.frames) == 2


def test_who_asks_is_answered_by_the_next_image(ros: Any, with_fake: Any) -> None:
    node = ros.run(with_fake(CaptionNode, Teller(('a room .', ''))))
    for index, (success, message) in enumerate(
        ((True, 'A room.'), (False, 'the picture is black'))
    ):
        future = _describe(ros)
        ros.until(lambda: node.asked)
        ros.show(index)
        ros.until(future.done, 'an answer')
        answer = future.result()
        assert (answer.success, answer.message) == (success, message)
    assert len(node.estimator.frames) == 2
    node.trigger_deactivate()
    future = _describe(ros)
    ros.until(future.done, 'an answer')
    assert future.result().message == 'the node is not active'


def test_the_real_estimator_tells_and_its_settings_are_live(ros: Any) -> None:
    from rclpy.parameter import Parameter

    node = ros.run(CaptionNode, allow_random_weights=True, rate=0.0, min_confidence=0.0)
    heard = ros.hears(node, '~/caption')
    assert node.set_parameters([Parameter('beams', value=2)])[0].successful
    assert node.estimator.settings.beams == 2
    pixels = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    ros.show(0, size=(128, 96), data=pixels.repeat(4, 0).repeat(4, 1).tobytes())
    ros.until(lambda: heard, 'a sentence')
    assert float(node.task.values()['confidence']) > 0  # an untrained one may say nothing
