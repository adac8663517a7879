"""Parameters: given at start, set at run time, refused with a reason."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from rcl_interfaces.srv import DescribeParameters, SetParametersAtomically
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter

from dlcv.interface.nodes import NODES, SUPERPOINT
from dlcv.interface.parameters import describe

pytestmark = pytest.mark.ros
SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


def _set(node: Any, **values: Any) -> Any:
    return node.set_parameters_atomically([Parameter(k, value=v) for k, v in values.items()])


@pytest.mark.parametrize(
    ('given', 'words'),
    [
        ({'max_keypoints': 0}, 'max_keypoints: 0 is outside 1..8192'),
        ({'max_rate': 1e9}, 'max_rate: 1000000000.0 is outside 0..1000 Hz'),
        ({'detection_threshold': float('nan')}, 'detection_threshold: nan is outside 0..1'),
        ({'max_rate': 2000}, 'max_rate: 2000.0 is outside 0..1000 Hz'),
        ({'max_rate': '10'}, "max_rate: expected double, got the text '10'"),
        ({'autostart': 'true'}, "expected bool, got the text 'true': write true without quotes"),
        ({'device': 'tpu'}, "device: 'tpu' is none of auto, cpu, cuda, cuda:N"),
        ({'weights_sha256': 'abc'}, 'weights_sha256: expected 64 hex digits'),
        ({'resize_long_side': 10}, 'resize_long_side: 10 is outside 64..4096 px'),
    ],
)
def test_a_bad_value_at_start_fails_configure_and_can_be_mended(
    ros: Any, plain: Any, given: dict[str, Any], words: str
) -> None:
    node = ros.make(plain, **given)
    assert node.trigger_configure() == FAILURE
    assert words in node.fault
    good = {p.name: p.default for p in describe(SUPERPOINT.parameters) if p.name in given}
    assert _set(node, **good).successful
    assert node.trigger_configure() == SUCCESS


def test_a_misspelt_name_is_answered_with_the_right_one(ros: Any, plain: Any) -> None:
    node = ros.make(plain, max_keypoint=100)
    assert node.trigger_configure() == FAILURE
    assert "unknown parameter 'max_keypoint'; did you mean 'max_keypoints'?" in node.fault
    assert _set(node, max_keypoints=100).successful
    assert node.trigger_configure() == SUCCESS
    assert node.parameters.max_keypoints == 100


def test_a_sister_nodes_parameter_is_no_mistake(ros: Any, plain: Any) -> None:
    node = ros.make(plain, output_stride=2, use_sim_time=True)  # as from a /** section
    assert node.trigger_configure() == SUCCESS


@pytest.mark.parametrize(('pattern', 'fine'), [('/**', True), ('/*', True), ('/superpoint', False)])
def test_what_a_robot_tells_all_its_nodes_is_passed_over(
    ros: Any, plain: Any, tmp_path: Any, monkeypatch: Any, pattern: str, fine: bool
) -> None:
    path = tmp_path / 'robot.yaml'
    path.write_text(f'{pattern}: {{ros__parameters: {{robot_radius: 0.3, a: {{b: 1}}}}}}')
    arguments = ['--params-file', str(path)]
    monkeypatch.setattr('sys.argv', ['superpoint_node', '--ros-args', *arguments])
    node = ros.make(plain, *arguments)
    assert node.trigger_configure() == (SUCCESS if fine else FAILURE)
    assert ("unknown parameter 'robot_radius'" in node.fault) != fine


@pytest.mark.parametrize('value', [2.0, float('nan')])
def test_a_bad_value_is_refused_while_running(ros: Any, plain: Any, value: float) -> None:
    node = ros.run(plain)
    result = _set(node, detection_threshold=value)
    assert not result.successful
    words = result.reason  # rclpy's own, from the range in the descriptor
    assert all(word in words for word in ('detection_threshold', '0.0', '1.0', str(value)))
    assert node.parameters.detection_threshold == 0.005
    assert node.get_parameter('detection_threshold').value == 0.005


def test_a_value_of_another_type_is_refused(ros: Any, plain: Any) -> None:
    node = ros.run(plain)
    for wrong in ('much', [1.0, 2.0], True):
        assert not _set(node, max_rate=wrong).successful
    assert node.get_parameter('max_rate').value == 0.0


def test_a_whole_number_is_a_double_at_start(ros: Any, plain: Any) -> None:
    node = ros.make(plain, max_rate=10, max_input_age=1)
    assert node.trigger_configure() == SUCCESS
    assert repr((node.parameters.max_rate, node.parameters.max_input_age)) == '(10.0, 1.0)'
    assert node.get_parameter('max_rate').type_ == Parameter.Type.DOUBLE


def test_a_row_of_whole_numbers_is_one_of_doubles(ros: Any, with_fake: Any) -> None:
    from dlcv.ros.nodes.deepvo import DeepVONode

    node = ros.make(with_fake(DeepVONode), twist_stddev=[1, 1, 1, 2, 2, 2])
    assert node.trigger_configure() == SUCCESS
    assert node.get_parameter('twist_stddev').type_ == Parameter.Type.DOUBLE_ARRAY
    assert node.parameters.twist_stddev == (1, 1, 1, 2, 2, 2)


def test_a_whole_number_is_a_double_while_running(ros: Any, plain: Any) -> None:
    node = ros.run(plain)
    assert _set(node, max_rate=5).successful
    assert repr(node.parameters.max_rate) == '5.0'
    assert node.get_parameter('max_rate').type_ == Parameter.Type.DOUBLE
    assert not _set(node, max_rate=5000).successful
    assert not _set(node, nms_radius=5.0).successful


def test_a_set_is_taken_whole_or_not_at_all(ros: Any, plain: Any) -> None:
    node = ros.run(plain)
    assert not _set(node, nms_radius=8, match_ratio=7.0).successful
    assert node.parameters.nms_radius == 4
    assert _set(node, nms_radius=8, match_ratio=0.7).successful
    assert (node.parameters.nms_radius, node.parameters.match_ratio) == (8, 0.7)
    assert node.retuned == 1


def test_values_that_contradict_each_other_are_refused(ros: Any, with_fake: Any) -> None:
    from dlcv.ros.nodes.monodepth import MonodepthNode

    node = ros.make(with_fake(MonodepthNode), min_depth=5.0, max_depth=2.0)
    assert node.trigger_configure() == FAILURE
    assert 'min_depth: 5.0 m is not below max_depth: 2.0 m' in node.fault
    assert _set(node, max_depth=50.0).successful
    assert node.trigger_configure() == SUCCESS
    assert not _set(node, max_depth=4.0).successful
    assert _set(node, min_depth=1.0, max_depth=4.0).successful


def test_what_needs_a_reload_is_refused_until_cleanup(ros: Any, plain: Any) -> None:
    node = ros.run(plain)
    result = _set(node, resize_long_side=320)
    assert not result.successful
    assert 'resize_long_side: set while unconfigured only' in result.reason
    node.trigger_deactivate()
    assert not _set(node, resize_long_side=320).successful
    node.trigger_cleanup()
    assert _set(node, resize_long_side=320).successful
    assert node.parameters.resize_long_side == 320


def test_over_the_wire_the_reason_arrives(ros: Any, plain: Any) -> None:
    node = ros.run(plain)
    wrong = Parameter('match_ratio', value=-0.5).to_parameter_msg()
    request = SetParametersAtomically.Request(parameters=[wrong])
    name = f'/{node.get_name()}/set_parameters_atomically'
    result = ros.call(SetParametersAtomically, name, request).result
    assert not result.successful
    assert 'match_ratio' in result.reason


@pytest.mark.parametrize('name', NODES)
def test_every_parameter_is_described(ros: Any, with_fake: Any, name: str) -> None:
    cls = _node_class(name)
    ros.make(with_fake(cls))
    table = list(describe(NODES[name].parameters))
    request = DescribeParameters.Request(names=[p.name for p in table])
    answer = ros.call(DescribeParameters, f'/{name}/describe_parameters', request)
    for p, described in zip(table, answer.descriptors, strict=True):
        assert p.doc in described.description
        if p.low is not None and not isinstance(p.default, tuple):
            (limits,) = (*described.integer_range, *described.floating_point_range)
            assert (limits.from_value, limits.to_value) == (p.low, p.high)
        for choice in p.choices:
            assert choice in described.additional_constraints


def _node_class(name: str) -> Any:
    from importlib import import_module

    from dlcv.ros.node import VisionNode

    module = import_module(NODES[name].module)
    return next(
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, VisionNode)
        and hasattr(value, 'task_class')
    )
