"""What the live nodes show in the graph is what the tables say."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from rclpy.qos import DurabilityPolicy, HistoryPolicy, ReliabilityPolicy

from dlcv.interface.nodes import COMPRESSED, NODES, QOS_TEXT, NodeSpec, Topic
from dlcv.interface.parameters import describe
from dlcv.ros.node import VisionNode
from dlcv.ros.qos import profile
from dlcv.ros.vocabulary import installed

pytestmark = pytest.mark.ros
OWN = {'/rosout', '/parameter_events'}  # every node of ROS has these
LIFECYCLE = {'transition_event'}


def _class(spec: NodeSpec) -> Any:
    values = vars(import_module(spec.module)).values()
    return next(
        v
        for v in values
        if isinstance(v, type) and issubclass(v, VisionNode) and hasattr(v, 'task_class')
    )


@pytest.fixture(params=NODES)
def live(request: Any, ros: Any, with_fake: Any) -> Any:
    """A node with everything switched on, its parameter table included."""
    cls = with_fake(_class(NODES[request.param]))
    names = {p.name for p in describe(cls.task_class.spec.parameters)}
    switches = {'publish_tf', 'publish_initialpose'} & names
    return ros.run(cls, **dict.fromkeys(switches, True))


def _there(node: Any, topics: tuple[Topic, ...]) -> dict[str, str]:
    return {node.resolve_topic_name(t.name): t.type for t in topics if installed(t.type)}


def _seen(ros: Any, kind: str, node: Any) -> dict[str, str]:
    pairs = getattr(ros.peer, f'get_{kind}_names_and_types_by_node')(node.get_name(), '/')
    return {name: types[0] for name, types in pairs if name not in OWN}


def test_inputs_are_those_of_the_table(ros: Any, live: Any) -> None:
    expected = _there(live, tuple(t for t in live.spec.inputs if t is not COMPRESSED))
    ros.until(lambda: _seen(ros, 'subscriber', live) == expected, f'{expected}')


def test_outputs_are_those_of_the_table(ros: Any, live: Any) -> None:
    expected = _there(live, live.spec.outputs)

    def seen() -> dict[str, str]:
        found = _seen(ros, 'publisher', live)
        return {
            name: kind for name, kind in found.items() if not name.endswith('/transition_event')
        }

    ros.until(lambda: seen() == expected, f'{expected} {seen()}')


def test_services_are_those_of_the_table(ros: Any, live: Any) -> None:
    def seen() -> dict[str, str]:
        found = _seen(ros, 'service', live)
        return {
            name: kind
            for name, kind in found.items()
            if not kind.startswith(('rcl_interfaces/', 'lifecycle_msgs/', 'type_description_'))
        }

    expected = {live.resolve_service_name(s.name): s.type for s in live.spec.services}
    ros.until(lambda: seen() == expected, f'{expected} {seen()}')


def test_parameters_are_those_of_the_table(ros: Any, live: Any) -> None:
    table = {p.name: p.default for p in describe(live.spec.parameters)}
    names = {
        name
        for name in live._parameters
        if not name.startswith('qos_overrides.')
        and name not in ('use_sim_time', 'start_type_description_service')
    }
    assert names == set(table)
    for name in names - {
        'allow_random_weights',
        'num_threads',
        'max_input_age',
        'publish_tf',
        'publish_initialpose',
    }:
        value = live.get_parameter(name).value
        default = table[name]
        assert (tuple(value) if isinstance(default, tuple) else value) == default


def test_qos_is_that_of_the_table(ros: Any, live: Any) -> None:
    for topic in (*live.spec.outputs, *live.spec.inputs):
        if topic is COMPRESSED or not installed(topic.type):
            continue
        name = live.resolve_topic_name(topic.name)
        outgoing = topic in live.spec.outputs
        lookup = 'get_publishers_info_by_topic' if outgoing else 'get_subscriptions_info_by_topic'

        def ours(lookup: str = lookup, name: str = name) -> list[Any]:
            return [e for e in getattr(ros.peer, lookup)(name) if e.node_name == live.get_name()]

        (endpoint,) = ros.until(ours, name)
        reliable = topic.qos not in ('image', 'sensor', 'stream')
        latched = topic.qos in ('latched', 'tf_static')
        qos = endpoint.qos_profile
        assert (qos.reliability == ReliabilityPolicy.RELIABLE) == reliable, name
        assert (qos.durability == DurabilityPolicy.TRANSIENT_LOCAL) == latched, name


@pytest.mark.parametrize('name', [n for n in QOS_TEXT if n != 'image'])
def test_qos_words_are_the_profiles(name: Any) -> None:
    qos, words = profile(name), QOS_TEXT[name]
    assert ('best effort' in words) == (qos.reliability == ReliabilityPolicy.BEST_EFFORT)
    assert ('transient local' in words) == (qos.durability == DurabilityPolicy.TRANSIENT_LOCAL)
    assert words.endswith(f'depth {qos.depth}')
    assert qos.history == HistoryPolicy.KEEP_LAST


def test_qos_overrides_are_followed(ros: Any, with_fake: Any) -> None:
    from dlcv.ros.nodes.superpoint import SuperPointNode

    node = ros.run(
        with_fake(SuperPointNode),
        **{
            'qos_overrides./superpoint/keypoints.publisher.reliability': 'best_effort',
            'qos_overrides./image.subscription.reliability': 'reliable',
        },
    )
    (keypoints,) = ros.until(lambda: ros.peer.get_publishers_info_by_topic('/superpoint/keypoints'))
    assert keypoints.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT
    (image,) = ros.until(lambda: ros.peer.get_subscriptions_info_by_topic('/image'))
    assert image.qos_profile.reliability == ReliabilityPolicy.RELIABLE
    node.trigger_deactivate()
    node.trigger_cleanup()
    node.trigger_configure()  # the overrides are declared already: that must not matter
    (keypoints,) = ros.until(lambda: ros.peer.get_publishers_info_by_topic('/superpoint/keypoints'))
    assert keypoints.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT


@pytest.mark.parametrize('name', NODES)
def test_each_module_runs_its_node(name: str) -> None:
    module = import_module(NODES[name].module)
    assert callable(module.main)
    assert _class(NODES[name]).task_class.spec is NODES[name]
