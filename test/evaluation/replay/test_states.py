"""When nodes and a replay have found each other, by the word of both."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from dlcv.evaluation.replay.job import Answering
from dlcv.evaluation.replay.states import NodeStates
from dlcv.interface.diagnostics import PUBLISHERS, SUBSCRIBERS, peers_text

IMAGE, INFO, FLOW, HANDLED = '/image', '/camera_info', '/flownet/flow', '/flownet/handled'
FLOWNET = Answering(node='flownet', handled=HANDLED, inputs=(IMAGE, INFO), outputs=())
PLAYED, LISTENED = {IMAGE: 1, INFO: 1}, {FLOW: 1, HANDLED: 1}
PUBLISHED = {IMAGE: 1, INFO: 1, '/tf_static': 0}  # nobody plays that one
HEARD = {FLOW: 1, HANDLED: 1, '/tf': 0}  # and nobody asked for this one


def _states(publishers: dict[str, int], subscribers: dict[str, int], **others: str) -> NodeStates:
    values = {PUBLISHERS: peers_text(publishers), SUBSCRIBERS: peers_text(subscribers), **others}
    pairs = [SimpleNamespace(key=key, value=value) for key, value in values.items()]
    status = SimpleNamespace(
        name='flownet: flow', hardware_id='/flownet', message='', level=0, values=pairs
    )
    states = NodeStates({'flownet'})
    states.add(SimpleNamespace(status=[status]))
    return states


def test_nobody_is_missing_when_both_sides_say_so() -> None:
    assert _states(PUBLISHED, HEARD).unmatched([FLOWNET], PLAYED, LISTENED) == ''


def test_a_node_that_has_said_nothing_is_missing() -> None:
    assert NodeStates({'flownet'}).unmatched([FLOWNET], PLAYED, LISTENED) == 'no word of flownet'


def test_a_node_that_is_not_active_is_missing() -> None:
    states = _states({}, HEARD, state='inactive')
    assert states.unmatched([FLOWNET], PLAYED, LISTENED) == 'flownet inactive'


@pytest.mark.parametrize(
    ('changed', 'text'),
    [
        ({'publishers': PUBLISHED | {INFO: 0}}, 'flownet without a publisher of /camera_info'),
        ({'subscribers': HEARD | {FLOW: 0}}, '/flownet/flow of flownet unheard'),
        ({'subscribers': HEARD | {HANDLED: 0}}, '/flownet/handled of flownet unheard'),
        ({'listened': LISTENED | {FLOW: 0}}, '/flownet/flow of flownet unheard'),
        ({'played': PLAYED | {IMAGE: 0}}, '0 of 1 listeners to /image'),
    ],
)
def test_each_side_must_have_found_the_other(changed: dict[str, Any], text: str) -> None:
    given = {
        'publishers': PUBLISHED, 'subscribers': HEARD, 'played': PLAYED, 'listened': LISTENED,
    } | changed  # fmt: skip
    states = _states(given['publishers'], given['subscribers'])
    assert states.unmatched([FLOWNET], given['played'], given['listened']) == text


@pytest.mark.parametrize(
    ('called', 'full_name', 'meant'),
    [
        ('robot/flownet: flow', '/robot/flownet', True),
        ('flownet: flow', '/robot/flownet', True),  # as recordings of before have it
        ('other/flownet: flow', '/other/flownet', False),
    ],
)
def test_the_namespace_may_be_in_the_name(called: str, full_name: str, meant: bool) -> None:
    status = SimpleNamespace(name=called, hardware_id=full_name, message='', level=0, values=[])
    states = NodeStates({'flownet'}, 'robot')
    states.add(SimpleNamespace(status=[status]))
    assert states.known == ['flownet'] * meant
